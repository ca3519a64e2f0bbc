"""A network that returns a mixture of any family."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Generator, Tensor, nn

from ..components import Structure, structure
from ..learning import Initialiser
from ..learning.families import families
from ..mixture import Mixture
from .chart import NamedChart
from .clustering import members
from .example import bound
from .module import ConditionalMixture
from .networks import body

__all__ = ["MixtureDensityNetwork"]


class MixtureDensityNetwork(ConditionalMixture):
    r"""Mixtures of any family whose parameters may depend on a context: :math:`\sum_k w_k(c)\, p(x; \theta_k(c))`.

    Arguments:
        family: A class such as `mx.Poisson`, a template such as ``mx.Categorical.template(categories=3)``, or one of
            torch's classes.
        context: The number of features of a context, 0 for none, or the shape of one.
        components: The number of components K.
        features: The number of features of a row; none where a row is one number.
        covariance: The covariance structure, or its name, of families that have one.
        constant: What does not depend on the context: "weights", "components", or none.
        hidden_features: The layers of the network.
        activation: What makes its activations.
        network: A module of your own from contexts ``(n, *context)`` to features ``(n, H)``, in place of these layers.

    Raises:
        MixtureError: If an argument cannot be used.
        NotClosedForm: If the family has no parameters that are free to move one by one.

    Example:
        >>> counts = mx.conditional.MixtureDensityNetwork(mx.Poisson, context=3, components=2)
        >>> counts(torch.zeros(5, 3)).log_prob(torch.arange(5.0)).shape
        torch.Size([5])
    """

    def __init__(
        self,
        family: Any,
        context: int | Sequence[int] = 0,
        components: int = 2,
        features: int | None = None,
        *,
        covariance: Structure | str = "full",
        constant: str | None = None,
        hidden_features: Sequence[int] = (64, 64),
        activation: Callable[[], nn.Module] = nn.ReLU,
        network: nn.Module | None = None,
    ) -> None:
        (chosen,) = families(family, [structure(covariance)])
        chosen, features = bound(chosen, features)
        super().__init__(
            chosen,
            NamedChart(chosen, features, components),
            body(context, network, hidden_features, activation),
            constant,
        )

    def _clustered(self, x: Tensor, strategy: Initialiser, source: Generator | None) -> Mixture:
        return members(x, self.family, self.components, strategy, source)
