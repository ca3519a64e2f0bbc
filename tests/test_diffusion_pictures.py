"""Figures of diffusion draw what the laws say; how they look is looked at."""

import matplotlib
import numpy as np
import pytest
import torch
from matplotlib import pyplot
from matplotlib.colors import to_hex
from PIL import Image
from scipy import stats

import mixtura as mx
from mixtura.diffusion import DDPM, EDM, Churn, State, VariancePreserving, pictures, trajectory
from mixtura.errors import MixtureError, NotClosedForm

LINE = mx.Mixture(torch.tensor([0.3, 0.7]), mx.Normal(torch.tensor([-2.0, 1.0]), torch.tensor([0.3, 0.5])))
COLUMN = mx.Mixture(
    LINE.weights, mx.Gaussian(LINE.components.mean.unsqueeze(-1), mx.Spherical(LINE.components.variance))
)
COVARIANCE = torch.tensor([[[0.5, 0.1], [0.1, 0.3]], [[0.8, -0.3], [-0.3, 0.6]]])
PLANE = mx.Mixture(torch.tensor([0.6, 0.4]), mx.Gaussian(torch.tensor([[0.0, 0.0], [2.0, 2.0]]), COVARIANCE))
SCHEDULE = VariancePreserving()


@pytest.fixture(autouse=True)
def closed_figures(monkeypatch):
    monkeypatch.setattr(pyplot, "show", lambda *_: pytest.fail("a figure called pyplot.show"))
    before = dict(matplotlib.rcParams)
    yield
    pyplot.close("all")
    assert dict(matplotlib.rcParams) == before


def seeded():
    return torch.Generator().manual_seed(0)


def states(mixture, *shape, steps=10, **options):
    return list(trajectory(mixture, SCHEDULE, shape, steps, generator=seeded(), **options))


def image(ax):
    """The shades of axes, with the places of their rows and columns."""
    (one,) = ax.images
    values = np.asarray(one.get_array())
    low, high, bottom, top = one.get_extent()
    return values, np.linspace(low, high, values.shape[1]), np.linspace(bottom, top, values.shape[0])


def plane_density(law, x, y):
    """By scipy, relative to the highest."""
    grid, components = np.stack(np.meshgrid(x, y), -1), law.components
    parts = [
        w * stats.multivariate_normal(m, c).pdf(grid)
        for w, m, c in zip(law.weights.tolist(), components.mean.numpy(), components.covariance.numpy(), strict=True)
    ]
    return sum(parts) / sum(parts).max()


class TestFlow:
    @pytest.mark.parametrize("mixture", [LINE, COLUMN], ids=["numbers", "vectors"])
    def test_shades_are_the_density_of_each_time(self, mixture):
        values, times, x = image(pictures.flow(mixture, SCHEDULE))
        for k in (0, 100, len(times) - 1):
            alpha, variance = float(SCHEDULE.alpha(times[k])), float(SCHEDULE.variance(times[k]))
            scales = np.sqrt(alpha**2 * np.array([0.09, 0.25]) + variance)
            law = 0.3 * stats.norm(-2 * alpha, scales[0]).pdf(x) + 0.7 * stats.norm(alpha, scales[1]).pdf(x)
            np.testing.assert_allclose(values[:, k], law / law.max(), atol=1e-6)

    def test_lines_are_the_paths(self):
        path = states(LINE, 7)
        lines = pictures.flow(LINE, SCHEDULE, iter(path)).lines
        for k, line in enumerate(lines):
            np.testing.assert_allclose(line.get_xdata(), [state.t for state in path])
            np.testing.assert_allclose(line.get_ydata(), [state.x[k].item() for state in path], rtol=1e-6)
        assert len(lines) == 7 and len(pictures.flow(LINE, SCHEDULE, states(LINE, 99)).lines) == 40

    def test_it_draws_where_it_is_told(self):
        ax = pyplot.figure().subplots()
        assert pictures.flow(LINE, EDM(10.0), ax=ax) is ax and ax.get_xlim() == (0.0, 10.0)

    def test_what_has_no_flow_is_refused(self):
        with pytest.raises(MixtureError, match="columns: 1"):
            pictures.flow(PLANE, SCHEDULE)
        with pytest.raises(NotClosedForm):
            pictures.flow(mx.Mixture(torch.ones(1), mx.Poisson(torch.ones(1))), SCHEDULE)
        with pytest.raises(MixtureError, match="columns"):
            pictures.flow(LINE, SCHEDULE, states(PLANE, 5, 2))
        with pytest.raises(MixtureError, match="at least one state"):
            pictures.flow(LINE, SCHEDULE, [])


