"""The laws of learning: nothing falls, weights count, order and blocks do not matter; closed forms and other codes."""

import math

import numpy as np
import pytest
import scipy.optimize
import torch
from sklearn.mixture import GaussianMixture
from tables import STRUCTURES, matrices, tensor

import mixtura as mx
from mixtura.data import Rows, TensorRows
from mixtura.learning import KMeansPlusPlus, KMeansStart, MixedStart, RandomRows, Reason, expect, soft
from mixtura.testing.contract import assert_close, assert_z


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def groups(rows=300, seed=0, separation=2.0):
    """Two overlapping groups of three columns of very different scales."""
    rng = generator(seed)
    x = torch.randn(rows, 3, generator=rng, dtype=torch.float64) @ torch.linalg.cholesky(matrices()).mT
    label = torch.arange(rows) % 3 == 0
    return x + label[:, None] * separation * tensor(1.0, -4.0, 6.0)


def same(one, two, tolerance=1e-7):
    """Two mixtures are equal up to the order of components."""
    one, two = (m.order(m.components.mean.reshape(len(m.logits), -1)[:, 0]) for m in (one, two))
    assert_close(one.weights, two.weights, tolerance, "weights")
    assert_close(one.components.mean, two.components.mean, tolerance, "means")
    assert_close(one.components.covariance, two.components.covariance, tolerance, "covariances")


def blocks_of(x, weight, size):
    """Rows that come in small blocks whatever is asked for."""

    class Small(TensorRows):
        def blocks(self, _):
            return super().blocks(size)

    return Small(x, weight)


EXACT = mx.EM(max_iterations=2000, tolerance=1e-13)
EVERY = list(STRUCTURES)
CONJUGATE = [name for name in EVERY if name.removeprefix("tied-") in ("full", "diagonal", "spherical")]


# -- never down


@pytest.mark.parametrize("covariance", EVERY)
def test_likelihood_never_falls(covariance):
    for seed in range(3):
        x = groups(seed=seed)
        start = torch.randint(3, (len(x),), generator=generator(seed))
        fit = mx.fit(x, 3, covariance, mx.EM(max_iterations=60, tolerance=0), init=start)
        assert fit.reason is Reason.MAX_ITERATIONS and 31 <= len(fit.trace) <= 61
        assert bool((fit.trace.diff() > -1e-12 * fit.trace[-1].abs()).all())
        assert abs(fit.trace[-1] * len(x) - fit.log_likelihood) < 1e-8 * abs(fit.log_likelihood)


def prior(x, components=2, concentration=3.0):
    weak = mx.Prior.weak(x, components).components
    scale = weak.scale + 0.3 * (weak.scale.diagonal().sqrt().outer(weak.scale.diagonal().sqrt()) - weak.scale)
    return mx.Prior(concentration, mx.NormalInverseWishart(weak.mean + 0.5, 2.5, scale, 9.0))


@pytest.mark.parametrize("covariance", CONJUGATE)
def test_posterior_never_falls(covariance):
    x = groups()
    labels = torch.randint(3, (len(x),), generator=generator())
    fit = mx.fit(x, 3, covariance, mx.EM(60, 0, prior(x)), init=labels)
    assert fit.reason is Reason.MAX_ITERATIONS
    assert bool((fit.trace.diff() > -1e-12 * fit.trace[-1].abs()).all())


@pytest.mark.parametrize("covariance", EVERY)
def test_kmeans_objective_never_falls_and_is_the_sum_of_squares(covariance):
    x = groups()
    fit = mx.fit(x, 3, covariance, mx.KMeans(), generator=generator())
    means = fit.mixture.components.mean
    squares = torch.cdist(x, means).amin(1).square().sum()
    spread = squares / x.numel()
    expected = -0.5 * 3 * (1 + math.log(2 * math.pi * spread)) - math.log(3)
    assert fit.converged and bool((fit.trace.diff() >= -1e-12).all())
    assert abs(fit.trace[-1].item() - expected) < 1e-9


# -- closed forms


def moments(x, weight):
    share = (weight / weight.sum()).unsqueeze(-1)
    mean = (share * x).sum(0)
    return mean, (share * (x - mean)).mT @ (x - mean)


