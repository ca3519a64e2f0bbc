r"""One draw of the clean rows behind recorded ones, for Gibbs sampling: first the label, then the row.

With :math:`y = A x + b + \varepsilon`, the label is drawn given y alone, :math:`z | y \propto \pi_z\, p(y | z)`, and
then :math:`x | y, z`, which is Gaussian. No covariance of that law is needed: draw a row and its record from the
component, and move the row by as much as the record differs from the one that was seen (Matheron's rule; Hoffman and
Ribak, 1991),

.. math::

    x' \sim N(\mu_z, V_z), \quad y' = A x' + b + \varepsilon', \qquad
    x = x' + G_z (y - y'), \quad G_z = V_z A^\top (A V_z A^\top + S)^{-1} .

x - x' is what y - y' tells of it and x' less what y' tells of it is independent of y', so x has the mean and the
covariance of :math:`x | y, z`. The gain G is one for each component where rows share their errors, for each pattern of
gaps, and only else one for each row, of the component that was drawn.
"""

from __future__ import annotations

from functools import reduce
from operator import add
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..components import Gaussian, Statistics
from ..components.gaussian_draws import flat_index
from ..components.observation import believe, over
from ..kernels import Drawn
from .base import aligned
from .gaps import each_pattern
from .matrices import apply, cholesky, square_root, whole

if TYPE_CHECKING:
    from .linear import Linear

__all__ = ["drawn_sums"]

_NUMBERS = 2**20  # of the matrices of a piece of rows


def drawn_sums(
    observation: Linear, gaussian: Gaussian, logits: Tensor, y: Tensor, weight: Tensor | None, rule: Drawn
) -> Statistics:
    """The sums of one draw of labels and clean rows given rows ``(N, M)``, and the log-likelihood of those."""
    parts = []
    for index, seen in each_pattern(y, observation.missing and not observation.side):
        some = slice(None) if index is None else index
        share = None if weight is None else weight[some]
        parts.append(_in_pieces(observation, seen, gaussian, logits, y[some], share, rule.take(some)))
    return reduce(add, parts)


def _in_pieces(
    observation: Linear,
    seen: list[int],
    gaussian: Gaussian,
    logits: Tensor,
    y: Tensor,
    weight: Tensor | None,
    rule: Drawn,
) -> Statistics:
    parts, size = [], max(observation.width, gaussian.features)
    height = max(1, _NUMBERS // (gaussian.batch_shape.numel() * size * size))
    for start in range(0, max(1, len(y)), height):
        some = slice(start, start + height)
        piece = observation.at([tensor[some] for tensor in observation.side])
        share = None if weight is None else weight[some]
        parts.append(_drawn(piece, seen, gaussian, logits, y[some], share, rule.take(some)))
    return reduce(add, parts)


def _drawn(
    observation: Linear,
    seen: list[int],
    gaussian: Gaussian,
    logits: Tensor,
    y: Tensor,
    weight: Tensor | None,
    rule: Drawn,
) -> Statistics:
    rows, part = over(y[:, seen], gaussian), observation.of(seen)
    evidence = part.log_prob(gaussian, rows) if seen else logits.new_zeros(len(y), *logits.shape)
    r, log_likelihood = believe(logits + evidence, weight, rule)
    labels, width = r.argmax(-1), gaussian.features + observation.width  # the same for all rows, whatever was recorded
    fresh, errors = rule.normals((*gaussian.batch_shape[:-1], width), y).tensor_split([gaussian.features], -1)
    errors = _errors(observation, labels, errors)[..., seen]
    residual = _residuals(part, gaussian, rows, labels, fresh, errors).double()
    weighted = r.double().unsqueeze(-1) * residual.unsqueeze(-2)
    second = torch.einsum("n...ki,n...j->...kij", weighted, residual)
    return Statistics(log_likelihood, r.sum(0).double(), (weighted.sum(0), gaussian.structure.pooled(second)))


def _residuals(
    observation: Linear, gaussian: Gaussian, y: Tensor, labels: Tensor, fresh: Tensor, errors: Tensor
) -> Tensor:
    """The drawn clean rows less their components' means, ``(N, *B, D)``, for labels ``(N, *B)``."""
    mean = _of_component(gaussian.location, labels)
    away = gaussian._replace(location=torch.zeros_like(gaussian.location)).color(labels, fresh)
    record = _image(observation, labels, mean + away) + _of_row(observation.offset, labels) + errors
    told = (y - record).masked_fill(y.isnan(), 0.0)
    return away + apply(_gains(observation, gaussian, labels, y), told)


def _image(observation: Linear, labels: Tensor, x: Tensor) -> Tensor:
    return x if observation.matrix is None else apply(_of_row(observation.matrix, labels), x)


def _errors(observation: Linear, labels: Tensor, normal: Tensor) -> Tensor:
    if observation.diagonal:
        return _of_row(observation.noise.sqrt(), labels) * normal
    return apply(_of_row(square_root(observation.noise), labels), normal)


def _gains(observation: Linear, gaussian: Gaussian, labels: Tensor, y: Tensor) -> Tensor:
    """The gain of each row's component, ``(N, *B, D, M)``: found for each component, or for each row."""
    identity = torch.eye(observation.width, dtype=y.dtype, device=y.device)
    matrix, noise = observation.matrix, whole(observation.noise)
    if not observation.side:
        matrix = identity if matrix is None else aligned(matrix, gaussian)
        return _of_component(_gain(gaussian.covariance, matrix, aligned(noise, gaussian)), labels)
    absent = y.isnan().unsqueeze(-1)
    matrix = identity if matrix is None else _of_row(matrix, labels)
    noise = torch.where(absent | absent.mT, identity * absent, _of_row(noise, labels))
    return _gain(_of_component(gaussian.covariance, labels), matrix.masked_fill(absent, 0.0), noise)


def _gain(covariance: Tensor, matrix: Tensor, noise: Tensor) -> Tensor:
    seen = matrix @ covariance
    return torch.cholesky_solve(seen, cholesky(seen @ matrix.mT + noise)).mT


def _of_component(tensor: Tensor, labels: Tensor) -> Tensor:
    """Each row's entry, ``(N, *B, ...)``, of a tensor ``(*B, K, ...)`` for labels ``(N, *B)``."""
    return tensor.flatten(0, labels.ndim - 1)[flat_index(labels, tensor.shape[: labels.ndim])]


def _of_row(tensor: Tensor, labels: Tensor) -> Tensor:
    """Each row's entry, ``(N or 1, *B or 1, ...)``, of a tensor led by ``(R, C)`` for labels ``(N, *B)``."""
    inner = (1,) * (labels.ndim - 1)
    if tensor.shape[1] == 1:
        return tensor[:, 0].reshape(tensor.shape[0], *inner, *tensor.shape[2:])
    rows = torch.arange(len(labels), device=labels.device).reshape(-1, *inner) if tensor.shape[0] > 1 else 0
    return tensor[rows, labels]
