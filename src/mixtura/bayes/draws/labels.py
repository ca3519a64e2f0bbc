r"""What draws say of each row's label, which was summed out before they were drawn.

.. math:: p(z_n = k | x) = \mathbb E_{\theta | x}\Big[
    \frac{\pi_k\, p(x_n | \theta_k)}{\sum_j \pi_j\, p(x_n | \theta_j)}\Big]
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Generator, Tensor

from .read_back import Drawn, draws_of, parameters_of
from .reading import count, responsibilities

if TYPE_CHECKING:
    from ..model import Model

__all__ = ["occupied", "recover_labels"]


def recover_labels(idata: Drawn, x: Any, model: Model, **about: Any) -> Tensor:
    """Returns the posterior probability that each row is of each component, ``(N, K)``.

    Arguments:
        idata: What sampling returned.
        x: Rows, those of the draws or others.
        model: The model.
        about: What else is known of the rows: ``columns``, ``labels``, ``covariates``, as in `Model.posterior`.

    Example:
        >>> x, model = mx.datasets.old_faithful()[:, 0], mx.bayes.Model(2, ordered="loc")
        >>> posterior = model.posterior(x)
        >>> idata = mx.bayes.inference_data(posterior, posterior.start() + 0.01 * torch.randn(4, 50, posterior.size))
        >>> mx.bayes.recover_labels(idata, x, model).argmax(-1)[:4]
        tensor([1, 0, 1, 0])
    """
    values = draws_of(idata)
    total = sum((some.sum(0) for some in responsibilities(model.posterior(x, **about), values)), torch.zeros(()))
    return total / count(values)


def occupied(idata: Drawn, x: Any, model: Model, generator: Generator | None = None, **about: Any) -> Tensor:
    """Returns how many components hold rows in each draw, ``(chains, draws)``: labels are drawn given each.

    Arguments:
        idata: What sampling returned.
        x: The rows.
        model: The model.
        generator: The source of randomness.
        about: As in `recover_labels`.

    Example:
        >>> x, model = mx.datasets.old_faithful()[:, 0], mx.bayes.Model(2, ordered="loc")
        >>> posterior = model.posterior(x)
        >>> idata = mx.bayes.inference_data(posterior, posterior.start() + 0.01 * torch.randn(4, 50, posterior.size))
        >>> mx.bayes.occupied(idata, x, model).float().mean()
        tensor(2.)
    """
    posterior = model.posterior(x, **about)
    counted = posterior.rows.each_weight > 0
    found = [_held(chances[:, counted], generator) for chances in responsibilities(posterior, draws_of(idata))]
    leading = next(iter(parameters_of(idata).values())).shape[:2]
    return torch.cat(found).reshape(leading)


def _held(chances: Tensor, generator: Generator | None) -> Tensor:
    """How many components have a row, ``(S,)``, when labels are drawn from chances ``(S, N, K)``."""
    labels = torch.multinomial(chances.flatten(0, 1), 1, generator=generator).reshape(chances.shape[:-1])
    return torch.nn.functional.one_hot(labels, chances.shape[-1]).any(1).sum(-1)