SHAPED = {
    "full": lambda c: c,
    "eigen": lambda c: c,
    "diagonal": lambda c: torch.diag(c.diagonal()),
    "spherical": lambda c: torch.eye(3, dtype=c.dtype) * c.diagonal().mean(),
}


def shape_of(name):
    """What a structure is where there is one component: its code without volume and shape."""
    if name.isupper():
        return "full" if not name.endswith("I") else "spherical" if name.endswith("II") else "diagonal"
    return name.removeprefix("tied-")


@pytest.mark.parametrize("covariance", [name for name in EVERY if "rank" not in name])
def test_one_component_is_the_closed_form(covariance):
    x, weight = groups(), torch.rand(300, generator=generator(), dtype=torch.float64)
    fit = mx.fit(x, 1, covariance, sample_weight=weight)
    mean, second = moments(x, weight)
    assert fit.converged
    assert_close(fit.mixture.mean, mean, 1e-10)
    assert_close(fit.mixture.covariance, SHAPED[shape_of(covariance)](second), 1e-10)


@pytest.mark.parametrize("covariance", ["full", "diagonal", "spherical"])
def test_one_component_under_a_prior_is_the_mode_of_the_posterior(covariance):
    """The mode found by a general optimiser of log-likelihood plus scipy's log-densities of the prior."""
    x = groups(40)
    given = prior(x)
    fit = mx.fit(x, 1, covariance, mx.EM(50, 1e-14, given))
    niw, features = given.components, 3

    def unpack(flat):
        mean, rest = flat[:3], flat[3:]
        if covariance == "full":
            root = torch.zeros(3, 3, dtype=torch.float64)
            root = root.index_put((torch.tensor([0, 1, 2]), torch.tensor([0, 1, 2])), rest[:3].exp())
            root = root.index_put((torch.tensor([1, 2, 2]), torch.tensor([0, 0, 1])), rest[3:6])
            return mean, root @ root.mT
        return mean, torch.diag((rest[:3] if covariance == "diagonal" else rest[:1].expand(3)).exp())

    def posterior(flat):
        mean, matrix = unpack(flat)
        rows = torch.distributions.MultivariateNormal(mean, matrix).log_prob(x).sum()
        centre = torch.distributions.MultivariateNormal(niw.mean, matrix / niw.strength).log_prob(mean)
        logdet = torch.linalg.slogdet(matrix).logabsdet
        wishart = -0.5 * (niw.degrees + features + 1) * logdet - 0.5 * (niw.scale @ torch.linalg.inv(matrix)).trace()
        return rows + centre + wishart

    def negative(flat):
        flat = torch.tensor(flat, requires_grad=True)
        value = -posterior(flat)
        (slope,) = torch.autograd.grad(value, flat)
        return value.item(), slope.numpy()

    found = scipy.optimize.minimize(negative, np.zeros(9), jac=True, method="BFGS", options={"gtol": 1e-7})
    mean, matrix = unpack(torch.tensor(found.x))
    assert_close(fit.mixture.mean, mean, 1e-5)
    assert_close(fit.mixture.covariance, matrix, 1e-5)


@pytest.mark.parametrize("covariance", CONJUGATE)
def test_no_step_from_the_mode_raises_the_posterior(covariance):
    """Also where components share a covariance: the objective's slope is zero at the fit."""
    x = groups()
    given = prior(x)
    fit = mx.fit(x, 2, covariance, mx.EM(3000, 1e-15, given), generator=generator())
    inputs = [t.detach().clone().requires_grad_() for t in (fit.mixture.logits, *fit.mixture.components.tensors())]
    replaced = iter(inputs[1:])
    mixture = mx.Mixture(logits=inputs[0], components=fit.mixture.components.map(lambda _: next(replaced)))
    objective = mixture.log_prob(x).sum() + given.log_prob(mixture)
    slopes = torch.autograd.grad(objective, inputs)
    slopes = [s.tril() if s.ndim == 3 else s for s in slopes]
    assert all(s.abs().max() < 2e-4 * len(x) for s in slopes), [s.abs().max().item() for s in slopes]


