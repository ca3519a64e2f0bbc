"""Uses after uses: fits from loaded models, models chosen for groups, posteriors and what is made of them, algebra.

Uses as in `uses_of_fits`; importing them adds them to its table.
"""

from __future__ import annotations

import math
import tempfile
from pathlib import Path

import torch
from use_laws import CLEAR, FOR_ROWS, Case, both, close, equal, hold, numbers, sound, use

import mixtura as mx
from mixtura.errors import MixtureError, NotClosedForm

LOOSE = 1e-6
F64 = torch.float64


@use
def reread(case: Case) -> None:
    """A fit goes on from a loaded model as from the model, and freezes it as well."""
    fit = case.fit()
    with tempfile.TemporaryDirectory() as folder:
        fit.save(Path(folder) / "model.safetensors")
        loaded = mx.load(Path(folder) / "model.safetensors")
    method = mx.EM(3, 0)
    one, other = (case.fit(init=start, method=method) for start in (fit.mixture, loaded))
    equal("what is loaded is learned further", one.mixture, other.mixture)
    held = mx.held_out(loaded, fit.rows).log_density
    hold("and scored", held == mx.held_out(fit.mixture, fit.rows).log_density or math.isnan(held), held)


@use
def pooled(case: Case) -> None:
    """The best model for each group: the table is that of its fits, and each is the best of those tried."""
    labels = torch.arange(len(case.x)) % 3
    shape = case.options.get("covariance")
    shapes = {} if shape is None else {"covariance": (shape, "spherical")}
    criterion = ("bic", "aic")[case.seed % 2]
    found = mx.select(case.x, (1, case.components), criterion=criterion, groups=labels, **case.but("labels", **shapes))
    for g, line in enumerate(found.table):
        tried = torch.stack([getattr(fits, criterion)[g] for fits in found.fits.values()]).double()
        if found.chosen[g] is None:
            continue
        own = torch.tensor(found[line.name].log_likelihood).double()
        close(
            "the table is true", torch.tensor(line.log_likelihood).double(), own, least=1e-3 if _single(case) else LOOSE
        )
        clear = [fits.told[g].reason.name in CLEAR for fits in found.fits.values()]
        hold("none is better", not any(clear) or getattr(line, criterion) <= tried[torch.tensor(clear)].min(), line)
    hold("one for each", found.mixture.batch_shape == (len(found),), found.mixture)


def _single(case: Case) -> bool:
    return case.x.dtype is torch.float32


@use
def believed(case: Case) -> None:
    """Posteriors: draws are of the generator, and a further row has a law."""
    own = case.options["method"]
    method = mx.Gibbs(6, 3, 2) if case.seed % 2 else mx.Variational(max_iterations=50)
    fit = case.fit(method=own if isinstance(own, (mx.Gibbs, mx.Variational)) else method)
    other = case.fit(method=fit.method if isinstance(fit.method, mx.Variational) else method)
    if isinstance(fit.method, mx.Gibbs) and not isinstance(own, mx.Gibbs):
        equal("draws are of the generator", fit.draws, other.draws)
    law = fit.predictive
    hold("a law on rows", law.event_shape == fit.mixture.event_shape, law)
    if fit.rows.observation.exact and not fit.rows.possible.known:
        x = case.x[fit.rows.each_weight > 0]
        there = fit.mixture.log_prob(x).isfinite()
        hold("that holds the rows", law.log_prob(x)[there].isfinite().all(), law.log_prob(x))
    told = fit.to_arviz(generator=case.source)
    posterior = told["posterior"] if hasattr(told, "keys") else told.posterior
    hold("ArviZ reads weights", "weights" in posterior, posterior)


@use
def evident(case: Case) -> None:
    """Bounds of several numbers of components lie below their likelihoods."""
    found = mx.evidence(case.x, (1, case.components), mx.Variational(max_iterations=60), **case.but("method"))
    hold("bounds are numbers", all(map(math.isfinite, found.bounds)), found)
    below = [fit.bound <= fit.log_likelihood + LOOSE * abs(fit.bound) for fit in found.fits]
    hold("bounds are below", all(below) or case.options.get("labels") is not None, found, below)


@use
def sloped(case: Case) -> None:
    """The score is the gradient of the density, and the density has one in the parameters."""
    fit = case.fit()
    if not sound(fit) or case.options.get("observation"):
        raise NotClosedForm("There is no density of these rows.")
    x = case.x.double().clone().requires_grad_()
    mixture = fit.mixture.to(F64)
    slope = mixture.score(x.detach())
    (wanted,) = torch.autograd.grad(mixture.log_prob(x).sum(), x)
    close("the score is the gradient", slope, wanted, least=LOOSE)
    free = mixture.map(
        lambda tensor: tensor.detach().clone().requires_grad_() if tensor.is_floating_point() else tensor
    )
    grads = torch.autograd.grad(free.log_prob(x.detach()).sum(), numbers(free), allow_unused=True)
    hold("parameters have slopes", all(one is None or one.isfinite().all() for one in grads), grads)


@use
def combined(case: Case) -> None:
    """Products, fewer components, and distances between mixtures."""
    fit = case.fit()
    if not sound(fit):
        raise NotClosedForm("It ended elsewhere.")
    mixture = fit.mixture.to(F64)
    x = mixture.sample((7,), generator=case.source)
    away = mx.divergences.kl(mixture, mixture, 16, case.source)
    hold("nothing is as near as itself", away.value.abs() < LOOSE, away)
    smaller = mixture.reduce(1)
    if smaller.components.is_gaussian:
        close("fewer have the same mean", smaller.mean, mixture.mean, least=LOOSE)
        close("and covariance", smaller.covariance, mixture.covariance, least=LOOSE)
    twice = mixture.product(mixture)
    wanted = 2 * mixture.log_prob(x) - mixture.overlap(mixture)
    close("a product is one of densities", twice.log_prob(x), wanted, least=1e-5)


@use
def subset(case: Case) -> None:
    """Rows of weight zero are not there."""
    rows, start = case.rows, case.begun()
    kept = torch.rand(len(rows), generator=case.source) < 0.7
    kept[0] = True
    weight = torch.where(kept, rows.each_weight, 0)
    plain = dict.fromkeys(FOR_ROWS)
    one = case.fit(x=rows.reweighted(weight), init=start, **plain)
    other = case.fit(x=rows.take(kept.nonzero().squeeze(-1)), init=start, **plain)
    if not bool((weight > 0).any()):
        raise MixtureError("No row counts.")
    first, second = both(one, other)
    close("rows of no weight are inert", first[kept], second, lambda: case.nudged(start)[kept])
