r"""Extrapolation: from three sums in a row, the loop tries where their updates would lead, and never goes down for it.

EM is a fixed-point iteration that creeps where components overlap. SQUAREM (Varadhan and Roland, 2008) squares its
steps: with :math:`u_0` the sums from whose update a pair of iterations begins, and :math:`u_1, u_2` those of the two
E-steps that follow,

.. math:: v = u_0 + 2 a r + a^2 w, \qquad r = u_1 - u_0,\quad w = (u_2 - u_1) - r,\quad a = |r| / |w| .

At the end of a long valley, where only the slowest direction is left and shrinks by :math:`\lambda` each time,
:math:`a = 1/(1-\lambda)` leads to its end. Sums are extrapolated, not parameters: a sum of any family can be added to
another, and the M-step makes a member of the family of it. All three are stated about the current means, and each sum
is measured in a unit of its own.

A component that dies holds less by the same share each time, and its sums lead below nothing: of one that holds less
than a row, as a frozen one may that fits no rows, a tenth is left instead.

The guess is followed only where its objective is no lower than that before it; else the update from :math:`u_2` is made
after all, and the longest step that is tried shrinks. So what is monotone stays so, and the limit is the same. Gains
after a guess say little about those to come, hence a, the number of plain steps that the valley is long, stretches
them when convergence is judged; until three sums have told it, a start ends only where nothing is gained at all.

Through errors a component without width is a fixed point of EM: an update multiplies a variance v far below that of
the errors by :math:`1 + c v`, so one that a guess made too narrow comes back as slowly as it narrows. Behind an
observation a guess therefore makes no component less than half as wide in any direction; one that does narrow to a
point still does so by a factor in each guess.

An update may be a guess, too: a step of Newton's that mostly leads further than one that is sure not to lower the
objective. Where it does lower it, the update is made again from the same sums with the sure step (`Bold`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from operator import add
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Tensor

from ...components import Component, Statistics
from .traces import Run, State, merged

if TYPE_CHECKING:
    from .method import Method

__all__ = ["PLAIN", "Bold", "Extrapolation", "Guessing", "Plain", "Stated", "narrowed"]

_LONGEST = 4.0  # the longest step at first, and by how much it grows and shrinks
_LEAST = 1.01  # a step that is worth a guess
_FADED = 0.1  # of what a component of less than a row holds: the least that a guess leaves of it
_NARROWER = 0.25  # of a variance: the least that a guess through errors leaves of it


class Plain:
    """Nothing is extrapolated."""

    def rejected(self, objective: list[float]) -> list[bool]:
        """Tells which starts followed a guess that is no better than where they came from."""
        return [False] * len(objective)

    def proposed(self, method: Method, statistics: Statistics, state: State, floor: Tensor) -> State:
        """Returns the states to be tried next: plain updates, or guesses."""
        return method.update(statistics, state)

    def kept(self, index: list[int]) -> Plain:
        """Returns the same for some of the starts."""
        return self


PLAIN = Plain()


@dataclass
class Stated:
    """Sums, and the states about whose means they are, by start."""

    sums: Statistics
    state: State

    def about(self, method: Method, state: State) -> Statistics:
        """The sums about the means of other states."""
        components = method.expected(state).components
        return components.restated(self.sums, method.expected(self.state).components)

    def where(self, mask: Tensor, other: Stated) -> Stated:
        """These where a mask over starts holds, and the others elsewhere."""
        return Stated(_chosen(mask, self.sums, other.sums), merged(mask, self.state, other.state))

    def take(self, index: list[int]) -> Stated:
        return Stated(_mapped(lambda tensor: tensor[index], self.sums), self.state.batch(index))


@dataclass
class Guessing(Plain):
    """What a loop remembers of a batch of starts that make guesses.

    Attributes:
        runs: How the starts went so far.
        guess: Whether the state is a guess.
        refused: Whether the last guess was no better.
        held: The sums from which the update is made where a guess is refused.
    """

    runs: list[Run]
    guess: Tensor
    refused: Tensor
    held: Stated | None = None

    @classmethod
    def of(cls, runs: list[Run], **more: Any) -> Self:
        """Nothing is known yet of the starts."""
        no = torch.zeros(len(runs), dtype=torch.bool)
        return cls(runs, no, no, **more)

    def rejected(self, objective: list[float]) -> list[bool]:
        worse = [bool(one.trace) and not now >= one.trace[-1] for now, one in zip(objective, self.runs, strict=True)]
        self.refused = self.guess & torch.tensor(worse)
        self.guess = torch.zeros_like(self.guess)
        return self.refused.tolist()

    def kept(self, index: list[int]) -> Self:
        held = None if self.held is None else self.held.take(index)
        guess, refused = self.guess[index], self.refused[index]
        return replace(self, runs=[self.runs[b] for b in index], guess=guess, refused=refused, held=held)


class Bold(Guessing):
    """Updates that may lead too far, and then are made again with steps that are sure."""

    def proposed(self, method: Method, statistics: Statistics, state: State, floor: Tensor) -> State:
        now, back = Stated(statistics, state), self.refused
        self.guess, bold = ~back, method.update(statistics, state)
        if self.held is None or not bool(back.any()):
            self.held = now
            return bold
        sure = method.cautious(self.held.sums, self.held.state)
        self.held = self.held.where(back, now)
        return merged(back, sure, bold)


@dataclass
class Extrapolation(Guessing):
    """Starts all of which make guesses in the same iterations, from three sums in a row.

    Attributes:
        exact: Whether rows are as they were drawn.
        longest: The longest step allowed, by start.
        step: The last step.
        row: The sums of the last iterations, from those where a pair of updates began.
    """

    exact: bool = field(kw_only=True)
    longest: Tensor = field(kw_only=True)
    step: Tensor = field(kw_only=True)
    row: list[Stated] = field(default_factory=list, kw_only=True)

    @classmethod
    def of(cls, runs: list[Run], **more: Any) -> Self:
        ones = torch.ones(len(runs), dtype=torch.float64)
        for one in runs:
            one.far = math.inf  # until three sums in a row tell
        return super().of(runs, longest=_LONGEST * ones, step=ones, **more)

    def rejected(self, objective: list[float]) -> list[bool]:
        guess, told = self.guess, super().rejected(objective)
        for one, no in zip(self.runs, told, strict=True):
            one.far = 0.0 if no and math.isinf(one.far) else one.far  # a bold update broke the row: gains tell
        longer = torch.where(guess & (self.step == self.longest), self.longest * _LONGEST, self.longest)
        self.longest = torch.where(self.refused, (self.step / _LONGEST).clamp_min(2), longer)
        self.step = torch.ones_like(self.step)
        return told

    def proposed(self, method: Method, statistics: Statistics, state: State, floor: Tensor) -> State:
        now, back = Stated(statistics, state), self.refused
        bold = method.expected(state).components.bold
        if self.held is not None and bool(back.any()):
            sure = method.cautious(self.held.sums, self.held.state)
            self.held = self.held.where(back, now)
            self.row, self.guess = [self.held], ~back & bold
            return merged(back, sure, method.update(statistics, state))
        self.row, self.held = [*self.row, now], now
        if len(self.row) == 3:
            return self._guessed(method, now, floor)
        self.guess = torch.full_like(self.guess, bold)
        return method.update(statistics, state)

    def _guessed(self, method: Method, now: Stated, floor: Tensor) -> State:
        """What lies far ahead, where an update leads there, and the plain updates elsewhere."""
        ahead = _faded(self._ahead(method, now), now.sums)
        ready = (self.step > _LEAST) & (ahead.weight > 0).all(-1).cpu()
        ahead = _chosen(ready, ahead, now.sums)
        guess = method.update(ahead, now.state)
        leaps = ready & ~method.collapsed(guess, floor).any(-1).cpu()
        if not self.exact:
            narrow = narrowed(method.expected(now.state).components, method.expected(guess).components).cpu()
            self.longest = torch.where(leaps & narrow, (self.step / _LONGEST).clamp_min(2), self.longest)
            leaps = leaps & ~narrow
        self.row = [Stated(_chosen(leaps, ahead, now.sums), now.state)]
        self.guess = leaps | method.expected(now.state).components.bold
        return guess if bool(leaps.all()) else merged(leaps, guess, method.update(now.sums, now.state))

    def _ahead(self, method: Method, now: Stated) -> Statistics:
        """The extrapolated sums, about the current means."""
        first, second = (stated.about(method, now.state) for stated in self.row[:2])
        units = now.sums.weight.mean(-1, keepdim=True), *method.expected(now.state).components.sums_units(now.sums)
        far = _steps(first, second, now.sums, units)
        self.step = far.clamp_min(1).minimum(self.longest)
        for one, length in zip(self.runs, far.tolist(), strict=True):
            one.far = max(1.0, length, 0.85 * one.far if math.isfinite(one.far) else 0.0)
        a = self.step
        terms = _scaled(first, (1 - a) ** 2), _scaled(second, 2 * a * (1 - a)), _scaled(now.sums, a * a)
        return reduce(add, terms)

    def kept(self, index: list[int]) -> Self:
        row = [one.take(index) for one in self.row]
        return replace(super().kept(index), longest=self.longest[index], step=self.step[index], row=row)


def _faded(ahead: Statistics, now: Statistics) -> Statistics:
    """The sums ahead, or a tenth of those now in components of less than a row that would hold less than that."""
    few = (now.weight < 1) & (ahead.weight < _FADED * now.weight)

    def left(there: Tensor, here: Tensor) -> Tensor:
        own = few if there.shape[1] == few.shape[1] else few.all(1, keepdim=True)  # sums that components share stay
        return torch.where(own.reshape(*own.shape, *(1,) * (there.ndim - 2)), _FADED * here, there)

    weight, *moments = map(left, _parts(ahead), _parts(now))
    return Statistics(ahead.log_likelihood, weight, tuple(moments))


def narrowed(now: Component, guess: Component) -> Tensor:
    """Tells in which starts (B,) some component would be less than half as wide in some direction."""
    shape = (*now.batch_shape, now.event_shape.numel(), -1)
    here, there = (one.covariance.double().reshape(shape) for one in (now, guess))
    return (torch.linalg.cholesky_ex(there - _NARROWER * here).info > 0).any(-1)  # is what is left positive?


def _steps(first: Statistics, second: Statistics, third: Statistics, units: Sequence[Tensor]) -> Tensor:
    """How many plain steps it is to where three sums in a row would end, by start; each sum in its own unit."""
    squares = [_square_steps(*parts) for parts in zip(*map(_parts, (first, second, third)), units, strict=True)]
    r, w = (torch.stack(parts).sum(0).cpu() for parts in zip(*squares, strict=True))
    return torch.where(w > 0, (r / w).sqrt(), 1).nan_to_num(1.0)


def _square_steps(first: Tensor, second: Tensor, third: Tensor, unit: Tensor) -> tuple[Tensor, Tensor]:
    one = torch.where(unit > 0, unit, 1)
    r, w = (second - first) / one, (third - 2 * second + first) / one
    return r.square().flatten(1).sum(1), w.square().flatten(1).sum(1)


def _parts(sums: Statistics) -> list[Tensor]:
    return [sums.weight, *sums.moments]


def _mapped(function: Callable[..., Tensor], *sums: Statistics) -> Statistics:
    moments = zip(*(one.moments for one in sums), strict=True)
    likelihood, weight = function(*(one.log_likelihood for one in sums)), function(*(one.weight for one in sums))
    return Statistics(likelihood, weight, tuple(function(*parts) for parts in moments))


def _chosen(mask: Tensor, one: Statistics, other: Statistics) -> Statistics:
    return _mapped(lambda a, b: torch.where(_column(mask, a), a, b), one, other)


def _scaled(sums: Statistics, factor: Tensor) -> Statistics:
    return _mapped(lambda tensor: tensor * _column(factor, tensor), sums)


def _column(values: Tensor, like: Tensor) -> Tensor:
    return values.to(like.device).reshape(-1, *(1,) * (like.ndim - 1))
