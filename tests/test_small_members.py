"""Fits of exponential families to small tables, many updates in a call, against the same fits by the plain loop."""

import pytest
import torch
from torch import distributions as law

import mixtura as mx

EACH, COMPONENTS = 40, 3


class Plain(mx.EM):
    """EM by the loop, update by update."""


def numbers(*laws):
    torch.manual_seed(7)
    return torch.cat([one.sample((EACH,)) for one in laws]).double()


def three(kind, *parameters):
    return numbers(*(kind(*(torch.tensor(p, dtype=torch.float64) for p in given)) for given in parameters))


CODES = [[[0.8, 0.1, 0.1]] * 4], [[[0.1, 0.8, 0.1]] * 4], [[[0.1, 0.1, 0.8]] * 4]
ANSWERS = [[0.1] * 5], [[0.9, 0.8, 0.9, 0.1, 0.2]], [[0.2, 0.1, 0.8, 0.9, 0.9]]
COUNTS = [law.Multinomial(9, torch.tensor(p)) for p in ([6.0, 1, 1, 1], [1.0, 6, 1, 1], [1.0, 1, 5, 5])]
TRIALS = [law.Binomial(20, torch.tensor(p)) for p in (0.1, 0.5, 0.9)]
GAMMAS = (3.0, 2.0), (20.0, 4.0), (300.0, 10.0)
SQUARES = ([2.0, 9.0], [9.0, 2.0]), ([3.0, 3.0], [3.0, 3.0]), ([30.0, 3.0], [3.0, 30.0])
POINTS = three(law.Normal, ([4.0, 0, 0], 1.0), ([0, 9.0, 0], 1.0), ([0, 0, 6.0], 1.0))
CASES = {
    "Poisson": (mx.Poisson, three(law.Poisson, (1.0,), (6.0,), (19.0,))),
    "Poisson of vectors": (mx.Poisson, three(law.Poisson, ([1.0, 9.0],), ([6.0, 1.0],), ([19.0, 9.0],))),
    "Exponential": (mx.Exponential, three(law.Exponential, (20.0,), (1.0,), (0.05,))),
    "Geometric": (mx.Geometric, three(law.Geometric, (0.8,), (0.2,), (0.01,))),
    "Binomial": (mx.Binomial.template(total_count=20), numbers(*TRIALS)),
    "Bernoulli": (mx.Bernoulli, three(law.Bernoulli, *ANSWERS)),
    "Categorical": (mx.Categorical.template(categories=3), three(law.Categorical, *CODES)),
    "Multinomial": (mx.Multinomial, numbers(*COUNTS)),
    "Gamma": (mx.Gamma, three(law.Gamma, *GAMMAS)),
    "InverseGamma": (mx.InverseGamma, 1 / three(law.Gamma, *GAMMAS)),
    "Beta": (mx.Beta, three(law.Beta, (2.0, 9.0), (30.0, 30.0), (30.0, 3.0))),
    "Beta of vectors": (mx.Beta, three(law.Beta, *SQUARES)),
    "Dirichlet": (mx.Dirichlet, three(law.Dirichlet, ([2.0, 9.0, 2.0],), ([9.0, 2.0, 5.0],), ([30.0, 30.0, 90.0],))),
    "LogNormal": (mx.LogNormal, three(law.LogNormal, (0.0, 0.3), (2.0, 0.5), (5.0, 0.1))),
    "LogNormal of vectors": (
        mx.LogNormal,
        three(law.LogNormal, ([0.0, 3.0], 0.3), ([2.0, 0.0], 0.5), ([5, 5], 0.1)),
    ),
    "Weibull": (mx.Weibull, three(law.Weibull, (1.0, 1.0), (5.0, 3.0), (20.0, 9.0))),
    "Weibull of vectors": (mx.Weibull, three(law.Weibull, ([1.0, 9.0], 1.0), ([5.0, 5.0], 3.0), ([20.0, 1.0], 9.0))),
    "StudentT": (mx.StudentT, three(law.StudentT, (1.5, 0.0), (1.5, 20.0), (2.0, -20.0))),
    "StudentT, one number": (
        mx.StudentT.template(shared=True),
        three(law.StudentT, (3.0, 0.0), (3.0, 9.0), (3.0, 20.0)),
    ),
    "StudentT, fixed": (mx.StudentT.template(fixed=4.0), three(law.StudentT, (3.0, 0.0), (3.0, 9.0), (9.0, -9.0))),
    "StudentT of vectors": (mx.StudentT, three(law.StudentT, (4.0, [0.0, 1]), (3.0, [9.0, 2]), (9.0, [-9.0, 0]))),
    "VonMises": (mx.VonMises, three(law.VonMises, (0.0, 9.0), (2.0, 20.0), (-2.0, 4.0))),
    "VonMisesFisher": (mx.VonMisesFisher, torch.nn.functional.normalize(POINTS, dim=-1)),
}


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("name", CASES)
def test_updates_are_those_of_the_loop(name, dtype):
    family, x = CASES[name]
    labels, weight = torch.arange(3).repeat_interleave(EACH), torch.rand(len(x), dtype=torch.float64)
    weight[::7], once = 0, {"acceleration": False, "max_iterations": 10, "tolerance": 0}
    fits = [
        mx.fit(x.to(dtype), family=family, init=labels, sample_weight=weight.to(dtype), method=kind(**once))
        for kind in (mx.EM, Plain)
    ]
    precision = 1e-9 if dtype is torch.float64 else 1e-4
    torch.testing.assert_close(fits[0].trace, fits[1].trace, rtol=precision, atol=precision)
    assert fits[0].mixture.dtype is dtype
    torch.testing.assert_close(fits[0].mixture.weights, fits[1].mixture.weights, rtol=1e3 * precision, atol=precision)
    ours, theirs = (fit.mixture.components.tensors() for fit in fits)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e3 * precision, atol=precision)


