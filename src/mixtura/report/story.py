"""What a page is about, and the same in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..data import Rows, check_rows
from ..errors import refuse
from ..learning import Candidate, Fit, Selection
from ..mixture import Mixture
from ..plots.subject import Model, parts, subject
from .digits import count, number
from .survey import Survey, survey

__all__ = ["Story", "covariance_name", "in_words", "listed", "story"]

_WORDS = {
    "full": "a full covariance each",
    "diagonal": "a diagonal covariance each",
    "spherical": "a spherical covariance each",
    "tied-full": "one full covariance in common",
    "tied-diagonal": "one diagonal covariance in common",
    "tied-spherical": "one spherical covariance in common",
}


@dataclass(frozen=True)
class Story:
    """A mixture, its rows, and how it was found where that is known."""

    mixture: Mixture
    rows: Rows
    names: tuple[str, ...]
    survey: Survey
    fit: Fit | None
    selection: Selection | None
    source: str
    made: Mapping[str, str]

    @property
    def components(self) -> int:
        """The number of components K."""
        return self.mixture.logits.shape[-1]

    @property
    def features(self) -> int:
        """The number of columns D."""
        return len(self.names)

    @property
    def asked(self) -> str:
        """The question, in one sentence."""
        return f"Which mixture describes {self.data}?"

    @property
    def data(self) -> str:
        """The rows in words."""
        word = "column" if self.features == 1 else "columns"
        return f"the {count(len(self.rows), 'row')} of {self.source}, {word} {listed(self.names)}"

    @property
    def shape(self) -> str:
        """The components in words."""
        words = in_words(covariance_name(self.mixture), self.features, self.components)
        return f"{count(self.components, 'component')} with {words}"

    @property
    def per_row(self) -> float:
        """The log-likelihood in nats per row."""
        return self.survey.log_likelihood / self.rows.total_weight

    @property
    def answer(self) -> str:
        """The answer, in one sentence."""
        if self.selection is not None:
            return _chosen(self, self.selection)
        ending = "" if self.fit is None else f"; {_ended(self.fit)}"
        return f"{_capital(self.shape)} reach {number(self.per_row, 6)} nats per row{ending}."


def story(
    model: Model,
    x: Any = None,
    columns: Sequence[str] | None = None,
    source: str = "the data",
    made: Mapping[str, str] | None = None,
) -> Story:
    """Gathers what a page needs; goes through the rows once. Arguments as those of `page`."""
    about = subject(model, x, columns)
    if about.rows is None:
        advice = "A fit brings its own rows, but for those that a projection recorded in other columns."
        refuse("x", "given beside a mixture", "none", advice)
    check_rows(about.rows)
    _, fit, selection = parts(model)
    found = survey(about.mixture, about.rows)
    return Story(about.mixture, about.rows, about.names, found, fit, selection, source, made or {})


def covariance_name(mixture: Mixture) -> str:
    """The name of the mixture's covariance structure; the family's where it has none."""
    components = mixture.components
    return components.gaussian.structure.name if components.is_gaussian else type(components).__name__


def in_words(covariance: str, features: int, components: int) -> str:
    """A covariance structure in words; in one dimension there is only a scale, and of one component nothing shared."""
    words = _WORDS.get(covariance, covariance)
    if features == 1 and covariance in _WORDS:
        words = "one scale in common" if covariance.startswith("tied-") else "a scale each"
    return words if components > 1 else words.removesuffix(" each").removesuffix(" in common").replace("one ", "a ")


def listed(words: Sequence[str], most: int = 8) -> str:
    """Words as a list in a sentence; a long one is cut.

    Example:
        >>> from mixtura.report.story import listed
        >>> listed(["a", "b", "c"]), listed(["a", "b", "c"], most=2)
        ('a, b and c', 'a, b and 1 more')
    """
    shown = list(words[:most]) + ([f"{len(words) - most} more"] if len(words) > most else [])
    return " and ".join(filter(None, [", ".join(shown[:-1]), shown[-1]]))


def _chosen(story: Story, selection: Selection) -> str:
    best = selection.table[0]
    rivals = [c for c in selection.table[1:] if c.reason is best.reason and not _same(c, best)][:1]
    criterion = selection.criterion
    behind = [
        f"; the next best, {c.components} with {in_words(c.covariance, story.features, c.components)}, is "
        f"{number(selection.behind(c), 3)} behind"
        for c in rivals
    ]
    tried = "tried before the search was interrupted, by" if selection.interrupted else "by"
    models = f"the best of {count(len(selection.table), 'model')} {tried} {criterion.upper()}"
    return f"{_capital(story.shape)}: {models}{''.join(behind)}."


def _same(one: Candidate, other: Candidate) -> bool:
    """Whether two models are one under two names, as a single component's covariance, its own or in common, is."""
    return one.components == other.components == 1 and one.parameters == other.parameters


def _ended(fit: Fit) -> str:
    verb = "converged" if fit.converged else f"ended ({fit.reason.name.lower().replace('_', ' ')})"
    return f"the fit {verb} after {count(fit.iterations, 'iteration')}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
