"""Rows of numbers, wherever they live, read as blocks.

A learner needs one thing of its data: to go through the rows, a block at a time, as often as it likes and
always in the same order. `rows` turns a tensor, an array, a frame or a file into that; nothing above this
package knows the difference.
"""

from mixtura.data.arrays import ArrayRows
from mixtura.data.blocks import Block, Rows, TensorRows
from mixtura.data.check import check_data, check_finite, check_large, check_rows, check_spread
from mixtura.data.files import ArrowRows, CsvRows, ParquetRows, StreamedRows
from mixtura.data.groups import Groups, grouping
from mixtura.data.moments import Summary, recorded_moments, summary
from mixtura.data.names import TextColumns
from mixtura.data.possible import EVERY, UNKNOWN, KnownLabels, Possible
from mixtura.data.reading import column_names, is_table, names_but, read, read_table, rows

__all__ = [
    "ArrayRows",
    "ArrowRows",
    "Block",
    "CsvRows",
    "EVERY",
    "Groups",
    "KnownLabels",
    "ParquetRows",
    "Possible",
    "Rows",
    "StreamedRows",
    "Summary",
    "TensorRows",
    "TextColumns",
    "UNKNOWN",
    "check_data",
    "check_finite",
    "check_large",
    "check_rows",
    "check_spread",
    "column_names",
    "grouping",
    "is_table",
    "names_but",
    "read",
    "read_table",
    "recorded_moments",
    "rows",
    "summary",
]
