r"""The evidence by bridge sampling: the integral of an unnormalised density, from draws of it.

With :math:`N_1` draws of the posterior p/Z and :math:`N_2` draws of a normalised proposal q, the optimal bridge (Meng
and Wong, 1996) makes the estimate the fixed point of

.. math:: Z \leftarrow
    \frac{\frac1{N_2} \sum_j \dfrac{l_{2j}}{s_1 l_{2j} + s_2 Z}}
         {\frac1{N_1} \sum_i \dfrac{1}{s_1 l_{1i} + s_2 Z}},
    \qquad l = p/q, \quad s_1 \propto N_1, \; s_2 \propto N_2, \; s_1 + s_2 = 1,

where :math:`N_1` is the effective number of draws of the chains (Gronau et al., 2017). The proposal is a mixture of
Gaussians learned by `mixtura.fit` from the first half of each chain, as many as the Bayesian information criterion
wants, and the second halves make the estimate. Its squared relative error is (Frühwirth-Schnatter, 2004)

.. math:: \frac{1}{N_2} \frac{\mathrm{Var}_q f_2}{(\mathrm E_q f_2)^2}
    + \frac{\tau}{N_1} \frac{\mathrm{Var}_p f_1}{(\mathrm E_p f_1)^2}, \qquad
    f_2 = \frac{p/Z}{s_1 p/Z + s_2 q}, \; f_1 = \frac{q}{s_1 p/Z + s_2 q},

with :math:`\tau` the autocorrelation time of :math:`f_1` along the chains.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from ...errors import refuse
from ...learning import select
from ...mixture import Mixture
from .density import LogDensity, values

__all__ = ["Bridge", "autocorrelation_time", "bridge"]

_LEAST = 20  # draws of each half of a chain
_ROWS = 4000  # that a proposal is learned from
_ROWS_EACH = 5  # for each number that a component of the proposal has
_COMPONENTS = (1, 2, 4)
_ITERATIONS, _TOLERANCE = 1000, 1e-12


@dataclass(frozen=True)
class Bridge:
    """An estimate of the log of an integral.

    Arguments:
        log_evidence: The estimate, in nats.
        error: Its standard error, in nats: the relative error of the integral.
        proposal: The law that was bridged to.
        overlap: The share of the proposal's draws that count, from 0 (none is possible under the posterior) to 1.
    """

    log_evidence: float
    error: float
    proposal: Mixture
    overlap: float

    def __repr__(self) -> str:
        return f"log-evidence {self.log_evidence:.4f} ± {self.error:.2g} nats"


def bridge(
    log_density: LogDensity,
    draws: Tensor,
    generator: Generator | None = None,
    proposal: Mixture | None = None,
    at_once: int = 2048,
    images: Callable[[Tensor], Tensor] | None = None,
) -> Bridge:
    """Estimates the log of the integral of a density on :math:`R^P`.

    Arguments:
        log_density: The log-density of points ``(S, P)``, up to the constant that is sought.
        draws: Draws of it, ``(chains, draws, P)``.
        generator: The source of randomness.
        proposal: A normalised law of points, near the density; learned from half of the draws by default.
        at_once: How many points the density may be asked about in one call.
        images: What a symmetry of the density that keeps volumes makes of points ``(S, P)``, themselves among it:
            ``(M, S, P)``. The proposal is then the mean of its own M images, so it has the symmetry, too.

    Raises:
        MixtureError: If there are fewer than forty draws a chain, a draw is not finite or impossible, or none of the
            proposal's draws is possible.
    """
    _checked(draws)
    half = draws.shape[1] // 2
    proposal = proposal or _learned(draws[:, :half].flatten(0, 1), generator)
    kept = draws[:, half:]
    ours = values(log_density, kept, at_once) - _log_prob(proposal, kept, images)
    further = proposal.sample((kept.shape[0] * kept.shape[1],), generator=generator)
    theirs = values(log_density, further, at_once) - _log_prob(proposal, further, images)
    if not bool(ours.isfinite().all()) or not bool(theirs.isfinite().any()):
        came = "draws where one of them is zero"
        refuse("draws", "of the density, with a proposal that overlaps it", came, "Were they of another posterior?")
    return _estimate(ours, theirs, proposal)


def _checked(draws: Tensor) -> None:
    if draws.ndim != 3 or draws.shape[1] < 2 * _LEAST:
        refuse("draws", f"of shape (chains, {2 * _LEAST} or more, P)", tuple(draws.shape))
    if not bool(draws.isfinite().all()):
        refuse("draws", "finite", "NaN or infinite numbers")


def _log_prob(proposal: Mixture, u: Tensor, images: Callable[[Tensor], Tensor] | None) -> Tensor:
    points = u.reshape(-1, u.shape[-1])
    every = points.unsqueeze(0) if images is None else images(points)
    found = torch.stack([proposal.log_prob(some) for some in every])
    return (found.logsumexp(0) - math.log(len(found))).reshape(u.shape[:-1])


def _learned(rows: Tensor, generator: Generator | None) -> Mixture:
    """Returns a mixture fitted to rows, found in scales in which they are near one."""
    rows = rows[:: max(1, len(rows) // _ROWS)]
    centre, scale = rows.mean(0), rows.std(0)
    if not bool((scale > 0).all()):
        refuse("draws", "different from each other in every coordinate", "a coordinate that never changes")
    most = 2 * len(rows) // (_ROWS_EACH * rows.shape[-1] * (rows.shape[-1] + 3))
    counts = [k for k in _COMPONENTS if k == 1 or k <= most]
    found = select((rows - centre) / scale, counts, ("full",), generator=generator).best.mixture
    return found.affine(scale.diag(), centre)


def _estimate(ours: Tensor, theirs: Tensor, proposal: Mixture) -> Bridge:
    """Iterates the bridge from log-ratios of the posterior's draws ``(chains, N)`` and of the proposal's."""
    effective = ours.numel() / autocorrelation_time(ours)
    log_s1 = math.log(effective / (effective + len(theirs)))
    log_s2 = math.log(len(theirs) / (effective + len(theirs)))
    log_z = float(ours.median())
    for _ in range(_ITERATIONS):
        above, below = _terms(ours, theirs, log_z, log_s1, log_s2)
        step = float(_log_mean(above) - _log_mean(below))
        log_z += step
        if abs(step) < _TOLERANCE * max(1.0, abs(log_z)):
            break
    above, below = _terms(ours, theirs, log_z, log_s1, log_s2)
    overlap = float((above + log_s1).exp().mean() / math.exp(log_s1))
    return Bridge(log_z, _error(above.exp(), below.exp()), proposal, min(1.0, overlap))


def _terms(ours: Tensor, theirs: Tensor, log_z: float, log_s1: float, log_s2: float) -> tuple[Tensor, Tensor]:
    """Returns the logs of f of the proposal's draws, and of the posterior's, with ratios relative to Z."""
    there, here = theirs - log_z, ours - log_z
    second = torch.full_like(there, log_s2)
    above = there - torch.logaddexp(there + log_s1, second)
    below = -torch.logaddexp(here + log_s1, torch.full_like(here, log_s2))
    return above, below


def _log_mean(terms: Tensor) -> Tensor:
    return terms.flatten().logsumexp(0) - math.log(terms.numel())


def _error(above: Tensor, below: Tensor) -> float:
    from_proposal = above.var() / above.mean().square() / len(above)
    from_draws = autocorrelation_time(below) * below.var() / below.mean().square() / below.numel()
    return float((from_proposal + from_draws).sqrt())


def autocorrelation_time(series: Tensor) -> float:
    r"""Returns the number of draws that are worth one, :math:`1 + 2\sum_t \rho_t`, of chains ``(C, N)``.

    Pairs of autocorrelations are added as long as their sums are positive and fall (Geyer, 1992); their average over
    chains is about the mean of all, so chains at different places count as slow ones.
    """
    length = series.shape[-1]
    centred = series - series.mean()
    spectrum = torch.fft.rfft(centred, 2 * length).abs().square()
    covariance = torch.fft.irfft(spectrum, 2 * length)[..., :length].mean(0) / length
    if not float(covariance[0]) > 0:
        return 1.0
    rho = covariance / covariance[0]
    pairs = (rho[0::2][: length // 2] + rho[1::2][: length // 2]).cummin(0).values.clamp_min(0.0)
    return max(1.0, float(2 * pairs.sum() - 1))
