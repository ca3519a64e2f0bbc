r"""Normal variables known to lie between limits, and Gaussian vectors known to lie in a box.

For a standard normal z between a and b, with :math:`P = \Phi(b) - \Phi(a)`,

.. math:: E z = \frac{\phi(a) - \phi(b)}{P}, \qquad E z^2 = 1 + \frac{a\phi(a) - b\phi(b)}{P},

taken in the tail in which they do not cancel, and by Gauss-Legendre quadrature where the interval is narrow.

In several dimensions each coordinate of a row is recorded (a point), known to lie between limits, or not known at
all. Given the recorded ones the others are Gaussian; given those between limits, the rest is linear in them. So a row
with one coordinate between limits is exact. For two or more that are correlated, with covariance :math:`LL^\top`, the
integral over :math:`z = L^{-1}x` is taken one coordinate after the other, the last exactly: by Gauss-Legendre nodes in
each, as many as its widest interval needs, while all together are few; and otherwise by sequential sampling (Geweke,
Hajivassiliou and Keane: see Genz and Bretz, 2009) on a fixed set of quasi-random points. Up to three such coordinates
are worked out by machine code (`kernels.boxes`) where no gradient is asked for.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..kernels.boxes import known_in_boxes, serves_boxes
from . import narrow_boxes
from .narrow_boxes import MOST, product, sides

__all__ = ["InBox", "backwards", "in_box", "independent", "interval"]

_HALF_LOG_TWO_PI = 0.5 * math.log(2 * math.pi)
_NARROW = 0.1  # an interval in which differences of distribution functions lose digits
_BENT = 2.0  # a width, in scales, from which on the density bends in a box
_END = 40.0  # scales beyond which a normal distribution has nothing left in double precision
_BYTES = 2**25
_LONG = 39  # coordinates from which on their kinds are more than a whole number can tell
_FAR = 80.0  # squared scales beyond the nearest point of an interval that leave nothing of its probability


class InBox(NamedTuple):
    r"""What is known of rows under each component: log-density of what was recorded times probability of the limits,
    :math:`E[x - \mu]` and :math:`E[(x - \mu)(x - \mu)^\top]`."""

    log_prob: Tensor
    shift: Tensor
    second: Tensor


def interval(low: Tensor, high: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Returns log probability, mean and mean square of a standard normal between limits, elementwise; low < high."""
    low, high = _finite(low, high)
    flip = low + high > 0  # in the lower tail probabilities do not cancel
    a, b = torch.where(flip, -high, low), torch.where(flip, -low, high)
    narrow = b - a < _NARROW
    found = _wide(a, torch.where(narrow, a + _NARROW, b))
    if bool(narrow.any()):
        fine = _narrow(a[narrow], b[narrow])
        found = tuple(other.masked_scatter(narrow, one) for one, other in zip(fine, found, strict=True))
    log_mass, mean, square = found
    return log_mass, torch.where(flip, -mean, mean), square


