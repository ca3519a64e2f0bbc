"""What is done with a mixture beyond learning: other libraries, the command line, pages, forecasts, what was recorded.

Uses as in `uses_of_fits`; importing them adds them to its table.
"""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from typer.testing import CliRunner
from use_laws import Broken, Case, close, densities, equal, hold, numbers, sound, use

import mixtura as mx
import mixtura.sklearn as estimators
from mixtura.cli.app import app
from mixtura.errors import MixtureError, NotClosedForm

LOOSE = 1e-6


def _exact(case: Case) -> None:
    if case.options.get("observation"):
        raise NotClosedForm("What is recorded is of another law.")


# -- the mixture as a value


@use
def ordered(case: Case) -> None:
    mixture = case.fit().mixture
    if mixture.components.gated:
        raise NotClosedForm("Weights hang on columns.")
    again, x = mixture.order(), case.rows.tensor()
    hold("weights fall", bool((again.weights.diff() <= 0).all()) or bool(again.weights.isnan().any()), again.weights)
    if again.event_shape == x.shape[1:] and not x.isnan().any():
        close("order says nothing", again.log_prob(x), mixture.log_prob(x), least=LOOSE)
    turned = mixture.logits.shape[-1] - 1 - torch.arange(mixture.logits.shape[-1])
    batch = mx.Mixture._of(*(torch.stack([a, a[turned]]) for a in (mixture.logits,)), _pair(mixture, turned))
    matched = mx.learning.relabel(batch)
    if sound(case.fit()) and _apart(mixture):
        close("labels agree", matched.logits[1], matched.logits[0], least=LOOSE)


def _pair(mixture: mx.Mixture, order: torch.Tensor) -> Any:
    """Components as they are, and in another order, as a batch."""
    twice = mixture.components.map(lambda tensor: torch.stack([tensor, tensor]))
    return twice.reordered(torch.stack([torch.arange(len(order)), order]))


def _apart(mixture: mx.Mixture) -> bool:
    traits = mixture.components.traits
    return bool((torch.cdist(traits, traits) + torch.eye(len(traits)) > 1e-3).all())


@use
def moved(case: Case) -> None:
    """Copies on the way to another type and back, maps there and back, and noise that is none."""
    mixture, x = case.fit().mixture, case.x
    equal("detached", mixture, mixture.detach())
    equal("there and back", mixture.to(torch.float32), mixture.to(torch.float64).to(torch.float32))
    two = mixture.expand((2,))
    hold("a batch", two.batch_shape == (2,) and two.batch(0).logits.shape == mixture.logits.shape, two)
    _exact(case)
    slope = mixture.score(x)
    hold("a slope for each", slope.shape == x.shape, slope.shape)
    if sound(fit := case.fit()):
        wide = fit.mixture.convolve(1e-9 * float(fit.mixture.components.variance.min()))
        close("hardly any noise", wide.log_prob(x), fit.mixture.log_prob(x), least=1e-3)


@use
def filled(case: Case) -> None:
    """What was not recorded, and the clean values of what was."""
    fit = case.fit()
    if not sound(fit):
        raise NotClosedForm("It ended elsewhere.")
    y, through = fit.rows.tensor(), fit.rows.observation
    if y.isnan().any():
        found = fit.mixture.impute(y)
        hold("gaps are filled", found.values.isfinite().all() and (found.scale >= 0).all(), found)
        close("what was recorded stays", found.values[~y.isnan()], y[~y.isnan()])
    if not through.exact:
        clean = fit.mixture.posterior(through, y)
        hold("a law for each row", clean.batch_shape == (len(y),), clean)
        hold("with a mean", clean.mean.isfinite().all(), clean.mean)


@use
def foretold(case: Case) -> None:
    """Scores, intervals and quantiles of numbers."""
    _exact(case)
    fit = case.fit()
    mixture, y = fit.mixture, case.x[:8]
    if mixture.event_shape:
        others = list(range(mixture.event_shape[0]))[:-1]
        if not others:
            raise NotClosedForm("There is nothing to condition on.")
        mixture, y = mixture.condition(others, y[:, others]), y[:, -1]
        y = y if not mixture.event_shape else y.unsqueeze(-1)
    told = mx.scoring.judge(mixture, y, generator=case.source)
    if not sound(fit):
        return
    hold("scores are numbers", np.isfinite(told.crps), told)
    low, high = mx.scoring.quantiles(mixture, [0.1, 0.9]).unbind(0)
    hold("quantiles rise", (low <= high).all(), low, high)
    if mixture.dtype is torch.float64:
        below = mixture.cdf(high)
        hold("below them is their share", (below > 0.9 - 1e-3).all() or high.isinf().any(), below)


# -- other libraries


