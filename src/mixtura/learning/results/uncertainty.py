r"""Standard errors of a mixture's parameters: from the observed information, and by the bootstrap.

Near a maximum :math:`\hat\theta` of the log-likelihood :math:`\ell`, the estimate varies like

.. math:: V = \Big[-\frac{\partial^2 \ell}{\partial\theta\,\partial\theta^\top}(\hat\theta)\Big]^{-1}, \qquad
    \mathrm{var}\, f(\hat\theta) \approx \nabla f^\top\, V\, \nabla f,

for any function f of the mixture, such as its weights or its components' covariances (Efron and Hinkley, 1978). The
second derivatives are exact, by automatic differentiation of the very log-density that the mixture computes, in the
parameters as it stores them; directions that the density does not depend on drop out with the pseudo-inverse.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from ...data import Block, Rows
from ...errors import NotClosedForm, refuse
from ...mixture import Mixture
from ..expectation.expect import log_density
from ..fit import learn
from ..loop.traces import stack
from ..starts.widths import wide_enough
from .fit import Fit
from .relabel import relabel
from .simulate import simulated

__all__ = ["Bootstrap", "Uncertainty", "bootstrap", "standard_errors"]

Function = Callable[[Mixture], Tensor]

_FLAT = 1e-9  # relative to the largest eigenvalue: directions that the density does not depend on


class StandardErrors(ABC):
    """Standard errors of functions of a mixture, however they were found."""

    @abstractmethod
    def of(self, function: Function) -> Tensor:
        """Returns the standard errors of a function of the mixture, in the shape of its value."""

    @property
    def weights(self) -> Tensor:
        """Standard errors of the weights, with shape ``(K,)``."""
        return self.of(lambda mixture: mixture.weights)

    @property
    def mean(self) -> Tensor:
        """Standard errors of the components' means, with shape ``(K, *event)``."""
        return self.of(lambda mixture: mixture.components.mean)

    @property
    def component_covariance(self) -> Tensor:
        """Standard errors of the components' covariances, with shape ``(K, D, D)``; of variances for numbers."""
        return self.of(lambda mixture: mixture.components.covariance)


@dataclass(frozen=True, eq=False)
class Uncertainty(StandardErrors):
    """The asymptotic covariance of a mixture's stored parameters.

    Arguments:
        mixture: The mixture at the maximum.
        covariance: The covariance of all its tensors, flattened one after the other, with shape ``(P, P)``.
    """

    mixture: Mixture
    covariance: Tensor

    @property
    def weights(self) -> Tensor:
        """Standard errors of the weights, with shape ``(K,)``.

        Raises:
            NotClosedForm: If weights hang on columns of a row: then those of rows have errors, and no others.
        """
        if self.mixture.components.gated:
            asked = "of(lambda mixture: mixture.condition(columns, values).weights)"
            raise NotClosedForm(f"Weights that hang on columns have standard errors given their values: ask {asked}.")
        return super().weights

    def of(self, function: Function) -> Tensor:
        """Returns the standard errors of a function of the mixture, in the shape of its value.

        Example:
            >>> fit = mx.fit(mx.datasets.old_faithful()[:, 0], 1)
            >>> error = mx.standard_errors(fit).of(lambda mixture: mixture.mean)
            >>> torch.isclose(error, (fit.mixture.variance / 272).sqrt())
            tensor(True)
        """
        flat = _flat(self.mixture).requires_grad_()
        value = function(_rebuilt(self.mixture, flat))
        rows = [_gradient(one, flat) for one in value.flatten()]
        jacobian = torch.stack(rows).double()
        variance = torch.einsum("ip,pq,iq->i", jacobian, self.covariance, jacobian)
        return variance.clamp_min(0).sqrt().reshape(value.shape)


def standard_errors(fit: Fit) -> Uncertainty:
    """Returns the uncertainty of a maximum-likelihood fit from the observed information.

    Arguments:
        fit: A converged fit. Rows are held in memory, and every parameter costs one pass with gradients. What the fit
            held frozen has no error.

    Raises:
        MixtureError: If the log-likelihood is not at a maximum: the fit has not converged, or a component collapsed.

    Example:
        >>> mx.standard_errors(mx.fit(mx.datasets.old_faithful(), 2, covariance="tied-full")).weights
        tensor([0.0292, 0.0292], dtype=torch.float64)
    """
    mixture = fit.mixture.detach().map(torch.Tensor.double)
    flat = _flat(mixture).requires_grad_()
    rebuilt = fit.method.held(_rebuilt(mixture, flat), mixture)
    total = fit.rows.to(torch.float64).reduce(lambda block: _log_likelihood(rebuilt, block))
    (gradient,) = torch.autograd.grad(total, flat, create_graph=True)
    information = -torch.stack([_gradient(one, flat) for one in gradient])
    return Uncertainty(mixture, _inverse((information + information.mT) / 2))


