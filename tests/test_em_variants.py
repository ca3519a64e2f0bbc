"""Classification, stochastic, annealed and split-and-merge EM."""

import pytest
import torch

import mixtura as mx
from mixtura.learning import hard
from mixtura.learning.methods.classification import classification_likelihood

F64 = torch.float64
CORNERS = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0], [10.0, 10.0], [5.0, 5.0]], dtype=F64)
POOR = torch.tensor([[0.0, 0.0], [0.5, 0.5], [-0.5, 0.5], [10.0, 5.0], [5.0, 10.0]], dtype=F64)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def five_groups(rows=600):
    generator = seeded(1)
    labels = torch.randint(5, (rows,), generator=generator)
    return CORNERS[labels] + torch.randn(rows, 2, dtype=F64, generator=generator)


def test_classification_em_never_lowers_its_likelihood():
    fit = mx.fit(five_groups(), init=POOR, method=mx.ClassificationEM())
    assert fit.converged
    assert (fit.trace.diff() >= -1e-12).all()
    x = five_groups()
    joint = fit.mixture.log_joint(x).amax(-1)
    assert fit.trace[-1].item() == pytest.approx(joint.mean().item(), rel=1e-12)


def test_classification_em_ends_at_the_estimates_of_its_own_groups():
    x = five_groups()
    mixture = mx.fit(x, 5, method=mx.ClassificationEM()).mixture
    labels = mixture.assign(x)
    for k in range(5):
        own = x[labels == k]
        torch.testing.assert_close(mixture.components.mean[k], own.mean(0))
        torch.testing.assert_close(mixture.components.covariance[k], torch.cov(own.T, correction=0))


def test_classification_likelihood_counts_weights():
    x = five_groups(50)
    mixture = mx.fit(x, 2).mixture
    weight = torch.randint(0, 3, (50,), generator=seeded()).double()
    found = classification_likelihood(mixture.map(lambda t: t.unsqueeze(0)), mx.data.rows(x, None, weight))
    assert found.item() == pytest.approx((mixture.log_joint(x).amax(-1) * weight).sum().item())


@pytest.mark.parametrize("method", [mx.SplitMergeEM(), mx.AnnealedEM()], ids=lambda method: type(method).__name__)
def test_poor_starts_are_left(method):
    x = five_groups()
    best = mx.fit(x, 5, generator=seeded()).log_likelihood
    stuck = mx.fit(x, init=POOR).log_likelihood
    assert stuck < best - 100
    reached = [mx.fit(x, init=POOR, method=method, generator=seeded(seed)).log_likelihood for seed in range(4)]
    assert max(reached) == pytest.approx(best, abs=0.1)


def test_split_and_merge_never_ends_below_em():
    x = five_groups(200)
    for seed in range(5):
        start = x[torch.randperm(200, generator=seeded(seed))[:5]]
        plain = mx.fit(x, init=start)
        assert mx.fit(x, init=start, method=mx.SplitMergeEM()).log_likelihood >= plain.log_likelihood - 1e-9


def test_stochastic_em_ends_in_em_from_the_best_mixture_visited():
    x = five_groups(200)
    start = mx.fit(x, init=POOR, method=mx.EM(1, tolerance=0)).mixture
    fit = mx.fit(x, init=start, method=mx.StochasticEM(draws=50, tolerance=1e-12), generator=seeded())
    assert (fit.trace.diff() > -1e-10).all()
    assert fit.trace[0] >= start.log_prob(x).mean()
    again = mx.fit(x, init=fit.mixture, method=mx.EM(max_iterations=1, tolerance=0))
    assert again.trace[1] - again.trace[0] < 1e-9


def test_annealed_em_ends_at_a_fixed_point_of_em():
    x = five_groups()
    annealed = mx.fit(x, 5, method=mx.AnnealedEM(tolerance=1e-12), generator=seeded())
    again = mx.fit(x, init=annealed.mixture, method=mx.EM(max_iterations=1, tolerance=0))
    assert again.trace[1] - again.trace[0] < 1e-9


def test_without_annealing_it_is_em():
    x = five_groups()
    plain = mx.fit(x, init=POOR, method=mx.EM(acceleration=False))
    annealed = mx.fit(x, init=POOR, method=mx.AnnealedEM(beta=1.0, acceleration=False))
    torch.testing.assert_close(plain.trace, annealed.trace)


def test_split_and_merge_keeps_mass_and_mean():
    x = five_groups()
    mixture = mx.fit(x, init=POOR, method=mx.EM(5, tolerance=0)).mixture
    weights = mixture.responsibilities(x).mean(0)
    for changed in mx.SplitMergeEM(candidates=12).propose(mixture, mx.data.rows(x)):
        assert changed.weights.sum().item() == pytest.approx(1)
        torch.testing.assert_close(changed.mean, x.mean(0))
        torch.testing.assert_close(changed.covariance, torch.cov(x.T, correction=0))
        kept = (changed.weights.unsqueeze(-1) - weights).abs().amin(-1) < 1e-9
        assert kept.sum() == 2  # of five components two are merged and a third is split


def test_candidates_merge_twins_and_split_misfits():
    x = torch.cat((five_groups(300), five_groups(300)))
    mean = torch.stack((CORNERS[0], CORNERS[0] + 0.01, CORNERS[1], CORNERS[2:].mean(0)))
    mixture = mx.Mixture(
        torch.ones(4, dtype=F64), mx.Gaussian(mean, mx.Spherical(torch.tensor([1.0, 1, 1, 9], dtype=F64)))
    )
    r = mixture.responsibilities(x).mean(0)
    first = mx.SplitMergeEM().propose(mixture, mx.data.rows(x))[0]
    torch.testing.assert_close(first.weights[0], r[0] + r[1])
    torch.testing.assert_close(first.weights[1] + first.weights[3], r[3])
    torch.testing.assert_close(first.weights[2], r[2])


def test_tempered_labels_lie_between_flat_and_hard():
    joint = torch.randn(20, 3, dtype=F64, generator=seeded())
    torch.testing.assert_close(mx.learning.Tempered(1.0)(joint), torch.softmax(joint, -1))
    torch.testing.assert_close(mx.learning.Tempered(0.0)(joint), torch.full((20, 3), 1 / 3, dtype=F64))
    torch.testing.assert_close(mx.learning.Tempered(1e6)(joint), hard(joint))


def test_classification_through_an_observation_has_no_more_to_gain_than_it_says():
    x = 1.5 * torch.randn(12, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    noise = mx.observation.AdditiveNoise(scale=1.0)
    fit = mx.fit(x, 1, method=mx.ClassificationEM(), observation=noise)
    further = mx.fit(x, init=fit.mixture, method=mx.EM(400, 0.0), observation=noise)
    assert fit.converged and further.log_likelihood - fit.log_likelihood < 12 * 1e-6
