"""Mixtura itself."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

import mixtura as mx

from ..cases import Case, Parameters
from .torch_mixture import gradient_of

_STRUCTURES: dict[str, Callable[[Tensor], Any]] = {
    "full": mx.Full,
    "tied": lambda covariance: mx.Full(covariance, tied=True),
    "diagonal": mx.Diagonal,
    "spherical": mx.Spherical,
}
_FACTORED: dict[str, Callable[[Tensor], Any]] = {
    "full": mx.Full.from_scale_tril,
    "tied": lambda factor: mx.Full.from_scale_tril(factor, tied=True),
    "diagonal": lambda scale: mx.Diagonal(scale.square()),
    "spherical": lambda scale: mx.Spherical(scale.square()),
}


def _mixture(given: Parameters) -> mx.Mixture:
    weights, means, covariances = (torch.from_numpy(a) for a in (given.weights, given.means, given.covariances))
    return mx.Mixture(weights, mx.Gaussian(means, _STRUCTURES[given.structure](covariances)))


def em(case: Case) -> Callable[[int], Parameters]:
    x, start = torch.from_numpy(case.x), _mixture(case.start)
    template = start.components.structure

    def run(iterations: int) -> Parameters:
        method = mx.EM(max_iterations=iterations, tolerance=0, acceleration=False)
        fit = mx.fit(x, covariance=template, init=start, method=method, restarts=1)
        if fit.iterations != iterations:
            raise RuntimeError(f"stopped after {fit.iterations} of {iterations} iterations: {fit.advice}")
        found = fit.mixture
        dense = found.components.covariance.numpy()
        return Parameters.of(found.weights.numpy(), found.components.mean.numpy(), dense, case.structure)

    return run


def log_prob(case: Case) -> Callable[[], Tensor]:
    x, mixture = torch.from_numpy(case.x), _mixture(case.truth)

    def run() -> Tensor:
        with torch.no_grad():
            return mixture.log_prob(x)

    return run


def gradient(case: Case) -> Callable[[], Tensor]:
    return gradient_of(case, _factored)


def _factored(logits: Tensor, mean: Tensor, factor: Tensor, structure: str) -> mx.Mixture:
    return mx.Mixture(logits=logits, components=mx.Gaussian(mean, _FACTORED[structure](factor)))


def sample(case: Case) -> Callable[[], Tensor]:
    mixture = _mixture(case.truth)
    return lambda: mixture.sample((case.rows,))


def _called(case: Case, **options: Any) -> Callable[[], Tensor]:
    """A whole call of `fit`, from rows to an answer."""
    x = torch.from_numpy(case.x)
    return lambda: mx.fit(x, case.components, generator=torch.Generator().manual_seed(0), **options).mixture.weights


def fit(case: Case) -> Callable[[], Tensor]:
    return _called(case)


def select(case: Case) -> Callable[[], Tensor]:
    x = torch.from_numpy(case.x)
    return lambda: mx.select(x, (2, 3), generator=torch.Generator().manual_seed(0)).best.mixture.weights


def kmeans(case: Case) -> Callable[[], Tensor]:
    return _called(case, method=mx.KMeans())


def student(case: Case) -> Callable[[], Tensor]:
    return _called(
        case, family=mx.StudentT, method=mx.EM(max_iterations=30, tolerance=0, acceleration=False), restarts=2
    )


def noise(case: Case) -> Callable[[], Tensor]:
    scale = torch.full((case.rows, case.features), 0.5, dtype=torch.from_numpy(case.x).dtype)
    errors = mx.observation.AdditiveNoise(scale=scale, per_row=True)
    return _called(
        case, observation=errors, method=mx.EM(max_iterations=30, tolerance=0, acceleration=False), restarts=2
    )


def gaps(case: Case) -> Callable[[], Tensor]:
    seen = mx.observation.Missing()
    return _called(case, observation=seen, method=mx.EM(max_iterations=30, tolerance=0, acceleration=False), restarts=2)


def gibbs(case: Case) -> Callable[[], Tensor]:
    return _called(case, method=mx.Gibbs(draws=50, warmup=10, chains=2))


def variational(case: Case) -> Callable[[], Tensor]:
    return _called(case, method=mx.Variational(max_iterations=50, tolerance=0, elimination=False), restarts=2)
