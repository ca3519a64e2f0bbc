"""The search for the best optimum: a race, duplicates counted, moves from the best, spurious optima told apart."""

from itertools import permutations

import numpy as np
import pytest
import torch
from torch import distributions as law

import mixtura as mx
from mixtura.kernels.small import End
from mixtura.learning import Reason
from mixtura.learning.loop.leaps import tabled
from mixtura.learning.loop.traces import stack
from mixtura.learning.search.gaussian_kind import GaussianKind
from mixtura.learning.search.member_kind import MemberKind
from mixtura.learning.search.small_flight import flown
from mixtura.learning.search.spurious import spurious, spurious_components
from mixtura.learning.starts.small_starts import small_starts

F64 = torch.float64


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def clusters(centres, rows=60, seed=0):
    made = torch.randn(len(centres), rows, 2, generator=seeded(seed), dtype=F64)
    return (made + torch.tensor(centres, dtype=F64).unsqueeze(1)).reshape(-1, 2)


def test_every_start_that_went_to_the_end_is_counted_once():
    x = clusters([(0, 0), (9, 0), (0, 9)])
    fit = mx.fit(x, 3, generator=seeded())
    assert sum(one.found for one in fit.restarts) <= 16 and fit.restarts[0].found > 8
    assert len({round(one.objective * len(x), 1) for one in fit.restarts}) == len(fit.restarts)
    assert not fit.restarts[0].spurious and fit.restarts[0].reason is Reason.CONVERGED


@pytest.mark.parametrize("family", [None, mx.StudentT])
def test_one_optimum_is_found_by_all(family):
    fit = mx.fit(clusters([(0, 0), (30, 0)]), 2, family=family, generator=seeded())
    assert [one.found for one in fit.restarts] == [16]


def test_moves_leave_an_optimum_that_no_start_leaves():
    """Two components in one of three far clusters, and one for the other two: EM never leaves that by itself."""
    x = clusters([(0, 0), (100, 0), (0, 100)])
    poor = torch.tensor([[0.0, 0.5], [0.0, -0.5], [50.0, 50.0]], dtype=F64)

    def start(rows, weight, components, restarts, generator):
        scale, mean = x.std(0, correction=0), x.mean(0)
        return ((poor - mean) / scale).expand(restarts, -1, -1)

    stuck = mx.fit(x, 3, init=poor)
    moved = mx.fit(x, 3, init=start, restarts=2, generator=seeded())
    best = mx.fit(x, 3, generator=seeded())
    assert stuck.log_likelihood < best.log_likelihood - 100
    assert abs(moved.log_likelihood - best.log_likelihood) < 0.05


def test_moves_are_tried_only_where_starts_disagree(monkeypatch):
    tried, moves = [], GaussianKind.moves

    def seen(kind, states):
        tried.append(len(states))
        return moves(kind, states)

    monkeypatch.setattr(GaussianKind, "moves", seen)
    agreed = mx.fit(clusters([(0, 0), (9, 0), (0, 9)]), 3, generator=seeded())
    assert agreed.restarts[0].found >= 14 and not tried
    spread = mx.fit(torch.rand(200, 2, generator=seeded(), dtype=F64), 4, generator=seeded())
    assert spread.restarts[-1].found < 14 and tried and set(tried) == {1}


@pytest.mark.parametrize("components", [2, 3])
@pytest.mark.parametrize("covariance", ["full", "tied-full", "diagonal", "spherical"])
def test_moves_are_mixtures_that_lack_one_component_and_split_another(components, covariance):
    x = clusters([(0, 0), (9, 0), (0, 9)])
    fit = mx.fit(x, components, covariance, generator=seeded())
    start = fit.mixture.map(lambda tensor: tensor.unsqueeze(0))
    kind = GaussianKind.of(start)
    moves = kind.mixture(kind.moves(kind.states(fit.rows, start, torch.zeros(2, dtype=F64))))
    pairs = list(permutations(range(components), 2))
    assert len(moves.logits) == 2 * len(pairs)
    for (dropped, split), weights, means in zip(2 * pairs, moves.weights, moves.components.mean, strict=True):
        kept = sorted({*range(components)} - {dropped, split})
        mine = fit.mixture.weights / (1 - fit.mixture.weights[dropped])
        torch.testing.assert_close(weights[kept], mine[kept])
        torch.testing.assert_close(weights[[dropped, split]], mine[split].expand(2) / 2)
        torch.testing.assert_close(means[kept], fit.mixture.components.mean[kept])
        torch.testing.assert_close(means[[dropped, split]].mean(0), fit.mixture.components.mean[split])