def test_prior_density_equals_scipy():
    x = groups()
    given = prior(x).components
    components = mx.Gaussian(tensor([0.5, 1.0, -2.0]), mx.Full(matrices(1)))
    expected = scipy.stats.invwishart(df=given.degrees, scale=given.scale.numpy()).logpdf(matrices().numpy())
    normal = torch.distributions.MultivariateNormal(given.mean, matrices() / given.strength)
    expected = expected + normal.log_prob(components.mean[0])
    assert_close(given.log_prob(components), expected, 1e-9)


@pytest.mark.parametrize("covariance", CONJUGATE)
def test_improper_priors_have_a_mode_given_rows(covariance):
    """Without pseudo-rows and with a scale matrix of zeros only the divisor changes."""
    x = groups()
    given = mx.Prior(1.0, mx.NormalInverseWishart(torch.zeros(3), 0.0, torch.zeros(3, 3), 4.0))
    fit = mx.fit(x, 1, covariance, mx.EM(20, 0, given))
    plain = mx.fit(x, 1, covariance)
    assert_close(fit.mixture.covariance, plain.mixture.covariance * 300 / (300 + 4 + 3 + 2), 1e-10)


def test_dirichlet_prior_on_weights():
    """With groups far apart the weights are the mode of a Dirichlet posterior."""
    x = torch.cat([groups(30, separation=0.0), groups(90, seed=1, separation=0.0) + 1e4])
    fit = mx.fit(x, 2, "full", mx.EM(prior=mx.Prior(concentration=5.0)), generator=generator())
    counts = tensor(30.0, 90.0)
    assert_close(fit.mixture.weights.sort().values, (counts + 4) / (counts + 4).sum(), 1e-9)


def test_a_flat_prior_is_none():
    x = groups()
    start = torch.randint(2, (len(x),), generator=generator())
    one = mx.fit(x, 2, method=mx.EM(30, 0, mx.Prior(), acceleration=False), init=start)
    other = mx.fit(x, 2, method=mx.EM(30, 0, acceleration=False), init=start)
    torch.testing.assert_close(one.trace, other.trace, rtol=1e-13, atol=0)


# -- rows


@pytest.mark.parametrize("covariance", EVERY)
def test_weights_count_rows(covariance):
    x = groups()
    weight = torch.randint(0, 4, (len(x),), generator=generator())
    start = mx.fit(x, 2, covariance, mx.EM(2), generator=generator()).mixture
    weighted = mx.fit(x, 2, covariance, mx.EM(40, 0), sample_weight=weight, init=start)
    repeated = mx.fit(x.repeat_interleave(weight, 0), 2, covariance, mx.EM(40, 0), init=start)
    same(weighted.mixture, repeated.mixture, 1e-6 if "rank" in covariance else 1e-8)  # roots of small eigenvalues
    for name in ("log_likelihood", "aic", "bic", "icl"):
        assert abs(getattr(weighted, name) / getattr(repeated, name) - 1) < 1e-9


@pytest.mark.parametrize("far", [1.0, 1e12, 1e200])
def test_rows_of_weight_zero_are_inert(far):
    """They change no start, no step and no criterion, wherever they lie."""
    x = groups()
    inert = torch.randn(50, 3, generator=generator(5), dtype=torch.float64) * far
    more = torch.cat([inert[:20], x, inert[20:]])
    weight = torch.cat([torch.zeros(20), torch.ones(len(x)), torch.zeros(30)])
    one = mx.fit(x, 2, sample_weight=torch.ones(len(x)), generator=generator(), method=EXACT)
    two = mx.fit(more, 2, sample_weight=weight, generator=generator(), method=EXACT)
    same(one.mixture, two.mixture, 1e-9)
    assert abs(one.bic - two.bic) < 1e-8 and abs(one.icl - two.icl) < 1e-6


def test_the_size_of_blocks_does_not_matter():
    x, weight = groups(), torch.rand(300, generator=generator(), dtype=torch.float64)
    start = torch.randint(2, (len(x),), generator=generator())
    whole = mx.fit(TensorRows(x, weight), 2, init=start, method=mx.EM(30, 0, acceleration=False))
    for size in (7, 64, 299):
        small = mx.fit(blocks_of(x, weight, size), 2, init=start, method=mx.EM(30, 0, acceleration=False))
        assert_close(small.trace, whole.trace, 1e-12)
        same(small.mixture, whole.mixture, 1e-10)


