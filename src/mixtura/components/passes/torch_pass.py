r"""The Gaussian passes as torch expressions: the reference, for every dtype and device.

Everything is computed from the whitened residual :math:`z_{nk} = W_k (x_n - \mu_k)`, laid out component-major with
the rows innermost, so that one matrix product serves all components of all restarts and later loops run along rows:

.. math::
    \log p_{nk} = a_k - \tfrac12 |z_{nk}|^2, \qquad
    \sum_n r_{nk} (x_n - \mu_k) = L_k \sum_n r_{nk} z_{nk}, \qquad
    \sum_n r_{nk} (x_n - \mu_k)(x_n - \mu_k)^\top = L_k \Big(\sum_n r_{nk} z_{nk} z_{nk}^\top\Big) L_k^\top,

with :math:`L_k = W_k^{-1}`. The residual is computed once and used three times. Rows are centred first, so that
data far from the origin keep their digits: :math:`z = W (x - c) - W (\mu - c)`.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from .sums import Labels, Sums, soft

__all__ = [
    "Diagonal",
    "Full",
    "Spherical",
    "log_density",
    "log_joint",
    "sums",
]

_CACHE_BYTES = 1 << 20  # one residual block: the second-level cache of one core
_GPU_BYTES = 16 << 20
_FEWEST_ROWS = 32


class Full:
    r"""Residuals whitened by a triangular matrix: whitening (B, K or 1, D, D)."""

    def __init__(self, mean: Tensor, whitening: Tensor, centre: Tensor, dtype: torch.dtype) -> None:
        self.features = mean.shape[-1]
        self.inverse = whitening
        self.offset = -(whitening.double() @ (mean.double() - centre).unsqueeze(-1)).reshape(-1, 1).to(dtype)
        self.matrix = whitening.expand(*mean.shape, -1).reshape(-1, self.features).to(dtype)

    def whiten(self, columns: Tensor, out: Tensor | None) -> Tensor:
        """(D, n) centred rows as columns -> (BK, D, n)."""
        flat = None if out is None else out.view(self.offset.shape[0], -1)
        return torch.addmm(self.offset, self.matrix, columns, out=flat).view(-1, *columns.shape)

    def second(self, z: Tensor, squared: Tensor, r: Tensor) -> Tensor:
        """Sum of r z z^T: (BK, D, D); the squares are no longer needed and are overwritten."""
        weighted = torch.mul(z, r.sqrt().unsqueeze(1), out=squared)
        return torch.bmm(weighted, weighted.mT)

    def colour(self, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
        """Whitened sums -> shift (B, K, D) and scatter (B, K, D, D)."""
        scale = _triangular_inverse(self.inverse.double())
        shift = (scale @ first.unsqueeze(-1)).squeeze(-1)
        return shift, _pool(scale @ second @ scale.mT, self.inverse.shape[1])


class Diagonal:
    r"""Residuals divided by a scale per feature: inverse_scale (B, K or 1, D)."""

    def __init__(self, mean: Tensor, inverse_scale: Tensor, centre: Tensor, dtype: torch.dtype) -> None:
        self.inverse = inverse_scale
        offset = (centre - mean.double()) * inverse_scale.double()
        self.offset = offset.flatten(0, 1).unsqueeze(-1).to(dtype)
        self.factor = inverse_scale.expand_as(mean).flatten(0, 1).unsqueeze(-1).to(dtype)

    def whiten(self, columns: Tensor, out: Tensor | None) -> Tensor:
        """(D, n) centred rows as columns -> (BK, D, n)."""
        return torch.addcmul(self.offset, self.factor, columns, out=out)

    def second(self, z: Tensor, squared: Tensor, r: Tensor) -> Tensor:
        """Sum of r z^2: (BK, D)."""
        return torch.bmm(squared, r.unsqueeze(-1)).squeeze(-1)

    def colour(self, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
        """Whitened sums -> shift (B, K, D) and scatter (B, K, D)."""
        scale = self.inverse.double().reciprocal()
        return scale * first, _pool(scale.square() * second, self.inverse.shape[1])


class Spherical(Diagonal):
    r"""Residuals divided by one scale: inverse_scale (B, K or 1)."""

    def __init__(self, mean: Tensor, inverse_scale: Tensor, centre: Tensor, dtype: torch.dtype) -> None:
        super().__init__(mean, inverse_scale.unsqueeze(-1), centre, dtype)

    def colour(self, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
        """Whitened sums -> shift (B, K, D) and scatter (B, K), the trace."""
        shift, scatter = super().colour(first, second)
        return shift, scatter.sum(-1)


Kernel = type[Full] | type[Diagonal] | type[Spherical]


def sums(
    kernel: Kernel,
    x: Tensor,
    weight: Tensor | None,
    mean: Tensor,
    whitening: Tensor,
    logits: Tensor,
    labels: Labels,
) -> Sums:
    """Everything an update needs, from one pass over the rows (two when the labels are not soft)."""
    if labels is soft:
        return _each_share(_soft_sums, kernel, x, weight, mean, whitening, logits)
    joint = log_joint(kernel, x, mean, whitening, logits)
    r = labels(joint)
    return _each_share(_given_sums, kernel, x, weight, mean, whitening, logits, joint, r)


def log_joint(kernel: Kernel, x: Tensor, mean: Tensor, whitening: Tensor, logits: Tensor) -> Tensor:
    """Log joint density of each row and component: (N, B, K)."""
    out = x.new_empty(x.shape[0], *logits.shape)
    for share in _shares(mean):
        block = _Blocks(kernel, x, mean[share], whitening[share], logits[share])
        for rows in block:
            out[rows, share] = block.log_joint(rows).permute(2, 0, 1)
    return out


def log_density(kernel: Kernel, x: Tensor, mean: Tensor, whitening: Tensor, logits: Tensor) -> Tensor:
    """Log density of each row under each mixture: (N, B)."""
    out = x.new_empty(x.shape[0], logits.shape[0])
    for share in _shares(mean):
        block = _Blocks(kernel, x, mean[share], whitening[share], logits[share])
        for rows in block:
            out[rows, share] = block.log_joint(rows).logsumexp(1).mT
    return out


class _Blocks:
    """Blocks of rows that fit the cache, and one workspace for all of them."""

    def __init__(self, kernel: Kernel, x: Tensor, mean: Tensor, whitening: Tensor, logits: Tensor) -> None:
        centre = torch.softmax(logits.double().flatten(), 0) @ mean.double().flatten(0, 1)
        self.x, self.centre = x, centre.to(x.dtype)
        self.kernel = kernel(mean, whitening, self.centre.double(), x.dtype)
        self.shape, self.logits = mean.shape, logits.to(x.dtype).unsqueeze(-1)
        self.height = min(_height(mean.numel(), x), x.shape[0])
        self.z = x.new_empty(mean.shape[0] * mean.shape[1], mean.shape[2], self.height)
        self.squared = torch.empty_like(self.z)

    def __iter__(self) -> Iterator[slice]:
        return (slice(i, i + self.height) for i in range(0, self.x.shape[0], self.height))

    def residual(self, rows: slice) -> tuple[Tensor, Tensor]:
        """Whitened residuals and their squares: (BK, D, n)."""
        columns = (self.x[rows] - self.centre).mT
        whole = columns.shape[1] == self.height
        z = self.kernel.whiten(columns, self.z if whole else None)
        return z, torch.mul(z, z, out=self.squared if whole else None)

    def log_joint(self, rows: slice) -> Tensor:
        """(B, K, n)."""
        return self.log_joint_of(self.residual(rows)[1])

    def log_joint_of(self, squared: Tensor) -> Tensor:
        """(BK, D, n) -> (B, K, n)."""
        distance = squared.sum(1).view(*self.shape[:2], -1)
        return torch.add(self.logits, distance, alpha=-0.5)

    def moments(self, z: Tensor, squared: Tensor, r: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Sums over the block of r, r z and r z z^T (or z^2)."""
        flat = r.reshape(z.shape[0], -1)
        first = torch.bmm(z, flat.unsqueeze(-1)).squeeze(-1)
        return r.sum(-1, dtype=torch.float64), first.double(), self.kernel.second(z, squared, flat).double()

    def finish(self, log_likelihood: Tensor, totals: tuple[Tensor, ...]) -> Sums:
        """Back from whitened coordinates."""
        weight, first, second = totals
        batch = self.shape[:2]
        return Sums(log_likelihood, weight, *self.kernel.colour(first.unflatten(0, batch), second.unflatten(0, batch)))


