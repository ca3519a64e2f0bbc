r"""Leaving a saddle: where components are alike, noise in the labels tells them apart, and updates go on from there.

Two components that say the same of every row stay alike in all updates, though the objective may rise on every side of
where they are; near there it rises by less than a tolerance, and more each time. No gain tells such a place from an
end, but a step aside does: from an end updates come back to it, from a saddle they lead higher. Components are alike
where the log of their ratio, :math:`\log w_k p_k(x_n) - \log w_l p_l(x_n)`, is the same in the rows that they hold but
for a few hundredths of a nat; so the step is made where there is reason for it, and most fits ask for none.
"""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from ...data import Rows, TensorRows
from ..expectation.expect import expect, log_joint
from ..expectation.labels import soft
from ..loop.reason import Reason
from ..loop.run import run
from ..loop.traces import Run, stack
from ..methods.annealed import Noisy

__all__ = ["off_saddle"]

_ROWS = 200  # of the sample, by which components are compared
_ALIKE = 0.1  # nats: the deviation of the log of the ratio of components that are alike
_HELD = 0.5  # rows of those: what a component holds at least
_ASIDE = 0.05  # about how many widths a component is moved aside
_MOST = 2.0  # nats of noise
_GAIN = 10  # tolerances, by which an end is higher than a saddle
_SOUND = (Reason.CONVERGED, Reason.MAX_ITERATIONS, Reason.COLLAPSED)  # which may be all that is above a saddle
_ROUNDS = 10  # a bound that is hardly ever met: each must gain


def off_saddle(found: Run, rows: Rows, sample: TensorRows, floor: Tensor) -> Run:
    """Returns a run that ends no lower than the one found, and higher if that ended at a saddle of alike components.

    Arguments:
        found: The run.
        rows: The rows.
        sample: Some of them, in memory.
        floor: The variance below which a component has collapsed.
    """
    few = sample.take(torch.arange(0, len(sample), 1 + len(sample) // _ROWS))
    for _ in range(_ROUNDS):
        if found.reason is not Reason.CONVERGED or not _alike(found, few):
            return found
        after = _aside(found, rows, floor)
        if after.reason not in _SOUND or not _higher(after, found):
            return found
        found = after
    return found


def _aside(found: Run, rows: Rows, floor: Tensor) -> Run:
    """Where updates lead from beside the state of a run."""
    method, here = found.method.at(len(found.trace)), stack([found.state])
    noise = min(_MOST, _ASIDE * len(rows) ** 0.5)
    sums = expect(method.expected(here), rows, Noisy(1.0, noise, Generator().manual_seed(0)))
    return run(method, rows, method.update(sums, here), floor)[0]


def _higher(after: Run, found: Run) -> bool:
    return after.objective > found.objective + _GAIN * max(found.method.tolerance, 1e-9)


def _alike(found: Run, few: TensorRows) -> bool:
    """Tells whether two components of a run with soft labels are alike in the rows that they hold."""
    method = found.method.at(len(found.trace))
    mixture = method.expected(stack([found.state]))
    if method.labels is not soft or mixture.logits.shape[-1] < 2:
        return False
    joint = few.gather(lambda block: log_joint(mixture, block))[:, 0].double()
    return bool(_pairs(joint, few.each_weight.to(joint)).any())


def _pairs(joint: Tensor, weight: Tensor) -> Tensor:
    """Tells which pairs of components are alike, (K, K), by their log joints (n, K)."""
    r = weight.unsqueeze(-1) * torch.softmax(joint, -1)
    ratio, share = joint.unsqueeze(-1) - joint.unsqueeze(-2), r.unsqueeze(-1) + r.unsqueeze(-2)
    share = share / share.sum(0)
    deviation = (share * (ratio - (share * ratio).sum(0)).square()).sum(0).sqrt()
    held = r.sum(0) > _HELD
    return ((deviation < _ALIKE) & held & held.unsqueeze(-1)).fill_diagonal_(False)
