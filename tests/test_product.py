"""Products of families on mixed tables, and families side by side with noise."""

import pytest
import torch

import mixtura as mx
from mixtura.errors import MixtureError
from mixtura.learning.methods.gibbs import flatten

D = torch.float64
NUMBERS = ["bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g"]


def codes(values):
    names = sorted(set(values))
    return torch.tensor([names.index(value) for value in values], dtype=D)


def penguins():
    """Complete rows: four measurements, the island and the sex; and the species, which no fit sees."""
    table = mx.datasets.penguins()
    whole = ~torch.stack([table[name] for name in NUMBERS]).isnan().any(0)
    whole &= torch.tensor([sex != "" for sex in table["sex"]])
    frame = {name: table[name][whole] for name in NUMBERS}
    frame |= {
        name: codes([v for v, kept in zip(table[name], whole, strict=True) if kept]) for name in ("island", "sex")
    }
    return frame, codes(table["species"])[whole].long()


def test_penguins_species_are_recovered_from_a_mixed_table():
    frame, species = penguins()
    family = mx.Product.template(
        (mx.Gaussian, NUMBERS), (mx.Categorical.template(categories=3), "island"), (mx.Bernoulli, "sex")
    )
    generator = torch.Generator().manual_seed(0)
    fit = mx.fit(frame, 3, covariance="tied-full", family=family, generator=generator)
    found = fit.mixture.assign(torch.stack(list(frame.values()), 1))
    confusion = torch.zeros(3, 3).index_put_((species, found), torch.ones(len(found)), accumulate=True)
    assert fit.converged
    assert confusion.amax(0).sum() >= 0.98 * len(species)  # each component is nearly of one species


def test_a_product_of_normals_is_a_diagonal_gaussian():
    x = mx.datasets.old_faithful()
    start = torch.tensor([[2.0, 54.0], [4.0, 80.0]], dtype=D)
    one = mx.fit(x, covariance="diagonal", init=start)
    other = mx.fit(x, family=mx.Product.template((mx.Normal, 1), (mx.Normal, 0)), init=start)
    assert other.log_likelihood == pytest.approx(one.log_likelihood, abs=1e-6)
    assert other.parameters == one.parameters
    assert torch.allclose(other.mixture.mean, one.mixture.mean, atol=1e-6)
    assert torch.allclose(other.mixture.covariance, one.mixture.covariance, atol=1e-6)


def test_marginal_and_condition_of_a_product():
    gaussian = mx.Gaussian(torch.zeros(2, 2, dtype=D), mx.Full(torch.tensor([[[2.0, 1.0], [1.0, 3.0]]] * 2, dtype=D)))
    product = mx.Product((gaussian, mx.Poisson(torch.tensor([1.0, 5.0], dtype=D))), ((0, 2), (1,)))
    mixture = mx.Mixture(torch.tensor([0.3, 0.7], dtype=D), product)
    x = mixture.sample((6,), generator=torch.Generator().manual_seed(0))
    for known, free in (([1], [0, 2]), ([2], [0, 1]), ([2, 1], [0]), ([0], [1, 2])):
        given = mixture.marginal(known)
        rest = mixture.condition(known, x[0, known])
        assert torch.allclose(given.log_prob(x[0, known]) + rest.log_prob(x[0, free]), mixture.log_prob(x[0]))


def test_priors_on_the_parts():
    frame, _ = penguins()
    family = mx.Product.template((mx.Normal, "body_mass_g"), (mx.Bernoulli, "sex"))
    x = torch.stack([frame["body_mass_g"], frame["sex"]], 1)
    priors = (mx.Prior.weak(frame["body_mass_g"], 2).components, mx.Conjugate.beta(3.0, 3.0))
    prior = mx.Prior(components=mx.priors.JointPrior(priors))
    rows = mx.data.rows(x, ["body_mass_g", "sex"])
    fit = mx.fit(rows, 2, family=family, method=mx.EM(prior=prior))
    assert fit.converged and bool((fit.trace.diff() > -1e-10).all())


def test_errors_of_a_product_name_the_column():
    frame, _ = penguins()
    with pytest.raises(mx.errors.MixtureError, match="in exactly one group"):
        mx.fit(frame, 2, family=mx.Product.template((mx.Normal, "sex")))
    with pytest.raises(mx.errors.MixtureError, match="'wing'"):
        mx.fit(frame, 2, family=mx.Product.template((mx.Normal, "wing")))
    family = mx.Product.template((mx.Gaussian, NUMBERS), (mx.Bernoulli, ["island", "sex"]))
    with pytest.raises(mx.errors.MixtureError, match="column 'island': 2"):
        mx.fit(frame, 2, family=family)


