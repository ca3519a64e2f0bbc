r"""Covariances whose volume, shape or orientation the components share: the structures between tied and free.

A covariance has a volume, a shape and an orientation (Banfield and Raftery, 1993),

.. math:: \Sigma_k = \lambda_k Q_k A_k Q_k^\top, \qquad |A_k| = 1,\ A_k \text{ diagonal},\ Q_k^\top Q_k = I,

and a name says for each of the three, in this order, whether it is equal over components (E), varies (V) or is that of
a ball or of the axes (I). `Spherical`, `Diagonal` and `Full`, tied or not, are six of the fourteen; here are the other
eight. Their density is that of a diagonal or full structure, whose factor they store, or, where the orientation is
equal over components, of an `Eigen` with axes in common. Only the M-step is theirs: with :math:`C_k` the covariance
that rows of total weight :math:`n_k` have, it minimises

.. math:: F(\Sigma) = \sum_k n_k \left[\log|\Sigma_k| + \mathrm{tr}(\Sigma_k^{-1} C_k)\right]

over the covariances of that structure (Celeux and Govaert, 1995); where that takes steps, an M-step makes a few of them
from the covariances there were, each of which lowers F. A conjugate prior adds to :math:`n_k` and
:math:`n_k C_k` what it would add for a `Full` structure, so that the minimum is the most probable value within the
structure; a posterior law has no closed form.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple, Self

import torch
from torch import Tensor

from ...errors import refuse
from ...kernels import Step
from ..argument import Argument
from .columns import column, own_axes
from .diagonal import Diagonal
from .eigen import Eigen
from .full import Full, factored
from .shared_slopes import moved, slopes
from .solvers.orientation import common_axes
from .solvers.volume import equal_matrix, equal_shape, equal_volume, mean_variance, pooled
from .structure import Structure

__all__ = ["EEV", "EVE", "EVI", "EVV", "VEE", "VEI", "VEV", "VVE", "VolumeShape"]


class Varies(NamedTuple):
    """Which parts of a covariance differ between components; an orientation of none is that of the axes."""

    volume: bool
    shape: bool
    orientation: bool | None


class VolumeShape(Structure):
    """A structure whose components share a part of their covariances, with a factor for each component all the same."""

    varies: ClassVar[Varies]

    @abstractmethod
    def _sought(self, weight: Tensor, moment: Tensor, start: Self | None) -> Structure:
        """Returns the covariances that minimise F, sought from a start, in the structure that shares nothing."""

    @property
    def name(self) -> str:
        return type(self).__name__

    @property
    def step(self) -> Step | None:
        return Step.__members__.get(type(self).__name__)

    @property
    def constrained(self) -> bool:
        return True

    def arguments(self, features: int) -> dict[str, Argument]:
        return Structure.arguments(self, features)  # which refuses: parts in common do not move one by one

    @property
    def shares(self) -> bool:
        return True

    @property
    def climbs(self) -> bool:
        return True

    def local_slopes(self, weight: Tensor, scatter: Tensor, features: int) -> tuple[Tensor, Tensor]:
        return slopes(self.varies, *self.in_own_axes(features), weight, self.dense_moment(scatter, features))

    def stepped(self, step: Tensor) -> Self:
        return self._of(**self._along_axes(*moved(self.varies, *self.in_own_axes(self.width), step))._fields())

    @abstractmethod
    def _along_axes(self, axes: Tensor, variances: Tensor) -> Structure:
        """Returns the covariances of these axes in the structure that shares nothing."""

    @property
    @abstractmethod
    def _apart(self) -> Structure:
        """The same covariances in the structure that shares nothing."""

    def estimate(self, weight: Tensor, shift: Tensor, scatter: Tensor, degrees: Tensor) -> Self:
        centred = scatter - self.outer(shift / weight.sqrt().unsqueeze(-1))
        return self._matched(degrees, centred / column(degrees, self.moment_trailing), self)

    def with_moment(self, moment: Tensor, features: int) -> Self:
        return self._matched(moment.new_ones(moment.shape[: moment.ndim - self.moment_trailing]), moment, None)

    def parameters(self, components: int, features: int) -> int:
        count = {True: components, False: 1, None: 0}
        volumes, shapes, orientations = (count[part] for part in self.varies)
        return volumes + shapes * (features - 1) + orientations * features * (features - 1) // 2

    def scaled(self, scale: Tensor) -> Structure:
        """Returns the covariances of vectors times ``scale``; of unequal volumes where that is what was shared."""
        return super().scaled(scale) if self.varies.volume or scale.shape[-1] == 1 else self._apart.scaled(scale)

    def share_volume(self, weight: Tensor) -> Tensor:
        return weight if self.varies.volume else weight.sum(-1, keepdim=True)

    def marginal(self, dims: Sequence[int]) -> Structure:
        return self.unconstrained.marginal(dims)

    def conditional(self, known: Sequence[int], free: Sequence[int]) -> Structure:
        return self.unconstrained.conditional(known, free)

    def _matched(self, weight: Tensor, moment: Tensor, start: Self | None) -> Self:
        """The minimum of F; NaN for all components where a weight is not positive or a moment not finite."""
        sound = (weight > 0).all(-1) & moment.isfinite().flatten(weight.ndim - 1).all(-1)
        weight = torch.where(sound.unsqueeze(-1), weight, 1)
        moment = _where(sound, moment, 1)
        start = None if start is None else start.map(lambda tensor: _where(sound, tensor, 1))
        found = self._sought(weight, moment, start).map(lambda tensor: _where(sound, tensor, torch.nan))
        return self._of(**found._fields())

    def _own(self) -> Tensor:
        """The covariances in the structure's own form."""
        return self.scatter(self.dense(self.width))

    def _check(self, covariance: Tensor) -> None:
        """Refuses covariances, in the structure's own form, that are not members."""
        slack = torch.finfo(self.dtype).eps ** 0.5
        away = (self.with_moment(covariance, self.width)._own() - covariance).abs()
        if not bool((away <= slack * covariance.abs().amax()).all()):
            refuse("covariance", f"of the structure {self.name}", "matrices that are not", "Use `with_covariance`.")


