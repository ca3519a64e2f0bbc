"""Cumulative probabilities and quantiles in both tails, against fifty digits."""

from functools import cache

import mpmath
import numpy as np
import pytest
import scipy.stats as st
import torch
from mpmath import mp, mpf
from tables import FAMILIES, tensor

import mixtura as mx

DIGITS = mpmath.workdps(50)
LOW, HIGH = (1e-300, 1e-100, 1e-38, 1e-12, 1e-6, 0.05, 0.4), (0.6, 0.95, 1 - 1e-6, 1 - 1e-12)


def of_gamma(a, x):
    """P by its series of positive terms, and Q by Legendre's continued fraction where it is the smaller."""
    a, x = mpf(a), mpf(x)
    if x <= 0:
        return mpf(0), mpf(1)
    scale = mp.exp(a * mp.log(x) - x - mp.loggamma(a))
    if x > a + 1:
        fraction = mpf(0)
        for n in range(600, 0, -1):
            fraction = n * (n - a) / (x + 2 * n + 1 - a - fraction)
        above = scale / (x + 1 - a - fraction)
        return 1 - above, above
    term, total, n = 1 / a, 1 / a, 0
    while term > total * mpf(10) ** -50:
        n += 1
        term *= x / (a + n)
        total += term
    return scale * total, 1 - scale * total


def of_steps(pmf, n, most):
    """The sums of probabilities up to n and beyond."""
    beyond, k = mpf(0), n + 1
    while k <= most and (k < n + 50 or pmf(k) > mpf(10) ** -50 * beyond):
        beyond += pmf(k)
        k += 1
    return sum((pmf(k) for k in range(n + 1)), mpf(0)), beyond


def of_beta(a, b, x):
    """Both tails by the series of positive terms in 1 - x of the other, or in x."""

    def below(a, b, x):
        term, total, n = 1 / a, 1 / a, 0
        while abs(term) > total * mpf(10) ** -50:
            term *= (a + b + n) * x / (a + n + 1)
            total += term
            n += 1
        return total * x**a * (1 - x) ** b * mp.gamma(a + b) / mp.gamma(a) / mp.gamma(b)

    if x >= 1:
        return mpf(1), mpf(0)
    if x < 0.5:
        return below(a, b, x), 1 - below(a, b, x)
    return 1 - below(b, a, 1 - x), below(b, a, 1 - x)


def of_laplace(m, b, x):
    z = abs(x - m) / b
    tail = mp.exp(-z) / 2
    return (tail, 1 - tail) if x < m else (1 - tail, tail)


def of_student(m, s, v, x):
    """Half of a regularised incomplete beta function."""
    t = (x - m) / s
    tail = mp.betainc(v / 2, mpf(1) / 2, 0, v / (v + t * t), regularized=True) / 2
    return (tail, 1 - tail) if t < 0 else (1 - tail, tail)


def of_von_mises(m, k, x):
    """The integrals on either side, in pieces that end where the density is largest or least, or shortly before."""
    pi, whole = mp.pi, 2 * mp.pi * mp.besseli(0, k)

    def between(a, b):
        turns = [m + n * pi for n in range(-3, 4)]
        steps = [t + sign * step / mp.sqrt(k) for t in turns for sign in (-1, 1) for step in (0, 2, 6)]
        steps += [end + sign * step / k for end in (a, b) for sign in (-1, 1) for step in (mpf(1) / 5, 2)]
        edges = [a, *sorted({t for t in steps if a < t < b}), b]
        return mp.quad(lambda t: mp.exp(k * mp.cos(t - m)), edges) / whole

    at = min(max(x, -pi), pi)
    return between(-pi, at), between(at, pi)


def of_hazard(w):
    return -mp.expm1(-w), mp.exp(-w)


def _student(dof):
    return lambda loc, scale: mx.StudentT(loc, scale, dof)


