"""What figures draw is what the mixture says; how they look is looked at."""

import math
import sys

import matplotlib
import numpy as np
import pytest
import torch
from matplotlib import pyplot
from matplotlib.colors import to_rgb
from scipy import stats

import mixtura as mx
from mixtura.plots.ellipses import outline
from mixtura.plots.responsibilities import mixed_colors
from mixtura.plots.subject import shown

LINE = mx.Mixture(
    torch.tensor([0.3, 0.7], dtype=torch.float64),
    mx.Normal(torch.tensor([-2.0, 3.0], dtype=torch.float64), torch.tensor([0.5, 2.0], dtype=torch.float64)),
)
COVARIANCE = torch.tensor([[[4.0, 1.2, 0.3], [1.2, 1.0, 0.1], [0.3, 0.1, 0.25]]] * 2, dtype=torch.float64)
SPACE = mx.Mixture(
    torch.tensor([0.6, 0.4], dtype=torch.float64),
    mx.Gaussian(torch.tensor([[0.0, 1.0, 5.0], [3.0, -2.0, 5.5]], dtype=torch.float64), COVARIANCE),
)
PLANE = SPACE.marginal([0, 1])


@pytest.fixture(autouse=True)
def closed_figures(monkeypatch):
    monkeypatch.setattr(pyplot, "show", lambda *_: pytest.fail("a plot called pyplot.show"))
    before = dict(matplotlib.rcParams)
    yield
    pyplot.close("all")
    assert dict(matplotlib.rcParams) == before


@pytest.fixture(scope="module")
def faithful():
    return mx.data.rows(mx.datasets.path("old_faithful"))


@pytest.fixture(scope="module")
def found(faithful):
    return mx.select(faithful, components=(1, 2, 3), covariance=("full", "tied-full", "spherical"), restarts=2)


def curve(line):
    return np.asarray(line.get_xdata(), dtype=float), np.asarray(line.get_ydata(), dtype=float)


class TestDensity:
    def test_a_line_is_the_density_and_its_parts(self):
        ax = mx.plots.density(LINE)
        (x, total), *parts = map(curve, ax.lines)
        expected = [w * stats.norm(m, s).pdf(x) for w, m, s in ((0.3, -2, 0.5), (0.7, 3, 2))]
        for (_, y), wanted in zip(parts, expected, strict=True):
            np.testing.assert_allclose(y, wanted, atol=1e-12)
        np.testing.assert_allclose(total, sum(expected), atol=1e-12)
        assert np.trapezoid(total, x) == pytest.approx(1, abs=2e-3)

    def test_a_narrow_component_is_not_missed(self):
        scale = torch.tensor([1.0, 1e-5], dtype=torch.float64)
        narrow = mx.Mixture(torch.ones(2), mx.Normal(torch.tensor([0.0, 1.0], dtype=torch.float64), scale))
        _, total = curve(mx.plots.density(narrow, torch.linspace(-3, 3, 50)).lines[0])
        assert total.max() == pytest.approx(narrow.log_prob(torch.tensor(1.0).double()).exp().item())

    def test_the_histogram_has_unit_area_and_counts_weights(self):
        x = torch.cat([torch.zeros(30), torch.ones(10)]).double() + torch.linspace(0, 0.1, 40).double()
        rows = mx.data.rows(x, weight=torch.cat([torch.ones(30), 9 * torch.ones(10)]))
        ax = mx.plots.density(LINE, rows)
        bars = [(bar.get_x(), bar.get_width() * bar.get_height()) for bar in ax.patches]
        assert sum(area for _, area in bars) == pytest.approx(1)
        assert sum(area for left, area in bars if left > 0.5) == pytest.approx(90 / 120)

    def test_contours_lie_on_their_levels(self):
        ax = mx.plots.density(PLANE)
        contours = next(c for c in ax.collections if hasattr(c, "levels"))
        for level, path in zip(contours.levels, contours.get_paths(), strict=True):
            values = PLANE.log_prob(torch.as_tensor(path.vertices))
            np.testing.assert_allclose(values, level, atol=0.05)

    def test_every_row_is_a_dot(self, faithful):
        ax = mx.plots.density(mx.fit(faithful, components=2, restarts=1))
        dots = next(c for c in ax.collections if len(c.get_offsets()) == 272)
        np.testing.assert_array_equal(dots.get_offsets(), faithful.tensor())
        assert (ax.get_xlabel(), ax.get_ylabel()) == ("eruptions", "waiting")

    def test_more_columns_are_sent_to_corner(self):
        with pytest.raises(mx.errors.MixtureError, match="corner"):
            mx.plots.density(SPACE)

    def test_vectors_of_one_column_are_drawn_as_numbers(self):
        vectors = SPACE.marginal([0])
        x, total = curve(mx.plots.density(vectors).lines[0])
        np.testing.assert_allclose(total, vectors.log_prob(torch.as_tensor(x)[:, None]).exp(), atol=1e-12)


