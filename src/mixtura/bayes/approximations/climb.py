r"""Uphill on a log-density from several starts at once: L-BFGS with a line search that understands walls.

The direction at iterate l is :math:`d_l = H_l g_l`, with :math:`g_l` the gradient and :math:`H_l` the estimate of the
inverse of minus the second derivatives from the last J pairs of steps :math:`s` and changes :math:`y` of the gradient,
by the two-loop recursion (Nocedal, 1980). The step :math:`t` along it is found by bisection and doubling, such that

.. math:: f(u + t d) \ge f(u) + c_1 t\, g^\top d, \qquad g(u + t d)^\top d \le c_2\, g^\top d

(Lewis and Overton, 2013), which asks nothing of a function where it is :math:`-\infty`: such a step is too long. A
climb has converged where the gain that is still to come, :math:`\tfrac12 g^\top H g` nats, and the last gain are both
below the tolerance, or ten steps together gained no more: neither depends on the units of u. The first steps do, so u
is measured in the scales :math:`|\partial^2 f/\partial u_i^2|^{-1/2}` of the first start.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .density import Density, LogDensity, hessian
from .ending import Ending

__all__ = ["Paths", "climb", "scales"]

_MEMORY = 20
_TRIALS = 30
_ENOUGH_GAIN, _ENOUGH_BEND = 1e-4, 0.9
_ROUNDING = 1e-13
_PATIENCE = 10
_STRAIGHT = 1e-10  # a curvature, beside the slope squared, that is taken for none
_ENDLESS = 2.0**25


@dataclass(frozen=True)
class Paths:
    """The ways of several climbs.

    Arguments:
        points: The iterates, ``(L + 1, S, P)``; a climb that has ended repeats its last one.
        values: Their log-densities, ``(L + 1, S)``.
        gradients: Their gradients, ``(L + 1, S, P)``.
        lengths: The number of steps of each climb, ``(S,)``.
        endings: Why each climb ended.
    """

    points: Tensor
    values: Tensor
    gradients: Tensor
    lengths: Tensor
    endings: tuple[Ending, ...]

    @property
    def best(self) -> int:
        """Which climb came highest."""
        return int(self.values[-1].argmax())


def scales(log_density: LogDensity, u: Tensor) -> Tensor:
    """Returns the scale of each coordinate at a point ``(P,)`` by its curvature, else by its slope, else 1."""
    slope, matrix = hessian(log_density, u)
    curvature = matrix.diagonal().abs()
    found = torch.where(curvature > _STRAIGHT * slope.square(), curvature.rsqrt(), 1 / slope.abs())
    return torch.where(found.isfinite() & (found > 0), found, 1.0)


def climb(density: Density, starts: Tensor, steps: int, tolerance: float = 1e-9) -> Paths:
    """Goes uphill from starts ``(S, P)``, at which the density is finite, in coordinates of about unit scale.

    Arguments:
        density: Values and gradients.
        starts: Where climbs begin.
        steps: The most steps of each.
        tolerance: What is too little to go on for, in nats.
    """
    state = _Climb(density, starts, tolerance)
    for _ in range(steps):
        if not bool(state.going.any()):
            break
        state.step()
    return state.paths()


class _Climb:
    """Where the climbs are, and what they remember."""

    def __init__(self, density: Density, starts: Tensor, tolerance: float) -> None:
        self.density, self.u, self.tolerance = density, starts, tolerance
        self.f, self.g = density(starts)
        self.history = [(self.u, self.f, self.g)]
        self.pairs: list[tuple[Tensor, Tensor]] = []
        self.going = torch.ones_like(self.f, dtype=torch.bool)
        self.gain = torch.full_like(self.f, torch.inf)
        self.lengths = torch.zeros_like(self.f, dtype=torch.long)
        self.endings = [Ending.MAX_STEPS] * len(starts)

    def step(self) -> None:
        direction = self._direction()
        slope = (self.g * direction).sum(-1)
        small = self.tolerance + _ROUNDING * self.f.abs()
        if len(self.history) > _PATIENCE:
            self._end(self.f - self.history[-_PATIENCE - 1][1] <= small, Ending.CONVERGED)
        self._end((slope / 2 <= small) & ((self.gain <= small) | (slope == 0)), Ending.CONVERGED)
        if bool(self.going.any()):
            self._move(direction, slope, small)

    def _move(self, direction: Tensor, slope: Tensor, small: Tensor) -> None:
        rows = self.going.nonzero().squeeze(-1)
        length, u, f, g = _search(self.density, self.u[rows], self.f[rows], self.g[rows], direction[rows])
        before = self.u, self.f, self.g
        self.u, self.f, self.g = (old.index_copy(0, rows, new) for old, new in zip(before, (u, f, g), strict=True))
        self.gain = self.f - before[1]
        stays = self.going & (self.u == before[0]).all(-1)
        endless = self.going & (torch.zeros_like(self.f).index_copy(0, rows, length) >= _ENDLESS)
        self._end(stays & (slope <= 1e4 * small), Ending.CONVERGED)  # as high as rounding allows
        self._end(stays, Ending.WALL)
        self._end(endless, Ending.UNBOUNDED)
        self._remember(before)

    def _remember(self, before: tuple[Tensor, Tensor, Tensor]) -> None:
        self.lengths = self.lengths + (self.u != before[0]).any(-1)
        self.history.append((self.u, self.f, self.g))
        self.pairs = [*self.pairs[1 - _MEMORY :], (self.u - before[0], before[2] - self.g)]

    def _end(self, which: Tensor, ending: Ending) -> None:
        for row in (which & self.going).nonzero().squeeze(-1).tolist():
            self.endings[row] = ending
        self.going = self.going & ~which

    def _direction(self) -> Tensor:
        """Returns H g by the two loops; a pair without curvature is passed over."""
        direction, kept = self.g, []
        for s, y in reversed(self.pairs):
            weight = _inverse_curvature(s, y) * (s * direction).sum(-1, keepdim=True)
            direction = direction - weight * y
            kept.append(weight)
        direction = direction * self._first_scale()
        for (s, y), weight in zip(self.pairs, reversed(kept), strict=True):
            direction = direction + s * (weight - _inverse_curvature(s, y) * (y * direction).sum(-1, keepdim=True))
        uphill = (direction * self.g).sum(-1, keepdim=True) > 0
        return torch.where(uphill, direction, self.g)

    def _first_scale(self) -> Tensor:
        scale = 1 / self.g.norm(dim=-1, keepdim=True).clamp_min(1.0)
        for s, y in self.pairs:
            found = (s * y).sum(-1, keepdim=True) / y.square().sum(-1, keepdim=True)
            scale = torch.where(_inverse_curvature(s, y) > 0, found, scale)
        return scale

    def paths(self) -> Paths:
        points, values, gradients = (torch.stack(one) for one in zip(*self.history, strict=True))
        return Paths(points, values, gradients, self.lengths, tuple(self.endings))


def _inverse_curvature(s: Tensor, y: Tensor) -> Tensor:
    """Returns 1 / (s · y) where the function bends downwards along the step, and 0 elsewhere, ``(S, 1)``."""
    product = (s * y).sum(-1, keepdim=True)
    enough = product > 1e-12 * s.norm(dim=-1, keepdim=True) * y.norm(dim=-1, keepdim=True)
    return torch.where(enough, 1 / product, 0.0)


def _search(density: Density, u: Tensor, f: Tensor, g: Tensor, d: Tensor) -> tuple[Tensor, ...]:
    """Returns steps ``(S,)`` and where they lead; a search without success stays at the best point that it saw."""
    slope = (g * d).sum(-1)
    low, high, t = torch.zeros_like(f), torch.full_like(f, torch.inf), torch.ones_like(f)
    best: tuple[Tensor, ...] = (t * 0, u, f, g)
    wanting = torch.ones_like(f, dtype=torch.bool)
    for _ in range(_TRIALS):
        rows = wanting.nonzero().squeeze(-1)
        point = u[rows] + t[rows].unsqueeze(-1) * d[rows]
        value, gradient = density(point)
        better = rows[value > best[2][rows]], value > best[2][rows]
        best = _replaced(best, better, (t[rows], point, value, gradient))
        long = value < f[rows] + _ENOUGH_GAIN * t[rows] * slope[rows]
        short = ~long & ((gradient * d[rows]).sum(-1) > _ENOUGH_BEND * slope[rows])
        high[rows[long]], low[rows[short]] = t[rows[long]], t[rows[short]]
        wanting = wanting.index_copy(0, rows, long | (short & (t[rows] < _ENDLESS)))
        t = torch.where(wanting, torch.where(high.isinf(), 2 * t, (low + high) / 2), t)
        if not bool(wanting.any()):
            break
    return best


def _replaced(old: tuple[Tensor, ...], where: tuple[Tensor, Tensor], new: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    rows, chosen = where
    return tuple(one.index_copy(0, rows, other[chosen]) for one, other in zip(old, new, strict=True))
