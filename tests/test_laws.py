"""Every law of `mixtura.testing` on every family and structure of the tables."""

import pytest
from tables import COMPONENTS, FAMILIES, FEATURES, GRADUAL, LEARNABLE, STRUCTURES

from mixtura.testing import ComponentContract, LearnableContract, StructureContract, component, learnable, structure


@pytest.mark.parametrize("law", ComponentContract.laws())
@pytest.mark.parametrize("family", FAMILIES)
def test_families(family, law):
    getattr(component.given(FAMILIES[family]), law)()


@pytest.mark.parametrize("law", LearnableContract.laws())
@pytest.mark.parametrize("family", LEARNABLE)
def test_learning(family, law):
    getattr(learnable.given(LEARNABLE[family], family not in GRADUAL), law)()


@pytest.mark.parametrize("law", StructureContract.laws())
@pytest.mark.parametrize("name", STRUCTURES)
def test_structures(name, law):
    getattr(structure.given(STRUCTURES[name], FEATURES, COMPONENTS), law)()
