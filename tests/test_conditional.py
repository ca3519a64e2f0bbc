"""Networks that return mixtures: shapes, starts at a clustering, extremes, and what is refused."""

import math

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

import mixtura as mx
from mixtura.conditional import GMM, MixtureDensityNetwork
from mixtura.errors import MixtureError, NotClosedForm

STRUCTURES = ["full", "diagonal", "spherical", "lowrank"]
CENTRES = {
    "kmeans": mx.learning.KMeansStart(),
    "kmeans++": mx.learning.KMeansPlusPlus(),
    "random": mx.learning.RandomRows(),
}


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def two_groups(rows=300):
    x = torch.randn(rows, 3, generator=seeded(1), dtype=torch.float64) * torch.tensor([1.0, 10.0, 0.1])
    x[: rows // 3] += torch.tensor([6.0, 0.0, 1.0])
    return x


# -- what it returns


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("covariance", STRUCTURES)
@pytest.mark.parametrize("batch", [(), (4,), (2, 3)])
def test_a_mixture_has_the_batch_shape_of_its_contexts(covariance, tied, batch):
    gmm = GMM(3, 5, components=2, covariance_type=covariance, tied=tied)
    mixture = gmm(torch.randn(*batch, 5))
    assert mixture.batch_shape == batch and mixture.event_shape == (3,)
    assert mixture.components.covariance.shape == (*batch, 2, 3, 3)
    assert mixture.sample((7,)).shape == (7, *batch, 3)
    assert (
        torch.equal(mixture.components.covariance[..., 0, :, :], mixture.components.covariance[..., 1, :, :])
        or not tied
    )


@pytest.mark.parametrize("covariance", STRUCTURES)
def test_one_context_of_a_batch_is_that_context_alone(covariance):
    gmm, context, x = (
        GMM(3, 5, covariance_type=covariance).double(),
        torch.randn(6, 5).double(),
        torch.randn(6, 3).double(),
    )
    whole = gmm(context).log_prob(x)
    alone = torch.stack([gmm(one).log_prob(row) for one, row in zip(context, x, strict=True)])
    torch.testing.assert_close(whole, alone)


@pytest.mark.parametrize("covariance", STRUCTURES)
@pytest.mark.parametrize("tied", [False, True])
def test_every_parameter_has_the_gradient_of_finite_differences(covariance, tied):
    gmm = GMM(2, 2, components=2, covariance_type=covariance, tied=tied, hidden_features=(3,), activation=torch.nn.Tanh)
    gmm = gmm.double()
    context, x = torch.randn(4, 2, generator=seeded()).double(), torch.randn(4, 2, generator=seeded(1)).double()
    names, values = zip(*gmm.named_parameters(), strict=True)

    def density(*parameters):
        return torch.func.functional_call(gmm, dict(zip(names, parameters, strict=True)), (context,)).log_prob(x)

    assert torch.autograd.gradcheck(density, tuple(value.detach().requires_grad_() for value in values))


def test_draws_have_pathwise_gradients_in_every_parameter():
    gmm = GMM(3, 5)
    assert gmm(torch.zeros(5)).has_rsample
    gmm(torch.randn(4, 5)).rsample((2,)).square().sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in gmm.parameters())


# -- where it begins


def of_clusters(x, labels, components, covariance, tied):
    """The mean log-density of rows under the maximum-likelihood Gaussians of given labels, by NumPy and SciPy."""
    x, labels, dims = x.numpy(), labels.numpy(), x.shape[1]
    shares = np.bincount(labels, minlength=components) / len(x)
    means = [x[labels == k].mean(0) for k in range(components)]
    matrices = [np.cov(x[labels == k].T, bias=True) for k in range(components)]
    if tied:
        matrices = [sum(share * one for share, one in zip(shares, matrices, strict=True))] * components
    shape = {
        "full": lambda m: m,
        "diagonal": lambda m: np.diag(np.diag(m)),
        "spherical": lambda m: np.trace(m) / dims * np.eye(dims),
    }[covariance]
    parts = zip(shares, means, matrices, strict=True)
    each = [np.log(share) + multivariate_normal(mean, shape(m)).logpdf(x) for share, mean, m in parts]
    return logsumexp(each, axis=0).mean()


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("covariance", STRUCTURES[:3])
@pytest.mark.parametrize("strategy", ["kmeans", "kmeans++", "random"])
def test_the_likelihood_after_a_clustering_is_that_of_the_clustering(strategy, covariance, tied):
    x, gmm = two_groups(), GMM(3, components=3, covariance_type=covariance, tied=tied, epsilon=0).double()
    start = gmm.initialize(x, strategy, generator=seeded(2))
    means = start.components.mean
    unit = x.std(0, correction=0)
    centres = {
        "kmeans": mx.learning.KMeansStart(),
        "kmeans++": mx.learning.KMeansPlusPlus(),
        "random": mx.learning.RandomRows(),
    }
    centre = centres[strategy](x / unit, torch.ones(len(x), dtype=x.dtype), 3, 1, seeded(2))[0]
    labels = torch.cdist(x / unit, centre).argmin(1)
    torch.testing.assert_close(means, torch.stack([x[labels == k].mean(0) for k in range(3)]))
    expected = of_clusters(x, labels, 3, covariance, tied)
    assert math.isclose(gmm().log_prob(x).mean().item(), expected, rel_tol=1e-9)


