r"""The inverse-Wishart law on the matrices of each covariance structure.

On matrices C of a structure's shape, with scale :math:`\Psi` kept in the structure's own form and :math:`\nu` degrees,

.. math:: p(C) = Z(\Psi, \nu)^{-1} |C|^{-(\nu + D + 1)/2} \exp(-\tfrac12\mathrm{tr}\, C^{-1}\Psi) .

- `Full`: the inverse-Wishart, :math:`\log Z = \log\Gamma_D(\nu/2) + \tfrac{\nu D}2\log 2 - \tfrac\nu2\log|\Psi|`;
- `Diagonal`: an inverse gamma per feature, of shape :math:`a = (\nu + D - 1)/2` and rate :math:`b_d = \Psi_{dd}/2`;
- `Spherical`: one inverse gamma, of shape :math:`a = D(\nu + D + 1)/2 - 1` and rate :math:`b = \mathrm{tr}\,\Psi/2`.

:math:`\mathbb E[C^{-1}] = \bar C^{-1}`, where :math:`\bar C` is a multiple of :math:`\Psi` in these three, and
`deficit` is :math:`\tfrac12(\mathbb E\log|C^{-1}| + \log|\bar C|) \le 0`. Moments lead with ``(*B, K or 1)``; degrees
have that shape.
"""

from __future__ import annotations

import math
from typing import Protocol

import torch
from torch import Generator, Tensor

from ..components.covariance.diagonal import Diagonal
from ..components.covariance.full import Full
from ..components.covariance.spherical import Spherical
from ..components.covariance.structure import Structure, column
from ..components.special.gamma_draws import gamma
from ..errors import NotClosedForm

__all__ = ["Law", "add_law", "law"]


class Law(Protocol):
    """The inverse-Wishart law for one covariance structure."""

    def rotates(self, features: int) -> bool:
        """Tells whether it is the inverse-Wishart law on all matrices, so that predictive laws are Student-t."""
        ...

    def precise(self, moment: Tensor, degrees: Tensor, features: int) -> Tensor:
        r"""Returns :math:`\bar C`, whose inverse is :math:`\mathbb E[C^{-1}]`, in the structure's own form."""
        ...

    def mean(self, moment: Tensor, degrees: Tensor, features: int) -> Tensor:
        r"""Returns :math:`\mathbb E[C]` in the structure's own form, NaN where there is none."""
        ...

    def log_normaliser(self, moment: Tensor, degrees: Tensor, features: int) -> Tensor:
        r"""Returns :math:`\log Z(\Psi, \nu)`."""
        ...

    def deficit(self, degrees: Tensor, features: int) -> Tensor:
        r"""Returns :math:`\tfrac12(\mathbb E\log|C^{-1}| + \log|\bar C|)`."""
        ...

    def trace(self, structure: Structure, moment: Tensor) -> Tensor:
        r"""Returns :math:`\mathrm{tr}\,C^{-1}\Psi`."""
        ...

    def draw(self, moment: Tensor, degrees: Tensor, features: int, generator: Generator | None) -> Tensor:
        """Draws a covariance, returned as the structure's factor."""
        ...


def law(structure: Structure) -> Law:
    """Returns the law on matrices of this structure.

    Raises:
        NotClosedForm: If the structure has no conjugate law.
    """
    if type(structure) not in _LAWS:
        known = ", ".join(one.__name__ for one in _LAWS)
        raise NotClosedForm(
            f"{type(structure).__name__} covariances have no conjugate law, only a most probable value, which EM "
            f"finds; {known} ones have. A law of your own is added with `mx.priors.add_law`."
        )
    return _LAWS[type(structure)]


def add_law(structure: type[Structure], law: Law) -> None:
    """Gives a covariance structure its conjugate law.

    Arguments:
        structure: The class of the structure.
        law: The law on its matrices, which knows its normaliser, moments and draws.

    Example:
        >>> class Ours(mx.Diagonal):
        ...     pass
        >>> mx.priors.add_law(Ours, mx.priors.law(mx.Diagonal()))
    """
    _LAWS[structure] = law


def _proper(logarithm: Tensor) -> Tensor:
    """Drops what a singular scale matrix adds: an improper law has no normaliser, but still a mode given rows."""
    return torch.where(logarithm.isfinite(), logarithm, 0)


def _divided(moment: Tensor, divisor: Tensor) -> Tensor:
    """Returns a moment over a divisor, NaN where that is not positive."""
    divisor = divisor.where(divisor > 0, torch.nan)
    return moment / column(divisor, moment.ndim - divisor.ndim)


