"""Boxes of up to three correlated coordinates in machine code: against quadrature, scipy, and torch's way."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from mixtura.kernels.boxes import known_in_boxes, serves_boxes
from mixtura.observation.interval import in_box

INF = math.inf
WIDTHS = {"narrow": 0.4, "as wide as scales": 2.0, "wide": 8.0}


@pytest.fixture(autouse=True)
def double():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def correlated(features, correlation, scales=(1.0, 3.0, 0.5)):
    scale = torch.tensor(scales[:features])
    matrix = torch.eye(features) * (1 - correlation) + correlation
    return scale.unsqueeze(-1) * matrix * scale


def boxes(covariance, width, count, far=2.0, seed=0):
    """Boxes of one size, in scales, around points that lie as many scales away."""
    source = torch.Generator().manual_seed(seed)
    scale = covariance.diagonal().sqrt()
    points = torch.randn(count, len(scale), generator=source) @ torch.linalg.cholesky(covariance).mT * far
    return points - width * scale / 2, points + width * scale / 2


def by_quadrature(covariance, low, high, each, pieces):
    """Log probability, mean and second moment of zero-mean vectors in boxes, by as many nodes as it takes."""
    place, weight = (torch.tensor(one) for one in np.polynomial.legendre.leggauss(each))
    place = torch.cat([(i + (place + 1) / 2) / pieces for i in range(pieces)])
    weight = weight.repeat(pieces) / 2 / pieces
    features = low.shape[-1]
    grid = torch.cartesian_prod(*[place] * features)
    share = torch.cartesian_prod(*[weight.log()] * features).sum(-1)
    law = torch.distributions.MultivariateNormal(torch.zeros(features), covariance)
    found = []
    for a, b in zip(low, high, strict=True):
        x = a + (b - a) * grid
        value = law.log_prob(x) + share + (b - a).log().sum()
        inside = torch.softmax(value, 0)
        found.append((torch.logsumexp(value, 0), inside @ x, (inside * x.mT) @ x))
    return [torch.stack(one) for one in zip(*found, strict=True)]


def assert_alike(found, expected, scale, digits):
    for i, (one, other) in enumerate(zip(found, expected, strict=True)):
        unit = (1.0, scale, scale.unsqueeze(-1) * scale)[i]
        assert ((one[:, 0] - other).abs() / unit).max() < digits


@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS)
@pytest.mark.parametrize("correlation", [0.0, 0.5, -0.9, 0.99])
@pytest.mark.parametrize("sized", ["one size", "any size"])
def test_two_coordinates_are_those_of_quadrature(width, correlation, sized):
    covariance = correlated(2, correlation)
    low, high = boxes(covariance, width, 12)
    if sized == "any size":
        high = high + torch.rand(high.shape, generator=torch.Generator().manual_seed(1))
    found = in_box(torch.zeros(1, 1, 2), covariance[None, None], low, high, 256)
    assert_alike(found, by_quadrature(covariance, low, high, 60, 8), covariance.diagonal().sqrt(), 1e-9)


@pytest.mark.parametrize("far", [1.0, 8.0, 15.0])
@pytest.mark.parametrize("width", [0.4, 1.5])
def test_three_coordinates_are_those_of_quadrature(far, width):
    covariance = correlated(3, 0.6)
    low, high = boxes(covariance, width, 6, far)
    for ends in ((low, high), (low, high + torch.arange(6.0).unsqueeze(-1) / 5)):
        found = in_box(torch.zeros(1, 1, 3), covariance[None, None], *ends, 256)
        assert_alike(found, by_quadrature(covariance, *ends, 24, 3), covariance.diagonal().sqrt(), 1e-9 * far**2)


@pytest.mark.parametrize(("correlation", "digits"), [(0.0, 1e-11), (0.5, 1e-11), (0.95, 1e-11), (0.999, 1e-8)])
def test_quadrants_have_their_probability(correlation, digits):
    covariance = correlated(2, correlation)
    inside = in_box(torch.zeros(1, 1, 2), covariance[None, None], torch.zeros(1, 2), torch.full((1, 2), INF), 256)
    assert inside.log_prob.exp().item() == pytest.approx(0.25 + math.asin(correlation) / 2 / math.pi, abs=digits)
    mean = (1 + correlation) / (2 * math.sqrt(2 * math.pi)) / inside.log_prob.exp().item()
    assert torch.allclose(inside.shift[0, 0], mean * torch.tensor([1.0, 3.0]), rtol=100 * digits)


@pytest.mark.parametrize(("correlation", "digits"), [(0.0, 1e-11), (0.4, 1e-10), (0.9, 1e-9), (0.99, 1e-6)])
def test_octants_have_their_probability(correlation, digits):
    covariance = correlated(3, correlation)
    inside = in_box(torch.zeros(1, 1, 3), covariance[None, None], torch.zeros(1, 3), torch.full((1, 3), INF), 256)
    expected = 1 / 8 + 3 * math.asin(correlation) / 4 / math.pi
    assert inside.log_prob.exp().item() == pytest.approx(expected, abs=digits)


def test_orthants_are_those_of_scipy():
    covariance = correlated(3, 0.3)
    high = torch.randn(4, 3, generator=torch.Generator().manual_seed(0)) * torch.tensor([1.0, 3.0, 0.5])
    found = in_box(torch.zeros(1, 1, 3), covariance[None, None], torch.full((4, 3), -INF), high, 256)
    law = stats.multivariate_normal(np.zeros(3), covariance.numpy(), maxpts=1_000_000, abseps=1e-8, releps=1e-8)
    expected = torch.tensor([law.logcdf(one.numpy()) for one in high])
    assert torch.allclose(found.log_prob[:, 0], expected, atol=1e-5)


def several(components, features, mixed=0.3, seed=0):
    source = torch.Generator().manual_seed(seed)
    root = torch.randn(components, features, features, generator=source) * mixed + torch.eye(features)
    return 2 * torch.randn(1, components, features, generator=source), (root @ root.mT)[None]


def rows_of_all_kinds(count, features, seed=1):
    """Coordinates that are recorded, rounded, censored at either side, or not known."""
    source = torch.Generator().manual_seed(seed)
    x = 2 * torch.randn(count, features, generator=source)
    kind = torch.randint(5, (count, features), generator=source)
    low = torch.where(kind >= 3, -INF, torch.where(kind == 1, x - 0.25, x))
    high = torch.where((kind == 2) | (kind == 4), INF, torch.where(kind == 1, x + 0.25, x))
    return low, high


@pytest.mark.parametrize("features", [1, 2, 3, 5])
def test_machine_code_and_torch_agree(features):
    mean, covariance = several(4, features, mixed=0.1)
    low, high = rows_of_all_kinds(150, features)
    most = ((low < high) & (low.isfinite() | high.isfinite())).sum(-1) <= 3
    low, high = low[most], high[most]
    fast = in_box(mean, covariance, low, high, 256)
    slow = in_box(mean.clone().requires_grad_(), covariance, low, high, 256)
    assert not fast.log_prob.requires_grad
    assert slow.log_prob.requires_grad
    for one, other, digits in zip(fast, slow, (1e-4, 1e-3, 1e-2), strict=True):
        assert torch.allclose(one, other, atol=digits)


def test_what_is_known_does_not_hang_on_the_other_rows_and_components():
    mean, covariance = several(9, 3)
    low, high = rows_of_all_kinds(100, 3)
    whole = in_box(mean, covariance, low, high, 256)
    for row, k in ((0, 0), (17, 8), (99, 3)):
        alone = in_box(mean[:, [k]], covariance[:, [k]], low[[row]], high[[row]], 256)
        for one, other in zip(whole, alone, strict=True):
            assert torch.allclose(one[row, k], other[0, 0], rtol=1e-8, atol=1e-8)


def test_threads_write_what_one_thread_does():
    mean, covariance = several(6, 3)
    low, high = rows_of_all_kinds(6000, 3)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = in_box(mean, covariance, low, high, 256)
        torch.set_num_threads(2)
        two = in_box(mean, covariance, low, high, 256)
    finally:
        torch.set_num_threads(threads)
    for first, second in zip(one, two, strict=True):
        assert torch.allclose(first, second, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("features", [2, 3])
def test_a_component_without_a_width_has_no_number(features):
    mean, covariance = several(3, features)
    covariance[0, 1] = 1.0  # of rank one
    low, high = boxes(covariance[0, 0], 0.5, 40)
    found = in_box(mean, covariance, low, high, 256)
    for one in found:
        assert one[:, 1].isnan().all()
        assert one[:, [0, 2]].isfinite().all()


def test_only_what_the_pass_reads_is_given_to_it():
    mean, covariance = several(2, 4)
    low, high = boxes(covariance[0, 0], 0.5, 3)
    out = torch.empty(3, 2), torch.empty(2, 3, 4), torch.empty(2, 3, 4, 4)
    law, limits = (mean, covariance), (low, high)
    if not serves_boxes(law, limits, 3):
        pytest.skip("nothing compiles here")
    assert not serves_boxes(law, limits, 4)
    assert not serves_boxes((mean.requires_grad_(), covariance), limits, 3)
    assert not serves_boxes((mean.float(), covariance.float()), limits, 3)
    known_in_boxes((mean, covariance), limits, torch.arange(3), ([1], [0, 2, 3]), out)
    assert all(one.isfinite().all() for one in out)