FAILURES = (2.0, 0.3), (5.0, 0.6), (9.0, 0.8)
HISTOGRAMS = {
    "NegativeBinomial": (mx.NegativeBinomial, three(law.NegativeBinomial, *FAILURES)),
    "NegativeBinomial of vectors": (
        mx.NegativeBinomial,
        three(law.NegativeBinomial, ([2.0, 2.0], 0.3), ([2.0, 9.0], 0.5), ([9.0, 5.0], 0.7)),
    ),
    "equal counts": (mx.NegativeBinomial, torch.tensor([0.0] * 40 + [7.0] * 40 + [1.0, 2.0] * 20).double()),
}


@pytest.mark.parametrize("name", CASES | HISTOGRAMS)
def test_a_fit_is_that_of_the_loop(name):
    family, x = (CASES | HISTOGRAMS)[name]
    found, plain = (
        mx.fit(x, COMPONENTS, family=family, generator=torch.Generator().manual_seed(3), method=method)
        for method in (mx.EM(), Plain(acceleration=False))
    )
    assert found.converged and plain.converged
    assert found.log_likelihood >= plain.log_likelihood - 1e-3
    assert bool((found.trace.diff() >= -1e-12).all())


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("name", HISTOGRAMS)
def test_histograms_are_read_as_rows_and_matched_to_the_likeliest(name, dtype):
    """The objective is that of the rows, and with known labels the first update ends where the likelihood is level."""
    family, x = HISTOGRAMS[name]
    labels, weight = torch.arange(3).repeat_interleave(EACH), torch.rand(len(x), dtype=torch.float64)
    weight[::7] = 0
    fit = mx.fit(x.to(dtype), family=family, init=labels, sample_weight=weight.to(dtype), method=mx.EM(9, 0))
    density = (weight * fit.mixture.to(torch.float64).log_prob(x)).sum() / weight.sum()
    assert abs(density - fit.trace[-1]) < (1e-11 if dtype is torch.float64 else 1e-5)
    assert bool((fit.trace.diff() > -1e-12).all())


