"""PyTorch's MixtureSameFamily."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.distributions import Categorical, Distribution, Independent, MixtureSameFamily, MultivariateNormal, Normal

from ..cases import Case, Parameters

_FACTORS: dict[str, Callable[[Tensor], Tensor]] = {
    "full": torch.linalg.cholesky,
    "tied": torch.linalg.cholesky,
    "diagonal": torch.sqrt,
    "spherical": torch.sqrt,
}


def triangular(mean: Tensor, factor: Tensor) -> Distribution:
    return MultivariateNormal(mean, scale_tril=factor)


def diagonal(mean: Tensor, scale: Tensor) -> Distribution:
    return Independent(Normal(mean, scale), 1)


def spherical(mean: Tensor, scale: Tensor) -> Distribution:
    return diagonal(mean, scale.unsqueeze(-1).expand_as(mean))


_FAMILIES = {"full": triangular, "tied": triangular, "diagonal": diagonal, "spherical": spherical}


def parts(given: Parameters) -> tuple[Tensor, Tensor, Tensor]:
    """Logits, means and factors."""
    logits = torch.from_numpy(given.weights).log()
    return logits, torch.from_numpy(given.means), _FACTORS[given.structure](torch.from_numpy(given.covariances))


def mixture(logits: Tensor, mean: Tensor, factor: Tensor, structure: str) -> Distribution:
    return MixtureSameFamily(Categorical(logits=logits), _FAMILIES[structure](mean, factor))


def density_of(case: Case, make: Callable[..., Distribution]) -> Callable[[], Tensor]:
    x, given = torch.from_numpy(case.x), make(*parts(case.truth), case.structure)

    def run() -> Tensor:
        with torch.no_grad():
            return given.log_prob(x)

    return run


def gradient_of(case: Case, make: Callable[..., Distribution]) -> Callable[[], Tensor]:
    leaves = [tensor.clone().requires_grad_() for tensor in (torch.from_numpy(case.x), *parts(case.truth))]

    def run() -> Tensor:
        values = make(*leaves[1:], case.structure).log_prob(leaves[0])
        torch.autograd.grad(values.sum(), leaves)
        return values.detach()

    return run


def draws_of(case: Case, make: Callable[..., Distribution]) -> Callable[[], Tensor]:
    given = make(*parts(case.truth), case.structure)
    return lambda: given.sample((case.rows,))


def log_prob(case: Case) -> Callable[[], Tensor]:
    return density_of(case, mixture)


def gradient(case: Case) -> Callable[[], Tensor]:
    return gradient_of(case, mixture)


def sample(case: Case) -> Callable[[], Tensor]:
    return draws_of(case, mixture)
