"""Rows that each have a mixture of their own: densities and gradients are those of matrices."""

import pytest
import torch
from torch.distributions import Independent, MixtureSameFamily, MultivariateNormal, Normal

import mixtura as mx
from mixtura.components.covariance.unit_triangle import UnitTriangle

D, K = 4, 3


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def random(*shape, seed=0):
    return torch.randn(*shape, generator=seeded(seed), dtype=torch.float64)


def spherical(rows, tied):
    return lambda scale, below: mx.Spherical(scale[..., 0].square(), tied=tied)


def diagonal(rows, tied):
    return lambda scale, below: mx.Diagonal(scale.square(), tied=tied)


def triangle(rows, tied):
    return lambda scale, below: UnitTriangle(scale, below, tied=tied)


def given(batch, tied, components=K):
    """Rows and parameters of a mixture for each of them; the scales are of many sizes."""
    shared, count = 1 if tied else components, components
    x, logits, mean = random(*batch, D), random(*batch, count, seed=1), random(*batch, count, D, seed=2)
    scale, below = random(*batch, shared, D, seed=3).exp(), random(*batch, shared, D * (D - 1) // 2, seed=4)
    return [tensor.requires_grad_() for tensor in (x, logits, mean, scale, below)]


def density(structure, x, logits, mean, scale, below):
    components = mx.Gaussian(mean, structure(scale, below), validate_args=False)
    return mx.Mixture(logits=logits, components=components, validate_args=False).log_prob(x)


def by_torch(structure, x, logits, mean, scale, below):
    """The same by torch's distributions, which share none of our code."""
    factor = structure(scale, below).full(D).given.expand(*mean.shape, D)
    weights = torch.distributions.Categorical(logits=logits)
    return MixtureSameFamily(weights, MultivariateNormal(mean, scale_tril=factor)).log_prob(x)


MANY = (3000,)  # enough for loops that are compiled, where they are


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("make", [spherical, diagonal, triangle])
@pytest.mark.parametrize("batch", [(2,), (2, 3), MANY])
def test_densities_and_gradients_are_those_of_torch(make, tied, batch):
    tensors, structure, weights = given(batch, tied), make(batch, tied), random(*batch, seed=5)
    one, other = density(structure, *tensors), by_torch(structure, *tensors)
    torch.testing.assert_close(one, other)
    slopes = [torch.autograd.grad((d * weights).sum(), tensors, materialize_grads=True) for d in (one, other)]
    torch.testing.assert_close(*slopes)


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("make", [spherical, diagonal, triangle])
@pytest.mark.parametrize("components", [1, 16, 19])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_compiled_loops_serve_any_number_of_components(make, tied, components, dtype):
    """Vectors of components, and what is left after the last whole one, beside torch's own distributions."""
    tensors, structure = given((1000,), tied, components), make((1000,), tied)
    exact = torch.autograd.grad(by_torch(structure, *tensors).sum(), tensors, materialize_grads=True)
    ours = [tensor.detach().to(dtype).requires_grad_() for tensor in tensors]
    found = torch.autograd.grad(density(structure, *ours).sum(), ours, materialize_grads=True)
    for one, other in zip(found, exact, strict=True):
        near = {torch.float32: 1e-3, torch.float64: 1e-9}[dtype] * other.abs().amax().clamp_min(1)
        assert (one.double() - other).abs().amax() <= near


@pytest.mark.parametrize("make", [spherical, diagonal, triangle])
def test_gradients_have_gradients(make):
    tensors, structure = given((2,), False), make((2,), False)
    assert torch.autograd.gradgradcheck(lambda *given: density(structure, *given), tensors)


def test_single_precision_keeps_its_digits():
    tensors, structure = given(MANY, False), triangle(MANY, False)
    single = density(structure, *(tensor.float() for tensor in tensors))
    torch.testing.assert_close(single.double(), density(structure, *tensors), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("batch", [(2,), MANY])
def test_a_gap_in_a_row_is_no_density_and_touches_no_other_row(batch):
    x, *rest = given(batch, False)
    clean = density(triangle(batch, False), x, *rest)
    x = x.detach().clone()
    x[0, 1] = torch.nan
    found = density(triangle(batch, False), x, *rest)
    assert found[0].isnan()
    torch.testing.assert_close(found[1:], clean[1:])


def test_components_that_all_rows_share_are_written_down_once():
    """Weights alone depend on the row: parameters that only repeat are not copied for each."""
    gaussian = mx.Gaussian(random(K, D), mx.Full.from_scale_tril(torch.eye(D).double().expand(K, D, D)))
    repeated = gaussian.map(lambda tensor: tensor.expand(500, *tensor.shape))
    logits, x = random(500, K), random(500, D, seed=1)
    mixture = mx.Mixture(logits=logits, components=repeated)
    each = logits.log_softmax(-1) + gaussian.log_prob(x)
    torch.testing.assert_close(mixture.log_prob(x), each.logsumexp(-1))


# -- the structure: in all that is asked of it, it is its matrices


def twins(tied=False):
    scale, below = random(2, 1 if tied else K, D, seed=3).exp(), random(2, 1 if tied else K, D * (D - 1) // 2, seed=4)
    one = UnitTriangle(scale, below, tied=tied)
    weights = torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64).expand(2, K)
    mean = random(2, K, D, seed=2)
    return [mx.Mixture(weights, mx.Gaussian(mean, structure)) for structure in (one, one.full(D))]


ASKED = {
    "covariance": lambda m: m.covariance,
    "variance": lambda m: m.variance,
    "marginal": lambda m: m.marginal([2, 0]).covariance,
    "condition": lambda m: m.condition([1], torch.tensor([0.5], dtype=torch.float64)).covariance,
    "affine": lambda m: m.affine(random(2, D, seed=7), None).covariance,
    "convolve": lambda m: m.convolve(torch.eye(D, dtype=torch.float64)).covariance,
    "observed": lambda m: m.observed(mx.observation.AdditiveNoise(scale=0.5)).covariance,
    "posterior": lambda m: m.posterior(mx.observation.AdditiveNoise(scale=0.5), random(2, D)).covariance,
    "product": lambda m: m.product(m).covariance,
    "sample": lambda m: m.sample((5,), seeded()),
    "rsample": lambda m: m.rsample((5,), seeded()),
    "score": lambda m: m.score(random(2, D)),
    "responsibilities": lambda m: m.responsibilities(random(7, 2, D)),
    "batch": lambda m: m.batch(1).log_prob(random(9, D)),
    "reduce": lambda m: m.batch(1).reduce(2).covariance,
    "detach": lambda m: m.detach().to(torch.float32).log_prob(random(2, D).float()),
}


@pytest.mark.parametrize("what", ASKED)
@pytest.mark.parametrize("tied", [False, True])
def test_a_triangle_is_its_matrix(what, tied):
    one, other = twins(tied)
    torch.testing.assert_close(ASKED[what](one), ASKED[what](other))


def test_independent_normals_are_a_diagonal_structure():
    x, logits, mean, scale, _ = given((5,), False)
    law = MixtureSameFamily(torch.distributions.Categorical(logits=logits), Independent(Normal(mean, scale), 1))
    torch.testing.assert_close(density(diagonal((5,), False), x, logits, mean, scale, None), law.log_prob(x))


def test_it_is_saved_and_comes_back(tmp_path):
    one, _ = twins()
    one.save(tmp_path / "mixture.safetensors")
    again = mx.load(tmp_path / "mixture.safetensors")
    assert torch.equal(again.components.structure.below, one.components.structure.below)
