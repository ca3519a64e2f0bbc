"""`GaussianMixture` on rows with errors of known variance and with gaps."""

import numpy as np
import pytest
import torch
from sklearn.impute import SimpleImputer
from sklearn.utils import get_tags

import mixtura as mx
from mixtura.sklearn import BayesianGaussianMixture, GaussianMixture


def rows(count=2000, seed=0):
    random = np.random.default_rng(seed)
    x = random.normal(size=(count, 2)) * 0.5 + np.array([[0.0, 0.0], [4.0, 3.0]])[random.integers(0, 2, count)]
    variance = random.uniform(0.1, 1.5, size=(count, 2))
    return x, x + random.normal(size=(count, 2)) * np.sqrt(variance), variance


def test_errors_of_known_variance_are_undone():
    _, y, variance = rows()
    found = GaussianMixture(2, covariance_type="diag", tol=1e-6, max_iter=500, random_state=0).fit(
        y, noise_variance=variance
    )
    naive = GaussianMixture(2, covariance_type="diag", random_state=0).fit(y)
    assert np.abs(found.covariances_ - 0.25).max() < 0.1
    assert (naive.covariances_ > 0.8).all()


def test_the_fit_is_that_of_the_library():
    _, y, variance = rows(300)
    y[::5, 0] = np.nan
    found = GaussianMixture(2, tol=1e-10, max_iter=2000, reg_covar=0, random_state=0).fit(y, noise_variance=variance)
    observation = [mx.observation.AdditiveNoise(variance=torch.tensor(variance)), mx.observation.Missing()]
    ours = mx.fit(y, init=found.mixture_, observation=observation, method=mx.EM(tolerance=1e-12))
    np.testing.assert_allclose(np.sort(found.means_, 0), np.sort(ours.mixture.components.mean, 0), rtol=1e-3)
    assert found.lower_bound_ == pytest.approx(ours.trace[0].item(), abs=1e-6)


def test_noise_of_all_shapes():
    _, y, _ = rows(200)
    same = [0.3, np.array([0.3, 0.3]), np.full((200, 2), 0.3), np.broadcast_to(0.3 * np.eye(2), (200, 2, 2))]
    fits = [GaussianMixture(2, random_state=0).fit(y, noise_variance=noise) for noise in same]
    for one in fits[1:]:
        np.testing.assert_allclose(one.means_, fits[0].means_, rtol=1e-6)


def test_gaps_are_read_everywhere():
    x, _, _ = rows(500)
    y = x.copy()
    y[np.random.default_rng(1).random(y.shape) < 0.2] = np.nan
    found = GaussianMixture(2, random_state=0).fit(y)
    assert np.abs(np.sort(found.means_[:, 0]) - [0, 4]).max() < 0.2
    labels = found.predict(y)
    known = ~np.isnan(y).all(1)
    agree = (labels == found.predict(x))[known].mean()
    filled = (found.predict(SimpleImputer().fit_transform(y)) == found.predict(x))[known].mean()
    assert agree > 0.95 and agree >= filled
    assert np.isfinite(found.score_samples(y)).all()
    np.testing.assert_allclose(found.predict_proba(y).sum(1), 1)


def test_zero_weights_leave_out_their_errors_too():
    _, y, variance = rows(200)
    weight = (np.arange(200) % 3 > 0).astype(float)
    one = GaussianMixture(2, random_state=0).fit(y, sample_weight=weight, noise_variance=variance)
    other = GaussianMixture(2, random_state=0).fit(y[weight > 0], noise_variance=variance[weight > 0])
    np.testing.assert_allclose(one.means_, other.means_)


def test_tags_and_refusals():
    _, y, _ = rows(50)
    assert get_tags(GaussianMixture()).input_tags.allow_nan
    assert not get_tags(BayesianGaussianMixture()).input_tags.allow_nan
    with pytest.raises(ValueError, match="`noise_variance` must be a number or of shape"):
        GaussianMixture(2).fit(y, noise_variance=np.ones((49, 2)))
    with pytest.raises(ValueError, match="at least zero"):
        GaussianMixture(2).fit(y, noise_variance=-1.0)
    y[:, 1] = np.nan
    with pytest.raises(ValueError, match="column 1"):
        GaussianMixture(2).fit(y)
