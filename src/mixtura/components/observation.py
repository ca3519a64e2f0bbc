r"""What an observation is: what stands between a draw x of a mixture and what is recorded, y.

An observation answers how likely y is under each component, :math:`p(y|k) = \int p(y|x)\, p_k(x)\, dx`, what the clean
row's expected statistics are given y, and what y looks like for a given x. It knows nothing of weights, labels rules
or learners. Every per-row quantity (a noise variance, a limit) is a tensor with leading dimensions ``(R, C)``, R the
number of rows or 1 and C the number of components or 1, once `Observation.resolve` has settled which is which.

`Exact` is the observation of rows that were recorded as they were drawn: every question then goes to the components.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import torch
from torch import Generator, Tensor

from .._value import Value
from ..errors import NotClosedForm
from ..kernels import Drawn
from .base import Component, Labels
from .statistics import Statistics

if TYPE_CHECKING:
    from ..mixture import Mixture

__all__ = ["EXACT", "Exact", "Frame", "Observation", "Observed", "believe", "frame_of", "over"]


class Frame(NamedTuple):
    """What is known of the clean rows where an observation is resolved; None where it is not known."""

    event_shape: torch.Size
    components: int | None
    rows: int | None
    dtype: torch.dtype
    device: torch.device

    @property
    def features(self) -> int:
        """Numbers in a clean row."""
        return self.event_shape.numel()


def frame_of(components: Component) -> Frame:
    """The frame of components outside a fit: the number of rows is not known."""
    return Frame(components.event_shape, components.batch_shape[-1], None, components.dtype, components.device)


class Observation(Value, ABC):
    """What stands between a draw and what is recorded: noise, errors, projection, gaps, limits.

    A new observation defines `log_prob`, `complete` and `record`; the rest follows from them.
    """

    # -- what is recorded of each row

    def resolve(self, frame: Frame) -> Observation:
        """Returns the same observation with every tensor led by ``(R, C)``, of the frame's type and device."""
        return self

    @property
    def led(self) -> tuple[Tensor, ...]:
        """The tensors of a resolved observation that are led by ``(R, C)``."""
        return tuple(self.tensors())

    @property
    def side(self) -> tuple[Tensor, ...]:
        """Those of them that have an entry for each row, ``(N, C, ...)``."""
        return tuple(tensor for tensor in self.led if tensor.shape[0] > 1)

    def at(self, side: Sequence[Tensor]) -> Self:
        """Returns a resolved observation for some of its rows, whose tensors are given as in `side`."""
        pieces = iter(side)
        return self.map(lambda tensor: next(pieces) if tensor.shape[0] > 1 else tensor)

    def clean_features(self, recorded: int) -> int:
        """Returns how many numbers a clean row has where so many are recorded."""
        return recorded

    def clean_columns(self, recorded: tuple[str, ...] | None) -> tuple[str, ...] | None:
        """Returns the names of the clean row's columns where those that are recorded have these."""
        return recorded

    @property
    def errors(self) -> Tensor | None:
        """The scales of independent errors ``(R, 1, D)`` where errors and gaps are all there is, or none; resolved."""
        return None

    @property
    def gaps(self) -> bool:
        """Whether NaN in what is recorded means that nothing was."""
        return False

    # -- density, draws and moments of what is recorded; `components` are the clean ones

    @abstractmethod
    def log_prob(self, components: Component, y: Tensor) -> Tensor:
        """Returns log p(y|k) in nats, ``(*S, *B, K)``, of recorded rows ``(*S, *B, *event)``; resolved only."""

    def density(self, components: Component, y: Tensor) -> Tensor:
        """Returns `log_prob` of rows without gaps, with no look at a number where that can be done; NaN if singular."""
        return self.log_prob(components, y)

    def before_selection(self, components: Component, y: Tensor) -> Tensor:
        """Returns `log_prob`, where rows are selected without what it is divided by: that they were recorded at all."""
        return self.log_prob(components, y)

    @abstractmethod
    def record(self, x: Tensor, labels: Tensor, generator: Generator | None, components: Component | None) -> Tensor:
        """Draws what is recorded of clean rows ``(*S, *B, *event)`` that came from ``labels``; resolved only."""

    def recorded_shape(self, components: Component) -> torch.Size:
        """Returns the event shape of what is recorded."""
        return components.event_shape

    def moments(self, components: Component) -> tuple[Tensor, Tensor]:
        """Returns mean and variance ``(*B, K, *event)`` of what is recorded of each component; resolved only."""
        raise NotClosedForm(f"The moments of {type(self).__name__} have no closed form in Mixtura; use `sample`.")

    def observed(self, components: Component) -> Component:
        """Returns the family of what is recorded, as seen per component."""
        return Observed._of(components=components, observation=self.resolve(frame_of(components)))

    def apply(self, mixture: Mixture) -> Mixture:
        """Returns the distribution of what is recorded; with tensors for N rows, a batch of N mixtures."""
        components = self.observed(mixture.components)
        return mixture._of(mixture.logits.expand(components.batch_shape), components)

    def own_log_prob(self, mixture: Mixture, y: Tensor) -> Tensor:
        """Returns log-densities ``(N,)`` of rows that each have their own mixture, and perhaps errors; resolved only.

        Arguments:
            mixture: The mixtures of clean rows, of batch shape ``(N,)``.
            y: What was recorded of them, ``(N, *event)``.
        """
        if self.side:
            raise NotClosedForm(f"{type(self).__name__} that differs from row to row has no mixtures of single rows.")
        return self.apply(mixture).log_prob(y)

    def sample(self, x: Tensor, generator: Generator | None = None, labels: Tensor | None = None) -> Tensor:
        """Draws what is recorded of clean rows ``(N, *event)``.

        Arguments:
            x: The clean rows.
            generator: The source of randomness.
            labels: Which component each row came from, needed where the errors differ between components.
        """
        frame = Frame(x.shape[1:], None if labels is None else int(labels.max()) + 1, len(x), x.dtype, x.device)
        labels = torch.zeros(len(x), dtype=torch.long, device=x.device) if labels is None else labels
        return self.resolve(frame).record(x, labels, generator, None)

    # -- the inverse problem

    @abstractmethod
    def complete(self, components: Component, y: Tensor, r: Tensor) -> tuple[Tensor, ...]:
        """Returns the expected sums of the clean rows' statistics given y ``(N, *event)`` and r ``(N, *B, K)``.

        They are in the form of ``components.statistics``, so that ``components.update`` takes them; resolved only.
        """

    def expect(
        self, components: Component, logits: Tensor, y: Tensor, weight: Tensor | None, labels: Labels
    ) -> Statistics:
        """Composes density, labels rule and expected statistics for one block, as `Component.expect`."""
        joint = logits + self.before_selection(components, over(y, components))
        r, log_likelihood = believe(joint, weight, labels)
        return Statistics(log_likelihood, r.sum(0).double(), self.complete(components, y, r))

    def drawn(
        self, components: Component, logits: Tensor, y: Tensor, weight: Tensor | None, labels: Drawn
    ) -> Statistics:
        """Returns the sums of one draw of labels and clean rows given y; the arguments are those of `expect`.

        A row that counts several times is so many rows that share their label and their clean row.
        """
        raise NotClosedForm(f"The clean row given y cannot be drawn under {type(self).__name__}.")

    def log_joint(self, mixture: Mixture, y: Tensor) -> Tensor:
        """Returns log w_k + log p(y|k) of rows ``(N, *event)``, with shape ``(N, *B, K)``; resolved only."""
        return mixture.logits + self.before_selection(mixture.components, over(y, mixture.components))

    def clean_moments(self, components: Component, y: Tensor) -> tuple[Tensor, Tensor]:
        r"""Returns E[x - mu_k] and E[(x - mu_k)(x - mu_k)^T] given y and k; resolved only.

        Arguments:
            components: Gaussians or Normals.
            y: Recorded rows ``(N, 1, ..., *event)``, ready to be broadcast against the components, as by `over`.

        Returns:
            Tensors ``(N, *B, K, D)`` and ``(N, *B, K, D, D)``.
        """
        raise NotClosedForm(f"{type(self).__name__} has no closed form for what the clean row is given y.")

    def first_guess(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """Returns a rough mean and variance ``(D,)`` of the clean rows behind y ``(N, M)``; resolved only."""
        mean = y.nanmean(0)
        return mean, (y - mean).square().nanmean(0)

    def kinds(self, y: Tensor) -> Tensor | None:
        """Returns how each coordinate of rows was recorded, numbers ``(N, D)``: zero if not; none if all are alike."""
        return None

    def of_kind(self, y: Tensor, kind: Sequence[int]) -> tuple[Observation, Tensor, Sequence[int] | None]:
        """Returns how rows of one kind were recorded, whose `density` looks at no number where that can be done.

        Arguments:
            y: The rows ``(N, *event)``, to which this observation was brought by `at`.
            kind: What `kinds` says of each of them, which depends on the rows alone; not zeros alone.

        Returns:
            Their observation, what it takes of the rows, and the coordinates of a clean row that it sees, none for all.
        """
        return self, y, None

    def otherwise(self) -> Observation:
        """Returns the same but for the order in which it integrates, where it does so roughly; resolved only."""
        return self

    # -- where several stand behind each other

    def passed_on(self, frame: Frame) -> Frame:
        """Returns the frame of what this observation, resolved, passes on to the next one."""
        return frame

    def merged_into(self, before: Observation) -> Observation | None:
        """Returns this observation and the one before it as one, both resolved; none where they stay two."""
        return None

    def followed_by_gaussian(self, other: Any) -> Observation | None:
        """Returns this observation and a Gaussian one behind it as one; none where they stay two."""
        return None

    @property
    def carries(self) -> bool:
        """Whether what is known of the outcome can be carried back to the draw: so for Gaussian observations."""
        return False

    @property
    def only_gaps(self) -> bool:
        """Whether it does nothing but leave coordinates out; resolved only."""
        return False

    @property
    def draws(self) -> bool:
        """Whether the clean row given y can be drawn: `drawn`."""
        return False

    def outside(self, y: Tensor) -> Tensor:
        """Tells which rows ``(n, D)`` cannot have been recorded, ``(n,)``."""
        return torch.zeros(len(y), dtype=torch.bool, device=y.device)

    @property
    def row_by_row(self) -> bool:
        """Whether components may already differ from row to row."""
        return False

    @property
    def exact(self) -> bool:
        """Whether rows are recorded as they were drawn."""
        return False

    @property
    def held(self) -> tuple[Tensor, Tensor] | None:
        """The rows that the observation itself holds, with their counts; none where they come from elsewhere."""
        return None

    @property
    def selects(self) -> bool:
        """Whether some draws are not recorded at all, and nobody counts them."""
        return False

    def unrecorded(self, components: Component, logits: Tensor, count: Tensor) -> Statistics:
        """Returns the sums of the rows that were not recorded, as far as those that were tell of them; resolved only.

        Arguments:
            components: The clean components.
            logits: The log-weights, with shape ``(*B, K)``.
            count: How often each recorded row counts, with shape ``(N,)``.
        """
        raise NotClosedForm(f"{type(self).__name__} records every draw.")

    def log_recorded(self, mixture: Mixture) -> Tensor:
        """Returns the log-probability that a draw is recorded at all: zero unless some are left out; resolved only."""
        return torch.zeros((), dtype=mixture.dtype, device=mixture.device)

    def posterior(self, mixture: Mixture, y: Tensor) -> Mixture:
        """Returns the distribution of the clean value given what was recorded, ``(*S, *B, *event)``."""
        raise NotClosedForm(f"The posterior under {type(self).__name__} is not a mixture that Mixtura can write down.")


@dataclass(frozen=True, eq=False, repr=False)
class Observed(Component):
    """Components seen through an observation, where the result has no family of its own."""

    components: Component
    observation: Observation

    @property
    def batch_shape(self) -> torch.Size:
        return torch.Size((*(len(one) for one in self.observation.side[:1]), *self.components.batch_shape))

    @property
    def event_shape(self) -> torch.Size:
        return self.observation.recorded_shape(self.components)

    @property
    def parameters(self) -> int:
        return self.components.parameters

    @property
    def dtype(self) -> torch.dtype:
        return self.components.dtype

    @property
    def device(self) -> torch.device:
        return self.components.device

    def log_prob(self, x: Tensor) -> Tensor:
        return self.observation.log_prob(self.components, x)

    def draw(self, labels: Tensor, generator: Generator | None = None) -> Tensor:
        clean = self.components.draw(labels, generator)
        return self.observation.record(clean, labels, generator, self.components)

    @property
    def mean(self) -> Tensor:
        return self.observation.moments(self.components)[0]

    @property
    def variance(self) -> Tensor:
        return self.observation.moments(self.components)[1]


@dataclass(frozen=True, eq=False, repr=False)
class Exact(Observation):
    """Nothing stands between a draw and what is recorded.

    Example:
        >>> clean = mx.Mixture(torch.ones(1), mx.Normal(torch.zeros(1), torch.ones(1)))
        >>> clean.observed(mx.observation.Exact()).variance
        tensor(1.)
    """

    @property
    def exact(self) -> bool:
        return True

    @property
    def errors(self) -> Tensor:
        return torch.zeros(1, 1, 1)

    def log_prob(self, components: Component, y: Tensor) -> Tensor:
        return components.log_prob(y)

    def record(self, x: Tensor, labels: Tensor, generator: Generator | None, components: Component | None) -> Tensor:
        return x

    def moments(self, components: Component) -> tuple[Tensor, Tensor]:
        return components.mean, components.variance

    def observed(self, components: Component) -> Component:
        return components

    def complete(self, components: Component, y: Tensor, r: Tensor) -> tuple[Tensor, ...]:
        return components.statistics(y, r)

    def expect(
        self, components: Component, logits: Tensor, y: Tensor, weight: Tensor | None, labels: Labels
    ) -> Statistics:
        return components.expect(logits, y, weight, labels)

    @property
    def draws(self) -> bool:
        return True

    def drawn(
        self, components: Component, logits: Tensor, y: Tensor, weight: Tensor | None, labels: Drawn
    ) -> Statistics:
        return components.expect(logits, y, weight, labels)


EXACT = Exact()


def believe(joint: Tensor, weight: Tensor | None, labels: Labels) -> tuple[Tensor, Tensor]:
    """Returns weighted responsibilities ``(N, *B, K)`` and the log-likelihood ``(*B)`` of a block of log joints."""
    density = torch.logsumexp(joint, -1)
    if weight is None:
        return labels(joint), density.double().sum(0)
    row = weight.reshape(-1, *(1,) * (joint.ndim - 2))
    return labels(joint) * row.unsqueeze(-1), (row * density).double().sum(0)


def over(y: Tensor, components: Component) -> Tensor:
    """Rows ``(N, *event)`` as ``(N, 1, ..., *event)``, so that they broadcast against the components' batch."""
    return y.reshape(len(y), *(1,) * (len(components.batch_shape) - 1), *y.shape[1:])
