r"""Draws of the prior that the posterior is made of, with order, floors and potentials: none of them is ignored.

.. math:: p(\theta) \propto p_0(\theta)\, 1[\theta \text{ in order}]\, e^{\sum_i \phi_i(\theta)} .

Where components may trade places, draws of :math:`p_0` are put in order; elsewhere those out of order are left out, as
are those behind a wall, :math:`\phi = -\infty`. What is then left has weights :math:`e^\phi`: all alike where there
are only walls, and else draws are taken in proportion to them from many more (Rubin, 1988).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Generator, Tensor

from ...errors import refuse
from ..posterior import Posterior
from ..prior_draws import prior_draws

__all__ = ["from_prior"]

_ROUNDS, _FEWEST = 40, 1000
_MORE = 5  # times as many draws as are wanted, for soft potentials to choose from
_ALIKE = 1e-12
_LEAST = 0.5  # of the draws wanted, how many must be worth their while

Values = dict[str, Tensor]


@torch.no_grad()
def from_prior(posterior: Posterior, draws: int, generator: Generator | None = None) -> Values:
    """Returns draws ``(draws, ...)`` by name of the parameters as they are believed to be before any row is seen.

    Raises:
        MixtureError: If potentials leave too few.
    """
    kept: list[Values] = []
    logits: list[Tensor] = []
    for _ in range(_ROUNDS):
        values, weight = _possible(posterior, max(draws, _FEWEST), generator)
        kept.append(values)
        logits.append(weight)
        if _enough(torch.cat(logits), draws):
            break
    every = {name: torch.cat([one[name] for one in kept]) for name in kept[0]}
    return {name: value[_chosen(torch.cat(logits), draws, generator)] for name, value in every.items()}


def _possible(posterior: Posterior, some: int, generator: Generator | None) -> tuple[Values, Tensor]:
    """Draws that neither order nor walls forbid, and their log-weights."""
    values = prior_draws(posterior.variables, posterior.together, some, generator)
    if posterior.one_of_copies:
        values = posterior.in_order(values)
    log_weight = torch.where(_inside(posterior, values), 0.0, -torch.inf)
    every = posterior.whole(values)
    for one in posterior.potentials:
        log_weight = log_weight + one.log_prob(every, 1)
    left = log_weight > -torch.inf
    return {name: value[left] for name, value in values.items()}, log_weight[left]


def _inside(posterior: Posterior, values: Mapping[str, Tensor]) -> Tensor:
    """Whether draws lie where their bijections lead: in order, and with weights above a floor."""
    u = posterior.unconstrain(values)
    return u.isfinite().all(-1)


def _enough(logits: Tensor, draws: int) -> bool:
    walls = bool((logits - logits[:1]).abs().le(_ALIKE).all())
    return len(logits) >= draws * (1 if walls else _MORE)


def _chosen(logits: Tensor, draws: int, generator: Generator | None) -> Tensor:
    """The places of the draws that are taken."""
    worth = float(torch.exp(2 * logits.logsumexp(0) - (2 * logits).logsumexp(0))) if len(logits) else 0.0
    if worth < max(1.0, _LEAST * draws):
        came = f"{worth:.3g} of {_ROUNDS * max(draws, _FEWEST)} draws of the priors"
        advice = "Bring the priors nearer to what the potentials allow, or use a bijection: `ordered`, `min_weight`."
        refuse("potentials", f"such that {_LEAST * draws:.0f} draws of the priors or more are possible", came, advice)
    if not _enough(logits, draws) or bool((logits - logits[0]).abs().gt(_ALIKE).any()):
        chance = (logits - logits.max()).exp()
        return torch.multinomial(chance, draws, replacement=True, generator=generator)
    return torch.arange(draws)