@pytest.mark.parametrize("covariance", STRUCTURES)
@pytest.mark.parametrize("tied", [False, True])
def test_every_context_begins_at_the_fit_of_all_rows(covariance, tied):
    x, context = two_groups(), torch.randn(300, 2, generator=seeded(3)).double()
    gmm = GMM(3, 2, components=2, covariance_type=covariance, tied=tied, epsilon=0).double()
    start = gmm.initialize(x, "em", context, seeded())
    torch.testing.assert_close(gmm(context).log_prob(x), start.log_prob(x))
    template = {"full": "full", "diagonal": "diagonal", "spherical": "spherical", "lowrank": "low-rank-1"}[covariance]
    fit = mx.fit(x, 2, covariance="tied-" * tied + template, generator=seeded())
    assert math.isclose(gmm(context).log_prob(x).mean().item(), fit.log_likelihood / 300, rel_tol=1e-6)


def test_a_cluster_of_one_row_has_the_prior_that_is_stated():
    x = torch.cat([torch.randn(50, 2, generator=seeded()), torch.tensor([[1e3, 1e3]])]).double()
    start = GMM(2, components=2).double().initialize(x, "kmeans++", generator=seeded())
    alone = start.weights.argmin()
    torch.testing.assert_close(start.components.mean[alone], x[-1])
    torch.testing.assert_close(start.components.covariance[alone], torch.diag(x.var(0, correction=0)) / 2)


def test_a_change_of_units_changes_nothing_but_the_units():
    x, unit = two_groups(), torch.tensor([1e-3, 1.0, 1e4], dtype=torch.float64)
    one, other = (GMM(3, components=3, epsilon=0).double() for _ in range(2))
    one.initialize(x, "kmeans", generator=seeded())
    other.initialize(x * unit, "kmeans", generator=seeded())
    torch.testing.assert_close(one().log_prob(x), other().log_prob(x * unit) + unit.log().sum())


# -- extremes


@pytest.mark.parametrize("covariance", STRUCTURES)
@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("far", [18.4, 1e4])
def test_extreme_numbers_give_no_nan_in_value_or_gradient(covariance, tied, dtype, far):
    """Scales of 1e-8 and 1e8 and beyond, weights of all but 0 and 1, rows on a mean and far from it."""
    if covariance == "lowrank" and far > 100:
        pytest.skip("loadings of ten thousand scales are beyond single precision")
    gmm = GMM(3, 1, components=3, covariance_type=covariance, tied=tied, epsilon=1e-9, hidden_features=(4,)).to(dtype)
    size = len(gmm.components_head.start)
    for sign in (-1, 1):
        gmm.components_head.start.copy_(sign * far * torch.linspace(-1, 1, size))
        gmm.weights_head.start.copy_(sign * torch.tensor([-1e4, 0.0, 1e4]))
        mean = gmm(torch.zeros(1, dtype=dtype)).components.mean[0].detach()
        x = torch.stack([mean, torch.zeros(3, dtype=dtype), torch.full((3,), 1e8, dtype=dtype)])
        gmm.zero_grad()
        density = gmm(torch.ones(3, 1, dtype=dtype)).log_prob(x)
        assert not density.isnan().any()
        density.sum().backward()
        assert all(not parameter.grad.isnan().any() for parameter in gmm.parameters())


def test_epsilon_is_the_least_scale():
    gmm = GMM(2, epsilon=0.5)
    gmm.components_head.start.fill_(-100.0)
    torch.testing.assert_close(gmm().components.structure.scales(2), torch.full((2, 2), 0.5))


