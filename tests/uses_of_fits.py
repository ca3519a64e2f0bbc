"""What is done with a fit, each use with the laws that must hold of it, for rows and fits of any kind.

A use is called with the arguments of `mixtura.fit`. It fits, goes on from there, and raises `Broken` where a law does
not hold. An error of ours may end it anywhere; see `random_uses`.
"""

from __future__ import annotations

import copy
import functools
import math
import pickle
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from use_laws import CLEAR, FOR_ROWS, Case, both, close, densities, equal, hold, members, numbers, sound, use

import mixtura as mx
from mixtura.data.files import CsvRows
from mixtura.errors import MixtureError, NotClosedForm
from mixtura.learning.expectation.recorded import recorded

# -- after a fit


@use
def repeated(case: Case) -> None:
    one, other = case.fit(), case.fit()
    equal("the same generator, the same fit", one.mixture, other.mixture)
    hold("the same reason", (one.reason, one.detail, one.restarts) == (other.reason, other.detail, other.restarts))


@use
def saved(case: Case) -> None:
    fit = case.fit()
    with tempfile.TemporaryDirectory() as folder:
        for made in (fit, fit.mixture):
            made.save(Path(folder) / "model.safetensors")
            equal("what is saved is loaded", fit.mixture, mx.load(Path(folder) / "model.safetensors"))
        fit.save(Path(folder) / "model.safetensors")
        told = mx.mixture.read_model(Path(folder) / "model.safetensors").recording
    hold("how rows were recorded is saved", repr(told) == repr(fit.recording), told, fit.recording)
    for there in (pickle.loads(pickle.dumps(fit)), copy.deepcopy(fit)):
        equal("what is pickled is there again", fit.mixture, there.mixture)
        hold("with its likelihood", np.array_equal(there.log_likelihood, fit.log_likelihood, equal_nan=True))
        hold("with its advice", there.advice == fit.advice)


@use
def explained(case: Case) -> None:
    fit = case.fit()
    every, weight = densities(fit).double(), fit.rows.each_weight.double()
    total = torch.where(weight > 0, every * weight, 0).sum()
    likelihood = torch.tensor(fit.log_likelihood, dtype=torch.float64)
    close("densities add up", total, likelihood, least=1e-4 if case.x.dtype is torch.float32 else 1e-9)
    if sound(fit):
        hold("criteria are finite", all(map(np.isfinite, (fit.aic, fit.bic, fit.icl))), fit.aic, fit.bic, fit.icl)
        hold("certainty costs", fit.icl >= fit.bic - 1e-6 * abs(fit.bic), fit.icl, fit.bic)
    held = mx.held_out(fit.mixture, fit.rows).log_density
    close("rows are held out as they were learned", torch.tensor(held).double(), total / weight.sum(), least=1e-6)
    if fit.rows.observation.exact:
        _assigned(fit.mixture, case.x)


def _assigned(mixture: mx.Mixture, x: Tensor) -> None:
    joint, r = mixture.log_joint(x), mixture.responsibilities(x)
    there = joint.isfinite().any(-1)
    close("responsibilities add up", r[there].sum(-1), torch.ones_like(r[there][:, 0]))
    hold("the likeliest is assigned", torch.equal(mixture.assign(x), joint.argmax(-1)))
    close("components add up", joint.logsumexp(-1), mixture.log_prob(x), least=1e-7)


@use
def drawn(case: Case) -> None:
    fit = case.fit()
    mixture = fit.mixture
    x, other = (mixture.sample((5,), generator=case.source) for _ in range(2))
    hold("draws are of the generator", torch.equal(x.nan_to_num(7), other.nan_to_num(7)))
    hold("draws are rows", (x.shape, x.dtype) == ((5, *mixture.event_shape), mixture.dtype), x.shape, x.dtype)
    if sound(fit):
        hold("draws are where rows may be", mixture.log_prob(x).isfinite().all(), x, mixture.log_prob(x))
        _has_moments(mixture)
    estimate = mixture.entropy_estimate(64, case.source)
    hold("bounds are in order", not bool((estimate.lower > estimate.upper + 1e-2).any()), estimate)


def _has_moments(mixture: mx.Mixture) -> None:
    """They are finite, but for those of columns whose Student-t components have too heavy tails to have any."""
    told, own = ([one.mean, one.variance] for one in (mixture, mixture.components))
    whole = zip(told, own, strict=True)
    hold("moments are of components", all((a.isfinite() | ~b.isfinite().all(0)).all() for a, b in whole), *told)
    tails = [one.dof for one in members(mixture.components) if isinstance(one, mx.StudentT)]
    if not any((dof <= 2).any() for dof in tails):
        told = [*told, mixture.covariance]
        hold("moments are finite", all(one.isfinite().all() for one in told), *told)


