"""Families against scipy and torch, at the statistical rate, and at the border of their supports."""

import itertools

import mpmath
import numpy as np
import pytest
import scipy.stats as st
import torch
from mpmath import mp
from tables import COUNTS, LEARNABLE, POSITIVE, STEPWISE, STUDENTS, tensor

import mixtura as mx
from mixtura.testing import ComponentContract, LearnableContract, component, learnable

D = torch.float64

# A family, scipy's density of its component k, and rows at which to compare.
POSITIVES, WHOLE, SHARES = np.linspace(0.05, 9, 40), np.arange(30.0), np.linspace(0.02, 0.98, 40)
ORACLES = {
    "poisson": (COUNTS["poisson"], lambda k: st.poisson([0.7, 12.0][k]).logpmf, WHOLE),
    "binomial": (COUNTS["binomial"], lambda k: st.binom(7, [0.2, 0.7][k]).logpmf, np.arange(8.0)),
    "geometric": (COUNTS["geometric"], lambda k: st.geom([0.2, 0.7][k], loc=-1).logpmf, WHOLE),
    "exponential": (POSITIVE["exponential"], lambda k: st.expon(scale=[1 / 0.3, 0.2][k]).logpdf, POSITIVES),
    "gamma": (POSITIVE["gamma"], lambda k: st.gamma([0.8, 5.0][k], scale=[1 / 0.3, 0.5][k]).logpdf, POSITIVES),
    "inverse-gamma": (POSITIVE["inverse-gamma"], lambda k: st.invgamma([9, 12][k], scale=[3, 40][k]).logpdf, POSITIVES),
    "log-normal": (
        POSITIVE["log-normal"],
        lambda k: st.lognorm([0.5, 0.3][k], scale=np.exp([-0.5, 1.0][k])).logpdf,
        POSITIVES,
    ),
    "beta": (POSITIVE["beta"], lambda k: st.beta([2.0, 0.7][k], [5.0, 1.4][k]).logpdf, SHARES),
    "weibull": (STEPWISE["weibull"], lambda k: st.weibull_min([1.4, 2.5][k], scale=[0.5, 3.0][k]).logpdf, POSITIVES),
    "laplace": (STEPWISE["laplace"], lambda k: st.laplace([-2.0, 3.0][k], [0.5, 2.0][k]).logpdf, POSITIVES - 4),
    "negative-binomial": (
        STEPWISE["negative-binomial"],
        lambda k: st.nbinom([2.5, 7.0][k], [0.7, 0.3][k]).logpmf,
        WHOLE,
    ),
    "von-mises": (
        mx.VonMises(tensor(1.0, -2.0), tensor(0.5, 30.0)),
        lambda k: st.vonmises([0.5, 30.0][k], [1.0, -2.0][k]).logpdf,
        np.linspace(-9, 9, 40),
    ),
    "uniform": (
        mx.Uniform(tensor(0.0, 2.0), tensor(1.0, 7.0)),
        lambda k: st.uniform([0.0, 2.0][k], [1.0, 5.0][k]).logpdf,
        POSITIVES,
    ),
}


@pytest.mark.parametrize("name", ORACLES)
def test_density_is_scipys(name):
    family, density, rows = ORACLES[name]
    for k in range(2):
        mine = family.log_prob(torch.from_numpy(rows))[:, k].numpy()
        np.testing.assert_allclose(mine, density(k)(rows), rtol=1e-9, atol=1e-9)


def gamma_density(a, b, x):
    return a * mp.log(b) - mp.loggamma(a) + (a - 1) * mp.log(x) - b * x


def beta_density(a, b, x):
    beta = mp.loggamma(a) + mp.loggamma(b) - mp.loggamma(a + b)
    return (a - 1) * mp.log(x) + (b - 1) * mp.log(1 - x) - beta


def circular_density(m, k, x):
    bessel = (
        mp.log(mp.besseli(0, k))
        if k < 1000
        else k - mp.log(2 * mp.pi * k) / 2 + mp.log1p((1 + (9 / mpmath.mpf(16) + 75 / (128 * k)) / k) / (8 * k))
    )
    return k * mp.cos(x - m) - mp.log(2 * mp.pi) - bessel


