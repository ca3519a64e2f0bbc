"""The bundled tables hold what their sources publish."""

import pytest
import torch

from mixtura import datasets
from mixtura.data import rows


def test_old_faithful():
    x = datasets.old_faithful()
    assert x.shape == (272, 2) and x.dtype == torch.float64
    # Means and quartiles of `faithful` as R's summary() prints them.
    assert x.mean(0).tolist() == pytest.approx([3.488, 70.9], abs=5e-3)
    assert x.quantile(0.25, dim=0).tolist() == pytest.approx([2.163, 58], abs=5e-4)
    assert x.amin(0).tolist() == [1.6, 43] and x.amax(0).tolist() == [5.1, 96]


def test_galaxies():
    x = datasets.galaxies()
    assert x.shape == (82,) and x.dtype == torch.float64
    assert x.amin() == 9.172 and x.amax() == 34.279 and x[77] == 26.96
    assert x.equal(x.sort().values)


def test_penguins():
    table = datasets.penguins()
    assert {name: table["species"].count(name) for name in set(table["species"])} == {
        "Adelie": 152,
        "Chinstrap": 68,
        "Gentoo": 124,
    }
    mass = table["body_mass_g"]
    assert isinstance(mass, torch.Tensor) and mass.isnan().nonzero()[:, 0].tolist() == [3, 339]
    assert mass.nanmean().item() == pytest.approx(4201.75, abs=5e-3)
    assert table["sex"].count("") == 11
    assert rows(table, columns=["bill_length_mm", "body_mass_g"]).event_shape == (2,)


def test_tully_fisher():
    table = datasets.tully_fisher()
    assert len(table) == 15 and len(table["galaxy"]) == 21
    gaps = {name: int(x.isnan().sum()) for name, x in table.items() if isinstance(x, torch.Tensor) and x.isnan().any()}
    assert gaps == {"V": 4, "V_error": 4, "H": 1, "H_error": 1}


@pytest.mark.parametrize("name", ["old_faithful", "galaxies", "penguins", "tully_fisher"])
def test_every_table_is_a_file_that_rows_can_read(name):
    numeric = {"penguins": ["body_mass_g"], "tully_fisher": ["B"]}.get(name)
    assert len(rows(datasets.path(name), columns=numeric)) in (272, 82, 344, 21)


def test_unknown_tables():
    with pytest.raises(ValueError, match="'iris'.*old_faithful, galaxies"):
        datasets.path("iris")
