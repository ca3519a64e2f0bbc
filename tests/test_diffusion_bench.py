"""Rules side by side, errors taken apart, and Gaussians sent through samplers exactly."""

import json
import math

import pytest
import torch
from typer.testing import CliRunner

import mixtura as mx
from mixtura.cli.app import app
from mixtura.diffusion import bench, metrics, problems
from mixtura.errors import MixtureError

df = mx.diffusion
D = torch.float64
SETTING = bench.Setting(150, 20)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


# -- side by side


def test_every_rule_draws_and_wrong_ones_are_far():
    cells = list(bench.compare(problems.tutorial_2d(), bench.RULES, SETTING))
    assert [cell.rule for cell in cells[::3]] == list(bench.RULES) and len(cells) == 3 * len(bench.RULES)
    by = {(cell.rule, cell.metric): cell for cell in cells}
    for rule in ("prior", "fps", "diffpir"):
        assert by[rule, "SW1"].p_value == 0.05 and by[rule, "SW1"].value > 3 * by[rule, "SW1"].floor, rule
    assert all(math.isfinite(cell.floor) for cell in cells)


def alarms(setting, rule, schedule=df.VariancePreserving(0.02, 7.0)):  # noqa: B008 - a value
    """How often, of twenty seeds, no set of exact samples is as far as a rule's, by each metric."""
    problem, rules = problems.tutorial_2d().under(schedule), bench.chosen([rule])
    cells = [cell for seed in range(20) for cell in bench.compare(problem, rules, setting, seed=seed)]
    return [sum(cell.p_value == 0.05 for cell in cells if cell.metric == one.name) for one in bench.METRICS]


def test_draws_of_the_exact_kernel_are_exact():
    """Of exact draws one comparison in twenty alarms; that six of twenty do has probability 0.0003, for each metric."""
    assert max(alarms(bench.Setting(150, 20, exact_start=True), "exact-kernel")) < 6


def test_the_exact_kernel_keeps_what_is_wrong_with_its_start():
    """So it is at its floor from the exact start alone; a schedule that ends with much signal left shows it."""
    assert alarms(SETTING, "exact-kernel", df.VariancePreserving(0.02, 1.0))[0] == 20


@pytest.mark.slow
def test_the_exact_score_is_wrong_by_its_steps_alone():
    """From the exact start, with many steps, its alarms are those of exact draws; with three they are not."""
    assert max(alarms(bench.Setting(150, 200, exact_start=True), "exact")) < 6
    assert alarms(bench.Setting(150, 3, exact_start=True), "exact")[0] == 20


def test_comparisons_are_seeded():
    problem, rules = problems.cardoso2023(8, 2, 1), bench.chosen(["tmpd", "exact"])
    one, same, other = (
        [cell[:7] for cell in bench.compare(problem, rules, SETTING, floors=3, seed=seed)] for seed in (0, 0, 1)
    )
    assert one == same != other


def test_exact_start_is_the_law_of_noisy_rows_given_y():
    problem = problems.cardoso2023(8, 2, 1)
    setting = bench.Setting(100, 10, grid=df.Uniform(), exact_start=True)
    wanted = df.diffuse(problem.posterior, problem.schedule, problem.schedule.end)
    torch.testing.assert_close(setting.start(problem).mean, wanted.mean)
    torch.testing.assert_close(setting.start(problem).covariance, wanted.covariance)


def test_bad_input():
    with pytest.raises(MixtureError, match="`guidance` must be all, or some of exact-kernel, .*; got 'tmp'"):
        bench.chosen(["tmp"])
    with pytest.raises(MixtureError, match="`samples` must be at least 1; got 0"):
        bench.Setting(samples=0)
    with pytest.raises(MixtureError, match="`steps` must be at least 1; got 0"):
        bench.Setting(steps=0)


# -- taken apart


def test_parts_sum_to_the_total():
    problem = problems.cardoso2023(8, 1, 0)
    guidance = df.PGDM(problem.observation, problem.y)
    setting, metric = bench.Setting(100, 20), metrics.EnergyDistance(20)
    parts = df.attribute(problem, guidance, setting, metric, repeats=2)
    floors = problem.posterior.sample((19, 100), seeded())
    yardstick = metrics.Yardstick(metric, problem.posterior, floors)
    total = sum(yardstick(setting.draw(problem, guidance, seeded(seed))).value for seed in (1, 2)) / 2
    assert parts.total == pytest.approx(total) and sum(parts.parts.values()) == pytest.approx(total)
    assert "guidance" in str(parts) and parts.floor == pytest.approx(float(yardstick.floors.mean()))


