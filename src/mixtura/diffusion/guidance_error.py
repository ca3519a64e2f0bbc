r"""How wrong a rule of guidance is at each time, apart from what samplers make of it.

Where the rows are exact draws of :math:`p_t(x|y)`, a rule's score :math:`\hat s` is held against the exact one,

.. math:: E_{p_t(x|y)}\,|\hat s - \nabla\log p_t(x|y)|^2,

its pull, :math:`\hat s - \nabla\log p_t(x)`, against the direction of the exact pull by their cosine, and the Gaussian
that it puts in the place of :math:`p(y|x_t)`, a mixture, against that by the divergence

.. math:: E_{p_t(x|y)}\,\mathrm{KL}\big(p(y'|x_t)\,\|\,\hat p(y'|x_t)\big),

with one draw :math:`y'` for each row.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Generator, Tensor

from ..errors import NotClosedForm, refuse
from .guidance import ExactGuidance, Guidance
from .laws import Process
from .models import Exact, Model, model_of
from .places import Place, places
from .samplers.sampler import Draw

__all__ = ["GuidanceError", "guidance_error"]


class GuidanceError(NamedTuple):
    """A table with a row for each time; tensors ``(T)``.

    ``error`` is the mean square of the score's error and ``standard_error`` its Monte Carlo error; ``size`` is the mean
    square of the exact pull, which is the error of no guidance at all. ``cosine`` is the mean cosine between the pull
    and the exact one. ``divergence`` is in nats, with its own standard error, and NaN where a rule has no Gaussian.
    """

    times: Tensor
    error: Tensor
    standard_error: Tensor
    size: Tensor
    cosine: Tensor
    divergence: Tensor
    divergence_standard_error: Tensor


def guidance_error(
    guidance: Guidance,
    process: Process,
    times: Sequence[float] | Tensor,
    rows: int = 1000,
    *,
    model: Any = None,
    generator: Generator | None = None,
) -> GuidanceError:
    """Returns how wrong a rule is at each of some times, on exact draws of what it should lead to.

    Arguments:
        guidance: The rule, with one record for all rows.
        process: The mixture under its schedule: the truth.
        times: Where to look; noise has come at each.
        rows: How many draws at each time.
        model: What the rule asks, such as `Imperfect` or a network; by default the truth.
        generator: The source of randomness.

    Raises:
        MixtureError: If a time is outside of the schedule, or without noise, there is none, or fewer than two draws.

    Example:
        >>> mixture = mx.Mixture(torch.ones(2), mx.Normal(torch.tensor([-2.0, 2.0]), torch.ones(2)))
        >>> process = mx.diffusion.Process(mixture, mx.diffusion.EDM())
        >>> rule = mx.diffusion.TMPD(mx.observation.AdditiveNoise(0.0, 0.5), torch.tensor(1.0))
        >>> table = mx.diffusion.guidance_error(rule, process, [0.1, 1.0, 10.0])
        >>> bool((table.error < table.size).all())
        True
    """
    when = process.schedule.checked(torch.as_tensor(times, dtype=torch.float64))
    if when.ndim != 1 or not len(when):
        refuse("times", "one or more numbers", times)
    if not rows >= 2:
        refuse("rows", "at least 2", rows)
    stops = places(process.schedule, when)
    asked = model_of(process if model is None else model, process.schedule)
    posterior = process.mixture.posterior(guidance.observation, guidance.y)
    truth = ExactGuidance(guidance.observation, guidance.y).guide(Exact(process))
    found = []
    for stop in stops:
        clean = posterior.sample((rows,), generator)
        x = stop.alpha * clean + stop.sigma * Draw(generator)(clean)
        found.append(_at(guidance, process, asked, truth, stop, x, generator))
    return GuidanceError(*torch.tensor([[stop.t, *one] for stop, one in zip(stops, found, strict=True)]).unbind(-1))


def _at(
    guidance: Guidance,
    process: Process,
    model: Model,
    truth: Model,
    place: Place,
    x: Tensor,
    generator: Generator | None,
) -> list[float]:
    """A row of the table, but for the time."""
    rows = len(x)
    clean, exact = process.denoise(place.t, x), truth.denoise(x, place)
    found = guidance.guide(model).denoise(x, place)
    unit = place.alpha / place.sigma**2
    error, size = ((unit * one).reshape(rows, -1).square().sum(-1) for one in (found - exact, exact - clean))
    pull, wanted = ((one - clean).reshape(rows, -1) for one in (found, exact))
    cosine = torch.nn.functional.cosine_similarity(pull, wanted)
    divergence = _divergence(guidance, process, model, x, place, generator)
    return [*_mean(error), float(size.mean()), float(cosine.mean()), *_mean(divergence)]


def _divergence(
    guidance: Guidance, process: Process, model: Model, x: Tensor, place: Place, generator: Generator | None
) -> Tensor:
    """The log-ratio of the law of a record to the rule's, at one draw of it for each row."""
    law = process.recorded(place.t, x, guidance.observation)
    y = law.sample((), generator)
    try:
        stated = guidance.likelihood(model, x, place)
    except NotClosedForm:  # as its docstring says: NaN stands for it in the table
        return torch.full((len(x),), torch.nan)
    return law.log_prob(y) - stated.log_prob(y)


def _mean(values: Tensor) -> tuple[float, float]:
    return float(values.mean()), float(values.std()) / math.sqrt(len(values))