@pytest.mark.parametrize("size", [(0.7, 0.8), (3.0, 0.5), (40.0, 0.4)])
def test_one_negative_binomial_ends_where_the_likelihood_is_level(size):
    x = three(law.NegativeBinomial, size, size, size)
    found = mx.fit(x, 1, family=mx.NegativeBinomial, method=mx.EM(1, 0)).mixture.components
    count, probs = (t.clone().requires_grad_() for t in (found.total_count, found.probs))
    score = torch.autograd.grad(mx.NegativeBinomial(count, probs).log_prob(x).sum(), [count, probs])
    assert (score[0] * count).abs() < 1e-6 and (score[1] * probs).abs() < 1e-6


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_equal_counts_are_read_once(dtype):
    """A table of few different rows is that of its different rows, with the weight of all that are equal."""
    x = 100 * three(law.Poisson, ([1.0, 0.4],), ([3.0, 0.3],), ([1.0, 2.0],)).clamp_max(4).to(dtype)
    weight = torch.arange(len(x), dtype=dtype) % 3
    given = {
        "family": mx.NegativeBinomial,
        "init": torch.arange(3).repeat_interleave(EACH),
        "sample_weight": weight,
    }
    once, each = (mx.fit(x, method=kind(30, 0, acceleration=False), **given) for kind in (mx.EM, Plain))
    torch.testing.assert_close(once.trace, each.trace, rtol=0, atol=1e-10 if dtype is torch.float64 else 1e-5)
    assert len(once.rows) == len(x) and once.rows.total_weight == each.rows.total_weight


def test_rows_that_weigh_nothing_may_be_anything():
    family, x = CASES["Gamma"]
    weight = torch.ones(len(x), dtype=torch.float64)
    weight[-EACH:] = 0
    few = mx.fit(x[:-EACH], family=family, init=torch.arange(2).repeat_interleave(EACH))
    labels = torch.cat([torch.arange(2).repeat_interleave(EACH), torch.zeros(EACH, dtype=torch.long)])
    all_of_them = mx.fit(x, family=family, init=labels, sample_weight=weight)
    torch.testing.assert_close(all_of_them.mixture.log_prob(x), few.mixture.log_prob(x))


def test_a_component_on_equal_rows_is_named():
    x = torch.cat([torch.full((9,), 2.0), torch.linspace(5, 9, 30)]).double()
    for method in (mx.EM(), Plain()):
        fit = mx.fit(x, family=mx.Gamma, init=torch.tensor([0] * 9 + [1] * 30), method=method)
        assert fit.reason is mx.Reason.COLLAPSED and "Component 0" in fit.detail


@pytest.mark.parametrize("covariance", ["full", "spherical", "tied-full", "tied-diagonal", "VEI", "EVE", "VEE", "EEV"])
@pytest.mark.parametrize("template", [{}, {"shared": True}, {"fixed": 3.0}], ids=["own", "shared", "fixed"])
def test_updates_of_heavy_tails_are_those_of_the_loop(template, covariance):
    torch.manual_seed(2)
    turn = torch.tensor([[1.0, 0.4, 0.0], [0.0, 1.0, 0.3], [0.0, 0.0, 2.0]]).double()
    x = torch.cat([law.StudentT(4.0).sample((EACH, 3)).double() @ turn + 6 * k for k in range(3)])
    given = {"family": mx.StudentT.template(**template), "covariance": covariance}
    labels = torch.arange(3).repeat_interleave(EACH)
    found, plain = (mx.fit(x, init=labels, method=kind(8, 0, acceleration=False), **given) for kind in (mx.EM, Plain))
    torch.testing.assert_close(found.trace, plain.trace, rtol=0, atol=1e-9)
    for one, other in zip(found.mixture.components.tensors(), plain.mixture.components.tensors(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("seed", [5, 86, 428])
def test_an_update_that_leads_too_far_is_made_with_care(seed):
    """Here a step of Newton's in degrees of freedom lowers the likelihood; no trace falls, and none ends there."""
    draw, rows, parts = torch.Generator().manual_seed(seed), (12, 20, 40)[seed % 3], 2 + seed % 2
    x, uniform = (one(rows, generator=draw).double() for one in (torch.randn, torch.rand))
    x = x / uniform ** (1.5, 0.5, 0, 3)[seed % 4]
    x[: rows // 2] += (0, 5, 50)[seed % 3]
    x = x.round() if seed % 5 == 0 else x
    loc, scale, dof = (torch.randn(parts, generator=draw).double() for _ in range(3))
    components = mx.StudentT(4 * loc, scale.exp(), (2 + 2 * dof).exp().clamp(0.11, 9e3))
    start = mx.Mixture(torch.full((parts,), 1 / parts).double(), components)
    found, plain = (
        mx.fit(x, init=start, family=mx.StudentT, method=kind(acceleration=False)) for kind in (mx.EM, Plain)
    )
    assert bool((found.trace.diff() >= -1e-12).all())
    assert found.reason is plain.reason
    assert found.log_likelihood == pytest.approx(plain.log_likelihood, abs=1e-3)
