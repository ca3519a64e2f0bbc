"""Posteriors and batches: ``python -m benchmarks.posterior`` writes POSTERIOR.md.

The posterior of many rows under one measurement beside the textbook's conditional written row by row, and every
question asked of a batch of 10,000 small mixtures beside the same arithmetic written by hand in torch. Processor
seconds, one thread. The row by row way is measured on fewer rows and scaled.
"""

from __future__ import annotations

import argparse
import math
import resource
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

import mixtura as mx

_MIXTURES, _DRAWS, _FEW = 10_000, 8, 100
_HALF_LOG_TWO_PI = 0.5 * math.log(2 * math.pi)

Pairs = dict[str, tuple[Callable[[], object], Callable[[], object]]]
"""What is asked: by us, and by hand."""


class Line(NamedTuple):
    """One line of the table, in seconds."""

    what: str
    ours: float
    plain: float
    promise: str


class Batch(NamedTuple):
    """A batch of mixtures as torch's user holds them: log weights, means, covariances and their Cholesky factors."""

    log_weights: Tensor
    mean: Tensor
    covariance: Tensor
    factor: Tensor


def mixtures(*shape: int) -> Batch:
    """Random mixtures with batch shape and components ``shape[:-1]`` and features ``shape[-1]``."""
    generator = torch.Generator().manual_seed(0)
    root = torch.randn(*shape, shape[-1], dtype=torch.float64, generator=generator)
    covariance = root @ root.mT / shape[-1] + 0.3 * torch.eye(shape[-1], dtype=torch.float64)
    mean = torch.randn(*shape, dtype=torch.float64, generator=generator)
    log_weights = torch.randn(*shape[:-1], dtype=torch.float64, generator=generator).log_softmax(-1)
    return Batch(log_weights, mean, covariance, torch.linalg.cholesky(covariance))


def as_mixture(given: Batch) -> mx.Mixture:
    """The same as a value of ours."""
    return mx.Mixture(logits=given.log_weights, components=mx.Gaussian(given.mean, given.covariance))


# -- by hand


