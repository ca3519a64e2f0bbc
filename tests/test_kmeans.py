"""Laws of K-means, with brute force and scikit-learn as oracles."""

import math

import pytest
import torch
from sklearn.cluster import KMeans as SklearnKMeans

import mixtura as mx

F64 = torch.float64


def blobs(rows, features, components, seed=0, dtype=F64, offset=0.0):
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(components, features, generator=generator, dtype=dtype) * 4 + offset
    labels = torch.randint(components, (rows,), generator=generator)
    return centres[labels] + torch.randn(rows, features, generator=generator, dtype=dtype)


def brute(x, means):
    squares = (x[:, None] - means).square().sum(-1)
    return squares.min(-1)


def test_ends_where_scikit_learn_does():
    x = blobs(2000, 3, 5)
    start = x[:5].clone()
    ours = mx.fit(x, init=start, method=mx.KMeans(tolerance=1e-14))
    theirs = SklearnKMeans(5, init=start.numpy(), n_init=1, tol=0, algorithm="lloyd").fit(x.numpy())
    assert ours.inertia == pytest.approx(theirs.inertia_, rel=1e-10)
    torch.testing.assert_close(ours.mixture.components.mean, torch.from_numpy(theirs.cluster_centers_))


@pytest.mark.parametrize("seed", range(4))
def test_objective_never_rises_and_is_the_sum_of_squares(seed):
    x = blobs(300, 2, 4, seed)
    fit = mx.fit(x, init=x[:7].clone(), method=mx.KMeans())
    assert (fit.inertias.diff() <= 1e-9 * fit.inertias[0]).all()
    assert fit.inertia == pytest.approx(brute(x, fit.mixture.components.mean).values.sum().item(), rel=1e-10)


def test_centres_are_the_means_of_their_rows():
    x = blobs(300, 2, 4)
    means = mx.fit(x, 4, method=mx.KMeans(tolerance=1e-14)).mixture.components.mean
    labels = brute(x, means).indices
    torch.testing.assert_close(means, torch.stack([x[labels == k].mean(0) for k in range(4)]))


def test_clusters_without_rows_take_far_ones():
    x = blobs(200, 2, 3)
    far = torch.tensor([[0.0, 0.0], [1e3, 1e3], [-1e3, 0.0], [1e4, 0.0]], dtype=F64)
    fit = mx.fit(x, init=far, method=mx.KMeans())
    used = torch.bincount(brute(x, fit.mixture.components.mean).indices, minlength=4)
    assert (used > 0).all()
    assert (fit.inertias.diff() <= 0).all()


def test_a_moved_row_leaves_one_sum_and_joins_another():
    x = blobs(50, 2, 2)
    means = torch.stack((x[0], x[1], torch.full((2,), 1e4, dtype=F64)))
    start = mx.learning.methods.kmeans.centres(means.unsqueeze(0), torch.ones((), dtype=F64))
    statistics = mx.KMeans().expect(start, mx.data.rows(x))
    weight, shift, scatter = statistics.moments[2:]
    distance, index = brute(x, means)
    index[distance.argmax()] = 2
    gap = x - means[index]
    torch.testing.assert_close(weight[0], torch.bincount(index, minlength=3).double())
    torch.testing.assert_close(shift[0], torch.zeros(3, 2, dtype=F64).index_add_(0, index, gap))
    torch.testing.assert_close(scatter[0, 0], gap.square().sum())


def test_as_many_clusters_as_rows_leave_nothing():
    x = torch.tensor([[0.0], [1.0], [5.0], [5.0]], dtype=F64)
    fit = mx.fit(x, 3, method=mx.KMeans())
    assert fit.converged
    assert fit.inertia == pytest.approx(0, abs=1e-20)


def test_integer_weights_are_repetitions():
    x = blobs(100, 2, 3)
    weight = torch.randint(1, 4, (100,), generator=torch.Generator().manual_seed(1))
    start = x[:3].clone()
    weighted = mx.fit(x, init=start, method=mx.KMeans(), sample_weight=weight.double())
    repeated = mx.fit(x.repeat_interleave(weight, 0), init=start, method=mx.KMeans())
    torch.testing.assert_close(weighted.mixture.components.mean, repeated.mixture.components.mean)
    assert weighted.inertia == pytest.approx(repeated.inertia, rel=1e-10)


def chapter():
    """The data of a textbook chapter: 300 rows from three unit Gaussians, torch's generator seeded with 305."""
    torch.manual_seed(305)
    means = torch.tensor([[-3.0, -1.0], [1.0, 3.0], [3.0, -2.0]])
    labels = torch.distributions.Categorical(torch.tensor([0.3, 0.4, 0.3])).sample((300,))
    return means[labels] + torch.randn(300, 2), labels


def test_the_chapters_start_leads_to_its_local_optimum_and_ours_to_a_better_one():
    x, labels = chapter()
    assert torch.bincount(labels).tolist() == [85, 122, 93]
    torch.manual_seed(0)
    local = mx.fit(x, init=x[torch.randperm(300)[:3]], method=mx.KMeans())
    assert local.inertia == pytest.approx(545.8244, abs=2e-3)
    printed = torch.tensor([[2.96, -2.01], [-2.87, -0.92], [1.08, 3.12]])
    torch.testing.assert_close(local.mixture.components.mean, printed, atol=6e-3, rtol=0)
    best = mx.fit(x, 3, method=mx.KMeans(), generator=torch.Generator().manual_seed(0))
    assert best.inertia == pytest.approx(545.7281, abs=2e-3)
    assert math.isclose(brute(x, best.mixture.components.mean).values.sum().item(), best.inertia, rel_tol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_perfect_fit_has_a_likelihood(dtype):
    x = torch.tensor([[0.3, 1.7], [5.1, 0.2], [0.3, 1.7], [9.4, 9.9]], dtype=dtype)
    fit = mx.fit(x, 3, method=mx.KMeans(), generator=torch.Generator().manual_seed(0))
    assert fit.inertia == pytest.approx(0.0, abs=1e-10)
    assert 0 < fit.log_likelihood < 1e4 and fit.mixture.components.variance.gt(0).all()
    assert (
        mx.fit(x[:1].expand(2, -1) + torch.eye(2, dtype=dtype), 2, method=mx.KMeans())
        .mixture.log_prob(x)
        .isfinite()
        .all()
    )