class _Full:
    def rotates(self, features: int) -> bool:
        return True

    def precise(self, moment: Tensor, degrees: Tensor, features: int) -> Tensor:
        return _divided(moment, degrees)

    def mean(self, moment: Tensor, degrees: Tensor, features: int) -> Tensor:
        return _divided(moment, degrees - features - 1)

    def log_normaliser(self, moment: Tensor, degrees: Tensor, features: int) -> Tensor:
        half = 0.5 * degrees
        gammas = torch.special.multigammaln(half, features)
        return gammas + half * (features * math.log(2) - _proper(torch.logdet(moment)))

    def deficit(self, degrees: Tensor, features: int) -> Tensor:
        halves = 0.5 * (degrees.unsqueeze(-1) - torch.arange(features, dtype=degrees.dtype, device=degrees.device))
        return 0.5 * (torch.digamma(halves) - (0.5 * degrees).log().unsqueeze(-1)).sum(-1)

    def trace(self, structure: Structure, moment: Tensor) -> Tensor:
        factor = structure.given  # which may be singular where a start has no width; solving tells by infinity
        once = torch.linalg.solve_triangular(factor, moment, upper=False)
        return torch.linalg.solve_triangular(factor, once.mT, upper=False).diagonal(dim1=-2, dim2=-1).sum(-1)

    def draw(self, moment: Tensor, degrees: Tensor, features: int, generator: Generator | None) -> Tensor:
        # C = L A^-T A^-1 L^T with an upper triangular A (Bartlett, 1933, in reversed order), so L A^-T is its factor.
        upper = torch.randn(moment.shape, dtype=moment.dtype, device=moment.device, generator=generator).triu(1)
        halves = 0.5 * (degrees.unsqueeze(-1) - torch.arange(features - 1, -1, -1, device=degrees.device))
        upper = upper + torch.diag_embed((2 * gamma(halves, generator)).sqrt())
        tril = torch.linalg.cholesky(moment)
        return torch.linalg.solve_triangular(upper.mT, tril, upper=False, left=False)


class _Diagonal:
    def rotates(self, features: int) -> bool:
        return features == 1

    def shape(self, degrees: Tensor, features: int) -> Tensor:
        return 0.5 * (degrees + features - 1)

    def precise(self, moment: Tensor, degrees: Tensor, features: int) -> Tensor:
        return _divided(moment, degrees + features - 1)

    def mean(self, moment: Tensor, degrees: Tensor, features: int) -> Tensor:
        return _divided(moment, degrees + features - 3)

    def log_normaliser(self, moment: Tensor, degrees: Tensor, features: int) -> Tensor:
        shape = self.shape(degrees, features)
        return features * torch.lgamma(shape) - shape * _proper((0.5 * moment).log()).sum(-1)

    def deficit(self, degrees: Tensor, features: int) -> Tensor:
        shape = self.shape(degrees, features)
        return 0.5 * features * (torch.digamma(shape) - shape.log())

    def trace(self, structure: Structure, moment: Tensor) -> Tensor:
        return (moment / structure.given.square()).sum(-1)

    def draw(self, moment: Tensor, degrees: Tensor, features: int, generator: Generator | None) -> Tensor:
        shape = self.shape(degrees, features).unsqueeze(-1).expand(moment.shape)
        return (0.5 * moment / gamma(shape, generator)).sqrt()


class _Spherical:
    def rotates(self, features: int) -> bool:
        return features == 1

    def shape(self, degrees: Tensor, features: int) -> Tensor:
        return 0.5 * features * (degrees + features + 1) - 1

    def precise(self, moment: Tensor, degrees: Tensor, features: int) -> Tensor:
        return _divided(moment, degrees + features + 1 - 2 / features)

    def mean(self, moment: Tensor, degrees: Tensor, features: int) -> Tensor:
        return _divided(moment, degrees + features + 1 - 4 / features)

    def log_normaliser(self, moment: Tensor, degrees: Tensor, features: int) -> Tensor:
        shape = self.shape(degrees, features)
        return torch.lgamma(shape) - shape * _proper((0.5 * moment).log())

    def deficit(self, degrees: Tensor, features: int) -> Tensor:
        shape = self.shape(degrees, features)
        return 0.5 * features * (torch.digamma(shape) - shape.log())

    def trace(self, structure: Structure, moment: Tensor) -> Tensor:
        return moment / structure.given.square()

    def draw(self, moment: Tensor, degrees: Tensor, features: int, generator: Generator | None) -> Tensor:
        return (0.5 * moment / gamma(self.shape(degrees, features).expand(moment.shape), generator)).sqrt()


_LAWS: dict[type[Structure], Law] = {Full: _Full(), Diagonal: _Diagonal(), Spherical: _Spherical()}
