"""A page about a regression: bands, whether the distributions are true, and the targets that surprised most."""

from __future__ import annotations

from .. import plots
from .._version import __version__
from .digits import count, number, rounded
from .drawing import axes, blank
from .foretold import Foretold
from .html import Html, escape, facts, figure, paragraph, section, table
from .sections import made
from .templates import PAGE

__all__ = ["regression_page"]

_PANELS = 4
_SURPRISING = 10
_LISTED = 12


def regression_page(told: Foretold) -> str:
    """Returns a self-contained HTML page about a regression.

    Sections: the question and the answer; bands of the target given single features; whether the distributions are
    true (transforms, coverage); intervals with a guarantee; the most surprising targets; the models that were tried;
    how it was made.

    Arguments:
        told: The regression and the rows held out.

    Raises:
        ImportError: If matplotlib is not installed.
    """
    parts = _answer, _bands, _truth, _guarantee, _surprising, _tried, _made
    sections = "\n".join(part(told) for part in parts)
    title = escape(f"{told.target} in {told.source}, foretold by a mixture")
    return PAGE.substitute(title=title, sections=sections, version=escape(__version__))


def _answer(told: Foretold) -> Html:
    asked = (
        f"How is {told.target} distributed for given {_listed(told.features)}? Learned from "
        f"{count(told.learned, 'row')} of {told.source}; judged by {count(len(told.y), 'row')} held out."
    )
    found = told.judgement
    pairs = [("log-density, nats per row", f"{found.mean_log_density:.4f}"), ("CRPS", number(found.crps))]
    pairs += [(f"within {100 * one.level:g} %", f"{100 * one.share:.1f} %") for one in found.coverage]
    pairs += [("mean width", number(found.coverage[-1].width))]
    return Html("\n".join([paragraph(asked, "asked"), paragraph(told.answer, "answer"), facts(pairs)]))


def _bands(told: Foretold) -> Html:
    """The target given single features, those that tell most first; all others are integrated out."""
    shown = [name for name, _ in told.alone[:_PANELS]]
    wide = len(shown) > 1
    drawing = blank(7.2 if wide else 5.6, 2.9 * (len(shown) + wide) // (1 + wide) + 0.3)
    with plots.style():
        panels = drawing.subplots((len(shown) + wide) // (1 + wide), 1 + wide, squeeze=False).flatten()
    for ax, name in zip(panels, shown, strict=False):
        d = told.features.index(name)
        there = ~told.x[:, d].isnan()
        pair = told.joint.marginal([d, len(told.features)])
        plots.bands(pair, *((told.x[there, d], told.y[there]) if bool(there.any()) else (None, None)), ax=ax)
    for ax in panels[len(shown) :]:
        ax.set_axis_off()
    caption = "Median, and what holds 50 and 90 per cent, given this feature alone; dots are the rows held out."
    words = paragraph("Nats per row that each feature tells by itself, of rows held out where it is known:", "note")
    lines = [(name, f"{gain:.3f}") for name, gain in told.alone[:_LISTED]]
    parts = figure(drawing, "Bands of the target", caption), words, table(("feature", "nats"), lines)
    return section(f"{told.target} given single features", *parts)


def _truth(told: Foretold) -> Html:
    drawing, found = blank(7.2, 2.8), told.judgement
    with plots.style():
        left, right = drawing.subplots(1, 2)
    plots.pit(found.pit, found.weight, ax=left)
    plots.coverage(found.pit, found.weight, ax=right)
    caption = (
        "Left: where in its own distribution each target fell. It is level where the distributions are true, humped "
        "where they are too wide, and hollow where too narrow. Right: how often intervals of each level held the "
        "target. Bands: two standard errors."
    )
    return section("Are the distributions true?", figure(drawing, "Transforms and coverage", caption))


def _guarantee(told: Foretold) -> Html:
    interval = told.calibration.interval(told.given, told.level)
    width, plain = interval.width.mean().item(), told.judgement.coverage[-1].width
    rows = len(told.calibration.tail)
    text = (
        f"Intervals made of the mixture's quantiles at {number(told.calibration.cut(told.level), 3)} from either end "
        f"hold at least {100 * told.level:g} % of new targets, and at most {100 / (rows + 1):.2g} percentage points "
        f"more, whatever the mixture, if new rows come as those held out. Their mean width is {number(width)}; the "
        f"mixture's own is {number(plain)}. They are the columns low and high of the predictions."
    )
    return section("Intervals with a guarantee", paragraph(text))


def _surprising(told: Foretold) -> Html:
    found, scale = told.judgement, told.y.std().item() if len(told.y) > 1 else 1.0
    interval = told.calibration.interval(told.given, told.level)
    lines = [
        [
            int(told.numbers[i]),
            rounded(told.y[i].item(), scale),
            f"{rounded(interval.low[i].item(), scale)} to {rounded(interval.high[i].item(), scale)}",
            f"{found.log_density[i].item():.3f}",
            f"{told.p_values[i].item():.3g}",
        ]
        for i in found.most_surprising(_SURPRISING).tolist()
    ]
    head = ("row", told.target, f"foretold, {100 * told.level:g} %", "log-density (nats)", "p")
    note = "Rows held out, counted from 0 in the table. p: the share of them whose target was no likelier."
    return section("The most surprising targets", table(head, lines), paragraph(note, "note"))


def _tried(told: Foretold) -> Html:
    if len(told.tried) < 2:
        return Html()
    drawing, ax = axes(6.0, 2.6)
    with plots.style():
        for place, name in enumerate(dict.fromkeys(one.covariance for one in told.tried)):
            own = sorted(one for one in told.tried if one.covariance == name)
            color = plots.PALETTE[place % len(plots.PALETTE)]
            ax.plot(
                [one.components for one in own], [one.log_density for one in own], "o-", ms=3, color=color, label=name
            )
        ax.set_xlabel("components")
        ax.set_ylabel("nats per row left out")
        ax.legend(loc="best")
    caption = "Mean log-density of the target of rows left out in turn, among those learned from."
    return section("The models that were tried", figure(drawing, "Log-density of each model", caption))


def _made(told: Foretold) -> Html:
    return made(list(told.made.items()))


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(names[:_LISTED]) + (f" and {len(names) - _LISTED} more" if len(names) > _LISTED else "")
