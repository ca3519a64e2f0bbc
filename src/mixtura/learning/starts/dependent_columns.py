r"""Columns that determine each other: where no covariance matrix of full rank can be fitted.

The correlation matrix of the rows tells: a pair with :math:`1 - r_{ij}^2` within rounding is the same column twice in
other units, and an eigenvalue within rounding is a linear relation between the columns of its eigenvector.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ...data import Rows, TensorRows
from ...errors import refuse

__all__ = ["refuse_dependent"]

_ADVICE = 'Leave one of them out with columns=, or use covariance="diagonal".'


def refuse_dependent(rows: Rows, sample: TensorRows, rounding: float) -> None:
    """Raises a `MixtureError` that says which columns of singular data depend on each other, if any do.

    Arguments:
        rows: The rows, for the names of their columns.
        sample: Rows to look at.
        rounding: The share of a variance below which it counts as none.
    """
    x = sample.tensor().double().reshape(len(sample), -1)
    correlation, features = _correlation(x, sample.weight), x.shape[1]
    if len(x) <= features and features > 1:
        refuse("x", f"at least {features + 1} rows, for a matrix of {features} columns", f"{len(x)} rows", _FEW)
    silent = (correlation.diagonal() == 0).nonzero().squeeze(-1).tolist()
    if silent:
        told = f"one that tells nothing of column {', '.join(_name(rows, i) for i in silent)}"
        refuse("observation", "one that tells something of every column of the clean rows", told, _SILENT)
    if features == 1:
        return
    close = (1 - correlation.square()).triu(1).nan_to_num(1.0)
    close = torch.where(torch.ones_like(close).triu(1) > 0, close, torch.inf)
    if close.min() <= rounding:
        i, j = divmod(int(close.argmin()), len(close))
        came = f"columns {_name(rows, i)} and {_name(rows, j)}, whose correlation is {correlation[i, j].item():.10g}"
        refuse("x", "columns that do not determine each other, for covariances of full rank", came, _ADVICE)
    values, vectors = torch.linalg.eigh(correlation)
    if values[0] <= rounding * len(values):
        involved = (vectors[:, 0].abs() > 1e-3).nonzero().squeeze(-1).tolist()
        came = f"columns {', '.join(_name(rows, i) for i in involved)}, which satisfy a linear equation"
        refuse("x", "columns that do not determine each other, for covariances of full rank", came, _ADVICE)


_NOTHING = 16  # units in the last place: no spread
_SILENT = "Measure along other directions in some of the rows, or learn the columns that were measured."
_FEW = 'Give more rows, choose fewer columns with columns=, or use covariance="diagonal".'


def _correlation(x: Tensor, weight: Tensor | None) -> Tensor:
    share = torch.ones(len(x), dtype=x.dtype, device=x.device) if weight is None else weight.double()
    share = (share / share.sum()).unsqueeze(-1)
    gap = x - (share * x).sum(0)
    scale = (share * gap.square()).sum(0).sqrt()
    scale = scale.where(scale > _NOTHING * torch.finfo(x.dtype).eps * x.abs().amax(0), 0)
    gap = torch.where(scale > 0, gap / scale, 0)
    return (share * gap).mT @ gap


def _name(rows: Rows, column: int) -> str:
    return repr(rows.columns[column]) if rows.columns else str(column)
