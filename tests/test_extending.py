"""What docs/extending.md adds from outside: nothing of ours is edited, and everything serves it.

The classes are those of the page; its cells that define something are run here, once.
"""

from __future__ import annotations

import math
import re
import sys
from pathlib import Path
from types import ModuleType

import conjugate_table as table
import pytest
import test_conjugate
import torch
from torch import Tensor

import mixtura as mx
from mixtura import kernels
from mixtura.components import Component
from mixtura.errors import MixtureError
from mixtura.learning.results.simulate import simulated
from mixtura.testing import ComponentContract, LearnableContract, StructureContract, component, learnable, structure

PAGE = (Path(__file__).parents[1] / "docs" / "extending.md").read_text(encoding="utf-8")


def defined() -> ModuleType:
    """A module of what the page's cells define."""
    found = sys.modules["extending"] = ModuleType("extending")
    for cell in re.findall(r"```{code-cell} ipython3\n(.*?)```", PAGE, re.DOTALL):
        if re.search(r"^(class|import|from) ", cell, re.MULTILINE):
            exec(compile(cell, "docs/extending.md", "exec"), vars(found))
    return found


own = defined()
F64 = torch.float64


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# -- a family

TRUTH = mx.Mixture(own.numbers(0.4, 0.6), own.Rayleigh(own.numbers(0.5, 6.0)))


def lengths(rows: int = 2000) -> Tensor:
    return TRUTH.sample((rows,), seeded())


@pytest.mark.parametrize("law", ComponentContract.laws())
def test_the_family_obeys_the_laws(law):
    getattr(component.given(TRUTH.components), law)()


@pytest.mark.parametrize("law", LearnableContract.laws())
def test_the_family_learns_by_the_laws(law):
    getattr(learnable.given(TRUTH.components), law)()


def test_it_is_fitted_and_its_fit_is_near_the_truth():
    fit = mx.fit(lengths(), 2, family=own.Rayleigh)
    order = fit.mixture.components.scale.argsort()
    torch.testing.assert_close(fit.mixture.components.scale[order], TRUTH.components.scale, rtol=0.06, atol=0)
    assert fit.converged and fit.parameters == 3
    assert (fit.trace.diff() > -1e-12).all()


def test_it_is_saved_and_loaded(tmp_path):
    TRUTH.save(tmp_path / "lengths.safetensors")
    again = mx.load(tmp_path / "lengths.safetensors")
    assert type(again.components) is own.Rayleigh
    assert torch.equal(again.log_prob(lengths(9)), TRUTH.log_prob(lengths(9)))


def test_it_is_selected_beside_others():
    found = mx.select(lengths(), (1, 2), family=(own.Rayleigh, mx.Exponential))
    assert found.table[0].components == 2 and found.table[0].covariance == "Rayleigh"


def test_it_is_frozen():
    fit = mx.fit(lengths(), init=TRUTH, freeze=mx.Freeze(components=(0,)))
    assert fit.mixture.components.scale[0] == TRUTH.components.scale[0]
    assert fit.mixture.components.scale[1] != TRUTH.components.scale[1] and fit.parameters == 2


def test_it_stands_in_products_and_beside_noise():
    x = torch.stack([lengths(), torch.arange(2000.0, dtype=torch.float64) % 3], -1)
    both = mx.Product.template((own.Rayleigh, [0]), (mx.Categorical.template(categories=3), [1]))
    assert repr(both) == "Template(Rayleigh x Categorical(categories=3))"
    assert type(mx.fit(x, 2, family=both).mixture.components.parts[0]) is own.Rayleigh
    noisy = mx.fit(torch.cat([lengths(), torch.tensor([90.0]).double()]), 2, family=mx.Beside.with_noise(own.Rayleigh))
    assert noisy.mixture.logits.shape == (3,)


def test_its_settings_and_rows_are_checked():
    assert repr(own.Rayleigh.template(least=0.5)) == "Template(Rayleigh(least=0.5))"
    assert repr(own.Rayleigh.template()) == "Template(Rayleigh)"
    with pytest.raises(MixtureError, match="`settings` must be among least"):
        own.Rayleigh.template(most=3)
    with pytest.raises(MixtureError, match="positive, for Rayleigh components"):
        mx.fit(torch.tensor([1.0, -1.0, 2.0]), 1, family=own.Rayleigh)


