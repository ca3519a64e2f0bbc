"""What is frozen stays, the rest climbs: a law for every family and every covariance structure."""

from __future__ import annotations

import pytest
import tables
import torch

import mixtura as mx
from mixtura.errors import MixtureError

SHARING = {name: one for name, one in tables.LEARNABLE.items() if one.shares}
APART = {name: one for name, one in tables.LEARNABLE.items() if not one.shares}
MOMENTS = {name: one for name, one in tables.LEARNABLE.items() if one.holds_moments}
EM = mx.EM(6, 0)


def mixture_of(components: mx.components.Component) -> mx.Mixture:
    count = components.batch_shape[-1]
    return mx.Mixture(torch.arange(1.0, count + 1, dtype=torch.float64) / (count * (count + 1) / 2), components)


def case(components: mx.components.Component, rows: int = 400) -> tuple[torch.Tensor, mx.Mixture]:
    """Rows of a mixture, and a start beside it: two steps of learning from other rows."""
    truth = mixture_of(components)
    generator = torch.Generator().manual_seed(0)
    x, others = truth.sample((rows,), generator), truth.sample((rows,), generator)
    start = truth
    for _ in range(2):
        start = EM.update(components_sums(start, others), start)
    return x, start


def components_sums(mixture: mx.Mixture, x: torch.Tensor) -> mx.components.Statistics:
    return mixture.components.expect(mixture.logits, x, None, lambda joint: torch.softmax(joint, -1))


def learned(x: torch.Tensor, start: mx.Mixture, freeze: mx.Freeze) -> mx.Mixture:
    """A few updates; none of them lowers the likelihood of the rows."""
    method, mixture, before = EM.freezing(freeze), start, -torch.inf
    freeze.check(start)
    for _ in range(EM.max_iterations):
        sums = components_sums(mixture, x)
        slack = 1e-9 * abs(sums.log_likelihood.item())
        assert sums.log_likelihood.item() >= before - slack
        before, mixture = sums.log_likelihood.item(), method.update(sums, mixture)
    assert components_sums(mixture, x).log_likelihood.item() >= before - slack
    return mixture


def same(one: mx.components.Component, other: mx.components.Component) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.tensors(), other.tensors(), strict=True))


@pytest.mark.parametrize("name", APART)
def test_a_frozen_component_stays_and_the_rest_climbs(name):
    x, start = case(tables.LEARNABLE[name])
    freeze = mx.Freeze(components=(0,))
    end = learned(x, start, freeze)
    assert same(end.components.take([0]), start.components.take([0]))
    assert not same(end.components.take([1]), start.components.take([1]))
    every = mx.Freeze(components=tuple(range(start.logits.shape[-1])))
    assert same(learned(x, start, every).components, start.components)
    assert every.parameters(start) == start.components.parameters


@pytest.mark.parametrize("name", SHARING)
def test_components_that_share_are_frozen_with_their_covariances_or_not_at_all(name):
    x, start = case(tables.LEARNABLE[name])
    with pytest.raises(MixtureError, match="share parts"):
        mx.Freeze(components=(0,)).check(start)
    end = learned(x, start, mx.Freeze(components=(0,), covariances=True))
    assert same(end.components.take([0]), start.components.take([0]))
    assert not same(end.components, start.components)
    assert torch.equal(end.components.covariance[0], start.components.covariance[0])
    shapes = [tensor.shape for tensor in start.components.tensors()]
    assert [tensor.shape for tensor in end.components.tensors()] == shapes  # tied stays tied


@pytest.mark.parametrize("name", MOMENTS)
@pytest.mark.parametrize("what", ["means", "covariances"])
def test_moments_of_gaussians_inside_stay(name, what):
    x, start = case(tables.LEARNABLE[name])
    end = learned(x, start, mx.Freeze(**{what: True}))
    for mine, theirs in zip(gaussians(end.components), gaussians(start.components), strict=True):
        assert torch.equal(mine.mean, theirs.mean) == (what == "means")
        assert torch.equal(mine.covariance, theirs.covariance) == (what == "covariances")


def gaussians(components: mx.components.Component) -> list[mx.Gaussian]:
    if components.has_gaussian:
        return [components.gaussian]
    parts = (components.first, components.second) if hasattr(components, "first") else components.parts
    return [part.gaussian for part in parts if part.has_gaussian]


@pytest.mark.parametrize("name", [name for name in tables.LEARNABLE if name not in MOMENTS])
def test_families_without_a_gaussian_inside_refuse_to_hold_its_moments(name):
    with pytest.raises(MixtureError, match="for this family"):
        mx.Freeze(means=True).check(mixture_of(tables.LEARNABLE[name]))