def test_the_order_of_rows_does_not_matter():
    x, weight = groups(), torch.rand(300, generator=generator(), dtype=torch.float64)
    start, order = torch.randint(2, (300,), generator=generator()), torch.randperm(300, generator=generator())
    one = mx.fit(x, 2, init=start, sample_weight=weight, method=mx.EM(30, 0))
    two = mx.fit(x[order], 2, init=start[order], sample_weight=weight[order], method=mx.EM(30, 0))
    same(one.mixture, two.mixture, 1e-10)


def test_the_unit_of_the_weights_does_not_matter():
    x, weight = groups(), torch.rand(300, generator=generator(), dtype=torch.float64)
    one, two = (mx.fit(x, 2, sample_weight=w, generator=generator(), method=EXACT) for w in (weight, 1e-6 * weight))
    same(one.mixture, two.mixture, 1e-6)


@pytest.mark.parametrize("covariance", ["full", "tied-full", "diagonal", "tied-diagonal"])
def test_units_of_the_columns_do_not_matter(covariance):
    """A column in other units and with another origin: the same fit from the same generator."""
    x, unit, origin = groups(), tensor(1e4, 1e-3, 7.0), tensor(100.0, -5.0, 2e3)
    one = mx.fit(x, 2, covariance, EXACT, generator=generator())
    two = mx.fit(x * unit + origin, 2, covariance, EXACT, generator=generator())
    same(one.mixture.affine(torch.diag(unit), origin), two.mixture, 1e-5)
    assert abs(one.log_likelihood - two.log_likelihood - len(x) * unit.log().sum().item()) < 1e-6


def test_float32_far_from_zero():
    """Mean 1e6 and unit scale in single precision, where x*x has no digits left."""
    for seed in range(5):
        rng = generator(seed)
        clean = torch.cat([torch.randn(400, 2, generator=rng), torch.randn(600, 2, generator=rng) + 8])
        x = clean + 1e6  # rounds to sixteenths
        fit = mx.fit(x, 2, generator=rng)
        assert fit.mixture.dtype == torch.float32 and fit.converged
        exact = mx.fit(x.double() - 1e6, 2, generator=generator(seed), method=EXACT).mixture
        found = fit.mixture.to(torch.float64).affine(torch.eye(2), -1e6 * torch.ones(2))
        same(found, exact, 0.05)
        assert_close(found.order().weights, exact.order().weights, 1e-3)


# -- against scikit-learn


KINDS = {"full": "full", "diagonal": "diag", "spherical": "spherical", "tied-full": "tied"}


@pytest.mark.parametrize("covariance", KINDS)
def test_one_step_equals_scikit_learn(covariance):
    x = groups()
    start = mx.fit(x, 3, covariance, mx.EM(3), generator=generator()).mixture
    dense = start.components.covariance
    precision = torch.linalg.inv(dense)
    shaped = {
        "full": precision, "tied-full": precision[0],
        "diagonal": precision.diagonal(dim1=-2, dim2=-1), "spherical": precision[:, 0, 0],
    }[covariance]  # fmt: skip
    other = GaussianMixture(
        3, covariance_type=KINDS[covariance], reg_covar=0, max_iter=5, tol=0, weights_init=start.weights.numpy(),
        means_init=start.components.mean.numpy(), precisions_init=shaped.numpy(),
    )  # fmt: skip
    with pytest.warns(Warning, match="did not converge"):
        other.fit(x.numpy())
    fit = mx.fit(x, 3, covariance, mx.EM(5, 0, acceleration=False), init=start)
    assert_close(fit.mixture.components.mean, torch.from_numpy(other.means_), 1e-9)
    assert_close(fit.mixture.weights, torch.from_numpy(other.weights_), 1e-9)
    assert abs(fit.trace[-1] - other.score(x.numpy())) < 1e-9
    assert abs(fit.bic - other.bic(x.numpy())) < 1e-6 and abs(fit.aic - other.aic(x.numpy())) < 1e-6
    assert_close(fit.mixture.responsibilities(x), torch.from_numpy(other.predict_proba(x.numpy())), 1e-8)


