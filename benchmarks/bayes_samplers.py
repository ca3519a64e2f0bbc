"""One model drawn from by one sampler, alone: ``python -m benchmarks.bayes_samplers MODEL SAMPLER SEED``.

Models are three mixtures of three normal laws: *overlapping* (100 rows, ordered means, unit scales), *by hand* (the
same, its density written as a function) and *separated* (1,000 rows, scales unknown; walls keep an order and a floor).
The line that is printed has processor seconds of this process and its children, from its first instruction on.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
import warnings
from typing import Any

import numpy as np

DRAWS, TUNE, CHAINS, ACCEPT = 5_000, 2_000, 4, 0.95
FLOOR, APART = 0.1, np.array([0.0, 10.0, 20.0])


def used() -> float:
    """Processor seconds so far, those of children that ended included."""
    both = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return sum(one.ru_utime + one.ru_stime for one in both)


def children() -> float:
    """Processor seconds of children that ended."""
    one = resource.getrusage(resource.RUSAGE_CHILDREN)
    return one.ru_utime + one.ru_stime


def rows(model: str, seed: int) -> np.ndarray:
    """Rows of three normal laws."""
    chance = np.random.default_rng(seed)
    if model == "separated":
        z = chance.choice(3, 1000, p=[0.35, 0.4, 0.25])
        return chance.normal(APART[z], np.array([2.0, 1.0, 3.0])[z])
    return chance.normal(np.array([-1.83, 0.62, 2.27])[chance.choice(3, 100, p=[0.43, 0.31, 0.26])], 1.0)


Found = tuple[dict[str, np.ndarray], int, float]
"""Draws by name, divergences, and the processor seconds of sampling."""


# -- ours


def mixtura(model: str, x: np.ndarray, seed: int) -> Found:
    """NUTS by machine code; sampling counts from the posterior on, so compiling it is in."""
    import torch
    from torch.distributions import Dirichlet, HalfCauchy, Normal

    import mixtura as mx
    from mixtura.bayes.engine import draw

    def density(x: Any, loc: Any) -> Any:
        return -0.5 * (x - loc) ** 2 - 0.5 * np.log(2 * np.pi)

    ten, two = Dirichlet(torch.full((3,), 10.0)), Dirichlet(torch.full((3,), 2.0))
    apart = {"loc": Normal(torch.tensor(APART), 5.0), "scale": HalfCauchy(5.0)}
    walls = [mx.bayes.min_weight(FLOOR), mx.bayes.ordered("loc")]
    wide = {"loc": Normal(0.0, 10.0)}
    make = {
        "overlapping": lambda: mx.bayes.Model(
            3, mx.Normal, weights=ten, priors=wide, fixed={"scale": 1.0}, ordered="loc"
        ),
        "by hand": lambda: mx.bayes.Model(3, mx.bayes.Density(density), weights=ten, priors=wide, ordered="loc"),
        "separated": lambda: mx.bayes.Model(3, mx.Normal, weights=two, priors=apart, potentials=walls),
    }
    posterior, before = make[model]().posterior(torch.from_numpy(x)), used()
    found = draw(posterior, DRAWS, TUNE, CHAINS, ACCEPT, seed=seed, cores=2)
    return found.values, int(found.statistics["diverging"].sum()), used() - before


# -- PyMC


def in_pymc(model: str, x: np.ndarray) -> Any:
    """The model as PyMC's users write it."""
    import pymc as pm
    import pytensor.tensor as pt

    def by_hand(value: Any, means: Any, p: Any) -> Any:
        parts = [pt.log(p[i]) - 0.5 * (value - means[i]) ** 2 - 0.5 * np.log(2 * np.pi) for i in range(3)]
        return pt.sum(pm.math.logsumexp(pt.stack(parts), axis=0))

    with pm.Model() as made:
        if model == "separated":
            p = pm.Dirichlet("p", a=np.full(3, 2.0))
            pm.Potential("floor", pt.switch(pt.min(p) < FLOOR, -np.inf, 0))
            means = pm.Normal("means", mu=APART, sigma=5, shape=3)
            falls = [pt.switch(means[i + 1] - means[i] < 0, -np.inf, 0) for i in range(2)]
            pm.Potential("order", falls[0] + falls[1])
            scales = pm.HalfCauchy("scales", beta=5, shape=3)
            pm.NormalMixture("obs", p, mu=means, sigma=scales, observed=x)
            return made
        p = pm.Dirichlet("p", a=np.full(3, 10.0))
        order = pm.distributions.transforms.ordered
        means = pm.Normal("means", mu=0, sigma=10, shape=3, transform=order, initval=np.array([-1, 0, 1]))
        if model == "by hand":
            pm.CustomDist("obs", means, p, logp=by_hand, observed=x)
        else:
            pm.NormalMixture("obs", p, mu=means, sigma=1, observed=x)
        return made