def test_a_component_on_a_few_rows_is_spurious_and_does_not_win():
    x = torch.cat(
        (clusters([(0, 0), (8, 0)]), torch.tensor([[4.0, 4.0], [4.0001, 4.0002], [4.0002, 4.0], [4.0001, 4.0]]))
    )
    on_few = torch.cat((torch.zeros(60), torch.ones(60), 2 * torch.ones(4))).long()
    held = mx.fit(x, 3, init=on_few)
    assert held.spurious == [2] and "component 2 holds 4 rows" in held.advice
    free = mx.fit(x, 3, generator=seeded())
    assert held.log_likelihood > free.log_likelihood and not free.spurious and "spurious" not in free.advice


def test_what_is_no_gaussian_or_tied_is_never_spurious():
    rows = torch.tensor([0.0, 1.0, 50.0, 51.0] * 20, dtype=F64)
    assert mx.fit(rows, 2, family=mx.Poisson).spurious == []
    x = clusters([(0, 0), (8, 0)])
    assert mx.fit(torch.cat((x, x[:1] + 100)), 3, "tied-full", generator=seeded()).spurious == []


def judged_behind(observation, loc, scale, weights, rows):
    """What a fit to rows says of a mixture from which it hardly moves."""
    start = mx.Mixture(torch.tensor(weights, dtype=F64), mx.Normal(*(torch.tensor(t, dtype=F64) for t in (loc, scale))))
    return mx.fit(rows, init=start, observation=observation, method=mx.EM(1, acceleration=False)).spurious


def test_a_component_that_limits_hide_makes_no_other_spurious():
    """Of the second component hardly any draw is recorded, and so it has nearly all the weight."""
    rows = 2.2 + 3.7 * torch.randn(400, generator=seeded(), dtype=F64)
    rows, limit = rows[rows > -5], mx.observation.Truncated(lower=-5.0)
    assert judged_behind(limit, [2.2, -13.3], [3.7, 2.1], [0.0025, 0.9975], rows) == []
    spike = torch.cat([rows[:99], rows.new_tensor([20.0])])
    assert judged_behind(limit, [2.2, 20.0], [3.7, 1e-3], [0.99, 0.01], spike) == [1]


def test_a_component_without_a_width_behind_errors_is_not_spurious():
    """The errors explain all that its rows scatter, and bound its likelihood."""
    rows = torch.randn(100, generator=seeded(), dtype=F64) / 2
    rows[:8] = 30 + torch.randn(8, generator=seeded(1), dtype=F64) / 2
    errors = mx.observation.AdditiveNoise(scale=0.5)
    assert judged_behind(errors, [0.0, 30.0], [0.3, 1e-4], [0.92, 0.08], rows) == []
    assert judged_behind(None, [0.0, 30.0], [0.3, 1e-4], [0.92, 0.08], torch.cat([rows[8:], rows.new_full((4,), 30.0)]))


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_spurious_does_not_depend_on_units(scale):
    components = mx.Gaussian(
        torch.zeros(2, 2, dtype=F64), mx.Diagonal(torch.tensor([[1.0, 1e-8], [1.0, 1.0]], dtype=F64))
    )
    mixture = mx.Mixture(torch.ones(2, dtype=F64), components)
    turn = scale * torch.linalg.qr(torch.randn(2, 2, generator=seeded(), dtype=F64))[0]
    assert spurious_components(mixture.affine(turn, None), 100.0) == [0]


def test_spurious_are_those_with_few_rows_or_hardly_any_width():
    """Against the generalised eigenvalues of each covariance relative to that of the whole mixture."""
    many, k, d = 300, 3, 3
    random = np.random.default_rng(0)
    weights, mean = random.dirichlet(np.ones(k), many), random.normal(size=(many, k, d))
    roots = random.normal(size=(many, k, d, d)) * 10 ** random.uniform(-2, 0, (many, k, 1, d))
    covariance, total = roots @ roots.swapaxes(-1, -2), np.full(many, 60.0)
    each = range(many)
    found = np.concatenate([spurious(*(part[[s]] for part in (weights, mean, covariance, total))) for s in each])
    assert (found == spurious(weights, mean, covariance, total)).all()
    for w, m, c, one in zip(weights, mean, covariance, found, strict=True):
        whole = np.einsum("k,kij->ij", w, c) + (w * (m - w @ m).T) @ (m - w @ m)
        least = np.linalg.eigvals(np.linalg.solve(whole, c)).real.min(-1)
        thin = (60 * w < 4 * (d + 1)) & (least < 1e-3) | (least < 1e-6)
        assert (one == ((60 * w < d + 1.5) | thin)).all()
    assert 0.1 < found.mean() < 0.9 and not found.any(1).all()


