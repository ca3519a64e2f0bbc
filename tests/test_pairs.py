"""Features that worked one by one and broke in pairs, each pair as a user would write it."""

import csv
import json

import pytest
import torch
from typer.testing import CliRunner

import mixtura as mx
from mixtura.cli.app import app
from mixtura.learning.expectation.expect import read_under
from mixtura.observation import AdditiveNoise, Censored, LinearMeasurement, Missing, ShiftNoise, Truncated

F64 = torch.float64
SHORT = mx.EM(max_iterations=30)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def blobs(features=2, rows=80, seed=1):
    """Every third row from a second cluster, scales unequal."""
    scale = torch.tensor([1.0, 0.7, 1.5], dtype=F64)[:features]
    away = torch.tensor([5.0, 3.0, -2.0], dtype=F64)[:features]
    x = scale * torch.randn(rows, features, generator=seeded(seed), dtype=F64)
    return x + away * (torch.arange(rows) % 3 == 0)[:, None]


def table(x, names):
    return {name: column.numpy() for name, column in zip(names, x.T, strict=True)}


# -- a search and structures that share axes


SHARED = [("VEE", mx.Gaussian), ("EVE", mx.Gaussian), ("VVE", mx.Gaussian), ("VEE", mx.StudentT)]


@pytest.mark.parametrize(("name", "family"), SHARED)
def test_a_search_starts_from_splits_in_every_structure(name, family):
    found = mx.select(blobs(), (1, 2), name, restarts=2, method=mx.EM(max_iterations=10), family=family)
    assert sorted(one.components for one in found.table) == [1, 2]


# -- held-out rows, a table, a projection, weights


def test_a_mixture_on_numbers_is_scored_on_a_table_as_on_numbers():
    x, weight = blobs(), 1.0 + torch.arange(80) % 2
    fit = mx.fit(table(x, "ab"), 2, columns="a", method=SHORT, sample_weight=weight, restarts=2, generator=seeded())
    for rows in (table(x, "ab"), x[:, :1], x[:, 0]):
        found = mx.held_out(fit.mixture, rows, weight)
        assert found.log_density == pytest.approx(fit.log_likelihood / 120, rel=1e-9)


def test_a_mixture_on_numbers_is_scored_on_a_table_with_errors():
    x, errors = blobs(), AdditiveNoise(scale=0.1 + torch.rand(80, generator=seeded(2), dtype=F64), per_row=True)
    fit = mx.fit(table(x, "ab"), 2, columns="a", method=SHORT, observation=errors, restarts=2, generator=seeded())
    found = mx.held_out(fit.mixture, table(x, "ab"), observation=errors)
    assert found.log_density == pytest.approx(fit.log_likelihood / len(x), rel=1e-9)


def test_rows_are_scored_through_a_projection_to_fewer_columns():
    x = blobs(3)
    matrix = torch.randn(80, 2, 3, generator=seeded(3), dtype=F64)
    seen = LinearMeasurement(matrix, scale=0.3, per_row=True)
    y = (matrix @ x[..., None]).squeeze(-1)
    fit = mx.fit(y, 2, method=SHORT, observation=seen, restarts=2, generator=seeded())
    found = mx.held_out(fit.mixture, y, observation=seen)
    assert found.log_density == pytest.approx(fit.log_likelihood / len(x), rel=1e-9)
    assert mx.held_out(fit.mixture, fit.rows) == found
    with pytest.raises(mx.errors.MixtureError, match="3 columns"):
        mx.held_out(fit.mixture, y)


def test_a_fit_to_projections_is_drawn_without_its_rows():
    matrix = torch.randn(80, 2, 3, generator=seeded(3), dtype=F64)
    seen = LinearMeasurement(matrix, scale=0.3, per_row=True)
    y = (matrix @ blobs(3)[..., None]).squeeze(-1)
    fit = mx.fit(y, 2, method=SHORT, observation=seen, restarts=2, generator=seeded())
    assert len(mx.plots.ellipses(fit).lines) == 4
    with pytest.raises(mx.errors.MixtureError, match="projection"):
        mx.report.page(fit)


