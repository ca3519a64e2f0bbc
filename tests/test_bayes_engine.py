"""NUTS: draws follow the density, machine code is the density, and what goes wrong is said."""

import math
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from test_arguments import FAMILIES, values
from torch.distributions import Dirichlet, HalfCauchy, HalfNormal, Normal

import mixtura as mx
from mixtura.bayes.engine import adapter, draw
from mixtura.bayes.engine.functions import functions

pytest.importorskip("nutpie")
pytest.importorskip("llvmlite")

D = torch.float64


@dataclass(frozen=True)
class Target:
    """A density of real numbers, as the engine asks for a posterior."""

    log_density: object
    size: int = 2
    alike: tuple = ()
    machine: object = None

    def prepared(self, u):
        return None, self.log_density(u)

    def value_and_gradient(self, u):
        leaf = u.clone().requires_grad_()
        value = self.log_density(leaf)
        return value.detach(), torch.autograd.grad(value, leaf)[0]

    def start(self, generator=None):
        return 0.1 * torch.rand(self.size, generator=generator, dtype=D)

    def constrain(self, u):
        return {"u": u}


def normal(u):
    """Two normal numbers of scales 1 and 3, at 0 and 5."""
    return -0.5 * (u[0] ** 2 + ((u[1] - 5) / 3) ** 2)


def untraceable(u):
    return normal(u) + 0.0 * u.sum().item()


# -- draws


@pytest.mark.parametrize("density", [normal, untraceable])
def test_draws_follow_the_density(density):
    found = draw(Target(density), 400, 300, chains=2, seed=3)
    assert found.engine == ("compiled" if density is normal else "torch")
    assert bool(found.reason) == (density is untraceable)
    flat = found.values["u"].reshape(-1, 2)
    error = np.array([1.0, 3.0]) / math.sqrt(len(flat) / 4)  # draws of a path resemble each other
    assert np.all(np.abs(flat.mean(0) - [0, 5]) < 5 * error)
    np.testing.assert_allclose(flat.std(0), [1, 3], rtol=0.25)


def test_one_component_has_its_closed_posterior():
    x = torch.tensor([0.3, 1.9, 2.2, -0.4, 1.1], dtype=D)
    model = mx.bayes.Model(1, mx.Normal, priors={"loc": Normal(0.0, 2.0)}, fixed={"scale": 1.0})
    found = draw(model.posterior(x), 2000, 500, seed=1)
    precision = 1 / 4 + len(x)
    drawn = found.values["loc"].reshape(-1)
    assert drawn.mean() == pytest.approx(float(x.sum()) / precision, abs=5 * precision**-0.5 / math.sqrt(2000))
    assert drawn.std() == pytest.approx(precision**-0.5, rel=0.1)


def test_what_is_recorded_has_its_shape():
    found = draw(Target(normal), 30, 20, chains=3, seed=1)
    assert found.points.shape == (3, 30, 2) and found.warm_up.points.shape == (3, 20, 2)
    assert {value.shape for value in found.statistics.values()} == {(3, 30)}
    assert not found.interrupted
    value = [[float(normal(torch.from_numpy(u))) for u in chain] for chain in found.points]
    np.testing.assert_allclose(found.statistics["lp"], value, rtol=1e-9, atol=1e-9)


def test_the_seed_decides_and_the_number_of_cores_does_not():
    one, same, other = (
        draw(Target(normal), 50, 50, seed=seed, cores=cores) for seed, cores in ((1, 1), (1, 2), (2, 2))
    )
    np.testing.assert_array_equal(one.points, same.points)
    assert not np.array_equal(one.points, other.points)


def test_chains_begin_apart():
    found = draw(Target(normal), 5, 1, chains=4, seed=1).warm_up.points[:, 0]
    assert len(np.unique(found[:, 0])) == 4


# -- machine code is the density, for every family

PRIORED = {
    "hierarchical": dict(priors={"loc": mx.bayes.Hierarchical(Normal, loc=Normal(0.0, 9.0), scale=HalfNormal(5.0))}),
    "walls": dict(potentials=[mx.bayes.min_weight(0.05), lambda loc: -loc.abs().sum()], ordered="loc"),
    "floor": dict(min_weight=0.1, priors={"scale": HalfCauchy(5.0)}, weights=Dirichlet(torch.full((3,), 2.0))),
}


def compiles(posterior):
    """Machine code equals autograd's at points where it was not traced."""
    found = functions(posterior)
    assert not found.reason and found.engine == "compiled"
    (density,) = found.held
    for seed in range(3, 6):
        u = posterior.start(torch.Generator().manual_seed(seed))
        value, gradient = density(u.numpy())
        expected, slope = posterior.value_and_gradient(u)
        assert value == pytest.approx(expected.item(), rel=1e-9)
        np.testing.assert_allclose(gradient, slope.numpy(), rtol=1e-8, atol=1e-9 * float(slope.abs().max()))


@pytest.mark.parametrize("name", FAMILIES)
def test_families_have_machine_code(name):
    family, features = FAMILIES[name]
    components = family.made(values(family, features), features)
    x = components.draw(torch.arange(2).repeat(11)[:21], torch.Generator().manual_seed(2))
    compiles(mx.bayes.Model(2, family).posterior(x))


