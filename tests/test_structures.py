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
from mixtura.components.covariance.posterior import Measurement
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
def test_the_update_is_the_best_that_a_search_finds(name):
    root = normal(COMPONENTS, FEATURES, 6, seed=5)
    moment, weight = root @ root.mT / 6, torch.tensor([40.0, 25.0, 70.0], dtype=torch.float64)
    one = structure(name).with_covariance(moment)
    centre = torch.zeros(COMPONENTS, FEATURES, dtype=torch.float64)
    found = one.estimate(weight, centre, one.scatter(moment) * weight.reshape(-1, *(1,) * one.moment_trailing), weight)
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


# -- the algebra: the least general structure that holds


ROUND, AXES, MATRICES, FACTORS, TURNED = mx.Spherical, Diagonal, Full, mx.LowRank, mx.Eigen
BECOMES = {  # with round, diagonal and full noise; images that pick, turn, turn and stretch, or mix coordinates
    **dict.fromkeys(("spherical", "tied-spherical"), (ROUND, AXES, MATRICES, ROUND, ROUND, AXES, MATRICES)),
    **dict.fromkeys(("diagonal", "tied-diagonal", "VEI", "EVI"), (AXES, AXES, MATRICES, AXES, *[MATRICES] * 3)),
    **dict.fromkeys(("low-rank-1", "tied-low-rank-1"), (FACTORS, FACTORS, MATRICES, FACTORS, *[MATRICES] * 3)),
    **dict.fromkeys(
        ("eigen", "tied-eigen", "VEE", "EVE", "VVE"), (TURNED, MATRICES, MATRICES, MATRICES, TURNED, MATRICES, MATRICES)
    ),
    **dict.fromkeys(("full", "tied-full", "EEV", "VEV", "EVV"), (MATRICES,) * 7),
}


def becomes(one):
    """What a structure becomes, in the order of the table."""
    noises = (
        mx.Spherical(torch.tensor(0.3).double(), tied=True),
        Diagonal(torch.tensor([0.3, 1.0, 2.0]).double(), tied=True),
        Full(matrices(seed=9), tied=True),
    )
    turn, stretch = torch.linalg.qr(normal(FEATURES, FEATURES, seed=11)).Q, torch.tensor([[0.5], [3.0], [2.0]]).double()
    images = (torch.eye(FEATURES).double()[[2, 0]], 2 * turn, stretch * turn, normal(2, FEATURES, seed=12))
    return [one.plus(noise) for noise in noises] + [one.image(matrix) for matrix in images]


@pytest.mark.parametrize("name", STRUCTURES)
def test_a_structure_becomes_the_least_general(name):
    found = [type(one) for one in becomes(STRUCTURES[name])]
    assert found == list(BECOMES[name])


@pytest.mark.parametrize("name", STRUCTURES)
def test_a_multiple_keeps_what_is_shared(name):
    one, alike, own = STRUCTURES[name], torch.tensor([2.0]).double(), torch.tensor([2.0, 3.0]).double()
    assert type(one.scaled(alike)) is type(one)
    apart = {"EVI": Diagonal, "EEV": Full, "EVV": Full, "EVE": mx.Eigen}  # of one volume, which they lose
    assert type(one.scaled(own)) is apart.get(name, type(one))


@pytest.mark.parametrize("name", STRUCTURES)
def test_gaussians_keep_the_least_general_structure(name):
    """Through every operation of a mixture's own."""
    gaussian = mx.Gaussian(normal(2, FEATURES), STRUCTURES[name])
    mixture = mx.Mixture(torch.ones(2), gaussian)
    kinds = BECOMES[name]
    noisy = [mixture.convolve(noise) for noise in (0.4, [0.1, 0.2, 0.3], matrices(seed=4))]
    assert [type(one.components.structure) for one in noisy] == list(kinds[:3])
    assert type(mixture.affine(torch.eye(3)[[1, 0]]).components.structure) is kinds[3]
    apart = mixture.condition([1], normal(5, 1)).components.structure
    assert type(apart) is type(STRUCTURES[name].marginal([0, 2])) and apart.tied == STRUCTURES[name].tied
    other = mx.Mixture(torch.ones(2), mx.Gaussian(normal(2, FEATURES, seed=2), Diagonal(normal(2, FEATURES).exp())))
    product = mixture.product(other).components.structure
    assert type(product) is (Diagonal if STRUCTURES[name].elementwise else Full)


def test_gradients_reach_the_axes():
    """Along rotations of the axes, densities change as those of the dense matrices do."""
    angles = normal(FEATURES, seed=13).requires_grad_()
    spectrum, mean, x = normal(2, FEATURES).exp(), normal(2, FEATURES, seed=1), normal(6, FEATURES, seed=2)

    def slope(family):
        structure = family(rotation(angles), spectrum)
        noisy = structure.plus(mx.Spherical(torch.tensor(0.3).double(), tied=True))
        mixture = mx.Mixture._of(torch.zeros(2).double(), mx.Gaussian(mean, noisy))
        return torch.autograd.grad(mixture.log_prob(x).sum(), angles)[0]

    dense = slope(lambda axes, variances: Full((axes * variances.unsqueeze(-2)) @ axes.mT))
    torch.testing.assert_close(slope(mx.Eigen), dense)


