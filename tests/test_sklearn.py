"""The scikit-learn faces: same answers as scikit-learn's, and good citizens of its world."""

import copy
import pickle
import warnings

import numpy as np
import pytest
import torch

pytest.importorskip("sklearn")

from sklearn import mixture as theirs
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import mixtura as mx
from mixtura.sklearn import GaussianMixture, from_sklearn, to_sklearn

TYPES = ("full", "tied", "diag", "spherical")
FITTED = ("weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_")
MATRICES = {"full", "tied"}


@pytest.fixture
def x():
    random = np.random.RandomState(3)
    groups = random.randn(200, 3), random.randn(100, 3) * 0.5 + 3, random.randn(60, 3) * [2, 1, 0.3] - [2, 0, 5]
    return np.concatenate(groups)


@parametrize_with_checks([GaussianMixture()])
@pytest.mark.filterwarnings("default")
def test_scikit_learn_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize("start", ["kmeans", "k-means++", "random", "random_from_data"])
@pytest.mark.parametrize("covariance", TYPES)
def test_the_same_fit_as_scikit_learn(x, covariance, start):
    if covariance == "tied" and start not in ("kmeans", "random"):
        pytest.skip("scikit-learn's tied start takes moments of rows that no component has, about the origin")
    options = dict(n_components=3, covariance_type=covariance, init_params=start, random_state=1, tol=1e-6)
    options["max_iter"] = 500
    ours, right = GaussianMixture(**options).fit(x), theirs.GaussianMixture(**options).fit(x)
    assert (ours.n_iter_, ours.converged_) == (right.n_iter_, True)
    for name in FITTED:
        np.testing.assert_allclose(getattr(ours, name), getattr(right, name), rtol=1e-7, atol=1e-9)
    shift = 0 if start in ("kmeans", "random") else np.log(len(x) / 3)  # their weights do not sum to one at the start
    np.testing.assert_allclose(ours.lower_bounds_[0], right.lower_bounds_[0] + shift, rtol=1e-7)
    np.testing.assert_allclose(ours.lower_bounds_[1:], right.lower_bounds_[1:], rtol=1e-9)
    for method in ("predict", "predict_proba", "score_samples", "score", "bic", "aic"):
        np.testing.assert_allclose(getattr(ours, method)(x), getattr(right, method)(x), rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("covariance", TYPES)
@pytest.mark.parametrize("options", [dict(tol=1e-2), dict(max_iter=3), dict(reg_covar=0.5), dict(max_iter=0)])
def test_tol_max_iter_and_reg_covar_mean_the_same(x, covariance, options):
    options = dict(n_components=3, covariance_type=covariance, random_state=1, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        ours, right = GaussianMixture(**options).fit(x), theirs.GaussianMixture(**options).fit(x)
    assert (ours.n_iter_, ours.converged_) == (right.n_iter_, right.converged_)
    np.testing.assert_allclose(ours.lower_bound_, right.lower_bound_)
    np.testing.assert_allclose(ours.lower_bounds_, right.lower_bounds_)
    for name in FITTED:
        np.testing.assert_allclose(getattr(ours, name), getattr(right, name), rtol=1e-7, atol=1e-9)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("covariance", TYPES)
def test_given_parameters_are_the_start(x, covariance):
    first = theirs.GaussianMixture(3, covariance_type=covariance, random_state=0).fit(x)
    given = dict(weights_init=[0.2, 0.3, 0.5], means_init=first.means_ + 0.1, precisions_init=first.precisions_)
    for name in given:
        some = {key: value for key, value in given.items() if key != name}
        for start in (some, given, {name: given[name]}):
            options = dict(n_components=3, covariance_type=covariance, random_state=0, max_iter=1, **start)
            ours, right = GaussianMixture(**options).fit(x), theirs.GaussianMixture(**options).fit(x)
            np.testing.assert_allclose(ours.lower_bound_, right.lower_bound_)
            for key in FITTED:
                np.testing.assert_allclose(getattr(ours, key), getattr(right, key), rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("covariance", TYPES)
def test_warm_starts_are_those_of_scikit_learn(x, covariance):
    options = dict(n_components=3, covariance_type=covariance, random_state=0, max_iter=2, warm_start=True)
    ours, right = GaussianMixture(**options), theirs.GaussianMixture(**options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for _ in range(6):
            ours.fit(x), right.fit(x)
            assert (ours.n_iter_, ours.converged_) == (right.n_iter_, right.converged_)
            np.testing.assert_allclose(ours.lower_bound_, right.lower_bound_)
            np.testing.assert_allclose(ours.means_, right.means_)


@pytest.mark.parametrize("start", ["kmeans", "k-means++", "random_from_data"])
@pytest.mark.parametrize("covariance", TYPES)
def test_integer_weights_are_repeated_rows(x, covariance, start):
    weight = np.random.RandomState(0).randint(0, 4, len(x))
    given = dict(means_init=[[0, 0, 0], [3, 3, 3], [-2, 0, -5]], weights_init=[0.4, 0.3, 0.3], tol=1e-8)
    size = {"full": (3, 3, 3), "tied": (3, 3), "diag": (3, 3), "spherical": (3,)}[covariance]
    given["precisions_init"] = np.broadcast_to(np.eye(3), size) if covariance in MATRICES else np.ones(size)
    options = dict(n_components=3, covariance_type=covariance, max_iter=500, init_params=start, **given)
    weighted = GaussianMixture(**options).fit(x, sample_weight=weight)
    repeated = GaussianMixture(**options).fit(np.repeat(x, weight, axis=0))
    for name in FITTED:
        np.testing.assert_allclose(getattr(weighted, name), getattr(repeated, name), rtol=1e-6)
    for criterion in ("score", "aic", "bic", "icl"):
        left = getattr(weighted, criterion)(x, sample_weight=weight)
        np.testing.assert_allclose(left, getattr(repeated, criterion)(np.repeat(x, weight, axis=0)))


@pytest.mark.parametrize("start", ["kmeans", "k-means++", "random", "random_from_data"])
def test_rows_of_weight_zero_are_inert(x, start):
    outliers = np.concatenate([x, np.full((5, 3), 1e9)])
    weight = np.r_[np.ones(len(x)), np.zeros(5)]
    options = dict(n_components=3, init_params=start, random_state=0, max_iter=1000)
    with_outliers, without = GaussianMixture(**options).fit(outliers, sample_weight=weight), GaussianMixture(**options)
    np.testing.assert_allclose(with_outliers.means_, without.fit(x, sample_weight=np.ones(len(x))).means_)


@pytest.mark.parametrize("covariance", TYPES)
def test_a_collapse_is_scikit_learns_error(covariance):
    x = np.repeat([[0.0, 0.0], [1.0, 1.0]], 5, axis=0)
    for dtype, more in ((np.float64, "scale the input data.$"), (np.float32, "passing float64")):
        estimator = GaussianMixture(2, covariance_type=covariance, reg_covar=0, random_state=0)
        with pytest.raises(ValueError, match=f"ill-defined empirical covariance.*{more}"):
            estimator.fit(x.astype(dtype))
    np.testing.assert_allclose(np.sort(estimator.set_params(reg_covar=1e-3).fit(x).means_[:, 0]), [0, 1], atol=1e-6)


def test_one_collapsed_start_does_not_spoil_the_others(x):
    lonely = np.concatenate([x, [[50.0, 50.0, 50.0]]])
    options = dict(n_components=3, reg_covar=0, init_params="random_from_data")
    with pytest.raises(ValueError, match="ill-defined"):
        GaussianMixture(**options, random_state=0).fit(lonely)  # one row each: no covariance at the start
    mixed = GaussianMixture(3, reg_covar=0, n_init=10, random_state=0, init_params="random").fit(lonely)
    assert mixed.mixture_.components.covariance.diagonal(dim1=-2, dim2=-1).min() > 0


@pytest.mark.parametrize("covariance", TYPES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_fitted_mixture_is_the_value(x, covariance, dtype):
    fitted = GaussianMixture(3, covariance_type=covariance, random_state=0).fit(x.astype(dtype))
    mixture = fitted.mixture_
    assert isinstance(mixture, mx.Mixture) and mixture.dtype == torch.from_numpy(x.astype(dtype)).dtype
    rows = torch.from_numpy(x.astype(dtype))
    np.testing.assert_array_equal(mixture.log_prob(rows).numpy(), fitted.score_samples(x.astype(dtype)))
    assert fitted._n_parameters() == mixture.parameters
    for name in FITTED:
        assert getattr(fitted, name).dtype == dtype


def test_attributes_set_by_hand_are_used(x):
    fitted = GaussianMixture(3, random_state=0).fit(x)
    moved = copy.deepcopy(fitted)
    moved.means_ = moved.means_ + 5
    np.testing.assert_allclose(moved.score_samples(x + 5), fitted.score_samples(x))


def test_samples_have_the_moments_of_the_mixture(x):
    fitted = GaussianMixture(3, random_state=0).fit(x)
    rows, labels = fitted.sample(40_000)
    assert rows.shape == (40_000, 3) and (np.diff(labels) >= 0).all()
    error = 5 * np.sqrt(fitted.mixture_.variance.numpy() / 40_000)
    assert (np.abs(rows.mean(0) - fitted.mixture_.mean.numpy()) < error).all()
    np.testing.assert_allclose(np.cov(rows.T), fitted.mixture_.covariance.numpy(), atol=0.2)
    np.testing.assert_array_equal(rows, fitted.sample(40_000)[0])


def test_it_lives_in_pipelines_searches_clones_and_pickles(x):
    grid = {"gaussianmixture__n_components": [1, 3], "gaussianmixture__covariance_type": ["full", "diag"]}
    folds = KFold(3, shuffle=True, random_state=0)
    pipeline = make_pipeline(StandardScaler(), GaussianMixture(random_state=0))
    found = GridSearchCV(pipeline, grid, cv=folds).fit(x)
    assert found.best_params_["gaussianmixture__n_components"] == 3
    right = GridSearchCV(make_pipeline(StandardScaler(), theirs.GaussianMixture(random_state=0)), grid, cv=folds).fit(x)
    np.testing.assert_allclose(found.cv_results_["mean_test_score"], right.cv_results_["mean_test_score"], rtol=1e-6)
    again = pickle.loads(pickle.dumps(found.best_estimator_))
    np.testing.assert_array_equal(again.predict_proba(x), found.predict_proba(x))
    assert clone(GaussianMixture(2, tol=0.1)).get_params() == GaussianMixture(2, tol=0.1).get_params()


def test_parameters_and_attributes_are_those_of_scikit_learn(x):
    assert GaussianMixture().get_params() == theirs.GaussianMixture().get_params()
    assert vars(theirs.GaussianMixture(2).fit(x)).keys() == vars(GaussianMixture(2).fit(x)).keys()


def test_names_of_columns_are_kept(x):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(x, columns=["a", "b", "c"])
    fitted = GaussianMixture(2, random_state=0).fit(frame)
    assert list(fitted.feature_names_in_) == ["a", "b", "c"]
    with pytest.raises(ValueError, match="feature names"):
        fitted.predict(frame.rename(columns={"a": "z"}))


def test_bad_parameters_and_data_are_refused(x):
    with pytest.raises(ValueError, match="The 'covariance_type' parameter of GaussianMixture must be a str among"):
        GaussianMixture(covariance_type="round").fit(x)
    with pytest.raises(ValueError, match="The 'n_components' parameter"):
        GaussianMixture(0).fit(x)
    with pytest.raises(ValueError, match="Negative values"):
        GaussianMixture().fit(x, sample_weight=-np.ones(len(x)))
    with pytest.raises(NotFittedError):
        _ = GaussianMixture().mixture_


@pytest.mark.parametrize("covariance", TYPES)
@pytest.mark.parametrize("estimator", [theirs.GaussianMixture, theirs.BayesianGaussianMixture, GaussianMixture])
def test_estimators_become_mixtures_and_come_back(x, estimator, covariance):
    fitted = estimator(n_components=3, covariance_type=covariance, random_state=0, max_iter=1000).fit(x)
    mixture = from_sklearn(fitted)
    back = to_sklearn(mixture)
    assert back.covariance_type == covariance
    for name in FITTED:
        np.testing.assert_allclose(getattr(back, name), getattr(fitted, name), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(back.score_samples(x), mixture.log_prob(torch.from_numpy(x)).numpy())
    assert back.sample(3)[0].shape == (3, 3)
    if estimator is not theirs.BayesianGaussianMixture:
        np.testing.assert_allclose(fitted.score_samples(x), back.score_samples(x))


def test_structures_scikit_learn_lacks_become_the_nearest(x):
    mean = torch.zeros(2, 3, dtype=torch.double)
    mean[1] += 1
    rows = torch.from_numpy(x)
    cases = {
        "diag": mx.Diagonal(torch.tensor([1.0, 2.0, 3.0], dtype=torch.double), tied=True),
        "spherical": mx.Spherical(torch.tensor(2.0, dtype=torch.double), tied=True),
    }
    for name, structure in cases.items():
        mixture = mx.Mixture(torch.tensor([0.3, 0.7]), mx.Gaussian(mean, structure))
        assert to_sklearn(mixture).covariance_type == name
        np.testing.assert_allclose(to_sklearn(mixture).score_samples(x), mixture.log_prob(rows).numpy())
    numbers = mx.Mixture(torch.ones(2), mx.Normal(mean[:, 0], torch.tensor([1.0, 2.0])))
    np.testing.assert_allclose(to_sklearn(numbers).score_samples(x[:, :1]), numbers.log_prob(rows[:, 0]).numpy())


def test_only_gaussian_mixtures_are_converted():
    gammas = mx.Mixture(torch.ones(2), torch.distributions.Gamma(torch.ones(2), torch.ones(2)))
    with pytest.raises(mx.errors.MixtureError, match="`mixture` must be one mixture of Gaussian or Normal"):
        to_sklearn(gammas)
    with pytest.raises(mx.errors.MixtureError, match="`estimator` must be"):
        from_sklearn(StandardScaler())
    with pytest.raises(NotFittedError):
        from_sklearn(theirs.GaussianMixture())
