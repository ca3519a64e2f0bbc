"""Parameters by name: components made of any values in their supports, read again, are the same components."""

import pytest
import torch
from tables import tensor
from torch.distributions import biject_to

import mixtura as mx
from mixtura.components import Family
from mixtura.errors import NotClosedForm

K = 2
FAMILIES: dict[str, tuple[Family, int | None]] = {
    "normal": (mx.Normal.template(), None),
    "normal-tied": (mx.Normal.template(structure=mx.Full(tied=True)), None),
    "full": (mx.Gaussian.template(), 3),
    "full-of-one": (mx.Gaussian.template(), 1),
    "tied-full": (mx.Gaussian.template(structure=mx.Full(tied=True)), 3),
    "diagonal": (mx.Gaussian.template(structure=mx.Diagonal()), 3),
    "tied-diagonal": (mx.Gaussian.template(structure=mx.Diagonal(tied=True)), 3),
    "spherical": (mx.Gaussian.template(structure=mx.Spherical()), 3),
    "student": (mx.StudentT.template(), None),
    "student-full": (mx.StudentT.template(structure=mx.Full()), 2),
    "student-shared": (mx.StudentT.template(shared=True), 2),
    "student-fixed": (mx.StudentT.template(fixed=4.0), None),
    "log-normal": (mx.LogNormal.template(), None),
    "laplace": (mx.Laplace.template(), 2),
    "gamma": (mx.Gamma.template(), None),
    "inverse-gamma": (mx.InverseGamma.template(), None),
    "weibull": (mx.Weibull.template(), None),
    "exponential": (mx.Exponential.template(), 2),
    "beta": (mx.Beta.template(), None),
    "dirichlet": (mx.Dirichlet.template(), 3),
    "poisson": (mx.Poisson.template(), None),
    "poisson-vectors": (mx.Poisson.template(), 2),
    "binomial": (mx.Binomial.template(total_count=4), None),
    "bernoulli": (mx.Bernoulli.template(), 3),
    "geometric": (mx.Geometric.template(), None),
    "negative-binomial": (mx.NegativeBinomial.template(), None),
    "categorical": (mx.Categorical.template(categories=3), None),
    "categorical-vectors": (mx.Categorical.template(categories=3), 2),
    "multinomial": (mx.Multinomial.template(total_count=5), 3),
    "von-mises": (mx.VonMises.template(), None),
    "gumbel": (mx.components.TorchComponent.template(distribution=torch.distributions.Gumbel), None),
    "product": (
        mx.Product.template(
            (mx.Gaussian.template(structure=mx.Full()), [0, 2]), (mx.Poisson, [1]), (mx.Bernoulli, [3])
        ),
        4,
    ),
}


def values(family: Family, features: int | None, batch: tuple[int, ...] = ()) -> dict[str, torch.Tensor]:
    """Some values in the support of every parameter."""
    generator, found = torch.Generator().manual_seed(5), {}
    for name, one in family.arguments(features).items():
        transform = biject_to(one.support)
        shape = transform.inverse_shape((*batch, 1 if one.shared else K, *one.shape))
        found[name] = transform(torch.randn(shape, generator=generator, dtype=torch.float64))
    return found


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("batch", [(), (4,)])
def test_read_undoes_made(name: str, batch: tuple[int, ...]) -> None:
    family, features = FAMILIES[name]
    given = values(family, features, batch)
    components = family.made(given, features)
    assert components.batch_shape == (*batch, K)
    assert components.event_shape == (() if features is None else (features,))
    found = family.read(components)
    assert found.keys() == given.keys()
    for one in given:
        torch.testing.assert_close(found[one], given[one])
    components.verify()


@pytest.mark.parametrize("name", FAMILIES)
def test_made_is_what_the_constructor_makes(name: str) -> None:
    """Rows drawn of the made components have a density that their copy from a file agrees with."""
    family, features = FAMILIES[name]
    components = family.made(values(family, features), features)
    x = components.draw(torch.tensor([0, 1, 0, 1]), torch.Generator().manual_seed(1))
    assert components.log_prob(x).isfinite().all()
    fitted = family.read(components)
    again = family.made(fitted, features)
    torch.testing.assert_close(again.log_prob(x), components.log_prob(x))


def test_correlations_and_scales_make_the_covariance() -> None:
    family = mx.Gaussian.template()
    scale, half = tensor([2.0, 0.5]), 0.6
    correlation = tensor([[1.0, 0.0], [half, (1 - half**2) ** 0.5]])
    made = family.made({"mean": tensor([0.0, 1.0]), "scale": scale, "correlation": correlation}, 2)
    torch.testing.assert_close(made.covariance, tensor([[4.0, 0.6], [0.6, 0.25]]))


REFUSED = {
    "free to move one by one": mx.Gaussian.template(structure=mx.components.VEV()),
    "ends that are sharp": mx.Uniform.template(),
}


@pytest.mark.parametrize("words", REFUSED)
def test_what_does_not_move_freely_says_so(words: str) -> None:
    with pytest.raises(NotClosedForm, match=words):
        REFUSED[words].arguments(2)


def test_directions_and_concentrations_make_directed_components() -> None:
    family = mx.VonMisesFisher.template()
    given = {"loc": tensor([0.6, 0.8, 0.0], [0.0, 0.0, -1.0]), "concentration": tensor(2.0, 60.0)}
    made = family.made(given, 3)
    torch.testing.assert_close(family.read(made), given)
    rows = torch.eye(3, dtype=torch.float64)
    torch.testing.assert_close(made.log_prob(rows), mx.VonMisesFisher(*given.values()).log_prob(rows))