def outliers():
    generator = torch.Generator().manual_seed(0)
    groups = torch.randn(300, 2, generator=generator, dtype=D), 0.5 * torch.randn(200, 2, generator=generator, dtype=D)
    spread = 30 * torch.rand(60, 2, generator=generator, dtype=D) - 15
    return torch.cat([groups[0], groups[1] + torch.tensor([5.0, 0.0], dtype=D), spread])


def test_noise_takes_the_outliers():
    x = outliers()
    fit = mx.fit(x, 2, family=mx.Beside.with_noise(mx.Gaussian), generator=torch.Generator().manual_seed(0))
    mixture = fit.mixture
    assert fit.converged and mixture.parameters == 2 * 5 + 2
    far = (x.abs() > 8).any(-1)
    assert bool((mixture.assign(x[far]) == 2).all())
    assert mixture.weights[2] == pytest.approx(60 / 560, abs=0.03)
    alone = mx.fit(x, 2)
    assert fit.bic < alone.bic


def test_the_order_of_components_can_change():
    mixture = mx.fit(outliers(), 2, family=mx.Beside.with_noise(mx.Gaussian)).mixture
    x = outliers()
    turned = mixture._of(mixture.logits[[2, 0, 1]], mixture.components.take([2, 0, 1]))
    assert torch.allclose(turned.log_prob(x), mixture.log_prob(x))
    assert torch.equal(turned.assign(x), (mixture.assign(x) + 1) % 3)
    again = turned.components.update(turned.components.expect(turned.logits, x, None, mx.learning.soft))
    other = mixture.components.update(mixture.components.expect(mixture.logits, x, None, mx.learning.soft))
    assert torch.allclose(again.take([1, 2, 0]).mean, other.mean)
    drawn = turned.components.draw(torch.zeros(500, dtype=torch.long), torch.Generator().manual_seed(1))
    assert drawn.abs().max() > 10  # the noise now comes first


def test_a_given_box_is_kept():
    low, high = torch.full((2,), -20.0, dtype=D), torch.full((2,), 20.0, dtype=D)
    family = mx.Beside.with_noise(mx.Gaussian, low, high)
    components = mx.fit(outliers(), 2, family=family).mixture.components
    assert torch.equal(components.second.low[0], low) and torch.equal(components.second.high[0], high)


def test_selection_between_families_with_and_without_noise():
    families = (mx.Gaussian, mx.Beside.with_noise(mx.Gaussian), mx.StudentT)
    found = mx.select(outliers(), (2,), covariance="full", family=families, generator=torch.Generator().manual_seed(0))
    assert {one.covariance for one in found.table} == {"full", "Gaussian(full) + Uniform", "StudentT(full)"}
    assert found.table[-1].covariance == "full"


@pytest.mark.parametrize("covariance", ["full", "tied-full"])
def test_normals_on_several_columns_are_independent(covariance):
    x = mx.datasets.old_faithful()
    start = {"init": x[[0, 1]], "restarts": 1}
    together = mx.fit(x, covariance=covariance, family=mx.Product.template((mx.Normal, [0, 1])), **start)
    diagonal = mx.fit(x, covariance=covariance.replace("full", "diagonal"), **start)
    assert together.parameters == diagonal.parameters
    assert together.log_likelihood == pytest.approx(diagonal.log_likelihood, rel=1e-9)


def test_a_uniform_part_takes_the_box_of_its_columns():
    """Of all rows, also those that the sample on which starts are tried leaves out."""
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(20_000, 3, generator=generator, dtype=D)
    x[:, 1:] = x[:, 1:].clamp(0.1, 0.9)
    x[::5000, 1:] = torch.tensor([[-1.0, 2.0], [3.0, 2.0], [0.5, -4.0], [0.5, 0.5]], dtype=D)
    family = mx.Product.template((mx.Normal, 0), (mx.Uniform, 1), (mx.Normal, 2))
    boxed = mx.fit(x, 2, family=family).mixture.components.parts[1]
    assert boxed.low.tolist() == [-1.0, -1.0] and boxed.high.tolist() == [3.0, 3.0]
    family = mx.Product.template((mx.Normal, 0), (mx.Uniform, [2, 1]))
    boxed = mx.fit(x, 1, family=family).mixture.components.parts[1]
    assert boxed.low.tolist() == [[-4.0, -1.0]] and boxed.high.tolist() == [[2.0, 3.0]]