# A family, and of the component with some parameters the exact probabilities of at most x and of more.
CONTINUOUS = {
    "normal": (mx.Normal, (-1.0, 2.0), (0.3, 2.0), lambda m, s, x: (mp.ncdf((x - m) / s), mp.ncdf((m - x) / s))),
    "laplace": (mx.Laplace, (-2.0, 3.0), (0.5, 2.0), of_laplace),
    "gamma": (mx.Gamma, (0.05, 150.0), (0.3, 2.0), lambda a, b, x: of_gamma(a, b * x)),
    "gamma-heavy": (mx.Gamma, (0.5, 3.0), (2.0, 1e6), lambda a, b, x: of_gamma(a, b * x)),
    "inverse-gamma": (mx.InverseGamma, (0.7, 9.0), (3.0, 40.0), lambda a, b, x: of_gamma(a, b / x)[::-1]),
    "beta": (mx.Beta, (2.0, 0.7), (5.0, 1.4), lambda a, b, x: of_beta(a, b, min(x, mpf(1)))),
    "weibull": (mx.Weibull, (0.5, 3.0), (0.3, 2.5), lambda s, c, x: of_hazard((x / s) ** c)),
    "log-normal": (
        mx.LogNormal,
        (0.0, 1.0),
        (5.0, 0.3),
        lambda m, s, x: (mp.ncdf((mp.log(x) - m) / s), mp.ncdf((m - mp.log(x)) / s)),
    ),
    "cauchy": (
        lambda m, s: mx.StudentT(m, s, 1.0),
        (0.0, 3.0),
        (1.0, 2.0),
        lambda m, s, x: of_student(m, s, mpf(1), x),
    ),
    "student-t": (
        lambda m, s: mx.StudentT(m, s, 3.5),
        (-1.0, 2.0),
        (0.3, 2.0),
        lambda m, s, x: of_student(m, s, mpf("3.5"), x),
    ),
    "uniform": (mx.Uniform, (-1.0, 2.0), (1e-3, 7.0), lambda a, b, x: _clipped((x - a) / (b - a))),
}
COUNTS = {
    "poisson": (mx.Poisson(tensor(0.7, 120.0)), lambda k, n: of_gamma(n + 1, [0.7, 120.0][k])[::-1]),
    "binomial": (mx.Binomial(40, tensor(0.02, 0.7)), lambda k, n: _of_binomial(40, [0.02, 0.7][k], n)),
    "bernoulli": (mx.Bernoulli(tensor(0.2, 0.9)), lambda k, n: _of_binomial(1, [0.2, 0.9][k], n)),
    "geometric": (mx.Geometric(tensor(0.02, 0.7)), lambda k, n: of_hazard(-(n + 1) * mp.log1p(-mpf([0.02, 0.7][k])))),
    "negative-binomial": (
        mx.NegativeBinomial(tensor(0.4, 70.0), tensor(0.9, 0.7)),
        lambda k, n: _of_failures([0.4, 70.0][k], [0.9, 0.7][k], n),
    ),
    "categorical": (
        mx.Categorical(tensor([0.1, 0.0, 0.6, 0.3], [0.0, 0.25, 0.25, 0.5])),
        lambda k, n: of_steps(lambda c: _shares(k)[c], min(n, 3), 3),
    ),
}


def _shares(k):
    return [[mpf(0.1), mpf(0), mpf(0.6), mpf(0.3)], [mpf(0), mpf(0.25), mpf(0.25), mpf(0.5)]][k]


def _clipped(share):
    share = min(max(share, mpf(0)), mpf(1))
    return share, 1 - share


def _of_binomial(m, p, n):
    p = mpf(p)
    return of_steps(lambda k: mp.binomial(m, k) * p**k * (1 - p) ** (m - k), n, m)


def _of_failures(s, p, n):
    return of_steps(lambda k: _failures(s, p, k), n, 10**6)


@cache
def _failures(s, p, k):
    s, p = mpf(s), mpf(p)
    return (1 - p) ** s * p**k * mp.rf(s, k) / mp.factorial(k)


def _mixed(weights, parts):
    """The probabilities of a mixture from those of components, and exact ones of weights."""
    total = sum(map(mpf, weights))
    return tuple(sum(mpf(w) * part[side] for w, part in zip(weights, parts, strict=True)) / total for side in (0, 1))


def _reaches(pair, q):
    """Whether the exact cumulative probability is at least q, by the smaller of both tails."""
    return pair[0] >= q if q <= 0.5 else pair[1] <= 1 - mpf(q)


@pytest.fixture(params=[torch.float32, torch.float64], ids=["single", "double"])
def dtype(request):
    return request.param