def pymc(model: str, x: np.ndarray, seed: int) -> Found:
    """PyMC's own sampler; its chains are processes, which are the sampling."""
    import pymc as pm

    with in_pymc(model, x):
        found = pm.sample(DRAWS, tune=TUNE, chains=CHAINS, cores=2, target_accept=ACCEPT, random_seed=seed,
                          progressbar=False, compute_convergence_checks=False)  # fmt: skip
    return *_of_arviz(found), children()


def nutpie(model: str, x: np.ndarray, seed: int) -> Found:
    """nutpie on the PyMC model; compiling is not sampling."""
    import nutpie as sampler

    compiled = sampler.compile_pymc_model(in_pymc(model, x))
    before = used()
    found = sampler.sample(compiled, draws=DRAWS, tune=TUNE, chains=CHAINS, cores=2, target_accept=ACCEPT, seed=seed,
                           progress_bar=False)  # fmt: skip
    return *_of_arviz(found), used() - before


def _of_arviz(found: Any) -> tuple[dict[str, np.ndarray], int]:
    values = {name: found.posterior[name].values for name in ("p", "means", "scales") if name in found.posterior}
    return values, int(found.sample_stats["diverging"].sum())


# -- NumPyro


def numpyro(model: str, x: np.ndarray, seed: int) -> Found:
    """NumPyro, chains one after another on one compiled program, in single precision, which is its default."""
    import jax
    import jax.numpy as jnp
    import numpyro as pyro
    import numpyro.distributions as dist
    from numpyro.infer import MCMC, NUTS, init_to_value

    def likelihood(p: Any, means: Any, scales: Any) -> None:
        if model == "by hand":
            parts = jnp.log(p) - 0.5 * (x[:, None] - means) ** 2 - 0.5 * np.log(2 * np.pi)
            pyro.factor("obs", jax.scipy.special.logsumexp(parts, -1).sum())
        else:
            law = dist.MixtureSameFamily(dist.Categorical(probs=p), dist.Normal(means, scales))
            pyro.sample("obs", law, obs=x)

    def overlapping() -> None:
        p = pyro.sample("p", dist.Dirichlet(jnp.full(3, 10.0)))
        means = pyro.sample("means", dist.ImproperUniform(dist.constraints.ordered_vector, (), (3,)))
        pyro.factor("prior", dist.Normal(0, 10).log_prob(means).sum())
        likelihood(p, means, jnp.ones(3))

    def separated() -> None:
        p = pyro.sample("p", dist.Dirichlet(jnp.full(3, 2.0)))
        means = pyro.sample("means", dist.Normal(jnp.array(APART), 5.0))
        scales = pyro.sample("scales", dist.HalfCauchy(jnp.full(3, 5.0)))
        wall = (p.min() < FLOOR) | (means[1] < means[0]) | (means[2] < means[1])
        pyro.factor("walls", jnp.where(wall, -jnp.inf, 0.0))
        likelihood(p, means, scales)

    begin = {"p": np.full(3, 1 / 3), "means": APART if model == "separated" else np.array([-1.0, 0.0, 1.0])}
    kernel = NUTS(
        separated if model == "separated" else overlapping,
        target_accept_prob=ACCEPT,
        init_strategy=init_to_value(values=begin),
    )
    run = MCMC(kernel, num_warmup=TUNE, num_samples=DRAWS, num_chains=CHAINS, chain_method="sequential",
               progress_bar=False)  # fmt: skip
    run.run(jax.random.PRNGKey(seed), extra_fields=("diverging",))
    values = {name: np.asarray(one) for name, one in run.get_samples(group_by_chain=True).items()}
    first = used()
    run.run(jax.random.PRNGKey(seed), extra_fields=("diverging",))  # once more, compiled
    again = used() - first
    numpyro.total = first  # type: ignore[attr-defined]
    return values, int(np.asarray(run.get_extra_fields()["diverging"]).sum()), again


SAMPLERS = {"mixtura": mixtura, "pymc": pymc, "nutpie": nutpie, "numpyro": numpyro}


def main() -> None:
    model, sampler, seed = sys.argv[1], sys.argv[2], int(sys.argv[3])
    warnings.filterwarnings("ignore")
    begun, x = time.perf_counter(), rows(model, seed)
    values, divergences, sampling = SAMPLERS[sampler](model, x, seed)
    total, wall = getattr(SAMPLERS[sampler], "total", used()), time.perf_counter() - begun
    import arviz

    data = arviz.from_dict({name: np.asarray(one, np.float64) for name, one in values.items()})
    effective = float(min(one.min() for one in arviz.ess(data).data_vars.values()))
    agree = float(max(one.max() for one in arviz.rhat(data).data_vars.values()))
    line = {"model": model, "sampler": sampler, "seed": seed, "total": total, "sampling": sampling, "wall": wall,
            "effective": effective, "rhat": agree, "divergences": divergences}  # fmt: skip
    print(json.dumps(line), flush=True)
    os._exit(0)  # some peers' threads do not end


if __name__ == "__main__":
    main()
