r"""What is believed of the clean draw: the first two moments of :math:`p(x_0|x_t)`.

By Tweedie's formulas the mean is the denoiser E, and the covariance is its Jacobian J, in units of the noise:

.. math:: \mathrm{Cov}[x_0|x_t] = \frac{\sigma^2}{\alpha} J, \qquad J = \frac{\partial E[x_0|x_t]}{\partial x_t} .

The factor is :math:`\sigma^2/\alpha`, not :math:`\sigma/\alpha`. A covariance is asked for by its products with
vectors, so no matrix of D × D numbers is made. A mixture has them in closed form. Those of a function come from its
derivatives backwards, as :math:`(\sigma^2/\alpha) J^\top v`: the Jacobian of an exact denoiser is symmetric, that of
a network nearly so, and every published rule wants :math:`J^\top` where it takes a gradient.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from ..errors import refuse
from .places import Place

__all__ = ["Belief", "pulling", "tweedie"]

Product = Callable[[Tensor], Tensor]


class Belief(NamedTuple):
    """The mean of the clean draw, in the shape of the rows, and its covariance as what makes products.

    ``times(v)`` takes vectors ``(*L, *rows)``, several for each row if there are more dimensions in front.
    """

    mean: Tensor
    times: Product


def tweedie(place: Place) -> float:
    r"""Returns :math:`\sigma^2/\alpha`; where no signal is left, as if very little were."""
    return place.sigma**2 / max(place.alpha, 1e-100)


def pulling(function: Callable[[Tensor], Tensor], x: Tensor) -> tuple[Tensor, Product]:
    r"""Returns a function's answer at rows and what takes v to :math:`J^\top v`, each by one pass backwards.

    Raises:
        MixtureError: If the answer does not depend on the rows, as far as torch can see.
    """
    followed = x.requires_grad and torch.is_grad_enabled()  # somebody differentiates us
    with torch.enable_grad():
        at = x if followed else x.detach().requires_grad_()
        answer = function(at)
    if not answer.requires_grad:
        _refuse()

    def pull(vectors: Tensor) -> Tensor:
        several = vectors.reshape(-1, *at.shape)
        return torch.stack([_pulled(answer, at, one, followed) for one in several]).reshape(vectors.shape)

    return answer if followed else answer.detach(), pull


def _pulled(answer: Tensor, at: Tensor, vector: Tensor, followed: bool) -> Tensor:
    (found,) = torch.autograd.grad(answer, at, vector, retain_graph=True, create_graph=followed, allow_unused=True)
    if found is None:
        _refuse()
    return found


def _refuse() -> None:
    refuse(
        "model",
        "a function that torch can differentiate: this guidance asks for its Jacobian",
        "an answer that does not depend on the rows",
        "Take out `torch.no_grad`, `detach` or numpy, or use a guidance without a Jacobian: DiffPIR, DAPS or FPS.",
    )
