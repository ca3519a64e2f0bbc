"""Fits of Gaussians to small tables with gaps, many updates in a call, against the same fits by the plain loop."""

import pytest
import torch

import mixtura as mx

EACH, COMPONENTS = 60, 3
GAPS = mx.observation.Missing()


class Plain(mx.EM):
    """EM by the loop, update by update."""


def table(features, dtype=torch.float64, gaps=0.2):
    """Rows about three centres, some of them with nothing recorded, and their weights, some of them zero."""
    draw = torch.Generator().manual_seed(features)
    centres, turn = (6 * torch.randn(3, features, generator=draw), torch.randn(features, features, generator=draw))
    rows = centres.repeat_interleave(EACH, 0) + torch.randn(3 * EACH, features, generator=draw) @ turn
    rows = rows.masked_fill(torch.rand(rows.shape, generator=draw) < gaps, torch.nan).to(dtype)
    weight = torch.rand(len(rows), generator=draw)
    weight[::7] = 0
    return rows, weight.to(dtype)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("features", [1, 2, 5])
@pytest.mark.parametrize("covariance", ["full", "diagonal", "spherical", "tied-full", "VEI", "EEV", "VVE"])
def test_updates_are_those_of_the_loop(covariance, features, dtype):
    rows, weight = table(features, dtype)
    draw = {"observation": GAPS, "sample_weight": weight, "covariance": covariance, "restarts": 1}
    first = mx.fit(rows, COMPONENTS, method=Plain(1, tolerance=0), generator=torch.Generator().manual_seed(1), **draw)
    found, plain = (
        mx.fit(rows, init=first.mixture, method=kind(8, tolerance=0, acceleration=False), **draw)
        for kind in (mx.EM, Plain)
    )
    precision = 1e-9 if dtype is torch.float64 else 1e-4
    torch.testing.assert_close(found.trace, plain.trace, rtol=precision, atol=precision)
    ours, theirs = (fit.mixture.components for fit in (found, plain))
    torch.testing.assert_close(ours.mean, theirs.mean, rtol=1e2 * precision, atol=1e2 * precision)
    torch.testing.assert_close(ours.covariance, theirs.covariance, rtol=1e2 * precision, atol=1e2 * precision)


@pytest.mark.parametrize("covariance", ["full", "diagonal", "EVE", "VEV"])
def test_a_fit_is_no_worse_than_that_of_the_loop_and_never_falls(covariance):
    rows, _ = table(3)
    found, plain = (
        mx.fit(rows, 3, observation=GAPS, covariance=covariance, method=one, generator=torch.Generator().manual_seed(2))
        for one in (mx.EM(), Plain())
    )
    assert found.converged
    assert found.log_likelihood >= plain.log_likelihood - 1e-3
    assert bool((found.trace.diff() >= -1e-12).all())


def test_numbers_without_a_record_keep_their_weight():
    rows = torch.tensor([0.0, 0.1, -0.1, 0.2, 5.0, 5.1, 4.8, 5.2]).double()
    gaps = torch.cat([rows, torch.full((4,), torch.nan).double()])
    full, some = mx.fit(rows, 2), mx.fit(gaps, 2, observation=GAPS)
    torch.testing.assert_close(some.mixture.mean, full.mixture.mean, rtol=1e-5, atol=1e-5)
    assert some.log_likelihood == pytest.approx(full.log_likelihood, abs=1e-6)


def test_rows_far_from_zero_lose_no_digits():
    rows, _ = table(2)
    near, far = (
        mx.fit(rows + move, 3, observation=GAPS, generator=torch.Generator().manual_seed(0)) for move in (0.0, 1e6)
    )
    assert far.log_likelihood == pytest.approx(near.log_likelihood, abs=1e-3)


def test_a_component_on_equal_rows_collapses_in_words():
    rows = torch.tensor([[1.0, 2.0]] * 30 + [[9.0, torch.nan]] * 5 + [[4.0, 1.0], [5.0, 3.0], [2.0, 8.0]]).double()
    wide = mx.Gaussian(torch.tensor([[1.0, 2.0], [5.0, 4.0]]).double(), mx.Full(torch.eye(2).double().expand(2, 2, 2)))
    fit = mx.fit(rows, init=mx.Mixture(torch.tensor([0.5, 0.5]).double(), wide), observation=GAPS)
    assert fit.reason is mx.Reason.COLLAPSED
    assert "Component 0" in fit.detail