@pytest.mark.parametrize("name", PRIORED)
def test_priors_and_potentials_have_machine_code(name):
    x = torch.linspace(-5, 5, 30, dtype=D)
    compiles(mx.bayes.Model(3, mx.Normal, **PRIORED[name]).posterior(x))


@pytest.mark.slow
def test_a_cold_start_imports_no_computer_algebra():
    """Which `torch.broadcast_shapes` does at its first call, for four tenths of a second."""
    script = """
        import sys, torch, mixtura as mx
        from torch.distributions import HalfCauchy, Normal
        model = mx.bayes.Model(2, mx.Normal, priors={"loc": Normal(0.0, 9.0), "scale": HalfCauchy(5.0)}, ordered="loc")
        mx.bayes.engine.draw(model.posterior(torch.linspace(-5, 5, 30)), 10, 10).values
        print("sympy" in sys.modules)
    """
    ran = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, timeout=300)
    assert ran.stdout.strip() == "False", ran.stderr


# -- what goes wrong


def test_a_density_that_changes_behind_the_tracer_is_served_by_torch():
    def by_numpy(u):
        return normal(u) - torch.as_tensor(np.abs(u.detach().numpy()).sum())

    found = functions(Target(by_numpy))
    assert found.engine == "torch" and "differ" in found.reason


@pytest.mark.parametrize("density", [normal, untraceable])
def test_where_the_density_is_zero_a_path_turns_back(density):
    def walled(u):
        return density(u) + torch.where(u[0] > -0.05, 0.0, -math.inf)

    found = draw(Target(walled), 100, 100, chains=2, seed=1)
    assert found.statistics["diverging"].any() and (found.points[..., 0] > -0.05).all()


def test_what_the_density_raises_is_raised():
    def broken(u):
        if u[0].item() > 0.3:
            raise ZeroDivisionError("far from the start")
        return normal(u)

    with pytest.raises(ZeroDivisionError, match="far from the start"):
        draw(Target(broken), 100, 100, seed=1)


def test_a_start_that_is_refused_is_refused_in_its_words():
    class Walled(Target):
        def start(self, generator=None):
            raise mx.errors.MixtureError("`potentials` must be possible somewhere near the data")

    for density in (normal, untraceable):
        with pytest.raises(mx.errors.MixtureError, match="potentials"):
            draw(Walled(density), 10, 10)


def test_a_call_of_another_size_is_an_error():
    machine = functions(Target(normal))
    with pytest.raises(BaseException, match="returned error"):
        settings = adapter.Settings(10, 10, 1, 1, 0.8, 0, 10)
        adapter.sampler(3, machine, lambda own: np.zeros(3), settings, adapter.progress_type(None)).wait(None)


@pytest.mark.parametrize(
    "given", [{"draws": 0}, {"tune": 0}, {"chains": 0}, {"target_accept": 1.0}, {"target_accept": 0.0}]
)
def test_settings_out_of_range_are_refused(given):
    with pytest.raises(mx.errors.MixtureError, match=next(iter(given))):
        draw(Target(normal), **given)


def test_without_nutpie_the_rest_is_named(monkeypatch):
    monkeypatch.delitem(sys.modules, "nutpie._lib", raising=False)
    monkeypatch.setattr(adapter, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"mixtura\[bayes\].*advi"):
        draw(Target(normal))


def test_another_version_is_driven_by_its_own_python():
    pytest.importorskip("arviz")
    settings, machine = adapter.Settings(40, 30, 2, 2, 0.8, 5, 10), functions(Target(normal))
    start = SimpleNamespace(at=lambda own: np.full(2, 0.1))
    nutpie = adapter.extension()
    model = adapter.model(nutpie, 2, machine, start.at)
    under_way = adapter.through_nutpie(nutpie, 2, model, settings)
    under_way.wait(None)
    assert [one.points.shape for one in adapter.taken(under_way)] == [(70, 2), (70, 2)]


# -- in a process of its own: a wrong signature would end it, and so does Ctrl-C

SMOKE = """
import sys, torch, mixtura as mx
from mixtura.bayes.engine import draw
found = draw(mx.bayes.Model(2, mx.Normal).posterior(mx.datasets.old_faithful()[:, 0]), 100, 100, seed=1)
assert found.points.shape == (4, 100, 5) and found.engine == "compiled", found.reason
assert "arviz" not in sys.modules and "torch._dynamo" not in sys.modules
import nutpie
assert nutpie.sample
print("well")
"""

STOPPED = """
import os, signal, threading, torch, mixtura as mx
from mixtura.bayes.engine import draw
posterior = mx.bayes.Model(2, mx.Normal).posterior(mx.datasets.old_faithful()[:, 0])
draw(posterior, 10, 10)
threading.Timer(2.0, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
found = draw(posterior, 10_000_000, 200, chains=2, seed=1)
assert found.interrupted and found.points.shape[1] > 10 and found.warm_up.points.shape[1] == 200
print("well")
"""


@pytest.mark.parametrize("program", [SMOKE, pytest.param(STOPPED, marks=pytest.mark.slow)], ids=["smoke", "stopped"])
def test_in_a_process_of_its_own(program):
    ran = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=300)
    assert ran.stdout == "well\n", ran.stderr[-2000:]
