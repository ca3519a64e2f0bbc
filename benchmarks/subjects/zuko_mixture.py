"""zuko's Mixture."""

from collections.abc import Callable

from torch import Tensor
from torch.distributions import Distribution
from zuko.distributions import DiagNormal, Mixture

from ..cases import Case
from .torch_mixture import density_of, draws_of, gradient_of, triangular


def _spherical(mean: Tensor, scale: Tensor) -> Distribution:
    return DiagNormal(mean, scale.unsqueeze(-1).expand_as(mean))


_FAMILIES = {"full": triangular, "tied": triangular, "diagonal": DiagNormal, "spherical": _spherical}


def _mixture(logits: Tensor, mean: Tensor, factor: Tensor, structure: str) -> Distribution:
    return Mixture(_FAMILIES[structure](mean, factor), logits)


def log_prob(case: Case) -> Callable[[], Tensor]:
    return density_of(case, _mixture)


def gradient(case: Case) -> Callable[[], Tensor]:
    return gradient_of(case, _mixture)


def sample(case: Case) -> Callable[[], Tensor]:
    return draws_of(case, _mixture)