def test_where_all_starts_are_spurious_moves_find_a_sound_optimum():
    few = torch.tensor([[4.0, 4.0], [4.0001, 4.0002], [4.0002, 4.0], [4.0001, 4.0]], dtype=F64)
    x = torch.cat((clusters([(0, 0), (8, 0)]), few))
    fits = [mx.fit(x, 3, generator=seeded(seed)) for seed in range(4)]
    assert not any(fit.spurious for fit in fits)
    assert all(any(one.spurious for one in fit.restarts[1:]) for fit in fits)


# -- where starts are, by the kernels


def small(x, weight, count, seed=0):
    """Starts of three components on rows with weights."""
    table = mx.data.rows(x, weight=weight)
    return small_starts(tabled(table, torch.zeros(2, dtype=F64)), 3, count, seeded(seed))


@pytest.mark.parametrize("rows", [7, 100, 300, 1111])
@pytest.mark.parametrize("features", [1, 3])
def test_rows_that_weigh_one_share_logarithms(rows, features):
    """Without weights one logarithm stands for many rows; where weights are told, each row has its own."""
    x = torch.randn(rows, features, generator=seeded(rows), dtype=F64)
    x[::2] += 2.0
    told, plain_em = (None, torch.ones(rows, dtype=F64)), mx.EM(20, 0.0, acceleration=False)
    plain, own = (mx.fit(x, 2, "tied-spherical", plain_em, sample_weight=one, init=x[:2]) for one in told)
    torch.testing.assert_close(plain.trace, own.trace, rtol=1e-12, atol=0)
    torch.testing.assert_close(plain.trace[-1] * rows, plain.mixture.log_prob(x).sum(), rtol=1e-12, atol=0)


def test_starts_have_the_moments_of_clusters():
    """On far clusters, each kind of starts that finds them has their weights, their means and what is left within."""
    x = clusters([(0, 0), (100, 0), (0, 100)])
    found = small(x, None, 8)
    truth = x.reshape(3, 60, 2).mean(1)
    within = (x - truth.repeat_interleave(60, 0)).T @ (x - truth.repeat_interleave(60, 0)) / len(x)
    expected = 0.99 * within + 0.01 * torch.cov(x.T, correction=0)
    for b in range(6):  # K-means and k-means++; random rows may share a cluster
        order = torch.cdist(truth, torch.from_numpy(found.mean[b])).argmin(1)
        torch.testing.assert_close(torch.from_numpy(found.mean[b])[order], truth)
        torch.testing.assert_close(torch.from_numpy(found.covariance[b, 0]), expected)
        torch.testing.assert_close(torch.from_numpy(found.logits[b]).exp(), torch.full((3,), 1 / 3, dtype=F64))


def test_starts_are_no_worse_than_those_in_torch():
    """The sum of squares to the nearest centre, by kind: half K-means, a quarter k-means++, a quarter random rows."""
    x = torch.randn(300, 2, generator=seeded(3), dtype=F64)
    unit = (x - x.mean(0)) / x.std(0, correction=0)

    def spread(means):
        return torch.cdist(unit, (means - x.mean(0)) / x.std(0, correction=0)).amin(-1).square().sum(-1)

    ours = spread(torch.from_numpy(small(x, None, 400).mean))
    theirs = mx.learning.MixedStart()(unit, torch.ones(300, dtype=F64), 3, 400, seeded(1))
    labels = torch.nn.functional.one_hot(torch.cdist(unit, theirs).argmin(-1)).double()
    theirs = spread(torch.einsum("bnk,nd->bkd", labels, x) / labels.sum(1).unsqueeze(-1))
    for kind in (slice(0, 200), slice(200, 300), slice(300, 400)):
        assert abs(ours[kind].mean() / theirs[kind].mean() - 1) < 0.03


