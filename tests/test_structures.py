"""Structures that share volume, shape, orientation or factors: their maxima, their names, their algebra.

The laws that every structure obeys are in `mixtura.testing`; here are oracles for the M-steps.
"""

import itertools

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from sklearn.decomposition import FactorAnalysis
from tables import STRUCTURES, matrices

import mixtura as mx
from mixtura.components import Diagonal, Full, structure
from mixtura.components.covariance.solvers import factor_analysis
from mixtura.errors import MixtureError, NotClosedForm

CODES = ("EII", "VII", "EEI", "VEI", "EVI", "VVI", "EEE", "VEE", "EVE", "VVE", "EEV", "VEV", "EVV", "VVV")
SHARED = ("VEI", "EVI", "VEE", "EVE", "VVE", "EEV", "VEV", "EVV")
FEATURES, COMPONENTS = 3, 3


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=generator(seed), dtype=torch.float64)


# -- the M-step against numerical optimisation over volume, shape and orientation


def rotation(angles):
    skew = torch.zeros(FEATURES, FEATURES, dtype=torch.float64)
    skew[*torch.triu_indices(FEATURES, FEATURES, 1)] = angles
    return torch.matrix_exp(skew - skew.mT)


def covariances(name, numbers):
    """Matrices of a structure from unconstrained numbers, letter by letter."""
    volume, shape, orientation = name

    def parts(letter, size):
        taken = [next(numbers) for _ in range(size * {"E": 1, "V": COMPONENTS, "I": 0}[letter])]
        return torch.stack(taken).reshape(-1, size).expand(COMPONENTS, size) if taken else None

    level, ratios = parts(volume, 1), parts(shape, FEATURES - 1)
    angles = parts(orientation, FEATURES * (FEATURES - 1) // 2)
    axes = (level + torch.cat([ratios, -ratios.sum(-1, keepdim=True)], -1)).exp()
    q = torch.eye(FEATURES).double().expand(COMPONENTS, -1, -1) if angles is None else torch.stack(
        [rotation(one) for one in angles]
    )  # fmt: skip
    return (q * axes.unsqueeze(-2)) @ q.mT


def loss(weight, moment, dense):
    return (weight * (torch.logdet(dense) + (torch.linalg.inv(dense) * moment).sum((-2, -1)))).sum()


def searched(name, weight, moment, seed):
    """The least loss that a quasi-Newton search of the parameters finds from a random start."""

    def value(vector):
        given = torch.tensor(vector, requires_grad=True)
        found = loss(weight, moment, covariances(name, iter(given)))
        found.backward()
        return found.item(), given.grad.numpy()

    size = structure(name).parameters(COMPONENTS, FEATURES)
    start = np.random.default_rng(seed).normal(size=size) * 0.3
    return minimize(value, start, jac=True, method="BFGS", options={"gtol": 1e-7}).fun


@pytest.mark.parametrize("name", SHARED)
@pytest.mark.slow
def test_the_update_is_the_best_that_a_search_finds(name):
    root = normal(COMPONENTS, FEATURES, 6, seed=5)
    moment, weight = root @ root.mT / 6, torch.tensor([40.0, 25.0, 70.0], dtype=torch.float64)
    one = structure(name).with_covariance(moment)
    centre = torch.zeros(COMPONENTS, FEATURES, dtype=torch.float64)
    scatter = one.scatter(moment) * weight.reshape(-1, *(1,) * one.moment_trailing)
    losses, found = [loss(weight, moment, one.dense(FEATURES))], one
    for _ in range(50):  # where there is no formula an update is a few steps
        found = found.estimate(weight, centre, scatter, weight)
        losses.append(loss(weight, moment, found.dense(FEATURES)))
    assert torch.stack(losses).diff().max() <= 1e-12 * abs(losses[0])
    mine = loss(weight, moment, found.dense(FEATURES)).item()
    best = min(searched(name, weight, moment, seed) for seed in range(3))
    assert mine <= best + 1e-6


# -- names


def test_every_code_names_a_structure():
    assert all(structure(code).parameters(3, 4) > 0 for code in CODES)
    counts = {code: structure(code).parameters(4, 3) for code in CODES}
    for one, other in itertools.permutations(CODES, 2):  # what varies more has more parameters
        if all(a == b or (a, b) in (("E", "V"), ("I", "E"), ("I", "V")) for a, b in zip(one, other, strict=True)):
            assert counts[one] < counts[other]


@pytest.mark.parametrize(
    "name", [*SHARED, "low-rank-2", "tied-low-rank-1", "full", "tied-diagonal", "eigen", "tied-eigen"]
)
def test_names_go_both_ways(name):
    assert structure(name).name == name


@pytest.mark.parametrize("name", ["VEX", "low-rank", "low-rank-0", "tied-VEV", 3])
def test_other_names_are_refused(name):
    with pytest.raises(MixtureError):
        structure(name)


def test_selection_ranges_over_codes_and_factors():
    x = mx.datasets.old_faithful()
    found = mx.select(x, 2, covariance=("VEV", "EEE", "EVI", mx.LowRank(1)), restarts=2, generator=generator())
    assert {row.covariance for row in found.table} == {"VEV", "tied-full", "EVI", "low-rank-1"}
    assert found.table[0].bic == min(row.bic for row in found.table)


# -- values


def test_values_of_another_structure_are_refused():
    with pytest.raises(MixtureError, match="VEE"):
        mx.components.VEE(matrices(2))
    dense = torch.stack([matrices(), 3 * matrices()])
    torch.testing.assert_close(mx.components.VEE(dense).dense(3), dense)


@pytest.mark.parametrize("name", SHARED)
def test_parts_of_vectors_share_nothing(name):
    one = STRUCTURES[name]
    for part in (one.marginal([0, 2]), one.conditional([1], [0, 2])):
        assert type(part) in (Full, Diagonal)


@pytest.mark.parametrize("name", [*SHARED, "low-rank-1"])
def test_numbers_take_every_structure(name):
    x = torch.cat([normal(60), 4 + 0.5 * normal(40, seed=1)])
    fit = mx.fit(x, 2, covariance=name, generator=generator())
    free = name[0] != "E"
    again = mx.fit(x, 2, covariance="full" if free else "tied-full", generator=generator())
    assert fit.log_likelihood == pytest.approx(again.log_likelihood, abs=1e-4)
    assert fit.parameters == again.parameters


@pytest.mark.parametrize("name", [*SHARED, "low-rank-1"])
def test_a_prior_adds_to_the_sums(name):
    """MAP never falls, and no nearby member of the structure is more probable."""
    x = torch.cat([normal(50, 3), 3 + normal(30, 3, seed=1) @ matrices(seed=7) / 4])
    prior = mx.Prior.weak(x, 2)
    fit = mx.fit(x, 2, covariance=name, method=mx.EM(tolerance=1e-12, prior=prior), restarts=2, generator=generator())
    assert bool((fit.trace.diff() >= -1e-8).all())
    mixture, one = fit.mixture, fit.mixture.components.structure

    def objective(member):
        other = mx.Mixture._of(mixture.logits, mixture.components._replace(structure=member))
        return other.log_prob(x).sum() + prior.log_prob(other)

    dense, best = one.dense(3), objective(one)
    for push in 1e-3 * normal(40, 2, 3, 3, seed=3):
        nearby = one.with_moment(one.scatter(dense + dense @ (push + push.mT) @ dense), 3)
        assert objective(nearby) <= best + 1e-5


def test_a_posterior_law_is_refused():
    with pytest.raises(NotClosedForm, match="conjugate"):
        mx.fit(mx.datasets.old_faithful(), 2, covariance="VEV", method=mx.Variational())


# -- factor analysis


def factors(features=8, rank=2, rows=300, seed=0):
    loadings, spread = 2 * normal(features, rank, seed=seed), torch.linspace(0.4, 2, features, dtype=torch.float64)
    return normal(rows, rank, seed=seed + 1) @ loadings.mT + spread * normal(rows, features, seed=seed + 2)


@pytest.mark.filterwarnings("ignore:FactorAnalysis did not converge")
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_one_component_is_factor_analysis(rank):
    x = factors()
    fit = mx.fit(x, 1, covariance=mx.LowRank(rank), method=mx.EM(tolerance=1e-12))
    theirs = FactorAnalysis(rank, tol=1e-9, max_iter=3000, svd_method="lapack").fit(x.numpy())
    expected = len(x) * theirs.score(x.numpy())
    assert fit.log_likelihood >= expected - 1e-6 and fit.log_likelihood == pytest.approx(expected, abs=0.1)


def test_the_derivatives_of_factor_analysis():
    moment, x, rank = matrices(seed=2), normal(FEATURES), 1

    def h(x):
        scale = (-0.5 * x).exp()
        values = torch.linalg.eigvalsh(scale.unsqueeze(-1) * moment * scale)
        first = values[-rank:].clamp_min(1)
        return x.sum() + values[:-rank].sum() + (values[-rank:] / first + first.log()).sum()

    now = factor_analysis.spectrum(moment, x, rank)
    slope, bend = factor_analysis.derivatives(now.values, now.vectors, torch.tensor([False, False, True]), rank)
    assert now.values[-1] > 1
    torch.testing.assert_close(slope, torch.autograd.functional.jacobian(h, x))
    torch.testing.assert_close(bend, torch.autograd.functional.hessian(h, x))


def test_a_component_that_shares_its_volume_cannot_be_held_alone():
    mixture = mx.fit(mx.datasets.old_faithful(), 2, covariance="EVV", restarts=1, generator=generator()).mixture
    with pytest.raises(MixtureError, match="freeze"):
        mx.fit(mx.datasets.old_faithful(), init=mixture, freeze=mx.Freeze(components=(0,)))


def big(tied=False, features=9, rank=2):
    """Values for three components."""
    shape = () if tied else (3,)
    noise = 0.3 + torch.rand(*shape, features, generator=generator(4), dtype=torch.float64)
    return mx.LowRank.from_loadings(2 * normal(*shape, features, rank), noise, tied=tied)


@pytest.mark.parametrize("features", [9, 150])
@pytest.mark.parametrize("tied", [False, True])
def test_low_rank_equals_its_dense_twin(tied, features):
    low, mean = big(tied, features), normal(3, features, seed=8)
    logits, dense = torch.tensor([0.2, 0.3, 0.5]).double(), mx.Full(low.dense(features), tied=tied)
    twins = [mx.Mixture(logits, mx.Gaussian(mean, one)) for one in (low, dense)]
    for rows in (7, 45_000 // features):  # few rows take the plain expression, many the blocks
        x = 3 * normal(rows, features, seed=9)
        for ask in (
            lambda m: m.log_prob(x),  # noqa: B023
            lambda m: m.components.log_prob(x),  # noqa: B023
            lambda m: m.score(x),  # noqa: B023
            lambda m: m.condition([1, 4, 5], x[0, :3]).log_prob(x[:, 3:]),  # noqa: B023
            lambda m: m.marginal([2, 3]).log_prob(x[:, :2]),  # noqa: B023
        ):
            torch.testing.assert_close(*(ask(m) for m in twins), rtol=1e-9, atol=1e-9)


def test_low_rank_densities_keep_digits_where_noise_is_small():
    """A factor of precision is not lost where the loadings exceed the noise a thousand times."""
    loadings, noise = normal(1, 30, 2), torch.full((1, 30), 1e-6, dtype=torch.float64)
    low = mx.LowRank.from_loadings(loadings, noise)
    x = low.color(normal(400, 1, 30, seed=2)).squeeze(1)
    exact = mx.Gaussian(torch.zeros(1, 30).double(), low).log_prob(x)
    single = mx.Gaussian(torch.zeros(1, 30), low.to(torch.float32)).log_prob(x.float())
    assert (single - exact).abs().max() < 0.5  # rounding of rows: 1e-7 over a noise of 1e-3, thirty times


def test_a_low_rank_fit_is_between_diagonal_and_full():
    x = torch.cat([factors(6, 2, 150), 3 + factors(6, 1, 120, seed=5)])
    shapes = ("diagonal", mx.LowRank(1), mx.LowRank(2), "full")
    method = mx.EM(tolerance=1e-10)
    labels = torch.arange(2).repeat_interleave(torch.tensor([150, 120]))
    found = [mx.fit(x, covariance=one, init=labels, method=method) for one in shapes]
    likelihoods = [fit.log_likelihood for fit in found]
    assert likelihoods == sorted(likelihoods)
    assert [fit.parameters for fit in found] == sorted(fit.parameters for fit in found)


def test_fewer_rows_than_features_still_have_factors():
    x = factors(features=12, rank=1, rows=8)
    fit = mx.fit(x, 1, covariance=mx.LowRank(1))
    assert fit.mixture.log_prob(x).isfinite().all()


@pytest.mark.parametrize("rank", [0, -1, 1.5, True, "two"])
def test_a_rank_is_a_whole_number(rank):
    with pytest.raises(MixtureError, match="rank"):
        mx.LowRank(rank)


def test_loadings_and_noise_must_agree():
    with pytest.raises(MixtureError, match="loadings"):
        mx.LowRank.from_loadings(torch.ones(2, 3, 1), torch.ones(2, 4))
    with pytest.raises(MixtureError, match="noise"):
        mx.LowRank.from_loadings(torch.ones(2, 3, 1), torch.zeros(2, 3))


def test_noise_of_factors_at_its_bound_lets_no_update_lower_the_likelihood():
    """Columns that are all but proportional: the noise would vanish, and its bound must not grow with a component."""
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(80, 2, generator=generator, dtype=torch.float64) + 4.0 * (torch.arange(80) % 3)[:, None]
    x = x[:, :1] + 1e-7 * x
    for seed in range(4):
        fit = mx.fit(x, 3, covariance="low-rank-1", restarts=3, generator=torch.Generator().manual_seed(seed))
        assert fit.reason is not mx.Reason.FELL and fit.trace.diff().min() > -1e-9