def test_each_cause_is_called_by_its_name():
    """One problem for each: a start far from round noise, few steps, and a rule that is wrong."""
    problem = problems.tutorial_2d()
    exact = df.ExactGuidance(problem.observation, problem.y)
    short = problem.under(df.VariancePreserving(0.02, 1.0))  # ends with most of the signal left
    causes = {
        "start": df.attribute(short, exact, bench.Setting(300, 100)),
        "discretisation": df.attribute(problem, exact, bench.Setting(300, 3)),
        "guidance": df.attribute(problem, df.FPS(problem.observation, problem.y), bench.Setting(300, 100)),
    }
    for name, parts in causes.items():
        others = [value for other, value in parts.parts.items() if other not in (name, "floor")]
        assert parts.parts[name] > 6 * parts.scale and parts.parts[name] > 3 * max(map(abs, others)), (name, parts)


# -- Gaussians, exactly


@pytest.fixture(scope="module")
def one():
    """A Gaussian with a full covariance, in three dimensions."""
    root = torch.randn(3, 3, generator=seeded(3), dtype=D)
    mean = torch.tensor([[1.0, -2.0, 0.5]], dtype=D)
    return mx.Mixture(torch.ones(1, dtype=D), mx.Gaussian(mean, (root @ root.mT + 0.2 * torch.eye(3, dtype=D))[None]))


SEEN = mx.observation.LinearMeasurement(torch.tensor([[1.0, 0.5, -1.0]], dtype=D), torch.tensor([[0.3]], dtype=D))
Y = torch.tensor([2.0], dtype=D)
SAMPLERS = [
    df.DDIM(),
    df.DDIM(0.7),
    df.DDPM(),
    df.Euler(),
    df.EulerMaruyama(),
    df.Heun(),
    df.DPMSolver2S(),
    df.DPMSolver2M(),
    df.DPMSolverSDE(),
    df.DPMSolver3M(),
]


@pytest.mark.parametrize("sampler", SAMPLERS, ids=repr)
def test_propagated_law_is_that_of_many_samples(one, sampler):
    schedule = df.VariancePreserving(0.1, 10.0)
    law = df.propagate(one, schedule, 8, sampler)
    x = df.sample(one, schedule, (40_000, 3), 8, sampler, generator=seeded())
    sizes = law.covariance.diagonal().sqrt()
    assert ((x.mean(0) - law.mean).abs() < 5 * sizes / 200).all()
    error = 5 * (law.covariance.square() + sizes[:, None].square() * sizes.square()).sqrt() / 200
    assert ((x.mT.cov() - law.covariance).abs() < error).all()


@pytest.mark.parametrize("rule", [df.TMPD, df.PGDM, df.MMPS, df.DiffPIR, df.FPS], ids=lambda rule: rule.__name__)
def test_propagated_law_under_guidance_is_that_of_many_samples(one, rule):
    schedule, sampler = df.VariancePreserving(0.1, 10.0), df.DDIM(1.0)
    law = df.propagate(one, schedule, 12, sampler, rule(SEEN, Y))
    x = df.sample(one, schedule, (20_000, 3), 12, sampler, rule(SEEN, Y), seeded())
    assert ((x.mean(0) - law.mean).abs() < 5 * law.covariance.diagonal().sqrt() / 140).all()


def test_flow_of_a_gaussian_is_found_at_the_order_of_its_sampler(one):
    """From the exact start the end is the Gaussian itself, but for steps: halved, their error falls by 2 or by 4."""
    schedule, grid = df.EDM(), df.LogSNRGrid(least=1e-4, most=80.0)
    start = df.diffuse(one, schedule, 80.0)

    def error(sampler, steps):
        return df.propagate(one, schedule, steps, sampler, grid=grid, start=start).wasserstein(one)

    for sampler, ratio in ((df.DDIM(), 2), (df.Heun(), 4), (df.DPMSolver2M(), 4)):
        found = error(sampler, 160) / error(sampler, 320)
        assert 0.85 * ratio < found < 1.2 * ratio, (sampler, found)


