"""gmmx's mixture, on JAX."""

from collections.abc import Callable
from typing import Any

import jax
from gmmx import EMFitter, GaussianMixtureModelJax

from ..cases import Case, Parameters

_NAMES = {"full": "full", "diagonal": "diag"}


def _model(case: Case, given: Parameters) -> GaussianMixtureModelJax:
    if case.dtype != "float32":
        raise NotImplementedError("float32 only")
    if case.structure not in _NAMES:
        raise NotImplementedError("full and diagonal covariances only")
    means, covariances, weights = (jax.numpy.asarray(a) for a in (given.means, given.covariances, given.weights))
    return GaussianMixtureModelJax.from_squeezed(means, covariances, weights, _NAMES[case.structure])


def em(case: Case) -> Callable[[int], Parameters]:
    x, model = jax.numpy.asarray(case.x), _model(case, case.start)

    def run(iterations: int) -> Parameters:
        found = EMFitter(max_iter=iterations, tol=0.0, reg_covar=0.0).fit(x=x, gmm=model).gmm
        return Parameters(found.weights_numpy, found.means_numpy, found.covariances.values_numpy, case.structure)

    return run


def log_prob(case: Case) -> Callable[[], Any]:
    x, model = jax.numpy.asarray(case.x), _model(case, case.truth)
    return lambda: model.score_samples(x).block_until_ready()


def sample(case: Case) -> Callable[[], Any]:
    model, key = _model(case, case.truth), jax.random.PRNGKey(0)
    return lambda: model.sample(key, case.rows).block_until_ready()
