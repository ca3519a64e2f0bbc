"""Named problems: seeded, with the posterior that Bayes' rule gives, and what their authors state."""

import subprocess
import sys

import pytest
import torch

import mixtura as mx
from mixtura.diffusion import problems
from mixtura.errors import MixtureError

QUICK = [name for name in problems.names() if not name.startswith("digits")]


def errors_of(problem):
    """The law of y - A x, by torch's distributions."""
    seen, zero = problem.observation, torch.zeros_like(problem.y)
    covariance = seen.scale**2 * torch.eye(len(zero)).to(zero) if seen.covariance is None else seen.covariance
    return torch.distributions.MultivariateNormal(zero, covariance)


@pytest.mark.parametrize("name", problems.names())
@pytest.mark.slow
def test_posterior_obeys_bayes_rule(name):
    """log p(x|y) - log p(x) - log p(y|x) is log p(y), whatever x is."""
    if name.startswith("digits"):
        pytest.importorskip("sklearn")
    problem = problems.named(name)
    x = torch.cat([problem.posterior.sample((5,)), problem.clean[None], problem.mixture.sample((5,))])
    likelihood = errors_of(problem).log_prob(problem.y - x @ problem.observation.matrix.mT)
    evidence = problem.mixture.log_prob(x) + likelihood - problem.posterior.log_prob(x)
    wanted = problem.mixture.observed(problem.observation).log_prob(problem.y)
    near = likelihood > -1e6  # the difference of larger numbers has no digits
    assert near.sum() >= 5
    torch.testing.assert_close(evidence[near], wanted.expand(near.sum()), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", [name for name in QUICK if "seed" in problems.arguments(name)])
def test_a_seed_is_a_problem(name):
    before = torch.random.get_rng_state()
    one, same, other = (problems.named(name, seed=seed) for seed in (3, 3, 4))
    assert torch.equal(one.y, same.y) and torch.equal(one.posterior.mean, same.posterior.mean)
    assert not torch.equal(one.mixture.mean, other.mixture.mean) or not torch.equal(one.y, other.y)
    assert torch.equal(before, torch.random.get_rng_state()), "global randomness was touched"


def test_errors_of_y_are_those_of_the_observation():
    z = []
    for seed in range(60):
        problem = problems.cardoso2023(d=8, d_y=4, seed=seed)
        seen = problem.observation
        z.append((problem.y - seen.matrix @ problem.clean) / seen.scale)
    square = torch.stack(z).square()
    assert abs(square.mean() - 1) < 4 * (2 / square.numel()) ** 0.5


@pytest.mark.parametrize("make", [problems.cardoso2023, problems.boys2023, problems.cardoso_benchopt])
def test_grid_of_25(make):
    problem = make(d_y=4)
    means = problem.mixture.components.mean
    assert means.shape == (25, 8) and set(means.flatten().tolist()) == {-16.0, -8.0, 0.0, 8.0, 16.0}
    assert len(means.unique(dim=0)) == 25 and torch.equal(means[:, :2].repeat(1, 4), means)
    values = torch.linalg.svdvals(problem.observation.matrix)
    assert values.shape == (4,) and 0 < values.min() and values.max() < 1
    assert make is problems.boys2023 or 0 < problem.observation.scale < values.max()
    assert problem.mixture.components.structure.name == "tied-spherical"


def test_cardoso_noise_is_the_list_of_the_authors():
    rates = torch.linspace(0.02, 1e-4, 999, dtype=torch.float64)
    kept = torch.cat([torch.ones(1, dtype=torch.float64), (1 - rates).cumprod(0)])
    schedule = problems.cardoso2023().schedule
    times = torch.arange(1000, dtype=torch.float64) / 999
    torch.testing.assert_close(schedule.alpha(times).square(), kept, rtol=1e-12, atol=0)
    torch.testing.assert_close(schedule.variance(times), 1 - kept, rtol=1e-9, atol=1e-15)
    assert 4.0e-5 < kept[-1] < 4.2e-5


def test_discrete_schedule_is_consistent():
    schedule = mx.diffusion.Discrete((0.3, 0.1, 0.6))
    t = torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64)
    rate = -torch.log1p(-torch.tensor([0.3, 0.1, 0.6], dtype=torch.float64)) * 3  # of B by time, in each third
    torch.testing.assert_close(schedule.drift(t), -0.5 * rate)
    torch.testing.assert_close(schedule.diffusion(t).square(), rate)
    torch.testing.assert_close(schedule.time(schedule.log_snr(t)), t)
    with pytest.raises(MixtureError, match="`rates` must be"):
        mx.diffusion.Discrete((0.5, 1.0))
    with pytest.raises(MixtureError, match="got none"):
        mx.diffusion.Discrete(())