@use
def divided(case: Case) -> None:
    fit = case.fit()
    mixture, x = fit.mixture.to(torch.float64), fit.rows.tensor()[:9].double()
    if not mixture.event_shape or mixture.event_shape[0] < 2 or x.isnan().any():
        raise NotClosedForm("There is nothing to divide.")
    some, rest = [0], list(range(1, mixture.event_shape[0]))
    given = mixture.condition(some, x[:, some])
    if given.event_shape and sound(fit):
        means = mixture.conditional_mean(some, x[:, some])
        close("the mean given some", means, given.mean.reshape(means.shape), least=1e-6)
    left = x[:, rest] if given.event_shape else x[:, rest].squeeze(-1)
    first = mixture.marginal(some)
    one = x[:, some] if first.event_shape else x[:, 0]
    if sound(fit):
        close("a density is divided", first.log_prob(one) + given.log_prob(left), mixture.log_prob(x), least=1e-6)


@use
def resampled(case: Case) -> None:
    fit, drawn = case.fit(), bool(case.seed % 2)
    one, other = (mx.bootstrap(fit, 3, drawn, generator=case.source) for _ in range(2))
    equal("replicates are of the generator", one.mixtures, other.mixtures)
    hold("a mixture for each", one.mixtures.batch_shape == (3,), one.mixtures)
    if sound(fit):
        hold("weights have errors", one.weights.isfinite().all() and (one.weights >= 0).all(), one.weights)
    hold("means have errors", one.mean.shape == fit.mixture.components.mean.shape, one.mean)


@use
def measured(case: Case) -> None:
    fit = case.fit()
    errors = mx.standard_errors(fit)
    hold("weights have errors", errors.weights.isfinite().all() and (errors.weights >= 0).all(), errors.weights)
    hold("means have errors", errors.mean.isfinite().all(), errors.mean)


@use
def validated(case: Case) -> None:
    one, other = (mx.cross_validate(case.x, (1, case.components), folds=2, **case.again()) for _ in range(2))
    hold("folds are of the generator", torch.equal(one.densities.nan_to_num(7), other.densities.nan_to_num(7)))
    counts = torch.ones(len(case.x)) if one.weight is None else one.weight
    hold("densities are numbers", not one.densities[:, counts > 0].isnan().any(), one.densities)


@use
def tested(case: Case) -> None:
    found = mx.likelihood_ratio_test(case.x, case.components, replicates=2, **case.but("labels"))
    hold("a probability", 0 < found.p_value <= 1, found)


@use
def selected(case: Case) -> None:
    shape = case.options.get("covariance")
    shapes = {} if shape is None else {"covariance": (shape, "spherical")}
    criterion = ("bic", "aic", "icl")[case.seed % 3]
    found = mx.select(case.x, (1, case.components), criterion=criterion, **case.but("labels", **shapes))
    best, first = found.best, found.table[0]
    hold("the first is the best", best.mixture.logits.shape[-1] == first.components, first, best)
    for line, fit in zip(found.table, found.fits, strict=True):
        close("the table is true", *(torch.tensor(one.log_likelihood).double() for one in (line, fit)), least=1e-7)
    clear = [found.value(line) for line in found.table if line.reason.name in CLEAR]
    hold("none is better", not clear or found.value(first) <= min(clear) + 1e-6, found)


# -- a fit from a fit


@use
def continued(case: Case) -> None:
    fit = case.fit()
    if not sound(fit):
        raise NotClosedForm("It ended elsewhere.")
    again = case.fit(init=fit.mixture, method=mx.EM(3, 0))
    ended = torch.tensor([fit.log_likelihood / fit.rows.total_weight]).double()
    close("it begins where it ended", again.trace[:1], ended, least=1e-7 if case.x.dtype is torch.float64 else 1e-4)
    hold("nothing is lost", (again.trace.diff() > -1e-6 * (1 + again.trace[1:].abs())).all(), again.trace)


@use
def frozen(case: Case) -> None:
    start = case.begun()
    some = [
        mx.Freeze(weights=True), mx.Freeze(means=True), mx.Freeze(covariances=True), mx.Freeze(components=(0,)),
        mx.Freeze(components=(0,), covariances=True), mx.Freeze(weights=True, means=True),
    ]  # fmt: skip
    freeze = some[case.seed % len(some)]
    fit = case.fit(init=start, freeze=freeze)
    old, new = start.components, fit.mixture.components
    inside = [[one.gaussian for one in members(these) if one.has_gaussian] for these in (old, new)]
    if not all(one.isfinite().all() for one in numbers(new)):
        raise NotClosedForm("It broke down.")
    pairs = list(zip(*inside, strict=True))
    if freeze.weights:
        hold("weights stay", torch.equal(start.logits, fit.mixture.logits), start.logits, fit.mixture.logits)
    if freeze.means:
        hold("means stay", all(torch.equal(a.mean, b.mean) for a, b in pairs), *inside)
    if freeze.covariances:
        hold("covariances stay", all(torch.equal(a.covariance, b.covariance) for a, b in pairs), *inside)
    if freeze.components:
        parts = [one.parts if one.gated else one for one in (old, new)]
        first = zip(*(numbers(one.take(torch.tensor([0]))) for one in parts), strict=True)
        hold("components stay", all(torch.equal(*pair) for pair in first), old, new)
    hold("what is held is not counted", fit.parameters <= fit.mixture.parameters, fit.parameters)