def test_rows_of_weight_zero_are_no_start():
    x = clusters([(0, 0), (9, 0), (0, 9)])
    weight = torch.ones(len(x) + 3, dtype=F64)
    weight[-3:] = 0
    wild = torch.cat((x, torch.full((3, 2), 1e6, dtype=F64)))
    for one, other in zip(small(wild, weight, 16), small(x, None, 16), strict=True):
        torch.testing.assert_close(torch.from_numpy(one), torch.from_numpy(other))


@pytest.mark.parametrize("components", [2, 5])
def test_starts_on_equal_rows_are_finite(components):
    x = torch.tensor([[0.0, 1.0], [2.0, 0.0]], dtype=F64).repeat(20, 1) + torch.tensor([[0.0, 1.0]]) * 1e-3
    fit = mx.fit(x, components, "tied-diagonal", generator=seeded())
    assert fit.mixture.components.mean.isfinite().all()


# -- exponential families fly as Gaussians do

GAMMAS = ((3.0, 2.0), (60.0, 4.0), (900.0, 10.0))
ANGLES = ((0.0, 40.0), (2.0, 40.0), (-2.0, 40.0))
SHARES = ([40.0, 4, 4], [4.0, 40, 4], [4.0, 4, 40])


def drawn(kind, parameters, rows=60):
    """Rows of three far groups, one after another."""
    torch.manual_seed(5)
    each = (kind(*(torch.tensor(part, dtype=F64) for part in one)) for one in parameters)
    return torch.cat([one.sample((rows,)) for one in each])


FAMILIES = {
    "Poisson": (mx.Poisson, drawn(law.Poisson, ((1.0,), (40.0,), (200.0,)))),
    "Binomial": (
        mx.Binomial.template(total_count=2000),
        drawn(lambda p: law.Binomial(2000, p), ((0.1,), (0.5,), (0.9,))),
    ),
    "Gamma": (mx.Gamma, drawn(law.Gamma, GAMMAS)),
    "VonMises": (mx.VonMises, drawn(law.VonMises, ANGLES)),
    "Dirichlet": (mx.Dirichlet, drawn(law.Dirichlet, ((one,) for one in SHARES))),
}


def stuck_at(labels):
    """An initialiser from which two components share a group, and one has two: means of rows by these labels."""

    def start(rows, weight, components, restarts, generator):
        means = torch.stack([rows[labels == k].mean(0) for k in range(components)])
        return means.expand(restarts, -1, -1)

    return start


@pytest.mark.parametrize("name", FAMILIES)
def test_moves_leave_an_optimum_of_a_family_that_no_start_leaves(name):
    family, x = FAMILIES[name]
    poor = torch.cat([torch.arange(60) % 2, torch.full((120,), 2)])
    stuck = mx.fit(x, family=family, init=poor, method=mx.EM(50, 0))  # one that ends may be taken off a saddle
    moved = mx.fit(x, 3, family=family, init=stuck_at(poor), restarts=2, generator=seeded())
    best = mx.fit(x, 3, family=family, generator=seeded())
    assert stuck.log_likelihood < best.log_likelihood - 5
    assert abs(moved.log_likelihood - best.log_likelihood) < 0.05


@pytest.mark.parametrize("name", FAMILIES)
def test_moves_of_a_family_are_mixtures_that_lack_one_component_and_split_another(name):
    family, x = FAMILIES[name]
    fit = mx.fit(x, family=family, init=torch.arange(3).repeat_interleave(60))
    like = fit.mixture.map(lambda tensor: tensor.unsqueeze(0))
    kind = MemberKind(like)
    moves = kind.mixture(kind.moves(kind.states(fit.rows, like, torch.zeros(1, dtype=F64))))
    pairs = list(permutations(range(3), 2))
    assert len(moves.logits) == 2 * len(pairs)
    torch.testing.assert_close(moves.weights.sum(-1), torch.ones(2 * len(pairs), dtype=F64))
    for (dropped, split), weights, means in zip(2 * pairs, moves.weights, moves.components.mean, strict=True):
        (kept,) = {0, 1, 2} - {dropped, split}
        mine = fit.mixture.weights / (1 - fit.mixture.weights[dropped])
        torch.testing.assert_close(weights[kept], mine[kept])
        torch.testing.assert_close(weights[dropped] + weights[split], mine[split])
        torch.testing.assert_close(means[kept], fit.mixture.components.mean[kept])
        assert not torch.allclose(means[dropped], means[split])


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_a_gamma_component_on_a_few_rows_is_spurious_and_does_not_win(scale):
    few = torch.tensor([40.0, 40.001, 40.002, 40.001], dtype=F64)
    x = scale * torch.cat((drawn(law.Gamma, GAMMAS), few))
    on_few = torch.cat((torch.arange(3).repeat_interleave(60), torch.full((4,), 3)))
    held = mx.fit(x, family=mx.Gamma, init=on_few)
    assert held.spurious == [3] and "component 3 holds 4" in held.advice
    free = mx.fit(x, 4, family=mx.Gamma, generator=seeded())
    assert not free.spurious and free.restarts[0].spurious is False
    assert held.log_likelihood > free.log_likelihood


