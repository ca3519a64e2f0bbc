r"""The last coordinates given rows of the first, of which some may be missing (NaN).

What is missing is integrated out, exactly: :math:`p(y | x_b)` of the marginal of y and what is there, b. Rows with the
same gaps are conditioned together.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from ..components import Full, Gaussian
from .value import Mixture

__all__ = ["given_rows"]


def given_rows(joint: Mixture, x: Tensor) -> Mixture:
    """Returns the mixtures of the last coordinates, a batch ``(N,)``, given rows ``(N, D)`` of the first D.

    Arguments:
        joint: A mixture of Gaussians on vectors of more than D features.
        x: The rows, NaN where a coordinate is not known.

    Example:
        >>> from mixtura.mixture.rows_with_gaps import given_rows
        >>> covariance = torch.tensor([[[1.0, 0.5], [0.5, 1.0]]])
        >>> joint = mx.Mixture(torch.ones(1), mx.Gaussian(torch.zeros(1, 2), covariance))
        >>> given_rows(joint, torch.tensor([[2.0], [torch.nan]])).mean
        tensor([[1.],
                [0.]])
    """
    gaps = x.isnan()
    if not bool(gaps.any()):
        return joint.condition(list(range(x.shape[1])), x)
    pieces, order = zip(*_by_pattern(joint, x, gaps), strict=True)
    back = torch.cat(order).argsort()
    location = torch.cat([one.components.gaussian_law.location for one in pieces])[back]
    factor = torch.cat([_factors(one) for one in pieces])[back]
    components = Gaussian._of(location=location, structure=Full._of(factor=factor, tied=False))
    return Mixture._of(torch.cat([one.logits for one in pieces])[back], components, pieces[0].columns)


def _by_pattern(joint: Mixture, x: Tensor, gaps: Tensor) -> Iterator[tuple[Mixture, Tensor]]:
    """The conditional mixtures of the rows of each pattern of gaps, and the numbers of these rows."""
    targets = list(range(x.shape[1], joint.event_shape[0]))
    patterns, which = torch.unique(gaps, dim=0, return_inverse=True)
    for i, pattern in enumerate(patterns):
        index, known = (which == i).nonzero().squeeze(-1), (~pattern).nonzero().squeeze(-1).tolist()
        alone = joint.marginal([*known, *targets])
        given = alone.condition(list(range(len(known))), x[index][:, known]) if known else alone.expand((len(index),))
        yield given, index


def _factors(mixture: Mixture) -> Tensor:
    """The Cholesky factors of all components of all entries, ``(N, K, T, T)``."""
    gaussian = mixture.components.gaussian_law
    factor = gaussian.structure.full(gaussian.features).given
    return factor.expand(*gaussian.batch_shape, *factor.shape[-2:])
