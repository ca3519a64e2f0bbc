"""Estimators beside GaussianMixture: variational Bayes, one mixture per class, and mixtures of any family."""

import pickle
import warnings

import numpy as np
import pytest
import torch

pytest.importorskip("sklearn")

from scipy import stats
from scipy.special import digamma
from sklearn import mixture as theirs
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.discriminant_analysis import QuadraticDiscriminantAnalysis
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.neighbors import KernelDensity
from sklearn.utils.estimator_checks import parametrize_with_checks

import mixtura as mx
from mixtura.sklearn import (
    BayesianGaussianMixture,
    BernoulliMixture,
    FamilyMixture,
    GaussianMixture,
    MixtureClassifier,
    StudentTMixture,
)

TYPES = ("full", "tied", "diag", "spherical")
PRIORS = ("dirichlet_process", "dirichlet_distribution")
POSTERIOR = ("weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_")
POSTERIOR += ("weight_concentration_", "mean_precision_", "degrees_of_freedom_")


@pytest.fixture
def x():
    random = np.random.RandomState(3)
    return np.concatenate([random.randn(200, 3), random.randn(100, 3) * 0.5 + 3, random.randn(60, 3) * 2 - 4])


def too_wide(estimator):
    reason = "its data have more columns than rows, for which a full covariance matrix cannot be learned"
    full = isinstance(estimator, FamilyMixture) and not isinstance(estimator, BernoulliMixture)
    return {"check_sample_weight_equivalence_on_dense_data": reason} if full else {}


EVERY = [BayesianGaussianMixture(), MixtureClassifier(), BernoulliMixture(), StudentTMixture(), FamilyMixture()]


@parametrize_with_checks(EVERY, expected_failed_checks=too_wide)
@pytest.mark.filterwarnings("ignore")
def test_scikit_learn_checks(estimator, check):
    check(estimator)


# -- BayesianGaussianMixture


@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.slow
def test_full_covariances_have_the_posterior_of_scikit_learn(x, prior):
    options = dict(n_components=5, random_state=0, tol=1e-9, max_iter=5000, weight_concentration_prior_type=prior)
    ours, right = BayesianGaussianMixture(**options).fit(x), theirs.BayesianGaussianMixture(**options).fit(x)
    for name in POSTERIOR:
        np.testing.assert_allclose(getattr(ours, name), getattr(right, name), rtol=1e-3, atol=1e-3)
    for name in ("weight_concentration", "mean_precision", "mean", "degrees_of_freedom", "covariance"):
        np.testing.assert_allclose(getattr(ours, f"{name}_prior_"), getattr(right, f"{name}_prior_"))
    for method in ("score_samples", "predict_proba", "predict"):
        np.testing.assert_allclose(getattr(ours, method)(x), getattr(right, method)(x), atol=1e-3)


