r"""Climbing: steps of a quasi-Newton method, whose slopes are the sums that EM makes anyway, and never down.

Where EM creeps, all sums of an E-step still say how steep the log-likelihood is: with :math:`N_k` and :math:`M_k`, the
slope in the logits of weights w is :math:`N_k - w_k \sum_l N_l`, and components state theirs in coordinates of their
own (`mixtura.components.climbing`). A prior adds its pseudo-sums. From the last steps :math:`s_i` and by how much the
slopes fell, :math:`y_i = g_i - g_{i+1}`, BFGS with limited memory (Nocedal, 1980) knows how the likelihood bends,

.. math:: \text{step} = H g, \qquad H y_i = s_i,

from a first guess :math:`H_0` that is the bend of rows seen as they were drawn, under which a step is that of EM. Both
live in coordinates that move along: zero is always where the state is, which changes little over the last few steps.

As in extrapolation, a step is followed only where it pays, else the update of EM is made from the sums before it; no
component gets half as wide in a step. That update gains about :math:`g^\top H_0 g / 2`: a step that gains not even a
tenth of it, as where one that is far too long in one direction was shortened in all, is none to follow, and its small
gain no sign of an end. The remaining gain of plain updates is that of the last step times
:math:`g^\top H g / g^\top H_0 g`; before there is a pair, gains tell themselves.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import torch
from torch import Tensor

from ...components import Statistics
from ...components.climbing import Slopes
from ...mixture import Mixture
from ...mixture.prior import Prior
from .extrapolation import Guessing, Stated, narrowed
from .traces import Run, State, merged

if TYPE_CHECKING:
    from .method import Method

__all__ = ["Climb"]

_MEMORY = 10  # steps remembered
_FARTHEST = math.log(2)  # the largest change of a local coordinate in a step
_WORTH = 0.1  # of the gain of the update of EM: the least that a step must gain to be followed
_ALIVE = 1e-8  # of all rows: what a component holds at least whose slopes fell as they say
_HELD_UP = 0.1  # of a step: below it one coordinate, of rows that are nearly lost or without a limit, holds up all
_LEAST = 1e-8  # of the cosine between a step and the fall of slopes: below it the likelihood does not bend down


class _Pair(NamedTuple):
    """A step and by how much the slopes fell, ``(B, P)`` each; zero in starts that have none."""

    step: Tensor
    fall: Tensor

    @property
    def inner(self) -> Tensor:
        return (self.step * self.fall).sum(1, keepdim=True)

    @property
    def bent(self) -> Tensor:
        """Whether the likelihood bends down along the step, (B, 1)."""
        lengths = self.step.norm(dim=1, keepdim=True) * self.fall.norm(dim=1, keepdim=True)
        return (self.inner > _LEAST * lengths) & lengths.isfinite()


@dataclass
class Climb(Guessing):
    """Starts that climb by steps of their own length.

    Attributes:
        exact: Whether rows are as they were drawn.
        slope: The slopes of the last states.
        step: The last steps; zero where the last update was one of EM.
        pairs: The last steps and how slopes fell, oldest first.
        due: What the next step must gain, in nats per row, (B,).
    """

    exact: bool = field(kw_only=True)
    slope: Tensor | None = field(default=None, kw_only=True)
    step: Tensor | None = field(default=None, kw_only=True)
    pairs: list[_Pair] = field(default_factory=list, kw_only=True)
    due: Tensor = field(kw_only=True)

    @classmethod
    def of(cls, runs: list[Run], **more: Any) -> Self:
        return super().of(runs, due=torch.zeros(len(runs), dtype=torch.float64), **more)

    def rejected(self, objective: list[float]) -> list[bool]:
        return super().rejected([now - due for now, due in zip(objective, self.due.tolist(), strict=True)])

    def proposed(self, method: Method, statistics: Statistics, state: State, floor: Tensor) -> State:
        now, back, mixture = Stated(statistics, state), self.refused, method.expected(state)
        slopes = _slopes(mixture, statistics, method.sought)
        self._remember(slopes.slope)
        step = self._step(slopes, back, statistics.weight.sum(-1))
        guess = _stepped(mixture, step)
        leaps = self._leaps(method, mixture, guess, floor) & ~back
        following = guess if bool(leaps.all()) else merged(leaps, guess, method.update(statistics, state))
        if self.held is not None and bool(back.any()):
            following = merged(back, method.cautious(self.held.sums, self.held.state), following)
            now = self.held.where(back, now)
        self.held, self.slope = now, slopes.slope
        self.step = torch.where(leaps.to(step.device).unsqueeze(1), step, 0)
        self.guess = leaps | (~back & mixture.components.bold)
        return following

    def _remember(self, slope: Tensor) -> None:
        if self.slope is not None and self.step is not None:
            pair = _Pair(self.step, self.slope - slope)
            self.pairs = [*self.pairs, _Pair(*(torch.where(pair.bent, part, 0) for part in pair))][-_MEMORY:]

    def _step(self, slopes: Slopes, back: Tensor, total: Tensor) -> Tensor:
        """The step of each start, shortened where it is long; none before any slope was seen to fall."""
        first = 1 / slopes.bend.clamp_min(torch.finfo(slopes.bend.dtype).tiny)
        alive = slopes.bend > _ALIVE * total.unsqueeze(1)
        pairs = [_Pair(pair.step * alive, pair.fall * alive) for pair in self.pairs]
        step = _newton(pairs, slopes.slope, first)
        plain = (slopes.slope.square() * first).sum(1)
        self.due = (_WORTH * plain / 2 / total).nan_to_num(posinf=0.0).cpu()
        far = ((slopes.slope * step).sum(1) / plain).nan_to_num(1.0).tolist()
        for one, length, unknown in zip(self.runs, far, (back | ~_bent(pairs, self.guess)).tolist(), strict=True):
            one.far = one.far if unknown else max(1.0, length, 0.85 * one.far)
        return _cut(step)

    def _leaps(self, method: Method, now: Mixture, guess: Mixture, floor: Tensor) -> Tensor:
        """Tells which starts may follow their guess (B,)."""
        if self.slope is None:
            return torch.zeros_like(self.guess)
        sound = ~method.collapsed(guess, floor).any(-1) & guess.logits.isfinite().all(-1)
        return (sound if self.exact else sound & ~narrowed(now.components, guess.components)).cpu()

    def kept(self, index: list[int]) -> Self:
        slope, step = (None if one is None else one[index] for one in (self.slope, self.step))
        pairs = [_Pair(pair.step[index], pair.fall[index]) for pair in self.pairs]
        return replace(super().kept(index), slope=slope, step=step, pairs=pairs, due=self.due[index])


def _slopes(mixture: Mixture, sums: Statistics, prior: Prior) -> Slopes:
    """Slopes and bends (B, P) in logits and in the components' own coordinates."""
    slope, bend = mixture.components.slopes(sums, prior.components)
    rows = prior.weights.rows(sums.weight)
    lag = rows - rows.sum(-1, keepdim=True) * torch.softmax(mixture.logits.double(), -1)
    return Slopes(torch.cat([lag, slope], 1), torch.cat([rows, bend], 1))