@dataclass(frozen=True, eq=False)
class Bootstrap(StandardErrors):
    """Mixtures fitted to replicates of the data.

    Arguments:
        mixtures: The mixtures, as one batch ``(replicates,)``, with labels that agree.
    """

    mixtures: Mixture

    def of(self, function: Function) -> Tensor:
        """Returns the standard errors of a function of a batch of mixtures, in the shape of its value for one."""
        return function(self.mixtures).std(0)


def bootstrap(
    fit: Fit, replicates: int = 200, parametric: bool = False, generator: Generator | None = None
) -> Bootstrap:
    """Fits replicates of the data, from the fit's mixture, and returns the mixtures.

    Arguments:
        fit: The fit; its method learns the replicates.
        replicates: How many, at least 2.
        parametric: Whether replicates are drawn from the mixture; otherwise rows are drawn with replacement.
        generator: The source of randomness.

    Replicates begin at the fit, but for components that errors of the data have shrunk to no width, which could not
    leave their place: these begin as wide as the rows could tell from none.

    Raises:
        MixtureError: If there are fewer than 2 replicates.

    Example:
        >>> fit = mx.fit(mx.datasets.old_faithful(), 2)
        >>> errors = mx.bootstrap(fit, replicates=30, generator=torch.Generator().manual_seed(0))
        >>> errors.mixtures.batch_shape, errors.mean.shape
        (torch.Size([30]), torch.Size([2, 2]))
    """
    if not replicates >= 2:
        refuse("replicates", "at least 2", replicates)
    once, start = _drawn if parametric else _resampled, fit.method.held(wide_enough(fit.mixture, fit.rows), fit.mixture)
    found = [once(fit, start, generator) for _ in range(replicates)]
    return Bootstrap(relabel(stack(found), fit.mixture))


def _drawn(fit: Fit, start: Mixture, generator: Generator | None) -> Mixture:
    """Draws rows from the mixture, and records them as the data were."""
    return _again(fit, start, simulated(fit.mixture, fit.rows, generator), generator)


def _resampled(fit: Fit, start: Mixture, generator: Generator | None) -> Mixture:
    """Draws rows with replacement: how often each was drawn is its weight."""
    share = fit.rows.each_weight.double().cpu()
    drawn = torch.multinomial(share, int(round(fit.rows.total_weight)), replacement=True, generator=generator)
    counts = torch.bincount(drawn, minlength=len(share)).to(fit.rows.device, fit.rows.dtype)
    return _again(fit, start, fit.rows.reweighted(counts), generator)


def _again(fit: Fit, start: Mixture, rows: Rows, generator: Generator | None) -> Mixture:
    """Learns from other rows, with the fit's method and from a start."""
    return learn(rows, fit.method.repeated(generator), fit.family, start, generator=generator).mixture


def _log_likelihood(mixture: Mixture, block: Block) -> Tensor:
    return (log_density(mixture, block) * block.weights).sum()


def _flat(mixture: Mixture) -> Tensor:
    return torch.cat([tensor.detach().flatten() for tensor in (mixture.logits, *mixture.components.tensors())])


def _rebuilt(mixture: Mixture, flat: Tensor) -> Mixture:
    """Returns the mixture with its tensors taken from one flat vector, weights normalised."""
    pieces = iter(flat.split([tensor.numel() for tensor in (mixture.logits, *mixture.components.tensors())]))
    logits = torch.log_softmax(next(pieces), -1)
    components = mixture.components.map(lambda tensor: next(pieces).reshape(tensor.shape))
    return Mixture._of(logits, components, mixture.columns)


def _gradient(value: Tensor, flat: Tensor) -> Tensor:
    if not value.requires_grad:
        return torch.zeros_like(flat)
    (gradient,) = torch.autograd.grad(value, flat, retain_graph=True, allow_unused=True)
    return torch.zeros_like(flat) if gradient is None else gradient.detach()


def _inverse(information: Tensor) -> Tensor:
    """Returns the pseudo-inverse, taken at unit information of every parameter; an error where it is indefinite."""
    if not bool(information.isfinite().all()):
        advice = "A component without width or far beyond its data has none; use fewer components or a prior."
        refuse("fit", "at a maximum with finite second derivatives", "NaN or infinity among them", advice)
    scale = information.diagonal().clamp_min(0).sqrt()
    used = scale.square() * _FLAT > torch.finfo(scale.dtype).tiny  # else its variance is no number: it is flat
    inverse_scale = torch.where(used, 1 / scale.where(used, 1), 0)
    values, vectors = torch.linalg.eigh(inverse_scale[:, None] * information * inverse_scale)
    most = values.max()
    if not bool((values > -1e-6 * most).all()):
        advice = "Fit to a smaller tolerance; standard errors need a maximum in the interior."
        refuse("fit", "at a maximum of its log-likelihood", "second derivatives of mixed sign", advice)
    inverse = torch.where(values > _FLAT * most, 1 / values.where(values > _FLAT * most, 1), 0)
    return inverse_scale[:, None] * (vectors * inverse @ vectors.mT) * inverse_scale
