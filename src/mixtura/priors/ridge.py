r"""Ridge: a constant added to every variance at each update.

.. math:: \Sigma_k' = S_k / N_k + \lambda I, \qquad N_k \leftarrow N_k + \epsilon .

It acts through pseudo-sums, as a conjugate prior does, but is not the M-step of a penalised likelihood: the
log-likelihood may fall by a little near the optimum, and the answer depends on the unit of the data.
`NormalInverseWishart` is the principled remedy against collapse; the ridge is the common one.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..components import Component, Gaussian
from ..errors import refuse
from .components import ComponentsPrior

__all__ = ["Ridge"]


@dataclass(frozen=True, eq=False, repr=False)
class Ridge(ComponentsPrior):
    r"""An update rule that adds :math:`\lambda` to the diagonal of each covariance.

    Arguments:
        amount: The variance :math:`\lambda \ge 0` to add, in squared units of the data.
        rows: Pseudo-rows :math:`\epsilon \ge 0` given to every component at its current mean, so that one that lost
            all its rows keeps a mean.

    Raises:
        MixtureError: If a number is negative.

    Give it to `EM` in the place of the components' prior.

    Example:
        >>> x = torch.tensor([[0.0], [2.0]])
        >>> ridge = mx.Prior(components=mx.priors.Ridge(0.5))
        >>> mx.fit(x, components=1, method=mx.EM(1, prior=ridge)).mixture.variance
        tensor([1.5000])
    """

    amount: float
    rows: float = 0.0

    def __post_init__(self) -> None:
        for name, came in (("amount", self.amount), ("rows", self.rows)):
            if not came >= 0:
                refuse(name, "at least 0", came)

    @property
    def monotone(self) -> bool:
        """False: the log-likelihood may fall by a little."""
        return False

    def add(self, components: Gaussian, weight: Tensor, shift: Tensor, scatter: Tensor) -> tuple[Tensor, ...]:
        """Adds the pseudo-sums to those of the data: weight, shift, scatter and divisor of the M-step."""
        structure = components.structure
        weight = weight + self.rows
        degrees = structure.pool(weight)
        identity = torch.eye(components.features, dtype=scatter.dtype, device=scatter.device)
        ridge = structure.scatter(self.amount * identity)
        divisor = degrees.reshape(degrees.shape + (1,) * structure.moment_trailing)
        return weight, shift, scatter + divisor * ridge, degrees

    def log_prob(self, components: Component) -> Tensor:
        """Returns zeros: a ridge is not a density."""
        return torch.zeros(components.batch_shape[:-1], dtype=torch.float64, device=components.device)
