r"""The Gaussian passes as torch expressions: the reference, for every dtype and device.

Residuals about the current means are laid out component by component with the rows innermost, a block of rows at a
time, and every sum is a sum of them:

.. math::
    t_{nk} = x_n - \mu_k, \qquad \log p_{nk} = a_k - \tfrac12 |W_k t_{nk}|^2, \qquad
    \sum_n r_{nk}, \quad \sum_n r_{nk} t_{nk}, \quad \sum_n r_{nk} t_{nk} t_{nk}^\top .

No square is ever taken about another point, so rows and components far from the origin keep their digits.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from .sums import Labels, Sums, soft

__all__ = ["Diagonal", "Full", "Kernel", "Spherical", "log_density", "log_joint", "sums"]

_CACHE_BYTES = 1 << 20  # one residual block: the second cache of a core
_GPU_BYTES = 16 << 20
_FEWEST_ROWS = 32


class Full:
    """Residuals whitened by a lower triangle: factor (B, K or 1, D, D)."""

    def __init__(self, factor: Tensor, mean: Tensor) -> None:
        self.factor = factor.expand(*mean.shape, -1).flatten(0, 1)

    def whiten(self, t: Tensor, out: Tensor) -> Tensor:
        """(BK, D, n) -> (BK, D, n)."""
        return torch.bmm(self.factor, t, out=out)

    def second(self, weighed: Tensor, t: Tensor) -> Tensor:
        """Sum of r t t^T: (BK, D, D)."""
        return torch.bmm(weighed, t.mT)


class Diagonal:
    """Residuals divided by a scale a feature: factor (B, K or 1, D)."""

    def __init__(self, factor: Tensor, mean: Tensor) -> None:
        self.factor = factor.expand_as(mean).flatten(0, 1).unsqueeze(-1)

    def whiten(self, t: Tensor, out: Tensor) -> Tensor:
        """(BK, D, n) -> (BK, D, n)."""
        return torch.mul(self.factor, t, out=out)

    def second(self, weighed: Tensor, t: Tensor) -> Tensor:
        """Sum of r t^2: (BK, D)."""
        return weighed.mul_(t).sum(-1)


class Spherical(Diagonal):
    """Residuals divided by one scale: factor (B, K or 1)."""

    def __init__(self, factor: Tensor, mean: Tensor) -> None:
        super().__init__(factor.unsqueeze(-1), mean)

    def second(self, weighed: Tensor, t: Tensor) -> Tensor:
        """Sum of r |t|^2: (BK,)."""
        return super().second(weighed, t).sum(-1)


Kernel = type[Full] | type[Diagonal] | type[Spherical]


def sums(
    kernel: Kernel, x: Tensor, weight: Tensor | None, mean: Tensor, factor: Tensor, logits: Tensor, labels: Labels
) -> Sums:
    """Everything an update needs, from one pass over the rows, or two when the labels are not soft."""
    given = None if labels is soft else labels(log_joint(kernel, x, mean, factor, logits))
    shares = _shares(mean)
    if len(shares) == 1:
        return _sums(kernel, x, weight, mean, factor, logits, given)
    parts = [
        _sums(kernel, x, weight, mean[s], factor[s], logits[s], None if given is None else given[:, s]) for s in shares
    ]
    return Sums(*(torch.cat(field) for field in zip(*parts, strict=True)))


def log_joint(kernel: Kernel, x: Tensor, mean: Tensor, factor: Tensor, logits: Tensor) -> Tensor:
    """Log joint density of each row and component: (N, B, K)."""
    out = x.new_empty(x.shape[0], *logits.shape)
    for share in _shares(mean):
        for rows, joint in _Blocks(kernel, x, mean[share], factor[share], logits[share]).joints():
            out[rows, share] = joint.permute(2, 0, 1)
    return out


def log_density(kernel: Kernel, x: Tensor, mean: Tensor, factor: Tensor, logits: Tensor) -> Tensor:
    """Log density of each row under each mixture: (N, B)."""
    out = x.new_empty(x.shape[0], logits.shape[0])
    for share in _shares(mean):
        for rows, joint in _Blocks(kernel, x, mean[share], factor[share], logits[share]).joints():
            out[rows, share] = joint.logsumexp(1).mT
    return out


class _Blocks:
    """Residuals and log joints of blocks of rows that fit the cache, in one workspace."""

    def __init__(self, kernel: Kernel, x: Tensor, mean: Tensor, factor: Tensor, logits: Tensor) -> None:
        self.x, self.centre, mean = x, *_alike(x, mean)
        self.logits = logits.to(x.dtype).unsqueeze(-1)
        self.kernel = kernel(factor.to(x.dtype), mean)
        self.mean = mean.reshape(-1, mean.shape[-1], 1)
        self.height = max(_FEWEST_ROWS, _budget(x.device) // (mean.numel() * x.element_size()))

    def __iter__(self) -> Iterator[tuple[slice, Tensor, Tensor, Tensor]]:
        """Rows, residuals (BK, D, n), log joints (B, K, n), and room for more residuals."""
        space = self._space(min(self.height, self.x.shape[0]))
        for start in range(0, self.x.shape[0], self.height):
            rows = self.x[start : start + self.height]
            columns = (rows if self.centre is None else rows - self.centre).mT
            t, room = space if columns.shape[1] == space.shape[-1] else self._space(columns.shape[1])
            torch.sub(columns, self.mean, out=t)
            z = self.kernel.whiten(t, room)
            distance = torch.mul(z, z, out=z).sum(1).view(*self.logits.shape[:2], -1)
            joint = torch.add(self.logits, distance, alpha=-0.5)
            yield slice(start, start + self.height), t, joint, room

    def _space(self, rows: int) -> Tensor:
        return self.x.new_empty(2, *self.mean.shape[:2], rows)

    def joints(self) -> Iterator[tuple[slice, Tensor]]:
        return ((rows, joint) for rows, _, joint, _ in self)


def _sums(
    kernel: Kernel, x: Tensor, weight: Tensor | None, mean: Tensor, factor: Tensor, logits: Tensor, given: Tensor | None
) -> Sums:
    blocks = _Blocks(kernel, x, mean, factor, logits)
    total: list[Tensor] = []
    for rows, t, joint, room in blocks:
        r, density = _softmax(joint)
        if given is not None:
            r = given[rows].permute(1, 2, 0).to(x.dtype)
        if weight is not None:
            share = weight[rows].to(x.dtype)
            r, density = r * share, density * share
        part = _moments(blocks.kernel, t, r, density, room)
        total = [a.add_(b) for a, b in zip(total, part, strict=True)] if total else part
    likelihood, mass, first, second = total
    second = second.unflatten(0, mean.shape[:2])
    pooled = factor.shape[1] == 1
    return Sums(likelihood, mass, first.view(mean.shape), second.sum(1, keepdim=True) if pooled else second)


def _softmax(joint: Tensor) -> tuple[Tensor, Tensor]:
    """Responsibilities, in place of the log joints, and log densities, from one exponential."""
    top = joint.amax(1, keepdim=True)
    r = joint.sub_(top).exp_()
    mass = r.sum(1, keepdim=True)
    return r.div_(mass), top + mass.log()


def _moments(kernel: Full | Diagonal, t: Tensor, r: Tensor, density: Tensor, room: Tensor) -> list[Tensor]:
    """Sums over a block, in float64."""
    weighed = torch.mul(t, r.reshape(t.shape[0], 1, -1), out=room)
    first = weighed.sum(-1).double()
    second = kernel.second(weighed, t).double()
    return [density.sum((1, 2), dtype=torch.float64), r.sum(-1, dtype=torch.float64), first, second]


def _alike(x: Tensor, mean: Tensor) -> tuple[Tensor | None, Tensor]:
    """Means in the type of the rows; those of another type are cast about a centre, which comes first."""
    if mean.dtype == x.dtype:
        return None, mean
    centre = mean.mean((0, 1)).to(x.dtype)
    return centre, (mean - centre.to(mean.dtype)).to(x.dtype)


def _shares(mean: Tensor) -> list[slice]:
    """Restarts whose residuals for a few rows fit the workspace together."""
    count = max(1, _budget(mean.device) // (_FEWEST_ROWS * 8 * mean[0].numel()))
    return [slice(i, i + count) for i in range(0, mean.shape[0], count)]


def _budget(device: torch.device) -> int:
    return _CACHE_BYTES if device.type == "cpu" else _GPU_BYTES