@pytest.mark.parametrize("name", STRUCTURES)
def test_a_batch_of_structures_is_each_alone(name):
    """Densities, marginals, conditionals and images of a batch."""
    one, mean = STRUCTURES[name], normal(3, 2, FEATURES)
    leading = len(one.leading)
    several = one.map(lambda tensor: tensor.expand(3, *tensor.shape)).scaled(
        torch.tensor([[0.5], [1.0], [2.0]]).double()
    )
    batch = mx.Mixture(torch.ones(3, 2), mx.Gaussian(mean, several))
    assert len(several.leading) == leading + 1
    x, matrix = normal(3, FEATURES, seed=5), normal(2, FEATURES, seed=6)
    for n, scale in enumerate((0.5, 1.0, 2.0)):
        alone = mx.Mixture(torch.ones(2), mx.Gaussian(mean[n], one.scaled(torch.tensor([scale]).double())))
        for ask in (
            lambda m, x: m.log_prob(x),
            lambda m, x: m.score(x),
            lambda m, x: m.marginal([2, 0]).log_prob(x[..., :2]),
            lambda m, x: m.condition([1], x[..., :1]).log_prob(x[..., 1:]),
            lambda m, x: m.affine(matrix).log_prob(x[..., 1:]),
            lambda m, x: m.convolve(0.4).log_prob(x),
            lambda m, x: m.product(m).log_prob(x),
        ):
            torch.testing.assert_close(ask(batch, x)[n], ask(alone, x[n]))


@pytest.mark.parametrize("axes", [torch.eye(3) * 1.1, torch.eye(2), torch.eye(3).repeat(3, 1, 1)])
def test_axes_are_orthogonal_matrices_one_for_each_component_or_for_all(axes):
    with pytest.raises(MixtureError, match="axes"):
        mx.Eigen(axes, torch.ones(2, 3))


def test_axes_and_spectrum_come_together():
    with pytest.raises(MixtureError, match="spectrum"):
        mx.Eigen(torch.eye(3))
    with pytest.raises(MixtureError, match="variance"):
        mx.Eigen(torch.eye(3), torch.zeros(2, 3))


def test_eigen_learns_what_full_learns():
    x = mx.datasets.old_faithful()
    one, other = (mx.fit(x, 2, covariance=name, generator=generator()) for name in ("eigen", "full"))
    assert one.log_likelihood == pytest.approx(other.log_likelihood, abs=1e-6)
    assert one.parameters == other.parameters


@pytest.mark.parametrize("name", STRUCTURES)
def test_what_is_recorded_keeps_the_least_general_structure(name):
    one, kinds = STRUCTURES[name], BECOMES[name]
    mixture = mx.Mixture(torch.ones(2), mx.Gaussian(normal(2, FEATURES), one))
    several, pick = torch.tensor([0.3, 1.0, 2.0]).double(), torch.eye(FEATURES).double()[[2, 0]]
    observations = {
        mx.observation.AdditiveNoise(scale=0.4): kinds[0],
        mx.observation.AdditiveNoise(scale=several): kinds[1],
        mx.observation.AdditiveNoise(covariance=matrices(seed=4)): kinds[2],
        mx.observation.LinearMeasurement(pick, scale=0.4): kinds[3],
    }
    for observation, kind in observations.items():
        found = mixture.observed(observation).components.structure
        assert type(found) is kind and found.tied == one.tied


@pytest.mark.parametrize("name", ["eigen", "tied-eigen", "VEE", "EVE", "VVE"])
@pytest.mark.parametrize("matrix", [None, 2 * torch.linalg.qr(normal(FEATURES, FEATURES, seed=11)).Q])
def test_round_errors_leave_the_axes_as_they_are(name, matrix):
    """And everything else is as for the dense twin."""
    mean, y, noise = normal(2, FEATURES), normal(5, 1, FEATURES, seed=3), torch.full((1, FEATURES), 0.49).double()
    measurement = Measurement(matrix, noise, diagonal=True, absent=None)
    (mine, gain), (theirs, other) = (
        one.posterior(measurement, FEATURES) for one in (STRUCTURES[name], STRUCTURES[name].full(FEATURES))
    )
    assert type(mine) is mx.Eigen
    torch.testing.assert_close(mine.dense(FEATURES), theirs.dense(FEATURES))
    torch.testing.assert_close(gain.explain(y, mean), other.explain(y, mean))  # evidence and means


@pytest.mark.parametrize("name", STRUCTURES)
def test_one_coordinate_is_always_on_its_own(name):
    assert STRUCTURES[name].marginal([1]).elementwise
    assert STRUCTURES[name].elementwise == (BECOMES[name][0] in (mx.Spherical, Diagonal))


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

    now = factor_analysis._spectrum(moment, x, rank)
    slope, bend = factor_analysis._derivatives(now.values, now.vectors, torch.tensor([False, False, True]), rank)
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
