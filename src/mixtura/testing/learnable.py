"""The laws of a family that learns by sufficient statistics."""

from __future__ import annotations

import torch
from torch import Tensor

from ..components import Component, Statistics
from ..data import TensorRows
from ..learning import expect, hard, soft
from ..mixture import Mixture
from .contract import Contract, assert_close, skip

__all__ = ["LearnableContract", "check_learnable"]

_ROWS = 240


class LearnableContract(Contract):
    """The laws of statistics and updates; a subclass says how to `make` components with batch shape ``(K,)``.

    Attributes:
        exact: Whether an update is the maximum of the expected log-likelihood, and not only a rise of it.

    Example:
        >>> class TestMine(mx.testing.LearnableContract):
        ...     def make(self):
        ...         return mx.Normal(torch.tensor([0.5, 3.0]).double(), torch.tensor([2.0, 0.5]).double())
        >>> TestMine().check()
    """

    exact = True

    def make(self) -> Component:
        """Returns the components under test."""
        raise NotImplementedError("A contract must say how to make the components that it tests.")

    # -- sums

    def test_statistics_add_over_blocks(self) -> None:
        component, x = self.make(), self.rows()
        r = self._responsibilities(component, x)
        whole = component.statistics(x, r)
        first, second = component.statistics(x[:100], r[:100]), component.statistics(x[100:], r[100:])
        for sums, one, two in zip(whole, first, second, strict=True):
            assert_close(one + two, sums, 1e-10, "statistics of two blocks")

    def test_fused_expectation_equals_the_composition(self) -> None:
        component, x = self.make(), self.rows()
        weight = torch.rand(len(x), generator=self.generator, dtype=x.dtype)
        for labels in (soft, hard):
            for share in (None, weight):
                fused = component.expect(self._logits(component), x, share, labels)
                _assert_same(fused, Component.expect(component, self._logits(component), x, share, labels))

    def test_order_and_blocks_of_rows_do_not_matter(self) -> None:
        x, weight = self.rows(), torch.rand(_ROWS, generator=self.generator, dtype=torch.float64)
        order = torch.randperm(_ROWS, generator=self.generator)
        _assert_same(self._sums(x, weight), self._sums(x[order], weight[order]))
        _assert_same(self._sums(x, weight), self._sums(x[:7], weight[:7]) + self._sums(x[7:], weight[7:]))

    def test_weights_count_rows(self) -> None:
        x = self.rows()
        weight = torch.randint(0, 4, (_ROWS,), generator=self.generator)
        _assert_same(self._sums(x, weight.to(x.dtype)), self._sums(x.repeat_interleave(weight, 0), None))

    def test_batches_are_learned_as_if_alone(self) -> None:
        component, x = self.make(), self.rows()
        mixture = Mixture._of(self._logits(component), component)
        many = mixture.map(lambda t: t.unsqueeze(0).expand(2, *t.shape))
        sums = expect(many, TensorRows(x), soft)
        alone = component.update(expect(mixture, TensorRows(x), soft))
        assert_close(many.components.update(sums).batch(1).log_prob(x), alone.log_prob(x), 1e-9, "a batch entry")

    # -- updates

    def test_update_is_the_maximum(self) -> None:
        if not self.exact:
            skip("an update only raises the likelihood")
        component, x, generator = self.make(), self.rows(), self.generator
        r = self._responsibilities(component, x)
        best = self._updated(component, x, r)
        top = self._expected_log_likelihood(best, x, r)
        for _ in range(30):  # other members of the family, a little away in all directions that data can push
            factor = 1 + 0.02 * torch.randn(r.shape, generator=generator, dtype=r.dtype)
            other = self._updated(component, x, r * factor.clamp_min(0))
            worse = self._expected_log_likelihood(other, x, r)
            assert bool((worse <= top + 1e-9 * top.abs()).all()), (
                f"a nearby point is better by {(worse - top).max():.3g}"
            )

    def test_update_does_not_depend_on_where_it_starts(self) -> None:
        if not self.exact:
            skip("an update only raises the likelihood")
        component, x = self.make(), self.rows()
        r = self._responsibilities(component, x)
        once = self._updated(component, x, r)
        assert_close(self._updated(once, x, r).log_prob(x), once.log_prob(x), 1e-8, "a second update")

    def test_likelihood_never_falls(self) -> None:
        mixture, x = self._mixture(), self.rows()
        trace: list[float] = []
        for _ in range(12):
            sums = expect(mixture, TensorRows(x), soft)
            trace.append(sums.log_likelihood.item())
            logits = (sums.weight / sums.weight.sum()).log()
            mixture = Mixture._of(logits, mixture.components.update(sums))
        gains = torch.tensor(trace).diff()
        assert bool((gains >= -1e-8 * abs(trace[0])).all()), f"the likelihood fell by {-gains.min():.3g}"
        assert trace[-1] > trace[0] + 1e-6, "the likelihood did not rise"

    # -- inside

    def rows(self) -> Tensor:
        """Returns rows drawn from the components, in turn."""
        component = self.make()
        return component.draw(torch.arange(_ROWS) % component.batch_shape[-1], self.generator)

    def _logits(self, component: Component) -> Tensor:
        weights = torch.arange(1, component.batch_shape[-1] + 1, dtype=component.dtype)
        return (weights / weights.sum()).log()

    def _mixture(self) -> Mixture:
        """A start away from where the rows were drawn: an update from smoothed responsibilities."""
        component, x = self.make(), self.rows()
        r = 0.5 * self._responsibilities(component, x) + 0.5 / component.batch_shape[-1]
        return Mixture._of(self._logits(component), self._updated(component, x, r))

    def _responsibilities(self, component: Component, x: Tensor) -> Tensor:
        return torch.softmax(self._logits(component) + component.log_prob(x), -1)

    def _sums(self, x: Tensor, weight: Tensor | None) -> Statistics:
        component = self.make()
        return component.expect(self._logits(component), x, weight, soft)

    def _updated(self, component: Component, x: Tensor, r: Tensor) -> Component:
        sums = Statistics(r.sum().double(), r.sum(0).double(), component.statistics(x, r))
        return component.update(sums)

    def _expected_log_likelihood(self, component: Component, x: Tensor, r: Tensor) -> Tensor:
        return (r * component.log_prob(x)).sum()


def check_learnable(component: Component, exact: bool = True) -> None:
    """Runs every law of `LearnableContract` on components with batch shape ``(K,)``.

    Raises:
        AssertionError: If a law does not hold.

    Example:
        >>> mx.testing.check_learnable(mx.Normal(torch.tensor([0.5, 3.0]).double(), torch.tensor([2.0, 0.5]).double()))
    """
    given(component, exact).check()


def given(component: Component, exact: bool = True) -> LearnableContract:
    """Returns the contract of these components."""

    class Given(LearnableContract):
        def make(self) -> Component:
            return component

    contract = Given()
    contract.exact = exact
    return contract


def _assert_same(one: Statistics, two: Statistics) -> None:
    assert_close(one.log_likelihood, two.log_likelihood, 1e-10, "the log-likelihood")
    assert_close(one.weight, two.weight, 1e-10, "the sums of responsibilities")
    for mine, theirs in zip(one.moments, two.moments, strict=True):
        assert_close(mine, theirs, 1e-9, "the sums of statistics")
