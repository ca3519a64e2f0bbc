"""The report is one whole page, says what is true, and lets nothing from the data become markup."""

import base64
import math
import re
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import mixtura as mx
from mixtura.data import TensorRows
from mixtura.report.digits import rounded


class Page(HTMLParser):
    """Checks nesting, and collects headings, attributes and text."""

    VOID = {"meta", "img", "link", "br"}

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.attributes, self.headings, self.text = [], [], [], [], []
        self.feed(text)
        assert not self.open, f"not closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)
        if self.open and self.open[-1] == "h2":
            self.headings.append(data)


@pytest.fixture(scope="module")
def found():
    rows = mx.data.rows(mx.datasets.path("old_faithful"))
    return mx.select(rows, components=(2, 3), covariance=("full", "tied-full"), restarts=2)


@pytest.fixture(scope="module")
def page(found):
    return mx.report.page(found, source="faithful.csv", made={"seed": "7"})


def test_the_page_is_whole_and_needs_nothing_else(page):
    parsed = Page(page)
    assert "script" not in parsed.tags and "link" not in parsed.tags
    sources = [value for name, value in parsed.attributes if name in ("src", "href")]
    assert len(sources) == 3 and all(value.startswith("data:image/svg+xml;base64,") for value in sources)
    assert "url(" not in page and "@import" not in page
    for value in sources:
        assert base64.b64decode(value.split(",")[1]).lstrip().startswith(b"<?xml")


def test_sections_follow_what_is_known(found, page):
    shown = ["How many components, and of what shape", "Density", "Components", "How the fit went"]
    shown += ["The least likely rows", "How it was made"]
    assert Page(page).headings == shown
    assert Page(mx.report.page(found.best)).headings == shown[1:]
    of_a_mixture = Page(mx.report.page(found.best.mixture, found.best.rows)).headings
    assert of_a_mixture == [heading for heading in shown[1:] if heading != "How the fit went"]


def test_the_answer_is_that_of_the_table(found, page):
    best, second = found.table[:2]
    text = " ".join(Page(page).text)
    assert f"{best.components} components with" in text
    assert f"the best of 4 models by BIC; the next best, {second.components} with" in text
    assert f"is {second.bic - best.bic:.3g} behind." in text
    assert "272 rows of faithful.csv, columns eruptions and waiting" in text


def test_the_same_input_gives_the_same_page(found, page):
    assert mx.report.page(found, source="faithful.csv", made={"seed": "7"}) == page


