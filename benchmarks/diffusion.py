"""Samplers on a mixture: ``python -m benchmarks.diffusion`` writes DIFFUSION_SPEED.md.

The same work and the same hundred steps: draws of a Gaussian mixture with full covariances, in float32, under the
variance preserving schedule of the tutorial. Beside us stand diffuse-jax, whose score is the gradient of the density
compiled by JAX, and azula's sampler on a denoiser written in torch as its users would, for the mixture has none there.
Wall seconds of a later call, the least of some rounds, and of the first call, which compiles.
"""

from __future__ import annotations

import argparse
import importlib.util
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

import mixtura as mx

_STEPS = 100
_SCHEDULE = mx.diffusion.VariancePreserving(0.02, 7.0)


class Case(NamedTuple):
    """Features, components and draws; and how many times faster than diffuse-jax was promised."""

    features: int
    components: int
    draws: int
    promise: float


CASES = (Case(2, 2, 500, 1), Case(2, 25, 10_000, 30), Case(80, 25, 1_000, 150))


class Problem(NamedTuple):
    """A mixture as tensors in float32."""

    weights: Tensor
    mean: Tensor
    covariance: Tensor


class Line(NamedTuple):
    """Seconds of one way: of its first call, and of a later one."""

    case: Case
    way: str
    first: float
    later: float


def problem(case: Case) -> Problem:
    """A random mixture whose components lie apart."""
    generator = torch.Generator().manual_seed(0)
    mean = 8 * torch.randn(case.components, case.features, generator=generator)
    root = torch.randn(case.components, case.features, case.features, generator=generator) / case.features**0.5
    covariance = root @ root.mT + 0.5 * torch.eye(case.features)
    return Problem(torch.softmax(torch.randn(case.components, generator=generator), 0), mean, covariance)


def ours(case: Case, sampler: Any) -> Callable[[], object]:
    """What we take, from parameters to draws; covariances are decomposed anew in each call."""
    weights, mean, covariance = problem(case)
    shape = case.draws, case.features

    def run() -> object:
        mixture = mx.Mixture(weights, mx.Gaussian(mean, covariance))
        return mx.diffusion.sample(mixture, _SCHEDULE, shape, _STEPS, sampler)

    return run


def diffuse(case: Case, sampler: str) -> Callable[[], object]:
    """diffuse-jax, jitted whole."""
    import jax
    import jax.numpy as jnp
    from diffuse.denoisers.denoiser import Denoiser
    from diffuse.diffusion.sde import SDE, LinearSchedule
    from diffuse.examples.gaussian_mixtures.mixture import MixState, rho_t
    from diffuse.integrator.deterministic import DDIMIntegrator
    from diffuse.integrator.stochastic import EulerMaruyamaIntegrator
    from diffuse.predictor import Predictor
    from diffuse.timer import VpTimer

    weights, mean, covariance = (jnp.asarray(one.numpy()) for one in problem(case))
    state = MixState(mean, covariance, weights)
    model = SDE(beta=LinearSchedule(b_min=0.02, b_max=7.0, t0=0.0, T=1.0))
    score = jax.grad(lambda x, t: jnp.log(rho_t(x, t, state, model)))
    timer = VpTimer(n_steps=_STEPS, eps=1e-3, tf=1.0)
    integrator = {"Euler-Maruyama": EulerMaruyamaIntegrator, "DDIM": DDIMIntegrator}[sampler](model=model, timer=timer)
    denoiser = Denoiser(integrator, model, Predictor(model, score, "score"), (case.features,))
    jitted = jax.jit(lambda key: denoiser.generate(key, _STEPS, case.draws, False)[0].integrator_state.position)
    return lambda: jitted(jax.random.PRNGKey(0)).block_until_ready()


def azula(case: Case, sampler: str) -> Callable[[], object]:
    """azula's sampler on the mixture's denoiser, by Tweedie's formula from a density of torch.distributions."""
    from azula.denoise import Denoiser, DiracPosterior
    from azula.noise import Schedule
    from azula.sample import DDIMSampler

    weights, mean, covariance = problem(case)

    class Linear(Schedule):
        def __call__(self, t: Tensor) -> tuple[Tensor, Tensor]:
            return _SCHEDULE.alpha(t).float(), _SCHEDULE.sigma(t).float()

    class Mixed(Denoiser):
        def __init__(self) -> None:
            super().__init__()
            self.schedule = Linear()

        def forward(self, x: Tensor, t: Tensor, **kwargs: Any) -> Any:
            alpha, sigma = self.schedule(t)
            parts = torch.distributions.MultivariateNormal(
                alpha * mean, alpha**2 * covariance + sigma**2 * torch.eye(case.features)
            )
            law = torch.distributions.MixtureSameFamily(torch.distributions.Categorical(weights), parts)
            with torch.enable_grad():
                at = x.detach().requires_grad_()
                (pull,) = torch.autograd.grad(law.log_prob(at).sum(), at)
            return DiracPosterior(mean=(x + sigma**2 * pull) / alpha)

    given = DDIMSampler(Mixed(), steps=_STEPS, eta=0.0, silent=True)
    return lambda: given(torch.randn(case.draws, case.features))


def timed(run: Callable[[], object], rounds: int) -> tuple[float, float]:
    """Wall seconds of the first call, and the least of later ones."""
    taken = []
    for _ in range(rounds + 1):
        start = time.perf_counter()
        run()
        taken.append(time.perf_counter() - start)
    return taken[0], min(taken[1:])


def lines(rounds: int) -> list[Line]:
    """All ways, one after the other, in this process."""
    found = []
    named = {"Euler-Maruyama": mx.diffusion.EulerMaruyama(), "DDIM": mx.diffusion.DDIM()}
    for case in CASES:
        for name, sampler in named.items():
            ways: dict[str, Callable[[], Callable[[], object]]] = {"Mixtura": lambda: ours(case, sampler)}  # noqa: B023
            if importlib.util.find_spec("diffuse"):
                ways["diffuse-jax"] = lambda: diffuse(case, name)  # noqa: B023
            if name == "DDIM" and importlib.util.find_spec("azula"):
                ways["azula, by torch"] = lambda: azula(case, name)  # noqa: B023
            for way, make in ways.items():
                found.append(Line(case, f"{way}, {name}", *timed(make(), rounds)))
                print(found[-1], flush=True)
    return found


def table(found: list[Line]) -> str:
    """The page."""
    out = [
        f"# Samplers on a mixture, {_STEPS} steps, float32, {torch.get_num_threads()} threads",
        "",
        "Wall seconds; first call and a later one. `python -m benchmarks.diffusion` makes this page.",
        "",
        "| features, components, draws | sampler | first call | later call | times ours | promised |",
        "|---|---|---|---|---|---|",
    ]
    for line in found:
        sampler = line.way.rsplit(", ", 1)[1]
        mine = next(one.later for one in found if one.case == line.case and one.way == f"Mixtura, {sampler}")
        own = line.way.startswith("Mixtura")
        ratio, promise = ("", "") if own else (f"{line.later / mine:.0f}", f"{line.case.promise:g}")
        promise = promise if line.way.startswith("diffuse") else ""
        sizes = f"{line.case.features}, {line.case.components}, {line.case.draws:,}"
        out.append(f"| {sizes} | {line.way} | {line.first:.3f} | {line.later:.3f} | {ratio} | {promise} |")
    return "\n".join([*out, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=2)
    page = table(lines(parser.parse_args().rounds))
    Path(__file__).with_name("DIFFUSION_SPEED.md").write_text(page, encoding="utf-8")
    print(page)


if __name__ == "__main__":
    main()