def test_tmpd_is_exact_of_one_gaussian_to_machine_precision(one):
    """All that is Gaussian: the rule with both moments, and the exact posterior, through one sampler."""
    schedule = df.VariancePreserving(0.1, 10.0)
    for sampler in (df.DDIM(0.5), df.DPMSolver2M()):
        exact, tmpd, mmps = (
            df.propagate(one, schedule, 15, sampler, rule(SEEN, Y)) for rule in (df.ExactGuidance, df.TMPD, df.MMPS)
        )
        for law in (tmpd, mmps):  # one number is recorded: one conjugate gradient solves for it
            torch.testing.assert_close(law.mean, exact.mean, rtol=0, atol=1e-11)
            torch.testing.assert_close(law.covariance, exact.covariance, rtol=0, atol=1e-11)


def test_pgdm_is_exact_of_round_data_to_machine_precision():
    data = mx.Mixture(
        torch.ones(1, dtype=D), mx.Gaussian(torch.zeros(1, 3, dtype=D), mx.Spherical(torch.ones(1, dtype=D)))
    )
    exact, pgdm, dps = (
        df.propagate(data, df.VariancePreserving(), 30, df.DDIM(1.0), rule(SEEN, Y))
        for rule in (df.ExactGuidance, df.PGDM, df.DPS)
    )
    torch.testing.assert_close(pgdm.mean, exact.mean, rtol=0, atol=1e-12)
    torch.testing.assert_close(pgdm.covariance, exact.covariance, rtol=0, atol=1e-12)
    assert (dps.mean - exact.mean).norm() > 0.05, "DPS leaves out what is unknown of the clean draw"


def test_churn_is_propagated_too(one):
    schedule, churn = df.EDM(), df.Churn(20.0)
    grid = df.LogSNRGrid(least=0.01, most=80.0)
    start = df.diffuse(one, schedule, 80.0)
    plain, churned = (
        df.propagate(one, schedule, 30, df.Heun(), grid=grid, start=start, churn=c) for c in (None, churn)
    )
    assert not torch.allclose(plain.covariance, churned.covariance)
    assert churned.wasserstein(one) < 0.2


def test_distances_between_gaussians(one):
    """Against the textbook formulas: a trace of roots of matrices, and torch's own divergence."""
    root = torch.randn(3, 3, generator=seeded(8), dtype=D)
    law = df.GaussianLaw(torch.tensor([0.3, 1.0, -1.0], dtype=D), root @ root.mT + 0.1 * torch.eye(3, dtype=D))
    values, axes = torch.linalg.eigh(one.covariance)
    half = axes * values.sqrt() @ axes.mT
    cross = torch.linalg.eigvalsh(half @ law.covariance @ half).sqrt().sum()
    square = (law.mean - one.mean).square().sum() + law.covariance.trace() + one.covariance.trace() - 2 * cross
    torch.testing.assert_close(law.wasserstein(one), square.sqrt())
    normal = torch.distributions.MultivariateNormal
    wanted = torch.distributions.kl_divergence(normal(law.mean, law.covariance), normal(one.mean, one.covariance))
    torch.testing.assert_close(law.kl(one), wanted)
    same = df.GaussianLaw(one.mean, one.covariance)
    assert same.wasserstein(one) < 1e-13 and same.kl(one).abs() < 1e-13
    assert df.GaussianLaw(one.mean, torch.zeros(3, 3, dtype=D)).kl(one) == torch.inf


def test_what_is_not_affine_is_refused(one):
    schedule = df.VariancePreserving()
    two = problems.tutorial_2d()
    with pytest.raises(MixtureError, match="`mixture` must be one Gaussian on vectors; got 2 components"):
        df.propagate(two.mixture, two.schedule, 5)
    with pytest.raises(MixtureError, match="`guidance` must be affine"):
        df.propagate(one, schedule, 5, df.DDIM(), df.DPS(SEEN, Y, step=1.0))
    with pytest.raises(MixtureError, match="`guidance` must be affine, and a sampler that draws as it is told"):
        df.propagate(one, schedule, 5, df.Ancestral())


# -- as a table, a page and a command


