r"""To and from ``torch.distributions``: the same mixture, its tensors shared, so that gradients flow through.

=============================================  =============================================
torch                                          Mixtura
=============================================  =============================================
``MultivariateNormal``                         `Gaussian` with `Full` covariances
``Independent(Normal, 1)``                     `Gaussian` with `Diagonal` covariances
``Normal``                                     `Normal`
any other                                      `TorchComponent`
=============================================  =============================================

`Spherical` Gaussians become ``Independent(Normal, 1)``, and tied factors are repeated: torch has no name for either.
"""

from __future__ import annotations

from functools import singledispatch
from typing import TYPE_CHECKING

from torch.distributions import Categorical, Distribution, Independent, MixtureSameFamily, MultivariateNormal
from torch.distributions import Normal as TorchNormal

from ..components import Component, Diagonal, Full, Gaussian, Normal, TorchComponent
from ..errors import NotClosedForm, refuse

if TYPE_CHECKING:
    from .value import Mixture

__all__ = ["component", "distribution", "from_torch", "to_torch"]


def to_torch(self: Mixture) -> MixtureSameFamily:
    """Returns the same mixture as a ``torch.distributions.MixtureSameFamily``; gradients flow through.

    Raises:
        NotClosedForm: If torch has no distribution for this family of components.

    Example:
        >>> one = mx.Mixture(torch.ones(1), mx.Normal(torch.zeros(1), torch.ones(1)))
        >>> one.to_torch().component_distribution
        Normal(loc: tensor([0.]), scale: tensor([1.]))
    """
    return MixtureSameFamily(Categorical(logits=self.logits), distribution(self.components), validate_args=False)


def from_torch(cls: type[Mixture], distribution: MixtureSameFamily) -> Mixture:
    """Returns a ``torch.distributions.MixtureSameFamily`` as a mixture; gradients flow through.

    ``MultivariateNormal`` and ``Independent(Normal, 1)`` become `Gaussian`, ``Normal`` becomes `Normal`, and any
    other family a `TorchComponent`.

    Raises:
        MixtureError: If it is no ``MixtureSameFamily``, or its components have more than one event dimension.

    Example:
        >>> weights = torch.distributions.Categorical(torch.ones(2))
        >>> gammas = torch.distributions.Gamma(torch.tensor([1.0, 2.0]), torch.ones(2))
        >>> mx.Mixture.from_torch(torch.distributions.MixtureSameFamily(weights, gammas)).mean
        tensor(1.5000)
    """
    if not isinstance(distribution, MixtureSameFamily):
        refuse("distribution", "a torch.distributions.MixtureSameFamily", type(distribution).__name__)
    components = component(distribution.component_distribution)
    return cls(logits=distribution.mixture_distribution.logits, components=components)


@singledispatch
def distribution(components: Component) -> Distribution:
    """Returns components as one batched torch distribution; a family registers how it is one.

    Raises:
        NotClosedForm: If torch has no distribution for the family.
    """
    raise NotClosedForm(f"torch.distributions has no counterpart of {type(components).__name__} components.")


@distribution.register
def _(components: TorchComponent) -> Distribution:
    return components.distribution


@distribution.register
def _(components: Normal) -> Distribution:
    return TorchNormal(components.loc, components.scale, validate_args=False)


@distribution.register
def _(components: Gaussian) -> Distribution:
    structure, mean = components.structure, components.location
    if structure.elementwise:
        scales = structure.scales(components.features).expand(mean.shape)
        return Independent(TorchNormal(mean, scales, validate_args=False), 1, validate_args=False)
    factor = structure.full(components.features).given
    return MultivariateNormal(mean, scale_tril=factor.expand(*mean.shape, -1), validate_args=False)


@singledispatch
def component(distribution: Distribution) -> Component:
    """Returns a torch distribution as components: those of Mixtura where there are such."""
    return TorchComponent(distribution)


@component.register
def _(distribution: MultivariateNormal) -> Component:
    return Gaussian(distribution.loc, Full.from_scale_tril(distribution.scale_tril))


@component.register
def _(distribution: TorchNormal) -> Component:
    return Normal(distribution.loc, distribution.scale)


@component.register
def _(distribution: Independent) -> Component:
    base = distribution.base_dist
    if not isinstance(base, TorchNormal) or len(distribution.event_shape) != 1:
        return TorchComponent(distribution)
    return Gaussian(base.loc, Diagonal._of(factor=base.scale, tied=False))