@pytest.fixture(params=[[1.0, 0.0], [0.0, 1.0], [0.3, 0.7]], ids=["one", "other", "both"])
def weights(request):
    return request.param


def probabilities(dtype):
    given = torch.tensor([*LOW, *HIGH], dtype=torch.float64).to(dtype)
    return given[(given > torch.finfo(dtype).tiny) & (given < 1)]


@pytest.mark.parametrize("name", CONTINUOUS)
@DIGITS
@pytest.mark.slow
def test_quantiles_are_exact_to_rounding(name, dtype, weights):
    kind, first, second, exact = CONTINUOUS[name]
    parameters = torch.tensor([first, second]).to(dtype)
    mixture = mx.Mixture(torch.tensor(weights, dtype=dtype), kind(*parameters))
    q = probabilities(dtype)
    x = mixture.icdf(q)
    assert x.dtype == dtype and bool(x.isfinite().all())
    grain = 4 * torch.finfo(dtype).eps * (3.0 if name in LOCATED else 0.0)
    relative = max(4 * torch.finfo(dtype).eps, 1e-13)

    def reached(at, value):
        parts = [exact(*map(mpf, one), at) for one in parameters.T.tolist()]
        return _reaches(_mixed(mixture.weights.tolist(), parts), value)

    for value, at in zip(q.tolist(), map(mpf, x.tolist()), strict=True):
        step = abs(at) * relative + grain
        assert reached(at + step, value), (value, at)
        assert at < LEAST[dtype] or not reached(at - step, value), (value, at)


LOCATED = ("normal", "laplace", "uniform", "cauchy", "student-t")
LEAST = {torch.float32: 1e-37, torch.float64: 1e-307}  # below which numbers have fewer digits


@pytest.mark.parametrize("name", COUNTS)
@DIGITS
def test_quantiles_of_counts_are_the_least_that_reach(name, weights):
    components, exact = COUNTS[name]
    mixture = mx.Mixture(torch.tensor(weights, dtype=torch.float64), components)
    q = tensor(1e-30, 1e-6, 0.03, 0.2, 0.45, 0.7, 0.95, 1 - 1e-6, 1 - 1e-12)

    def pair(n):
        return _mixed(mixture.weights.tolist(), [exact(k, n) for k in range(2)]) if n >= 0 else (mpf(0), mpf(1))

    for value, n in zip(q.tolist(), mixture.icdf(q).tolist(), strict=True):
        assert n == int(n) and _reaches(pair(int(n)), value) and not _reaches(pair(int(n) - 1), value), (value, n)


@pytest.mark.parametrize("name", COUNTS)
@DIGITS
def test_probabilities_of_counts_are_sums(name):
    components, exact = COUNTS[name]
    n = tensor(0.0, 1.0, 3.0, 17.0, 39.0, 90.0)
    for k in range(2):
        pairs = [exact(k, int(one)) for one in n]
        below, above = (torch.tensor([float(pair[side]) for pair in pairs], dtype=torch.float64) for side in (0, 1))
        one = components.take([k])
        assert torch.allclose(one.cdf(n).squeeze(-1), below, rtol=1e-12, atol=1e-300)
        assert torch.allclose(one.survival(n).squeeze(-1), above, rtol=1e-12, atol=1e-300)


@pytest.mark.parametrize("name", COUNTS)
def test_probabilities_of_counts_are_staircases(name, dtype):
    mixture = mx.Mixture(torch.tensor([0.3, 0.7], dtype=dtype), COUNTS[name][0].to(dtype))
    n = torch.arange(40, dtype=dtype)
    steps = mixture.cdf(n)
    assert torch.equal(mixture.cdf(n + 0.7), steps), "level between whole numbers, and right-continuous"
    assert bool((steps.diff() >= 0).all())
    assert mixture.cdf(torch.tensor([-torch.inf, -3.0, -0.2, torch.inf])).tolist() == [0, 0, 0, 1]
    assert mixture.cdf(torch.tensor(torch.nan)).isnan()
    rising = steps[steps.diff(prepend=steps.new_zeros(1)) > 1e-5]
    assert torch.equal(mixture.icdf(rising), n[steps.diff(prepend=steps.new_zeros(1)) > 1e-5]), "round trip"