class TestEllipses:
    @pytest.mark.parametrize("scale", [0.5, 1.0, 2.0])
    def test_outline_is_at_that_distance_and_holds_the_mass_said(self, scale):
        mean, covariance = torch.tensor([1.0, -2.0]).double(), COVARIANCE[0, :2, :2]
        points = outline(mean, covariance, (scale,))[0]
        inverse = np.linalg.inv(covariance)
        distance = np.einsum("ni,ij,nj->n", points - mean, inverse, points - mean)
        np.testing.assert_allclose(distance, scale**2, rtol=1e-12)
        assert stats.chi2(2).cdf(scale**2) == pytest.approx(1 - math.exp(-(scale**2) / 2))

    def test_the_percentages_in_the_documentation(self):
        said = mx.plots.ellipses.__doc__
        for scale in (1, 2):
            assert f"{100 * stats.chi2(2).cdf(scale**2):.1f}" in said

    def test_chosen_columns_and_weightless_components(self):
        ax = mx.plots.ellipses(SPACE, dims=(2, 0), columns=("a", "b", "c"))
        assert (ax.get_xlabel(), ax.get_ylabel()) == ("c", "a")
        centre = np.mean([np.asarray(curve(ax.lines[0]))[:, :-1].mean(1)], axis=0)
        np.testing.assert_allclose(centre, [5.0, 0.0], atol=1e-12)
        dead = mx.Mixture(torch.tensor([1.0, 0.0]), PLANE.components.to(torch.float32))
        assert len(mx.plots.ellipses(dead).lines) == 2

    @pytest.mark.parametrize("dims", [(0,), (0, 1, 2)])
    def test_dims_must_be_two(self, dims):
        with pytest.raises(mx.errors.MixtureError, match="dims"):
            mx.plots.ellipses(SPACE, dims=dims)


class TestResponsibilities:
    def test_certain_rows_have_the_components_colour_and_doubt_is_between(self):
        r = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]])
        first, second = (np.array(to_rgb(color)) for color in mx.plots.PALETTE[:2])
        np.testing.assert_allclose(mixed_colors(r), [first, second, (first + second) / 2], atol=1e-6)

    def test_rows_are_coloured_by_all_columns(self):
        x = SPACE.sample((50,), torch.Generator().manual_seed(1))
        ax = mx.plots.responsibilities(SPACE, x, dims=(0, 2))
        colors = ax.collections[0].get_facecolors()[:, :3]
        np.testing.assert_allclose(colors, mixed_colors(SPACE.responsibilities(x)), atol=1e-6)

    def test_a_line_is_stacked_up_to_one(self):
        ax = mx.plots.responsibilities(LINE)
        top = ax.collections[-1].get_paths()[0].vertices[:, 1].max()
        assert len(ax.collections) == 2 and top == pytest.approx(1)

    def test_a_mixture_without_rows_is_refused(self):
        with pytest.raises(mx.errors.MixtureError, match="`x` must be given"):
            mx.plots.responsibilities(PLANE)