def beside(entries):
    """A batch of normals and uniforms side by side, numbered uniform first."""
    generator = torch.Generator().manual_seed(0)
    loc = torch.randn(entries, 2, generator=generator, dtype=D)
    low = -10 - torch.rand(entries, 1, generator=generator, dtype=D)
    both = mx.Beside(mx.Normal(loc, loc.exp()), mx.Uniform(low, -low)).take([2, 0, 1])
    return mx.Mixture(torch.rand(entries, 3, generator=generator, dtype=D), both)


def test_components_side_by_side_are_put_in_another_order():
    batch, x = beside(3), torch.linspace(-4, 4, 9, dtype=D).unsqueeze(-1)
    order = torch.tensor([[1, 0, 2], [2, 0, 1], [1, 0, 2]])
    found = mx.learning.reorder(batch, order)
    wanted = torch.take_along_dim(batch.log_joint(x), order.expand(9, 3, 3), -1)
    torch.testing.assert_close(found.log_joint(x), wanted)
    with pytest.raises(mx.errors.MixtureError, match="same family at every place"):
        mx.learning.reorder(batch, torch.tensor([[0, 1, 2], [2, 0, 1], [1, 0, 2]]))


def test_a_batch_side_by_side_becomes_one_mixture_entry_by_entry():
    batch, x = beside(4), torch.linspace(-4, 4, 9, dtype=D)
    flat = flatten(batch)
    wanted = batch.log_joint(x.unsqueeze(-1)).flatten(1) - torch.tensor(4.0, dtype=D).log()
    torch.testing.assert_close(flat.log_joint(x), wanted)


def test_outliers_behind_an_observation_have_a_box():
    generator = torch.Generator().manual_seed(0)
    clean = torch.cat([0.2 * torch.randn(200, generator=generator, dtype=D), torch.linspace(-10, 10, 21, dtype=D)])
    x = clean + torch.randint(0, 2, clean.shape, generator=generator)
    family, shifts = mx.Beside.with_noise(mx.Normal), mx.observation.ShiftNoise(0, 2)
    fit = mx.fit(x, 1, family=family, observation=shifts)
    box = fit.mixture.components.second
    assert fit.converged and (box.high - box.low).item() > 15
    assert 0.05 < fit.mixture.weights[1].item() < 0.15


def test_every_family_on_numbers_can_be_part_of_a_product():
    x = torch.randn(60, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64).exp()
    for one in (mx.Laplace, mx.Weibull, mx.Gamma, mx.StudentT, mx.LogNormal, mx.InverseGamma):
        fit = mx.fit(x, 2, family=mx.Product.template((mx.Normal, 0), (one, 1)), method=mx.EM(20))
        assert fit.trace[-1] > fit.trace[0]


def test_regressions_among_other_columns_are_known_by_name():
    source = torch.Generator().manual_seed(0)
    a, label = torch.randn(300, generator=source).double(), torch.arange(300) % 2
    y = torch.where(label == 1, 2 * a + 1, -a) + 0.3 * torch.randn(300, generator=source).double()
    counts = torch.poisson(torch.where(label == 1, 2.0, 9.0), generator=source).double()
    table = {"n": counts.numpy(), "y": y.numpy(), "a": a.numpy()}
    line = mx.LinearRegression.template(target="y", features=["a"])
    family = mx.Product.template((line, ["a", "y"]), (mx.Poisson, "n"))
    fit = mx.fit(table, 2, family=family, generator=source)
    given = fit.mixture.condition(["a"], [[1.0]])
    both = torch.stack([counts, y], -1)
    joint = fit.mixture.condition(["a"], a.unsqueeze(-1)).log_prob(both)
    torch.testing.assert_close(joint, fit.mixture.log_prob(table))
    assert given.columns == ("n", "y") and (fit.mixture.assign(table) == fit.mixture.assign(table)[1]).sum() > 140
    table["twice"] = 2 * table["a"]
    twice = mx.LinearRegression.template(target="y", features=["a", "twice"])
    with pytest.raises(MixtureError, match="'a', 'twice', which satisfy"):
        mx.fit(table, 2, family=mx.Product.template((twice, ["a", "twice", "y"]), (mx.Poisson, "n")))