ENDS = {
    "uniform": (mx.Uniform(tensor(-1.0, 2.0), tensor(1.0, 7.0)), -1.0, 7.0),
    "exponential": (mx.Exponential(tensor(1.0, 2.0)), 0.0, torch.inf),
    "log-normal": (mx.LogNormal(tensor(0.0, 1.0), tensor(5.0, 1.0)), 0.0, torch.inf),
    "poisson": (COUNTS["poisson"][0], 0.0, torch.inf),
    "binomial": (COUNTS["binomial"][0], 0.0, 40.0),
    "laplace": (mx.Laplace(tensor(1.0, 2.0), tensor(1.0, 2.0)), -torch.inf, torch.inf),
    "beside": (FAMILIES["beside"], -torch.inf, torch.inf),
    "torch-uniform": (torch.distributions.Uniform(tensor(-1.0, 2.0), tensor(1.0, 7.0)), -1.0, 7.0),
}


@pytest.mark.parametrize("name", ENDS)
def test_ends_of_the_support_are_the_quantiles_of_0_and_1(name):
    components, low, high = ENDS[name]
    weights = torch.ones(3 if name == "beside" else 2)
    assert mx.Mixture(weights, components).icdf(tensor(0.0, 1.0)).tolist() == [low, high]


def test_components_without_weight_have_no_ends():
    mixture = mx.Mixture(tensor(0.0, 1.0), ENDS["uniform"][0])
    assert mixture.icdf(tensor(0.0, 1.0)).tolist() == [2.0, 7.0]