def _soft_sums(kernel: Kernel, x: Tensor, weight: Tensor | None, *parameters: Tensor) -> Sums:
    block = _Blocks(kernel, x, *parameters)

    def contribution(rows: slice) -> tuple[Tensor, ...]:
        z, squared = block.residual(rows)
        joint = block.log_joint_of(squared)
        density = joint.logsumexp(1, keepdim=True)
        r, density = _weighted(weight, rows, joint.sub_(density).exp_(), density)
        return density.sum((1, 2), dtype=torch.float64), *block.moments(z, squared, r)

    likelihood, *totals = _total(contribution, block)
    return block.finish(likelihood, tuple(totals))


def _given_sums(
    kernel: Kernel, x: Tensor, weight: Tensor | None, mean: Tensor, whitening: Tensor, logits: Tensor,
    joint: Tensor, given: Tensor,
) -> Sums:  # fmt: skip
    block = _Blocks(kernel, x, mean, whitening, logits)

    def contribution(rows: slice) -> tuple[Tensor, ...]:
        z, squared = block.residual(rows)
        density = joint[rows].logsumexp(-1).mT.unsqueeze(1)
        r, density = _weighted(weight, rows, given[rows].to(x.dtype).permute(1, 2, 0), density)
        return density.sum((1, 2), dtype=torch.float64), *block.moments(z, squared, r)

    likelihood, *totals = _total(contribution, block)
    return block.finish(likelihood, tuple(totals))