class _InOwnForm(VolumeShape):
    """Of variances, or of matrices: an M-step is numbers in the structure's own form."""

    def __init__(self, covariance: Tensor | None = None) -> None:
        object.__setattr__(self, "factor", self._alone(covariance).factor)
        object.__setattr__(self, "tied", False)
        if self.factor is not None:
            self._check(self._own())

    @abstractmethod
    def _alone(self, covariance: Tensor | None) -> Structure:
        """Returns the structure of these covariances that shares nothing."""

    @property
    def _apart(self) -> Structure:
        return self._alone(None)._replace(factor=self.factor)

    @property
    def unconstrained(self) -> Structure:
        return self._apart

    @abstractmethod
    def _minimum(self, weight: Tensor, moment: Tensor, start: Tensor | None) -> Tensor:
        """Returns the covariances, in the structure's own form, that minimise F, sought from a start."""

    def _sought(self, weight: Tensor, moment: Tensor, start: Self | None) -> Structure:
        found = self._minimum(weight, moment, None if start is None else start._own())
        return self._alone(None).with_moment(found, found.shape[-1])


class _Axes(_InOwnForm, Diagonal):
    def _alone(self, covariance: Tensor | None) -> Diagonal:
        return Diagonal(covariance)

    def _along_axes(self, axes: Tensor, variances: Tensor) -> Diagonal:
        return Diagonal._of(factor=variances.sqrt(), tied=False)


class _Matrices(_InOwnForm, Full):
    def _alone(self, covariance: Tensor | None) -> Full:
        return Full(covariance)

    def _along_axes(self, axes: Tensor, variances: Tensor) -> Full:
        return Eigen._of(factor=variances.sqrt(), tied=False, axes=axes).unconstrained


class _Oriented(VolumeShape, Eigen):
    """Of one orientation: axes in common, stored once, and variances along them."""

    def __init__(self, covariance: Tensor | None = None) -> None:
        for name, value in (("factor", None), ("tied", False), ("axes", None)):
            object.__setattr__(self, name, value)
        if covariance is not None:
            dense = Full(covariance).dense(covariance.shape[-1])
            found = self.with_moment(dense, dense.shape[-1])
            object.__setattr__(self, "factor", found.factor)
            object.__setattr__(self, "axes", found.axes)
            self._check(dense)

    @property
    def _apart(self) -> Eigen:
        return Eigen._of(**self._fields())

    def _take(self, axis: int, index: Any, size: int) -> Self:
        """One component's axes are those of all, however often it is taken."""
        return super()._take(axis, index, size)._replace(axes=self.axes)

    def _along_axes(self, axes: Tensor, variances: Tensor) -> Eigen:
        return Eigen._of(factor=variances.sqrt(), tied=False, axes=axes)

    @staticmethod
    def _along_common(axes: Tensor, spectrum: Tensor) -> Eigen:
        return Eigen._of(factor=spectrum.sqrt(), tied=False, axes=axes.unsqueeze(-3))


