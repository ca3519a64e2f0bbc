r"""Split-and-merge EM: leaves optima with too many components in one place and too few in another.

After EM has converged, two components that share rows are merged and a third that fits its rows badly is split, which
keeps K; EM goes on from there and the result is kept if it is better (Ueda, Nakano, Ghahramani and Hinton, 2000). With
responsibilities r, candidates are ranked by

.. math::

    J_{merge}(i, j) &= \frac{\sum_n r_{ni} r_{nj}}{\sqrt{\sum_n r_{ni}^2 \sum_n r_{nj}^2}}, \\
    J_{split}(k) &= \sum_n \frac{r_{nk}}{N_k} \Big[\log\frac{r_{nk}}{N_k} - \log p_k(x_n)\Big],

the second being the divergence of the component from the rows it holds. A component is split where its rows' main
direction is cut at the mean. Both work through the family's own update, so they serve every family, and through what is
expected of the clean rows, so they serve every observation. Where labels are known, EM gives those rows back to their
components after a move, and a move that is not better is not kept. After a move through errors updates are not
extrapolated: a leap may end at a component without a width of its own, from which updates hardly lead away.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ...components import Statistics
from ...data import Rows, TensorRows
from ...errors import refuse
from ...mixture import Mixture
from ..expectation.expect import log_joint
from ..loop.improve import improved
from ..loop.run import run
from ..loop.traces import Report, Run, State
from ..starts.clean_rows import roughly_clean
from .em import EM
from .freeze import Freeze

__all__ = ["SplitMergeEM"]

_ROWS = 10_000  # that proposals look at


@dataclass(frozen=True)
class SplitMergeEM(EM):
    """Expectation maximisation that goes on by splitting and merging components.

    Arguments:
        max_iterations: The largest number of updates of each run, at least 1.
        tolerance: The gain still to come, in nats per row; 0 runs all iterations.
        prior: A conjugate prior; none by default.
        candidates: How many changes are tried, together, before giving up.

    The trace is that of the last run, which starts at the proposal that led to it.

    Example:
        >>> fit = mx.fit(mx.datasets.old_faithful(), components=3, method=mx.SplitMergeEM(), restarts=1)
        >>> fit.converged
        True
    """

    candidates: int = 5

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.candidates >= 1:
            refuse("candidates", "at least 1", self.candidates)

    @property
    def steep(self) -> bool:  # type: ignore[override]
        return self.accelerated

    def freezing(self, freeze: Freeze) -> SplitMergeEM:
        refuse("freeze", "none for SplitMergeEM, which moves components about", freeze, "Use `EM`.")

    def pursue(self, rows: Rows, start: State, floor: Tensor, report: Report | None = None) -> list[Run]:
        runs = run(self, rows, start, floor, report)
        plain = self if rows.observation.exact else replace(self, acceleration=False)
        return [improved(plain, one, rows, floor, self.propose) for one in runs]

    def propose(self, state: Mixture, rows: Rows) -> list[Mixture]:
        """Returns the mixtures with two components merged and a third split, most promising first."""
        some = rows.take(torch.arange(0, len(rows), max(1, len(rows) // _ROWS)))
        joint = some.gather(lambda block: log_joint(state, block))
        r, clean = torch.softmax(joint, -1) * some.each_weight.unsqueeze(-1), roughly_clean(some)
        ranked = _ranked(r, joint - state.logits)[: self.candidates]
        return [_changed(state, some, clean, r, *triple) for triple in ranked]


def _ranked(r: Tensor, log_prob: Tensor) -> list[tuple[int, int, int]]:
    """Returns triples (i, j, k): merge i and j, split k; by merging criterion first, then by splitting criterion."""
    norm = r.square().sum(0).sqrt().clamp_min(torch.finfo(r.dtype).tiny)
    together = (r.mT @ r / (norm * norm.unsqueeze(-1))).tolist()
    share = r / r.sum(0).clamp_min(torch.finfo(r.dtype).tiny)
    misfit = (torch.xlogy(share, share) - torch.where(share > 0, share * log_prob, 0)).sum(0).tolist()
    components = range(len(misfit))
    pairs = sorted(itertools.combinations(components, 2), key=lambda pair: -together[pair[0]][pair[1]])
    worst = sorted(components, key=lambda k: -misfit[k])
    return [(i, j, k) for i, j in pairs for k in worst if k not in (i, j)]


def _changed(mixture: Mixture, rows: TensorRows, clean: Tensor, r: Tensor, i: int, j: int, k: int) -> Mixture:
    """Returns the mixture that the family's update makes of responsibilities with i and j joined and k cut in two."""
    upper = _side(clean, r[:, k])
    changed = r.clone()
    changed[:, i] = r[:, i] + r[:, j]
    changed[:, j] = r[:, k] * upper
    changed[:, k] = r[:, k] * ~upper
    moments = rows.observation.complete(mixture.components, rows.tensor(), changed)
    weight = changed.sum(0).double()
    statistics = Statistics(weight.sum(), weight, moments)
    logits = (weight / weight.sum()).log().to(mixture.dtype)
    return Mixture._of(logits, mixture.components.update(statistics))


def _side(x: Tensor, r: Tensor) -> Tensor:
    """Tells on which side of their mean, along their main direction, rows lie."""
    flat = x.reshape(len(x), -1)
    share = (r / r.sum()).unsqueeze(-1)
    gap = flat - (share * flat).sum(0)
    direction = torch.linalg.eigh(gap.mT @ (share * gap)).eigenvectors[:, -1]
    return gap @ direction > 0