# -- starts


@pytest.mark.parametrize("init", [KMeansPlusPlus(), KMeansStart(), MixedStart(), RandomRows(), None])
def test_initialisers_find_separate_groups(init):
    centres = tensor([0.0, 0.0], [30.0, 0.0], [0.0, 30.0], [30.0, 30.0])
    x = (centres + torch.randn(50, 4, 2, generator=generator(), dtype=torch.float64)).reshape(-1, 2)
    fit = mx.fit(x, 4, init=init, generator=generator())
    nearest = torch.cdist(centres, fit.mixture.components.mean)
    assert bool((nearest.amin(1) < 0.7).all()) and len(set(nearest.argmin(1).tolist())) == 4


def test_gradients_of_rows_and_starts_are_not_recorded():
    x, weight = groups().requires_grad_(), torch.ones(300).requires_grad_()
    start = mx.fit(x, 2, sample_weight=weight, generator=generator()).mixture
    assert not start.components.requires_grad() and not start.logits.requires_grad
    leaf = start.map(lambda t: t.clone().requires_grad_())
    for init in (leaf, leaf.components.mean):
        again = mx.fit(x, init=init, method=mx.EM(2)).mixture
        assert not again.components.requires_grad()


def test_given_starts_are_used():
    x = groups()
    labels = torch.randint(2, (len(x),), generator=generator())
    by_labels = mx.fit(x, init=labels, method=mx.EM(1, 0))
    for kind in (labels.numpy(), labels.int(), labels.tolist(), labels.bool()):
        assert torch.equal(mx.fit(x, init=kind, method=mx.EM(1, 0)).trace, by_labels.trace)
    assert mx.fit(x, init=x[:4], method=mx.EM(1, 0)).mixture.logits.shape == (4,)
    mixture = by_labels.mixture
    again = mx.fit(x, init=mixture, method=mx.EM(1, 0))
    assert abs(again.trace[0] - by_labels.trace[-1]) < 1e-12
    numbers = mx.fit(x[:, 0], init=tensor(-1.0, 4.0), method=mx.EM(1, 0))
    assert numbers.mixture.event_shape == () and numbers.mixture.logits.shape == (2,)


@pytest.mark.parametrize("initialiser", [KMeansPlusPlus(), RandomRows(), KMeansStart(), MixedStart()])
def test_initialisers_look_at_rows_by_weight(initialiser):
    """Rows of weight zero are no centres and pull none; a heavy row is a centre in nearly every restart."""
    x = torch.cat([torch.randn(60, 2, generator=generator(), dtype=torch.float64), torch.full((5, 2), 50.0).double()])
    counts = torch.cat([torch.ones(60), torch.zeros(5)]).double()
    centres = initialiser(x, counts, 3, 40, generator())
    assert centres.shape == (40, 3, 2) and bool((centres < 10).all())
    heavy = counts.index_fill(0, torch.tensor([7]), 1e9)
    nearest = torch.cdist(initialiser(x, heavy, 1, 40, generator()), x[7:8]).squeeze()
    assert bool((nearest < 1e-6).all())


def test_means_own_the_rows_that_are_nearest():
    """In columns of unequal scales, one step from the right centres is at the groups."""
    centres = tensor([0.0, 0.0], [9.0, 0.0], [0.0, 900.0])
    scatter = torch.randn(40, 3, 2, generator=generator(), dtype=torch.float64) * tensor(1.0, 100.0)
    x = (centres + scatter).reshape(-1, 2)
    fit = mx.fit(x, init=centres, method=mx.EM(1, 0))
    assert bool((fit.mixture.assign(x) == torch.arange(120) % 3).double().mean() > 0.97)
    assert bool(((fit.mixture.components.mean - centres).abs() < tensor(1.0, 100.0)).all())


def test_going_on_from_a_fit_is_the_same_as_not_stopping():
    x = groups()
    labels = torch.randint(2, (len(x),), generator=generator())
    first = mx.fit(x, init=labels, method=mx.EM(10, 0))
    then = mx.fit(x, init=first.mixture, method=mx.EM(10, 0))
    whole = mx.fit(x, init=labels, method=mx.EM(20, 0))
    assert_close(torch.cat([first.trace, then.trace[1:]]), whole.trace, 1e-12)


