r"""One seam for the arithmetic over rows: a plan says what, a backend does it.

B counts restarts, which share every pass over the rows (N, D), of any floating type, on any device. A `Plan` holds the
form of the covariances, parameters, the labels rule and what a row's law has beyond a Gaussian. `Reference` answers
any plan in torch, `Compiled` does where it is faster, and `choose` takes the first that is worth while and serves. Both
agree to rounding.

Gradients do not flow through a pass: a caller whose rows or parameters need them uses the torch expression.
"""

import torch
from torch import Tensor

from .centres import nearest_centre
from .choose import BACKENDS, add_backend, choose
from .errors_by_row import RowErrors
from .extra import NOTHING, Extra
from .form import DIAGONAL, FULL, LOW_RANK, SPHERICAL, Form
from .heavy_tails import Tails
from .labels import Drawn, Kind, Labels, Remembered, Rule, Single, nearest, soft
from .plan import Plan
from .reference import Reference
from .steps import Step
from .sums import Sums

__all__ = [
    "BACKENDS",
    "DIAGONAL",
    "Drawn",
    "Extra",
    "FULL",
    "NOTHING",
    "SPHERICAL",
    "Form",
    "Kind",
    "LOW_RANK",
    "Labels",
    "Plan",
    "Reference",
    "Remembered",
    "RowErrors",
    "Rule",
    "Single",
    "Step",
    "Sums",
    "Tails",
    "add_backend",
    "choose",
    "log_density",
    "log_joint",
    "nearest",
    "nearest_centre",
    "responsibilities",
    "score",
    "soft",
    "sums",
]


@torch.no_grad()
def sums(plan: Plan, x: Tensor, weight: Tensor | None = None) -> Sums:
    """Everything an update needs, from one pass over the rows; weights (N,) say how often each counts.

    Example:
        >>> x = torch.tensor([[-1.0, 0.0], [1.0, 0.0], [5.0, 0.0]])
        >>> found = sums(Plan(FULL, torch.zeros(1, 1, 2), torch.eye(2)[None, None], torch.zeros(1, 1)), x)
        >>> found.weight, found.shift
        (tensor([[3.]], dtype=torch.float64), tensor([[[5., 0.]]], dtype=torch.float64))
    """
    return choose(plan, x).sums(plan, x, weight)


@torch.no_grad()
def log_joint(plan: Plan, x: Tensor) -> Tensor:
    """Log joint density of rows and components, (N, B, K), in nats."""
    return choose(plan, x).log_joint(plan, x)


@torch.no_grad()
def log_density(plan: Plan, x: Tensor) -> Tensor:
    """Log density of rows under each mixture, (N, B), in nats."""
    return choose(plan, x).log_density(plan, x)


@torch.no_grad()
def responsibilities(plan: Plan, x: Tensor) -> Tensor:
    """The posterior probability of each component for each row, (N, B, K)."""
    return choose(plan, x).responsibilities(plan, x)


@torch.no_grad()
def score(plan: Plan, x: Tensor) -> Tensor:
    """The gradient of the log density in the row under each mixture, (N, B, D)."""
    return choose(plan, x).score(plan, x)
