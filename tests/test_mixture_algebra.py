"""Marginals, conditionals, images, noise, products and reduction: each is a statement about densities or draws."""

import pytest
import torch
from tables import FAMILIES, GAUSSIANS, NORMALS, tensor

import mixtura as mx
from mixtura.testing import integrate
from mixtura.testing.contract import assert_close, assert_z

WEIGHTS = {2: tensor(0.3, 0.7), 3: tensor(0.2, 0.5, 0.3)}


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def mixture_of(components):
    return mx.Mixture(WEIGHTS[components.batch_shape[-1]], components)


@pytest.fixture(params=GAUSSIANS)
def mixture(request):
    return mixture_of(GAUSSIANS[request.param])


@pytest.fixture(params=NORMALS)
def normal(request):
    return mixture_of(NORMALS[request.param])


@pytest.mark.parametrize("known", [[0], [2], [1, 2], [2, 0]])
def test_marginal_and_condition_factor_the_density(mixture, known):
    free = [d for d in range(3) if d not in known]
    x = mixture.sample((8,), generator())
    joint = mixture.log_prob(x)
    conditional = mixture.condition(known, x[:, known])
    assert conditional.batch_shape == (8,)
    assert_close(mixture.marginal(known).log_prob(x[:, known]) + conditional.log_prob(x[:, free]), joint, 1e-10)


def test_condition_keeps_the_order_of_marginals(mixture):
    x = mixture.sample((5,), generator())
    there = mixture.condition([2, 0], x[:, [2, 0]])
    back = mixture.condition([0, 2], x[:, [0, 2]])
    assert_close(there.mean, back.mean, 1e-10)
    assert_close(
        mixture.marginal([2, 0]).log_prob(x[:, [2, 0]]), mixture.marginal([0, 2]).log_prob(x[:, [0, 2]]), 1e-10
    )


def test_condition_of_batches(mixture):
    batch = mixture.expand((4,))
    values = torch.randn(6, 4, 1, generator=generator(), dtype=torch.float64)
    found = batch.condition([1], values)
    assert found.batch_shape == (6, 4)
    alone = mixture.condition([1], values[2, 3])
    assert_close(found.batch(2).batch(3).covariance, alone.covariance, 1e-12)
    assert_close(found.mean[2, 3], alone.mean, 1e-12)


def test_marginal_is_the_integral_over_the_rest(mixture):
    x = mixture.sample((1,), generator())[0]

    def slice_density(y):
        rows = torch.cat([x[:2].expand(len(y), 2), y], -1)
        return mixture.log_prob(rows).exp()

    total = integrate(slice_density, mixture.support, mixture.mean[2:], mixture.variance[2:].sqrt())
    assert_close(total, mixture.marginal([0, 1]).log_prob(x[:2]).exp(), 1e-8)


def test_published_conditions():
    means = tensor([0.0, 1.0], [1.0, 2.0])
    equal = mx.Mixture(torch.ones(2), mx.Gaussian(means, torch.eye(2, dtype=torch.float64).expand(2, 2, 2)))
    expected = 1 + torch.exp(tensor(-0.5)) / (1 + torch.exp(tensor(-0.5)))
    assert_close(equal.condition(0, tensor(0.0)).mean, expected, 1e-12)
    assert abs(expected.item() - 1.37754067) < 5e-9
    covariances = tensor([[0.5, -1.0], [-1.0, 5.0]], [[5.0, 1.0], [1.0, 0.5]])
    crossed = mx.Mixture(torch.ones(2), mx.Gaussian(tensor([0.0, 1.0], [2.0, -1.0]), covariances))
    first = crossed.condition([1], tensor(1.0)).components.take([0])
    second = crossed.condition([0], tensor(2.0)).components.take([1])
    assert_close(torch.stack([first.mean.squeeze(), first.variance.squeeze()]), tensor(0.0, 0.3), 1e-12)
    assert_close(torch.stack([second.mean.squeeze(), second.variance.squeeze()]), tensor(-1.0, 0.3), 1e-12)


