"""The laws of a component family."""

from __future__ import annotations

import copy
import pickle
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Dirichlet, Distribution, MultivariateNormal, constraints

from .._value import Value
from ..components import Component
from ..errors import NotClosedForm
from ..mixture import Mixture, load
from .contract import Contract, assert_close, assert_z, skip
from .integration import integrate

__all__ = ["ComponentContract", "check_component"]

_DRAWS = 20_000


class ComponentContract(Contract):
    """The laws of a family; a subclass says how to `make` components with batch shape ``(K,)``, in float64.

    Give them K of at least 2, unequal weights in mind, and scales that are neither equal nor 1: defects hide at 1.

    Example:
        >>> class TestRates(mx.testing.ComponentContract):
        ...     def make(self):
        ...         rates = torch.tensor([0.5, 3.0], dtype=torch.float64)
        ...         return mx.components.TorchComponent(torch.distributions.Exponential(rates))
        >>> TestRates().check()
    """

    def make(self) -> Component:
        """Returns the components under test."""
        raise NotImplementedError("A contract must say how to make the components that it tests.")

    def proposal(self, component: Component) -> Distribution:
        """Returns a distribution over the support, wider than the one component, for importance sampling.

        It is asked for only where no rule integrates over the support.
        """
        if isinstance(component.support, type(constraints.simplex)):
            return Dirichlet(torch.ones_like(component.mean[0]))
        if getattr(component.support, "base_constraint", None) is constraints.real:
            return MultivariateNormal(component.mean[0], 2 * component.covariance[0])
        raise NotImplementedError(f"Override `proposal`: there is no rule for {component.support}.")

    # -- density, moments, draws

    def test_density_integrates_to_one(self) -> None:
        for one in _each(self.make()):
            try:
                total = _expectation(one, lambda x: torch.ones_like(x.reshape(len(x), -1)[:, 0]))
            except NotClosedForm:
                self._check_by_importance(one)
            else:
                assert_close(total, torch.ones_like(total), 1e-6, "the integral of the density")

    def _check_by_importance(self, one: Component) -> None:
        proposal = self.proposal(one)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            x = proposal.sample((_DRAWS,))
        ratio = (one.log_prob(x)[..., 0] - proposal.log_prob(x)).exp()
        assert_z(ratio, torch.ones_like(ratio[0]), "the integral of the density")

    def test_moments_are_integrals(self) -> None:
        finite = [one for one in _each(self.make()) if bool((one.mean.isfinite() & one.variance.isfinite()).all())]
        if not finite:
            skip("no component has finite moments")
        for one in finite:
            try:
                mean = _expectation(one, lambda x: x)
                square = _expectation(one, lambda x, m=one.mean[0]: (x - m).square())
            except NotClosedForm as error:
                skip(f"{error} Draws are compared with the same moments.")
            assert_close(mean, one.mean[0], 1e-6, "the mean")
            assert_close(square, one.variance[0], 1e-6, "the variance")

    def test_draws_have_the_moments(self) -> None:
        component, generator = self.make(), self.generator
        for k in range(component.batch_shape[-1]):
            x = component.draw(torch.full((_DRAWS,), k), generator)
            mean, covariance = component.mean[k], component.covariance[k]
            if bool(mean.isfinite().all()):
                assert_z(x, mean, f"the mean of draws from component {k}")
            if bool(covariance.isfinite().all()):
                gap = x - mean
                outer = gap.square() if x.ndim == 1 else gap.unsqueeze(-1) * gap.unsqueeze(-2)
                assert_z(outer, covariance, f"the covariance of draws from component {k}")

    def test_variance_is_the_diagonal_of_the_covariance(self) -> None:
        component = self.make()
        diagonal = component.covariance.diagonal(dim1=-2, dim2=-1) if component.event_shape else component.covariance
        finite = component.variance.isfinite()
        assert_close(component.variance[finite], diagonal[finite], 1e-12, "the variance")

    def test_draws_follow_the_generator_and_the_labels(self) -> None:
        component = self.make()
        labels = torch.randint(component.batch_shape[-1], (5, 3), generator=self.generator)
        before = torch.random.get_rng_state()
        one, two = (component.draw(labels, self.generator) for _ in range(2))
        assert one.shape == labels.shape + component.event_shape and one.dtype == component.dtype
        assert bool((one == two).all()), "the same generator state gave other draws"
        assert bool((torch.random.get_rng_state() == before).all()), "a draw with a generator moved torch's own stream"

    def test_cumulative_probability_is_the_integral_of_the_density(self) -> None:
        component = self.make()
        x = self.rows(component, 40)
        try:
            component.cdf(x)
        except (NotClosedForm, NotImplementedError) as error:
            skip(f"there is no cumulative probability: {error}")
        assert_close(component.survival(x), 1 - component.cdf(x), 1e-12, "what is left above")
        if component.support.is_discrete:
            assert_close(
                component.cdf(x) - component.cdf(x - 1), component.log_prob(x).exp(), 1e-9, "a step of the cdf"
            )
            return
        h = 1e-5 * x.abs().clamp_min(1e-3)
        slope = (component.cdf(x + h) - component.cdf(x - h)) / (2 * h).unsqueeze(-1)
        x = x.reshape(len(x))
        assert_close(slope.reshape(len(x), -1), component.log_prob(self.rows(component, 40)).exp(), 1e-6, "the slope")

    # -- rows that are not there, or not known

    def test_a_row_with_nan_has_no_known_density(self) -> None:
        component = self.make()
        mixture, x = _mixed(component), self.rows(component, 6)
        x.reshape(6, -1)[2, 0] = torch.nan
        answers = {"log_prob": mixture.log_prob(x), "responsibilities": mixture.responsibilities(x)}
        if not component.support.is_discrete:
            answers["score"] = mixture.score(x)
        for name, answer in answers.items():
            unknown = answer.isnan().reshape(6, -1)
            assert bool(unknown[2].all()) and not bool(unknown[[0, 1, 3, 4, 5]].any()), f"{name} of NaN: {answer}"

    def test_no_rows_have_no_densities(self) -> None:
        component = self.make()
        x = self.rows(component, 2)[:0]
        assert component.log_prob(x).shape == (0, *component.batch_shape)
        assert _mixed(component).log_prob(x).shape == (0,)

    def test_transforms_of_functions_give_the_same(self) -> None:
        component = self.make()
        mixture, x = _mixed(component), self.rows(component, 4)
        functions = [component.log_prob, mixture.log_prob, mixture.responsibilities]
        for function in functions if component.support.is_discrete else [*functions, mixture.score]:
            assert_close(torch.func.vmap(function)(x), function(x), 1e-12, f"vmap of {function.__name__}")

    # -- shapes and dtypes

    def test_shapes_of_samples_and_batches(self) -> None:
        component = self.make()
        many = _batched(component, 2)
        for shape in ((), (4,), (3, 2)):
            x = component.draw(torch.zeros(shape, dtype=torch.long), self.generator)
            expected = component.log_prob(x)
            assert expected.shape == shape + component.batch_shape
            rows = x.unsqueeze(len(shape)).expand(*shape, 2, *component.event_shape)
            assert_close(many.log_prob(rows)[..., 1, :], expected, 1e-12, f"a batch at sample shape {shape}")
        assert many.mean.shape == (2, *component.mean.shape) and many.covariance.shape[0] == 2

    def test_single_precision_is_kept(self) -> None:
        component, single = self.make(), self.make().to(torch.float32)
        x = self.rows(component, 20)
        answer = single.log_prob(x.float())
        assert answer.dtype == single.mean.dtype == single.draw(torch.zeros(3, dtype=torch.long)).dtype == torch.float32
        assert_close(answer.double(), component.log_prob(x), 1e-4, "the log-density in float32")

    # -- gradients

    def test_gradients_in_the_parameters(self) -> None:
        component, generator = self.make(), self.generator
        if _constrained(component):
            skip("not every change of the numbers stays within the structure")
        x = self.rows(component, 10)
        inputs = [t.detach().clone().requires_grad_() for t in component.tensors()]
        push = [t * torch.randn(t.shape, generator=generator, dtype=t.dtype) for t in component.tensors()]

        def total(step: float) -> Tensor:
            moved = iter([t + step * d for t, d in zip(inputs, push, strict=True)])
            return component.map(lambda _: next(moved)).log_prob(x).sum()

        gradient = torch.autograd.grad(total(0.0), inputs)
        along = torch.stack([(g * d).sum() for g, d in zip(gradient, push, strict=True)]).sum()
        with torch.no_grad():
            slope = (total(1e-5) - total(-1e-5)) / 2e-5
        assert_close(along, slope, 1e-6, "the gradient along a random direction")

    def test_score_is_the_slope_of_the_log_density(self) -> None:
        component = self.make()
        if component.support.is_discrete or isinstance(component.support, type(constraints.simplex)):
            skip(f"rows in {component.support} cannot move freely")
        mixture, x = _mixed(component), self.rows(component, 10)
        push = torch.randn(x.shape, generator=self.generator, dtype=x.dtype) * 1e-6 * x.abs().clamp_min(1e-2)
        slope = mixture.log_prob(x + push) - mixture.log_prob(x - push)
        along = (2 * push * mixture.score(x)).reshape(len(x), -1).sum(-1)
        assert_close(along / 1e-6, slope / 1e-6, 1e-5, "the score along a random direction")

    def test_parameters_counts_what_moves_the_density(self) -> None:
        component = self.make()
        if _constrained(component):
            skip("not every change of the numbers is one of parameters; the structure's own law counts these")
        tensors = [t for t in component.tensors() if t.is_floating_point()]
        x = self.rows(component, 4 * max(1, sum(t.numel() for t in tensors)))

        def density(*moved: Tensor) -> Tensor:
            replaced = iter(moved)
            one = component.map(lambda t: next(replaced) if t.is_floating_point() else t)
            return one.log_prob(x).reshape(-1)

        jacobian = torch.autograd.functional.jacobian(density, tuple(tensors), vectorize=False)
        rank = int(torch.linalg.matrix_rank(torch.cat([j.flatten(1) for j in jacobian], 1)))
        assert component.parameters == rank, f"parameters is {component.parameters}, {rank} directions move the density"

    # -- values

    def test_take_selects_components(self) -> None:
        component = self.make()
        x = self.rows(component, 5)
        for index in ([1, 0], [1], [0, 0, 1], slice(1, None)):
            taken = component.take(index)
            assert_close(taken.log_prob(x), component.log_prob(x)[..., index], 1e-12, f"take({index})")
            assert taken.mean.shape == component.mean[index].shape
            assert_close(taken.take([0]).log_prob(x), component.log_prob(x)[..., index][..., :1], 1e-12, "take twice")

    def test_one_component_can_be_repeated(self) -> None:
        component = self.make()
        x, many = self.rows(component, 5), component.take([1]).take([0, 0, 0])
        assert many.batch_shape[-1] == 3 and many.mean.shape[0] == 3
        assert_close(many.log_prob(x), component.log_prob(x)[..., [1, 1, 1]], 1e-12, "one component, repeated")
        assert_close(many.take([2]).log_prob(x), component.log_prob(x)[..., [1]], 1e-12, "one of the repeated")

    def test_batch_selects_entries(self) -> None:
        component = self.make()
        many, x = _batched(component, 3), self.rows(component, 5)
        assert_close(many.batch(1).log_prob(x), component.log_prob(x), 1e-12, "batch(1)")
        assert many.batch([0, 2]).batch_shape == (2, *component.batch_shape)

    def test_where_chooses_entries(self) -> None:
        component = self.make()
        flipped = component.take([*range(1, component.batch_shape[-1]), 0])
        chosen = _batched(component, 2).where(torch.tensor([True, False]), _batched(flipped, 2))
        x = self.rows(component, 5)
        assert_close(chosen.batch(0).log_prob(x), component.log_prob(x), 1e-12, "where true")
        if next(component.tensors()).shape[0] == component.batch_shape[-1]:
            assert_close(chosen.batch(1).mean[0], component.mean[1], 1e-12, "where false")

    def test_files_and_copies_give_back_the_same(self) -> None:
        component = self.make()
        mixture, x = _mixed(component), self.rows(component, 5)
        with tempfile.TemporaryDirectory() as folder:
            mixture.save(Path(folder) / "model.safetensors")
            again = load(Path(folder) / "model.safetensors")
        for copied in (again, copy.deepcopy(mixture), pickle.loads(pickle.dumps(mixture))):
            assert type(copied.components) is type(component)
            pairs = zip(copied.components.tensors(), component.tensors(), strict=True)
            assert all(torch.equal(mine, theirs) for mine, theirs in pairs), "the copy has other numbers"
            assert_close(
                copied.log_prob(x), mixture.log_prob(x), 1e-12, "the density of the copy"
            )  # memory's order may differ

    def test_values_do_not_change(self) -> None:
        component = self.make()
        for name in component._fields():
            try:
                setattr(component, name, None)
            except AttributeError:
                continue
            raise AssertionError(f"the field {name} could be set")

    def test_detach_cuts_the_graph(self) -> None:
        component = self.make().map(lambda t: t.detach().requires_grad_(t.is_floating_point()))
        assert component.requires_grad() and not component.detach().requires_grad()

    # -- inside

    def rows(self, component: Component, count: int) -> Tensor:
        """Returns draws from all components in turn, with shape ``(count, *event)``."""
        labels = torch.arange(count) % component.batch_shape[-1]
        return component.draw(labels, self.generator)


