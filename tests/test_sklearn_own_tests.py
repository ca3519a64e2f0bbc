"""scikit-learn's own tests of its mixtures, run on Mixtura's.

Their test modules come with the installed package. Each is loaded anew with the estimators replaced by ours; tests
that call private functions of scikit-learn and never touch an estimator, or reach into its inside, are left out by
name with the reason.
"""

import importlib.util
import inspect
from unittest import mock

import numpy as np
import pytest

pytest.importorskip("sklearn.mixture.tests")

from mixtura.sklearn import BayesianGaussianMixture, GaussianMixture

pytestmark = pytest.mark.filterwarnings("ignore")  # theirs are not written for warnings as errors

FUNCTIONS = "calls private functions of sklearn.mixture only; no estimator is made"
LEFT_OUT = {
    "test_suffstat_sk_full": FUNCTIONS,
    "test_suffstat_sk_tied": FUNCTIONS,
    "test_suffstat_sk_diag": FUNCTIONS,
    "test_gaussian_suffstat_sk_spherical": FUNCTIONS,
    "test_compute_log_det_cholesky": FUNCTIONS,
    "test_gaussian_mixture_log_probabilities": FUNCTIONS,
    "test_gaussian_mixture_precisions_init": "calls the private methods _set_parameters and _initialize",
    "test_gaussian_mixture_all_init_does_not_estimate_gaussian_parameters": "counts calls of a private function",
    "test_log_dirichlet_norm": FUNCTIONS,
    "test_log_wishart_norm": FUNCTIONS,
    "test_compare_covar_type": "calls the private methods _check_parameters and _initialize_parameters",
}
MODULES = {"test_gaussian_mixture": "", "test_bayesian_mixture": "_bayesian", "test_mixture": "_both"}


@pytest.fixture(params=[np.float32, np.float64])
def global_dtype(request):
    return request.param


@pytest.fixture(params=range(3))
def global_random_seed(request):
    return request.param


def theirs(module, **ours):
    """Loads one of their test modules, which then finds our estimators in sklearn.mixture, and returns its tests."""
    found = importlib.util.find_spec(f"sklearn.mixture.tests.{module}")
    spec = importlib.util.spec_from_file_location(f"{module}_on_mixtura", found.origin)
    loaded = importlib.util.module_from_spec(spec)
    with mock.patch.multiple("sklearn.mixture", **ours):
        spec.loader.exec_module(loaded)
    tests = {name: test for name, test in vars(loaded).items() if name.startswith("test_")}
    for test in tests.values():
        test.pytestmark = [collected(mark) for mark in getattr(test, "pytestmark", [])]
    return tests


def collected(mark):
    """Gives pytest a list where theirs gives a generator."""
    if mark.name != "parametrize":
        return mark
    names, values, *rest = mark.args
    return pytest.mark.parametrize(names, list(values), *rest, **mark.kwargs).mark


OURS = {"GaussianMixture": GaussianMixture, "BayesianGaussianMixture": BayesianGaussianMixture}
EVERY = {module: theirs(module, **OURS) for module in MODULES}
for module, tests in EVERY.items():
    globals().update({name + MODULES[module]: test for name, test in tests.items() if name not in LEFT_OUT})


@pytest.mark.parametrize("name", LEFT_OUT)
def test_what_is_left_out_exists(name):
    assert any(inspect.isfunction(tests.get(name)) for tests in EVERY.values())