def test_affine_image_by_change_of_variables(mixture):
    matrix, offset = tensor([1.0, 2.0, 0.0], [0.0, -1.0, 0.5], [0.3, 0.0, 2.0]), tensor(1.0, -2.0, 3.0)
    x = mixture.sample((9,), generator())
    image = mixture.affine(matrix, offset)
    logdet = torch.linalg.slogdet(matrix).logabsdet
    assert_close(image.log_prob(x @ matrix.mT + offset), mixture.log_prob(x) - logdet, 1e-10)


def test_projection_is_what_draws_are(mixture):
    matrix = tensor([1.0, -2.0, 0.5], [0.0, 1.0, 1.0])
    image, y = mixture.affine(matrix), mixture.sample((40_000,), generator()) @ matrix.mT
    assert_z(y, image.mean, "the mean")
    gap = y - image.mean
    assert_z(gap.unsqueeze(-1) * gap.unsqueeze(-2), image.covariance, "the covariance")
    select = torch.eye(3, dtype=torch.float64)[[2, 0]]
    x = mixture.marginal([2, 0]).sample((5,), generator())
    assert_close(mixture.affine(select).log_prob(x), mixture.marginal([2, 0]).log_prob(x), 1e-10)


def test_affine_and_noise_of_numbers(normal):
    x = torch.linspace(-4, 6, 11, dtype=torch.float64)
    assert_close(
        normal.affine(-2.5, 1.0).log_prob(-2.5 * x + 1), normal.log_prob(x) - torch.tensor(2.5).double().log(), 1e-12
    )
    noisy = normal.convolve(0.1)
    expected = integrate(
        lambda e: (
            normal.log_prob(x - e.unsqueeze(-1)).exp()
            * torch.distributions.Normal(tensor(0.0), tensor(0.1).sqrt()).log_prob(e.unsqueeze(-1)).exp()
        ),
        normal.support,
        tensor(0.0).squeeze(),
        tensor(0.1).sqrt().squeeze(),
    )
    assert_close(noisy.log_prob(x).exp(), expected, 1e-9)


def test_noise_adds_to_draws_and_undoes_nothing_else(mixture):
    noise = tensor([2.0, 0.5, 0.0], [0.5, 1.0, 0.0], [0.0, 0.0, 0.0])
    noisy = mixture.convolve(noise)
    assert_close(noisy.mean, mixture.mean, 1e-12)
    assert_close(noisy.covariance, mixture.covariance + noise, 1e-12)
    assert noisy.components.structure.tied == mixture.components.structure.tied
    x = mixture.sample((6,), generator())
    assert_close(noisy.marginal([2]).log_prob(x[:, 2:]), mixture.marginal([2]).log_prob(x[:, 2:]), 1e-10)


def test_observed_images_commute_with_noise(mixture):
    matrix, noise = tensor([1.0, 2.0, 0.0], [0.0, -1.0, 0.5]), torch.diag(tensor(0.5, 2.0, 0.3))
    one = mixture.convolve(noise).affine(matrix)
    two = mixture.affine(matrix).convolve(matrix @ noise @ matrix.mT)
    x = one.sample((5,), generator())
    assert_close(one.log_prob(x), two.log_prob(x), 1e-10)


def test_product_is_the_product_of_densities(mixture):
    other = mixture_of(GAUSSIANS["full"].take([1, 0])).affine(0.7 * torch.eye(3, dtype=torch.float64))
    product, x = mixture.product(other), mixture.sample((7,), generator())
    expected = mixture.log_prob(x) + other.log_prob(x) - mixture.overlap(other)
    assert product.logits.shape == (4,)
    assert_close(product.log_prob(x), expected, 1e-9)
    assert_close(product.covariance, other.product(mixture).covariance, 1e-9)


def test_overlap_of_numbers_equals_quadrature(normal):
    other = mx.Mixture(tensor(0.6, 0.4), mx.Normal(tensor(0.0, 1.0), tensor(0.8, 2.0)))
    exact = integrate(
        lambda x: (normal.log_prob(x) + other.log_prob(x)).exp(), normal.support, normal.mean, normal.variance.sqrt()
    )
    assert_close(normal.overlap(other).exp(), exact, 1e-9)


@pytest.mark.parametrize("components", [1, 2, 3, 4])
def test_reduction_keeps_mean_and_covariance(components):
    mixture = mixture_of(GAUSSIANS["full"]).product(mixture_of(GAUSSIANS["tied-diagonal"]))
    reduced = mixture.reduce(components)
    assert reduced.logits.shape == (components,)
    assert_close(reduced.mean, mixture.mean, 1e-10)
    assert_close(reduced.covariance, mixture.covariance, 1e-10)