def run(*typed):
    """Runs a command; an unexpected exception is raised here."""
    result = CliRunner().invoke(app, ["diffusion", *map(str, typed)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def cell(rule, value, p_value=0.05):
    return bench.Cell("a problem", rule, "SW1", value, 0.1, 0.02, p_value, 0.5)


def test_lines_are_medians_and_what_diverges_is_larger_than_all():
    cells = [cell("dps", value) for value in (math.nan, 3.0, 1.0)] + [cell("exact", 0.1, p) for p in (0.5, 0.05)]
    dps, exact = bench.summarised(cells)
    assert (dps.value, dps.least, dps.most, dps.exact, dps.problems) == (3.0, 1.0, math.inf, 0, 3)
    assert (exact.value, exact.floor, exact.exact, exact.problems) == (0.1, 0.1, 1, 2)
    assert bench.shown(math.inf, 0.1) == bench.shown(1e4, 0.1) == "diverged" and bench.shown(0.1234, 0.1) == "0.12"


def test_page_shows_every_rule_beside_its_floor_and_escapes_what_is_typed():
    cells = [cell("dps", math.nan), cell("exact", 0.1, 0.5)]
    page = bench.page("<i>asked</i>", cells, {"seed": "<b>"})
    assert page.count("<figure>") == 1 and "<i>" not in page and "<b>" not in page
    row = "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>0.1</td><td>{} of 1</td>"
    assert row.format("dps", *3 * ["diverged"], 0) in page and row.format("exact", *3 * ["0.1"], 1) in page
    assert "the likelihood at the mean" in page


def test_bench_prints_a_table_and_writes_summary_and_report(tmp_path):
    typed = "bench --d 8 --dy 1 --seeds 2 --guidance exact-kernel,fps --samples 60 --steps 8".split()
    printed = run(*typed, "--out", tmp_path / "new").stdout.splitlines()
    assert printed[0].split()[:4] == ["rule", "SW1", "weights", "spreads"]
    assert printed[-1].startswith("Wrote summary.json and report.html to ")
    assert [line.split()[0] for line in printed[1:4]] == ["floor", "exact-kernel", "fps"]
    summary = json.loads((tmp_path / "new/summary.json").read_text())
    assert [one["rule"] for one in summary["lines"]] == ["exact-kernel"] * 3 + ["fps"] * 3
    wanted = list(bench.compare(problems.cardoso2023(8, 1, 1), bench.chosen(["fps"]), bench.Setting(60, 8), seed=1))
    found = [one for one in summary["cells"] if one["problem"].endswith("seed=1") and one["rule"] == "fps"]
    assert [one["value"] for one in found] == [one.value for one in wanted]
    assert "<h2>Rules side by side</h2>" in (tmp_path / "new/report.html").read_text()
    again = run(*typed, "--out", tmp_path / "new")
    assert again.exit_code == 1 and "--force" in again.stderr


def test_the_public_instance_is_run_under_its_own_seed(tmp_path):
    run("bench", "--problem", "cardoso_benchopt", "--seeds", 1, "--guidance", "prior", "--samples", 20, "--steps", 2,
        "--out", tmp_path / "new")  # fmt: skip
    cells = json.loads((tmp_path / "new/summary.json").read_text())["cells"]
    assert {one["problem"] for one in cells} == {problems.cardoso_benchopt(2).name}


def test_problems_are_listed():
    printed = run("problems").stdout
    assert all(name in printed for name in problems.names()) and "d=8 d_y=2 seed=0" in printed


def test_commands_refuse_in_their_own_words(tmp_path):
    for typed, words in (
        (("--problem", "cardoso"), "--problem must be one of cardoso2023, "),
        (("--problem", "tutorial_2d", "--d", 8), "--d must be one of the arguments of tutorial_2d"),
        (("--dy", 9, "--d", 8), "--dy must be from 1 to d = 8; got 9"),
        (("--guidance", "tmp"), "--guidance must be all, or some of exact-kernel"),
        (("--samples", 0), "--samples must be at least 1; got 0"),
        (("--steps", 0), "--steps must be at least 1; got 0"),
        (("--seeds", 0), "--seeds must be at least 1; got 0"),
    ):
        result = run("bench", *typed, "--out", tmp_path / "new")
        assert result.exit_code == 1 and result.stderr.startswith(f"Error: {words}"), result.stderr
        assert not (tmp_path / "new").exists()
