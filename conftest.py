"""Fixtures for the tests and for the doctests in src."""

import os
import sys

# Before torch is imported: workers beside each other whose threads spin take ten times the processor time.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")

import numpy as np  # noqa: E402
import pytest  # noqa: E402
import torch  # noqa: E402


@pytest.fixture(autouse=True)
def own_randomness():
    """Every test starts from the same global random state and leaves none behind."""
    states = np.random.get_state(), torch.get_rng_state()
    np.random.seed(0)
    torch.default_generator.manual_seed(0)  # `torch.manual_seed` would write down a stack, too
    if torch.cuda.is_available():
        torch.cuda.manual_seed_all(0)
    yield
    np.random.set_state(states[0])
    torch.set_rng_state(states[1])


@pytest.fixture(autouse=True)
def unchanged_defaults():
    """A test that leaves torch's default dtype changed fails, and does not spoil the next."""
    before = torch.get_default_dtype()
    yield
    after = torch.get_default_dtype()
    torch.set_default_dtype(before)
    assert after == before, f"the default dtype was left at {after}"


@pytest.fixture(autouse=True)
def no_figure_left():
    """Figures of a test end with it: examples leave theirs open."""
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


@pytest.fixture(autouse=True)
def doctest_surroundings(request, doctest_namespace, tmp_path_factory, monkeypatch):
    """Doctests know `torch` and `mx`, and write their files into a folder of their own."""
    if isinstance(request.node, pytest.DoctestItem):
        import mixtura

        doctest_namespace.update(torch=torch, mx=mixtura)
        monkeypatch.chdir(tmp_path_factory.mktemp("doctest"))