def _weighted(weight: Tensor | None, rows: slice, r: Tensor, density: Tensor) -> tuple[Tensor, Tensor]:
    if weight is None:
        return r, density
    share = weight[rows].to(r.dtype)
    return r * share, density * share


def _total(contribution: Callable[[slice], tuple[Tensor, ...]], block: _Blocks) -> tuple[Tensor, ...]:
    total: tuple[Tensor, ...] = ()
    for rows in block:
        part = contribution(rows)
        total = tuple(a.add_(b) for a, b in zip(total, part, strict=True)) if total else part
    return total


def _each_share(run: Callable[..., Sums], kernel: Kernel, x: Tensor, weight: Tensor | None, mean: Tensor,
                whitening: Tensor, logits: Tensor, *per_row: Tensor) -> Sums:  # fmt: skip
    """One call for all restarts, or several when their residuals for a few rows would not fit."""
    shares = _shares(mean)
    if len(shares) == 1:
        return run(kernel, x, weight, mean, whitening, logits, *per_row)
    parts = [run(kernel, x, weight, mean[s], whitening[s], logits[s], *(p[:, s] for p in per_row)) for s in shares]
    return Sums(*(torch.cat(field) for field in zip(*parts, strict=True)))


def _shares(mean: Tensor) -> list[slice]:
    count = max(1, _budget(mean.device) // (_FEWEST_ROWS * 8 * mean[0].numel()))
    return [slice(i, i + count) for i in range(0, mean.shape[0], count)]


def _height(width: int, x: Tensor) -> int:
    return max(_FEWEST_ROWS, _budget(x.device) // (width * x.element_size()))


def _budget(device: torch.device) -> int:
    return _CACHE_BYTES if device.type == "cpu" else _GPU_BYTES


def _triangular_inverse(matrix: Tensor) -> Tensor:
    identity = torch.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device)
    return torch.linalg.solve_triangular(matrix, identity, upper=False)


def _pool(scatter: Tensor, components: int) -> Tensor:
    return scatter.sum(1, keepdim=True) if components == 1 else scatter