def test_kmeans_takes_the_means_of_a_mixture():
    x = groups()
    mixture = mx.fit(x, 2, generator=generator()).mixture
    one = mx.fit(x, init=mixture, method=mx.KMeans())
    two = mx.fit(x, init=mixture.components.mean, method=mx.KMeans())
    assert_close(one.mixture.components.mean, two.mixture.components.mean, 1e-9)


def test_more_restarts_never_hurt_much_and_all_are_reported():
    x = groups()
    fit = mx.fit(x, 4, restarts=8, generator=generator())
    ends = [one.objective for one in fit.restarts]
    assert len(ends) >= 2 and ends == sorted(ends, reverse=True) and ends[0] == fit.trace[-1]


def test_the_same_generator_gives_the_same_fit():
    x = groups(rows=12_000)
    one, two = (mx.fit(x, 3, method=mx.EM(30), generator=generator(4)) for _ in range(2))
    assert torch.equal(one.trace, two.trace) and torch.equal(one.mixture.weights, two.mixture.weights)
    before = torch.random.get_rng_state()
    mx.fit(groups(), 2, generator=generator())
    assert torch.equal(torch.random.get_rng_state(), before)


def test_the_default_leaves_poor_optima():
    """Nine groups, one run from random rows is nearly always wrong; the default is right for every seed."""
    centres = torch.cartesian_prod(torch.arange(3.0), torch.arange(3.0)).double() * 6
    for seed in range(5):
        x = (centres + torch.randn(40, 9, 2, generator=generator(seed), dtype=torch.float64)).reshape(-1, 2)
        fit = mx.fit(x, 9, "spherical", generator=generator(seed))
        assert bool((torch.cdist(centres, fit.mixture.components.mean).amin(1) < 1).all())


# -- how it ends


def test_parameters_are_recovered_at_the_statistical_rate():
    truth = mx.Mixture(tensor(0.4, 0.6), mx.Normal(tensor(-2.0, 3.0), tensor(1.0, 0.5)))
    errors = []
    for seed in range(40):
        x = truth.sample((500,), generator(seed))
        found = mx.fit(x, 2, method=EXACT, generator=generator(seed), restarts=4).mixture
        errors.append(found.order(found.components.mean).components.mean - truth.components.mean)
    z = torch.stack(errors) * (500 * truth.weights).sqrt() / truth.components.scale
    assert_z(z, torch.zeros(2, dtype=torch.float64), "the error of the means")
    assert bool((z.var(0) < 2.2).all()) and bool((z.var(0) > 0.4).all())


def test_interruption_keeps_the_best():
    x = groups()

    class Impatient(TensorRows):
        passes = 0

        def blocks(self, size):
            self.passes += 1
            if self.passes > 30:
                raise KeyboardInterrupt
            return super().blocks(size)

    fit = mx.fit(Impatient(x), 3, init=x[:3], method=mx.EM(tolerance=1e-15))
    assert fit.reason is Reason.INTERRUPTED and not fit.converged and len(fit.trace) > 5
    assert_close(expect_of(fit.mixture, x), fit.trace[-1], 1e-10)
    assert "give it as `init`" in fit.advice


def expect_of(mixture, x):
    return expect(mixture, TensorRows(x), soft).log_likelihood / len(x)


@pytest.mark.parametrize("stage", ["short", "long"])
def test_interruption_of_restarts_keeps_the_best(stage):
    x = groups()
    limit = {"short": 5, "long": 14}[stage]

    class Impatient(mx.EM):
        calls = [0]

        def update(self, *arguments):
            self.calls[0] += 1
            if self.calls[0] > limit:
                raise KeyboardInterrupt
            return super().update(*arguments)

    fit = mx.fit(x, 3, init=KMeansPlusPlus(), method=Impatient(tolerance=1e-15), generator=generator())
    assert fit.reason is Reason.INTERRUPTED
    assert_close(expect_of(fit.mixture, x), fit.trace[-1], 1e-10)


