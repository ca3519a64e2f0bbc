"""Fits at random, each a line of code, and the law that every fit must keep.

``line(seed)`` writes a call of `mixtura.fit` with rows, a family, a structure, a method, an observation, weights and
labels chosen by the seed. What it names is in this file, so that the line is the whole of the case: it runs as it
stands after ``import torch, mixtura as mx`` and ``from random_fits import *``.

``judged(line)`` runs it and says how it ended. The law: a fit is finite and says why it stopped, or an error of ours
says why there is none; nothing else, no warning either. FELL and NOT_FINITE are defects. What says that it CONVERGED is
run on by plain updates: it must gain no more than `HONEST` times its tolerance, and never fall.

From the root of the project, ``python tests/random_fits.py 17`` runs the case of seed 17 and prints its line.
"""

from __future__ import annotations

import math
import random
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import mixtura as mx
from mixtura.errors import MixtureError, NotClosedForm
from mixtura.learning.loop.rounding import seen
from mixtura.learning.loop.run import run
from mixtura.learning.loop.traces import stack

__all__ = ["gaps", "labels", "nearest", "rows", "seeded", "within", "weights"]

HONEST = 10  # times the tolerance: the most that may still be gained after CONVERGED, in nats per row
FURTHER = 60  # plain updates after CONVERGED


# -- what a line names


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def rows(
    seed: int,
    kind: str,
    size: tuple[int, ...],
    twist: str = "plain",
    scale: float = 1.0,
    offset: float = 0.0,
    apart=3.0,
) -> Tensor:
    """Rows ``(N,)`` or ``(N, D)`` of a kind, from three groups, with a twist."""
    source = seeded(seed)
    wide = (*size, 1)[:2]
    centres = apart * torch.randn(3, wide[1], generator=source, dtype=torch.float64)
    label = torch.randint(3, wide[:1], generator=source)
    z = centres[label] + torch.randn(wide, generator=source, dtype=torch.float64)
    z = KINDS[kind](TWISTS[twist](z), source)
    return (z * scale + offset).reshape(*size, *z.shape[2:])


def _dirichlet(z: Tensor, _: torch.Generator) -> Tensor:
    shares = torch.softmax(z / 2, -1).clamp_min(1e-12)
    return shares / shares.sum(-1, keepdim=True)


def _totals(z: Tensor, source: torch.Generator) -> Tensor:
    drawn = torch.multinomial(torch.softmax(z.clamp(-30, 30) / 2, -1), 6, True, generator=source)
    return torch.nn.functional.one_hot(drawn, z.shape[-1]).sum(-2).double()


def _trials(most: int) -> Callable[[Tensor, torch.Generator], Tensor]:
    def drawn(z: Tensor, source: torch.Generator) -> Tensor:
        draws = torch.rand((most, *z.shape), generator=source, dtype=z.dtype)
        return (draws < torch.sigmoid(z / 2)).double().sum(0)

    return drawn


KINDS: dict[str, Callable[[Tensor, torch.Generator], Tensor]] = {
    "real": lambda z, _: z,
    "positive": lambda z, _: (z / 2).clamp(-60, 60).exp(),
    "counts": lambda z, source: torch.poisson((z / 2).clamp(-10, 12).exp(), generator=source),
    "trials": _trials(7),
    "bits": _trials(1),
    "codes": _trials(2),
    "totals": _totals,
    "unit": lambda z, _: torch.sigmoid(z / 2).clamp(1e-6, 1 - 1e-6),
    "shares": _dirichlet,
    "angles": lambda z, _: z,
    "directions": lambda z, _: torch.nn.functional.normalize(z, dim=-1),
}


def _one(z: Tensor, place: tuple, value: float) -> Tensor:
    z = z.clone()
    z[place] = value
    return z