# A family and its exact log-density in fifty digits; parameters are tried over sixteen powers of ten.
SIZES = (1e-8, 1e-3, 3.7, 1e4, 1e8)
EXTREMES = {
    "exponential": (mx.Exponential, [SIZES], lambda r, x: mp.log(r) - r * x),
    "laplace": (mx.Laplace, [(0.0, 1e8), SIZES], lambda m, s, x: -abs(x - m) / s - mp.log(2 * s)),
    "normal": (
        mx.Normal,
        [(0.0, 1e8), SIZES],
        lambda m, s, x: -(((x - m) / s) ** 2) / 2 - mp.log(s) - mp.log(2 * mp.pi) / 2,
    ),
    "gamma": (mx.Gamma, [SIZES, SIZES], gamma_density),
    "inverse-gamma": (mx.InverseGamma, [SIZES, SIZES], lambda a, b, x: gamma_density(a, b, 1 / x) - 2 * mp.log(x)),
    "weibull": (mx.Weibull, [SIZES, SIZES], lambda s, c, x: mp.log(c / s) + (c - 1) * mp.log(x / s) - (x / s) ** c),
    "beta": (mx.Beta, [SIZES, SIZES], beta_density),
    "poisson": (mx.Poisson, [SIZES], lambda r, x: x * mp.log(r) - r - mp.loggamma(x + 1)),
    "negative-binomial": (
        mx.NegativeBinomial,
        [SIZES, (1e-8, 0.3, 0.999)],
        lambda s, p, x: mp.loggamma(x + s) - mp.loggamma(s) - mp.loggamma(x + 1) + s * mp.log1p(-p) + x * mp.log(p),
    ),
    "von-mises": (mx.VonMises, [(0.0, 3.0), SIZES[1:]], circular_density),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", EXTREMES)
@mpmath.workdps(50)
def test_densities_and_draws_at_parameters_of_any_size(name, dtype):
    kind, sizes, exact = EXTREMES[name]
    tolerance = max(8 * torch.finfo(dtype).eps, 1e-12)
    for given in itertools.product(*sizes):
        components = kind(*(torch.tensor([value], dtype=dtype) for value in given))
        mixture = mx.Mixture(torch.ones(1), components)
        x = mixture.sample((4,), generator=torch.Generator().manual_seed(0))
        assert bool((components.support.check(x) & x.isfinite()).all()), given
        if not components.support.is_discrete:
            assert bool(mixture.score(x).isfinite().all()), given
        held = [mpmath.mpf(getattr(components, one).item()) for one in (kind.arguments or ("loc", "scale"))]
        for value, found in zip(x.tolist(), mixture.log_prob(x).tolist(), strict=True):
            expected = exact(*held, mpmath.mpf(value))
            assert abs(found - expected) <= tolerance * (1 + abs(expected)), (given, value, found, expected)


def test_densities_of_vectors_are_scipys():
    multinomial, dirichlet = COUNTS["multinomial"], POSITIVE["dirichlet"]
    counts = multinomial.draw(torch.arange(6) % 2, torch.Generator().manual_seed(0))
    shares = dirichlet.draw(torch.arange(6) % 2, torch.Generator().manual_seed(0))
    fisher = mx.VonMisesFisher(tensor([1.0, 2.0, 0.0], [0.0, -1.0, 1.0]), tensor(2.0, 60.0))
    unit = fisher.draw(torch.arange(6) % 2, torch.Generator().manual_seed(0))
    for k in range(2):
        probs, alpha = multinomial.probs[k].numpy(), dirichlet.concentration[k].numpy()
        sphere = st.vonmises_fisher(fisher.loc[k].numpy(), fisher.concentration[k].item())
        np.testing.assert_allclose(
            multinomial.log_prob(counts)[:, k],
            st.multinomial(4, probs / probs.sum()).logpmf(counts.numpy().astype(int)),
            rtol=1e-9,
        )
        np.testing.assert_allclose(dirichlet.log_prob(shares)[:, k], [st.dirichlet(alpha).logpdf(s) for s in shares])
        np.testing.assert_allclose(fisher.log_prob(unit)[:, k], sphere.logpdf(unit), rtol=1e-9)


DIRECTIONS = {
    "von-mises": mx.VonMises(tensor(1.0, -2.0), tensor(0.5, 30.0)),
    "von-mises-vectors": mx.VonMises(tensor([1.0, 2.0], [-2.0, 0.0]), tensor([0.5, 2.0], [3.0, 30.0]), vectors=True),
    "von-mises-fisher": mx.VonMisesFisher(tensor([1.0, 2.0, 0.0], [0.0, -1.0, 1.0]), tensor(2.0, 60.0)),
    "von-mises-fisher-5": mx.VonMisesFisher(
        tensor([1.0, 2.0, 0.0, 1.0, 1.0], [0.0, -1.0, 1.0, 0.0, 1.0]), tensor(2.0, 90.0)
    ),
}
CIRCULAR = {  # moments of angles are circular, and spheres have no rule of integration here
    "test_density_integrates_to_one",
    "test_moments_are_integrals",
    "test_draws_have_the_moments",
    "test_parameters_counts_what_moves_the_density",
    "test_score_is_the_slope_of_the_log_density",
    "test_gradients_in_the_parameters",
}


@pytest.mark.parametrize("law", sorted({*ComponentContract.laws()} - CIRCULAR))
@pytest.mark.parametrize("family", DIRECTIONS)
def test_laws_of_directions(family, law):
    getattr(component.given(DIRECTIONS[family]), law)()


@pytest.mark.parametrize("law", LearnableContract.laws())
@pytest.mark.parametrize("family", DIRECTIONS)
def test_learning_of_directions(family, law):
    getattr(learnable.given(DIRECTIONS[family]), law)()


def test_moments_of_directions():
    for name in ("von-mises-fisher", "von-mises-fisher-5"):
        component.given(DIRECTIONS[name]).test_draws_have_the_moments()
    angles = DIRECTIONS["von-mises"]
    for k in range(2):
        x = angles.draw(torch.full((20_000,), k), torch.Generator().manual_seed(0))
        resultant = torch.stack([x.cos(), x.sin()]).mean(1)
        length = 1 - angles.variance[k]
        expected = length * torch.stack([angles.loc[k].cos(), angles.loc[k].sin()])
        assert ((resultant - expected).abs() < 5 / 20_000**0.5).all()
        turn = torch.linspace(0, 2 * torch.pi, 2001, dtype=D)
        assert torch.trapezoid(angles.log_prob(turn)[:, k].exp(), turn).item() == pytest.approx(1, abs=1e-6)


EVERY = {**{name: LEARNABLE[name] for name in (*COUNTS, *POSITIVE, *STEPWISE, *STUDENTS)}, **DIRECTIONS}


@pytest.mark.parametrize("name", EVERY)
def test_parameters_are_recovered_at_the_statistical_rate(name):
    """Twice the gain of the fitted over the true log-likelihood is chi-squared with p degrees (Wilks, 1938)."""
    family = EVERY[name]
    truth = mx.Mixture(tensor(0.4, 0.6), family)
    x = truth.sample((4000,), generator=torch.Generator().manual_seed(5))
    fit = mx.fit(x, init=truth, method=mx.EM(max_iterations=400, tolerance=1e-8))
    gain = 2 * (fit.log_likelihood - truth.log_prob(x).sum().item())
    assert fit.reason in (mx.Reason.CONVERGED, mx.Reason.MAX_ITERATIONS)
    assert -1e-6 < gain < st.chi2(fit.parameters).ppf(1 - 1e-6)


@pytest.mark.parametrize("name", [*COUNTS, *POSITIVE])
def test_map_without_strength_is_maximum_likelihood(name):
    family = LEARNABLE[name]
    if not isinstance(family, mx.components.ExponentialFamily):
        pytest.skip("its prior is not made of pseudo-counts")
    x = family.draw(torch.arange(60) % 2, torch.Generator().manual_seed(0))
    sums = family.expect(tensor(0.4, 0.6).log(), x, None, mx.learning.soft)
    mean = family.sufficient(x[0])
    for mine, theirs in zip(
        family.update(sums, mx.Conjugate(0.0, mean)).tensors(), family.update(sums).tensors(), strict=True
    ):
        assert torch.allclose(mine, theirs, rtol=1e-9)


CLOSED = {
    mx.Gamma: lambda x: st.gamma(*st.gamma.fit(x, floc=0)).logpdf(x).sum(),
    mx.LogNormal: lambda x: st.lognorm(*st.lognorm.fit(x, floc=0)).logpdf(x).sum(),
    mx.Weibull: lambda x: st.weibull_min(*st.weibull_min.fit(x, floc=0)).logpdf(x).sum(),
    mx.Exponential: lambda x: st.expon(scale=x.mean()).logpdf(x).sum(),
    mx.InverseGamma: lambda x: st.invgamma(*st.invgamma.fit(x, floc=0)).logpdf(x).sum(),
    mx.Laplace: lambda x: st.laplace(*st.laplace.fit(x)).logpdf(x).sum(),
    mx.StudentT: lambda x: st.t(*st.t.fit(x)).logpdf(x).sum(),
}


@pytest.mark.parametrize("family", CLOSED)
def test_one_component_is_scipys_estimate(family):
    x = st.gamma(2.3, scale=1.7).rvs(501, random_state=0)
    fit = mx.fit(torch.from_numpy(x), 1, family=family, method=mx.EM(tolerance=1e-13, max_iterations=2000))
    theirs = CLOSED[family](x)
    assert fit.log_likelihood >= theirs - 1e-6 * abs(theirs)
    assert fit.log_likelihood <= theirs + 1e-3 * abs(theirs)


def test_a_laplace_centre_is_the_weighted_median():
    x, weight = torch.randn(41, dtype=D).cauchy_(), torch.randint(1, 5, (41,)).double()
    fit = mx.fit(x, 1, family=mx.Laplace, sample_weight=weight, method=mx.EM(tolerance=0, max_iterations=60))
    median = x.repeat_interleave(weight.long()).sort().values
    count = len(median)
    low, high = median[(count - 1) // 2], median[count // 2]
    assert low - 1e-6 <= fit.mixture.components.loc[0] <= high + 1e-6


def test_counts_no_more_spread_than_poissons_say_so():
    x = torch.poisson(torch.full((2000,), 4.0, dtype=D))
    fit = mx.fit((x / 2).round(), 1, family=mx.NegativeBinomial, method=mx.EM(max_iterations=3000))
    assert "a Poisson would do" in fit.advice


OUTSIDE = [
    (mx.Poisson, -1.0, "whole numbers of at least 0, for Poisson"),
    (mx.Poisson, 0.5, "whole numbers of at least 0"),
    (mx.Binomial.template(total_count=3), 4.0, "whole numbers between 0 and 3"),
    (mx.Bernoulli, 2.0, "0 or 1"),
    (mx.Categorical.template(categories=3), 3.0, "category codes 0 to 2"),
    (mx.Gamma, 0.0, "positive"),
    (mx.LogNormal, -2.0, "positive"),
    (mx.Weibull, 0.0, "positive"),
    (mx.Exponential, -0.1, "at least 0"),
    (mx.Beta, 1.0, "strictly between 0 and 1"),
    (mx.NegativeBinomial, -3.0, "whole numbers of at least 0"),
]


@pytest.mark.parametrize(("family", "value", "words"), OUTSIDE)
def test_rows_outside_the_support_are_named(family, value, words):
    rows = {"good": [0.5, 0.25, 0.75, 0.125], "bad": [0.5, 0.25, value, 0.75]}
    if words.startswith(("whole", "0 or", "category")):
        rows = {"good": [0, 1, 1, 0], "bad": [0, 1, value, 1]}
    with pytest.raises(mx.errors.MixtureError, match=words) as caught:
        mx.fit(rows, 1, family=family)
    assert "row 2, column 'bad'" in str(caught.value)


def test_rows_of_shares_and_directions_are_checked():
    x = torch.tensor([[0.2, 0.8], [0.5, 0.4], [0.3, 0.7]])
    with pytest.raises(mx.errors.MixtureError, match="sum to one in every row.* row 1"):
        mx.fit(x, 1, family=mx.Dirichlet)
    with pytest.raises(mx.errors.MixtureError, match="vectors of length one.* row 0"):
        mx.fit(x, 1, family=mx.VonMisesFisher)


def test_outside_the_support_the_density_is_zero():
    for name, bad in (("gamma", -1.0), ("beta", 1.5), ("poisson", 0.5), ("weibull", -1.0), ("log-normal", 0.0)):
        values = LEARNABLE[name].log_prob(torch.tensor([bad, 0.5 if name == "beta" else 1.0], dtype=D))
        assert bool((values[0] == -torch.inf).all()) and bool(values[1].isfinite().all()), name


@pytest.mark.parametrize("family", ["NoSuchFamily", 3, mx.EM])
def test_unknown_families_are_refused(family):
    with pytest.raises(mx.errors.MixtureError, match="`family` must be"):
        mx.fit(torch.rand(9), 1, family=family)


def test_settings_are_checked():
    with pytest.raises(mx.errors.MixtureError, match="`total_count` must be a whole number"):
        mx.Binomial.template()
    with pytest.raises(mx.errors.MixtureError, match="`categories` must be"):
        mx.Categorical.template()
    with pytest.raises(mx.errors.MixtureError, match="`settings` must be among"):
        mx.Poisson.template(speed=3)
    with pytest.raises(mx.errors.MixtureError, match="`rate` must be finite and positive"):
        mx.Poisson(torch.tensor([1.0, -1.0]))


@pytest.mark.parametrize(
    "law",
    [
        torch.distributions.Gumbel(tensor(-2.0, 5.0), tensor(0.5, 2.0)),
        torch.distributions.Cauchy(tensor(-9.0, 9.0), tensor(1.0, 2.0)),
        torch.distributions.HalfNormal(tensor(1.0, 6.0)),
    ],
    ids=lambda law: type(law).__name__,
)
def test_torch_families_are_learned_by_gradients(law):
    truth = mx.Mixture(tensor(0.4, 0.6), law)
    x = truth.sample((800,), generator=torch.Generator().manual_seed(3))
    fit = mx.fit(x, 2, family=type(law), restarts=4, generator=torch.Generator().manual_seed(0))
    gain = 2 * (fit.log_likelihood - truth.log_prob(x).sum().item())
    assert -1e-3 < gain < st.chi2(fit.parameters).ppf(1 - 1e-6)
    assert "gradient steps" in fit.advice


def test_gradient_steps_reach_the_closed_form():
    x = mx.Poisson(tensor(1.0, 9.0)).draw(torch.arange(400) % 2, torch.Generator().manual_seed(0))
    start = mx.Mixture(tensor(0.5, 0.5), mx.Poisson(tensor(2.0, 5.0)))
    other = mx.Mixture(tensor(0.5, 0.5), torch.distributions.Poisson(tensor(2.0, 5.0)))
    one, two = (mx.fit(x, init=init, method=mx.EM(tolerance=1e-13)) for init in (start, other))
    assert two.log_likelihood == pytest.approx(one.log_likelihood, abs=1e-6)


def boxed(parts, weight=None, **settings):
    x = torch.cat(parts).double()
    settings = {"family": mx.Uniform, "generator": torch.Generator().manual_seed(0), **settings}
    return x, mx.fit(x, len(parts), sample_weight=weight, **settings)


@pytest.mark.parametrize("columns", [1, 3])
def test_uniform_boxes_end_at_their_outermost_rows(columns):
    generator = torch.Generator().manual_seed(1)
    one, other = torch.rand(300, columns, generator=generator), 5 + 2 * torch.rand(100, columns, generator=generator)
    parts = [part.double().squeeze(-1) for part in (one, other)]
    x, fit = boxed(parts)
    order = fit.mixture.components.low.reshape(2, -1)[:, 0].argsort()
    assert fit.reason is mx.Reason.CONVERGED and fit.parameters == 4 * columns + 1
    ends = [part.reshape(len(part), -1) for part in parts]
    for k, part in zip(order, ends, strict=True):
        assert torch.equal(fit.mixture.components.low[k].reshape(-1), part.amin(0))
        assert torch.equal(fit.mixture.components.high[k].reshape(-1), part.amax(0))
    sizes = tensor(300.0, 100.0)
    volumes = torch.stack([(part.amax(0) - part.amin(0)).prod() for part in ends])
    assert fit.log_likelihood == pytest.approx((sizes * (sizes / 400 / volumes).log()).sum().item(), rel=1e-9)
    assert bool((fit.mixture.score(x) == 0).all())


def test_a_level_density_has_a_slope_of_zero_in_rows():
    x = tensor(0.5, 1.5, 9.0, torch.inf).requires_grad_()
    density = mx.Mixture(torch.ones(2), mx.Uniform(tensor(0.0, 1.0), tensor(2.0, 4.0))).log_prob(x)
    (slope,) = torch.autograd.grad(density.sum(), x)
    assert slope.tolist() == [0] * 4 and density.isinf().tolist() == [False, False, True, True]


def test_uniform_boxes_hold_rows_that_the_sample_left_out():
    x = torch.rand(30_000, generator=torch.Generator().manual_seed(2)).double()
    x[x > 0.6] += 3
    x[[7, 20_000]] = tensor(-1.0, 9.0)
    fit = mx.fit(x, 2, family=mx.Uniform, generator=torch.Generator().manual_seed(0))
    assert fit.reason is mx.Reason.CONVERGED and fit.mixture.components.low.amin() == -1
    assert (
        fit.mixture.components.high.amax() == 9 and fit.log_likelihood > mx.fit(x, 1, family=mx.Uniform).log_likelihood
    )


def test_uniform_boxes_may_lie_in_one_another():
    generator = torch.Generator().manual_seed(3)
    x = torch.cat([torch.rand(500, generator=generator), 0.9 + 0.02 * torch.rand(800, generator=generator)]).double()
    low, high = tensor(-0.5, 0.89), tensor(1.5, 0.93)
    start = mx.Mixture(tensor(0.5, 0.5), mx.Uniform(low, high, fixed=False))
    fit = mx.fit(x, init=start)
    found, around = fit.mixture, (x >= 0.89) & (x <= 0.93)
    assert found.components.low.tolist() == [x.min(), x[around].min()]
    assert found.components.high.tolist() == [x.max(), x[around].max()]
    torch.testing.assert_close(found.responsibilities(x).mean(0), found.weights, rtol=1e-3, atol=0)
    assert fit.reason is mx.Reason.CONVERGED and 0.55 < found.weights[1] < 0.65


def test_uniform_boxes_that_are_given_stay():
    x, fit = boxed(
        [torch.rand(50), torch.rand(50)], family=mx.Uniform.template(low=tensor(-1.0)[0], high=tensor(3.0)[0])
    )
    assert fit.mixture.components.low.tolist() == [-1, -1] and fit.parameters == 1
    kept = mx.fit(x, init=mx.Mixture(torch.ones(2), mx.Uniform(tensor(-2.0, 0.0), tensor(2.0, 1.0))))
    assert kept.mixture.components.low.tolist() == [-2, 0] and kept.parameters == 1


def test_a_uniform_box_on_one_number_has_collapsed():
    _, fit = boxed([torch.zeros(30), torch.full((20,), 4.0)])
    assert fit.reason is mx.Reason.COLLAPSED


def test_rows_without_weight_do_not_hold_a_uniform_box_open():
    rows, weight = torch.rand(60), torch.ones(61).double()
    weight[-1] = 0
    _, fit = boxed([rows, torch.tensor([90.0])], weight=weight)
    assert fit.mixture.components.high.amax() < 1 and fit.reason is mx.Reason.CONVERGED


def test_rounding_of_large_counts_is_not_a_fall():
    generator = torch.Generator().manual_seed(0)
    x = mx.Poisson(tensor(4000.0, 5000.0)).draw(torch.arange(400) % 2, generator)
    for seed in range(5):
        fit = mx.fit(x, 2, family=mx.Poisson, method=mx.EM(tolerance=1e-13), generator=generator.manual_seed(seed))
        assert fit.converged
