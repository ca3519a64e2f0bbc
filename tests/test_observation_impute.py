"""Filling gaps: against closed forms, by coverage, and where nothing was recorded."""

import pytest
import torch

import mixtura as mx
from mixtura.errors import MixtureError
from mixtura.observation import Draw, Mean, Missing, Mode


@pytest.fixture(autouse=True)
def double():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def mixture():
    covariance = torch.tensor(
        [[[1.0, 0.6, 0.2], [0.6, 1.5, 0.3], [0.2, 0.3, 0.5]], [[0.8, -0.4, 0.0], [-0.4, 0.7, 0.1], [0.0, 0.1, 2.0]]]
    )
    return mx.Mixture(
        torch.tensor([0.45, 0.55]), mx.Gaussian(torch.tensor([[0.0, 0.0, 1.0], [4.0, 3.0, -1.0]]), covariance)
    )


def holed(count):
    x = mixture().sample((count,))
    y = x.clone()
    y[torch.rand(count, 3) < 0.3] = torch.nan
    return x, y


def test_means_and_scales_are_those_of_the_posterior():
    _, y = holed(60)
    posterior = mixture().posterior(Missing(), y)
    filled = mixture().impute(y)
    assert torch.allclose(filled.values, posterior.mean, atol=1e-10)
    assert torch.allclose(filled.scale, posterior.variance.clamp_min(0).sqrt(), atol=1e-7)
    recorded = ~y.isnan()
    assert (filled.values[recorded] == y[recorded]).all() and (filled.scale[recorded] == 0).all()


@pytest.mark.parametrize("structure", [mx.Diagonal, mx.Spherical])
def test_structures_without_correlations_fill_from_the_component(structure):
    variance = torch.tensor([[1.0, 2.0, 0.5], [0.3, 0.4, 3.0]])
    made = structure(variance if structure is mx.Diagonal else variance[:, 0])
    clean = mx.Mixture(torch.tensor([0.4, 0.6]), mx.Gaussian(mixture().components.mean, made))
    _, y = holed(20)
    assert torch.allclose(clean.impute(y).values, clean.posterior(Missing(), y).mean)


def test_modes_are_where_the_score_vanishes_and_the_density_is_highest():
    _, y = holed(40)
    y = y[y.isnan().sum(-1) == 1]
    filled = mixture().impute(y, Mode()).values
    gap = y.isnan()
    assert (mixture().score(filled)[gap].abs() < 1e-6).all()
    grid = torch.linspace(-8, 12, 2001)
    for row, full, hole in zip(y, filled, gap, strict=True):
        tried = row.expand(len(grid), 3).clone()
        tried[:, hole] = grid[:, None]
        assert mixture().log_prob(full) >= mixture().log_prob(tried).max() - 1e-9


def test_draws_keep_the_distribution():
    _, y = holed(40_000)
    filled = mixture().impute(y, Draw()).values
    assert torch.allclose(filled.mean(0), mixture().mean, atol=0.05)
    assert torch.allclose(filled.mT.cov(), mixture().covariance, rtol=0.05, atol=0.05)


@pytest.mark.slow
def test_intervals_from_draws_cover_at_their_nominal_rate():
    x, y = holed(1200)
    draws = torch.stack([mixture().impute(y, Draw()).values for _ in range(200)])
    gap = y.isnan()
    for level in (0.5, 0.9):
        low, high = torch.quantile(draws, torch.tensor([(1 - level) / 2, (1 + level) / 2]), dim=0)
        covered = ((x >= low) & (x <= high))[gap].double()
        error = (level * (1 - level) / len(covered)) ** 0.5
        assert abs(covered.mean().item() - level) < 4 * error + 0.01  # 200 draws leave an interval a little narrow


def test_the_same_generator_gives_the_same_draws():
    _, y = holed(10)
    one, other = (mixture().impute(y, Draw(torch.Generator().manual_seed(3))).values for _ in range(2))
    assert (one == other).all()


def test_a_row_of_gaps_is_filled_from_the_mixture_itself():
    y = torch.full((2, 3), torch.nan)
    filled = mixture().impute(y, Mean())
    assert torch.allclose(filled.values, mixture().mean.expand(2, 3))
    assert torch.allclose(filled.scale, mixture().variance.sqrt().expand(2, 3))


def test_penguins_are_fitted_and_filled_without_dropping_a_row():
    table = mx.datasets.penguins()
    y = torch.stack(
        [table[name] for name in ("bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g")], -1
    )
    hidden = y.clone()
    some = torch.randperm(344)[:60]
    hidden[some, 3] = torch.nan
    fit = mx.fit(hidden, 3, observation=Missing(), restarts=4)
    filled = fit.mixture.impute(hidden)
    assert len(filled.values) == 344 and not filled.values.isnan().any()
    known = some[~y[some, 3].isnan()]
    error = filled.values[known, 3] - y[known, 3]
    assert error.square().mean().sqrt() < 0.6 * y[:, 3].nanmean().sub(y[known, 3]).square().mean().sqrt()
    assert ((error.abs() < 1.96 * filled.scale[known, 3]).double().mean() - 0.95).abs() < 0.09


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (torch.ones(3), r"`rows` must be a table \(N, 3\)"),
        (torch.ones(2, 4), r"\(N, 3\)"),
        (torch.full((1, 3), torch.inf), "infinity"),
    ],
)
def test_bad_rows_are_refused(rows, message):
    with pytest.raises(MixtureError, match=message):
        mixture().impute(rows)


def test_the_density_through_gaps_is_the_marginals_to_all_digits():
    """Not to those of single precision: a count of entries times a constant must not lose them."""
    generator = torch.Generator().manual_seed(0)
    covariance = torch.tensor([[[2.0, 0.5], [0.5, 1.0]], [[1.0, 0.0], [0.0, 3.0]]], dtype=torch.float64)
    mixture = mx.Mixture(torch.ones(2), mx.Gaussian(torch.tensor([[0.0, 1.0], [3.0, -1.0]]).double(), covariance))
    x = mixture.sample((200,), generator)
    x[::3, 0] = torch.nan
    seen = mixture.observed(mx.observation.Missing()).log_prob(x)
    assert torch.allclose(seen[::3], mixture.marginal([1]).log_prob(x[::3, 1:]), rtol=0, atol=1e-13)