@pytest.mark.parametrize("name", tables.LEARNABLE)
def test_every_parameter_is_held_or_free(name):
    start = mixture_of(tables.LEARNABLE[name])
    count = start.logits.shape[-1]
    every = tuple(range(count))
    assert (
        mx.Freeze(weights=True, components=every, covariances=start.components.shares).parameters(start)
        == start.parameters
    )
    alone = mx.Freeze(components=(0,), covariances=start.components.shares).parameters(start)
    assert 0 <= alone <= start.components.parameters
    if start.components.has_gaussian:
        features = start.components.gaussian.features
        assert mx.Freeze(means=True).parameters(start) == count * features
        held = start.components.gaussian.structure.parameters(count, features)
        assert mx.Freeze(covariances=True).parameters(start) == held
        assert mx.Freeze(means=True, components=(0,), covariances=True).parameters(start) >= count * features + held


def test_shared_degrees_of_freedom_are_frozen_with_a_component():
    x = torch.cat([torch.linspace(-4, 4, 60), torch.linspace(9, 11, 40)]).double()
    family = mx.StudentT.template(shared=True)
    start = mx.fit(x, 2, family=family, method=mx.EM(3, 0), generator=torch.Generator().manual_seed(0)).mixture
    fit = mx.fit(x, init=start, freeze=mx.Freeze(components=(0,)))
    assert torch.equal(fit.mixture.components.dof, start.components.dof)
    assert fit.parameters == 1 + 2


def test_the_fit_of_a_tied_student_keeps_a_component():
    x = tables.tensor(-3.0, -2.5, -2.0, -1.0, 4.0, 5.0, 5.5, 7.0, 30.0).unsqueeze(-1)
    x = torch.cat([x, x.flip(0)], -1)
    start = mx.fit(x, 2, "tied-diagonal", mx.EM(2, 0), family=mx.StudentT.template(fixed=4.0), restarts=1).mixture
    fit = mx.fit(x, init=start, freeze=mx.Freeze(components=(1,), covariances=True))
    assert fit.mixture.components.gaussian.structure.tied
    assert torch.equal(fit.mixture.components.loc[1], start.components.loc[1])
    assert (fit.trace.diff() > -1e-12).all()


def started(family, covariance="full"):
    x = mx.datasets.old_faithful()
    return x, mx.fit(x, 2, covariance, mx.EM(2, 0), family=family, restarts=1).mixture


@pytest.mark.parametrize("family", [mx.StudentT, mx.LogNormal, mx.Beside.with_noise(mx.Gaussian)])
def test_a_fit_holds_means_of_the_gaussians_inside(family):
    x, start = started(family)
    fit = mx.fit(x, init=start, freeze=mx.Freeze(means=True))
    for mine, theirs in zip(gaussians(fit.mixture.components), gaussians(start.components), strict=True):
        assert torch.equal(mine.mean, theirs.mean) and not torch.equal(mine.covariance, theirs.covariance)
    assert fit.converged and (fit.trace.diff() > -1e-12).all()
    assert fit.parameters == start.parameters - 4


@pytest.mark.parametrize("covariances", [False, True])
def test_a_fit_of_a_product_keeps_a_component(covariances):
    family = mx.Product.template((mx.Normal, [0]), (mx.StudentT, [1]))
    x, start = started(family, "tied-spherical" if covariances else "spherical")
    fit = mx.fit(x, init=start, freeze=mx.Freeze(components=(0,), covariances=covariances))
    assert same(fit.mixture.components.take([0]), start.components.take([0]))
    assert (fit.trace.diff() > -1e-12).all()
    shapes = [tensor.shape for tensor in start.components.tensors()]
    assert [tensor.shape for tensor in fit.mixture.components.tensors()] == shapes


@pytest.mark.parametrize(
    ("freeze", "read"),
    [
        (mx.Freeze(weights=True), lambda errors: errors.weights),
        (mx.Freeze(means=True), lambda errors: errors.mean),
        (mx.Freeze(covariances=True), lambda errors: errors.component_covariance),
        (mx.Freeze(components=(1,)), lambda errors: errors.mean[1]),
    ],
    ids=["weights", "means", "covariances", "components"],
)
def test_what_is_frozen_has_no_standard_error(freeze, read):
    start = mx.fit(mx.datasets.old_faithful(), 2, generator=torch.Generator().manual_seed(0)).mixture
    free, held = (
        mx.standard_errors(mx.fit(mx.datasets.old_faithful(), init=start, freeze=one, method=mx.EM(tolerance=1e-10)))
        for one in (None, freeze)
    )
    assert (read(free) > 0).all() and (read(held) == 0).all()
    assert (held.of(lambda mixture: mixture.mean) > 0).all() or freeze.means
    assert (held.of(lambda mixture: mixture.components.mean) <= free.mean + 1e-9).all()