@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("steps", [1, 2, 7])
def test_every_update_is_that_of_scikit_learn(x, prior, steps):
    options = dict(n_components=4, random_state=0, tol=0, max_iter=steps, weight_concentration_prior_type=prior)
    options |= dict(reg_covar=0.1, weight_concentration_prior=0.7, mean_precision_prior=2.0, mean_prior=[1, 0, 0])
    options |= dict(degrees_of_freedom_prior=4.5, covariance_prior=np.diag([1.0, 2.0, 3.0]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        ours, right = BayesianGaussianMixture(**options).fit(x), theirs.BayesianGaussianMixture(**options).fit(x)
    assert ours.n_iter_ == right.n_iter_ == len(ours.lower_bounds_)
    for name in POSTERIOR:
        np.testing.assert_allclose(getattr(ours, name), getattr(right, name), rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(ours.score_samples(x), right.score_samples(x), rtol=1e-8)


@pytest.mark.parametrize("covariance", ["diag", "spherical"])
def test_expected_log_densities_of_variances_are_those_of_inverse_gammas(x, covariance):
    options = dict(covariance_type=covariance, weight_concentration_prior_type="dirichlet_distribution")
    fitted = BayesianGaussianMixture(**options).fit(x)
    variance = np.broadcast_to(fitted.covariances_.reshape(1, -1), (1, 3))
    values = {"diag": 1, "spherical": 3}[covariance]  # how many coordinates one variance serves
    extra = fitted.degrees_of_freedom_ + (2 if covariance == "diag" else 4 - 2 / 3)
    shape = 0.5 * values * extra  # of the precision's gamma law, whose mean is 1 / variance
    log_precision = digamma(shape) - np.log(shape * variance)
    gap = (x - fitted.means_) ** 2 / variance
    right = 0.5 * (log_precision - np.log(2 * np.pi) - gap - 1 / fitted.mean_precision_).sum(axis=1)
    np.testing.assert_allclose(fitted.score_samples(x), right)


@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("covariance", TYPES)
def test_the_bound_never_falls_and_stays_below_the_likelihood(x, covariance, prior):
    options = dict(n_components=4, covariance_type=covariance, weight_concentration_prior_type=prior, reg_covar=0)
    fitted = BayesianGaussianMixture(**options, random_state=0, max_iter=2000).fit(x)
    assert fitted.converged_ and (np.diff(fitted.lower_bounds_) > -1e-8).all()
    assert fitted.lower_bound_ < fitted.mixture_.log_prob(torch.from_numpy(x)).sum()
    assert abs(fitted.lower_bounds_[-1] - fitted.lower_bounds_[-2]) < 1e-3


def test_the_posterior_is_mixturas(x):
    fitted = BayesianGaussianMixture(n_components=2, random_state=0, max_iter=1000).fit(x)
    np.testing.assert_allclose(fitted.posterior_.components.strength, fitted.mean_precision_)
    assert isinstance(fitted.posterior_.draw(torch.Generator().manual_seed(0)), mx.Mixture)
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.predict_proba(x), fitted.predict_proba(x))


def test_its_parameters_and_attributes_are_those_of_scikit_learn(x):
    ours, right = BayesianGaussianMixture(), theirs.BayesianGaussianMixture()
    assert ours.get_params() == right.get_params()
    assert vars(ours.fit(x)).keys() - vars(right.fit(x)).keys() == {"posterior_"}
    assert vars(right).keys() <= vars(ours).keys()


@pytest.mark.parametrize("covariance", TYPES)
def test_weighted_rows_are_repeated_rows(x, covariance):
    weight = np.random.RandomState(0).randint(0, 4, len(x))
    options = dict(n_components=1, covariance_type=covariance)
    weighted = BayesianGaussianMixture(**options).fit(x, sample_weight=weight)
    repeated = BayesianGaussianMixture(**options).fit(np.repeat(x, weight, axis=0))
    for name in (*POSTERIOR, "lower_bound_"):
        np.testing.assert_allclose(getattr(weighted, name), getattr(repeated, name))


@pytest.mark.parametrize("prior", PRIORS)
def test_warm_starts_go_on_where_the_last_fit_ended(x, prior):
    options = dict(n_components=4, random_state=0, weight_concentration_prior_type=prior, tol=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        whole = BayesianGaussianMixture(**options, max_iter=6).fit(x)
        pieces = BayesianGaussianMixture(**options, max_iter=2, warm_start=True)
        for _ in range(3):
            pieces.fit(x)
    np.testing.assert_allclose(pieces.means_, whole.means_)
    np.testing.assert_allclose(pieces.lower_bound_, whole.lower_bound_)


# -- MixtureClassifier


def test_one_gaussian_per_class_is_quadratic_discriminant_analysis():
    x, y = load_iris(return_X_y=True)
    right = QuadraticDiscriminantAnalysis().fit(x, y)
    ours = MixtureClassifier(GaussianMixture(reg_covar=0)).fit(x, y)
    for c, one in enumerate(ours.estimators_):
        np.testing.assert_allclose(one.covariances_[0], np.cov(x[y == c].T, bias=True))
    np.testing.assert_array_equal(ours.predict(x), right.predict(x))


def test_bayes_rule_by_hand():
    x, y = load_iris(return_X_y=True)
    names = np.array(["setosa", "versicolor", "virginica"])[y]
    priors = np.array([0.2, 0.3, 0.5])
    fitted = MixtureClassifier(priors=priors).fit(x, names)
    densities = [
        stats.multivariate_normal(x[y == c].mean(0), np.cov(x[y == c].T, bias=True) + 1e-6 * np.eye(4)).pdf(x)
        for c in range(3)
    ]
    joint = np.stack(densities, 1) * priors
    np.testing.assert_allclose(fitted.predict_proba(x), joint / joint.sum(1, keepdims=True), rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(fitted.score_samples(x), np.log(joint.sum(1)), rtol=1e-6)
    assert list(fitted.classes_) == sorted(set(names))


def test_more_components_separate_what_one_cannot():
    random = np.random.RandomState(0)
    corners = random.randint(0, 2, (600, 2))
    x, y = corners * 4 + random.randn(600, 2) * 0.5, corners.sum(1) % 2  # exclusive or
    density = GaussianMixture(covariance_type="diag", random_state=0)
    scores = {k: cross_val_score(MixtureClassifier(clone(density).set_params(n_components=k)), x, y) for k in (1, 2)}
    assert scores[1].mean() < 0.7 < 0.98 < scores[2].mean()
    search = GridSearchCV(MixtureClassifier(density), {"estimator__n_components": [1, 2]})
    assert search.fit(x, y).best_params_ == {"estimator__n_components": 2}


def test_any_density_serves_as_a_class():
    x, y = load_iris(return_X_y=True)
    for estimator in (KernelDensity(bandwidth=0.5), BayesianGaussianMixture(random_state=0)):
        assert MixtureClassifier(estimator).fit(x, y).score(x, y) > 0.95


def test_class_weights_count_in_shares_and_densities():
    x, y = load_iris(return_X_y=True)
    weight = np.random.RandomState(0).randint(0, 3, len(y))
    weighted = MixtureClassifier().fit(x, y, sample_weight=weight)
    repeated = MixtureClassifier().fit(np.repeat(x, weight, axis=0), np.repeat(y, weight))
    np.testing.assert_allclose(weighted.priors_, repeated.priors_)
    np.testing.assert_allclose(weighted.predict_log_proba(x), repeated.predict_log_proba(x))


def test_bad_priors_are_refused():
    x, y = load_iris(return_X_y=True)
    for priors in ([0.5, 0.5], [0.5, 0.6, -0.1], [1, 1, 1]):
        with pytest.raises(ValueError, match="`priors` must be 3 probabilities that sum to one"):
            MixtureClassifier(priors=priors).fit(x, y)


# -- any family


def test_outliers_hardly_move_a_student_mixture(x):
    dirty = np.concatenate([x[:200], np.full((6, 3), 60.0)])
    robust = StudentTMixture(1, random_state=0).fit(dirty)
    assert np.abs(robust.means_[0] - x[:200].mean(0)).max() < 0.2 < np.abs(dirty.mean(0) - x[:200].mean(0)).max()
    assert robust.degrees_of_freedom_.shape == (1,) and robust.degrees_of_freedom_[0] < 5
    components = robust.mixture_.components
    right = stats.multivariate_t(robust.means_[0], components.gaussian.covariance[0], components.dof.item()).logpdf(x)
    np.testing.assert_allclose(robust.score_samples(x), right)


def test_latent_classes_are_found():
    random = np.random.RandomState(0)
    probability = np.array([[0.9, 0.9, 0.1, 0.2, 0.8], [0.1, 0.2, 0.9, 0.9, 0.1]])
    labels = random.randint(0, 2, 4000)
    rows = (random.rand(4000, 5) < probability[labels]).astype(float)
    fitted = BernoulliMixture(2, random_state=0).fit(rows)
    order = fitted.means_[:, 0].argsort()[::-1]
    np.testing.assert_allclose(fitted.means_[order], probability, atol=0.05)
    log_prob = stats.bernoulli.logpmf(rows[:, None].astype(int), fitted.means_).sum(-1) + np.log(fitted.weights_)
    np.testing.assert_allclose(fitted.score_samples(rows), np.logaddexp.reduce(log_prob, axis=1))
    np.testing.assert_array_equal(fitted.predict(rows * 10 - 5), fitted.predict(rows))  # above zero is one
    with pytest.raises(ValueError, match="0 or 1"):
        BernoulliMixture(2, binarize=None).fit(rows * 10 - 5)


def test_a_question_everybody_answers_alike_is_no_obstacle():
    rows = np.array([[1, 1, 0], [1, 1, 0], [1, 0, 1], [1, 0, 1]])
    fitted = BernoulliMixture(2, random_state=0).fit(rows)
    np.testing.assert_allclose(fitted.means_[:, 0], 1)
    np.testing.assert_allclose(np.sort(fitted.means_[:, 1]), [0, 1], atol=1e-6)


def test_families_by_name_by_class_and_by_template():
    rows = np.random.RandomState(0).poisson([[2.0]] * 50 + [[20.0]] * 50).astype(float)
    fits = [FamilyMixture(2, family=one, random_state=0).fit(rows) for one in ("Poisson", mx.components.Poisson)]
    np.testing.assert_array_equal(fits[0].means_, fits[1].means_)
    np.testing.assert_allclose(np.sort(fits[0].means_[:, 0]), [2, 20], rtol=0.2)
    template = mx.components.Binomial.template(total_count=40, vectors=True)
    assert FamilyMixture(2, family=template, random_state=0).fit(rows).means_.shape == (2, 1)


def test_a_gaussian_family_is_mx_fit(x):
    fitted = FamilyMixture(3, covariance="diagonal", random_state=0).fit(x)
    right = mx.fit(x, components=3, covariance="diagonal", generator=torch.Generator().manual_seed(0))
    np.testing.assert_allclose(fitted.score(x) * len(x), right.log_likelihood, rtol=1e-6)
    again = pickle.loads(pickle.dumps(clone(fitted).fit(x)))
    np.testing.assert_array_equal(again.score_samples(x), fitted.score_samples(x))
    rows, labels = again.sample(10)
    assert rows.shape == (10, 3) and labels.shape == (10,)


def test_what_did_not_converge_warns_with_advice(x):
    with pytest.warns(ConvergenceWarning, match="MAX_ITERATIONS.*Raise `max_iterations`"):
        FamilyMixture(3, method=mx.EM(max_iterations=1), restarts=1, random_state=0).fit(x)
