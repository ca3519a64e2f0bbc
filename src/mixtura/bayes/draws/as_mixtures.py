"""Draws as mixtures: one batch of them, for all that a mixture can do."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ...components import Family
from ...mixture import Mixture
from ..posterior import Posterior
from .kept_family import family_of
from .read_back import Drawn, draws_of, held_of, set_of

__all__ = ["density_bands", "to_mixtures"]

_NUMBERS = 2**22


def to_mixtures(idata: Drawn, posterior: Posterior | None = None) -> Mixture:
    """Returns the mixture of each draw, chain by chain: a batch ``(chains * draws,)``.

    Arguments:
        idata: What sampling returned.
        posterior: What was drawn from; needed where the components are by hand or of several families. Where
            covariates move the mixture, the draws are those at zero.

    Raises:
        MixtureError: If the posterior is needed.

    Example:
        >>> posterior = mx.bayes.Model(2).posterior(mx.datasets.old_faithful())
        >>> u = posterior.start() + 0.01 * torch.randn(4, 50, posterior.size)
        >>> mx.bayes.to_mixtures(mx.bayes.inference_data(posterior, u)).batch_shape
        torch.Size([200])
    """
    if posterior is not None:
        return posterior.mixtures(draws_of(idata))
    about = set_of(idata, "posterior").attrs
    return _of(family_of(about["family"]), int(about["features"]) or None, draws_of(idata), held_of(idata))


def _of(family: Family, features: int | None, drawn: dict[str, Tensor], held: dict[str, Tensor]) -> Mixture:
    some = len(next(iter(drawn.values())))
    every = {name: value.expand(some, *value.shape) for name, value in held.items()} | drawn
    components = family.made({name: every[name] for name in family.arguments(features)}, features)
    return Mixture._of(every["weights"].log().expand(components.batch_shape), components)


def density_bands(
    idata: Drawn, x: Any, probability: float = 0.9, posterior: Posterior | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Returns where the density of points lies under the posterior: its low end, its median and its high end.

    Arguments:
        idata: What sampling returned.
        x: Points ``(G,)`` or ``(G, D)``.
        probability: How much of the posterior lies between the ends, as much being left out on either side.
        posterior: As in `to_mixtures`.

    Returns:
        Three tensors ``(G,)``, of densities of the rows as they are before any observation.

    Example:
        >>> posterior = mx.bayes.Model(2).posterior(mx.datasets.old_faithful()[:, 0])
        >>> idata = mx.bayes.inference_data(posterior, posterior.start() + 0.01 * torch.randn(4, 50, posterior.size))
        >>> low, middle, high = mx.bayes.density_bands(idata, torch.linspace(1.0, 6.0, 50))
        >>> bool(((low <= middle) & (middle <= high)).all())
        True
    """
    mixtures = to_mixtures(idata, posterior)
    points = torch.as_tensor(x, dtype=mixtures.dtype)
    size = max(1, _NUMBERS // (len(points) * mixtures.logits.shape[-1]))
    with torch.no_grad():
        parts = [
            mixtures.map(lambda tensor, at=at: tensor[at : at + size]).log_prob(points.unsqueeze(1)).exp()
            for at in range(0, len(mixtures.logits), size)
        ]
    ends = torch.tensor([(1 - probability) / 2, 0.5, (1 + probability) / 2], dtype=torch.float64)
    low, middle, high = torch.quantile(torch.cat(parts, 1).double(), ends, dim=1)
    return low, middle, high
