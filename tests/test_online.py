"""Online EM: its running sums, its limit, and its blocks."""

import pytest
import torch

import mixtura as mx

F64 = torch.float64
STRUCTURES = ["full", "diagonal", "spherical", "tied-full", "tied-diagonal", "tied-spherical"]


def groups(rows=3000, seed=0):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(3, (rows,), generator=generator)
    centres = torch.tensor([[0.0, 0.0], [5.0, 1.0], [2.0, 6.0]], dtype=F64)
    return centres[labels] + torch.randn(rows, 2, generator=generator, dtype=F64) * torch.tensor([1.0, 0.6], dtype=F64)


@pytest.mark.parametrize("covariance", STRUCTURES)
def test_sums_are_restated_exactly(covariance):
    x = groups(200)
    old = mx.fit(x, 3, covariance=covariance, method=mx.EM(2, tolerance=0)).mixture
    new = mx.fit(x, 3, covariance=covariance, method=mx.EM(30, tolerance=0)).mixture
    r = torch.rand(200, 3, dtype=F64, generator=torch.Generator().manual_seed(1))
    weight = r.sum(0)
    about_old = mx.learning.Statistics(weight.sum(), weight, old.components.statistics(x, r))
    found = new.components.restated(about_old, old.components).moments
    for ours, direct in zip(found, new.components.statistics(x, r), strict=True):
        torch.testing.assert_close(ours, direct)


@pytest.mark.parametrize("family", ["gaussian", "student", "poisson"])
def test_one_block_with_all_rows_is_one_step_of_em(family):
    x = groups(300)
    options = {"gaussian": {}, "student": {"family": mx.StudentT}, "poisson": {"family": mx.Poisson}}[family]
    x = x.abs().round()[:, 0] if family == "poisson" else x
    start = mx.fit(x, 2, method=mx.EM(1, tolerance=0), **options).mixture
    em = mx.fit(x, init=start, method=mx.EM(1, tolerance=0), **options).mixture
    online = mx.fit(x, init=start, method=mx.OnlineEM(block=300), **options).mixture
    torch.testing.assert_close(online.components.mean, em.components.mean)
    torch.testing.assert_close(online.logits, em.logits)


@pytest.mark.parametrize("family", ["gaussian", "student", "poisson"])
@pytest.mark.slow
def test_many_passes_approach_em(family):
    x = groups()
    options = {
        "gaussian": {},
        "student": {"family": mx.StudentT.template(fixed=5.0)},
        "poisson": {"family": mx.Poisson},
    }[family]
    x = x.abs().round()[:, 0] if family == "poisson" else x
    best = mx.fit(x, 2, **options)
    start = mx.fit(x, 2, method=mx.EM(2, tolerance=0), **options).mixture
    gap = []
    for passes in (1, 30):
        online = mx.fit(x, init=start, method=mx.OnlineEM(passes, block=300, exponent=0.7), **options)
        gap.append(best.log_likelihood - online.log_likelihood)
    assert gap[1] < gap[0]
    assert gap[1] < 0.5  # of thousands of nats


def test_a_stream_is_the_same_block_by_block():
    x = groups()
    start = mx.fit(x[:500], 3).mixture
    whole = mx.fit(x, init=start, method=mx.OnlineEM(block=500))
    fit = mx.fit(x[:500], init=start, method=mx.OnlineEM(block=500))
    for block in x[500:].split(500):
        fit = fit.partial_fit(block)
    torch.testing.assert_close(fit.mixture.components.mean, whole.mixture.components.mean)
    assert fit.method.seen == whole.method.seen == 6
    assert fit.reason is mx.Reason.FINISHED


def test_without_forgetting_one_component_learns_the_sample_moments():
    x = groups(1000)
    fit = mx.fit(x, 1, method=mx.OnlineEM(block=100, exponent=1.0, delay=1.0))
    torch.testing.assert_close(fit.mixture.mean, x.mean(0))
    torch.testing.assert_close(fit.mixture.covariance, torch.cov(x.T, correction=0))


def test_integer_weights_are_repetitions():
    x = groups(400)
    weight = torch.full((400,), 2.0, dtype=F64)
    start = mx.fit(x, 3).mixture
    weighted = mx.fit(x, init=start, method=mx.OnlineEM(block=100), sample_weight=weight)
    repeated = mx.fit(x.repeat_interleave(2, 0), init=start, method=mx.OnlineEM(block=200))
    torch.testing.assert_close(weighted.mixture.components.mean, repeated.mixture.components.mean)


def test_the_trace_scores_each_block_before_it_is_learned():
    x = groups()
    start = mx.fit(x[:500], 3).mixture
    fit = mx.fit(x, init=start, method=mx.OnlineEM(block=1000))
    assert fit.trace[0].item() == pytest.approx(start.log_prob(x[:1000]).mean().item())


def test_blocks_of_another_width_are_refused():
    fit = mx.fit(groups(), 2, method=mx.OnlineEM())
    with pytest.raises(mx.errors.MixtureError, match="rows of shape"):
        fit.partial_fit(torch.zeros(10, 3, dtype=F64))


def noisy(generator):
    return 2 * torch.randn(100, 2, generator=generator, dtype=F64)


def test_further_blocks_are_read_as_the_rows_before():
    """Through noise that is half of the spread; and a table's columns by their names."""
    generator = torch.Generator().manual_seed(0)
    x, more = noisy(generator), noisy(generator)
    noise = mx.observation.AdditiveNoise(scale=2**0.5)
    start = mx.fit(x, 1, observation=noise).mixture
    method = mx.OnlineEM(block=100)
    whole = mx.fit(torch.cat([x, more]), init=start, method=method, observation=noise).mixture
    fit = mx.fit({"a": x[:, 0], "b": x[:, 1]}, init=start, method=method, observation=noise)
    fit = fit.partial_fit({"b": more[:, 1], "a": more[:, 0]})
    torch.testing.assert_close(fit.mixture.covariance, whole.covariance)
    torch.testing.assert_close(fit.mixture.mean, whole.mean)
    assert fit.mixture.columns == ("a", "b")
