"""Labels that mean the same in all draws, where neither an order nor the priors nor known labels tell components apart.

The posterior has then K! copies of every mode, and a chain may visit several. Components are matched on the scale of
real numbers, weights by their logarithms, as `mx.learning.relabel` matches them.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ...learning.results.relabel import matching
from ..posterior import Posterior, reordered
from ..trade import symmetric
from ..variables import Variable

__all__ = ["interchangeable", "matched"]


def interchangeable(posterior: Posterior) -> bool:
    """Tells whether the posterior stays the same when components trade places, and nothing orders them."""
    return posterior.components > 1 and posterior.order is None and symmetric(posterior)


def matched(posterior: Posterior, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Returns draws ``(S, ...)`` with components in an order that agrees over draws."""
    own = [one for one in posterior.variables if one.of_components]
    features = torch.cat([_features(one, values[one.name]) for one in own], -1)
    order = matching(features)
    names = {one.name for one in own} | {"covariance"}
    return {name: reordered(value, order) if name in names else value for name, value in values.items()}


def _features(variable: Variable, value: Tensor) -> Tensor:
    """What tells the components of draws apart, ``(S, K, F)``."""
    if variable.name == "weights":
        return value.log().unsqueeze(-1)
    return variable.unconstrain(value).reshape(*value.shape[:2], -1)