class TestCorner:
    def test_panels_are_the_marginals(self):
        x = SPACE.sample((200,), torch.Generator().manual_seed(1))
        figure = mx.plots.corner(SPACE, x, columns=("a", "b", "c"))
        diagonal = [ax for ax in figure.axes if ax.patches]
        assert len(figure.axes) == 6 and len(diagonal) == 3
        for d, ax in enumerate(diagonal):
            grid, total = curve(ax.lines[0])
            wanted = SPACE.marginal([d]).log_prob(torch.as_tensor(grid)[:, None]).exp()
            np.testing.assert_allclose(total, wanted, atol=1e-12)
        assert [ax.get_xlabel() for ax in figure.axes[-3:]] == ["a", "b", "c"]

    def test_pairs_show_their_columns(self):
        x = SPACE.sample((20,), torch.Generator().manual_seed(1))
        figure = mx.plots.corner(SPACE, x, dims=(2, 0))
        pair = next(ax for ax in figure.axes if not ax.patches)
        np.testing.assert_array_equal(pair.collections[0].get_offsets(), x[:, [2, 0]])

    def test_telling_columns(self):
        x = SPACE.sample((100_000,), torch.Generator().manual_seed(1))
        labels = SPACE.assign(x)
        means = torch.stack([x[labels == k].mean(0) for k in range(2)])
        gap = (means[0] - means[1]).abs() / x.std(0)
        assert mx.plots.telling(SPACE, 2) == sorted(gap.argsort(descending=True)[:2].tolist())


class TestCurves:
    def test_trace(self, found):
        x, y = curve(mx.plots.trace(found).lines[0])
        np.testing.assert_array_equal(y, found.best.trace)
        np.testing.assert_array_equal(x, np.arange(len(found.best.trace)))

    def test_trace_needs_a_fit(self):
        with pytest.raises(mx.errors.MixtureError, match="Fit"):
            mx.plots.trace(LINE)

    def test_selection_heights_are_excesses(self, found):
        ax = mx.plots.selection(found)
        drawn = {line.get_label(): curve(line) for line in ax.lines if not line.get_label().startswith("_")}
        table = {(c.covariance, c.components): c.bic for c in found.table}
        for covariance, (x, y) in drawn.items():
            wanted = [table[covariance, int(k)] - found.best.bic for k in x]
            np.testing.assert_allclose(y, wanted, atol=1e-6)
        assert set(drawn) == {"full", "tied-full", "spherical"}
        (mark,) = (line for line in ax.lines if line.get_label().startswith("_"))
        assert curve(mark) == ([found.table[0].components], [0])

    def test_collapsed_models_are_left_out(self, found):
        from dataclasses import replace

        broken = tuple(
            c._replace(reason=mx.Reason.COLLAPSED) if c.covariance == "spherical" else c for c in found.table
        )
        ax = mx.plots.selection(replace(found, table=broken))
        assert all(len(line.get_xdata()) == 0 for line in ax.lines if line.get_label() == "spherical")


