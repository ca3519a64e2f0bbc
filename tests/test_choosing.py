"""Cross-validation, the likelihood-ratio test, standard errors and bounds on the evidence."""

import math

import pytest
import torch

import mixtura as mx
from mixtura.errors import MixtureError

F64 = torch.float64


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def two_groups(rows=300, gap=4.0, seed=0):
    generator = seeded(seed)
    shift = gap * (torch.rand(rows, generator=generator) < 0.4)
    return shift + torch.randn(rows, generator=generator, dtype=F64)


def test_each_row_is_scored_by_the_fit_without_its_fold():
    x = two_groups(40)
    found = mx.cross_validate(x, 1, folds=40)
    for n in (0, 17, 39):
        rest = torch.cat((x[:n], x[n + 1 :]))
        law = torch.distributions.Normal(rest.mean(), rest.std(correction=0))
        assert found.densities[0, n].item() == pytest.approx(law.log_prob(x[n]).item(), rel=1e-9)
    score = found.scores[0]
    assert score.log_density == pytest.approx(found.densities.mean().item())
    assert score.standard_error == pytest.approx(found.densities.std(correction=0).item() / math.sqrt(40))


def test_cross_validation_finds_two_groups():
    found = mx.cross_validate(two_groups(), (1, 2, 3), folds=4, generator=seeded(), restarts=4)
    ahead = found.difference(2, 1)
    assert ahead.log_density > 4 * ahead.standard_error
    assert ahead.standard_error < found.scores[0].standard_error * 2
    assert found.best in (2, 3)
    assert found.difference(1, 2).log_density == pytest.approx(-ahead.log_density)


def test_held_out_rows_weigh_as_repetitions():
    x, mixture = two_groups(20), mx.fit(two_groups(100, seed=1), 2).mixture
    weight = torch.randint(0, 3, (20,), generator=seeded())
    weighted = mx.held_out(mixture, x, sample_weight=weight.double())
    repeated = mx.held_out(mixture, x.repeat_interleave(weight))
    assert weighted == pytest.approx(repeated)


def test_too_many_folds_are_refused():
    with pytest.raises(MixtureError, match="folds"):
        mx.cross_validate(two_groups(5), 1, folds=6)


def test_standard_errors_of_one_gaussian_are_closed():
    x = two_groups(200).unsqueeze(-1) * torch.tensor([1.0, 0.5], dtype=F64) + torch.randn(
        200, 2, generator=seeded(), dtype=F64
    )
    fit = mx.fit(x, 1)
    errors = mx.standard_errors(fit)
    covariance = fit.mixture.components.covariance[0]
    variance = covariance.diagonal()
    torch.testing.assert_close(errors.mean[0], (variance / 200).sqrt())
    expected = ((covariance.square() + variance[:, None] * variance) / 200).sqrt()
    torch.testing.assert_close(errors.component_covariance[0], expected)
    assert errors.weights.item() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("covariance", ["full", "tied-full", "diagonal", "spherical"])
def test_information_agrees_with_the_bootstrap(covariance):
    x = torch.stack((two_groups(800, 5.0), torch.randn(800, dtype=F64, generator=seeded(2))), -1)
    fit = mx.fit(x, 2, covariance=covariance, method=mx.EM(2000, 1e-12))
    exact = mx.standard_errors(fit)
    simulated = mx.bootstrap(fit, 150, parametric=True, generator=seeded())
    for name in ("weights", "mean"):
        ratio = getattr(simulated, name) / getattr(exact, name)
        assert ((ratio > 0.75) & (ratio < 1.3)).all(), name
    diagonal = [e.component_covariance.diagonal(dim1=-2, dim2=-1) for e in (exact, simulated)]
    ratio = diagonal[1] / diagonal[0]
    assert ((ratio > 0.7) & (ratio < 1.4)).all()


def test_information_of_a_counting_family():
    x = torch.cat(
        [torch.poisson(torch.full((n,), rate), generator=seeded()) for n, rate in ((300, 2.0), (300, 25.0))]
    ).double()
    fit = mx.fit(x, 2, family=mx.Poisson, method=mx.EM(2000, 1e-13))
    rates = mx.standard_errors(fit).mean
    expected = (fit.mixture.components.mean / (600 * fit.mixture.weights)).sqrt()
    torch.testing.assert_close(rates, expected, rtol=0.05, atol=0)


def test_resampling_rows_gives_similar_errors():
    fit = mx.fit(two_groups(500, 6.0), 2)
    simulated = mx.bootstrap(fit, 150, generator=seeded())
    ratio = simulated.mean / mx.standard_errors(fit).mean
    assert ((ratio > 0.7) & (ratio < 1.4)).all()


def test_a_saddle_has_no_standard_errors():
    x = two_groups(300, 6.0)
    middle, spread = x.mean(), x.std()
    twins = mx.Mixture(torch.ones(2, dtype=F64), mx.Normal(middle.expand(2), spread.expand(2)))
    fit = mx.fit(x, init=twins, method=mx.EM(1, tolerance=0))
    with pytest.raises(MixtureError, match="maximum"):
        mx.standard_errors(fit)


def test_the_likelihood_ratio_sees_two_groups_and_no_more():
    options = {"replicates": 19, "restarts": 2, "generator": seeded(), "method": mx.EM(tolerance=1e-5)}
    x = two_groups(100, 5.0)
    assert mx.likelihood_ratio_test(x, 1, **options).p_value == 0.05
    assert mx.likelihood_ratio_test(x, 2, **options).p_value > 0.05


@pytest.mark.slow
def test_p_values_are_uniform_under_the_hypothesis():
    generator = seeded()
    values = [
        mx.likelihood_ratio_test(
            torch.randn(60, generator=generator, dtype=F64), 1, replicates=19, restarts=4, generator=generator
        ).p_value
        for _ in range(60)
    ]
    assert 0.35 < sum(values) / 60 < 0.7


def test_bounds_on_the_evidence_choose_two_groups():
    found = mx.evidence(two_groups(), (1, 2, 3), restarts=4)
    assert found.best == 2
    assert sum(found.probabilities) == pytest.approx(1)
    assert found.bounds[0] == pytest.approx(found.fits[0].bound)