def test_a_component_that_does_not_say_how_it_starts_is_refused_with_advice():
    class Nothing(own.Rayleigh):
        pass

    assert repr(Nothing.template()) == "Template(Nothing)"  # what is derived starts as what it derives from

    class Alone(Component):
        pass

    with pytest.raises(MixtureError, match=r"Derive a class from mx.components.Family"):
        mx.fit(lengths(), 2, family=Alone)


@pytest.mark.parametrize(
    ("family", "shown"),
    [
        (mx.Poisson.template(), "Poisson"),
        (mx.Binomial.template(total_count=10), "Binomial(total_count=10)"),
        (mx.Gaussian.template(), "Gaussian"),
        (mx.Gaussian.template(structure=mx.Diagonal(tied=True)), "Gaussian(tied-diagonal)"),
        (mx.StudentT.template(shared=True), "StudentT(shared=True)"),
        (mx.StudentT.template(structure=mx.Full(), fixed=4.0), "StudentT(full, fixed=4.0)"),
        (mx.Bernoulli.template(vectors=True), "Bernoulli"),
        (mx.Product.template((mx.Normal, "mass"), (mx.Poisson, ["eggs", "chicks"])), "Normal x Poisson"),
        (mx.Beside.with_noise(mx.Gaussian), "Gaussian + Uniform"),
        (mx.components.TorchComponent.template(distribution=torch.distributions.Gumbel), "Gumbel"),
    ],
)
def test_families_show_their_settings(family, shown):
    assert repr(family) == f"Template({shown})"


# -- a structure, and its conjugate law

MATRICES = own.together(own.numbers(9.0, 2.0), own.numbers(0.5, 3.0), 3)
SYMMETRIC = {
    "one for each": own.CompoundSymmetry(MATRICES),
    "tied": own.CompoundSymmetry(MATRICES[0], tied=True),
}


@pytest.mark.parametrize("law", StructureContract.laws())
@pytest.mark.parametrize("name", SYMMETRIC)
def test_the_structure_obeys_the_laws(name, law):
    getattr(structure.given(SYMMETRIC[name], 3, 2), law)()


def in_two_groups(rows: int) -> Tensor:
    components = mx.Gaussian(own.numbers([0, 0, 0], [5, 5, 5]), SYMMETRIC["one for each"])
    return mx.Mixture(own.numbers(0.5, 0.5), components).sample((rows,), seeded())


def test_the_structure_stays_what_it_is_under_round_noise_and_fits():
    noisy = mx.Gaussian(torch.zeros(2, 3, dtype=F64), SYMMETRIC["one for each"]).convolve(
        mx.Spherical(own.numbers(2.0))
    )
    assert type(noisy.structure) is own.CompoundSymmetry
    torch.testing.assert_close(noisy.covariance, MATRICES + 2 * torch.eye(3, dtype=F64))
    found = mx.select(in_two_groups(800), (1, 2), covariance=("full", own.CompoundSymmetry()))
    assert type(found.best.mixture.components.structure) is own.CompoundSymmetry and found.best.parameters == 11


class Symmetric(table.Case):
    """A case whose neighbours are of the structure, too."""

    def perturb(self, components, size, generator=None):
        moved = super().perturb(components, size, generator)
        return moved._replace(structure=components.structure.with_covariance(moved.structure.dense(2)))


