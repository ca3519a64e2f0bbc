"""Small real tables that come with the package; `data/bundled/README.md` says where each is from."""

from __future__ import annotations

import csv
from pathlib import Path

import torch
from torch import Tensor

__all__ = ["galaxies", "old_faithful", "path", "penguins", "tully_fisher"]

_FOLDER = Path(__file__).parent / "data" / "bundled"
_FILES = {
    "old_faithful": "faithful.csv",
    "galaxies": "galaxies.csv",
    "penguins": "penguins.csv",
    "tully_fisher": "tully_fisher.csv",
}


def path(name: str) -> Path:
    """The CSV file of a bundled table; ValueError for a name that is not one of them.

    Example:
        >>> path("old_faithful").name
        'faithful.csv'
    """
    if name not in _FILES:
        raise ValueError(f"name: there is no bundled table {name!r}; the names are {', '.join(_FILES)}")
    return _FOLDER / _FILES[name]


def old_faithful() -> Tensor:
    """272 eruptions of the Old Faithful geyser, (272, 2): duration and waiting time to the next, in minutes.

    Source: A. Azzalini and A. W. Bowman (1990).

    Example:
        >>> old_faithful().mean(0)
        tensor([ 3.4878, 70.8971], dtype=torch.float64)
    """
    columns = _columns("old_faithful")
    return torch.stack([_numbers(columns["eruptions"]), _numbers(columns["waiting"])], dim=1)


def galaxies() -> Tensor:
    """Velocities of 82 galaxies in the Corona Borealis region, (82,), in 1000 km/s (the file has km/s).

    Source: M. Postman, J. P. Huchra and M. J. Geller (1986); K. Roeder (1990).

    Example:
        >>> galaxies()[:3]
        tensor([9.1720, 9.3500, 9.4830], dtype=torch.float64)
    """
    return _numbers(_columns("galaxies")["velocity_km_s"]) / 1000


def penguins() -> dict[str, Tensor | list[str]]:
    """344 penguins of three species, by column: float64 tensors (344,) with NaN for gaps, and lists of text
    ('' for gaps).

    Bills and flippers in mm, body mass in g. Source: A. M. Horst, A. P. Hill and K. B. Gorman (2020),
    palmerpenguins.

    Example:
        >>> table = penguins()
        >>> table["species"][0], table["body_mass_g"][:4]
        ('Adelie', tensor([3750., 3800., 3250.,   nan], dtype=torch.float64))
    """
    return _mixed("penguins", text=("species", "island", "sex"))


def tully_fisher() -> dict[str, Tensor | list[str]]:
    """21 nearby galaxies, by column: absolute magnitudes B, V, R, I, H and log10 line widths, each with its
    error.

    Tensors are float64, (21,), with NaN for gaps; an error is one standard deviation; `galaxy` is a list of
    names.
    Source: see `data/bundled/README.md`; the relation is R. B. Tully's and J. R. Fisher's (1977).

    Example:
        >>> table = tully_fisher()
        >>> table["galaxy"][0], table["V"][:3]
        ('NGC224', tensor([     nan,      nan, -20.1000], dtype=torch.float64))
    """
    return _mixed("tully_fisher", text=("galaxy",))


def _mixed(name: str, text: tuple[str, ...]) -> dict[str, Tensor | list[str]]:
    return {key: values if key in text else _numbers(values) for key, values in _columns(name).items()}


def _columns(name: str) -> dict[str, list[str]]:
    with path(name).open(newline="", encoding="utf-8") as file:
        header, *lines = csv.reader(file)
    return {key: list(values) for key, values in zip(header, zip(*lines, strict=True), strict=True)}


def _numbers(values: list[str]) -> Tensor:
    return torch.tensor([float(value or "nan") for value in values], dtype=torch.float64)