# -- the same rows, told otherwise


@use
def weighed(case: Case) -> None:
    """A row that counts twice is a row that stands there twice."""
    often = torch.randint(0, 3, (len(case.x),), generator=case.source)
    often[0] = 1
    rows, start = replace(case, options=case.but("sample_weight")).rows, case.begun()
    plain = dict.fromkeys(FOR_ROWS)
    index = torch.arange(len(often)).repeat_interleave(often)
    one = case.fit(x=rows.reweighted(often.to(case.x)), init=start, **plain)
    other = case.fit(x=rows.take(index), init=start, **plain)
    heavy = replace(case, options=case.again(sample_weight=often.to(case.x)))
    first, second = both(one, other)
    close("weights are repetitions", first[index], second, lambda: heavy.nudged(start)[index])
    counted = [(fit.parameters, fit.rows.total_weight) for fit in (one, other)]
    hold("which criteria count", counted[0] == counted[1], *counted)


@use
def shuffled(case: Case) -> None:
    rows, start = case.rows, case.begun()
    order = torch.randperm(len(rows), generator=case.source)
    one = case.fit(init=start)
    other = case.fit(x=rows.take(order), init=start, **dict.fromkeys(FOR_ROWS))
    first, second = both(one, other)
    close("rows have no order", second, first[order], lambda: case.nudged(start)[order])


@use
def turned(case: Case) -> None:
    """From the same centres, fits know nothing of the order of columns."""
    if case.options.get("observation"):
        raise NotClosedForm("Columns are told apart.")
    means, order = case.begun().components.mean, list(range(case.x.shape[1]))[::-1]
    one = case.fit(init=means)
    other = case.fit(x=case.x[:, order], init=means[:, order])
    close("columns have no order", *both(other, one), lambda: case.nudged(means))


@use
def rescaled(case: Case) -> None:
    """In other units, densities are shifted by the logarithm of the unit."""
    if case.options.get("observation"):
        raise NotClosedForm("Errors have units, too.")
    means, unit = case.begun().components.mean, 0.25
    one, other = case.fit(init=means), case.fit(x=unit * case.x, init=unit * means)
    shift = case.x[0].numel() * np.log(unit)
    first, second = both(one, other)
    close("units do not matter", second + shift, first, lambda: case.nudged(means))


@use
def named(case: Case) -> None:
    """A table with names gives the fit of its numbers."""
    fit, names = case.fit(), [f"x{d}" for d in range(case.x[0].numel())]
    columns = names if case.x.ndim > 1 else names[0]
    table = dict(zip(names, case.x.reshape(len(case.x), -1).T.numpy(), strict=True))
    weight = case.options.get("sample_weight")
    table = {"why": ["a"] * len(case.x), **dict(reversed(table.items()))}
    more = {"columns": columns}
    if weight is not None:
        table, more = {"w": weight.numpy(), **table}, {**more, "sample_weight": "w"}
    told = FRAMES[case.seed % len(FRAMES)](table)
    again = case.fit(x=told, **more)
    equal("names change no number", fit.mixture, again.mixture.named(None))
    known = again.rows.observation.clean_columns(tuple(names))
    hold("names are kept", again.mixture.columns == known, again.mixture.columns, known)
    if again.rows.observation.exact:
        close("rows are found by name", again.mixture.log_prob(told), fit.mixture.log_prob(case.x))


def _pandas(table: dict[str, Any]) -> Any:
    import pandas

    return pandas.DataFrame(table)


def _arrow(table: dict[str, Any]) -> Any:
    import pyarrow

    return pyarrow.table(table)


FRAMES = (_pandas, _arrow)


