"""What training returns: the trace, the reason, and how well held-out rows were foretold."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from ..learning import Reason

__all__ = ["Trained"]


@dataclass(frozen=True, eq=False, repr=False)
class Trained:
    """How a network was trained.

    Attributes:
        module: The network, in its best state.
        reason: Why training stopped.
        detail: The particulars of the reason.
        trace: The mean log-density of the rows learned from, in nats per row, of each epoch while it was under way.
        validation: That of the rows held out, after each epoch; that of the rows learned from where none were.
        best: The epoch after which the state was best, from 0.
    """

    module: nn.Module
    reason: Reason
    detail: str
    trace: Tensor
    validation: Tensor
    best: int

    @property
    def converged(self) -> bool:
        """Whether the held-out log-density had stopped rising."""
        return self.reason is Reason.STOPPED_EARLY

    @property
    def log_density(self) -> float:
        """The mean log-density of the rows held out in the best state, in nats per row."""
        return self.validation[self.best].item() if len(self.validation) else float("nan")

    @property
    def advice(self) -> str:
        """The reason in words, with its particulars and what to do."""
        return " ".join(part for part in (f"{self.reason.name}:", self.detail, self.reason.value) if part)

    def __repr__(self) -> str:
        after = f"{self.reason.name.lower()} after {len(self.trace)} epochs"
        return f"Trained({after}, {self.log_density:.6g} nats per held-out row after epoch {self.best})"
