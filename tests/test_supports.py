"""Which rows a family takes: those outside its support are refused, and a family that looks at none refuses none."""

import pytest
import torch

import mixtura as mx
from mixtura.data import rows
from mixtura.errors import MixtureError

FAMILIES = {
    "gaussian": (mx.Gaussian, None),
    "normal": (mx.Normal, None),
    "student": (mx.StudentT, None),
    "laplace": (mx.Laplace, None),
    "gamma": (mx.Gamma, -1.0),
    "log-normal": (mx.LogNormal, 0.0),
    "beta": (mx.Beta, 1.5),
    "poisson": (mx.Poisson, 0.5),
    "bernoulli": (mx.Bernoulli, 2.0),
    "product": (mx.Product.template((mx.Normal, [0]), (mx.Gamma, [1])), -1.0),
}


@pytest.mark.parametrize("name", FAMILIES)
def test_rows_outside_the_support_are_refused_and_no_others(name):
    kind, outside = FAMILIES[name]
    family = kind if isinstance(kind, mx.components.Family) else kind.template()
    inside = torch.tensor([[1.0, 1.0], [0.0, 1.0]] if name in ("poisson", "bernoulli") else [[0.25, 0.5], [0.5, 0.25]])
    vectors = name in ("gaussian", "student", "product")
    x = inside if vectors else inside.reshape(-1)
    family.check(rows(x))
    assert family.everywhere == (outside is None)
    assert family.everywhere <= (not bool(family.outside(torch.tensor([[-1e30, 1e30]])).any()))
    if outside is not None:
        x.view(-1)[-1] = outside
        with pytest.raises(MixtureError, match="components"):
            family.check(rows(x))