class TestStages:
    def test_each_is_the_law_of_its_time(self):
        figure = pictures.stages(PLANE, SCHEDULE, (0.0, 0.4, 1.0), 50, seeded())
        for ax, t in zip(figure.axes, (0.0, 0.4, 1.0), strict=True):
            values, x, y = image(ax)
            np.testing.assert_allclose(values, plane_density(mx.diffusion.diffuse(PLANE, SCHEDULE, t), x, y), atol=1e-5)
            assert len(ax.collections[0].get_offsets()) == 50

    def test_draws_are_of_the_law(self):
        figure = pictures.stages(PLANE, SCHEDULE, (0.4,), 4000, seeded())
        law, drawn = mx.diffusion.diffuse(PLANE, SCHEDULE, 0.4), figure.axes[0].collections[0].get_offsets()
        np.testing.assert_allclose(np.mean(drawn, 0), law.mean, atol=5 * float(law.variance.max().sqrt()) / 4000**0.5)

    def test_they_have_one_range(self):
        axes = pictures.stages(PLANE, SCHEDULE, generator=seeded()).axes
        assert len({(ax.get_xlim(), ax.get_ylim()) for ax in axes}) == 1

    def test_axes_are_one_for_each_time(self):
        axes = pyplot.figure().subplots(1, 2)
        assert pictures.stages(PLANE, SCHEDULE, (0.0, 1.0), axes=axes) is axes[0].figure
        with pytest.raises(MixtureError, match="3, one for each"):
            pictures.stages(PLANE, SCHEDULE, (0.0, 0.5, 1.0), axes=axes)


class TestPaths:
    def test_lines_go_from_start_to_end(self):
        path = states(PLANE, 6, 2)
        *lines, start, end = pictures.paths(PLANE, path).lines
        assert len(lines) == 6
        for k, line in enumerate(lines):
            np.testing.assert_allclose(line.get_xydata(), torch.stack([state.x[k] for state in path]), rtol=1e-6)
        np.testing.assert_allclose(start.get_xydata(), path[0].x, rtol=1e-6)
        np.testing.assert_allclose(end.get_xydata(), path[-1].x, rtol=1e-6)

    def test_one_that_flies_away_does_not_hide_the_others(self):
        path = [State(state.t, torch.cat([state.x, torch.tensor([[1e6, 0.0]])])) for state in states(PLANE, 300, 2)]
        assert pictures.paths(PLANE, path).get_xlim()[1] < 1e3


class TestAgainst:
    def test_on_a_line_histograms_have_unit_area_over_the_density(self):
        ax = pictures.against(LINE, {"one": LINE.sample((500,), seeded()), "two": COLUMN.sample((300,), seeded())})
        x, y = ax.collections[0].get_paths()[0].vertices.T
        np.testing.assert_allclose(y.max(), LINE.log_prob(torch.linspace(-3, 3, 4001)).exp().max(), rtol=1e-3)
        for patch in ax.patches:
            edges, heights = patch.get_xy()[::2, 0], patch.get_xy()[1::2, 1]
            assert 0.98 < (np.diff(edges)[:70] * heights[:70]).sum() <= 1.001
        assert ax.get_legend_handles_labels()[1] == ["one", "two"]

    def test_on_a_plane_rows_are_dots_over_the_density(self):
        x = PLANE.sample((100,), seeded())
        ax = pictures.against(PLANE, {"drawn": x})
        values, *places = image(ax)
        np.testing.assert_allclose(values, plane_density(PLANE, *places), atol=1e-5)
        np.testing.assert_allclose(ax.collections[0].get_offsets(), x, rtol=1e-6)

    def test_rows_that_do_not_fit_are_refused(self):
        for x in (torch.zeros(5, 3), torch.zeros(0, 2), torch.tensor([[0.0, torch.nan]])):
            with pytest.raises(MixtureError, match="finite rows"):
                pictures.against(PLANE, {"bad": x})
        with pytest.raises(MixtureError, match="one or two columns"):
            pictures.against(
                mx.Mixture(torch.ones(1), mx.Gaussian(torch.zeros(1, 3), torch.eye(3).expand(1, 3, 3))), {}
            )


