r"""Rows as they would be recorded: for each draw of the parameters as many as there are, each in the place of one.

.. math:: z_n \sim \mathrm{Cat}(\pi_n), \qquad x_n \sim p(x | \theta_{n, z_n}), \qquad y_n \sim p(y | x_n) .

A row keeps its covariates, the errors it was recorded with, what is known of its label, and what was not recorded.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Generator, Tensor

from ...mixture import Mixture
from ..posterior import Posterior
from ..rows import Term
from .reading import over_terms

__all__ = ["replicates"]


def replicates(posterior: Posterior, values: Mapping[str, Tensor], generator: Generator | None = None) -> Tensor:
    """Returns rows in the place of those recorded, ``(S, N, *event)``, under draws ``(S, ...)``.

    Raises:
        NotClosedForm: If the components were written by hand without a sampler.
    """
    return over_terms(posterior, values, lambda term, some: _recorded(term, some, generator))


def _recorded(term: Term, values: Mapping[str, Tensor], generator: Generator | None) -> Tensor:
    """Rows of a few draws, ``(N, S, *event)``; inside draws come first, as observations count rows last."""
    x, _, possible, covariates, *side = term.data
    own = _each(term, values, covariates)
    components = term.family.made({name: own[name] for name in term.family.arguments(term.features)}, term.features)
    observation, drawn = term.observation.at(side), Mixture._of(own["weights"].log(), components)
    recorded = observation.apply(drawn) if observation.selects else drawn
    chances = (recorded.logits + possible).softmax(-1)
    labels = torch.multinomial(chances.flatten(0, 1), 1, generator=generator).reshape(chances.shape[:-1])
    clean = components.draw(labels, generator)
    y = observation.record(clean, labels, generator, components)
    return y.to(torch.float64).masked_fill(x.isnan(), torch.nan).movedim(0, 1)


def _each(term: Term, values: Mapping[str, Tensor], covariates: Tensor) -> dict[str, Tensor]:
    """The values of every draw and every row, ``(S, N, ...)``, whether covariates move them or not."""
    moved = term.slopes.at(values, covariates, 1)
    some, rows = len(values["weights"]), len(covariates)
    names = ("weights", *term.family.arguments(term.features))
    wide = {name: moved[name] if moved[name].ndim > values[name].ndim else moved[name].unsqueeze(0) for name in names}
    return {name: value.expand(rows, some, *value.shape[2:]).movedim(0, 1) for name, value in wide.items()}