@pytest.mark.parametrize("name", ["gamma", "inverse-gamma", "log-normal", "uniform", "poisson", "negative-binomial"])
def test_every_entry_of_a_batch_has_its_own_quantiles(name):
    some = {"uniform": ENDS["uniform"][0], "negative-binomial": COUNTS["negative-binomial"][0], **FAMILIES}[name]
    batch = some.map(lambda t: torch.stack([t, 1.5 * t.flip(-1) if name != "negative-binomial" else t.flip(-1)]))
    logits = tensor([0.3, 0.7], [0.9, 0.1]).log()
    q = torch.rand(5, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found = mx.Mixture(logits=logits, components=batch).icdf(q)
    assert found.shape == (5, 2)
    for b in range(2):
        assert torch.equal(found[:, b], mx.Mixture(logits=logits[b], components=batch.batch(b)).icdf(q[:, b]))


@pytest.mark.parametrize("family", [mx.Uniform, mx.VonMises, mx.Laplace])
def test_vectors_of_one_feature_have_the_quantiles_of_their_numbers(family):
    numbers = tensor(-1.0, 0.5), tensor(2.0, 3.0)
    one = mx.Mixture(tensor(0.3, 0.7), family(*numbers))
    vectors = mx.Mixture(tensor(0.3, 0.7), family(*(value.unsqueeze(-1) for value in numbers), vectors=True))
    q = torch.rand(5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    x = vectors.icdf(q)
    assert x.shape == (5, 3, 1) and torch.equal(x.squeeze(-1), one.icdf(q))
    assert torch.equal(vectors.cdf(x), one.cdf(x.squeeze(-1)))


ANGLES = (-3.1415, -0.2, 0.4, 0.75, 3.1)


@pytest.mark.parametrize(("loc", "concentration"), [(-3.0, 1e-3), (3.1, 0.7), (0.4, 30.0), (7.0, 4e3)])
@mpmath.workdps(20)
def test_probabilities_of_angles_are_integrals_in_both_tails(loc, concentration):
    components = mx.VonMises(tensor(loc), tensor(concentration))
    x = tensor(*ANGLES)
    pairs = [of_von_mises(mpf(loc), mpf(concentration), mpf(at)) for at in ANGLES]
    for found, side in ((components.cdf(x), 0), (components.survival(x), 1)):
        wanted = torch.tensor([float(pair[side]) for pair in pairs], dtype=torch.float64)
        assert torch.allclose(found.squeeze(-1), wanted, rtol=1e-11, atol=1e-300)


def test_quantiles_of_angles_lead_back_within_a_turn():
    mixture = mx.Mixture(tensor(0.3, 0.7), mx.VonMises(tensor(3.0, 0.5), tensor(2.0, 50.0)))
    q = tensor(1e-4, 1e-3, 0.2, 0.5, 0.9, 1 - 1e-3)
    assert torch.allclose(mixture.cdf(mixture.icdf(q)), q, rtol=1e-11, atol=0)
    assert mixture.icdf(tensor(0.0, 1.0)).tolist() == [-np.pi, np.pi]
    assert mixture.cdf(tensor(-9.0, 9.0)).tolist() == [0, 1]
    assert mixture.cdf(tensor(torch.nan)).isnan().all()


@pytest.mark.parametrize(
    "components",
    [mx.StudentT(tensor(0.0, 2.0), tensor(1.0, 0.3), 3.0), mx.VonMises(tensor(0.0, 2.0), tensor(1.0, 9.0))],
    ids=["student-t", "von-mises"],
)
def test_cumulative_probabilities_have_densities_as_gradients(components):
    x = tensor(-3.0, -0.4, 0.0, 0.1, 2.0, 3.1).requires_grad_()
    for k in range(2):
        (slope,) = torch.autograd.grad(components.cdf(x)[:, k].sum(), x)
        assert torch.allclose(slope, components.log_prob(x)[:, k].exp(), rtol=1e-10)
        (slope,) = torch.autograd.grad(components.survival(x)[:, k].sum(), x)
        assert torch.allclose(-slope, components.log_prob(x)[:, k].exp(), rtol=1e-10)


def test_probabilities_of_heavy_tails_refuse_gradients_in_degrees_of_freedom():
    dof = tensor(3.0).requires_grad_()
    with pytest.raises(NotImplementedError, match="degrees of freedom"):
        mx.StudentT(tensor(0.0), tensor(1.0), dof).cdf(tensor(1.0)).sum().backward()


@pytest.mark.parametrize("count", [mx.NegativeBinomial, mx.Binomial])
def test_a_tail_of_counts_is_asked_once_for_each_number(count, monkeypatch):
    components = {
        mx.NegativeBinomial: mx.NegativeBinomial(tensor(0.4, 70.0), tensor(0.9, 0.7)),
        mx.Binomial: mx.Binomial(40, tensor(0.02, 0.7)),
    }[count]
    asked = []
    plain = count.cdf
    monkeypatch.setattr(count, "cdf", lambda self, x: asked.append(x.numel()) or plain(self, x))
    mixture = mx.Mixture(tensor(0.5, 0.5), components)
    found = mixture.icdf(torch.linspace(0.001, 0.999, 5000, dtype=torch.float64))
    assert sum(asked) < 20 * (found.max() + 1), "of 5,000 probabilities"


SCIPY = {
    "poisson": (mx.Poisson, lambda r: st.poisson(r)),
    "geometric": (lambda r: mx.Geometric(1 / (1 + r)), lambda r: st.geom(1 / (1 + r), loc=-1)),
}


@pytest.mark.parametrize("name", SCIPY)
def test_quantiles_of_large_counts_are_scipys(name):
    mine, theirs = SCIPY[name]
    means, q = tensor(1e-6, 0.3, 1e3, 1e5), tensor(0.013, 0.5, 0.987, 0.999999)
    for mean in means:
        found = mx.Mixture(torch.ones(1), mine(mean.reshape(1))).icdf(q)
        np.testing.assert_array_equal(found, theirs(mean.item()).ppf(q.numpy()))


@pytest.mark.parametrize("name", ["gamma", "poisson", "negative-binomial"])
def test_cumulative_probabilities_have_gradients_in_x_and_refuse_those_in_shapes(name):
    rate = tensor(0.7, 2.0).requires_grad_()
    made = {
        "gamma": lambda rate: mx.Gamma(tensor(0.8, 50.0), rate),
        "poisson": mx.Poisson,
        "negative-binomial": lambda rate: mx.NegativeBinomial(tensor(0.8, 5.0), rate / 4),
    }[name]
    assert torch.autograd.gradcheck(lambda rate: made(rate).cdf(tensor(0.0, 3.0, 24.0)), [rate], atol=1e-7)
    if name == "gamma":
        with pytest.raises(NotImplementedError, match="gradients in the shape"):
            mx.Gamma(rate, rate.detach()).cdf(tensor(1.0)).sum().backward()