class TestChurned:
    def test_rows_of_a_start_part_with_churn_only(self):
        figure = pictures.churned(LINE, SCHEDULE, torch.tensor([-0.5, 1.0]), (Churn(0.0), Churn(10.0)), 30)
        still, churned = ([line.get_ydata() for line in ax.lines] for ax in figure.axes)
        assert len(still) == len(churned) == 16
        np.testing.assert_allclose(still[:8], [still[0]] * 8)
        assert np.ptp([path[-1] for path in churned[:8]]) > 0.05
        assert len({to_hex(line.get_color()) for line in figure.axes[0].lines}) == 2

    def test_a_sampler_that_draws_is_refused(self):
        with pytest.raises(MixtureError, match="draws by itself"):
            pictures.churned(LINE, SCHEDULE, torch.zeros(1), sampler=DDPM())


def span(bar):
    return bar.get_x(), bar.get_x() + bar.get_width()


class TestParts:
    PARTS = {"a": {"start": 0.2, "steps": 0.3, "rest": -0.1}, "b": {"start": 0.1, "steps": 0.0, "rest": 0.4}}

    def test_bars_are_the_parts_and_marks_their_sums(self):
        ax = pictures.attribution(self.PARTS, label="W", floor=0.05)
        wide = [[bar.get_width() for bar in bars] for bars in ax.containers]
        np.testing.assert_allclose(wide, [[0.2, 0.1], [0.3, 0.0], [-0.1, 0.4]])
        np.testing.assert_allclose(ax.lines[0].get_xdata(), [0.4, 0.5])
        ends = {
            round(side, 6)
            for bars in ax.containers
            for bar in bars
            for side in (bar.get_x(), bar.get_x() + bar.get_width())
        }
        assert max(ends) == 0.5 and min(ends) == -0.1
        assert ax.get_xlabel() == "W" and ax.lines[2].get_xdata()[0] == 0.05

    def test_bars_do_not_cover_each_other(self):
        for bars in zip(*pictures.attribution(self.PARTS).containers, strict=True):
            spans = sorted(sorted(span(bar)) for bar in bars if bar.get_width())
            assert all(left[1] <= right[0] + 1e-12 for left, right in zip(spans, spans[1:], strict=False))

    def test_parts_are_the_same_for_all(self):
        with pytest.raises(MixtureError, match="same parts"):
            pictures.attribution({"a": {"start": 1.0}, "b": {"steps": 1.0}})

    def test_curves_are_the_errors(self):
        t = torch.linspace(0, 1, 5)
        curves = {f"{k}": t + k + 1 for k in range(8)}
        ax = pictures.errors(t, curves, label="distance")
        for line, curve in zip(ax.lines, curves.values(), strict=True):
            np.testing.assert_allclose(line.get_ydata(), curve)
        looks = {(to_hex(line.get_color()), line.get_linestyle()) for line in ax.lines}
        assert len(looks) == 8 and ax.get_ylabel() == "distance"
        with pytest.raises(MixtureError, match="5 errors"):
            pictures.errors(t, {"short": t[:3]})


def test_an_animation_goes_forth_and_back(tmp_path):
    before = pyplot.get_fignums()
    path = pictures.animate(PLANE, SCHEDULE, tmp_path / "flow.gif", 20, 4, generator=seeded())
    with Image.open(path) as gif:
        assert gif.format == "GIF"
        shown = [frame(gif, k) for k in range(gif.n_frames)]
    assert pyplot.get_fignums() == before
    moved = [np.abs(late - early).mean() for early, late in zip(shown, shown[1:], strict=False)]
    assert sum(one > 0.5 for one in moved) == 8  # 4 pictures forth and 4 back; the rest stand still


def frame(gif, number):
    gif.seek(number)
    return np.asarray(gif.convert("L"), dtype=float)
