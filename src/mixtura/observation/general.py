r"""Additive noise of any distribution: :math:`y = x + e` with e from a ``torch.distributions.Distribution``.

Where the noise is Gaussian or has few values the result is exact. For other distributions of numbers

.. math:: p(y|k) = \int p_k(y - e)\, q(e)\, de

is a sum over panels of a Gauss-Kronrod rule of 15 points; the panels end where the component or the noise change their
course: at multiples of their scales and, ever closer, at the ends of the noise's support. The rule's own 7-point Gauss
rule gives an estimate of the error.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor
from torch.distributions import Distribution, MultivariateNormal, Normal, constraints

from ..components import Component, TorchComponent
from ..components.observation import Frame, Observation, frame_of
from ..errors import NotClosedForm, refuse
from ..mixture import Mixture
from .nodes import NodeObservation, Nodes
from .noise import AdditiveNoise
from .shift import ShiftNoise

__all__ = ["Noise"]


@dataclass(frozen=True, eq=False, repr=False, init=False)
class Noise(NodeObservation):
    """Noise of any torch distribution added to each draw.

    Arguments:
        distribution: The noise, with batch shape ``()``, or ``(K,)`` for one per component, and the draws' event shape.

    Draws work for every distribution. There is a density where the noise is Gaussian, discrete, or continuous on
    numbers with a known centre and scale; `relative_error` estimates that of the quadrature.

    Raises:
        MixtureError: If the distribution's batch or event shape does not fit.
        NotClosedForm: If a density is asked for and there is none.

    Example:
        >>> clean = mx.Mixture(torch.ones(1), mx.Normal(torch.zeros(1), torch.ones(1)))
        >>> noise = mx.observation.Noise(torch.distributions.Laplace(0.0, 1.0))
        >>> clean.observed(noise).log_prob(torch.tensor(0.0))
        tensor(-1.3410)
    """

    distribution: Distribution

    def __init__(self, distribution: Distribution) -> None:
        if not isinstance(distribution, Distribution) or len(distribution.batch_shape) > 1:
            refuse("distribution", "a torch distribution with batch shape () or (K,)", repr(distribution))
        object.__setattr__(self, "distribution", distribution)

    def resolve(self, frame: Frame) -> Observation:
        noise = self.distribution
        if noise.event_shape != frame.event_shape:
            refuse("distribution", f"of event shape {tuple(frame.event_shape)}", f"{tuple(noise.event_shape)}")
        if noise.batch_shape and frame.components not in (None, 1, *noise.batch_shape):
            refuse("distribution", f"of batch shape () or ({frame.components},)", f"{tuple(noise.batch_shape)}")
        if isinstance(noise, Normal):
            return AdditiveNoise(noise.loc, noise.scale, per_row=False).resolve(frame)
        if isinstance(noise, MultivariateNormal):
            return AdditiveNoise(noise.loc, covariance=noise.covariance_matrix, per_row=False).resolve(frame)
        if getattr(noise.support, "is_discrete", False) and not noise.event_shape:
            return _shifts(noise).resolve(frame)
        return self

    def posterior(self, mixture: Mixture, y: Tensor) -> Mixture:
        resolved = self.resolve(frame_of(mixture.components))
        return super().posterior(mixture, y) if resolved is self else resolved.posterior(mixture, y)

    def observed(self, components: Component) -> Component:
        resolved = self.resolve(frame_of(components))
        return super().observed(components) if resolved is self else resolved.observed(components)

    @property
    def count(self) -> int:
        return 15 * 50

    def nodes(self, components: Component, y: Tensor) -> Nodes:
        x, log_density, weight = self._panels(components, y)
        log_weight = torch.where(weight[..., 0, :] > 0, log_density + weight[..., 0, :].log(), -torch.inf)
        return Nodes(x, log_weight)

    def relative_error(self, mixture: Mixture, y: Tensor) -> Tensor:
        """Returns an estimate of the quadrature's error relative to the density of y; zero where exact."""
        if self.resolve(frame_of(mixture.components)) is not self:
            return torch.zeros(y.shape[: y.ndim - len(mixture.event_shape)])
        _, log_density, weight = self._panels(mixture.components, y)
        top = log_density.amax((-2, -1), keepdim=True).nan_to_num(0.0)
        both = ((log_density - top).exp().unsqueeze(-2) * weight).unflatten(-1, (-1, 15)).sum(-1)
        gap = (both[..., 0, :] - both[..., 1, :]).abs().sum(-1)
        share = mixture.weights
        return (share * gap).sum(-1) / (share * both[..., 0, :].sum(-1)).sum(-1)

    def moments(self, components: Component) -> tuple[Tensor, Tensor]:
        return components.mean + self.distribution.mean, components.variance + self.distribution.variance

    def record(self, x: Tensor, labels: Tensor, generator: Generator | None, components: Component | None) -> Tensor:
        noise = self.distribution if self.distribution.batch_shape else self.distribution.expand((1,))
        whose = labels if noise.batch_shape[0] > 1 else torch.zeros_like(labels)
        return x + TorchComponent(noise).draw(whose, generator)

    def _panels(self, components: Component, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Clean values and log integrands ``(..., K, Q)``, and Kronrod and Gauss weights ``(..., K, 2, Q)``."""
        if components.event_shape:
            raise NotClosedForm(
                f"There is no density for {type(self.distribution).__name__} noise on vectors in Mixtura; draws work."
            )
        node, rule = (torch.as_tensor(array, dtype=y.dtype, device=y.device) for array in _KRONROD)
        edges = _edges(self.distribution, y.unsqueeze(-1) - components.mean, components.variance.sqrt())
        middle, half = (edges[..., 1:] + edges[..., :-1]) / 2, edges.diff(dim=-1) / 2
        e = (middle.unsqueeze(-1) + half.unsqueeze(-1) * node).flatten(-2)
        weight = (half.unsqueeze(-1).unsqueeze(-3) * rule.unsqueeze(-2)).flatten(-2)
        x = y.unsqueeze(-1).unsqueeze(-1) - e
        noise = _quiet(self.distribution)
        noise = noise.log_prob(e) if not noise.batch_shape else noise.log_prob(e.movedim(-1, 0)).movedim(0, -1)
        log_density = (_log_prob(components, x) + noise).nan_to_num(-torch.inf, posinf=_MOST)
        return x, log_density, weight


_MOST = 700.0  # an integrable infinity at the end of a support, where no node should lie but rounding may put one


def _log_prob(components: Component, x: Tensor) -> Tensor:
    """log p_k(x) where x already has a components dimension, ``(..., K, Q)``."""
    if components.is_gaussian:
        loc, scale = components.mean.unsqueeze(-1), components.variance.sqrt().unsqueeze(-1)
        return -0.5 * ((x - loc) / scale).square() - scale.log() - 0.5 * math.log(2 * math.pi)
    each = (components.log_prob(x[..., k, :].movedim(-1, 0))[..., k].movedim(0, -1) for k in range(x.shape[-2]))
    return torch.stack(list(each), -2)


def _shifts(noise: Distribution) -> ShiftNoise:
    """A discrete noise as shifts; one without end is cut where nothing is left of it in double precision."""
    try:
        values = noise.enumerate_support(expand=False).reshape(-1)
    except NotImplementedError:
        last = float((noise.mean + 12 * noise.stddev).max()) + 40
        if not last < 1e6:
            raise NotClosedForm(f"{noise} has too many values to go through; draws work.") from None
        values = torch.arange(0.0, last)
    probability = _quiet(noise).log_prob(values.reshape(-1, *(1,) * len(noise.batch_shape))).double().exp()
    return ShiftNoise(
        shifts=values.double(), probabilities=probability.nan_to_num(0.0).mT if probability.ndim > 1 else probability
    )


def _quiet(noise: Distribution) -> Distribution:
    """The same distribution, which does not check its arguments."""
    wide = noise.expand(noise.batch_shape)
    wide._validate_args = False
    return wide


def _edges(noise: Distribution, gap: Tensor, scale: Tensor) -> Tensor:
    """Where panels end, ``(..., K, P + 1)``, sorted and within the noise's support."""
    centre, width, low, high = (_column(value, gap) for value in _course(noise))
    steps = [torch.as_tensor(one, dtype=gap.dtype, device=gap.device) for one in (_NEAR, _FAR, _ENDS)]
    pieces = [gap.unsqueeze(-1) - scale.unsqueeze(-1) * steps[0], (centre + width * steps[1]).expand(*gap.shape, -1)]
    for end, inwards in ((low, width), (high, -width)):
        if bool(end.isfinite().all()):
            pieces.append((end + inwards * steps[2]).expand(*gap.shape, -1))
    return torch.maximum(torch.minimum(torch.cat(pieces, -1), high), low).sort(-1).values


def _column(value: Tensor, gap: Tensor) -> Tensor:
    return value.to(gap.device, gap.dtype).unsqueeze(-1)


def _course(noise: Distribution) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Centre and scale of the noise, and the ends of its support."""
    low, high = _support(noise.support)
    centre, width = _attempt(noise, "mean", "loc"), _attempt(noise, "stddev", "scale")
    low, high = (torch.as_tensor(end, dtype=torch.float64).expand(centre.shape) for end in (low, high))
    return centre, width, low, high


def _attempt(noise: Distribution, first: str, second: str) -> Tensor:
    for name in (first, second):
        value = getattr(noise, name, None)
        if isinstance(value, Tensor) and bool(value.isfinite().all()):
            return value.double()
    raise NotClosedForm(f"{noise} has no finite {first} or {second}, so its density cannot be integrated; draws work.")


def _support(support: object) -> tuple[Tensor | float, Tensor | float]:
    low = getattr(support, "lower_bound", -torch.inf)
    high = getattr(support, "upper_bound", torch.inf)
    real = support is constraints.real
    return (-torch.inf, torch.inf) if real else (low, high)


_NEAR = [0.0, *(sign * t for t in (1.0, 2.0, 3.0, 4.5, 6.5, 9.0, 13.0, 20.0, 38.0) for sign in (-1, 1))]
_FAR = [0.0, *(sign * t for t in (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 40.0) for sign in (-1, 1))]
_ENDS = [0.0, 1e-12, 1e-9, 1e-7, 1e-5, 1e-3, 1e-2, 0.1]

# Nodes on [-1, 1], weights of Kronrod's rule of 15 points and of Gauss's of 7 (Piessens et al., 1983).
_X = [
    0.991455371120812639206854697526329, 0.949107912342758524526189684047851, 0.864864423359769072789712788640926,
    0.741531185599394439863864773280788, 0.586087235467691130294144691693013, 0.405845151377397166906606412076961,
    0.207784955007898467600689403773245,
]  # fmt: skip
_K = [
    0.022935322010529224963732008058970, 0.063092092629978553290700663189204, 0.104790010322250183839876322541518,
    0.140653259715525918745189590510238, 0.169004726639267902826583426598550, 0.190350578064785409913256402421014,
    0.204432940075298892414161999234649,
]  # fmt: skip
_G = [
    0.0,
    0.129484966168869693270611432679082,
    0.0,
    0.279705391489276667901467771423780,
    0.0,
    0.381830050505118944950369775488975,
    0.0,
]
_KRONROD = (
    [*(-x for x in _X), 0.0, *reversed(_X)],
    [
        [*_K, 0.209482141084727828012999174891714, *reversed(_K)],
        [*_G, 0.417959183673469387755102040816327, *reversed(_G)],
    ],
)
