r"""Training a network on the mean of :math:`-\log p(x_n|c_n)`, with rows held out to tell when to stop.

    for each epoch:
        for each batch: one step of the optimiser
        the log-density of the rows held out; the best state is kept
        where it has not risen for half the patience, steps are shortened; for all of it, training ends

A plain loop of your own does as well: the loss is ``-gmm(context).log_prob(x).mean()``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from ..data import Block
from ..errors import refuse
from ..learning import Reason
from ..learning.loop.progress import progress_report
from ..learning.loop.traces import Report
from .batches import Batches
from .trained import Trained

__all__ = ["Course", "train"]

Optimizer = Callable[[Any], torch.optim.Optimizer]

_SHORTER = 0.3  # by what steps are shortened
_LONGEST = 10.0  # the norm of a gradient above which it is scaled down
_RISE = 1e-4  # nats per row that count as a rise


@dataclass
class Course:
    """How training goes: what it has come to, and when to stop.

    Attributes:
        module: What is trained.
        patience: How many epochs without a rise of the held-out log-density end it.
    """

    module: nn.Module
    patience: int
    trace: list[float] = field(default_factory=list)
    validation: list[float] = field(default_factory=list)
    best: int = -1
    state: dict[str, Tensor] = field(default_factory=dict)
    reason: Reason = Reason.EPOCHS
    detail: str = ""

    def keep(self) -> None:
        """Keeps the state as the best so far."""
        self.state = {name: tensor.clone() for name, tensor in self.module.state_dict().items()}

    def noted(self, learned: float, held: float) -> bool:
        """Notes the log-densities of an epoch, and tells whether to go on."""
        self.trace.append(learned)
        self.validation.append(held)
        if not math.isfinite(learned + held):
            return self._ended(Reason.DIVERGED, f"The log-density of epoch {len(self.trace) - 1} is {held:g}.")
        if self.best < 0 or held > self.validation[self.best] + _RISE:
            self.best = len(self.validation) - 1
            self.keep()
        if self.waited >= self.patience:
            return self._ended(Reason.STOPPED_EARLY, "")
        return True

    @property
    def waited(self) -> int:
        """How many epochs ago the best one was."""
        return len(self.validation) - 1 - self.best

    @property
    def tired(self) -> bool:
        """Whether half the patience is over, which is when steps are shortened."""
        return self.waited > 0 and self.waited % max(1, self.patience // 2) == 0

    def interrupted(self) -> None:
        """Notes that the user ended it."""
        self._ended(Reason.INTERRUPTED, "")

    def _ended(self, reason: Reason, detail: str) -> bool:
        self.reason, self.detail = reason, detail
        return False

    def result(self) -> Trained:
        """Returns the record, with the best state restored, ready to be used."""
        self.module.load_state_dict(self.state)
        self.module.eval()
        trace, validation = torch.tensor(self.trace), torch.tensor(self.validation)
        return Trained(self.module, self.reason, self.detail, trace, validation, max(0, self.best))


def train(
    module: nn.Module,
    batches: Batches,
    held: Batches | None,
    optimizer: Optimizer,
    epochs: int,
    patience: int,
    progress: bool,
) -> Trained:
    """Trains a network on batches, watching those held out; Ctrl-C keeps the best state so far."""
    course = Course(module, patience)
    course.keep()
    try:
        with progress_report(progress, epochs) as report:
            _epochs(course, batches, held, optimizer(module.parameters()), epochs, report)
    except KeyboardInterrupt:
        course.interrupted()
    return course.result()


def _epochs(
    course: Course,
    batches: Batches,
    held: Batches | None,
    steps: torch.optim.Optimizer,
    epochs: int,
    report: Report | None,
) -> None:
    for epoch in range(epochs):
        learned = _epoch(course.module, batches, steps)
        foretold = learned if held is None else _log_density(course.module, held)
        if not course.noted(learned, foretold):
            return
        if course.tired:
            for group in steps.param_groups:
                group["lr"] *= _SHORTER
        if report:
            report(epoch + 1, foretold)


def _epoch(module: nn.Module, batches: Batches, steps: torch.optim.Optimizer) -> float:
    """One pass of steps; returns the mean log-density of the rows while it was under way."""
    module.train()
    total, count = 0.0, 0
    for context, block in batches:
        steps.zero_grad()
        density = _densities(module, context, block).mean()
        (-density).backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), _LONGEST)
        steps.step()
        total, count = total + density.detach() * len(block), count + len(block)
    return float(total / count) if count else refuse("x", "at least one batch", "none")


@torch.no_grad()
def _log_density(module: nn.Module, batches: Batches) -> float:
    """The mean log-density of rows."""
    module.eval()
    total, count = 0.0, 0
    for context, block in batches:
        total, count = total + _densities(module, context, block).sum(), count + len(block)
    return float(total / count)


def _densities(module: nn.Module, context: Tensor, block: Block) -> Tensor:
    """The log-density of each row, as it was recorded."""
    return block.observation.own_log_prob(module(context), block.x)
