"""The same models in PyMC: log-densities and gradients by another author, at random points."""

import numpy as np
import pytest
import torch
from torch.autograd.functional import jacobian
from torch.distributions import Dirichlet, HalfCauchy, HalfNormal, Normal

import mixtura as mx
from mixtura import bayes
from mixtura.errors import MixtureError

try:
    import pymc
except ImportError:
    pymc = None

needed = pytest.mark.skipif(pymc is None, reason="PyMC is not installed")


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


OVERLAPPING = mx.Mixture(
    torch.tensor([0.43, 0.31, 0.26]).double(),
    mx.Normal(torch.tensor([-1.83, 0.62, 2.27]).double(), torch.ones(3).double()),
).sample((100,), seeded(1))
SEPARATED = mx.Mixture(
    torch.ones(3).double(), mx.Normal(torch.tensor([0.0, 10.0, 20.0]).double(), torch.tensor([1.0, 2.0, 1.5]).double())
).sample((1000,), seeded(2))
COUNTS = torch.cat([torch.poisson(torch.full((30,), rate), generator=seeded()) for rate in (2.0, 9.0)]).double()
TEN = Dirichlet(torch.full((3,), 10.0))

MODELS = {
    "normal mixture": (
        bayes.Model(3, mx.Normal, weights=TEN, priors={"loc": Normal(0, 10)}, fixed={"scale": 1.0}, ordered="loc"),
        OVERLAPPING,
    ),
    "potentials": (
        bayes.Model(
            3, mx.Normal, weights=Dirichlet(torch.full((3,), 2.0)),
            priors={"loc": Normal(torch.tensor([0.0, 10.0, 20.0]), 5.0), "scale": HalfCauchy(5.0)},
            potentials=[bayes.min_weight(0.1), bayes.ordered("loc")],
        ),
        SEPARATED,
    ),
    "bijections": (
        bayes.Model(
            3, mx.Normal, weights=Dirichlet(torch.full((3,), 2.0)),
            priors={"loc": Normal(torch.tensor([0.0, 10.0, 20.0]), 5.0), "scale": HalfCauchy(5.0)},
            ordered="loc", min_weight=0.1,
        ),
        SEPARATED,
    ),
    "weak priors": (bayes.Model(2, mx.Normal), OVERLAPPING),
    "ordered rates": (bayes.Model(2, mx.Poisson, ordered="rate"), COUNTS),
    "hierarchical": (
        bayes.Model(2, mx.StudentT, priors={"loc": bayes.Hierarchical(Normal, loc=0.0, scale=HalfNormal(5.0))}),
        OVERLAPPING,
    ),
}  # fmt: skip


def transformed(posterior, u):
    """PyMC's own real numbers behind ours, by the name of each variable, all in one vector."""
    values, parts = posterior.constrain(u), []
    for one in posterior.variables:
        value = values[one.name]
        real = (value if str(one.law.support) == "Real()" else value.log()).reshape(-1)
        if one.name == "weights":
            parts.append(value.log()[:-1] - value.log().mean())
        elif posterior.order is not None and posterior.order[0] == one.name:
            parts.append(torch.cat([real[:1], real.diff().log()]))
        else:
            parts.append(real)
    return torch.cat(parts)


def of_pymc(made, posterior, y):
    """PyMC's log-density in the parameters themselves, and its gradient in its own numbers."""
    point, start = {}, 0
    variables = [made.rvs_to_values[made[one.name]] for one in posterior.variables]
    for one, variable in zip(posterior.variables, variables, strict=True):
        point[variable.name] = y[start : start + one.size].reshape(one.inner)
        start += one.size
    value = made.compile_logp(jacobian=False)(point)
    parameters = [made[one.name] for one in posterior.variables]
    return value, made.compile_dlogp(vars=parameters, jacobian=False)(point)


def agree(posterior, made, u):
    """Log-density and gradient at a point are those of PyMC's model."""
    value, slope = of_pymc(made, posterior, transformed(posterior, u).numpy())
    leaf = u.clone().requires_grad_()
    mine = posterior.log_density_in_parameters(leaf)
    (gradient,) = torch.autograd.grad(mine, leaf)
    theirs = jacobian(lambda point: transformed(posterior, point), u).mT @ torch.as_tensor(slope)
    assert mine.item() == pytest.approx(float(value), rel=1e-8)
    torch.testing.assert_close(gradient, theirs, rtol=1e-8, atol=1e-8)


@needed
@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_density_and_gradient_are_those_of_pymc(name):
    model, x = MODELS[name]
    posterior, made = model.posterior(x), bayes.to_pymc(model, x)
    for seed in range(3):
        start = posterior.start(seeded(seed))
        u = start + 0.1 * torch.randn(posterior.size, generator=seeded(seed), dtype=torch.float64)
        if not posterior.log_density(u).isfinite():
            u = start
        agree(posterior, made, u)


@needed
@pytest.mark.slow
def test_a_density_by_hand_is_that_of_pymc():
    """The hand-written log-density of the mixture, in torch here and in PyTensor there."""

    def unit(x, loc):
        return -0.5 * (np.log(2 * np.pi) + (x - loc) ** 2)

    model = bayes.Model(3, bayes.Density(unit), weights=TEN, priors={"loc": Normal(0, 10)}, ordered="loc")
    posterior = model.posterior(OVERLAPPING)
    with pymc.Model() as made:
        weights = pymc.Dirichlet("weights", np.full(3, 10.0))
        ordered = pymc.distributions.transforms.ordered
        loc = pymc.Normal("loc", 0, 10, shape=3, transform=ordered, initval=np.array([-1.0, 0.0, 1.0]))
        each = pymc.math.log(weights) + unit(OVERLAPPING.numpy()[:, None], loc)
        pymc.Potential("x", pymc.math.logsumexp(each, axis=1).sum())
    for seed in range(3):
        u = posterior.start(seeded(seed))
        agree(posterior, made, u)


@needed
def test_what_has_no_counterpart_is_refused():
    with pytest.raises(MixtureError, match="`potentials` must be ready ones"):
        bayes.to_pymc(bayes.Model(2, mx.Normal, potentials=[lambda loc: -loc.abs().sum()]), OVERLAPPING)
    with pytest.raises(MixtureError, match="`x` must be numbers without weights"):
        bayes.to_pymc(bayes.Model(2, mx.Gaussian), mx.datasets.old_faithful())


@pytest.mark.skipif(pymc is not None, reason="PyMC is installed")
def test_without_pymc_it_is_said():
    with pytest.raises(ImportError, match="pip install pymc"):
        bayes.to_pymc(*MODELS["normal mixture"])