def test_what_cannot_be_narrow_anywhere_is_never_spurious():
    rows = torch.cat([torch.full((80,), 1.0), torch.tensor([50.0])]).double()
    for family in (mx.Poisson, mx.Exponential, mx.Geometric):
        assert mx.fit(rows, family=family, init=(rows > 9).long()).spurious == []


# -- one loop of stretches


@pytest.mark.parametrize("family", [None, mx.Gamma])
def test_stretches_of_a_flight_are_the_plain_loop(family):
    """More updates than one call makes, and a few at a time: the trace is that of the loop, update by update."""

    class Plain(mx.EM):
        """EM by the loop."""

    x = drawn(law.Gamma, ((4.0, 2.0), (8.0, 2.0), (16.0, 2.0)))
    given = {"family": family, "init": torch.arange(3).repeat_interleave(60)}
    limits = {"max_iterations": 230, "tolerance": 0, "acceleration": False}
    one, other = (mx.fit(x, method=kind(**limits), **given) for kind in (mx.EM, Plain))
    assert one.iterations == other.iterations == 230
    torch.testing.assert_close(one.trace, other.trace, rtol=1e-10, atol=1e-10)
    start = mx.fit(x, method=mx.EM(max_iterations=1), **given).mixture.map(lambda tensor: tensor.unsqueeze(0))
    flight = flown(mx.EM(**limits), one.rows, start, torch.zeros(1, dtype=F64))
    assert flight is not None
    few = flight.advanced(3).advanced(4).advanced(130)
    whole = flight.advanced(137)
    made, all_made = few.traces.of(0), whole.traces.of(0)
    torch.testing.assert_close(made, all_made[: len(made)], rtol=1e-10, atol=1e-10)


def random_starts(x, components, count=8):
    """So many starts of EM from random rows, as a flight."""
    fits = [
        mx.fit(x, components, init=mx.learning.RandomRows(), restarts=1, method=mx.EM(1), generator=seeded(seed))
        for seed in range(count)
    ]
    start = stack([one.mixture for one in fits])
    flight = flown(mx.EM(), fits[0].rows, start, torch.zeros(2, dtype=F64))
    assert flight is not None
    return flight


def test_starts_without_hope_are_given_up_and_those_with_it_end_where_they_did():
    flight = random_starts(clusters([(0, 0), (5, 0), (0, 5), (6, 6)]), 4)
    free = flight.finished()
    best = free.objective.max()
    assert set(free.ends) == {End.CONVERGED}
    assert set(flight.finished(sought=best + 1).ends) == {End.HOPELESS}
    pressed = flight.finished(sought=best - 1e-3)
    given_up = pressed.ends == End.HOPELESS
    assert given_up.any() and not given_up.all()
    assert (pressed.objective[0] == free.objective[0])[~given_up].all()
    for line in given_up.nonzero()[0]:
        trace, whole = pressed.traces.of(line), free.traces.of(line)
        assert (trace == whole[: len(trace)]).all() and len(trace) < len(whole)
        assert trace[-1] + 4 * (trace[-1] - trace[(len(trace) - 1) // 2]) < best - 1e-3


@pytest.mark.parametrize("seed", range(2))
def test_moves_from_an_optimum_beside_the_best_lead_on(seed):
    """From the best optimum that starts find here, moves lead nowhere; from a lower one they lead above it."""
    columns = pytest.importorskip("sklearn.datasets").load_breast_cancer().data[:, [0, 1, 4, 5]]
    x = torch.from_numpy(columns)
    fit = mx.fit((x - x.mean(0)) / x.std(0), 4, generator=seeded(seed))
    assert fit.log_likelihood > -2663.35
