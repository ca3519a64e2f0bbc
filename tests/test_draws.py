"""How draws are made: labels, standard normal numbers and colouring, each way against the law."""

import pytest
import torch
from scipy import stats

import mixtura as mx
from mixtura.components.special.normal_draws import standard_normal
from mixtura.mixture.draws import locate

LIKE = torch.empty(0, dtype=torch.float64)


@pytest.mark.parametrize("count", [4095, 4096, 4097, 2**15, 2**15 + 1, 200_001])
def test_normal_numbers_follow_the_normal_law(count):
    z = standard_normal((count,), LIKE, torch.Generator().manual_seed(count))
    assert z.shape == (count,) and stats.kstest(z.numpy(), stats.norm.cdf).pvalue > 1e-4
    tail = (z.abs() > 3).sum().item()
    assert stats.binomtest(tail, count, 2 * stats.norm.sf(3)).pvalue > 1e-4


def test_normal_numbers_are_independent():
    z = standard_normal((2, 2**15), LIKE, torch.Generator().manual_seed(0))
    for lag in (1, 2, 2**14 - 1, 2**14, 2**14 + 1):  # the two numbers of a pair lie half a block apart
        a, b = z.flatten()[:-lag].numpy(), z.flatten()[lag:].numpy()
        assert stats.pearsonr(a, b).pvalue > 1e-4
        assert stats.pearsonr(a**2, b**2).pvalue > 1e-4


def test_normal_numbers_obey_the_generator():
    one, two = (standard_normal((50_000,), LIKE, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(one, two)


@pytest.mark.parametrize("batch", [(), (3,)])
def test_labels_are_those_of_a_search(batch):
    weights = torch.rand(*batch, 7, dtype=torch.float64)
    weights[..., [0, 3, 6]] = 0
    cumulative = weights.cumsum(-1) / weights.sum(-1, keepdim=True)
    draws = torch.rand(*batch, 5000, dtype=torch.float64)
    draws[..., :6] = cumulative[..., :6]  # on the edges
    draws[..., 6] = 0
    inside = draws[..., 7:] if not batch else draws[..., 7:].contiguous()
    for u in (inside, draws.clamp(max=1 - 2**-53)):
        assert torch.equal(locate(cumulative, u), torch.searchsorted(cumulative, u.contiguous(), right=True))


@pytest.mark.parametrize("components", [1, 2, 4, 5, 33, 100, 257])
@pytest.mark.parametrize("count", [4000, 300_000])
def test_labels_of_many_are_those_of_a_search(components, count):
    generator = torch.Generator().manual_seed(components)
    weights = torch.rand(components, dtype=torch.float64, generator=generator).pow(8)  # some parts hold many edges
    weights[torch.rand(components, generator=generator) < 0.2] = 0
    weights[components // 2] = 1
    cumulative = weights.cumsum(-1) / weights.sum()
    near = torch.cat([cumulative, cumulative.nextafter(cumulative - 1), torch.arange(64, dtype=torch.float64) / 64])
    u = torch.rand(count, dtype=torch.float64, generator=generator)
    u[: len(near)] = near.clamp(max=1 - 2**-53)
    assert torch.equal(locate(cumulative, u), torch.searchsorted(cumulative, u, right=True))


@pytest.mark.parametrize("components", [3, 6, 100])
def test_labels_are_counted_as_a_multinomial(components):
    weights = torch.arange(1.0, components + 1, dtype=torch.float64)
    weights[1] = 0
    mixture = mx.Mixture(weights, mx.Normal(torch.zeros(components), torch.ones(components)))
    labels = mixture.sample_labels((400_000,), torch.Generator().manual_seed(1))
    counts, expected = torch.bincount(labels, minlength=components), 400_000 * weights / weights.sum()
    assert counts[1] == 0
    seen = weights > 0
    assert stats.chisquare(counts[seen].numpy(), expected[seen].numpy()).pvalue > 1e-4
    high = 3 * labels // (2 * components)
    one, other = high[:-1], high[1:]  # in random order: neighbours know nothing of each other
    pairs = torch.bincount(2 * one + other, minlength=4).view(2, 2)
    assert stats.chi2_contingency(pairs.numpy()).pvalue > 1e-4


@pytest.mark.parametrize("structure", ["full", "tied-full", "diagonal", "tied-diagonal", "spherical", "tied-spherical"])
@pytest.mark.parametrize("rows", [40, 30_000])
def test_every_component_draws_its_own_law(structure, rows):
    generator = torch.Generator().manual_seed(7)
    mean = torch.tensor([[0.0, 10.0, -3.0], [5.0, -2.0, 1.0]], dtype=torch.float64)
    factor = torch.tensor([[2.0, 0, 0], [1.5, 0.4, 0], [-0.3, 0.9, 1.1]], dtype=torch.float64)
    template = mx.components.structure(structure).with_covariance(
        (factor @ factor.T).expand(1 if "tied" in structure else 2, 3, 3)
    )
    gaussian = mx.Gaussian(mean, template)
    labels = torch.arange(rows) % 2
    x = gaussian.draw(labels, generator)
    for k in range(2):
        z = gaussian.take([k]).structure.whiten((x[labels == k] - mean[k]).unsqueeze(1)).squeeze(1)
        assert stats.kstest(z.flatten().numpy(), stats.norm.cdf).pvalue > 1e-4
        assert all(stats.pearsonr(z[:, i], z[:, j]).pvalue > 1e-4 for i, j in ((0, 1), (0, 2), (1, 2)))


def test_a_number_of_draws_is_no_shape():
    mixture = mx.Mixture(torch.ones(2), mx.Normal(torch.zeros(2), torch.ones(2)))
    with pytest.raises(mx.errors.MixtureError, match=r"`sample_shape` must be a shape; got 5\. Write \(5,\)"):
        mixture.sample(5)