@use
def exported(case: Case) -> None:
    _exact(case)
    mixture, x = case.fit().mixture, case.x
    told = mixture.to_torch()
    close("torch says the same", told.log_prob(x), mixture.log_prob(x), least=LOOSE)
    close("and back", mx.Mixture.from_torch(told).log_prob(x), mixture.log_prob(x), least=LOOSE)
    if mixture.components.is_gaussian and x.ndim == 2 and x.dtype is torch.float64:
        there = estimators.to_sklearn(mixture)
        said = torch.as_tensor(there.score_samples(x.numpy()))
        close("scikit-learn says the same", said, mixture.log_prob(x), least=1e-4)
        close("and back", estimators.from_sklearn(there).log_prob(x), mixture.log_prob(x), least=1e-4)


@use
def estimated(case: Case) -> None:
    """The estimator is the fit, and answers by its mixture."""
    _exact(case)
    family = case.options.get("family", "Gaussian")
    shape = {"covariance": case.options["covariance"]} if "covariance" in case.options else {}
    x, weight = case.x.reshape(len(case.x), -1).numpy(), case.options.get("sample_weight")
    asked = {"method": case.options["method"], "restarts": case.options["restarts"], **shape}
    model = estimators.FamilyMixture(case.components, family=family, random_state=case.seed, **asked)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # it says what the reason of a fit says
        try:
            model.fit(x, sample_weight=None if weight is None else weight.numpy())
        except MixtureError:
            raise
        except (ValueError, TypeError) as error:
            raise NotClosedForm(f"scikit-learn's own checks: {error}") from error
    rows = torch.as_tensor(x)
    close("densities", torch.as_tensor(model.score_samples(x)), model.mixture_.log_prob(rows), least=LOOSE)
    close("probabilities", torch.as_tensor(model.predict_proba(x)), model.mixture_.responsibilities(rows), least=LOOSE)
    hold("labels", (model.predict(x) == model.mixture_.assign(rows).numpy()).all())


# -- the command line and pages


@use
def reported(case: Case) -> None:
    fit = case.fit()
    page = mx.report.page(fit, source="these rows")
    hold("a page", page.startswith("<!doctype html>") and page.rstrip().endswith("</html>"), page[:50], page[-50:])
    hold("says how it ended", fit.reason.name.lower().replace("_", " ") in page.lower(), fit.reason)


@use
def commanded(case: Case) -> None:
    """What is typed comes to what is called."""
    if "family" in case.options or case.x.isnan().any() or case.x.dtype is torch.float32 or not _plain(case):
        raise NotClosedForm("The command line has no words for it.")
    shape = case.options.get("covariance", "full")
    with tempfile.TemporaryDirectory() as folder:
        data, model, out = (Path(folder) / name for name in ("x.csv", "out/model.safetensors", "out"))
        x = case.x.reshape(len(case.x), -1)
        lines = [",".join(f"x{d}" for d in range(x.shape[1])), *(",".join(map(repr, line)) for line in x.tolist())]
        data.write_text("\n".join(lines) + "\n")
        asked = ("--components", case.components, "--covariance", shape, "--restarts", 2, "--seed", case.seed)
        _typed("fit", data, *asked, "--max-iterations", 20, "--out", out)
        _typed("score", model, data, "--out", Path(folder) / "scores.npz")
        found = np.load(Path(folder) / "scores.npz")["log_density"]
        mixture = mx.load(model)
        fit = mx.fit(
            mx.data.rows(data, columns="x0" if x.shape[1] == 1 else None), case.components, shape, mx.EM(20),
            restarts=2, generator=case.source,
        )  # fmt: skip
    equal("what is typed is what is called", fit.mixture.order(), mixture)
    close("densities", torch.as_tensor(found).reshape(-1), densities(fit), least=LOOSE)


def _plain(case: Case) -> bool:
    return not any(case.options.get(name) is not None for name in ("sample_weight", "labels", "observation"))


def _typed(*words: Any) -> None:
    done = CliRunner().invoke(app, [str(one) for one in words])
    if done.exit_code == 1 and done.stderr.startswith("Error: "):
        raise MixtureError(done.stderr)
    if done.exit_code:
        raise Broken(f"{words[0]}: {done.exception!r} {done.output[-300:]}") from done.exception


# -- a network that answers with a mixture


@use
def networked(case: Case) -> None:
    """A network without context begins at a fit, and its mixtures are rows' own."""
    _exact(case)
    if case.x.shape[1] < 2:
        raise NotClosedForm("There is no context.")
    torch_state = torch.get_rng_state()
    with torch.random.fork_rng():
        torch.manual_seed(case.seed)
        gmm = mx.conditional.GMM(case.x.shape[1] - 1, context=1, components=case.components, hidden_features=(4,))
        gmm.to(case.x.dtype)
        context, y = case.x[:, :1], case.x[:, 1:]
        gmm.initialize(y, context=context)
        trained = gmm.fit(y, context, validation=0, epochs=2, generator=case.source)
    hold("the source of all is as it was", torch.equal(torch_state, torch.get_rng_state()))
    given = gmm(context)
    hold("a mixture for each row", given.batch_shape == (len(y),), given)
    if trained.reason.name not in ("DIVERGED", "NOT_FINITE"):
        hold("numbers", all(one.isfinite().all() for one in numbers(given)), trained.reason)