def test_a_column_that_no_measurement_tells_of_is_named():
    seen = LinearMeasurement(torch.eye(3, dtype=F64)[:2], scale=0.3)
    with pytest.raises(mx.errors.MixtureError, match="tells nothing of column 2"):
        mx.fit(blobs(2), 3, observation=seen, method=SHORT, restarts=2, generator=seeded())


def test_rows_of_weight_zero_are_read_as_they_are():
    x, weight = blobs(), (torch.arange(80) % 5 > 0).double()
    fit = mx.fit(x, 2, sample_weight=weight, method=SHORT, restarts=2, generator=seeded())
    density = torch.cat([density for _, _, density in read_under(fit.mixture, fit.rows)])
    torch.testing.assert_close(density, fit.mixture.log_prob(x))


@pytest.mark.parametrize("columns", [("a",), ("a", "b")])
def test_the_command_line_assigns_rows_of_weight_zero_as_a_model_does(columns, tmp_path):
    x = blobs()
    with (tmp_path / "x.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["a", "b", "w"], *([*row, i % 5] for i, row in enumerate(x.tolist()))])
    run(
        *("fit", tmp_path / "x.csv", "--columns", ",".join(columns), "--weight", "w", "--components", "2"),
        *("--restarts", "2", "--assignments-format", "csv", "--out", tmp_path / "out"),
    )
    run("assign", tmp_path / "out" / "model.safetensors", tmp_path / "x.csv", "--out", tmp_path / "again.csv")
    assert (tmp_path / "again.csv").read_text() == (tmp_path / "out" / "assignments.csv").read_text()


def test_a_report_on_rows_that_were_cut_off_says_the_likelihood_of_the_fit():
    x = blobs(1).squeeze(-1)
    fit = mx.fit(x[x > 0], 2, observation=Truncated(lower=0.0), method=SHORT, restarts=2, generator=seeded())
    assert mx.report.survey(fit.mixture, fit.rows).log_likelihood == pytest.approx(fit.log_likelihood, rel=1e-9)


# -- errors of parameters and observations


OBSERVED = {
    "limits of two correlated columns": (Censored(upper=4.0), [[4.0, 4.0], [1.0, 4.0], [4.0, 1.0], [1.0, 2.0]]),
    "shifts far beyond the scale": (ShiftNoise(shifts=[0.0, 60.0]), [[60.3, 61.0], [0.2, 0.4]]),
}


@pytest.mark.parametrize("name", OBSERVED)
def test_likelihoods_can_be_differentiated_twice(name):
    observation, rows = OBSERVED[name]
    covariance = mx.Full(torch.tensor([[[2.0, 0.9], [0.9, 1.0]]], dtype=F64))
    mean, step = torch.tensor([[1.5, 2.0]], dtype=F64), 1e-5

    def total(mean):
        mixture = mx.Mixture(torch.ones(1, dtype=F64), mx.Gaussian(mean, covariance))
        return mixture.observed(observation).log_prob(torch.tensor(rows, dtype=F64)).sum()

    slope = torch.autograd.functional.jacobian
    push = torch.tensor([[1.0, -0.4]], dtype=F64)
    wanted = (slope(total, mean + step * push) - slope(total, mean - step * push)) / (2 * step)
    found = (torch.autograd.functional.hessian(total, mean) * push).sum((-2, -1))
    torch.testing.assert_close(found, wanted, rtol=1e-6, atol=1e-6)


# -- methods and families


@pytest.mark.parametrize("family", [mx.Poisson, mx.Binomial.template(total_count=40), mx.Exponential])
def test_clusters_are_drawn_again_whatever_the_family_of_the_rows(family):
    x = torch.poisson(torch.where(torch.arange(60) % 2 > 0, 2.0, 20.0).double(), generator=seeded(4)).clamp(1, 40)
    fit = mx.fit(x, 2, family=family, method=mx.KMeans(), restarts=2, generator=seeded())
    errors = mx.bootstrap(fit, 5, parametric=True, generator=seeded(5)).mean
    assert ((errors > 0) & (errors < 5)).all()


def test_a_bootstrap_of_variational_bayes_keeps_the_number_of_components():
    x = blobs(rows=60).exp()[:, 0]
    method = mx.Variational(max_iterations=50)
    fit = mx.fit(x, 3, family=mx.Exponential, method=method, restarts=2, generator=seeded())
    errors = mx.bootstrap(fit, 8, generator=seeded(5))
    assert errors.mean.shape == fit.mixture.components.mean.shape and errors.mean.isfinite().all()


@pytest.mark.parametrize("observation", [Missing(), [AdditiveNoise(scale=0.2), Missing()]], ids=["gaps", "noise, gaps"])
def test_a_weak_prior_is_of_what_was_recorded(observation):
    x = blobs()
    gappy = torch.where((torch.arange(80) % 4 == 0)[:, None] & torch.tensor([True, False]), torch.nan, x)
    prior = mx.Prior.weak(gappy, 2)
    torch.testing.assert_close(prior.components.mean, torch.stack([gappy[:, 0].nanmean(), x[:, 1].mean()]))
    fit = mx.fit(gappy, 2, observation=observation, method=mx.EM(30, prior=prior), restarts=2, generator=seeded())
    assert fit.trace.isfinite().all()


@pytest.mark.parametrize("errors", [(), ("--errors", "e,f")], ids=["gaps", "errors and gaps"])
def test_the_command_line_takes_a_weak_prior_and_gaps(errors, tmp_path):
    with (tmp_path / "x.csv").open("w", newline="") as file:
        rows = ([a, "" if i % 4 == 0 else b, 0.2, 0.3] for i, (a, b) in enumerate(blobs().tolist()))
        csv.writer(file).writerows([["a", "b", "e", "f"], *rows])
    run(
        *("fit", tmp_path / "x.csv", "--columns", "a,b", *errors, "--components", "2", "--prior", "weak"),
        *("--restarts", "2", "--out", tmp_path / "out"),
    )
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["fit"]["components"] == 2


def test_counts_hardly_more_spread_than_poissons_have_a_density_in_single_precision():
    x = torch.arange(12.0, dtype=F64)
    total, probs = torch.tensor([9e5, 4.0], dtype=F64), torch.tensor([5e-6, 0.3], dtype=F64)
    wanted = mx.Mixture(torch.ones(2, dtype=F64), mx.NegativeBinomial(total, probs))
    torch.testing.assert_close(
        wanted.to(torch.float32).log_prob(x.float()).double(), wanted.log_prob(x), rtol=1e-5, atol=1e-5
    )


# -- densities that do not move, covariances that are flat


def test_the_score_of_steps_is_zero_and_that_of_counts_is_refused():
    steps = mx.Mixture(torch.ones(2, dtype=F64), mx.Uniform(torch.zeros(2).double(), torch.tensor([1.0, 2.0]).double()))
    assert (steps.score(torch.tensor([0.5, 1.5], dtype=F64)) == 0).all()
    counts = mx.Mixture(torch.ones(2, dtype=F64), mx.Bernoulli(torch.tensor([0.2, 0.7], dtype=F64)))
    with pytest.raises(mx.errors.NotClosedForm, match="whole numbers"):
        counts.score(torch.tensor([0.0, 1.0], dtype=F64))


def test_a_figure_shows_a_column_that_never_varies_in_a_component():
    one, always = torch.ones(2, dtype=F64), mx.Bernoulli(torch.tensor([1.0, 0.5], dtype=F64))
    kinds = mx.Mixture(one, mx.Product((mx.Normal(0 * one, one), always), ((0,), (1,))))
    outlines = mx.plots.ellipses(kinds, (0, 1)).lines
    assert abs(outlines[0].get_ydata() - 1).max() < 1e-6 and abs(outlines[0].get_xdata()).max() > 0.9


def run(*arguments):
    done = CliRunner().invoke(app, [str(one) for one in arguments])
    assert done.exit_code == 0, done.output
