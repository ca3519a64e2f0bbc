"""Templates of families: which family a fit is to learn, and its settings, before there are parameters."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from torch import Tensor

from ..errors import refuse

if TYPE_CHECKING:
    from ..data import Rows
    from .base import Component

__all__ = ["Template"]

_SHOWN = 5


@dataclass(frozen=True)
class Template:
    """A family and its settings, without parameters; ``mx.Poisson.template()`` makes one.

    Arguments:
        blank: A component of the family whose tensors are still none.

    Example:
        >>> mx.Binomial.template(total_count=10)
        Template(Binomial(total_count=10))
    """

    blank: Component

    @property
    def name(self) -> str:
        """The family's name and settings, as a table of candidates shows it."""
        return self.blank.title

    @property
    def view(self) -> Hashable:
        """What the family sees of rows when it looks for starts; none for the rows as they are."""
        embed = type(self.blank).embed
        return None if embed.__qualname__ == "Component.embed" else (embed, self.name)

    def bind(self, rows: Rows, summary: Any) -> Template:
        """Returns the template with what it takes from the data as a whole."""
        return Template(self.blank.bind(rows, summary))

    def guess(self, r: Tensor) -> Tensor:
        """Returns first responsibilities ``(N, B, K)`` with those of components that the family adds by itself."""
        return self.blank.guess(r)

    def start(self, x: Tensor, r: Tensor) -> Component:
        """Returns components for rows ``(N, *event)`` and responsibilities ``(N, B, K)``, weights included."""
        return self.blank.start(x, r)

    def embed(self, x: Tensor) -> Tensor:
        """Returns rows as vectors ``(N, F)`` in which nearness suggests one component."""
        return self.blank.embed(x)

    @property
    def discrete(self) -> bool:
        """Whether rows are whole numbers; a column may then hold the same one in every row."""
        return self.blank.discrete

    def check(self, rows: Rows) -> None:
        """Refuses rows outside the family's support; the message names columns and the first rows to blame."""
        start, found, wrong = 0, list[tuple[int, int, float]](), 0
        for block in rows.blocks(rows.suggested_size):
            bad = self.blank.outside(block.x).reshape(len(block.x), -1)
            wrong += int(bad.sum())
            for row, column in bad.nonzero()[: _SHOWN - len(found)].tolist():
                found.append((start + row, column, block.x.reshape(len(block.x), -1)[row, column].item()))
            start += len(block.x)
        if wrong:
            self._refuse(rows, found, wrong)

    def _refuse(self, rows: Rows, found: list[tuple[int, int, float]], wrong: int) -> NoReturn:
        def place(row: int, column: int, value: float) -> str:
            where = repr(rows.columns[column]) if rows.columns else str(column)
            return f"row {row}, column {where}: {value:g}"

        more = f" and {wrong - len(found)} more" if wrong > len(found) else ""
        places = "; ".join(place(*one) for one in found)
        expected = f"{self.blank.expects}, for {type(self.blank).__name__} components"
        refuse("x", expected, f"{places}{more}", "Rows are counted from 0. Drop these rows or choose another family.")

    def __repr__(self) -> str:
        return f"Template({self.name})"