CASES = [Symmetric(f"tied {tied}", table.NIW, table.gaussian(own.CompoundSymmetry, tied)) for tied in (False, True)]
LAWS = [
    test_conjugate.test_expected_is_the_mean_log_density,
    test_conjugate.test_divergence_is_the_mean_log_ratio,
    test_conjugate.test_nothing_nearby_is_more_probable_than_the_mode,
    test_conjugate.test_update_with_a_prior_is_the_mode,
    test_conjugate.test_the_posterior_mean_is_the_mean_of_draws,
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_the_law_of_the_structure_is_conjugate(law, case):
    law(case, table.posterior(case))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_mean_of_the_law_is_the_mean_of_its_draws(case):
    law = table.posterior(case)
    draws = test_conjugate.many(law).draw(seeded())
    assert test_conjugate.z_score(draws.covariance, law.mean.covariance) < 4.5


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_evidence_does_not_depend_on_the_parameters(case):
    """Prior, likelihood and posterior agree: the posterior's normaliser among them."""
    test_conjugate.test_evidence_does_not_depend_on_the_parameters(case)


@pytest.mark.slow
def test_the_density_of_the_law_integrates_to_one():
    """By a rule over the two eigenvalues, apart from the code's own normaliser."""
    prior = table.NIW
    along = torch.logspace(-3, 4, 1500, dtype=F64)
    grid = torch.cartesian_prod(along, along)
    matrices = own.together(*grid.mT, 2)
    one = own.CompoundSymmetry(matrices.unsqueeze(1))
    mean = prior.mean.expand(len(grid), 1, 2)
    at_the_mean = torch.logdet(2 * math.pi * matrices / prior.strength) / 2  # minus log N(m; m, C / kappa)
    density = (prior.log_prob(mx.Gaussian(mean, one)) + at_the_mean).exp().reshape(1500, 1500)
    total = torch.trapezoid(torch.trapezoid(density * along, along.log()) * along, along.log())
    assert total.item() == pytest.approx(1, rel=1e-4)


@pytest.mark.parametrize(
    "method", [mx.Variational(), mx.Gibbs(draws=50, warmup=20, chains=1)], ids=lambda m: type(m).__name__
)
def test_posteriors_of_the_structure_are_learned(method):
    fit = mx.fit(in_two_groups(400), 2, own.CompoundSymmetry(), method, restarts=2, generator=seeded(1))
    assert type(fit.mixture.components.structure) is own.CompoundSymmetry
    spread = fit.mixture.components.variance[:, 0].sort().values
    torch.testing.assert_close(spread, own.numbers(8 / 3, 10 / 3), rtol=0.3, atol=0)


# -- an observation

FOLDED = mx.Mixture(own.numbers(0.4, 0.6), mx.Normal(own.numbers(1.5, 6.0), own.numbers(1.0, 2.0)))


def test_folded_density_integrates_to_one_and_is_that_of_draws():
    seen = FOLDED.observed(own.Folded())
    grid = torch.linspace(0, 20, 4001, dtype=F64)
    assert torch.trapezoid(seen.log_prob(grid).exp(), grid).item() == pytest.approx(1, abs=1e-6)
    y = FOLDED.sample((20_000,), seeded()).abs()
    below = torch.trapezoid(seen.log_prob(grid[:401]).exp(), grid[:401]).item()
    assert (y < 2).double().mean().item() == pytest.approx(below, abs=4.5 * math.sqrt(below / 20_000))


def test_a_fold_is_undone_as_bayes_rule_says():
    y = own.numbers(0.3, 1.0, 6.0)
    behind = FOLDED.posterior(own.Folded(), y)
    up, down = FOLDED.log_prob(y).exp(), FOLDED.log_prob(-y).exp()
    torch.testing.assert_close(behind.mean, y * (up - down) / (up + down))


def test_folded_rows_are_learned_from_and_simulated(tmp_path):
    y = FOLDED.sample((3000,), seeded()).abs()
    fit = mx.fit(y, 2, observation=own.Folded(), generator=seeded(1))
    components = fit.mixture.components
    order = components.loc.abs().argsort()
    torch.testing.assert_close(components.loc.abs()[order], own.numbers(1.5, 6.0), rtol=0.1, atol=0)
    assert (fit.trace.diff() > -1e-12).all()
    again = simulated(fit.mixture, fit.rows, seeded(2)).tensor()
    assert (again >= 0).all() and again.mean().item() == pytest.approx(y.mean().item(), rel=0.05)
    fit.save(tmp_path / "folded.safetensors")
    model = mx.mixture.read_model(tmp_path / "folded.safetensors")
    assert type(model.recording.through) is own.Folded
    spread = mx.bootstrap(fit, 6, generator=seeded(3)).mean[order] / mx.standard_errors(fit).mean[order]
    assert ((spread > 0.2) & (spread < 5)).all()


LEARNERS = [
    mx.Variational(),
    mx.OnlineEM(),
    mx.ClassificationEM(),
    mx.StochasticEM(draws=30),
    own.TrimmedEM(trimmed=0.01),
]


@pytest.mark.parametrize("method", LEARNERS, ids=lambda method: type(method).__name__)
def test_every_learner_learns_through_a_new_observation(method):
    """Neither knows of the other: one of them is not even ours."""
    y = FOLDED.sample((1000,), seeded()).abs()
    fit = mx.fit(y, 2, observation=own.Folded(), method=method, restarts=2, generator=seeded(1))
    located = fit.mixture.components.loc.abs().sort().values
    torch.testing.assert_close(located, own.numbers(1.5, 6.0), rtol=0.25, atol=0)


def test_cross_validation_sees_the_fold():
    y = FOLDED.sample((600,), seeded()).abs()
    found = mx.cross_validate(y, [1, 2], folds=3, observation=own.Folded(), restarts=2, generator=seeded(1))
    assert found.best == 2 and mx.held_out(FOLDED, y, observation=own.Folded()).log_density > -2.4


# -- a learner


def polluted() -> Tensor:
    stray = torch.rand(14, 2, generator=seeded(), dtype=F64) * own.numbers(12, 200)
    return torch.cat([mx.datasets.old_faithful(), stray])


def test_trimming_nothing_is_em():
    x = mx.datasets.old_faithful()
    start = mx.fit(x, 2, method=mx.EM(max_iterations=3), generator=seeded()).mixture
    ours, theirs = (mx.fit(x, init=start, method=m) for m in (own.TrimmedEM(trimmed=0.0), mx.EM()))
    torch.testing.assert_close(ours.trace, theirs.trace)


def test_the_trimmed_likelihood_never_falls_and_is_that_of_the_likeliest_rows():
    x = polluted()
    fit = mx.fit(x, 2, method=own.TrimmedEM(trimmed=0.05), generator=seeded(1))
    assert fit.converged and (fit.trace.diff() > -1e-12).all()
    kept = fit.mixture.log_prob(x).sort().values[math.ceil(0.05 * (len(x) - 1)) :]
    assert fit.trace[-1].item() * len(x) == pytest.approx(kept.sum().item(), rel=1e-9)


def test_trimming_finds_the_components_that_stray_rows_hide():
    clean, spoilt = mx.fit(mx.datasets.old_faithful(), 2), mx.fit(polluted(), 2)
    trimmed = mx.fit(polluted(), 2, method=own.TrimmedEM(trimmed=0.05), generator=seeded(1))
    truth, far, near = (one.mixture.order().components.variance for one in (clean, spoilt, trimmed))
    assert ((near / truth).log().abs().max() < (far / truth).log().abs().max() / 2).item()


# -- a backend


@pytest.fixture
def shared():
    """Its backend before the others, for as long as a test lasts."""
    backend = own.SharedMatrix(devices=("cpu",))
    kernels.add_backend(backend)
    yield backend
    kernels.BACKENDS.remove(backend)


def test_the_backend_is_asked_first_and_agrees_with_the_reference(shared):
    factor = torch.eye(20, dtype=F64).expand(2, 1, 20, 20) * 1.3
    factor = factor + 0.1 * torch.randn(2, 1, 20, 20, generator=seeded(), dtype=F64).tril()
    mean = torch.randn(2, 5, 20, generator=seeded(1), dtype=F64)
    plan = kernels.Plan(kernels.FULL, mean, factor, torch.randn(2, 5, generator=seeded(2), dtype=F64))
    x = torch.randn(300, 20, generator=seeded(3), dtype=F64)
    assert kernels.choose(plan, x) is shared
    for answer in ("log_joint", "log_density"):
        theirs = getattr(kernels.Reference(), answer)(plan, x)
        torch.testing.assert_close(getattr(kernels, answer)(plan, x), theirs, rtol=1e-11, atol=1e-11)


def test_fits_go_through_the_backend(shared, monkeypatch):
    asked = []
    monkeypatch.setattr(
        own.SharedMatrix, "log_density", lambda self, plan, x: asked.append(len(x)) or x.new_zeros(len(x), 1)
    )
    gaussian = mx.Gaussian(torch.zeros(4, 16), mx.Full(torch.eye(16), tied=True))
    mx.Mixture(torch.ones(4), gaussian).log_prob(torch.zeros(500, 16))
    assert asked == [500]