TWISTS: dict[str, Callable[[Tensor], Tensor]] = {
    "plain": lambda z: z,
    "ties": lambda z: (2 * z).round() / 2,
    "repeated": lambda z: torch.cat([z[: (len(z) + 1) // 2], z[:1].expand(len(z) // 2, -1)]),
    "points": lambda z: z[:3].repeat(len(z) // 3 + 1, 1)[: len(z)],
    "constant": lambda z: _one(z, (..., -1), 1.5),
    "outliers": lambda z: torch.where((torch.arange(len(z)) % 17 == 3).unsqueeze(-1), 30 * z, z),
    "far": lambda z: _one(z, (len(z) // 2,), 1e6),
    "line": lambda z: z[:, :1] + 1e-7 * z,
    "uneven": lambda z: z * torch.logspace(-4, 4, z.shape[-1], dtype=z.dtype),
    "skewed": lambda z: z**3,
}


def gaps(x: Tensor, seed: int, share: float = 0.2) -> Tensor:
    """The rows with entries that were not recorded."""
    return x.where(torch.rand(x.shape, generator=seeded(seed), dtype=torch.float64) > share, torch.nan)


def nearest(x: Tensor, step: float) -> Tensor:
    """The rows rounded to multiples of a step."""
    return (x / step).round() * step


def within(x: Tensor, lower: float, upper: float) -> Tensor:
    """The rows that lie between limits in every coordinate."""
    inside = (x >= lower) & (x <= upper)
    return x[inside if x.ndim == 1 else inside.all(-1)]


def weights(seed: int, kind: str, count: int) -> Tensor:
    """How often each row counts."""
    u = torch.rand(count, generator=seeded(seed), dtype=torch.float64)
    return {"any": u + 0.1, "zeros": u * (u > 0.3), "whole": (4 * u).floor(), "one": u.argsort().eq(0) * 1e6 + u}[kind]


def labels(seed: int, count: int, components: int) -> Tensor:
    """Known labels of a few rows, -1 elsewhere."""
    source = seeded(seed)
    known = torch.arange(count) % components
    told = (torch.rand(count, generator=source) < 0.2) | (torch.arange(count) < components)
    return known.where(told, -1)


# -- a line for a seed


@dataclass(frozen=True)
class Kind:
    """A family: what names it, the kind of its rows, and whether rows are numbers, vectors or either."""

    family: str | None
    rows: str = "real"
    shapes: str = "either"
    structured: bool = False

    def features(self, pick: random.Random) -> int | None:
        """The number of columns, or none for numbers."""
        return pick.choice(SHAPES[self.shapes])


SHAPES = {"numbers": [None], "vectors": [2, 2, 3], "pairs": [2], "triples": [3], "either": [None, None, 1, 2, 3]}
GAUSSIAN = Kind(None, structured=True)
FAMILIES = [
    Kind("mx.Gaussian", shapes="vectors", structured=True),
    Kind("mx.Normal", shapes="numbers"),
    Kind("mx.StudentT", structured=True),
    Kind("mx.Laplace"),
    Kind("mx.Uniform"),
    Kind("mx.LogNormal", "positive", structured=True),
    Kind("mx.Gamma", "positive"),
    Kind("mx.InverseGamma", "positive"),
    Kind("mx.Weibull", "positive"),
    Kind("mx.Exponential", "positive"),
    Kind("mx.Beta", "unit"),
    Kind("mx.Dirichlet", "shares", "vectors"),
    Kind("mx.Poisson", "counts"),
    Kind("mx.NegativeBinomial", "counts"),
    Kind("mx.Geometric", "counts"),
    Kind("mx.Binomial.template(total_count=7)", "trials"),
    Kind("mx.Bernoulli", "bits"),
    Kind("mx.Categorical.template(categories=3)", "codes"),
    Kind("mx.Multinomial.template(total_count=6)", "totals", "vectors"),
    Kind("mx.VonMises", "angles"),
    Kind("mx.VonMisesFisher", "directions", "vectors"),
    Kind("mx.Beside.with_noise(mx.Gaussian)", shapes="vectors"),
    Kind("mx.Beside.with_noise(mx.Normal)", shapes="numbers"),
    Kind("mx.Product.template((mx.Normal, 0), (mx.Laplace, 1))", shapes="pairs"),
    Kind("mx.Product.template((mx.Gamma, 0), (mx.Exponential, 1))", "positive", "pairs"),
    Kind("torch.distributions.Gumbel", shapes="numbers"),
]
STRUCTURES = (
    *("EII", "VII", "EEI", "VVI", "EEE", "VVV", "VEI", "EVI", "VEE", "EVE", "VVE", "EEV", "VEV", "EVV"),
    *("low-rank-1", "tied-low-rank-1", "eigen", "tied-eigen"),
)
METHODS = (
    *(["mx.EM()"] * 6 + ["mx.EM(30)", "mx.EM(300, 1e-5)"]),
    *("mx.EM(prior=mx.Prior.weak(x, {k}))", "mx.EM(prior=mx.Prior(2.0))", "mx.KMeans()", "mx.Variational()"),
    *("mx.Variational(prior=mx.Prior(mx.StickBreaking(2.0)))", "mx.Gibbs(10, 5, 2)", "mx.OnlineEM(2, 20)"),
    *("mx.AnnealedEM()", "mx.ClassificationEM()", "mx.StochasticEM(draws=10)", "mx.SplitMergeEM()"),
)


def line(seed: int) -> str:
    """The case of a seed, as a line of code."""
    pick = random.Random(seed)
    kind = GAUSSIAN if pick.random() < 0.45 else pick.choice(FAMILIES)
    return f"mx.fit({arguments(pick, seed, kind)})"


def arguments(pick: random.Random, seed: int, kind: Kind, methods: Sequence[str] = METHODS) -> str:
    """Code for the arguments of a fit of a family by one of the methods."""
    count = pick.choice([2, 5, 12, 20, 40, 40, 80, 80, 150])
    features, components = kind.features(pick), min(pick.choice([1, 2, 2, 3, 3, 4, 5, 8]), count)
    x, scale = _rows(pick, seed, kind, (count,) if features is None else (count, features))
    x, observation, kept = _observed(pick, seed, kind, x, scale, features, count)
    x += pick.choice(["", "", ".float()"])
    method = pick.choice(methods).format(k=components)
    told = [f"(x := {x})" if "(x," in method else x, f"{components}"]
    if kind.structured and features is not None and pick.random() < 0.9:
        told.append(f'covariance="{pick.choice(STRUCTURES)}"')
    if kind.family is not None:
        told.append(f"family={kind.family}")
    told += [f"method={method}", *observation]
    if pick.random() < 0.2 and kept:
        told.append(f'sample_weight=weights({seed}, "{pick.choice(["any", "zeros", "whole", "one"])}", {count})')
    if pick.random() < 0.1 and kept:
        told.append(f"labels=labels({seed}, {count}, {components})")
    return ", ".join([*told, f"restarts={pick.choice([1, 2, 5])}", f"generator=seeded({seed})"])


def _rows(pick: random.Random, seed: int, kind: Kind, size: tuple[int, ...]) -> tuple[str, float]:
    """Code for rows, and about their scale."""
    twist = pick.choice(["plain", *TWISTS])
    scale = 10.0 ** pick.randint(-8, 8) if kind.rows in ("real", "positive") and pick.random() < 0.4 else 1.0
    offset = 1e6 * pick.choice([1, scale]) if kind.rows == "real" and pick.random() < 0.1 else 0.0
    apart = pick.choice([0.0, 1.0, 3.0, 3.0, 20.0])
    return f'rows({seed}, "{kind.rows}", {size}, "{twist}", {scale:g}, {offset:g}, {apart:g})', scale


def _observed(
    pick: random.Random, seed: int, kind: Kind, x: str, scale: float, features: int | None, count: int
) -> tuple[str, list[str], bool]:
    """Code for the rows as recorded and for the observation, and whether there are as many rows as before."""
    likely = 0.4 if kind.family in (None, "mx.Gaussian", "mx.Normal") else 0.12
    if pick.random() > likely:
        return x, [], True
    m = f"{scale:g}"
    shape = (count,) if features is None else (count, features)
    matrix = [[round(pick.gauss(0, 1), 1) for _ in range(features or 1)] for _ in range(features or 1)]
    choices = [
        (f"gaps({x}, {seed})", "Missing()", True),
        (x, f"AdditiveNoise(scale={m} * 0.5)", True),
        (x, f"AdditiveNoise(scale={m} * torch.rand({shape}, generator=seeded({seed})), per_row=True)", True),
        (f"nearest({x}, {m} * 0.5)", f"Rounded({m} * 0.5)", True),
        (f"nearest({x}, {m} * 20.0)", f"Rounded({m} * 20.0)", True),
        (f"{x}.clamp(-{m}, 2 * {m})", f"Censored(-{m}, 2 * {m})", True),
        (f"within({x}, -4 * {m}, 4 * {m})", f"Truncated(-4 * {m}, 4 * {m})", False),
        (x, f"Binned([{m} * torch.linspace(-8.0, 8.0, 9).double()] * {features or 1})", True),
        (x, f"LinearMeasurement(torch.tensor({matrix if features else matrix[0][0]}), scale={m} * 0.1)", True),
        (x, f"ShiftNoise(shifts={m} * torch.tensor([-1.0, 0.0, 2.0]))", True),
        (x, f"ScaleNoise({m} * 0.5)", True),
    ]
    recorded, observation, kept = pick.choice(choices[: 10 if features else 11])
    return recorded, [f"observation=mx.observation.{observation}"], kept


# -- how it ended


@dataclass(frozen=True)
class Ending:
    """How a case ended: in a word, with particulars, and the processor time of the fit."""

    line: str
    outcome: str
    detail: str = ""
    seconds: float = 0.0

    @property
    def defect(self) -> bool:
        return self.outcome not in FINE

    def __str__(self) -> str:
        return f"{self.outcome} ({self.detail}) after {self.seconds:.2f} s of processor time:\n    {self.line}"


FINE = ("KEPT", "CONVERGED", "MAX_ITERATIONS", "FINISHED", "COLLAPSED", "MixtureError", "NotClosedForm")


def judged(code: str, further: int = FURTHER, **names: object) -> Ending:
    """Runs a line, with further names known to it, and says how it ended."""
    return ended(code, names, lambda fit: _verdict(fit, further))


def ended(code: str, names: dict[str, Any], verdict: Callable[[Any], tuple[str, str]]) -> Ending:
    """Runs a line, and says how it ended: by what a verdict says of the outcome, by an error, or with a warning."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        begin = time.process_time()
        try:
            made, outcome, detail = _made(code, names), "", ""
        except (MixtureError, NotClosedForm) as error:
            outcome, detail = type(error).__name__, str(error)
        except Exception as error:
            outcome, detail = f"error: {type(error).__name__}", f"{error}; {_place(error)}"
        seconds = time.process_time() - begin
        if not outcome:
            outcome, detail = verdict(made)
    if told and outcome in FINE:
        outcome, detail = "warning", str(told[0].message)
    return Ending(code, outcome, " ".join(detail.split())[:300], seconds)


def _made(code: str, names: dict[str, Any]) -> Any:
    ours = {name: globals()[name] for name in __all__}
    return eval(code, {"torch": torch, "mx": mx, **ours, **names})


def _place(error: Exception) -> str:
    ours = [one for one in traceback.extract_tb(error.__traceback__) if "mixtura" in one.filename]
    return f"{Path(ours[-1].filename).name}:{ours[-1].lineno}" if ours else ""


def _verdict(fit: mx.Fit, further: int) -> tuple[str, str]:
    try:
        found = fit.log_likelihood
        broken = not math.isfinite(found) or not all(one.isfinite().all() for one in _tensors(fit.mixture.components))
    except Exception as error:
        return f"error after: {type(error).__name__}", f"{error}; {_place(error)}"
    if fit.reason.name not in FINE:
        return fit.reason.name, fit.detail
    if broken or fit.mixture.weights.isnan().any():
        return "numbers not finite", f"{fit.reason.name}, log-likelihood {found:g}"
    return _gone_on(fit, further) if fit.converged else (fit.reason.name, fit.detail)


def _tensors(value) -> list[Tensor]:
    found: list[Tensor] = []
    value.map(lambda tensor: found.append(tensor) or tensor)
    return found


def _gone_on(fit: mx.Fit, further: int) -> tuple[str, str]:
    """Whether plain updates after CONVERGED gain no more than they may."""
    method, state = _plain(fit)
    if not method.monotone:
        return "CONVERGED", "an objective that may fall"
    floor = torch.zeros(fit.rows.clean_shape, dtype=fit.rows.dtype)
    plain = {"acceleration": False} if "acceleration" in {field.name for field in fields(method)} else {}
    method = replace(method, max_iterations=further, tolerance=0, **plain)
    again = run(method, fit.rows, stack([state]), floor, watch=lambda *_: None)[0]  # watched, it takes no short cut
    trace = torch.tensor(again.trace, dtype=torch.float64)
    slack = rounding(fit, method, state)
    if again.reason.name in ("FELL", "NOT_FINITE"):
        return f"then {again.reason.name}", f"after {len(trace)} of {further} updates; {again.detail}"
    if isinstance(method, mx.KMeans) and _perfect(fit):
        return "CONVERGED", "a perfect fit"
    if (gain := (trace.max() - trace[0]).item()) > HONEST * fit.method.tolerance + slack:
        return "then gains", f"{gain:.2g} nats per row in {len(trace) - 1} updates after {fit.iterations}"
    if abs(off := (trace[0] - fit.trace[-1]).item()) > max(slack, 1e-9):
        return "then elsewhere", f"the objective is {off:.2g} nats per row from what the trace says"
    return "CONVERGED", ""


def _perfect(fit) -> bool:
    """Whether clusters are points but for rounding, so that the likelihood has no limit."""
    x = fit.rows.tensor()
    return fit.inertia < x.numel() * (8 * torch.finfo(x.dtype).eps * x.abs().max().item()) ** 2


def _plain(fit: mx.Fit) -> tuple:
    """The method by plain updates, and the state from which it goes on."""
    method = fit.method
    if isinstance(method, mx.Variational):
        return method, fit.posterior
    if isinstance(method, (mx.KMeans, mx.ClassificationEM)):
        return method, fit.mixture
    return mx.EM(tolerance=method.tolerance, prior=method.prior), fit.mixture


def rounding(fit: mx.Fit, method: mx.learning.Method, state: object) -> float:
    """What rounding may do to the objective, in nats per row, by how it moves with the last digits of its sums."""
    least = 50 * torch.finfo(fit.rows.dtype).eps * max(1.0, abs(fit.trace[-1].item()))
    return max(least, 10 * seen(method, fit.rows, state, fit.trace[-1].item()))


if __name__ == "__main__":
    torch.set_num_threads(1)
    for number in sys.argv[1:]:
        print(judged(line(int(number)) if number.isdigit() else number))