def check_component(component: Component, proposal: Distribution | None = None) -> None:
    """Runs every law of `ComponentContract` on components with batch shape ``(K,)``.

    Arguments:
        component: The components, in float64.
        proposal: A distribution over the support, wide enough to integrate the density by importance sampling, for
            supports that no rule covers.

    Raises:
        AssertionError: If a law does not hold; the message says which number was off and by how much.

    Example:
        >>> mx.testing.check_component(mx.Normal(torch.tensor([0.5, 3.0]).double(), torch.tensor([2.0, 0.5]).double()))
    """
    given(component, proposal).check()


def given(component: Component, proposal: Distribution | None = None) -> ComponentContract:
    """Returns the contract of these components."""

    class Given(ComponentContract):
        def make(self) -> Component:
            return component

        def proposal(self, one: Component) -> Distribution:
            return super().proposal(one) if proposal is None else proposal

    return Given()


def _each(component: Component) -> list[Component]:
    return [component.take([k]) for k in range(component.batch_shape[-1])]


def _expectation(one: Component, function: Any) -> Tensor:
    """The integral of a function times the density of the only component."""

    def integrand(x: Tensor) -> Tensor:
        values = function(x)
        return values * one.log_prob(x)[..., 0].exp().reshape(-1, *(1,) * (values.ndim - 1))

    scale = one.variance[0].sqrt()
    scale = torch.where(scale.isfinite() & (scale > 0), scale, 1)
    return integrate(integrand, one.support, one.mean[0].nan_to_num(0.0, 0.0, 0.0), scale)


def _constrained(value: Value) -> bool:
    inside = value._fields().values()
    return getattr(value, "constrained", False) or any(_constrained(one) for one in inside if isinstance(one, Value))


def _batched(component: Component, size: int) -> Any:
    return component.map(lambda t: t.unsqueeze(0).expand(size, *t.shape))


def _mixed(component: Component) -> Mixture:
    weights = torch.arange(1, component.batch_shape[-1] + 1, dtype=component.dtype)
    return Mixture(weights, component)
