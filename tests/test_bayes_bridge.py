"""Bridge sampling: integrals that are known, errors that are honest."""

import math

import pytest
import torch
from posterior_targets import HALF_EVIDENCE, Normal, banana, funnel, half, standard, two_modes

import mixtura as mx
from mixtura.bayes.approximations import bridge
from mixtura.bayes.approximations.bridge import autocorrelation_time


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=seeded(seed), dtype=torch.float64)


def autoregressive(chains, length, rho, seed=0):
    """Standard normal chains whose draws depend on those before; 1 + 2 Σ ρ^t = (1 + ρ)/(1 - ρ)."""
    steps, found = noise(length, chains, seed=seed), []
    for step in steps:
        found.append(step if not found else rho * found[-1] + math.sqrt(1 - rho**2) * step)
    return torch.stack(found, 1)


def within(found, truth, errors=4.0):
    return abs(found.log_evidence - truth) < errors * found.error + 1e-6


@pytest.mark.parametrize("size", [1, 2, 10])
@pytest.mark.parametrize("spread", [0.0, 6.0])
def test_the_integral_of_a_gaussian(size, spread):
    target = Normal(size, seed=size, spread=spread, log_evidence=-123.4)
    found = bridge(target.log_density, target.sample((4, 500), seeded(1)), seeded(2))
    assert within(found, -123.4) and found.error < 0.02


def test_the_integral_over_two_modes():
    right = torch.rand(4, 500, 1, generator=seeded(3)) < 0.3
    draws = torch.where(right, 5.0, -5.0) + noise(4, 500, 3)
    found = bridge(lambda u: two_modes(u) + 8.0, draws, seeded())
    assert within(found, 8.0) and found.error < 0.05


def test_the_integral_of_bent_densities():
    first = noise(4, 1000, 1)
    bent = torch.cat([first, first.square() + 0.5 * noise(4, 1000, 1, seed=1)], -1)
    found = bridge(banana, bent, seeded())
    assert within(found, 0.0) and found.error < 0.1
    wide = torch.cat([3 * first, (1.5 * first).exp() * noise(4, 1000, 4, seed=1)], -1)
    assert within(bridge(funnel, wide, seeded()), 0.0)


def test_the_integral_up_to_a_wall():
    uniform = torch.rand(4, 500, generator=seeded(), dtype=torch.float64)
    tail = math.exp(HALF_EVIDENCE)
    draws = torch.stack([-torch.special.ndtri(uniform * tail), noise(4, 500, seed=7)], -1)
    found = bridge(half, draws, seeded())
    assert within(found, HALF_EVIDENCE) and found.overlap < 1


def test_conjugate_evidence_of_one_normal():
    """Normal rows of known variance under a normal prior of the mean: both sides in closed form."""
    x, prior = noise(30) + 2.0, torch.distributions.Normal(torch.tensor(0.0).double(), 3.0)
    variance = 1 / (30 + 1 / 9)
    mean = variance * x.sum()
    log_density = lambda u: prior.log_prob(u[..., 0]) + standard(x - u)  # noqa: E731
    draws = mean + math.sqrt(variance) * noise(4, 500, 1, seed=5)
    covariance = torch.eye(30).double() + 9.0
    truth = torch.distributions.MultivariateNormal(torch.zeros(30).double(), covariance).log_prob(x)
    assert within(bridge(log_density, draws, seeded()), float(truth))


def test_errors_are_those_of_repetitions():
    """Over sixty chains that depend on their past, errors in units of the stated error have variance about 1."""
    found = [bridge(heavy, chain(seed), seeded(seed + 1000))
             for seed in range(60)]  # fmt: skip
    scores = torch.tensor([one.log_evidence / one.error for one in found])
    assert 0.7 < float(scores.std()) < 1.4 and abs(float(scores.mean())) < 0.6


def heavy(u):
    return -math.sqrt(2) * u.abs().sum(-1) - 0.5 * math.log(2)


def chain(seed):
    """Chains of a double exponential law, through the quantiles of a normal one."""
    y = autoregressive(2, 600, 0.9, seed)
    return (-y.sign() * torch.special.erfc(y.abs() / math.sqrt(2)).log() / math.sqrt(2)).unsqueeze(-1)


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.9])
def test_autocorrelation_time(rho):
    found = autocorrelation_time(autoregressive(4, 8000, rho))
    assert found == pytest.approx((1 + rho) / (1 - rho), rel=0.2)


def test_chains_in_different_places_are_slow():
    assert autocorrelation_time(noise(2, 500) + torch.tensor([[0.0], [10.0]]).double()) > 100


def test_a_mixture_of_ours_serves_as_proposal():
    means, covariance = (
        torch.tensor([[5.0], [-5.0]]).double().expand(2, 3),
        mx.Full(torch.eye(3).double().expand(2, 3, 3)),
    )
    law = mx.Mixture(torch.tensor([0.3, 0.7]).double(), mx.Gaussian(means, covariance))
    draws = law.sample((2, 100), generator=seeded())
    found = bridge(lambda u: two_modes(u) + 2.0, draws, seeded(), proposal=law)
    assert found.log_evidence == pytest.approx(2.0, abs=1e-6) and found.error < 1e-6


def test_the_proposal_does_not_see_the_draws_that_it_is_judged_by():
    draws = noise(2, 200, 2)
    changed = draws.clone()
    changed[:, 100:] += 100.0
    one, two = (bridge(lambda u: standard(u / 50), d, seeded()) for d in (draws, changed))
    assert one.proposal.mean.equal(two.proposal.mean)


def test_bad_draws_are_refused():
    cases = {
        "chains, 40 or more": noise(2, 10, 2),
        "of shape": noise(100, 2),
        "finite": noise(2, 100, 2).index_fill(1, torch.tensor([3]), math.nan),
        "never changes": torch.zeros(2, 100, 2).double(),
    }
    for words, draws in cases.items():
        with pytest.raises(mx.errors.MixtureError, match=words):
            bridge(standard, draws)
    with pytest.raises(mx.errors.MixtureError, match="another posterior"):
        bridge(half, noise(2, 100, 2))
