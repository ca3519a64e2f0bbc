"""A network that returns a mixture of Gaussians."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from torch import Generator, Tensor, nn

from ..components import Diagonal, Full, Gaussian, LowRank, Spherical, Structure
from ..errors import refuse
from ..learning import Initialiser
from ..mixture import Mixture
from .clustering import clusters, gaussians
from .factors import FactorChart
from .module import ConditionalMixture
from .networks import body

__all__ = ["GMM"]

_STRUCTURES: dict[str, Callable[[bool], Structure]] = {
    "full": lambda tied: Full(tied=tied),
    "diagonal": lambda tied: Diagonal(tied=tied),
    "spherical": lambda tied: Spherical(tied=tied),
    "lowrank": lambda tied: LowRank(1, tied=tied),
}


class GMM(ConditionalMixture):
    r"""Gaussian mixtures whose parameters may depend on a context: :math:`\sum_k w_k(c)\, N(x; \mu_k(c), \Sigma_k(c))`.

    Arguments:
        features: The number of features D of a row.
        context: The number of features of a context, 0 for none, or the shape of one, such as ``(1, 28, 28)``.
        components: The number of components K.
        covariance_type: "full", "diagonal", "spherical", "lowrank" (one common factor), or a structure without values,
            such as ``mx.LowRank(3)``.
        tied: Whether the components share one covariance.
        epsilon: What is added to every scale, in the units of the features, so that none reaches zero.
        constant: What does not depend on the context: "weights", "components", or none.
        hidden_features: The layers of the network.
        activation: What makes its activations, such as ``torch.nn.SiLU``.
        network: A module of your own from contexts ``(n, *context)`` to features ``(n, H)``, in place of these layers;
            a linear layer to the parameters follows.

    ``gmm(context)`` returns an `mx.Mixture` that has the batch shape of the context, and ``gmm()`` one without, where
    there is none; nothing in it waits for a device. Rows have shape ``(..., D)``, log-densities are in nats.

    Raises:
        MixtureError: If an argument cannot be used.

    Example:
        >>> gmm = mx.conditional.GMM(features=2, context=3, components=4)
        >>> mixture = gmm(torch.zeros(5, 3))
        >>> mixture.batch_shape, mixture.log_prob(torch.zeros(5, 2)).shape
        (torch.Size([5]), torch.Size([5]))
    """

    def __init__(
        self,
        features: int,
        context: int | Sequence[int] = 0,
        components: int = 2,
        covariance_type: str | Structure = "full",
        tied: bool = False,
        epsilon: float = 1e-6,
        *,
        constant: str | None = None,
        hidden_features: Sequence[int] = (64, 64),
        activation: Callable[[], nn.Module] = nn.ReLU,
        network: nn.Module | None = None,
    ) -> None:
        for name, value in (("features", features), ("components", components)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                refuse(name, "a whole number of at least 1", repr(value))
        if not isinstance(epsilon, float | int) or not 0 <= epsilon < math.inf:
            refuse("epsilon", "a scale of at least 0", repr(epsilon))
        structure = _structure(covariance_type, tied)
        chart = FactorChart(features, components, structure, float(epsilon))
        reads = body(context, network, hidden_features, activation)
        super().__init__(Gaussian.template(structure=structure), chart, reads, constant)
        self.structure = structure

    def _clustered(self, x: Tensor, strategy: Initialiser, source: Generator | None) -> Mixture:
        return gaussians(clusters(x, self.components, strategy, source), self.structure)


def _structure(covariance_type: str | Structure, tied: bool) -> Structure:
    if isinstance(covariance_type, Structure):
        return covariance_type
    if covariance_type not in _STRUCTURES:
        refuse("covariance_type", f"one of {', '.join(_STRUCTURES)}, or a structure", repr(covariance_type))
    return _STRUCTURES[covariance_type](tied)