@use
def streamed(case: Case) -> None:
    """Rows of a file that is read block by block are those of a tensor."""
    start = case.begun()
    one = case.fit(init=start)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x"
        wide = case.x.reshape(len(case.x), -1).numpy()
        names = tuple(f"x{d}" for d in range(wide.shape[1]))
        if case.seed % 2:
            np.save(path.with_suffix(".npy"), case.x.numpy())
            rows = mx.data.rows(path.with_suffix(".npy"))
        else:
            lines = [",".join(names), *(",".join(map(repr, line)) for line in wide.tolist())]
            path.with_suffix(".csv").write_text("\n".join(lines).replace("nan", "") + "\n")
            columns = names if case.x.ndim > 1 else names[0]
            rows = CsvRows(path.with_suffix(".csv"), columns, None, case.x.dtype, None)
        if case.options.get("sample_weight") is not None:
            raise NotClosedForm("Weights of a file are a column.")
        other = case.fit(x=rows, init=start)
        found = both(other, one)
    if _strides(start, one):
        return hold(
            "both climb", all((fit.trace.diff() >= -1e-9).all() for fit in (one, other)), one.trace, other.trace
        )
    close("files are tables", *found, lambda: case.nudged(start))


def _strides(start: mx.Mixture, fit: mx.Fit) -> bool:
    """Whether a way of Newton's steps leads so far that blocks, and a small table, may take other shares of it.

    Each takes what its own bound finds sure to climb, and both the whole step only where it changes no predictor by
    more than the logarithm of 1.8; where all counts are none, say, every step changes them by one.
    """
    begun, ended = start.components, fit.mixture.components
    if not isinstance(begun, (mx.PoissonRegression, mx.LogisticRegression)):
        return False
    size = begun.designed(fit.rows.tensor()).abs().flatten(0, -2).amax(0)
    return float(((ended.effect - begun.effect).abs() * size).sum(-1).max()) > math.log(1.8)


@use
def rounded(case: Case) -> None:
    """In single precision a fit is the same in so many digits, and single."""
    start = case.begun()
    fit = case.fit(x=case.x.float(), init=start.to(torch.float32))
    hold("precision is kept", fit.mixture.dtype is torch.float32, fit.mixture.dtype)
    if sound(fit):
        hold("densities are numbers", not densities(fit).isnan().any(), densities(fit))


# -- groups


@use
def grouped(case: Case) -> None:
    """Groups are fitted as each would be alone; one is constant, one has a single row, perhaps."""
    x, count = case.x.clone(), len(case.x)
    labels = torch.randint(0, 3, (count,), generator=case.source)
    labels[-1] = 3
    x[labels == 2] = x[labels == 2][:1] if case.seed % 3 == 0 else x[labels == 2]
    start = case.begun() if case.seed % 2 else None
    weight = case.options.get("sample_weight")
    fits = mx.fit(x, case.components, groups=labels, **case.but("labels", init=start))
    rows, source = recorded(x, None, weight, case.options.get("observation")), case.source
    method = case.options["method"].repeated(None)
    more = dict(init=start, generator=source, method=method, **dict.fromkeys(FOR_ROWS))
    for line in fits.table:
        own = rows.take((labels == line.name).nonzero().squeeze(-1))
        _group(fits, line, None if start is None else functools.partial(case.fit, x=own, **more))


def _digits_lost(mixture: mx.Mixture) -> float:
    """What second moments, changed in their last digits, make of a narrow variance beside a wide one, as a share of it.

    A covariance is known to no more: of components that shrink to a line, as those before a collapse, to none.
    """
    if not mixture.components.is_gaussian or not mixture.event_shape:
        return 0.0
    spectrum = torch.linalg.eigvalsh(mixture.components.covariance.double())
    condition = spectrum[..., -1] / spectrum[..., 0].clamp_min(0)
    return torch.finfo(mixture.dtype).eps * float(condition.max())


def _group(fits: Any, line: Any, alone: Callable[[], mx.Fit] | None) -> None:
    try:
        fit = fits[line.name]
    except MixtureError:
        hold("what is refused is NaN", np.isnan(line.log_likelihood) and line.detail, line)
        fit = None
    if fit is not None and not np.isfinite(line.log_likelihood):
        hold("what has no likelihood says so", line.reason.name not in CLEAR and not np.isfinite(fit.log_likelihood))
    elif fit is not None:
        told, own = (torch.tensor([one.log_likelihood]).double() for one in (line, fit))
        hold("densities add up", densities(fit).isnan().any() or not own.isnan().any(), line, own)
        least = 1e-7 if fits.mixture.dtype is torch.float64 else 1e-3
        close("the table is true", told, own, lambda: own + line.rows * _digits_lost(fit.mixture), least)
    if alone is None:
        return
    try:
        one = alone()
    except MixtureError as error:
        return hold("who is refused alone is refused", fit is None, error)
    hold("who is fitted alone is fitted", fit is not None, line, one)
    hold("for the same reason", fit.reason is one.reason, line, one)
    close("as if alone", densities(fit), densities(one), least=1e-7)
