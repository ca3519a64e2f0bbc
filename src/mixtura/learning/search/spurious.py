r"""Optima that are none of the data's: a component on a handful of rows, or on a line or a plane of points.

Where every component has a covariance of its own, the likelihood of a mixture of Gaussians has no upper bound, and on
the way there are maxima at which a component holds a few rows that happen to lie nearly in a plane (McLachlan and Peel,
2000). With :math:`n_k` the rows that a component holds and :math:`\lambda_k` the least eigenvalue of its covariance
relative to that of the whole mixture, a component is called spurious where

- it holds fewer rows than a Gaussian in D dimensions needs, D + 2, of which it may share half a one;
- it is thin and holds few rows, :math:`\lambda_k < 10^{-3}` and :math:`n_k < 4 (D + 1)`; or
- it is a plane, :math:`\lambda_k < 10^{-6}`, as of repeated rows.

Where limits leave rows out, weights count draws and not rows: a component of which hardly any draw is recorded may have
nearly all the weight, beside which components that hold all rows look few and thin. So weights are first turned into
those of recorded rows, each times the probability of its component that a draw is recorded. Behind errors it is the
width of what is recorded that counts: the likelihood of a component without a width of its own is bounded there.

Components whose covariances are tied have none of this: their likelihood is bounded. Other families that can be narrow
anywhere, such as the gamma laws, are judged by the first two, with :math:`\lambda_k` the least variance of a coordinate
relative to that of the whole mixture.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...components.observation import EXACT, Observation
from ...mixture import Mixture

__all__ = ["spurious", "spurious_components", "spurious_laws"]

Array = NDArray[Any]

_THIN, _PLANE = 1e-3, 1e-6
_SOME = 1e-200  # of a determinant that has all its digits
_FEWEST = 1.5  # rows beside one for each dimension


def spurious_components(mixture: Mixture, total: float, observation: Observation = EXACT) -> list[int]:
    """Returns the components of a mixture, fitted to rows of that total weight, that are spurious.

    Arguments:
        mixture: The mixture of the rows as they were drawn.
        total: The weight of the rows that were recorded.
        observation: How they were recorded, resolved.

    Example:
        >>> components = mx.Normal(torch.tensor([0.0, 3.0]), torch.tensor([1e-6, 1.0]))
        >>> mixture = mx.Mixture(torch.tensor([0.01, 0.99]), components)
        >>> mx.learning.search.spurious.spurious_components(mixture, 100.0)
        [0]
    """
    mixture = _of_recorded(mixture, observation)
    components = mixture.components
    if not components.has_gaussian:
        found = spurious_laws(mixture.map(lambda tensor: tensor.detach().unsqueeze(0)), np.array([total]))
        return np.flatnonzero(found[0]).tolist()
    if components.gaussian.structure.tied:
        return []
    gaussian = components.gaussian
    weights = torch.softmax(mixture.logits.detach().double(), -1)
    seen = _as_recorded(gaussian.covariance.detach().double(), observation)
    parts = weights, gaussian.location.detach().double(), seen
    shares, mean, covariance = (part.cpu().numpy()[None] for part in parts)
    found = spurious(shares, mean, covariance, np.array([total]))
    return np.flatnonzero(found[0]).tolist()


def _of_recorded(mixture: Mixture, observation: Observation) -> Mixture:
    """The mixture, its weights those among the rows that are recorded, where some are not."""
    if not observation.selects:
        return mixture
    none = mixture.logits.new_zeros(1)
    alone = (Mixture._of(none, mixture.components.take([k])) for k in range(len(mixture.logits)))
    recorded = torch.stack([observation.log_recorded(one).reshape(-1).exp().mean() for one in alone])
    return Mixture._of(torch.log_softmax(mixture.logits + recorded.log(), -1), mixture.components)


def _as_recorded(covariance: Tensor, observation: Observation) -> Tensor:
    """Covariances of what is recorded, where errors and gaps are all there is."""
    if observation.errors is None:
        return covariance
    error = observation.errors.to(covariance).square().mean((0, 1))
    return covariance + torch.diag_embed(error.expand(covariance.shape[:-1]))


def spurious_laws(mixture: Mixture, total: Array) -> Array:
    """Tells which components (S, K) of a batch of mixtures of an exponential family are spurious."""
    components, weights = mixture.components, torch.softmax(mixture.logits.double(), -1).cpu().numpy()
    if not components.narrows:
        return np.zeros(weights.shape, bool)
    thin = components.thinness(torch.from_numpy(weights).to(components.device)).cpu().numpy() < _THIN
    rows, features = weights * total[:, None], components.span
    return (rows < features + _FEWEST) | (rows < 4 * (features + 1)) & thin


def spurious(weights: Array, mean: Array, covariance: Array, total: Array) -> Array:
    """Tells which components (S, K) are spurious, of weights (S, K), means (S, K, D), covariances (S, K, D, D)."""
    features, rows = mean.shape[-1], weights * total[:, None]
    lag = mean - (weights[..., None] * mean).sum(1, keepdims=True)
    whole = (weights[..., None, None] * (covariance + lag[..., None] * lag[..., None, :])).sum(1)
    few, some = rows < features + _FEWEST, rows < 4 * (features + 1)
    if (_width(weights, whole, covariance) >= np.where(some, _THIN, _PLANE)).all():
        return few
    sound = np.isfinite(whole).all((-1, -2)) & (np.diagonal(whole, axis1=1, axis2=2) > 0).all(-1)
    least = _relative(np.where(sound[:, None, None], whole, np.eye(features)), covariance)
    thin = some & (least < _THIN)
    return few | thin | (least < _PLANE) | ~sound[:, None]


def _width(weights: Array, whole: Array, covariance: Array) -> Array:
    """A bound of what `_relative` returns, from below, or NaN: in no direction is that times the weight above one."""
    with np.errstate(all="ignore"):
        size = np.linalg.det(whole)[:, None]
        ratio = np.linalg.det(covariance) / np.where(size > _SOME, size, np.nan)
    return ratio * weights ** (whole.shape[-1] - 1)


def _relative(whole: Array, covariance: Array) -> Array:
    """The least eigenvalue of each covariance relative to that of the whole, (S, K)."""
    scale = np.sqrt(np.diagonal(whole, axis1=1, axis2=2))
    values, axes = np.linalg.eigh(whole / (scale[:, :, None] * scale[:, None, :]))
    turn = axes / np.sqrt(np.maximum(values, 1e-12))[:, None, :] / scale[:, :, None]  # whole^-1/2, columns
    inside = np.nan_to_num(turn.swapaxes(1, 2)[:, None] @ covariance @ turn[:, None])
    return np.linalg.eigvalsh(inside)[..., 0]