class VEI(_Axes):
    r"""Diagonal covariances of equal shape: :math:`\Sigma_k = \lambda_k A`.

    Arguments:
        covariance: Variances of that structure, with shape ``(*B, K, D)``; none for a template.

    Raises:
        MixtureError: If the variances are not of this structure, or not positive.

    Example:
        >>> mx.components.VEI(torch.tensor([[1.0, 4.0], [2.0, 8.0]])).logdet(2).exp()
        tensor([ 4., 16.])
    """

    varies = Varies(True, False, None)

    def _minimum(self, weight: Tensor, moment: Tensor, start: Tensor | None) -> Tensor:
        return equal_shape(weight, moment, None if start is None else start.mean(-1))


class EVI(_Axes):
    r"""Diagonal covariances of equal volume: :math:`\Sigma_k = \lambda A_k`; used as `VEI`."""

    varies = Varies(False, True, None)

    def _minimum(self, weight: Tensor, moment: Tensor, start: Tensor | None) -> Tensor:
        return equal_volume(weight, moment)


class VEE(_Oriented):
    r"""Covariances that differ by a factor: :math:`\Sigma_k = \lambda_k Q A Q^\top`; used as `VEV`."""

    varies = Varies(True, False, False)

    def _sought(self, weight: Tensor, moment: Tensor, start: Self | None) -> Eigen:
        volume, matrix = equal_matrix(weight, moment, None if start is None else mean_variance(start._own()))
        axes, spectrum = own_axes(matrix)
        return self._along_common(axes, volume.unsqueeze(-1) * spectrum.unsqueeze(-2))


class EVE(_Oriented):
    r"""Covariances of equal volume on common axes: :math:`\Sigma_k = \lambda Q A_k Q^\top`; used as `VEV`."""

    varies = Varies(False, True, False)

    def _sought(self, weight: Tensor, moment: Tensor, start: Self | None) -> Eigen:
        return self._along_common(*common_axes(weight, moment, _covariances(start), equal_volume))


class VVE(_Oriented):
    r"""Covariances on common axes: :math:`\Sigma_k = \lambda_k Q A_k Q^\top` (Flury, 1984); used as `VEV`."""

    varies = Varies(True, True, False)

    def _sought(self, weight: Tensor, moment: Tensor, start: Self | None) -> Eigen:
        return self._along_common(*common_axes(weight, moment, _covariances(start), lambda _, variances: variances))


class EEV(_Matrices):
    r"""Covariances equal up to a rotation: :math:`\Sigma_k = \lambda Q_k A Q_k^\top`; used as `VEV`."""

    varies = Varies(False, False, True)

    def _minimum(self, weight: Tensor, moment: Tensor, start: Tensor | None) -> Tensor:
        axes, orientation = torch.linalg.eigh(moment)
        return _matrix(pooled(weight, axes).unsqueeze(-2), orientation)


class VEV(_Matrices):
    r"""Covariances of equal shape: :math:`\Sigma_k = \lambda_k Q_k A Q_k^\top`.

    Arguments:
        covariance: Matrices of that structure, with shape ``(*B, K, D, D)``; none for a template.

    Raises:
        MixtureError: If the matrices are not of this structure, or not symmetric positive definite.

    Example:
        >>> turned = torch.tensor([[[1.0, 0.0], [0.0, 4.0]], [[8.0, 0.0], [0.0, 2.0]]])
        >>> mx.components.VEV(turned).parameters(components=2, features=2)
        5
    """

    varies = Varies(True, False, True)

    def _minimum(self, weight: Tensor, moment: Tensor, start: Tensor | None) -> Tensor:
        axes, orientation = torch.linalg.eigh(moment)  # in ascending order, which is the best match of axes
        return _matrix(equal_shape(weight, axes, None if start is None else mean_variance(start)), orientation)


class EVV(_Matrices):
    r"""Covariances of equal volume: :math:`\Sigma_k = \lambda Q_k A_k Q_k^\top`; used as `VEV`."""

    varies = Varies(False, True, True)

    def _minimum(self, weight: Tensor, moment: Tensor, start: Tensor | None) -> Tensor:
        volume = (factored(moment, False).logdet(moment.shape[-1]) / moment.shape[-1]).exp()
        return moment * column(pooled(weight, volume.unsqueeze(-1)) / volume, 2)


def _matrix(axes: Tensor, orientation: Tensor) -> Tensor:
    r"""Returns :math:`Q\,\mathrm{diag}(a)\,Q^\top`."""
    return (orientation * axes.unsqueeze(-2)) @ orientation.mT


def _covariances(start: VolumeShape | None) -> Tensor | None:
    return None if start is None else start._own()


def _where(sound: Tensor, tensor: Tensor, other: float) -> Tensor:
    """The tensor where batch entries are sound, a number elsewhere."""
    return torch.where(column(sound, tensor.ndim - sound.ndim), tensor, other)