def conditional(given: Batch, matrix: Tensor, noise: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The textbook's posterior of each row: log weights, means and covariances, a factor for each row and component."""
    cross = given.covariance @ matrix.mT
    total = (matrix @ cross + torch.diag(noise)).expand(*y.shape[:-1], *cross.shape[-3:-2], -1, -1)
    factor = torch.linalg.cholesky(total)
    residual = (y.unsqueeze(-2) - given.mean @ matrix.mT).unsqueeze(-1)
    gain = torch.cholesky_solve(cross.mT.expand(*total.shape[:-1], -1), factor).mT
    mean = given.mean + (gain @ residual).squeeze(-1)
    joint = given.log_weights + _density(factor, residual.squeeze(-1))
    return joint.log_softmax(-1), mean, given.covariance - gain @ cross.mT


def log_joint(given: Batch, x: Tensor) -> Tensor:
    """Log weights plus log densities of one row of each mixture, or of several."""
    return given.log_weights + _density(given.factor, x.unsqueeze(-2) - given.mean)


def score(given: Batch, x: Tensor) -> Tensor:
    """The gradient of the log density."""
    r = log_joint(given, x).softmax(-1)
    gap = _columns(lambda columns: torch.cholesky_solve(columns, given.factor), given.mean - x.unsqueeze(-2))
    return (r.unsqueeze(-1) * gap).sum(-2)


def draws(given: Batch, count: int) -> Tensor:
    """Rows of each mixture."""
    labels = torch.multinomial(given.log_weights.exp(), count, replacement=True)
    entry = torch.arange(len(labels)).unsqueeze(-1)
    noise = torch.randn(*labels.shape, given.mean.shape[-1], 1, dtype=torch.float64)
    return given.mean[entry, labels] + (given.factor[entry, labels] @ noise).squeeze(-1)


def condition(given: Batch, value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The other coordinates given the first."""
    factor = torch.linalg.cholesky(given.covariance[..., :1, :1])
    cross, residual = given.covariance[..., 1:, :1], value.unsqueeze(-2) - given.mean[..., :1]
    gain = torch.cholesky_solve(cross.mT, factor).mT
    mean = given.mean[..., 1:] + (gain @ residual.unsqueeze(-1)).squeeze(-1)
    left = torch.linalg.cholesky(given.covariance[..., 1:, 1:] - gain @ cross.mT)
    return (given.log_weights + _density(factor, residual)).log_softmax(-1), mean, left


def _density(factor: Tensor, residual: Tensor) -> Tensor:
    z = _columns(lambda columns: torch.linalg.solve_triangular(factor, columns, upper=False), residual)
    half_logdet = factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    return -0.5 * z.square().sum(-1) - half_logdet - residual.shape[-1] * _HALF_LOG_TWO_PI


def _columns(operate: Callable[[Tensor], Tensor], residual: Tensor) -> Tensor:
    """Residuals ``(B, K, D)``, or several for each matrix, ``(S, B, K, D)``, as columns."""
    if residual.ndim == 3:
        return operate(residual.unsqueeze(-1)).squeeze(-1)
    return operate(residual.movedim(0, -1)).movedim(-1, 0)


# -- what is measured


def seconds(run: Callable[[], object], repeats: int = 5) -> float:
    """The shortest processor time of a few calls."""
    best = float("inf")
    for _ in range(repeats):
        begin = time.process_time()
        run()
        best = min(best, time.process_time() - begin)
    return best


def measured_once(rows: int, components: int, features: int, recorded: int) -> tuple[Line, float]:
    """The posterior of rows under one measurement, and the MiB that it takes beyond its own means."""
    given = mixtures(components, features)
    mixture, noise = as_mixture(given), torch.full((recorded,), 0.09, dtype=torch.float64)
    matrix = torch.randn(recorded, features, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    observation = mx.observation.LinearMeasurement(matrix, scale=0.3)
    y = mixture.observed(observation).sample((rows,), torch.Generator().manual_seed(2))
    mixture.posterior(observation, y[:_FEW])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    posterior = mixture.posterior(observation, y)
    peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 2**10
    theirs = conditional(given, matrix, noise, y[:_FEW])
    _check(posterior.components.mean[:_FEW], theirs[1])
    _check(posterior.components.covariance[:_FEW], theirs[2])
    workspace = peak - posterior.components.mean.nbytes / 2**20
    del posterior, theirs
    ours = seconds(lambda: mixture.posterior(observation, y), 2)
    plain = seconds(lambda: conditional(given, matrix, noise, y[:_FEW]), 2) * rows / _FEW
    what = f"posterior of {rows} rows, K = {components}, D = {features}, M = {recorded}"
    return Line(what, ours, plain, "50 times the old way"), workspace


def batch(components: int, features: int) -> Iterator[Line]:
    """Every question asked of a batch of small mixtures."""
    given = mixtures(_MIXTURES, components, features)
    mixture, generator = as_mixture(given), torch.Generator().manual_seed(3)
    one = torch.randn(_MIXTURES, features, dtype=torch.float64, generator=generator)
    many = torch.randn(_DRAWS, _MIXTURES, features, dtype=torch.float64, generator=generator)
    for rows, x in (("one row each", one), (f"{_DRAWS} rows each", many)):
        _check(mixture.log_prob(x), log_joint(given, x).logsumexp(-1))
        _check(mixture.score(x), score(given, x))
        for what, (ours, plain) in _of_rows(mixture, given, x).items():
            title = f"{what} of {_MIXTURES} mixtures, K = {components}, D = {features}, {rows}"
            yield Line(title, seconds(ours), seconds(plain), "at most twice")
    for what, (ours, plain) in _of_mixtures(mixture, given, one).items():
        title = f"{what} of {_MIXTURES} mixtures, K = {components}, D = {features}"
        yield Line(title, seconds(ours), seconds(plain), "at most twice")


def _of_rows(mixture: mx.Mixture, given: Batch, x: Tensor) -> Pairs:
    features = x.shape[-1]
    noise, same = torch.full((features,), 0.25, dtype=torch.float64), torch.eye(features, dtype=torch.float64)
    observation = mx.observation.AdditiveNoise(scale=0.5)
    return {
        "log_prob": (lambda: mixture.log_prob(x), lambda: log_joint(given, x).logsumexp(-1)),
        "score": (lambda: mixture.score(x), lambda: score(given, x)),
        "posterior": (lambda: mixture.posterior(observation, x), lambda: conditional(given, same, noise, x)),
    }


def _of_mixtures(mixture: mx.Mixture, given: Batch, x: Tensor) -> Pairs:
    return {
        "sample": (lambda: mixture.sample((_DRAWS,)), lambda: draws(given, _DRAWS)),
        "condition": (lambda: mixture.condition([0], x[:, :1]), lambda: condition(given, x[:, :1])),
        "marginal": (lambda: mixture.marginal([0]), lambda: torch.linalg.cholesky(given.covariance[..., :1, :1])),
        "mean": (lambda: mixture.mean, lambda: (given.log_weights.exp().unsqueeze(-1) * given.mean).sum(-2)),
    }


def built() -> Line:
    """One small mixture, unchecked, beside torch's own."""
    from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal

    weights, mean, covariance = torch.ones(4), torch.zeros(4, 3), torch.eye(3).expand(4, 3, 3).contiguous()

    def ours() -> None:
        for _ in range(1000):
            mx.Mixture(weights, mx.Gaussian(mean, covariance, validate_args=False), validate_args=False)

    def plain() -> None:
        for _ in range(1000):
            law = MultivariateNormal(mean, covariance, validate_args=False)
            MixtureSameFamily(Categorical(weights, validate_args=False), law, validate_args=False)

    what = "one mixture built unchecked, beside MixtureSameFamily"
    return Line(what, seconds(ours) / 1000, seconds(plain) / 1000, "1e-4 seconds")


def _check(mine: Tensor, theirs: Tensor) -> None:
    if not torch.allclose(mine, theirs, rtol=1e-6, atol=1e-8):
        raise RuntimeError("the two ways disagree")


def document(found: list[Line], workspace: float) -> str:
    """The table."""
    head = "# Posteriors and batches\n\nProcessor seconds, one thread, written by `make bench`.\n\n"
    table = ["| what | Mixtura | by hand | ratio | promise |", "|---|---:|---:|---:|---|"]
    for line in found:
        ratio = f"{line.plain / line.ours:.3g}"
        table.append(f"| {line.what} | {line.ours:.3g} | {line.plain:.3g} | {ratio} | {line.promise} |")
    foot = f"\nThe posterior of many rows took {workspace:.0f} MiB beyond its own means (promise: 64).\n"
    return head + "\n".join(table) + "\n" + foot


def main() -> None:
    parser = argparse.ArgumentParser("python -m benchmarks.posterior", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="folder of POSTERIOR.md")
    options = parser.parse_args()
    torch.set_num_threads(1)
    whole, workspace = measured_once(_MIXTURES, 25, 80, 40)
    text = document([whole, *batch(3, 2), *batch(5, 8), built()], workspace)
    (options.out / "POSTERIOR.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
