"""pomegranate's GeneralMixtureModel."""

import math
from collections.abc import Callable

import numpy as np
import torch
from pomegranate.distributions import Normal
from pomegranate.gmm import GeneralMixtureModel
from torch import Tensor

from ..cases import Case, Parameters

_NAMES = {"full": "full", "diagonal": "diag"}


def _model(case: Case, given: Parameters, iterations: int = 1) -> GeneralMixtureModel:
    if case.structure not in _NAMES:
        raise NotImplementedError("full and diagonal covariances only")
    normals = [
        Normal(torch.from_numpy(mean.copy()), torch.from_numpy(covariance.copy()), _NAMES[case.structure])
        for mean, covariance in zip(given.means, given.covariances, strict=True)
    ]
    weights = torch.from_numpy(given.weights.copy())
    return GeneralMixtureModel(normals, priors=weights, max_iter=iterations, tol=-math.inf)


def em(case: Case) -> Callable[[int], Parameters]:
    x = torch.from_numpy(case.x)

    def run(iterations: int) -> Parameters:
        model = _model(case, case.start, iterations).fit(x)
        means = np.stack([normal.means.detach().numpy() for normal in model.distributions])
        covariances = np.stack([normal.covs.detach().numpy() for normal in model.distributions])
        return Parameters(model.priors.detach().numpy(), means, covariances, case.structure)

    return run


def log_prob(case: Case) -> Callable[[], Tensor]:
    x, model = torch.from_numpy(case.x), _model(case, case.truth)

    def run() -> Tensor:
        with torch.no_grad():
            return model.log_probability(x)

    return run


def sample(case: Case) -> Callable[[], Tensor]:
    if case.structure == "diagonal":
        raise NotImplementedError("takes variances for scales")
    model = _model(case, case.truth)
    return lambda: model.sample(case.rows)
