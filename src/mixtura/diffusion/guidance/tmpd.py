r"""Tweedie moment projection: :math:`p(x_0|x_t)` is taken to be Gaussian, with its own mean and covariance.

.. math:: \hat p(y|x_t) = N\big(y;\; A E,\; A\,\mathrm{Cov}[x_0|x_t]A^\top + \Sigma_y\big), \qquad
    \mathrm{Cov}[x_0|x_t] = \frac{\sigma^2}{\alpha}\frac{\partial E}{\partial x_t} .

Both moments of y are exact; what is lost is the rest of its law, and how the covariance changes with :math:`x_t`. Of
one Gaussian nothing is lost. The matrix takes M products; cheaper forms keep only so much of it:

- its diagonal, still by M products, so that nothing is to be inverted;
- the sums of its rows, by one product, :math:`A\,\mathrm{Cov}\,A^\top 1`: its diagonal, if it is diagonal. Where
  coordinates are opposed a sum is below the variance, and may be negative; of a negative one nothing is taken.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from .errors import Alone, Errors, errors
from .rule import LikelihoodRule
from .seen import Seen

__all__ = ["TMPD", "DiagonalTMPD", "RowSumTMPD"]


class _ByRows(LikelihoodRule):
    """Forms that know the covariance of the clean draw times each row of A: its pull is a sum of these."""

    @abstractmethod
    def kept(self, seen: Seen, crossed: Tensor) -> Errors:
        """Returns V from those products, ``(M, *S, D)``."""

    def spread(self, seen: Seen) -> Errors:
        return self.kept(seen, _crossed(seen))

    def expected(self, seen: Seen) -> Tensor:
        crossed = _crossed(seen)
        pull = self.kept(seen, crossed).solve(seen.residual)
        return seen.mean + torch.einsum("m...d,...m->...d", crossed, pull)


@dataclass(frozen=True, eq=False)
class TMPD(_ByRows):
    """Tweedie moment projected diffusion, with the covariance of what is recorded whole.

    Arguments:
        observation: How y was recorded: linear, with Gaussian errors.
        y: What was recorded: ``(M,)``, or one record for each row.

    Source: Boys, Girolami, Pidstrigach, Reich, Mosca and Akyildiz (2023), equation 12.

    Example:
        >>> mixture = mx.Mixture(torch.ones(1), mx.Gaussian(torch.zeros(1, 2), mx.Spherical(torch.ones(1))))
        >>> first = mx.observation.LinearMeasurement(torch.tensor([[1.0, 0.0]]), 0.01)
        >>> rule = mx.diffusion.TMPD(first, torch.tensor([2.0]))
        >>> x = mx.diffusion.sample(mixture, mx.diffusion.EDM(), (1000, 2), 20, guidance=rule)
        >>> x[:, 0].mean().round(decimals=1)
        tensor(2.)
    """

    def kept(self, seen: Seen, crossed: Tensor) -> Errors:
        return errors(seen.record.image(crossed).movedim(0, -1) + seen.record.noise.whole())


@dataclass(frozen=True, eq=False)
class DiagonalTMPD(_ByRows):
    """Tweedie moment projected diffusion, with the variances of what is recorded.

    Arguments:
        observation: As for `TMPD`.
        y: As for `TMPD`.

    Source: Boys, Girolami, Pidstrigach, Reich, Mosca and Akyildiz (2023).

    Example:
        >>> mixture = mx.Mixture(torch.ones(2), mx.Normal(torch.tensor([-2.0, 2.0]), torch.ones(2)))
        >>> rule = mx.diffusion.DiagonalTMPD(mx.observation.AdditiveNoise(0.0, 0.1), torch.tensor(1.0))
        >>> x = mx.diffusion.sample(mixture, mx.diffusion.EDM(), (1000,), 20, guidance=rule)
        >>> x.mean().round(decimals=1)
        tensor(1.)
    """

    def kept(self, seen: Seen, crossed: Tensor) -> Errors:
        own = seen.record.image(crossed).movedim(0, -1).diagonal(dim1=-2, dim2=-1)
        return Alone(own + seen.record.noise.variance)


@dataclass(frozen=True, eq=False)
class RowSumTMPD(LikelihoodRule):
    """Tweedie moment projected diffusion, with the sums of the rows of the covariance of what is recorded.

    Where recorded numbers are opposed, sums are smaller than variances, even negative, which counts as none: the rule
    then pulls many times harder than the record allows, and may throw rows beyond all numbers at any usual number of
    steps. `sample` warns of that. `DiagonalTMPD` has the variances themselves, for a product each.

    Arguments:
        observation: As for `TMPD`.
        y: As for `TMPD`.

    Source: Boys, Girolami, Pidstrigach, Reich, Mosca and Akyildiz (2023), for records of many numbers.

    Example:
        >>> mixture = mx.Mixture(torch.ones(2), mx.Normal(torch.tensor([-2.0, 2.0]), torch.ones(2)))
        >>> rule = mx.diffusion.RowSumTMPD(mx.observation.AdditiveNoise(0.0, 0.1), torch.tensor(1.0))
        >>> x = mx.diffusion.sample(mixture, mx.diffusion.EDM(), (1000,), 20, guidance=rule)
        >>> x.mean().round(decimals=1)
        tensor(1.)
    """

    def spread(self, seen: Seen) -> Errors:
        sums = seen.seen_covariance(torch.ones_like(seen.residual))
        return Alone(sums.clamp_min(0) + seen.record.noise.variance)


def _crossed(seen: Seen) -> Tensor:
    """The covariance of the clean draw times each row of A, ``(M, *S, D)``."""
    return seen.covariance(seen.record.axes(seen.x))