def _finite(low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """Limits without infinities, so far out that nothing is lost and gradients are sound."""
    below, above = low == -torch.inf, high == torch.inf
    low_or, high_or = torch.where(below, 0.0, low), torch.where(above, 0.0, high)
    low = torch.where(below, high_or.clamp_max(0.0) - _END, low)
    return low, torch.where(above, low_or.clamp_min(0.0) + _END, high)


def _wide(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    upper, lower = torch.special.log_ndtr(b), torch.special.log_ndtr(a)
    log_mass = upper + torch.log1p(-(lower - upper).clamp_max(0.0).exp())
    at_a, at_b = (_log_density(z) - log_mass for z in (a, b))
    mean = at_a.exp() - at_b.exp()
    square = 1 + a * at_a.exp() - b * at_b.exp()
    return log_mass, mean, square


def _narrow(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    node, weight = (torch.as_tensor(array, dtype=a.dtype, device=a.device) for array in _legendre())
    half = ((b - a) / 2).unsqueeze(-1)
    z = a.unsqueeze(-1) + half * (1 + node)
    log_term = _log_density(z) + (weight * half).log()
    log_mass = torch.logsumexp(log_term, -1)
    share = (log_term - log_mass.unsqueeze(-1)).exp()
    return log_mass, (share * z).sum(-1), (share * z.square()).sum(-1)


def _log_density(z: Tensor) -> Tensor:
    return -0.5 * z.square() - _HALF_LOG_TWO_PI


@lru_cache
def _legendre() -> tuple[np.ndarray, np.ndarray]:
    return np.polynomial.legendre.leggauss(12)


def independent(mean: Tensor, scale: Tensor, low: Tensor, high: Tensor) -> InBox:
    """The box where coordinates are independent given k: elementwise, exact.

    Arguments:
        mean: The means, with shape ``(..., K, D)``.
        scale: The standard deviations.
        low: The lower limits ``(..., 1, D)``, equal to the upper where a value was recorded.
        high: The upper limits.
    """
    a, b = (_standard(limit, mean, scale) for limit in (low, high))
    point = low == high
    log_mass, first, square = interval(torch.where(point, -1.0, a), torch.where(point, 1.0, b))
    z = torch.where(point, a, first)
    log_prob = torch.where(point, _log_density(a) - scale.log(), log_mass).sum(-1)
    shift = scale * z
    spread = scale.square() * (torch.where(point, a.square(), square) - z.square()).clamp_min(0.0)
    return InBox(log_prob, shift, shift.unsqueeze(-1) * shift.unsqueeze(-2) + torch.diag_embed(spread))


def _standard(limit: Tensor, mean: Tensor, scale: Tensor) -> Tensor:
    """The limit in units of the scale; infinite ones stay so, without a gradient of zero times infinity."""
    finite = limit.isfinite()
    return torch.where(finite, (torch.where(finite, limit, 0.0) - mean) / scale, limit)


def in_box(mean: Tensor, covariance: Tensor, low: Tensor, high: Tensor, draws: int) -> InBox:
    """The box under any covariance, rows grouped by what is known of each coordinate.

    Arguments:
        mean: The means, with shape ``(N or 1, K, D)``.
        covariance: The covariances, with shape ``(N or 1, K, D, D)``.
        low: The lower limits ``(N, D)``, equal to the upper where a value was recorded.
        high: The upper limits.
        draws: The number of quasi-random points where several correlated coordinates lie between limits.
    """
    rows, components, features = len(low), mean.shape[-2], mean.shape[-1]
    first, second = (mean.new_empty(components, rows, *[features] * i) for i in (1, 2))
    room = mean.new_empty(rows, components), first, second
    out = InBox(room[0], first.transpose(0, 1), second.transpose(0, 1))
    free = (low == -torch.inf) & (high == torch.inf)
    kind = torch.where(low == high, 0, torch.where(free, 2, 1))
    for pattern, index in _groups(kind):
        points, between = ((pattern == which).nonzero().squeeze(-1).tolist() for which in (0, 1))
        if serves_boxes((mean, covariance), (low, high), len(between)):
            known_in_boxes((mean, covariance), (low, high), index, (points, between), room)
        else:
            _by_parts(mean, covariance, low, high, index, points, between, draws, out)
    return out


def backwards(mean: Tensor, covariance: Tensor, low: Tensor, high: Tensor, draws: int) -> InBox:
    """The same as `in_box`, the last coordinate first: it differs by errors of integration alone."""
    found = in_box(mean.flip(-1), covariance.flip(-1, -2), low.flip(-1), high.flip(-1), draws)
    return InBox(found.log_prob, found.shift.flip(-1), found.second.flip(-1, -2))


def _by_parts(
    mean: Tensor,
    covariance: Tensor,
    low: Tensor,
    high: Tensor,
    index: Tensor,
    points: list[int],
    between: list[int],
    draws: int,
    out: InBox,
) -> None:
    """Writes what is known of rows of one pattern, some at a time."""
    components, features = mean.shape[-2:]
    size = max(1, _BYTES // (8 * components * max(1, features) * (draws if len(between) > 1 else features)))
    for some in index.split(size):
        m, c = (tensor if len(tensor) == 1 else tensor[some] for tensor in (mean, covariance))
        part = _pattern(m, c, low[some], high[some], points, between, draws)
        for whole, piece in zip(out, part, strict=True):
            whole[some] = piece


def _groups(kind: Tensor) -> list[tuple[Tensor, Tensor]]:
    code = kind @ 3 ** torch.arange(kind.shape[-1], device=kind.device) if kind.shape[-1] < _LONG else _numbered(kind)
    index = [(code == one).nonzero().squeeze(-1) for one in code.unique()]
    return [(kind[rows[0]], rows) for rows in index]


def _numbered(kind: Tensor) -> Tensor:
    return torch.unique(kind, dim=0, return_inverse=True)[1]


def _pattern(
    mean: Tensor, covariance: Tensor, low: Tensor, high: Tensor, points: list[int], between: list[int], draws: int
) -> InBox:
    """Rows of one pattern: points recorded, coordinates between limits, and the rest unknown."""
    order = points + between
    gap = low[:, None, points] - mean[..., points]
    log_prob, centre, inner = _given(covariance, gap, points, between)
    below, above = (limit[:, None, between] - mean[..., between] - centre for limit in (low, high))
    log_box, first, second = _box(inner, below, above, draws)
    log_prob = log_prob + log_box
    known = torch.cat([gap.expand(*log_prob.shape, -1), (centre + first).expand(*log_prob.shape, -1)], -1)
    spread = torch.zeros(*known.shape, len(order), dtype=mean.dtype, device=mean.device)
    spread[..., len(points) :, len(points) :] = second - first.unsqueeze(-1) * first.unsqueeze(-2)
    gain, rest = _regression(covariance, order)
    shift = (gain @ known.unsqueeze(-1)).squeeze(-1)
    return InBox(log_prob, shift, shift.unsqueeze(-1) * shift.unsqueeze(-2) + gain @ spread @ gain.mT + rest)


def _given(covariance: Tensor, gap: Tensor, points: list[int], between: list[int]) -> tuple[Tensor, Tensor, Tensor]:
    """The log-density of the recorded coordinates, and mean shift and covariance of those between limits given them."""
    own = covariance[..., points, :][..., points]
    cross = covariance[..., between, :][..., points]
    factor = _cholesky(own)
    z = torch.linalg.solve_triangular(factor, gap.unsqueeze(-1), upper=False)
    half = torch.linalg.solve_triangular(factor, cross.mT, upper=False)
    log_prob = -0.5 * z.square().sum((-2, -1)) - factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    inner = covariance[..., between, :][..., between] - half.mT @ half
    return log_prob - len(points) * _HALF_LOG_TWO_PI, (half.mT @ z).squeeze(-1), inner


def _regression(covariance: Tensor, known: list[int]) -> tuple[Tensor, Tensor]:
    """The gain of all coordinates from the known ones, and what covariance it leaves."""
    back = covariance[..., known]
    own = covariance[..., known, :][..., known]
    gain = torch.cholesky_solve(back.mT, _cholesky(own)).mT
    return gain, covariance - gain @ back.mT


def _box(covariance: Tensor, low: Tensor, high: Tensor, draws: int) -> tuple[Tensor, Tensor, Tensor]:
    """Log probability, mean and mean outer product of zero-mean Gaussians in a box, ``(n, K, d)`` limits.

    Components whose widest boxes need as many nodes are taken together.
    """
    if low.shape[-1] == 0:
        return low.new_zeros(low.shape[:-1]), low, low.new_zeros(*low.shape, 0)
    factor = _cholesky(covariance)
    width = ((high - low) / factor.diagonal(dim1=-2, dim2=-1)).nan_to_num(torch.inf)
    need = [sides(widest) for widest in width.detach().amax((0, 2)).tolist()]
    groups = [torch.tensor([k for k, one in enumerate(need) if one == side]) for side in sorted(set(need))]
    if len(groups) == 1:
        return _of_alike(factor, width, low, high, draws)
    found = [_of_alike(factor[:, k], width[:, k], low[:, k], high[:, k], draws) for k in groups]
    back = torch.cat(groups).argsort()
    return tuple(torch.cat(parts, 1)[:, back] for parts in zip(*found, strict=True))  # type: ignore[return-value]


def _of_alike(factor: Tensor, width: Tensor, low: Tensor, high: Tensor, draws: int) -> tuple[Tensor, Tensor, Tensor]:
    """The same for components whose boxes are about as wide, in units of their scales."""
    width = width.flatten(0, -2)
    if len(factor) == 1 and _fine(width, low, high):
        return narrow_boxes.nodes(factor, low, high, sides(width.amax().item()))
    points = _points(width[:, :-1], draws, low)
    return _in_turn(factor.unsqueeze(-3), low.unsqueeze(-2), high.unsqueeze(-2), points)


def _in_turn(factor: Tensor, a: Tensor, b: Tensor, points: _Nodes | _Draws) -> tuple[Tensor, Tensor, Tensor]:
    """The same by one coordinate after the other, the last one exactly."""
    count = a.shape[-1]
    log_weight, z = a.new_zeros(*a.shape[:-2], points.count), []
    for j in range(count):
        done = sum((factor[..., j, i] * z[i] for i in range(j)), a.new_zeros(()))
        below, above = (_standard(end[..., j], done, factor[..., j, j]) for end in (a, b))
        if j < count - 1:
            node, log_mass = points.inside(*_finite(below, above), j)
            z.append(node)
        else:
            log_mass, first, square = interval(below, above)
        log_weight = log_weight + log_mass
    z = torch.stack([one.expand(log_weight.shape) for one in (*z, first)], -1)
    share = torch.softmax(log_weight, -1).unsqueeze(-1)
    outer = (share * z).mT @ z
    outer[..., -1, -1] += (share.squeeze(-1) * (square - first.square())).sum(-1)
    lower = factor.squeeze(-3)
    mean = (lower @ (share * z).sum(-2).unsqueeze(-1)).squeeze(-1)
    return torch.logsumexp(log_weight, -1), mean, lower @ outer @ lower.mT


def _cholesky(covariance: Tensor) -> Tensor:
    """The factor; NaN where rounding leaves a matrix without one."""
    factor, failed = torch.linalg.cholesky_ex(covariance)
    return factor.masked_fill((failed > 0)[..., None, None], torch.nan)


def _fine(width: Tensor, low: Tensor, high: Tensor) -> bool:
    """Tells whether boxes are of one size, and narrow beside the scales ``(n, d)`` in units of which they are given."""
    widest, size = width.amax().item(), high - low
    few = width.shape[-1] > 1 and widest < _BENT and sides(widest) ** width.shape[-1] <= MOST
    return few and bool((size - size[0] <= 1e-9 * size[0]).all())


class _Nodes(NamedTuple):
    """Points of an integral over several coordinates, on which all but the last one are put one after the other.

    Attributes:
        place: Where in its interval, from -1 to 1, each coordinate of each point lies, ``(P, d)``.
        log_weight: The logarithms of the weights of those places, which for each coordinate sum to 2.
    """

    place: Tensor
    log_weight: Tensor

    @property
    def count(self) -> int:
        """The number of points."""
        return len(self.place)

    def inside(self, low: Tensor, high: Tensor, j: int) -> tuple[Tensor, Tensor]:
        """Returns standard normals between limits at the places, and their log-weights."""
        reach = (torch.maximum(low, -high).clamp_min(0).square() + _FAR).sqrt()
        low, high = torch.maximum(low, -reach), torch.minimum(high, reach)
        half = (high - low) / 2
        z = low + half * (1 + self.place[:, j])
        return z, _log_density(z) + half.log() + self.log_weight[:, j]


class _Draws(NamedTuple):
    """Equally likely points, ``(P, d)`` numbers between 0 and 1: sequential sampling."""

    uniform: Tensor

    @property
    def count(self) -> int:
        """The number of points."""
        return len(self.uniform)

    def inside(self, low: Tensor, high: Tensor, j: int) -> tuple[Tensor, Tensor]:
        """Returns standard normals between limits, and the log-weight of the interval, shared among the points."""
        share = math.log(self.count) if j == 0 else 0.0
        return _inside(low, high, self.uniform[:, j]), interval(low, high)[0] - share


def _points(width: Tensor, draws: int, like: Tensor) -> _Nodes | _Draws:
    """Nodes, as many in each dimension as intervals of these widths need, or draws where that would be too many."""
    dimensions = width.shape[-1]
    side = sides(width.amax().item()) if dimensions else 1
    if side**dimensions > MOST:
        return _Draws(_uniform(draws, dimensions).to(like))
    place, log_weight = product(side, dimensions)
    return _Nodes(place.to(like), log_weight.to(like))


def _inside(a: Tensor, b: Tensor, uniform: Tensor) -> Tensor:
    """Standard normals between limits by inverting the distribution function, from the tail that keeps its digits."""
    flip = a + b > 0
    low, high = torch.where(flip, -b, a), torch.where(flip, -a, b)
    lower, upper = torch.special.ndtr(low), torch.special.ndtr(high)
    z = torch.special.ndtri(lower + (upper - lower) * torch.where(flip, 1 - uniform, uniform))
    z = torch.maximum(torch.minimum(z, high), low).nan_to_num(0.0)
    return torch.where(flip, -z, z)


@lru_cache
def _uniform(draws: int, dimensions: int) -> Tensor:
    points = torch.quasirandom.SobolEngine(dimensions, scramble=True, seed=0).draw(draws, dtype=torch.float64)
    return points.clamp(1e-12, 1 - 1e-12)
