r"""What a family of components is: K distributions of one family, batched.

A component family answers how likely rows are, draws rows, gives its moments, and, if it can be learned, what a row's
sufficient statistics are and what parameters given sums of them imply. It knows nothing of weights, labels, noise or
learners. Shapes: parameters have batch shape ``(*B, K)``; rows ``x`` have shape ``(*S, *B, *event)``, with sample
dimensions first as everywhere in PyTorch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import reduce
from operator import add
from typing import TYPE_CHECKING, Any, ClassVar, Self

import torch
from torch import Generator, Tensor
from torch.distributions import constraints

from .._value import permuted
from ..errors import NotClosedForm, refuse
from ..kernels import Rule
from .by_moments import ByMoments
from .climbing import Climbing
from .covariance.structure import Structure
from .family import Family, family
from .statistics import Statistics
from .transforms import transformed
from .weighing import Weighing

if TYPE_CHECKING:
    from .gaussian import Gaussian

__all__ = ["Component", "Labels"]

Labels = Callable[[Tensor], Tensor]
"""A labels rule: log joint ``(..., K)`` to responsibilities ``(..., K)`` that sum to one over components."""

Reduce = Callable[[Callable[[Tensor, Tensor | None], Any]], Any]
"""The sum over all blocks of a function of rows ``(N, *event)`` and weights ``(N,)``, or none for ones."""

_BLOCK_BYTES = 1 << 20  # of the log joint of a block: what a core's cache holds
_FEWEST_ROWS = 256


class Component(Climbing, ByMoments, Weighing, ABC):
    """K distributions of one family, with batch shape ``(*B, K)``.

    A new family is one file that defines the abstract members, and one line in the table of families.
    """

    domain: ClassVar[Any] = constraints.real  # where one entry of a row may lie
    arguments: ClassVar[dict[str, Any]] = {}  # where each parameter may lie, in families on numbers
    bold: ClassVar[Any] = False  # whether an update may lead too far, as Newton's steps do, so `cautious` is needed
    matching: ClassVar[Any] = None  # how a compiled M-step makes parameters of mean statistics, where there is one
    compiled: ClassVar[Any] = None  # the law by which a compiled pass knows regressions, where it does
    narrows: ClassVar[bool] = False  # whether, with no Gaussian inside, it fits a few rows that happen to lie together

    # -- what it is

    @property
    def support(self) -> Any:
        """Where the density is positive, as a torch constraint: everywhere unless a family says otherwise."""
        return constraints.independent(constraints.real, len(self.event_shape))

    @property
    @abstractmethod
    def parameters(self) -> int:
        """The number of free parameters of one batch entry, weights not counted."""

    @property
    def has_natural(self) -> bool:
        """Whether it is an exponential family that shows its natural parameters, and so takes a `Conjugate` prior."""
        return False

    @property
    def core(self) -> Component:
        """The components that a prior is on: themselves, without noise that stands beside them."""
        return self

    def verify(self) -> None:
        super().verify()
        batch = self.batch_shape
        own = {name: value for name, value in self._fields().items() if isinstance(value, Tensor)}
        wrong = [name for name, value in own.items() if value.shape[: len(batch)] != batch]
        if wrong or not batch.numel() or not self.event_shape.numel():
            expected = f"led by the shape of the components, {tuple(batch)}, and of some feature"
            refuse((wrong or ["components"])[0], expected, "another shape")

    # -- the Gaussian inside, where there is one

    @property
    def has_gaussian(self) -> bool:
        """Whether there is a Gaussian inside, such as that of a Student-t's centres and matrices."""
        return False

    @property
    def gaussian_image(self) -> bool:
        """Whether rows are a fixed one-to-one map of the Gaussian's, so that its sums and conjugate prior serve."""
        return False

    @property
    def is_gaussian(self) -> bool:
        """Whether the law of a row is Gaussian."""
        return False

    @property
    def gaussian(self) -> Gaussian:
        """The Gaussians on vectors that are inside; a number is a vector of one feature.

        Raises:
            NotClosedForm: If the family has none.

        Example:
            >>> mx.LogNormal(torch.tensor([0.0]), torch.tensor([2.0])).gaussian.covariance
            tensor([[[4.]]])
        """
        raise NotClosedForm(f"There is no Gaussian inside of {type(self).__name__} components.")

    def with_gaussian(self, gaussian: Gaussian) -> Component:
        """Returns the same family around other Gaussians on vectors.

        Raises:
            NotClosedForm: If the family has none inside.
        """
        raise NotClosedForm(f"There is no Gaussian inside of {type(self).__name__} components.")

    @property
    def gaussian_law(self) -> Gaussian:
        """The components as Gaussians on vectors, where the law of a row is Gaussian.

        Raises:
            NotClosedForm: If it is not.
        """
        if self.is_gaussian:
            return self.gaussian
        raise NotClosedForm(f"{type(self).__name__} components have no closed form here; Gaussian and Normal have.")

    # -- density and draws

    @abstractmethod
    def log_prob(self, x: Tensor) -> Tensor:
        """Returns the log-density of rows ``(*S, *B, *event)`` under each component, ``(*S, *B, K)``, in nats."""

    @abstractmethod
    def draw(self, labels: Tensor, generator: Generator | None = None) -> Tensor:
        """Draws one row from the component that each label names: ``(*S, *B)`` to ``(*S, *B, *event)``."""

    @property
    def covariance(self) -> Tensor:
        """The covariance matrices, with shape ``(*B, K, D, D)``; for numbers, the variances."""
        return self.variance if not self.event_shape else torch.diag_embed(self.variance)

    def mixture_log_prob(self, logits: Tensor, x: Tensor) -> Tensor:
        """Returns the log-density of the mixture with normalised ``logits``; a family may fuse the two steps."""
        return torch.logsumexp(logits + self.log_prob(x), -1)

    def mixture_score(self, logits: Tensor, x: Tensor) -> Tensor:
        """Returns the gradient of the mixture's log-density in ``x``; by autograd unless a family knows better.

        Raises:
            NotClosedForm: If rows are whole numbers, which cannot move.
        """
        if self.support.is_discrete:
            raise self._no("gradients in whole numbers")
        if transformed():  # such as `vmap`, to which autograd would be blind
            score = torch.func.grad(lambda rows: self.mixture_log_prob(logits, rows).sum())(x)
            return score.masked_fill(self._unknown(x), torch.nan)
        again = torch.is_grad_enabled()  # then the score itself may be differentiated, in x and in the parameters
        with torch.enable_grad():
            x = x if x.requires_grad else x.detach().requires_grad_()
            x = x.expand(torch.broadcast_shapes(x.shape, self.batch_shape[:-1] + self.event_shape))
            total = self.mixture_log_prob(logits, x).sum()
        if total.grad_fn is None:  # a density of steps without a slope
            return torch.zeros_like(x).masked_fill(self._unknown(x), torch.nan)
        score = torch.autograd.grad(total, x, create_graph=again, materialize_grads=True)[0]
        return score.masked_fill(self._unknown(x), torch.nan)

    # -- learning

    def statistics(self, x: Tensor, r: Tensor) -> tuple[Tensor, ...]:
        """Returns the sums of sufficient statistics of rows ``(N, *event)`` under ``r`` ``(N, *B, K)``."""
        raise NotClosedForm(f"{type(self).__name__} has no sufficient statistics; learn it by gradient M-steps.")

    def update(self, statistics: Statistics, prior: Any = None) -> Self:
        """Returns the components that the sums imply: maximum likelihood, or MAP under a conjugate prior."""
        raise NotClosedForm(f"{type(self).__name__} has no closed-form update; learn it by gradient M-steps.")

    def cautious(self, statistics: Statistics, prior: Any = None) -> Self:
        """Returns an update that is sure not to lower the likelihood, if it leads less far."""
        return self.update(statistics, prior)

    def settled(self, reduce: Reduce) -> Self:
        """Returns the components as a run on some rows begins from them: the same, unless the rows bound them.

        Arguments:
            reduce: The sum over all blocks of a function of rows and weights, of anything that can be added.
        """
        return self

    def restated(self, statistics: Statistics, old: Self) -> Statistics:
        """Returns sums about the parameters of ``old`` as sums about these: the same for uncentred families."""
        return statistics

    def expect(self, logits: Tensor, x: Tensor, weight: Tensor | None, labels: Labels) -> Statistics:
        """Composes density, labels rule and sufficient statistics for one block; a family may fuse them.

        Arguments:
            logits: The normalised log-weights, with shape ``(*B, K)``.
            x: The rows of the block, with shape ``(N, *event)``, shared by the whole batch.
            weight: The row weights, with shape ``(N,)``, or none for ones.
            labels: The labels rule.
        """
        height = max(_FEWEST_ROWS, _BLOCK_BYTES // (self.batch_shape.numel() * x.element_size()))
        rule, parts = Rule.of(labels), (slice(start, start + height) for start in range(0, max(1, len(x)), height))
        shares = ((part, None if weight is None else weight[part]) for part in parts)
        return reduce(add, (self._expect_block(logits, x[part], share, rule.take(part)) for part, share in shares))

    def _expect_block(self, logits: Tensor, x: Tensor, weight: Tensor | None, labels: Labels) -> Statistics:
        log_likelihood, r = self._believed(logits + self.log_prob(self._shared(x)), x, weight, labels)
        return Statistics(log_likelihood, r.sum(0, dtype=torch.float64), self.statistics(x, r))

    def _believed(self, joint: Tensor, x: Tensor, weight: Tensor | None, labels: Labels) -> tuple[Tensor, Tensor]:
        """The log-likelihood ``(*B)`` and weighted responsibilities ``(N, *B, K)`` of log joints of as many rows."""
        row_weight = (x.new_ones(len(x)) if weight is None else weight).reshape(-1, *(1,) * (joint.ndim - 2))
        idle = row_weight == 0  # such a row may lie where no component can be
        log_likelihood = (row_weight * torch.logsumexp(joint, -1).masked_fill(idle, 0)).sum(0, dtype=torch.float64)
        r = labels(joint).masked_fill(idle.unsqueeze(-1), 0) * row_weight.unsqueeze(-1)
        return log_likelihood, r

    @property
    def shares(self) -> bool:
        """Whether the update of one component moves parameters of another."""
        return False

    def untied(self) -> Self:
        """Returns the same components with parameters of their own in the place of shared ones."""
        return self

    # -- holding parameters

    @property
    def holds_moments(self) -> bool:
        """Whether means and covariances can be held while the rest is learned: those of a Gaussian inside."""
        return self.has_gaussian

    def holding_means(self, statistics: Statistics) -> Statistics:
        """Returns the sums under which an update leaves the means of Gaussians where they are."""
        return statistics

    def with_moments_of(self, old: Self, means: bool, covariances: bool) -> Self:
        """Returns the components with means, or covariances, or both, of the Gaussians in ``old``."""
        return self

    def with_frozen(self, old: Self, free: Tensor) -> Self:
        """Returns the components that are free, by a mask ``(*B, K)``, and those of ``old`` elsewhere."""
        return self.where(free, old)

    def held_parameters(self, frozen: Sequence[int], means: bool, covariances: bool) -> int:
        """Returns how many parameters are not free, by the components frozen and the Gaussians' moments held."""
        return len(frozen) * self.parameters // self.batch_shape[-1]

    @property
    def sums_add(self) -> bool:
        """Whether any weighted sum of sums is one, from which an update may be made: what extrapolation needs."""
        return False

    def sums_units(self, statistics: Statistics) -> tuple[Tensor, ...]:
        """Returns the unit in which changes of each of the moments are measured, which broadcasts against it."""
        return tuple(moment.abs().mean(len(self.batch_shape) - 1, keepdim=True) for moment in statistics.moments)

    @property
    def remark(self) -> str:
        """What a fit should say about its components, such as that a simpler family would do; mostly nothing."""
        return ""

    def broken(self) -> Tensor:
        """Tells which components, ``(*B, K)``, are not finite: the only collapse of a family on whole numbers."""
        return ~(self.mean.isfinite() & self.variance.isfinite()).reshape(*self.batch_shape, -1).all(-1)

    @classmethod
    def template(cls, **settings: Any) -> Family:
        """Returns the family as a fit takes it: its settings, and no parameters yet.

        Raises:
            MixtureError: If the family has no setting of that name.

        Example:
            >>> mx.Poisson.template()
            Template(Poisson)
        """
        return family(cls, **settings)

    def chosen(self, labels: Tensor) -> Self:
        """Returns, for labels ``(*S, *B)``, the parameters of the component that each names: ``(*S, *B, *event)``."""
        batch = self.batch_shape
        offset = torch.arange(batch[:-1].numel(), device=labels.device).reshape(batch[:-1]) * batch[-1]
        return self.map(lambda t: t.reshape(batch.numel(), *t.shape[len(batch) :])[labels + offset])

    def collapsed(self, floor: Tensor) -> Tensor:
        """Tells which components, ``(*B, K)``, are not finite or narrower than the variance ``floor`` ``(*event)``."""
        return (~(self.variance >= floor)).reshape(*self.batch_shape, -1).any(-1)

    # -- indexing and algebra

    def take(self, index: Any) -> Self:
        """Returns the components that ``index`` selects along K (the last batch dimension)."""
        return self._take(len(self.batch_shape) - 1, index, self.batch_shape[-1])

    def batch(self, index: Any) -> Self:
        """Returns the entries that ``index`` selects along the first batch dimension."""
        return self.map(lambda t: t[index])

    def reordered(self, order: Tensor) -> Self:
        """Returns a batch ``(B, K)`` with entry b's components in the order ``order[b]``."""
        return self.map(lambda tensor: permuted(tensor, order))

    def flattened(self) -> Self:
        """Returns the components of all entries of a batch ``(S, K)`` as those of one, S times K, entry by entry."""
        return self.untied().map(lambda tensor: tensor.flatten(0, 1))

    def marginal(self, dims: Sequence[int]) -> Component:
        """Returns the distribution of some coordinates."""
        raise self._no("marginals")

    def condition(self, dims: Sequence[int], values: Tensor) -> tuple[Component, Tensor]:
        """Returns the other coordinates given some, and the log-density of the given ones ``(*S, *B, K)``."""
        raise self._no("conditionals")

    def conditional_mean(self, logits: Tensor, dims: Sequence[int], values: Tensor) -> Tensor:
        """Returns the mean of the other coordinates given some under the mixture with ``logits``; a family may fuse it.

        Arguments:
            logits: The normalised log-weights, with shape ``(*B, K)``.
            dims: The coordinates that are known.
            values: Their values, with shape ``(*S, *B, len(dims))``.
        """
        components, evidence = self.condition(dims, values)
        weights, axis = torch.softmax(logits + evidence, -1), -1 - len(components.event_shape)
        return (weights.reshape(*weights.shape, *(1,) * (-1 - axis)) * components.mean).sum(axis)

    def affine(self, matrix: Tensor, offset: Tensor | None) -> Component:
        """Returns the distribution of ``matrix @ x + offset``."""
        raise self._no("affine images")

    def convolve(self, covariance: Tensor | Structure) -> Component:
        """Returns the distribution of ``x`` plus independent zero-mean Gaussian noise."""
        raise self._no("convolutions")

    def product(self, other: Component) -> tuple[Component, Tensor]:
        """Returns the normalised products with each component of ``other`` and their log-masses."""
        raise self._no("products")

    def cdf(self, x: Tensor) -> Tensor:
        """Returns the cumulative probability of numbers under each component, ``(*S, *B, K)``."""
        raise self._no("cumulative probabilities")

    def survival(self, x: Tensor) -> Tensor:
        """Returns the probability of more than x, ``(*S, *B, K)``; a family keeps the digits of this tail if it can."""
        return 1 - self.cdf(x)

    @property
    def ends(self) -> tuple[Tensor, Tensor]:
        """Where numbers begin and end that each component can take, ``(*B, K)`` or what broadcasts to it."""
        where = getattr(self.support, "base_constraint", self.support)
        least, most = getattr(where, "lower_bound", -torch.inf), getattr(where, "upper_bound", torch.inf)
        low, high = (torch.as_tensor(end, dtype=self.dtype, device=self.device) for end in (least, most))
        return low.expand(self.batch_shape), high.expand(self.batch_shape)

    def rosenblatt(self, x: Tensor) -> tuple[Tensor, Tensor]:
        r"""Returns, for each coordinate d and component k, the conditional law of :math:`x_d` given :math:`x_{<d}`.

        Returns:
            The standard normal score of :math:`x_d` and its conditional log-density, both ``(*S, *B, K, D)``.
        """
        raise self._no("reparameterised draws")

    @property
    def has_rosenblatt(self) -> bool:
        """Whether `rosenblatt` is available, hence pathwise gradients of draws."""
        return False

    def _no(self, what: str) -> NotClosedForm:
        return NotClosedForm(f"{type(self).__name__} components have no closed-form {what} in Mixtura.")

    def _within(self, density: Tensor, x: Tensor, outside: Tensor) -> Tensor:
        """The log-density ``(*S, *B, K)`` of rows: none where an entry is outside the support, NaN where one is NaN."""
        lost = outside.any(-1, keepdim=True) if self.event_shape else outside.unsqueeze(-1)
        unknown = self._unknown(x) if self.event_shape else x.isnan().unsqueeze(-1)
        return density.masked_fill(lost, -torch.inf).masked_fill(unknown, torch.nan)

    def _unknown(self, x: Tensor) -> Tensor:
        """Which rows have an entry that is NaN, with an axis of one for each of the event's."""
        return x.isnan().any(-1, keepdim=True) if self.event_shape else x.isnan()

    def _shared(self, x: Tensor) -> Tensor:
        """Rows ``(N, *event)`` as ``(N, 1, ..., *event)``, so that they broadcast against the batch."""
        batch = len(self.batch_shape) - 1
        return x.reshape(x.shape[0], *(1,) * batch, *x.shape[1:])
