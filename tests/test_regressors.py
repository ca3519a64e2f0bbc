"""Regressors that answer with a distribution, and the detector of outliers."""

import math
import pickle
import warnings

import numpy as np
import pytest
import torch

pytest.importorskip("sklearn")

from scipy import stats
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import mixtura as mx
from mixtura.sklearn import (
    GaussianMixture,
    MixtureDensityRegressor,
    MixtureOutlierDetector,
    MixtureRegressor,
    StudentTMixture,
)

QUICK = dict(epochs=2, hidden_features=(4,), random_state=0)


def known_to_differ(estimator):
    if isinstance(estimator, MixtureDensityRegressor):
        reason = "rows are drawn by their weights, not repeated"
        return {"check_sample_weight_equivalence_on_dense_data": reason}
    return {}


EVERY = [MixtureRegressor(), MixtureDensityRegressor(2, **QUICK), MixtureOutlierDetector()]


@parametrize_with_checks(EVERY, expected_failed_checks=known_to_differ)
@pytest.mark.filterwarnings("ignore")
def test_scikit_learn_checks(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def joint():
    """A mixture of three features and two targets, and rows from it."""
    random = torch.randn(3, 5, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    mean = 3 * torch.randn(3, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    covariance = random @ random.mT + 0.2 * torch.eye(5)
    mixture = mx.Mixture(torch.tensor([0.5, 0.2, 0.3]).double(), mx.Gaussian(mean, covariance))
    return mixture, mixture.sample((800,), torch.Generator().manual_seed(2)).numpy()


@pytest.fixture(scope="module")
def fitted(joint):
    _, x = joint
    return MixtureRegressor(3, random_state=0).fit(x[:, :3], x[:, 3:])


# -- conditioning


def test_the_published_conditional_mean():
    """gmr's own test: one half each of N((0, 1), I) and N((1, 2), I), given x0 = 0."""
    mean = torch.tensor([[0.0, 1.0], [1.0, 2.0]], dtype=torch.float64)
    mixture = mx.Mixture(torch.ones(2).double(), mx.Gaussian(mean, torch.eye(2).double().expand(2, 2, 2)))
    found = mixture.condition([0], torch.zeros(1, dtype=torch.float64)).mean
    assert found.item() == pytest.approx(1.37754067, abs=5e-9)
    assert found.item() == pytest.approx(1 + math.exp(-0.5) / (1 + math.exp(-0.5)), rel=1e-14)


@pytest.mark.parametrize("covariance", ["full", "tied-full", "diagonal", "spherical", "tied-diagonal", "VEV"])
def test_many_rows_are_conditioned_as_each_alone(joint, covariance):
    mixture, x = joint
    found = mx.fit(torch.from_numpy(x), 3, covariance, restarts=2).mixture
    rows = torch.from_numpy(x[:50])
    together = found.condition([4, 0], rows[:, [4, 0]])
    for i, row in enumerate(rows):
        alone = found.condition([4, 0], row[[4, 0]])
        torch.testing.assert_close(together.batch(i).mean, alone.mean)
        torch.testing.assert_close(together.batch(i).covariance, alone.covariance)
        torch.testing.assert_close(together.batch(i).weights, alone.weights)


@pytest.mark.parametrize("offset, dtype", [(1e6, torch.float32), (1e10, torch.float64)])
def test_conditional_means_keep_their_digits_far_from_zero(offset, dtype):
    """Components a long way off and of another magnitude do not spoil those at hand."""
    mean = torch.tensor([[0.0, 0.0], [offset, offset]], dtype=dtype)
    covariance = torch.tensor([[[1.0, 0.9], [0.9, 1.0]]], dtype=dtype).expand(2, 2, 2)
    mixture = mx.Mixture(torch.ones(2, dtype=dtype), mx.Gaussian(mean, covariance))
    near = mixture.condition([0], torch.tensor([[0.5]], dtype=dtype)).components.mean[0, 0, 0]
    far = mixture.condition([0], torch.tensor([[offset + 0.5]], dtype=dtype)).components.mean[0, 1, 0]
    assert near.item() == pytest.approx(0.45, rel=1e-5 if dtype == torch.float32 else 1e-13)
    assert far.item() - offset == pytest.approx(0.45, abs=4 * float(np.spacing(np.array(offset, str(dtype)[6:]))))


def test_gradients_flow_through_conditioning_of_many_rows(joint):
    mixture, x = joint
    rows = torch.from_numpy(x[:4, :2])

    def mean(location, rows):
        given = mx.Mixture._of(mixture.logits, mixture.components._replace(location=location))
        return given.condition([0, 1], rows).mean

    location = mixture.components.location.clone().requires_grad_()
    assert torch.autograd.gradcheck(mean, (location, rows.clone().requires_grad_()))


# -- regression by a joint mixture


def test_one_component_is_ordinary_least_squares(joint):
    _, x = joint
    ours = MixtureRegressor(1, method=mx.EM()).fit(x[:, :3], x[:, 3:])
    theirs = LinearRegression().fit(x[:, :3], x[:, 3:])
    np.testing.assert_allclose(ours.predict(x[:, :3]), theirs.predict(x[:, :3]), rtol=1e-6, atol=1e-8)
    residual = x[:, 3:] - theirs.predict(x[:, :3])
    law = stats.multivariate_normal(np.zeros(2), residual.T @ residual / len(x))
    np.testing.assert_allclose(ours.log_density(x[:, :3], x[:, 3:]), law.logpdf(residual), rtol=1e-6)
    assert ours.score(x[:, :3], x[:, 3:]) == pytest.approx(law.logpdf(residual).mean())


def test_it_comes_near_the_truth(joint, fitted):
    truth, _ = joint
    x = truth.sample((4000,), torch.Generator().manual_seed(9))
    best = truth.condition([0, 1, 2], x[:, :3]).log_prob(x[:, 3:]).mean().item()
    found = fitted.score(x[:, :3].numpy(), x[:, 3:].numpy())
    linear = MixtureRegressor(1).fit(*np.split(joint[1], [3], 1)).score(x[:, :3].numpy(), x[:, 3:].numpy())
    assert best - 0.1 < found <= best + 0.02
    assert linear < best - 0.5


def test_what_is_read_off_is_that_of_the_distribution(joint, fitted):
    _, x = joint
    given = fitted.predict_distribution(x[:20, :3])
    assert given.batch_shape == (20,) and given.event_shape == (2,)
    np.testing.assert_allclose(fitted.predict(x[:20, :3]), given.mean.numpy())
    found = fitted.predict_quantile(x[:20, :3], [0.1, 0.5])
    assert found.shape == (20, 2, 2)
    for d in range(2):
        right = given.marginal([d]).icdf(torch.tensor([[0.1], [0.5]]).double().expand(2, 20)).squeeze(-1).T
        np.testing.assert_allclose(found[:, d], right.numpy())
    np.testing.assert_allclose(fitted.predict_quantile(x[:20, :3]), found[..., 1])
    np.testing.assert_allclose(fitted.predict_interval(x[:20, :3], 0.8)[..., 0], found[..., 0])
    np.testing.assert_allclose(fitted.log_density(x[:20, :3], x[:20, 3:]), given.log_prob(torch.from_numpy(x[:20, 3:])))
    drawn = fitted.sample_y(x[:3, :3], 4000, random_state=1)
    assert drawn.shape == (3, 2, 4000)
    np.testing.assert_allclose(drawn.mean(-1), given.mean[:3].numpy(), atol=0.3)


def test_one_target_is_a_number(joint):
    _, x = joint
    one = MixtureRegressor(2, random_state=0).fit(x[:, :3], x[:, 3])
    column = MixtureRegressor(2, random_state=0).fit(x[:, :3], x[:, 3:4])
    assert one.predict_distribution(x[:5, :3]).event_shape == ()
    assert one.predict(x[:5, :3]).shape == (5,) and column.predict(x[:5, :3]).shape == (5, 1)
    assert one.predict_interval(x[:5, :3]).shape == (5, 2)
    assert one.sample_y(x[:5, :3], 7).shape == (5, 7)
    assert one.predict_quantile(x[:5, :3], [0.1, 0.5, 0.9]).shape == (5, 3)
    np.testing.assert_allclose(one.predict(x[:5, :3]), column.predict(x[:5, :3])[:, 0])
    assert one.score(x[:, :3], x[:, 3]) == pytest.approx(column.score(x[:, :3], x[:, 3:4]))


def test_what_is_missing_is_integrated_out(joint, fitted):
    """The distribution given some features is the conditional of their marginal."""
    _, x = joint
    rows = x[:6, :3].copy()
    rows[1, 0] = rows[2, [0, 2]] = rows[3] = rows[4, 0] = np.nan
    given, whole = fitted.predict_distribution(rows), fitted.mixture_
    for i, row in enumerate(rows):
        known = np.flatnonzero(~np.isnan(row)).tolist()
        alone = whole.marginal([*known, 3, 4])
        right = alone.condition(list(range(len(known))), torch.from_numpy(row[known])) if known else alone
        y = torch.from_numpy(x[i, 3:])
        torch.testing.assert_close(given.batch(i).log_prob(y), right.log_prob(y))
        torch.testing.assert_close(given.batch(i).mean, right.mean)
    assert fitted.predict_interval(rows).shape == (6, 2, 2)
    np.testing.assert_allclose(fitted.predict(rows[[0, 5]]), fitted.predict(x[[0, 5], :3]))


def test_it_learns_from_rows_with_gaps(joint):
    truth, x = joint
    gaps = np.random.RandomState(0).rand(*x[:, :3].shape) < 0.15
    holed = np.where(gaps, np.nan, x[:, :3])
    found = MixtureRegressor(3, random_state=0).fit(holed, x[:, 3:])
    new = truth.sample((2000,), torch.Generator().manual_seed(9)).numpy()
    whole = MixtureRegressor(3, random_state=0).fit(x[:, :3], x[:, 3:])
    assert found.score(new[:, :3], new[:, 3:]) > whole.score(new[:, :3], new[:, 3:]) - 0.25


def test_weights_count_as_repeated_rows(joint):
    _, x = joint
    count = np.arange(len(x)) % 3
    start = dict(n_components=1, random_state=0)
    weighted = MixtureRegressor(**start).fit(x[:, :3], x[:, 3], sample_weight=count)
    repeated = MixtureRegressor(**start).fit(x[:, :3].repeat(count, 0), x[:, 3].repeat(count))
    np.testing.assert_allclose(weighted.predict(x[:, :3]), repeated.predict(x[:, :3]), rtol=1e-8)
    score = weighted.score(x[:, :3], x[:, 3], sample_weight=count)
    assert score == pytest.approx(weighted.score(x[:, :3].repeat(count, 0), x[:, 3].repeat(count)))


def test_it_is_an_estimator_like_others(joint):
    _, x = joint
    search = GridSearchCV(MixtureRegressor(random_state=0, restarts=2), {"n_components": [1, 3]}, cv=3)
    assert search.fit(x[:, :3], x[:, 3:]).best_params_ == {"n_components": 3}
    piped = make_pipeline(StandardScaler(), MixtureRegressor(2, random_state=0)).fit(x[:, :3], x[:, 3])
    again = pickle.loads(pickle.dumps(piped))
    np.testing.assert_array_equal(again.predict(x[:9, :3]), piped.predict(x[:9, :3]))
    assert clone(piped[-1]).get_params()["n_components"] == 2


def test_names_of_columns_are_kept(joint):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(joint[1][:, :3], columns=["a", "b", "c"])
    found = MixtureRegressor(2, random_state=0).fit(frame, joint[1][:, 3])
    assert found.feature_names_in_.tolist() == ["a", "b", "c"]


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_units_change_nothing_but_units(joint, scale):
    _, x = joint
    one = MixtureRegressor(2, random_state=0).fit(x[:, :3], x[:, 3])
    other = MixtureRegressor(2, random_state=0).fit(x[:, :3] * scale + 5 * scale, x[:, 3] * scale)
    new = x[:9, :3] * scale + 5 * scale
    np.testing.assert_allclose(other.predict_quantile(new), one.predict_quantile(x[:9, :3]) * scale, rtol=1e-3)


@pytest.mark.parametrize(
    "fit",
    [
        lambda x: MixtureRegressor(0).fit(x[:, :3], x[:, 3]),
        lambda x: MixtureRegressor().fit(x[:, :3], np.where(x[:, 3] > 0, np.nan, x[:, 3])),
        lambda x: MixtureRegressor().fit(x[:, :3], x[:5, 3]),
        lambda x: MixtureRegressor().fit(x[:0, :3], x[:0, 3]),
        lambda x: MixtureRegressor().fit(x[:1, :3], x[:1, 3]),
        lambda x: MixtureRegressor().fit(np.full((5, 2), np.nan), x[:5, 3]),
        lambda x: MixtureRegressor().fit(x[:, :3], x[:, 3], sample_weight=np.zeros(len(x))),
        lambda x: MixtureRegressor(n_components=9).fit(x[:5, :3], x[:5, 3]),
        lambda x: MixtureRegressor().fit(x[:, :3].astype(np.float32), x[:, 3] * 1e300),
        lambda x: MixtureDensityRegressor(validation=1.5).fit(x[:, :3], x[:, 3]),
        lambda x: MixtureDensityRegressor(covariance="round").fit(x[:, :3], x[:, 3]),
        lambda x: MixtureDensityRegressor(**QUICK).fit(np.where(x[:, :3] > 0, np.nan, x[:, :3]), x[:, 3]),
        lambda x: MixtureOutlierDetector(false_alarm_rate=0).fit(x),
        lambda x: MixtureOutlierDetector().fit(x[:2]),
    ],
)
def test_what_cannot_be_used_is_refused(joint, fit):
    with pytest.raises(ValueError):
        fit(joint[1])


def test_predictions_that_are_asked_for_wrongly_are_refused(joint, fitted):
    x = joint[1][:4, :3]
    for call in (
        lambda: fitted.predict_quantile(x, 1.5),
        lambda: fitted.predict_interval(x, 90),
        lambda: fitted.predict(x[:, :2]),
        lambda: fitted.log_density(x, x[:, 0]),
        lambda: fitted.log_density(x, np.full((4, 2), np.nan)),
        lambda: MixtureRegressor().predict(x),
    ):
        with pytest.raises(ValueError):
            call()


# -- regression by a network


def sinusoid(count, seed):
    """Several targets fit each row: x = y + .3 sin(2 pi y) + noise, turned round (Bishop, 1994)."""
    random = np.random.RandomState(seed)
    y = random.rand(count)
    return (y + 0.3 * np.sin(2 * np.pi * y) + 0.05 * random.randn(count))[:, None], y


def test_a_network_learns_what_no_line_does():
    x, y = sinusoid(1500, 0)
    network = MixtureDensityRegressor(4, epochs=60, random_state=0).fit(x, y)
    new = sinusoid(1000, 1)
    line = MixtureRegressor(1).fit(x, y)
    assert network.score(*new) > line.score(*new) + 0.5
    middle = network.predict_distribution([[0.5]])
    modes = middle.log_prob(torch.tensor([[0.2], [0.35], [0.5], [0.65], [0.8]])).squeeze(-1)
    assert modes[0] > modes[1] and modes[4] > modes[3]  # two branches, apart


def test_the_same_seed_gives_the_same_network():
    x, y = sinusoid(300, 0)
    before = torch.random.get_rng_state()
    one, again = (MixtureDensityRegressor(2, **QUICK).fit(x, y).predict(x) for _ in range(2))
    np.testing.assert_array_equal(one, again)
    assert torch.equal(before, torch.random.get_rng_state())
    other = MixtureDensityRegressor(2, **{**QUICK, "random_state": 1}).fit(x, y).predict(x)
    assert not np.array_equal(one, other)


def test_rows_that_weigh_nothing_are_not_seen_by_a_network():
    x, y = sinusoid(400, 0)
    spoiled = np.concatenate([y, 1e6 + y]), np.concatenate([np.ones(400), np.zeros(400)])
    found = MixtureDensityRegressor(2, **QUICK).fit(np.concatenate([x, x]), spoiled[0], sample_weight=spoiled[1])
    assert np.abs(found.predict(x)).max() < 10


def test_heavy_rows_count_more_to_a_network():
    x, y = sinusoid(600, 0)
    shifted = np.concatenate([y, y + 3])
    weight = np.concatenate([np.full(600, 9.0), np.full(600, 1.0)])
    found = MixtureDensityRegressor(2, epochs=15, random_state=0).fit(np.concatenate([x, x]), shifted, weight)
    assert found.predict(x).mean() == pytest.approx(np.average(shifted, weights=weight), abs=0.15)


# -- outliers


def test_the_false_alarm_rate_is_the_one_asked_for():
    """The flags among new rows are beta-binomial about the promised rate: many seeds together."""
    rate, flagged, seeds, new = 0.1, 0, 40, 200
    for seed in range(seeds):
        x = np.random.RandomState(seed).standard_t(3, size=(130 + new, 2))
        detector = MixtureOutlierDetector(false_alarm_rate=rate, calibration=0.45, random_state=0).fit(x[:130])
        assert len(detector.alarm_.held_out) == 58
        flagged += (detector.predict(x[130:]) == -1).sum()
    promised = math.floor(rate * 59) / 59
    spread = math.sqrt((promised * (1 - promised) / 60 + promised * (1 - promised) / new) / seeds)
    assert abs(flagged / (seeds * new) - promised) < 4 * spread


@pytest.mark.slow
def test_flags_thresholds_and_p_values_agree():
    x = np.random.RandomState(0).randn(400, 3)
    detector = MixtureOutlierDetector(StudentTMixture(2, random_state=0), random_state=0).fit(x)
    new = np.concatenate([x, 8 + x[:5]])
    labels, decision = detector.predict(new), detector.decision_function(new)
    np.testing.assert_array_equal(labels == -1, decision < 0)
    np.testing.assert_array_equal(labels == -1, detector.p_value(new) <= 0.05)
    np.testing.assert_allclose(decision, detector.score_samples(new) - detector.offset_)
    assert (labels[-5:] == -1).all()


def test_too_few_rows_for_a_rate_flag_nothing_and_say_so():
    x = np.random.RandomState(0).randn(20, 2)
    with pytest.warns(UserWarning, match="false-alarm rate"):
        detector = MixtureOutlierDetector(GaussianMixture(), false_alarm_rate=0.01, random_state=0).fit(x)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        assert (detector.predict([[1e3, 1e3]]) == 1).all()


def test_a_fit_that_did_not_converge_is_told():
    x = np.random.RandomState(0).randn(200, 3)
    with pytest.warns(ConvergenceWarning):
        MixtureRegressor(4, method=mx.EM(2), random_state=0).fit(x[:, :2], x[:, 2])
