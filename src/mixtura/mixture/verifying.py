"""Whether a mixture is one: what holds of all that constructors and fits make, and of no damaged file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from ..errors import refuse

if TYPE_CHECKING:
    from .value import Mixture

__all__ = ["verify"]


def verify(mixture: Mixture) -> None:
    """Refuses parameters that no constructor makes, and weights that do not sum to one.

    In a batch, an entry whose weights are all NaN is no mixture, such as that of a group that could not be fitted, and
    says nothing.

    Raises:
        MixtureError: If there are such; the message names them.
    """
    mixture = _there(mixture)
    mixture.components.verify()
    logits, batch = mixture.logits, mixture.components.batch_shape
    if logits.shape != batch or not logits.is_floating_point():
        expected = f"floating point numbers of shape {tuple(batch)}, one for each component"
        refuse("weights", expected, f"{logits.dtype} {tuple(logits.shape)}")
    total = logits.exp().sum(-1)
    wrong = ~((total - 1).abs() <= torch.finfo(logits.dtype).eps ** 0.5)
    if bool(wrong.any()):
        refuse("weights", "numbers from 0 to 1 that sum to one", f"a sum of {total[wrong][0].item():.6g}")


def _there(mixture: Mixture) -> Mixture:
    """The entries of a batch that are mixtures."""
    absent = mixture.logits.isnan()
    some = absent.ndim == 2 and bool(absent.any())
    return mixture.batch(~absent.all(-1)) if some else mixture
