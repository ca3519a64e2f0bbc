r"""What an observation is: what stands between a draw x of a mixture and what is recorded, y.

An observation answers how likely y is under each component, :math:`p(y|k) = \int p(y|x)\, p_k(x)\, dx`, what the clean
row's expected statistics are given y, and what y looks like for a given x. It knows nothing of weights, labels rules
or learners. Every per-row quantity (a noise variance, a limit) is a tensor with leading dimensions ``(R, C)``, R the
number of rows or 1 and C the number of components or 1, once `Observation.resolve` has settled which is which.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import torch
from torch import Generator, Tensor

from .._value import Value
from ..components import Component, Gaussian, Labels, Statistics
from ..errors import NotClosedForm, refuse
from ..mixture import Mixture

__all__ = [
    "Frame",
    "Observation",
    "Observed",
    "add_up",
    "aligned",
    "believe",
    "frame_of",
    "lead",
    "of_label",
    "over",
    "weighted",
]


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
    def gaps(self) -> bool:
        """Whether NaN in what is recorded means that nothing was."""
        return False

    # -- density, draws and moments of what is recorded; `components` are the clean ones

    @abstractmethod
    def log_prob(self, components: Component, y: Tensor) -> Tensor:
        """Returns log p(y|k) in nats, ``(*S, *B, K)``, of recorded rows ``(*S, *B, *event)``; resolved only."""

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
        return Mixture._of(mixture.logits.expand(components.batch_shape), components)

    def sample(self, x: Tensor, generator: Generator | None = None, labels: Tensor | None = None) -> Tensor:
        """Draws what is recorded of clean rows ``(N, *event)``.

        Arguments:
            x: The clean rows.
            generator: The source of randomness.
            labels: Which component each row came from, needed where the errors differ between components.
        """
        frame = Frame(x.shape[1:], None if labels is None else int(labels.max()) + 1, len(x), x.dtype, x.device)
        return self.resolve(frame).record(x, _nobody(x) if labels is None else labels, generator, None)

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
        joint = logits + self.log_prob(components, over(y, components))
        r, log_likelihood = believe(joint, weight, labels)
        return Statistics(log_likelihood, r.sum(0).double(), self.complete(components, y, r))

    def log_joint(self, mixture: Mixture, y: Tensor) -> Tensor:
        """Returns log w_k + log p(y|k) of rows ``(N, *event)``, with shape ``(N, *B, K)``; resolved only."""
        return mixture.logits + self.log_prob(mixture.components, over(y, mixture.components))

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

    def followed_by(self, others: Sequence[Observation]) -> Observation:
        """Returns this observation and those after it as one."""
        from .sequence import InSequence

        return InSequence((self, *others)) if others else self

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
        rows = [tensor.shape[0] for tensor in self.observation.side[:1]]
        return torch.Size((*rows, *self.components.batch_shape))

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


def _nobody(x: Tensor) -> Tensor:
    return torch.zeros(len(x), dtype=torch.long, device=x.device)


def believe(joint: Tensor, weight: Tensor | None, labels: Labels) -> tuple[Tensor, Tensor]:
    """Returns weighted responsibilities ``(N, *B, K)`` and the log-likelihood ``(*B)`` of a block of log joints."""
    density = torch.logsumexp(joint, -1)
    if weight is None:
        return labels(joint), density.double().sum(0)
    row = weight.reshape(-1, *(1,) * (joint.ndim - 2))
    return labels(joint) * row.unsqueeze(-1), (row * density).double().sum(0)


def add_up(parts: Sequence[tuple[Tensor, ...]]) -> list[Tensor]:
    """Adds tuples of sums, entry by entry."""
    return [torch.stack(field).sum(0) for field in zip(*parts, strict=True)]


def weighted(gaussian: Gaussian, r: Tensor, shift: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """The sums that `Gaussian.update` takes, from each row's expected moments about the means."""
    first = torch.einsum("n...k,n...kd->...kd", r.double(), shift.double())
    moment = torch.einsum("n...k,n...kij->...kij", r.double(), second.double())
    return first, gaussian.structure.pooled(moment)


def over(y: Tensor, components: Component) -> Tensor:
    """Rows ``(N, *event)`` as ``(N, 1, ..., *event)``, so that they broadcast against the components' batch."""
    return y.reshape(len(y), *(1,) * (len(components.batch_shape) - 1), *y.shape[1:])


def lead(name: str, tensor: Tensor, trailing: int, frame: Frame, per_row: bool | None) -> Tensor:
    """Gives a tensor its leading dimensions ``(R, C)``.

    One leading dimension counts rows if ``per_row`` says so. Where it says nothing, it counts rows in a fit if there
    are so many rows, and outside a fit if there are not so many components.
    """
    extra = tensor.ndim - trailing
    if extra == 0:
        return tensor[None, None]
    if extra == 1:
        rows = _counts_rows(tensor.shape[0], frame) if per_row is None else per_row
        tensor = tensor.unsqueeze(1) if rows else tensor.unsqueeze(0)
    elif extra != 2:
        refuse(name, f"a tensor with {trailing} to {trailing + 2} dimensions", f"shape {tuple(tensor.shape)}")
    _check_lead(name, tensor, frame)
    return tensor


def _counts_rows(size: int, frame: Frame) -> bool:
    if frame.rows is None:
        return size != 1 and frame.components is not None and size != frame.components
    if frame.rows == frame.components:
        refuse("per_row", "given where rows and components are equally many", frame.rows)
    return size == frame.rows


def _check_lead(name: str, tensor: Tensor, frame: Frame) -> None:
    for size, known, what in ((tensor.shape[0], frame.rows, "rows"), (tensor.shape[1], frame.components, "components")):
        if known is not None and size not in (1, known):
            refuse(name, f"one for all or one for each of the {known} {what}", f"{size}", "See `per_row`.")


def aligned(tensor: Tensor, components: Component) -> Tensor:
    """A tensor led by ``(R, C)`` as ``(R, 1, ..., C, ...)``, or ``(1, ..., C, ...)`` where shared by rows."""
    inner = (1,) * (len(components.batch_shape) - 1)
    rows = tensor.shape[:1] if tensor.shape[0] > 1 else ()
    return tensor.reshape(*rows, *inner, *tensor.shape[1:])


def of_label(tensor: Tensor, labels: Tensor) -> Tensor:
    """Each row's own entry, ``(*S, ...)``, of a tensor led by ``(R, C)`` for labels ``(*S)`` whose last counts rows."""
    row = torch.arange(labels.shape[-1], device=labels.device) if tensor.shape[0] > 1 else 0
    return tensor[row, labels if tensor.shape[1] > 1 else torch.zeros_like(labels)]
