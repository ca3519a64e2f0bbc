r"""From noise to draws: a sampler goes down a grid of times, and asks a model at each of them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Generator, Tensor

from ..errors import refuse
from ..mixture import Mixture
from .churn import Churn
from .grids import Grid
from .guidance import Guidance
from .models import Model, model_of
from .places import Place, places
from .samplers import DDIM, Sampler
from .samplers.sampler import Draw, Here, Seen
from .schedules import Schedule

__all__ = ["State", "sample", "trajectory", "walk"]


class State(NamedTuple):
    """Rows on their way: at time ``t`` they are ``x``."""

    t: float
    x: Tensor


def sample(
    model: Any,
    schedule: Schedule,
    shape: Sequence[int],
    steps: int = 100,
    sampler: Sampler | None = None,
    guidance: Any = None,
    generator: Generator | None = None,
    *,
    grid: Grid | None = None,
    start: Mixture | Tensor | None = None,
    churn: Churn | None = None,
    progress: bool | Callable[[int, State], object] = False,
) -> Tensor:
    r"""Draws rows by undoing noise step by step.

    Arguments:
        model: A mixture, which knows its denoiser exactly; a `Process`; or a function ``(x, t)`` of rows and a time
            that returns the clean rows to be expected, or what `Score`, `Noise` or `Velocity` says it returns.
        schedule: How signal and noise change with time.
        shape: The shape of what is drawn: ``(N, D)``, or ``(N,)`` for numbers.
        steps: The number of steps.
        sampler: How a step is made; by default ``DDIM(eta=0.0)``.
        guidance: What was recorded of the draws, and how the model learns of it; see `mixtura.diffusion.guidance`.
        generator: The source of randomness, of the start and of all steps.
        grid: The times; by default the schedule's: `Uniform`, and `PowerGrid` for `EDM`.
        start: Where to start: a mixture to draw from, such as the exact ``diffuse(mixture, schedule, schedule.end)``,
            or the rows themselves. By default round noise, :math:`N(0, I)` where variance is preserved and
            :math:`N(0, \sigma_T^2 I)` elsewhere.
        churn: Noise to add before the steps of a deterministic sampler.
        progress: ``True`` for a bar, or a function that is told the number of each step and its `State`.

    Returns:
        The rows, in the type and on the device of the mixture; of a function, of ``start``, or torch's default.

    Raises:
        MixtureError: If ``steps`` is below 1, a shape does not fit, or churn meets a sampler that draws by itself.

    Warns:
        UserWarning: If numbers end as NaN or infinity.

    Example:
        >>> mixture = mx.Mixture(torch.ones(2), mx.Normal(torch.tensor([-3.0, 3.0]), torch.ones(2)))
        >>> generator = torch.Generator().manual_seed(0)
        >>> x = mx.diffusion.sample(mixture, mx.diffusion.VariancePreserving(), (2000,), 50, generator=generator)
        >>> (x > 0).float().mean().round(decimals=1)
        tensor(0.5000)
    """
    path = trajectory(model, schedule, shape, steps, sampler, guidance, generator, grid=grid, start=start, churn=churn)
    state = next(path)
    with _told(progress, steps) as told:
        for number, state in enumerate(path, start=1):
            told(number, state)
    _tell_of_lost(state.x, sampler, guidance)
    return state.x


def trajectory(
    model: Any,
    schedule: Schedule,
    shape: Sequence[int],
    steps: int = 100,
    sampler: Sampler | None = None,
    guidance: Any = None,
    generator: Generator | None = None,
    *,
    grid: Grid | None = None,
    start: Mixture | Tensor | None = None,
    churn: Churn | None = None,
) -> Iterator[State]:
    """Returns what `sample` goes through, from noise to draws: ``steps + 1`` states, one at a time.

    Arguments are those of `sample`. Nothing is kept; ``list(...)`` or ``torch.stack`` keeps what is wanted.

    Example:
        >>> mixture = mx.Mixture(torch.ones(1), mx.Normal(torch.zeros(1), torch.ones(1)))
        >>> [state.t for state in mx.diffusion.trajectory(mixture, mx.diffusion.RectifiedFlow(), (5,), 2)]
        [1.0, 0.5, 0.0]
    """
    sampler = DDIM() if sampler is None else sampler
    wanted = _checked_shape(shape)
    _check_kinds(schedule=schedule, sampler=sampler, grid=grid, guidance=guidance, churn=churn, generator=generator)
    stops = places(schedule, (schedule.grid if grid is None else grid).times(schedule, steps))
    known = model_of(model, schedule)
    guided = known if guidance is None else guidance.guide(known)
    if churn is not None:
        _check_churn(churn, sampler, stops)
    draw = Draw(generator)
    x = _started(guided, schedule, wanted, start, stops[0], draw)
    return walk(guided, schedule, sampler, churn, stops, x, draw)


def walk(
    model: Model, schedule: Schedule, sampler: Sampler, churn: Churn | None, stops: list[Place], x: Tensor, draw: Draw
) -> Iterator[State]:
    """Goes from rows at the first place down to the last: what `trajectory` does once all is settled."""
    past: tuple[Seen, ...] = ()
    yield State(stops[0].t, x)
    for now, then in zip(stops, stops[1:], strict=False):
        if churn is not None:
            x, there = churn(x, now, schedule, len(stops) - 1, draw)
            now, past = there, past if there is now else ()  # what was said before was said of other rows
        here = Here(x, now, model, schedule, past)
        x = sampler.step(here, then, draw)
        past = here.remembered(sampler.memory)
        yield State(then.t, x)


_KINDS: dict[str, tuple[type, str]] = {
    "schedule": (Schedule, "one of mixtura.diffusion's, such as VariancePreserving()"),
    "sampler": (Sampler, "one of mixtura.diffusion's, such as DDIM()"),
    "grid": (Grid, "one of mixtura.diffusion's, such as Uniform()"),
    "guidance": (Guidance, "one of mixtura.diffusion's, such as TMPD(observation, y)"),
    "churn": (Churn, "a Churn, such as Churn(3.0)"),
    "generator": (Generator, "a torch.Generator"),
}


def _check_kinds(**given: Any) -> None:
    """Refuses what is of another kind than it should be; classes are not yet samplers."""
    for name, value in given.items():
        kind, expected = _KINDS[name]
        if value is not None and not isinstance(value, kind):
            refuse(name, expected, repr(value))


def _checked_shape(shape: Any) -> tuple[int, ...]:
    try:
        sizes = tuple(int(size) for size in shape)
    except (TypeError, ValueError):
        refuse("shape", "a tuple of sizes, such as (1000, 2)", repr(shape))
    if any(size < 0 for size in sizes):
        refuse("shape", "of sizes of at least 0", sizes)
    return sizes


def _started(model: Model, schedule: Schedule, shape: tuple[int, ...], start: Any, first: Place, draw: Draw) -> Tensor:
    """Where rows start: given, drawn from a mixture, or round noise."""
    model.check(shape)
    if isinstance(start, Mixture):
        return _of_shape(start.sample(_outer(shape, start), draw.generator), shape)
    if start is not None:
        return _of_shape(start, shape).to(**model.kind)
    return float(schedule.noise_scale(first.t)) * draw(torch.empty(shape, **model.kind))


def _outer(shape: tuple[int, ...], start: Mixture) -> tuple[int, ...]:
    return shape[: len(shape) - len(start.event_shape) - len(start.batch_shape)]


def _of_shape(x: Any, shape: tuple[int, ...]) -> Tensor:
    if not isinstance(x, Tensor) or tuple(x.shape) != shape:
        came = tuple(x.shape) if isinstance(x, Tensor) else type(x).__name__
        refuse("start", f"a mixture, or a tensor of the shape that is asked for, {shape}", came)
    return x


def _check_churn(churn: Churn, sampler: Sampler, stops: list[Place]) -> None:
    if not sampler.deterministic:
        refuse("churn", "none for a sampler that draws by itself", f"{churn!r} with {sampler!r}", "Use Euler or DDIM.")
    churn.check(stops)


def _tell_of_lost(x: Tensor, sampler: Sampler | None, guidance: Any) -> None:
    """Warns of rows that a pull too large for the steps has thrown beyond all numbers; asked once, at the end."""
    lost = x.numel() - int(x.isfinite().sum())
    if lost:
        rule = "the model" if guidance is None else type(guidance).__name__
        warnings.warn(
            f"{lost} of {x.numel()} numbers that were drawn are NaN or infinite: {rule} pulled harder than "
            f"{DDIM() if sampler is None else sampler!r} can follow in these steps. Take another rule, or many more.",
            stacklevel=3,
        )


@contextmanager
def _told(progress: bool | Callable[[int, State], object], steps: int) -> Iterator[Callable[[int, State], object]]:
    """What is told of each state: a function of the user's, a bar, or nobody."""
    if callable(progress):
        yield progress
    elif not progress:
        yield lambda number, state: None
    else:
        with _bar(steps) as told:
            yield told


@contextmanager
def _bar(steps: int) -> Iterator[Callable[[int, State], object]]:
    try:
        from rich.progress import Progress
    except ImportError as error:
        raise ImportError("A progress bar needs the package rich: pip install 'mixtura[cli]'.") from error
    with Progress() as bar:
        task = bar.add_task("sampling", total=steps)
        yield lambda number, state: bar.update(task, completed=number)