# -- networks


def test_a_network_of_your_own_reads_contexts_of_any_shape():
    convolution = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.Flatten(), torch.nn.ReLU())
    gmm = GMM(2, (1, 8, 8), network=convolution)
    assert gmm(torch.randn(4, 3, 1, 8, 8)).batch_shape == (4, 3)
    assert gmm(torch.randn(1, 8, 8)).batch_shape == ()


@pytest.mark.parametrize("constant", ["weights", "components", None])
def test_what_is_constant_no_context_moves(constant):
    gmm = GMM(2, 3, constant=constant)
    one, other = gmm(torch.ones(3)), gmm(-torch.ones(3))
    assert torch.equal(one.logits, other.logits) == (constant == "weights")
    assert torch.equal(one.components.mean, other.components.mean) == (constant == "components")


FAMILIES = {
    "poisson": (mx.Poisson, None),
    "categorical": (mx.Categorical.template(categories=4), None),
    "student": (mx.StudentT, 2),
    "angles": (mx.VonMises, None),
    "gamma": (mx.Gamma, None),
    "torch": (torch.distributions.Gumbel, None),
    "directions": (mx.VonMisesFisher, 3),
    "mixed": (mx.Product.template((mx.Normal, [0]), (mx.Poisson, [1]), (mx.Bernoulli, [2])), None),
}


@pytest.mark.parametrize("name", FAMILIES)
def test_any_family_begins_at_its_fit_and_learns(name):
    family, features = FAMILIES[name]
    torch.manual_seed(1)
    truth = MixtureDensityNetwork(family, 2, features=features)
    context = torch.randn(400, 2)
    x = truth(context).sample()
    network = MixtureDensityNetwork(family, 2, features=features)
    start = network.initialize(x, "em", context, seeded())
    before = network(context).log_prob(x)
    torch.testing.assert_close(before, start.log_prob(x), rtol=1e-3, atol=1e-3)
    trained = network.fit(x, context, validation=(context, x), epochs=15, generator=seeded())
    assert trained.log_density > before.mean() + 0.01


EVERY = {
    "gaussian-tied": (mx.Gaussian.template(structure=mx.Full(tied=True)), 2),
    "normal": (mx.Normal, None),
    "student-number": (mx.StudentT, None),
    "log-normal": (mx.LogNormal, None),
    "gamma": (mx.Gamma, 2),
    "inverse-gamma": (mx.InverseGamma, None),
    "weibull": (mx.Weibull, None),
    "exponential": (mx.Exponential, None),
    "laplace": (mx.Laplace, 2),
    "beta": (mx.Beta, None),
    "dirichlet": (mx.Dirichlet, 3),
    "poisson": (mx.Poisson, 2),
    "negative-binomial": (mx.NegativeBinomial, None),
    "binomial": (mx.Binomial.template(total_count=5), None),
    "geometric": (mx.Geometric, None),
    "bernoulli": (mx.Bernoulli, 3),
    "multinomial": (mx.Multinomial.template(total_count=5), 3),
    "categorical": (mx.Categorical.template(categories=3), 2),
    "angles": (mx.VonMises, 2),
    "directions": (mx.VonMisesFisher, 3),
    "product": (mx.Product.template((mx.VonMisesFisher, [0, 1]), (mx.Gamma, [2]), (mx.VonMises, [3])), None),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", EVERY)
def test_every_family_is_a_targets(name, dtype):
    """One context of a batch is that context alone; each parameter is moved, by finite slopes."""
    family, features = EVERY[name]
    torch.manual_seed(1)
    network = MixtureDensityNetwork(family, 2, features=features).to(dtype)
    context = torch.randn(30, 2, dtype=dtype)
    mixture = network(context)
    x = mixture.sample().to(dtype)
    density = mixture.log_prob(x)
    assert density.shape == (30,) and density.dtype == dtype
    torch.testing.assert_close(density[7], network(context[7]).log_prob(x[7]))
    density.sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in network.parameters())
    assert all(parameter.grad.abs().sum() > 0 for parameter in network.components_head.parameters())


def test_ends_that_are_sharp_are_learned_by_no_slope():
    with pytest.raises(NotClosedForm, match="ends that are sharp"):
        MixtureDensityNetwork(mx.Uniform, 2)