class TestManners:
    def test_draws_where_it_is_told(self, found, faithful):
        _, ax = pyplot.subplots()
        one = mx.fit(faithful.tensor()[:, 0], components=2, restarts=1)
        for draw in (
            lambda: mx.plots.density(found, ax=ax),
            lambda: mx.plots.density(one, ax=ax),
            lambda: mx.plots.ellipses(found, ax=ax),
            lambda: mx.plots.responsibilities(found, ax=ax),
            lambda: mx.plots.trace(found, ax),
            lambda: mx.plots.selection(found, ax),
        ):
            assert draw() is ax
        assert len(pyplot.get_fignums()) == 1

    def test_own_settings_end_with_the_call(self):
        with matplotlib.rc_context({"font.size": 17, "axes.spines.top": True}):
            mx.plots.density(LINE)
            assert matplotlib.rcParams["font.size"] == 17 and matplotlib.rcParams["axes.spines.top"]

    def test_settings_of_others_survive_the_style(self):
        """A notebook's backend is started by the first figure, and then makes pyplot interactive."""
        was = matplotlib.is_interactive()
        try:
            with mx.plots.style():
                matplotlib.interactive(not was)
            assert matplotlib.is_interactive() is not was
        finally:
            matplotlib.interactive(was)

    def test_gradients_and_float32_are_no_obstacle(self):
        loc = torch.tensor([0.0, 1.0], requires_grad=True)
        mx.plots.density(mx.Mixture(torch.ones(2), mx.Normal(loc, torch.ones(2))))

    def test_without_matplotlib_the_message_says_what_to_install(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "matplotlib", None)
        with pytest.raises(ImportError, match=r"mixtura\[plots\]"):
            mx.plots.density(LINE)

    @pytest.mark.parametrize("model", [3, "x", torch.zeros(2)])
    def test_what_is_no_model_is_refused(self, model):
        with pytest.raises(mx.errors.MixtureError, match="`model` must be"):
            mx.plots.density(model)

    def test_batches_and_wrong_rows_are_refused(self):
        batch = LINE.map(lambda t: t.expand(2, *t.shape))
        with pytest.raises(mx.errors.MixtureError, match="one mixture"):
            mx.plots.density(batch)
        with pytest.raises(mx.errors.MixtureError, match="rows of 2 columns"):
            mx.plots.density(PLANE, torch.zeros(4, 3))
        with pytest.raises(mx.errors.MixtureError, match="2 names"):
            mx.plots.density(PLANE, columns=("a",))


def test_the_rows_shown_are_a_fair_sample_in_order():
    x = torch.arange(10_007, dtype=torch.float64)
    rows = mx.data.rows(x, weight=x + 1)
    points, weight = shown(rows, most=100)
    edges = torch.arange(101) * len(x) / 100
    assert bool(((points[:, 0] >= edges[:-1].floor()) & (points[:, 0] <= edges[1:])).all())
    assert bool((points[:, 0].diff() > 0).all())
    assert torch.equal(weight, points[:, 0] + 1)
    every, _ = shown(rows, most=20_000)
    assert torch.equal(every[:, 0], x)


def _lab(rgb):
    white = np.array([0.95047, 1.0, 1.08883])
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    f = np.cbrt(np.clip(rgb @ np.transpose(to_xyz) / white, 1e-4, None))
    return np.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], -1)


@pytest.mark.parametrize(
    "vision",
    [
        np.eye(3),
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    ],
    ids=["usual", "protanopia", "deuteranopia"],
)
def test_the_first_six_colours_can_be_told_apart(vision):
    """Simulated as by Machado, Oliveira and Fernandes (2009), compared as CIE Lab."""
    rgb = np.array([to_rgb(color) for color in mx.plots.PALETTE[:6]])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = _lab(np.clip(linear @ np.transpose(vision), 0, 1))
    gaps = np.linalg.norm(seen[:, None] - seen, axis=-1)[np.triu_indices(6, 1)]
    assert gaps.min() > 15, gaps.min()


def test_a_frame_is_drawn_by_its_names():
    import pandas

    named = SPACE.named(["a", "b", "c"])
    x = SPACE.sample((30,), torch.Generator().manual_seed(0))
    frame = pandas.DataFrame({"c": x[:, 2], "text": "t", "a": x[:, 0], "b": x[:, 1]})
    ax = mx.plots.density(named.marginal(["c", "b"]), frame)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("c", "b")
    dots = next(c for c in ax.collections if len(c.get_offsets()) == 30)
    np.testing.assert_allclose(dots.get_offsets(), x[:, [2, 1]])
    assert mx.plots.density(named.marginal(["a"])).get_xlabel() == "a"
