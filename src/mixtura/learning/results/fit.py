r"""What a learner returns: the mixture, the trace, the reason and the criteria.

With total log-likelihood :math:`\ell` (nats), p free parameters and total row weight n,

.. math:: AIC = 2p - 2\ell, \qquad BIC = p\log n - 2\ell, \qquad
    ICL = BIC - 2\sum_n w_n \log \max_k r_{nk}.

Lower is better for all three (mclust's have the opposite sign). Integer row weights count as repeated rows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ...data import Block, Rows
from ...mixture import Mixture
from ...mixture.saving import save
from ...observation.recording import Recording, recording_of
from ..expectation.expect import expect, log_joint
from ..expectation.labels import soft
from ..loop.reason import Reason
from ..search.spurious import spurious_components
from .optimum import Optimum

if TYPE_CHECKING:
    from ...components import Family
    from ..loop.method import Method

__all__ = ["Fit"]


@dataclass(frozen=True, eq=False, repr=False)
class Fit:
    """A learned mixture and how it was reached.

    Arguments:
        mixture: The mixture.
        method: The method that learned it.
        reason: Why it stopped.
        detail: The particulars of the reason, such as the component that collapsed.
        trace: What the method ascends, in nats per row, before each update and at the end.
        restarts: What the starts that went to the end came to, best first, and how many came to each `Optimum`.
        rows: The data and how they were recorded, kept for the criteria that need another pass.
        family: What was learned, as it was before there were numbers.

    Example:
        >>> fit = mx.fit(mx.datasets.old_faithful(), components=2)
        >>> fit.converged, fit.parameters
        (True, 11)
    """

    mixture: Mixture
    method: Method
    reason: Reason
    detail: str
    trace: Tensor
    restarts: tuple[Optimum, ...]
    rows: Rows = field(repr=False)
    family: Family = field(repr=False)

    @property
    def converged(self) -> bool:
        """Whether the tolerance was met."""
        return self.reason is Reason.CONVERGED

    @property
    def iterations(self) -> int:
        """The number of updates."""
        return len(self.trace) - 1

    @property
    def advice(self) -> str:
        """The reason in words, with its particulars and what to do."""
        remarks = self._doubt, self.mixture.components.remark
        parts = (f"{self.reason.name}:", self.detail, self.reason.value, *remarks)
        return " ".join(part for part in parts if part)

    @property
    def spurious(self) -> list[int]:
        """The components that are on a handful of rows or a plane of points: then the optimum is none of the data's."""
        return spurious_components(self.mixture, self.rows.total_weight, self.rows.observation)

    @property
    def _doubt(self) -> str:
        if not self.spurious:
            return ""
        weights = self.mixture.weights.tolist()
        each = [f"component {k} holds {weights[k] * self.rows.total_weight:.3g} rows" for k in self.spurious]
        return f"The optimum is spurious: {', '.join(each)}, in hardly any volume. Use fewer components or a prior."

    @property
    def parameters(self) -> int:
        """The number of free parameters."""
        return self.method.parameters(self.mixture)

    @cached_property
    def log_likelihood(self) -> float:
        """The total log-likelihood of the data under the mixture, in nats, row weights included."""
        return expect(self._batched, self.rows, soft).log_likelihood.item()

    @property
    def aic(self) -> float:
        """Akaike's criterion; lower is better."""
        return 2 * self.parameters - 2 * self.log_likelihood

    @property
    def bic(self) -> float:
        """The Bayesian information criterion (Schwarz, 1978); lower is better."""
        return self.parameters * math.log(self.rows.total_weight) - 2 * self.log_likelihood

    @cached_property
    def icl(self) -> float:
        """The integrated completed likelihood (Biernacki, Celeux and Govaert, 2000); lower is better."""
        with torch.no_grad():
            return self.bic - 2 * self.rows.reduce(lambda block: _certainty(self.mixture, block)).item()

    @property
    def recording(self) -> Recording:
        """How the rows were recorded, as far as it holds for other rows, too."""
        return recording_of(self.rows.observation)

    def save(self, path: str | Path, errors: Sequence[str] | None = None) -> None:
        """Writes the mixture, its columns and how its rows were recorded to a safetensors file: complete or absent.

        `mixtura.load` gives the mixture, and `mixtura.mixture.read_model` all of it. Errors or limits of single rows
        belong to the rows and are not written; that other rows need theirs, is.

        Arguments:
            path: The file; one that exists is replaced.
            errors: The names of the columns that held the rows' errors, where the rows had errors of their own.

        Example:
            >>> fit = mx.fit(mx.datasets.old_faithful(), 2, observation=mx.observation.Missing())
            >>> fit.save("model.safetensors")
            >>> mx.mixture.read_model("model.safetensors").recording
            Plain(gaps=True)
        """
        save(self.mixture, path, self.recording.named(self.rows.columns, None if errors is None else tuple(errors)))

    @property
    def _batched(self) -> Mixture:
        return self.mixture.map(lambda tensor: tensor.unsqueeze(0))

    def __repr__(self) -> str:
        return (
            f"Fit({self.mixture.logits.shape[-1]} components, {self.reason.name.lower()} after {self.iterations} "
            f"iterations, {self.trace[-1].item():.6g} nats per row)"
        )


def _certainty(mixture: Mixture, block: Block) -> Tensor:
    """The sum of the log-probabilities of each row's likeliest component."""
    best = torch.log_softmax(log_joint(mixture, block), -1).amax(-1).double()
    return torch.where(block.weights > 0, best * block.weights, 0).sum()