def _stepped(mixture: Mixture, step: Tensor) -> Mixture:
    lift, rest = step.tensor_split([mixture.logits.shape[-1]], 1)
    logits = torch.log_softmax(mixture.logits.double() + lift, -1).to(mixture.dtype)
    return Mixture._of(logits, mixture.components.stepped(rest), mixture.columns)


def _newton(pairs: list[_Pair], slope: Tensor, first: Tensor) -> Tensor:
    """Returns H g for slopes g (B, P), H from pairs and from its diagonal at first: the two loops of L-BFGS."""
    shares: list[Tensor] = []
    for pair in reversed(pairs):
        shares.append(_share(pair, (pair.step * slope).sum(1, keepdim=True)))
        slope = slope - shares[-1] * pair.fall
    step = _scale(pairs, first) * first * slope
    for pair, share in zip(pairs, reversed(shares), strict=True):
        step = step + (share - _share(pair, (pair.fall * step).sum(1, keepdim=True))) * pair.step
    return step


def _bent(pairs: list[_Pair], like: Tensor) -> Tensor:
    """Whether any pair tells how the likelihood bends, by start (B,)."""
    told = [(pair.inner > 0).squeeze(1).cpu() for pair in pairs]
    return torch.stack(told).any(0) if told else torch.zeros_like(like)


def _cut(step: Tensor) -> Tensor:
    """Steps of which no coordinate changes by more than it may: one shortened, or where that leaves little, each."""
    share = _FARTHEST / step.abs().amax(1, keepdim=True).clamp_min(_FARTHEST)
    return torch.where(share > _HELD_UP, share * step, step.clamp(-_FARTHEST, _FARTHEST))


def _share(pair: _Pair, part: Tensor) -> Tensor:
    return torch.where(pair.inner > 0, part / pair.inner, 0)


def _scale(pairs: list[_Pair], first: Tensor) -> Tensor | float:
    """How much longer steps are than the first guess says, by the last pair (B, 1)."""
    if not pairs:
        return 1.0
    last = pairs[-1]
    return torch.where(last.inner > 0, last.inner / (last.fall.square() * first).sum(1, keepdim=True), 1)
