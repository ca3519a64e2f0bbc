"""The search for the best optimum: a race, duplicates counted, moves from the best, spurious optima told apart."""

import pytest
import torch

import mixtura as mx
from mixtura.learning import Reason
from mixtura.learning.search.spurious import spurious_components

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


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_spurious_does_not_depend_on_units(scale):
    components = mx.Gaussian(
        torch.zeros(2, 2, dtype=F64), mx.Diagonal(torch.tensor([[1.0, 1e-8], [1.0, 1.0]], dtype=F64))
    )
    mixture = mx.Mixture(torch.ones(2, dtype=F64), components)
    turn = scale * torch.linalg.qr(torch.randn(2, 2, generator=seeded(), dtype=F64))[0]
    assert spurious_components(mixture.affine(turn, None), 100.0) == [0]