def test_reduction_merges_what_is_equal_first_and_handles_batches():
    mixture = mx.Mixture(tensor(0.2, 0.3, 0.1, 0.4), mx.Normal(tensor(0.0, 5.0, 0.0, 5.0), tensor(1.0, 2.0, 1.0, 2.0)))
    x = torch.linspace(-3, 8, 30, dtype=torch.float64)
    assert_close(mixture.reduce(2).log_prob(x), mixture.log_prob(x), 1e-12)
    batch = mixture.expand((3,)).reduce(2)
    assert batch.batch_shape == (3,)
    assert_close(batch.batch(1).log_prob(x), mixture.log_prob(x), 1e-12)


def test_reduction_with_zero_weights_has_finite_gradients():
    weights = tensor(0.0, 0.0, 0.5, 0.5).requires_grad_()
    mixture = mx.Mixture(weights, mx.Normal(tensor(0.0, 1.0, 2.0, 3.0), tensor(1.0, 1.5, 2.0, 0.5)))
    mixture.reduce(2).variance.backward()
    assert bool(weights.grad.isfinite().all())


def test_algebra_is_differentiable():
    def density(mean, root, weights):
        full = mx.Full(root @ root.mT + torch.eye(3, dtype=torch.float64))
        mixture = mx.Mixture(weights, mx.Gaussian(mean, full))
        conditional = mixture.condition([1], tensor(0.4))
        image = conditional.affine(tensor([1.0, 2.0], [0.0, 1.0])).convolve(torch.eye(2, dtype=torch.float64))
        return image.product(image).reduce(2).log_prob(tensor(0.3, -0.2))

    rng = generator()
    mean = torch.randn(2, 3, generator=rng, dtype=torch.float64, requires_grad=True)
    root = torch.randn(2, 3, 3, generator=rng, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(density, [mean, root, tensor(0.4, 0.6).requires_grad_()], atol=1e-6)


def test_order_sorts_by_weight():
    mixture = mixture_of(NORMALS["normal"]).order()
    assert bool((mixture.weights.diff() <= 0).all())
    x = torch.linspace(-3, 5, 9, dtype=torch.float64)
    assert_close(mixture.log_prob(x), mixture_of(NORMALS["normal"]).log_prob(x), 1e-12)


# -- what is refused, and in which words


REFUSED = {
    "weights negative": (
        lambda m: mx.Mixture(tensor(-0.1, 1.1), m.components),
        "`weights` must be non-negative and finite",
    ),
    "weights NaN": (lambda m: mx.Mixture(tensor(float("nan"), 1.0), m.components), "`weights` must be non-negative"),
    "weights zero": (lambda m: mx.Mixture(tensor(0.0, 0.0), m.components), "`weights` must be positive somewhere"),
    "weights length": (lambda m: mx.Mixture(tensor(0.2, 0.3, 0.5), m.components), r"`weights` must be of shape \(2,\)"),
    "both": (
        lambda m: mx.Mixture(tensor(0.5, 0.5), m.components, logits=m.logits),
        "Give either `weights` or `logits`",
    ),
    "neither": (lambda m: mx.Mixture(components=m.components), "Give either `weights` or `logits`"),
    "logits infinite": (
        lambda m: mx.Mixture(logits=tensor(0.0, torch.inf), components=m.components),
        "`logits` must be",
    ),
    "no components": (lambda m: mx.Mixture(tensor(1.0)), "`components` must be a component family"),
    "K = 0": (lambda m: mx.Mixture(torch.ones(0), mx.Normal(torch.ones(0), torch.ones(0))), "K at least 1"),
    "rows": (lambda m: m.log_prob(torch.zeros(4, 2)), r"`x` must be rows with shape \(\.\.\., 3\)"),
    "dims far": (lambda m: m.marginal([3]), "`dims` must be coordinates between 0 and 2"),
    "dims twice": (lambda m: m.marginal([1, -2]), "`dims` must be different coordinates"),
    "dims all": (lambda m: m.condition([0, 1, 2], torch.zeros(3)), "`dims` must be some, but not all, of 3"),
    "values": (lambda m: m.condition([0, 1], torch.zeros(3)), r"`values` must be of shape \(\.\.\., 2\)"),
    "matrix shape": (lambda m: m.affine(torch.eye(2)), r"`matrix` must be of shape \(..., rows, 3\)"),
    "matrix rank": (lambda m: m.affine(torch.ones(2, 3)), "`matrix` must be of full row rank"),
    "offset": (lambda m: m.affine(torch.eye(3), torch.zeros(2)), r"`offset` must be of shape \(3,\)"),
    "noise shape": (lambda m: m.convolve(torch.eye(2)), r"`covariance` must be of shape \(3, 3\)"),
    "noise negative": (lambda m: m.convolve(-1e3 * torch.eye(3)), "`covariance` must be positive semi-definite"),
    "other": (lambda m: m.product(mixture_of(NORMALS["normal"])), "`other` must be a mixture of Gaussians"),
    "reduce": (lambda m: m.reduce(3), "`components` must be between 1 and 2"),
    "order": (lambda m: m.expand((2,)).order(), "a single mixture"),
    "set": (lambda m: setattr(m, "logits", m.logits), "A Mixture is immutable: `logits` cannot be set"),
    "mean": (
        lambda m: mx.Gaussian(torch.zeros(2), mx.Full(torch.eye(2)[None])),
        r"`mean` must be a floating point tensor \(\.\.\., K, D\)",
    ),
    "mean NaN": (lambda m: mx.Gaussian(torch.full((1, 2), torch.nan), torch.eye(2)[None]), "`mean` must be finite"),
    "template": (lambda m: mx.Gaussian(torch.zeros(1, 2), mx.Full()), "`covariance` must be a structure with values"),
    "covariance shape": (
        lambda m: mx.Gaussian(torch.zeros(2, 2), torch.eye(3).expand(2, 3, 3)),
        "`covariance` must be",
    ),
    "covariance dtype": (
        lambda m: mx.Gaussian(torch.zeros(1, 2), torch.eye(2).double()[None]),
        "`covariance` must be of the means' type",
    ),
    "indefinite": (
        lambda m: mx.Full(tensor([[1.0, 2.0], [2.0, 1.0]])),
        r"positive definite; the matrix at index \[0\] has smallest eig",
    ),
    "asymmetric": (lambda m: mx.Full(tensor([[1.0, 0.5], [0.0, 1.0]])), "`covariance` must be symmetric"),
    "not square": (lambda m: mx.Full(torch.zeros(1, 2, 3)), "`covariance` must be square matrices"),
    "variance": (
        lambda m: mx.Diagonal(tensor([1.0, 0.0])),
        r"`variance` must be positive and finite; got 0 at index \[0, 1\]",
    ),
    "scale": (
        lambda m: mx.Normal(tensor(0.0), tensor(-1.0)),
        r"`scale` must be positive and finite \(a standard deviation\)",
    ),
    "scale_tril": (lambda m: mx.Full.from_scale_tril(-torch.eye(2)[None]), "`scale_tril` must be lower triangular"),
    "name": (lambda m: mx.components.structure("fulll"), "`covariance` must be a structure or one of full, diagonal"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_values_are_refused(case):
    act, message = REFUSED[case]
    with pytest.raises((mx.errors.MixtureError, AttributeError), match=message):
        act(mixture_of(GAUSSIANS["full"]))


@pytest.mark.parametrize("operation", ["marginal", "condition", "affine", "convolve", "product", "rsample", "reduce"])
def test_families_without_a_closed_form_say_so(operation):
    gamma = mixture_of(FAMILIES["torch-gamma"])
    vectors = mixture_of(FAMILIES["torch-independent"])
    acts = {
        "marginal": lambda: vectors.marginal([0]),
        "condition": lambda: vectors.condition([0], tensor(0.0)),
        "affine": lambda: gamma.affine(2.0),
        "convolve": lambda: gamma.convolve(2.0),
        "product": lambda: gamma.product(gamma),
        "rsample": lambda: gamma.rsample((2,)),
        "reduce": lambda: gamma.reduce(1),
    }
    with pytest.raises(NotImplementedError, match="TorchComponent components have no closed"):
        acts[operation]()