def test_benchopt_instance_is_single_precision_and_its_posterior_that_of_torch():
    """The posterior by `torch.distributions` and dense inverses, from the numbers of the instance."""
    problem = problems.cardoso_benchopt(d_y=2)
    for number in (problem.y, problem.clean, problem.observation.matrix, problem.observation.scale):
        assert torch.equal(number, number.float().double())
    a, v = problem.observation.matrix, problem.observation.scale**2
    covariance = torch.linalg.inv(torch.eye(8, dtype=torch.float64) + a.T @ a / v)
    means = (covariance @ (a.T @ problem.y / v + problem.mixture.components.mean).mT).mT
    seen = torch.distributions.MultivariateNormal(problem.mixture.components.mean @ a.T, a @ a.T + v * torch.eye(2))
    weights = torch.softmax(problem.mixture.logits + seen.log_prob(problem.y), -1)
    torch.testing.assert_close(problem.posterior.weights, weights)
    torch.testing.assert_close(problem.posterior.components.mean, means)
    torch.testing.assert_close(problem.posterior.components.covariance, covariance.expand(25, 8, 8))


def test_again_draws_y_from_its_law():
    problem = problems.cardoso2023(d=8, d_y=1, seed=1)
    draw = torch.Generator().manual_seed(0)
    law = problem.mixture.observed(problem.observation)
    u = torch.stack([law.cdf(problem.again(draw).y) for _ in range(200)]).flatten().sort().values
    gap = (u - (torch.arange(200) + 0.5) / 200).abs().max()
    assert gap < 1.95 / 200**0.5, "Kolmogorov and Smirnov at one in a thousand"


def test_names_and_arguments():
    assert problems.named("boys2023", scale=1.0).name == "boys2023 scale=1 d=8 d_y=2 seed=0"
    with pytest.raises(MixtureError, match=r"`problem` must be one of cardoso2023, .*; got 'cardoso'"):
        problems.named("cardoso")
    with pytest.raises(MixtureError, match="`dy` must be one of the arguments of cardoso2023, d, d_y, seed"):
        problems.named("cardoso2023", dy=2)
    for given, words in (({"d": 7}, "`d` must be an even"), ({"d_y": 9}, "`d_y` must be from 1 to d = 8")):
        with pytest.raises(MixtureError, match=words):
            problems.cardoso2023(**given)


def test_outliers_of_zhao_stand_where_their_authors_put_them():
    near, far = problems.zhao2025(d_y=3), problems.zhao2025(d_y=3, offset=10.0, exact=True)
    torch.testing.assert_close(far.y - near.y, torch.full((3,), 10.0, dtype=torch.float64))
    torch.testing.assert_close(far.observation.covariance, 1e-8 * torch.eye(3, dtype=torch.float64))
    assert torch.isfinite(far.posterior.log_prob(far.clean))


def test_digits_keep_their_structure_and_see_what_they_say():
    pytest.importorskip("sklearn")
    inpainting, blur, coarse = (problems.named(name) for name in problems.names() if name.startswith("digits"))
    assert inpainting.mixture is coarse.mixture and inpainting.mixture.components.structure.name == "low-rank-6"
    assert inpainting.posterior.components.structure.name == "low-rank-6", "picked pixels keep it"
    one = torch.ones(64, dtype=torch.float64)
    assert inpainting.observation.matrix.shape == (48, 64) and coarse.observation.matrix.shape == (16, 64)
    torch.testing.assert_close(coarse.observation.matrix @ one, one[:16])
    assert (blur.observation.matrix @ one).reshape(8, 8)[1:-1, 1:-1].eq(1).all()


def test_digits_without_scikit_learn_say_how_to_get_it():
    code = """
import sys, mixtura as mx
sys.modules["sklearn.datasets"] = None
try:
    mx.diffusion.problems.digits_blur()
except ImportError as error:
    print(error)
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said == "The pictures of digits come with scikit-learn: pip install 'mixtura[sklearn]'.\n"