def test_text_from_the_data_stays_text():
    evil = "<script>alert('&\"')</script>"
    x = torch.randn(40, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    fit = mx.fit(mx.data.rows(x, columns=[evil, "$title"]), components=1)
    text = mx.report.page(fit, source=evil + "$version", made={evil: evil})
    parsed = Page(text)
    assert "script" not in parsed.tags and "<script>" not in text
    assert evil in parsed.text and "$title" in parsed.text
    assert any(name == "alt" and evil in value for name, value in parsed.attributes)


def test_priors_are_shown():
    x = mx.datasets.galaxies()
    prior = mx.Prior.weak(x, 3)
    text = mx.report.page(mx.fit(x, components=3, method=mx.EM(prior=prior), restarts=1))
    shown = " ".join(Page(text).text)
    for part in ("NormalInverseWishart", "strength", "0.01", f"{prior.components.scale.item():.4g}", "concentration"):
        assert part in shown


def test_a_collapse_is_said_with_its_advice():
    x = torch.cat([torch.zeros(20), torch.linspace(5, 9, 20)]).double()
    fit = mx.fit(x, init=torch.tensor([0.0, 7.0]).double())
    assert fit.reason is mx.Reason.COLLAPSED
    shown = " ".join(Page(mx.report.page(fit)).text)
    assert fit.advice in shown


def test_components_of_few_rows_are_pointed_at():
    x = torch.cat([torch.linspace(0, 4, 60), torch.tensor([9.0, 9.3])]).double()
    own, shared = (mx.fit(x, init=torch.tensor([2.0, 9.0]).double(), covariance=c) for c in ("full", "tied-full"))
    assert own.converged and shared.converged
    assert "Few rows: component 1." in mx.report.page(own)
    assert "Few rows" not in mx.report.page(shared)


@pytest.mark.parametrize("features", [1, 2, 3, 9])
def test_every_number_of_columns_has_its_density_and_table(features):
    x = torch.randn(60, features, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    fit = mx.fit(x, components=2, covariance="diagonal", restarts=1)
    text = mx.report.page(fit)
    assert ("The 6 of 9 columns in which" in text) == (features == 9)
    assert ("correlation" in text) == (features == 2)
    assert Page(text).tags.count("img") == 2


class TestSurvey:
    @pytest.mark.parametrize("block", [1, 7, 1000])
    def test_against_all_rows_at_once(self, found, block, monkeypatch):
        monkeypatch.setattr(TensorRows, "suggested_size", block)
        mixture, x = found.best.mixture, found.best.rows.tensor()
        rows = mx.data.rows(x, weight=torch.arange(1.0, 273.0))
        seen = mx.report.survey(mixture, rows, least=5)
        log_density = mixture.log_prob(x).numpy()
        order = np.argsort(log_density, kind="stable")[:5]
        assert [one.row for one in seen.least] == order.tolist()
        for one in seen.least:
            assert one.values == tuple(x[one.row].tolist())
            assert one.component == int(mixture.assign(x[one.row]))
            assert one.log_density == pytest.approx(log_density[one.row])
        assert seen.assigned.tolist() == np.bincount(mixture.assign(x), np.arange(1.0, 273.0), minlength=3).tolist()
        assert seen.log_likelihood == pytest.approx((log_density * np.arange(1, 273)).sum())

    def test_fewer_rows_than_are_asked_for(self, found):
        assert len(mx.report.survey(found.best.mixture, mx.data.rows(torch.ones(3, 2).double())).least) == 3


@given(
    st.floats(-1e9, 1e9, allow_nan=False),
    st.floats(1e-5, 1e8),
)
def test_rounding_is_finer_than_the_scale(value, scale):
    text = rounded(value, scale)
    assert abs(float(text) - value) <= 0.05 * scale
    assert math.isfinite(float(text)) and len(text) <= 22


def test_a_mixture_needs_rows(found):
    with pytest.raises(mx.errors.MixtureError, match="`x` must be given"):
        mx.report.page(found.best.mixture)


def test_written_whole_or_not_at_all(found, tmp_path, page):
    path = mx.report.write(tmp_path / "report.html", found, source="faithful.csv", made={"seed": "7"})
    assert path.read_text(encoding="utf-8") == page
    with pytest.raises(mx.errors.MixtureError, match="existing folder"):
        mx.report.write(tmp_path / "absent" / "report.html", found)
    assert re.fullmatch("report.html", " ".join(p.name for p in tmp_path.iterdir()))


# -- what is said is what is shown


def test_the_corner_plot_is_described_by_the_columns_that_it_shows():
    """Those in which the components differ most, which are the last ones here."""
    x = torch.randn(200, 12, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x[:100, 6:] += 5
    fit = mx.fit(mx.data.rows(x, columns=[f"c{d}" for d in range(12)]), 2, "diagonal", restarts=2)
    text = mx.report.page(fit)
    shown = [f"c{d}" for d in mx.plots.telling(fit.mixture, 6)]
    assert shown == [f"c{d}" for d in range(6, 12)]
    assert ("alt", f"Density of {', '.join(shown)}") in Page(text).attributes
    assert "differ most: c6, c7, c8, c9, c10 and c11." in text


def test_the_next_best_is_another_model():
    """Of one column every shape is one of two, and a single component is the same with either."""
    one = mx.select(mx.datasets.galaxies(), (1,), restarts=1)
    assert "is 0 behind" not in mx.report.page(one) and "next best" not in mx.report.page(one)
    found = mx.select(mx.datasets.galaxies(), (1, 2, 3), restarts=2)
    second = next(c for c in found.table[1:] if c.reason is found.table[0].reason)
    assert f"is {second.bic - found.table[0].bic:.3g} behind" in mx.report.page(found)


def test_the_end_of_the_range_is_said():
    found = mx.select(mx.datasets.old_faithful(), (1, 2), "full", restarts=2)
    assert found.advice and found.advice in mx.report.page(found)
