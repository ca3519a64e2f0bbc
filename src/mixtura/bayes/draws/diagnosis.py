r"""Whether draws can be trusted, in words, with what to do where they cannot.

Chains that went to different places have a rank-normalised split :math:`\hat R` over 1.01; draws that hang on each
other are worth fewer (Vehtari, Gelman, Simpson, Carpenter and Bürkner, 2021). Divergences are trajectories that left
what the integrator can follow. Labels trade places where matching them over draws changes them, and a component whose
weight is below that of one row is empty.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ...learning.results.relabel import matching
from .read_back import Drawn, parameters_of, set_of
from .words import intervals

__all__ = ["Diagnosis", "diagnose"]

R_HAT, ENERGY, FEW, K_HAT = 1.01, 0.3, 100, 0.7
_OFTEN = 0.05


@dataclass(frozen=True)
class Diagnosis:
    """What was found.

    Arguments:
        remarks: What is wrong, each in words with advice; none where nothing is.
        r_hat: The largest R-hat and whose it is; none of a single chain.
        effective: The smallest effective size, of the middle or of the tails, and whose it is.
        divergences: How many trajectories diverged.
        draws: How many draws there are.
    """

    remarks: tuple[str, ...]
    r_hat: tuple[float, str] | None
    effective: tuple[float, str]
    divergences: int
    draws: int

    @property
    def sound(self) -> bool:
        """Whether nothing was found."""
        return not self.remarks

    def __str__(self) -> str:
        return "\n".join(self.remarks or (f"Nothing stands against these draws: {self.numbers}.",))

    @property
    def numbers(self) -> str:
        """What was measured, in one line."""
        agree = "one chain" if self.r_hat is None else f"R-hat up to {self.r_hat[0]:.3f}"
        worth = f"{self.draws:,} draws worth {self.effective[0]:,.0f} or more"
        return f"{agree}, {worth}, {self.divergences} divergences"


def diagnose(idata: Drawn) -> Diagnosis:
    """Returns whether draws can be trusted, in words with advice.

    Raises:
        ImportError: If ArviZ is not installed.

    Example:
        >>> posterior = mx.bayes.Model(2, ordered="loc").posterior(mx.datasets.old_faithful()[:, 0])
        >>> u = posterior.start() + 0.01 * torch.randn(4, 200, posterior.size)
        >>> mx.bayes.diagnose(mx.bayes.inference_data(posterior, u, generator=torch.Generator().manual_seed(0))).sound
        True
    """
    values = parameters_of(idata)
    chains, draws = next(iter(values.values())).shape[:2]
    every = [one for one in intervals(idata) if one.scale > 0]
    r_hat = max(((one.r_hat, one.whose) for one in every), default=None) if chains > 1 and draws > 3 else None
    effective = min(((one.effective, one.whose) for one in every), default=(float("nan"), "nothing"))
    diverged = _total(idata, "diverging")
    found = (
        _of_divergences(diverged, chains * draws),
        _of_chains(r_hat),
        _of_size(effective, chains),
        _of_energy(idata),
        _of_labels(values),
        _of_weights(idata, values),
        _of_approximation(idata),
    )
    return Diagnosis(tuple(filter(None, found)), r_hat, effective, diverged, chains * draws)


def _total(idata: Drawn, name: str) -> int:
    group = set_of(idata, "sample_stats")
    return int(group[name].sum()) if name in group else 0


def _of_divergences(count: int, draws: int) -> str:
    if not count:
        return ""
    return (
        f"{count} of {draws:,} trajectories diverged: where they did the posterior was not explored. Raise "
        "`target_accept` to 0.99; put bijections (`ordered`, `min_weight`) in the place of walls; give scales a prior "
        "that vanishes at zero."
    )


def _of_chains(r_hat: tuple[float, str] | None) -> str:
    if r_hat is None or r_hat[0] <= R_HAT:
        return ""
    return (
        f"R-hat of {r_hat[1]} is {r_hat[0]:.3f}, over {R_HAT}: chains went to different places, or were too short. "
        "Draw and tune for longer; if components trade places between chains, give an order, `ordered`, or priors "
        "that differ."
    )


def _of_size(effective: tuple[float, str], chains: int) -> str:
    if effective[0] >= FEW * chains:
        return ""
    return (
        f"The draws of {effective[1]} are worth {effective[0]:.0f} independent ones, fewer than {FEW} a chain: means "
        "and intervals are rough. Draw more."
    )


def _of_energy(idata: Drawn) -> str:
    group = set_of(idata, "sample_stats")
    if "energy" not in group:
        return ""
    energy = torch.tensor(group["energy"].values)
    share = float((energy.diff(dim=1).square().mean(1) / energy.var(1)).min())
    if not share < ENERGY:
        return ""
    return (
        f"The energy moves little from draw to draw (a share of {share:.2f}, under {ENERGY}): tails are explored "
        "slowly. Look for priors with heavy tails, or for a scale near zero."
    )


def _of_labels(values: dict[str, Tensor]) -> str:
    """How often components would have to trade places for labels to mean the same throughout."""
    count = values["weights"].shape[-1] if "weights" in values else 1
    own = [one.flatten(0, 1) for one in values.values() if one.ndim > 2 and one.shape[2] == count]
    if count < 2:
        return ""
    features = torch.cat([_scaled(one).reshape(*one.shape[:2], -1) for one in own], -1)
    order = matching(features)
    usual = order.mode(0).values
    share = float((order != usual).any(-1).double().mean())
    if share <= _OFTEN:
        return ""
    return (
        f"Labels trade places in {100 * share:.0f} % of the draws: what is said of single components mixes several. "
        "Give an order, `ordered`, on a parameter in which they differ, or fewer components; densities and "
        "predictions hold."
    )


def _scaled(value: Tensor) -> Tensor:
    """Positive values by their logarithms."""
    return value.log() if bool((value > 0).all()) else value


def _of_weights(idata: Drawn, values: dict[str, Tensor]) -> str:
    if "weights" not in values:
        return ""
    rows = set_of(idata, "observed_data")["x"].shape[0]
    empty = (values["weights"] < 1 / rows).double().mean((0, 1))
    if not bool((empty > _OFTEN).any()):
        return ""
    each = ", ".join(
        f"component {k} in {100 * share:.0f} %" for k, share in enumerate(empty.tolist()) if share > _OFTEN
    )
    return (
        f"A weight is at zero, below that of one row ({each} of the draws): the rows do not ask for so many "
        "components. Use fewer, a Dirichlet prior of a larger concentration, or `min_weight`."
    )


def _of_approximation(idata: Drawn) -> str:
    k_hat = set_of(idata, "posterior").attrs.get("pareto_k", 0.0)
    if not k_hat > K_HAT:
        return ""
    return (
        f"The approximation is far from the posterior (k-hat {k_hat:.2f}, over {K_HAT}): few of its draws would count "
        "if they were weighed. Sample with NUTS, or try rank='full' or Pathfinder."
    )
