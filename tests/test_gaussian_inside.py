"""Families with a Gaussian inside: one way in, one way out, and what follows from it."""

from __future__ import annotations

import pytest
import tables
import torch

import mixtura as mx
from mixtura.errors import NotClosedForm
from mixtura.learning.methods.gibbs import flatten
from mixtura.learning.results.relabel import average
from mixtura.learning.starts.splitting import splits

INSIDE = {name: one for name, one in tables.FAMILIES.items() if one.has_gaussian}
OTHERS = {name: one for name, one in tables.FAMILIES.items() if not one.has_gaussian}


def weighed(components: mx.components.Component) -> mx.Mixture:
    weights = torch.arange(1.0, components.batch_shape[-1] + 1, dtype=torch.float64)
    return mx.Mixture(weights / weights.sum(), components)


def batched(mixture: mx.Mixture, draws: int) -> mx.Mixture:
    return mixture.map(lambda tensor: tensor.expand(draws, *tensor.shape))


@pytest.mark.parametrize("name", INSIDE)
def test_a_family_around_its_own_gaussian_is_itself(name):
    components = INSIDE[name]
    assert components.gaussian.features == components.event_shape.numel()
    x = weighed(components).sample((20,), torch.Generator().manual_seed(0))
    again = components.with_gaussian(components.gaussian)
    assert type(again) is type(components)
    assert torch.equal(again.log_prob(x), components.log_prob(x))


@pytest.mark.parametrize("name", INSIDE)
def test_what_is_gaussian_has_the_gaussians_density(name):
    components = INSIDE[name]
    if not components.is_gaussian:
        with pytest.raises(NotClosedForm, match="no closed form"):
            _ = components.gaussian_law
        pytest.skip(f"the law of a {type(components).__name__} is not Gaussian")
    x = weighed(components).sample((20,), torch.Generator().manual_seed(0))
    rows = x.reshape(20, -1)
    assert torch.equal(components.gaussian_law.log_prob(rows), components.log_prob(x))


@pytest.mark.parametrize("name", OTHERS)
def test_others_say_that_there_is_none(name):
    with pytest.raises(NotClosedForm, match="no Gaussian inside"):
        _ = OTHERS[name].gaussian
    with pytest.raises(NotClosedForm, match="no Gaussian inside"):
        OTHERS[name].with_gaussian(INSIDE["normal"].gaussian)


@pytest.mark.parametrize("name", INSIDE)
def test_the_mixture_of_equal_draws_is_the_draw(name):
    mixture = weighed(INSIDE[name])
    x = mixture.sample((20,), torch.Generator().manual_seed(0))
    torch.testing.assert_close(flatten(batched(mixture, 3)).log_prob(x), mixture.log_prob(x))
    middle = average(batched(mixture, 3))
    assert type(middle.components) is type(mixture.components)
    torch.testing.assert_close(middle.log_prob(x), mixture.log_prob(x))


@pytest.mark.parametrize("name", INSIDE)
def test_a_component_splits_along_its_gaussians_axis(name):
    mixture = weighed(INSIDE[name])
    found = splits(mixture)
    count = mixture.logits.shape[-1]
    assert found is not None and found.batch_shape == (count,)
    for k in range(count):
        inside = found.batch(k).components.gaussian.location
        centre = mixture.components.gaussian.location[k]
        torch.testing.assert_close(0.5 * (inside[k] + inside[-1]), centre)
        assert not torch.equal(inside[k], centre)
    torch.testing.assert_close(found.weights.sum(-1), torch.ones(count, dtype=torch.float64))


@pytest.mark.parametrize("structure", ["full", "tied-full"])
def test_log_normals_merge_as_the_gaussians_of_their_logarithms(structure):
    gaussian = mx.Mixture(tables.tensor(0.3, 0.7), tables.GAUSSIANS[structure])
    image = mx.Mixture(tables.tensor(0.3, 0.7), mx.LogNormal(tables.MEAN, tables.STRUCTURES[structure]))
    x = image.sample((20,), torch.Generator().manual_seed(0))
    merged = image.reduce(1)
    assert isinstance(merged.components, mx.LogNormal)
    torch.testing.assert_close(merged.log_prob(x), gaussian.reduce(1).log_prob(x.log()) - x.log().sum(-1))


def test_the_predictive_of_a_tied_log_normal_is_the_mean_of_its_draws():
    x = mx.datasets.old_faithful()
    prior = mx.Prior(1.0, mx.NormalInverseWishart(x.log().mean(0), 0.1, 0.1 * torch.eye(2).double(), 4.0))
    method = mx.Gibbs(10, 5, 1, prior, torch.Generator().manual_seed(0))
    fit = mx.fit(x, 2, "tied-full", method, family=mx.LogNormal)
    each = torch.stack([fit.draws.batch(s).log_prob(x) for s in range(10)])
    torch.testing.assert_close(fit.predictive.log_prob(x), each.logsumexp(0) - torch.tensor(10.0).log())


def test_the_predictive_of_variational_log_normals_is_refused():
    x = mx.datasets.old_faithful()
    prior = mx.Prior(1.0, mx.NormalInverseWishart(x.log().mean(0), 0.1, 0.1 * torch.eye(2).double(), 4.0))
    fit = mx.fit(x, 2, "full", mx.Variational(prior=prior), family=mx.LogNormal)
    with pytest.raises(NotClosedForm, match="predictive"):
        _ = fit.predictive
