"""tgmm's GaussianMixture."""

import sys
from collections.abc import Callable
from typing import Any

import torch
from tgmm import GaussianMixture
from torch import Tensor

from ..cases import Case, Parameters

_NAMES = {"full": "full", "tied": "tied_full", "diagonal": "diag", "spherical": "spherical"}


def _model(case: Case, given: Parameters, **options: Any) -> GaussianMixture:
    return GaussianMixture(
        case.components,
        case.features,
        covariance_type=_NAMES[case.structure],
        reg_covar=0.0,
        tol=sys.float_info.min,  # it asks for a positive number
        init_weights=torch.from_numpy(given.weights),
        init_means=torch.from_numpy(given.means),
        init_covariances=torch.from_numpy(given.covariances),
        device="cpu",
        **options,
    )


def em(case: Case) -> Callable[[int], Parameters]:
    x = torch.from_numpy(case.x)

    def run(iterations: int) -> Parameters:
        model = _model(case, case.start, max_iter=iterations).fit(x)
        return Parameters(*(t.numpy() for t in (model.weights_, model.means_, model.covariances_)), case.structure)

    return run


def _given(case: Case) -> GaussianMixture:
    model = _model(case, case.truth)
    model.dtype = torch.from_numpy(case.x).dtype
    model._allocate_parameters()
    model.fitted_ = True
    return model


def log_prob(case: Case) -> Callable[[], Tensor]:
    x, model = torch.from_numpy(case.x), _given(case)

    def run() -> Tensor:
        with torch.no_grad():
            return model.score_samples(x)

    return run


def sample(case: Case) -> Callable[[], Tensor]:
    model = _given(case)
    return lambda: model.sample(case.rows)[0]