# -- what is refused


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda: GMM(3, 5)(), "`context` must be a tensor"),
        (lambda: GMM(3, 5)(torch.zeros(2, 4)), "`context` must be of shape"),
        (lambda: GMM(3)(torch.zeros(2, 4)), "`context` must be None"),
        (lambda: GMM(0), "`features`"),
        (lambda: GMM(2, components=0), "`components`"),
        (lambda: GMM(2, covariance_type="round"), "full, diagonal, spherical, lowrank"),
        (lambda: GMM(2, epsilon=-1.0), "`epsilon`"),
        (lambda: GMM(2, 1, constant="means"), "`constant`"),
        (lambda: GMM(2, (1, 8, 8)), "`network`"),
        (lambda: GMM(2, 3, network=torch.nn.Unflatten(1, (1, 3))), "`network`"),
        (lambda: GMM(3, components=7).initialize(torch.randn(6, 3)), "`components` must be at most"),
        (lambda: GMM(3).initialize(torch.randn(9, 3), "best"), r"kmeans\+\+, kmeans, random, em"),
        (lambda: GMM(1).initialize(torch.tensor([[1.0], [math.nan], [2.0]])), "`x`"),
        (lambda: GMM(1, 1).initialize(torch.randn(9, 1), context=torch.full((9, 1), math.nan)), "`context`.*row 0"),
        (lambda: GMM(1, 1).fit(torch.randn(9, 1), torch.randn(8, 1)), "`context` must be one for each of the 9 rows"),
        (lambda: GMM(1, 1).fit(torch.randn(9, 1)), "`context` must be given"),
        (lambda: GMM(1, 1).fit(torch.randn(9, 2), torch.randn(9, 1)), "`x` must be rows of 1 features"),
        (lambda: GMM(1, 1).fit(torch.randn(9, 1), torch.randn(9, 1), validation=2), "`validation`"),
        (lambda: GMM(1, 1).fit(torch.randn(9, 1), torch.randn(9, 1), validation=(1,)), "`validation`.*tuple"),
        (lambda: GMM(1, 1).fit(torch.randn(9, 1), torch.randn(9, 1), epochs=0), "`epochs`"),
        (lambda: GMM(1, 1).fit(torch.randn(9, 1), torch.randn(9, 1), batch_size=0), "`batch_size`"),
        (lambda: GMM(1, 1).fit(torch.randn(9, 1), torch.randn(9, 1), early_stopping=None), "`early_stopping`"),
        (lambda: GMM(1, 1).fit(torch.randn(9, 1), torch.randn(9, 1), optimizer="adam"), "`optimizer`.*partial"),
        (lambda: GMM(1, 1).fit(torch.randn(0, 1), torch.randn(0, 1)), "`x` must be rows of 1 features; got none"),
        (lambda: GMM(1, 1).fit(torch.randn(9, 1), torch.full((9, 1), math.nan)), "`context`.*row 0"),
        (lambda: GMM(3, 5)([[0.0] * 5]), "`context` must be a tensor; got list"),
        (lambda: GMM(3, 5).initialize(torch.randn(9, 2)), "`x` must be rows of 3 features; got 2"),
        (lambda: GMM(3, 5, hidden_features=64), "`hidden_features`"),
        (lambda: GMM(3, 5, activation=torch.nn.SiLU()), "`activation`.*class"),
        (lambda: GMM(3, epsilon="small"), "`epsilon`"),
    ],
)
def test_bad_input_is_refused_in_words(wrong, words):
    with pytest.raises(MixtureError, match=words):
        wrong()


def test_structures_that_do_not_move_freely_say_so():
    with pytest.raises(NotClosedForm, match="free to move"):
        GMM(2, covariance_type=mx.components.VEV())


def test_no_contexts_have_no_mixtures():
    gmm = GMM(2, 3)
    density = gmm(torch.zeros(0, 3)).log_prob(torch.zeros(0, 2))
    assert density.shape == (0,)
    density.sum().backward()
    assert gmm(torch.zeros(4, 0, 3)).sample((2,)).shape == (2, 4, 0, 2)


def test_contexts_are_taken_in_any_precision():
    """A context in double precision, or of whole numbers, has the mixture that its like in the module's own has."""
    gmm = mx.conditional.GMM(features=1, context=2, components=2)
    context = torch.tensor([[1.0, 2.0], [3.0, -1.0]])
    for given in (context.double(), context.long()):
        torch.testing.assert_close(gmm(given).mean, gmm(context).mean)
