"""Starts that cannot pass where another ended are given up, and no others."""

import torch

import mixtura as mx
from mixtura.data import TensorRows
from mixtura.learning import Reason
from mixtura.learning.loop.run import run

F64 = torch.float64
CENTRES = torch.tensor([-20.0, 0.0, 20.0], dtype=F64)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def rows():
    x = torch.randn(240, generator=seeded(), dtype=F64) + CENTRES.repeat(80)
    return TensorRows(x).through(mx.observation.Censored(-20.0))


def starts():
    """One at the three groups, and one that has two components within the last of them."""
    means = torch.stack([CENTRES, torch.tensor([-10.0, 19.5, 20.5], dtype=F64)])
    return mx.Mixture._of(torch.zeros(2, 3, dtype=F64).log_softmax(-1), mx.Normal(means, torch.full_like(means, 3.0)))


def ran(sound):
    return run(mx.EM(), rows(), starts(), torch.tensor(1e-12, dtype=F64), rivals=sound)


def test_a_start_that_cannot_win_is_given_up():
    good, lost = ran(lambda _: True)
    assert good.reason is Reason.CONVERGED and not good.given_up
    assert lost.given_up and lost.reason is not Reason.CONVERGED and lost.objective < good.objective - 0.1


def test_nothing_is_given_up_for_an_end_that_does_not_count_nor_where_starts_are_no_rivals():
    for found in (ran(lambda _: False), ran(None)):
        assert not any(one.given_up for one in found)
        assert len(found[1].trace) > len(ran(lambda _: True)[1].trace)


def test_it_is_the_better_start_that_is_left_whichever_comes_to_its_end_first():
    """The one that ends first is not passed by the other while that still climbs past it."""
    good, lost = ran(lambda _: True)
    turned = starts().map(lambda tensor: tensor.flip(0))
    other, same = run(mx.EM(), rows(), turned, torch.tensor(1e-12, dtype=F64), rivals=lambda _: True)
    assert (same.objective, other.given_up) == (good.objective, lost.given_up)


def test_a_fit_tells_of_no_start_that_was_given_up():
    fit = mx.fit(rows().tensor(), 3, observation=mx.observation.Censored(-20.0), generator=seeded())
    assert all(one.reason is Reason.CONVERGED for one in fit.restarts)