def test_collapse_is_a_reason_with_advice():
    x = groups(40)
    x[:5] = 1e3
    labels = (torch.arange(40) >= 5).long()
    fit = mx.fit(x, init=labels, method=mx.EM())
    assert fit.reason is Reason.COLLAPSED and not fit.converged
    assert "Component 0 holds 5 rows" in fit.advice and "Add a prior" in fit.advice
    assert bool(fit.mixture.log_prob(x).isfinite().all())
    held = mx.fit(x, init=labels, method=mx.EM(prior=mx.Prior.weak(x, 2)))
    assert held.converged


@pytest.mark.parametrize("covariance", EVERY)
def test_a_component_that_loses_all_rows_is_named(covariance):
    x = groups(60)
    mean = torch.stack([x.mean(0), x.mean(0) + 1e9])
    matrix = torch.eye(3, dtype=torch.float64)
    structure = mx.components.structure(covariance)
    spread = matrix.expand(1 if structure.tied else 2, 3, 3)
    start = mx.Mixture(torch.ones(2), mx.Gaussian(mean, structure.with_covariance(spread)))
    fit = mx.fit(x, init=start)
    assert fit.reason is Reason.COLLAPSED and "Component 1 holds 0 rows" in fit.detail


def test_a_fall_is_a_reason():
    class Worse(mx.EM):
        def update(self, statistics, mixture):
            better = super().update(statistics, mixture)
            return mx.Mixture._of(better.logits.flip(-1), better.components)

    labels = (torch.arange(300) % 5 == 0).long()
    fit = mx.fit(groups(), init=labels, method=Worse(tolerance=0))
    assert fit.reason is Reason.FELL and "It fell by" in fit.advice
    assert_close(expect_of(fit.mixture, groups()), fit.trace.max(), 1e-10)


def test_an_infinite_objective_is_a_reason():
    x = groups()
    start = mx.Mixture(torch.ones(1), mx.Gaussian(tensor([1e200, 0.0, 0.0]), mx.Spherical(tensor(1e-200))))
    fit = mx.fit(x, init=start)
    assert fit.reason is Reason.NOT_FINITE and not fit.converged
    assert "too far" in fit.advice and "not_finite" in repr(fit)


def test_running_out_of_iterations_is_a_reason():
    fit = mx.fit(groups(), init=groups()[:3], method=mx.EM(2, 1e-14))
    assert fit.reason is Reason.MAX_ITERATIONS and "max_iterations" in fit.advice and fit.iterations == 2


def test_progress_reports_every_iteration():
    seen = []
    from mixtura.learning.loop.run import run

    x = groups()
    start = mx.fit(x, 2, method=mx.EM(1), generator=generator()).mixture.map(lambda t: t.unsqueeze(0))
    (one,) = run(mx.EM(5, 0), TensorRows(x), start, torch.zeros(3), lambda i, objective: seen.append((i, objective)))
    assert [i for i, _ in seen] == list(range(6)) and [o for _, o in seen] == one.trace
    mx.fit(x, 2, progress=True, generator=generator())


def test_rows_are_read_once_an_iteration_for_all_restarts():
    class Counted(TensorRows):
        passes = 0

        def blocks(self, size):
            type(self).passes += 1
            return super().blocks(size)

    rows: Rows = Counted(groups())
    fit = mx.fit(rows, 3, init=KMeansPlusPlus(), restarts=16, method=mx.EM(50, 0), generator=generator())
    assert fit.restarts[0].found > 1
    assert Counted.passes <= 100


def test_random_rows_at_nearly_one_place_are_one_centre():
    """Centres closer than rounding would never part; where there are fewer places than components, all are taken."""
    x = torch.tensor([[0.0], [1e-12], [2e-12], [5.0], [9.0]]).double()
    weight = torch.tensor([1e6, 1e6, 1e6, 1.0, 1.0]).double()
    centres = RandomRows()(x, weight, 3, 20, torch.Generator().manual_seed(0))
    assert centres.shape == (20, 3, 1) and (centres.sort(1).values.diff(dim=1) > 1).all()
    few = RandomRows()(x[:4], weight[:4], 3, 20, torch.Generator().manual_seed(0))
    assert (few.amax(1) - few.amin(1) > 1).all()
