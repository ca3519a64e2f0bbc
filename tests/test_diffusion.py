"""Schedules and the exact laws of a Gaussian mixture under noise: against autograd, Bayes' rule and each other."""

import math
import os
import subprocess
import sys
import weakref
from pathlib import Path

import pytest
import torch
from torch import Tensor

import mixtura as mx
from mixtura.components import structure
from mixtura.diffusion import (
    EDM,
    Cosine,
    CosineGrid,
    LogSNRGrid,
    PowerGrid,
    Process,
    RectifiedFlow,
    Uniform,
    VarianceExploding,
    VariancePreserving,
    denoise,
    diffuse,
    reverse,
    score,
)
from mixtura.errors import MixtureError, NotClosedForm

SCHEDULES = (VariancePreserving(), VariancePreserving(0.1, 25.0), Cosine(), VarianceExploding(), EDM(), RectifiedFlow())
GRIDS = (Uniform(), CosineGrid(), PowerGrid(), LogSNRGrid())
STRUCTURES = (
    "full",
    "tied-full",
    "diagonal",
    "tied-diagonal",
    "spherical",
    "tied-spherical",
    "low-rank-1",
    "VEE",
    "EEV",
)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def inside(schedule, *shares):
    """Times within a schedule, by their share of it."""
    return [schedule.begin + share * (schedule.end - schedule.begin) for share in shares]


def a_mixture(covariance="full", features=3, components=3, seed=0, batch=()):
    draw = generator(seed)
    root = torch.randn(*batch, components, features, features, generator=draw, dtype=torch.float64)
    moment = root @ root.mT + 0.3 * torch.eye(features, dtype=torch.float64)
    template = structure(covariance)
    if template.tied or template.shares:
        moment = moment.mean(-3, keepdim=True) if template.tied else moment
    mean = 2 * torch.randn(*batch, components, features, generator=draw, dtype=torch.float64)
    weights = 0.2 + torch.rand(*batch, components, generator=draw, dtype=torch.float64)
    return mx.Mixture(weights, mx.Gaussian(mean, template.with_covariance(moment)))


def as_float64(t):
    return torch.as_tensor(t, dtype=torch.float64)


# -- schedules


@pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
def test_everything_follows_from_signal_and_noise(schedule):
    """alpha' = f alpha, and the variance solves its own equation, (sigma^2)' = 2 f sigma^2 + g^2."""
    t = torch.tensor(inside(schedule, 0.02, 0.3, 0.7, 0.98), dtype=torch.float64, requires_grad=True)
    signal = torch.autograd.grad(schedule.alpha(t).sum(), t)[0] if schedule.alpha(t).requires_grad else 0 * t
    noise = torch.autograd.grad(schedule.variance(t).sum(), t)[0]
    f, g = schedule.drift(t), schedule.diffusion(t)
    torch.testing.assert_close(f * schedule.alpha(t), signal, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(2 * f * schedule.variance(t) + g.square(), noise, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(schedule.sigma(t).square(), schedule.variance(t), rtol=1e-14, atol=0)
    torch.testing.assert_close(schedule.alpha_rate(t), signal + 0 * t, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(2 * schedule.sigma(t) * schedule.sigma_rate(t), noise, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
def test_time_is_the_inverse_of_the_ratio(schedule):
    t = as_float64(inside(schedule, 1e-6, 0.01, 0.5, 0.99))
    ratio = schedule.log_snr(t)
    assert (ratio.diff() < 0).all()
    torch.testing.assert_close(
        schedule.log_snr(t), (schedule.alpha(t) / schedule.sigma(t)).log() * 2, rtol=1e-9, atol=1e-9
    )
    torch.testing.assert_close(schedule.time(ratio), t, rtol=1e-8, atol=1e-14)
    torch.testing.assert_close(mx.diffusion.Schedule.time(schedule, ratio), t, rtol=1e-6, atol=1e-12)
    assert schedule.time(as_float64(200.0)) <= t[0] and schedule.time(as_float64(-200.0)) == schedule.end


def test_the_coefficients_of_the_literature():
    t = as_float64([0.1, 0.6])
    vp, flow = VariancePreserving(0.02, 7.0), RectifiedFlow()
    torch.testing.assert_close(vp.drift(t), -0.5 * (0.02 + 6.98 * t))
    torch.testing.assert_close(vp.diffusion(t).square(), 0.02 + 6.98 * t)
    torch.testing.assert_close(vp.alpha(t).square() + vp.variance(t), torch.ones(2, dtype=torch.float64))
    torch.testing.assert_close(EDM().diffusion(t).square(), 2 * t)
    torch.testing.assert_close(flow.drift(t), -1 / (1 - t))
    torch.testing.assert_close(flow.diffusion(t).square(), 2 * t / (1 - t))
    cosine = Cosine(0.008)
    angle = 0.5 * math.pi * (t + 0.008) / 1.008
    first = math.cos(0.5 * math.pi * 0.008 / 1.008)
    torch.testing.assert_close(cosine.alpha(t), angle.cos() / first)
    torch.testing.assert_close(cosine.variance(t), 1 - (angle.cos() / first).square())
    assert float(cosine.alpha(cosine.end)) == pytest.approx(1e-3, rel=1e-9)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
@pytest.mark.parametrize("grid", GRIDS, ids=repr)
def test_grids_fall_from_the_end_to_the_begin(schedule, grid):
    for steps in (1, 2, 50):
        times = grid.times(schedule, steps)
        assert times.shape == (steps + 1,) and (times.diff() < 0).all() and times[-1] == schedule.begin
        assert times[0] == pytest.approx(schedule.end) or schedule.sigma(times[0]) / schedule.alpha(
            times[0]
        ) == pytest.approx(80)


def test_grids_are_spaced_as_they_say():
    times = PowerGrid(7.0).times(EDM(), 10)[:-1]
    assert times.pow(1 / 7).diff().std() < 1e-12 and times[-1] == pytest.approx(0.002)
    assert VariancePreserving().log_snr(LogSNRGrid().times(VariancePreserving(), 10)[:-1]).diff().std() < 1e-9
    assert Uniform().times(Cosine(), 10).diff().std() < 1e-12


# -- the laws


@pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
@pytest.mark.parametrize("covariance", STRUCTURES)
@pytest.mark.parametrize("features", [3, 10])
def test_score_and_denoiser_are_gradients_of_the_density(covariance, schedule, features):
    """Tweedie: x + sigma^2 score = alpha E[x_0 | x_t]; and the density is that of alpha x_0 + sigma e."""
    process = Process(a_mixture(covariance, features), schedule)
    for t in inside(schedule, 0.003, 0.4, 1.0):
        law = process.at(t)
        x = law.sample((7,), generator()).requires_grad_()
        pull = torch.autograd.grad(law.log_prob(x).sum(), x)[0]
        x = x.detach()
        alpha, variance = schedule.alpha(t), schedule.variance(t)
        torch.testing.assert_close(process.score(t, x), pull, rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(
            alpha * process.denoise(t, x), x + variance * pull, rtol=1e-9, atol=1e-9 * float(x.abs().max())
        )
        torch.testing.assert_close(process.clean(t, x).mean, process.denoise(t, x), rtol=1e-9, atol=1e-9)
        dense = alpha**2 * process.mixture.components.covariance + variance * torch.eye(features, dtype=torch.float64)
        torch.testing.assert_close(law.components.covariance, dense, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("covariance", STRUCTURES)
@pytest.mark.parametrize("rows", [5, 5000])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_every_order_of_sums_gives_the_same_mean(covariance, rows, dtype):
    for features in (2, 9):
        process = Process(a_mixture(covariance, features).to(dtype), VariancePreserving())
        x = process.at(0.5).sample((rows,), generator())
        exact = Process(a_mixture(covariance, features), VariancePreserving()).clean(0.5, x.double()).mean
        close = 2e-5 if dtype == torch.float32 else 1e-11
        torch.testing.assert_close(process.denoise(0.5, x).double(), exact, rtol=close, atol=close)


@pytest.mark.parametrize("covariance", STRUCTURES)
def test_the_clean_covariance_is_the_jacobian_of_the_denoiser(covariance):
    schedule = VariancePreserving()
    process = Process(a_mixture(covariance), schedule)
    for t in (0.05, 0.6):
        x = process.at(t).sample((), generator())
        jacobian = torch.autograd.functional.jacobian(lambda x, t=t: process.denoise(t, x.unsqueeze(0))[0], x)
        assert isinstance(jacobian, Tensor)
        expected = schedule.variance(t) / schedule.alpha(t) * jacobian
        torch.testing.assert_close(process.clean(t, x).covariance, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
@pytest.mark.parametrize("covariance", ["full", "spherical", "low-rank-1"])
def test_the_reverse_kernel_obeys_bayes_rule(covariance, schedule):
    """p(x_s | x_t) p(x_t) = p(x_s) N(x_t; a x_s, v I), at any two points."""
    process = Process(a_mixture(covariance), schedule)
    t, s = inside(schedule, 0.8, 0.3)
    late, early = process.at(t).sample((6,), generator()), process.at(s).sample((6,), generator(1))
    a = schedule.alpha(t) / schedule.alpha(s)
    v = schedule.variance(t) - a**2 * schedule.variance(s)
    noise = torch.distributions.Normal(a * early, v.sqrt()).log_prob(late).sum(-1)
    left = process.reverse(t, late, s).log_prob(early) + process.at(t).log_prob(late)
    torch.testing.assert_close(left, process.at(s).log_prob(early) + noise, rtol=1e-9, atol=1e-9)


def test_two_steps_back_are_one():
    """For one Gaussian the kernels compose exactly: x_u given x_t, by way of x_s."""
    process, x = (
        Process(a_mixture(components=1), Cosine()),
        torch.randn(4, 3, generator=generator(), dtype=torch.float64),
    )
    whole, first = process.reverse(0.9, x, 0.1), process.reverse(0.9, x, 0.5)
    zero, axes = torch.zeros(1, 3, dtype=torch.float64), torch.eye(3, dtype=torch.float64)
    base = process.reverse(0.5, zero, 0.1).mean
    slope = torch.stack([process.reverse(0.5, axis[None], 0.1).mean[0] - base[0] for axis in axes], -1)
    torch.testing.assert_close(first.mean @ slope.mT + base, whole.mean, rtol=1e-10, atol=1e-10)
    inner = process.reverse(0.5, zero, 0.1).covariance + slope @ first.covariance @ slope.mT
    torch.testing.assert_close(inner, whole.covariance, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("covariance", ["full", "diagonal", "low-rank-1"])
def test_what_was_recorded_and_noise_commute(covariance):
    """p_t(x | y) = p_t(x) p(y | x_t) / p(y) at every x: diffusing the posterior is conditioning what is diffused."""
    process = Process(a_mixture(covariance), VariancePreserving())
    matrix = torch.randn(2, 3, generator=generator(3), dtype=torch.float64)
    seen = mx.observation.LinearMeasurement(matrix, 0.3 * torch.eye(2, dtype=torch.float64))
    y = torch.tensor([0.5, -1.0], dtype=torch.float64)
    evidence = process.mixture.observed(seen).log_prob(y)
    for t in (0.01, 0.5, 1.0):
        x = process.at(t).sample((5,), generator())
        left = process.given(seen, y).at(t).log_prob(x)
        right = process.at(t).log_prob(x) + process.recorded(t, x, seen).log_prob(y) - evidence
        torch.testing.assert_close(left, right, rtol=1e-10, atol=1e-9)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
def test_the_velocity_carries_the_law(schedule):
    """The equation of continuity, d log p / dt + div v + v . score = 0, and v = f x - g^2 score / 2."""
    process = Process(a_mixture(), schedule)
    t = as_float64(inside(schedule, 0.4)[0]).requires_grad_()
    x = process.at(t.detach()).sample((), generator())
    change = torch.autograd.grad(process.at(t).log_prob(x), t)[0]
    now = t.detach()
    velocity, pull = process.velocity(now, x[None])[0], process.score(now, x[None])[0]
    slope = torch.autograd.functional.jacobian(lambda x: process.velocity(now, x[None])[0], x)
    assert isinstance(slope, Tensor)
    scale = float(slope.trace().abs())
    assert float(change + slope.trace() + velocity @ pull) == pytest.approx(0, abs=1e-10 * max(1, scale))
    expected = schedule.drift(now) * x - 0.5 * schedule.diffusion(now) ** 2 * pull
    torch.testing.assert_close(velocity, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("covariance", STRUCTURES)
def test_structures_stay_as_simple_as_they_are(covariance):
    mixture = a_mixture(covariance)
    process = Process(mixture, VariancePreserving())
    kinds = {"full": "Eigen", "tied-full": "Eigen", "VEE": "Eigen", "EEV": "Eigen", "low-rank-1": "LowRank"}
    wanted = kinds.get(covariance, covariance.removeprefix("tied-").capitalize())
    x = process.at(0.5).sample((4,), generator())
    for law in (
        process.at(0.5),
        process.at(as_float64([0.1, 0.5])),
        process.clean(0.5, x),
        process.reverse(0.5, x, 0.2),
    ):
        assert type(law.components.gaussian.structure).__name__ == wanted
        assert law.components.gaussian.structure.leading[-1] == mixture.components.gaussian.structure.leading[-1]


@pytest.mark.parametrize("covariance", ["full", "spherical", "low-rank-1"])
def test_batches_of_times_and_of_mixtures_are_entries_one_by_one(covariance):
    times = as_float64([0.05, 0.4, 0.9])
    single, batch = a_mixture(covariance), a_mixture(covariance, batch=(2,))
    x = torch.randn(4, 3, 3, generator=generator(), dtype=torch.float64)
    alone = Process(single, Cosine())
    assert alone.at(times).batch_shape == (3,)
    both = torch.randn(4, 3, 2, 3, generator=generator(), dtype=torch.float64)
    many = Process(batch, VariancePreserving())
    assert many.at(times).batch_shape == (3, 2) and many.reverse(times, both, 0.01).batch_shape == (4, 3, 2)
    for i, t in enumerate(times[:2]):
        for ask in ("score", "denoise", "velocity"):
            found = getattr(alone, ask)(times[:2], x[:, :2])[:, i]
            torch.testing.assert_close(found, getattr(alone, ask)(t, x[:, i]), rtol=1e-10, atol=1e-10)
            one = Process(batch.batch(1), VariancePreserving())
            torch.testing.assert_close(
                getattr(many, ask)(times, both)[:, i, 1], getattr(one, ask)(t, both[:, i, 1]), rtol=1e-10, atol=1e-10
            )
        kernel = alone.reverse(times[:2], x[:, :2], 0.01)
        torch.testing.assert_close(kernel.mean[:, i], alone.reverse(t, x[:, i], 0.01).mean, rtol=1e-10, atol=1e-10)


def test_numbers_are_vectors_of_one():
    numbers = mx.Mixture(torch.tensor([0.3, 0.7]), mx.Normal(torch.tensor([-1.0, 2.0]), torch.tensor([0.5, 1.5])))
    vectors = mx.Mixture(
        torch.tensor([0.3, 0.7]),
        mx.Gaussian(torch.tensor([[-1.0], [2.0]]), mx.Diagonal(torch.tensor([[0.25], [2.25]]))),
    )
    x, schedule = torch.linspace(-3, 3, 5), VariancePreserving()
    for function in (score, denoise):
        torch.testing.assert_close(
            function(numbers, schedule, 0.4, x),
            function(vectors, schedule, 0.4, x[:, None])[:, 0],
            rtol=1e-5,
            atol=1e-6,
        )
    kernel = reverse(numbers, schedule, 0.8, x, 0.2)
    assert kernel.event_shape == () and kernel.batch_shape == (5,)
    torch.testing.assert_close(
        kernel.mean, reverse(vectors, schedule, 0.8, x[:, None], 0.2).mean[:, 0], rtol=1e-5, atol=1e-6
    )
    assert diffuse(numbers, schedule, 0.4).dtype == torch.float32


def test_far_rows_and_little_noise_stay_in_the_log_domain():
    process = Process(a_mixture(), EDM())
    far = torch.full((1, 3), 1e6, dtype=torch.float64)
    for t in (1e-9, 1e-3, 80.0):
        assert process.score(t, far).isfinite().all() and process.denoise(t, far).isfinite().all()
    seen = mx.observation.LinearMeasurement(torch.tensor([[1.0, 0.0, 0.0]]).double(), scale=1e-8)
    sharp = process.given(seen, torch.tensor([3.0]).double())
    assert (
        float(sharp.mixture.mean[0]) == pytest.approx(3.0, abs=1e-6) and sharp.at(1e-9).log_prob(far).isfinite().all()
    )


def test_where_no_signal_is_left_nothing_is_known():
    mixture, flow = a_mixture(), RectifiedFlow()
    x = torch.randn(3, 3, generator=generator(), dtype=torch.float64)
    torch.testing.assert_close(denoise(mixture, flow, 1.0, x), mixture.mean.expand(3, 3))
    before = reverse(mixture, flow, 1.0, x, 0.5)
    torch.testing.assert_close(before.mean, diffuse(mixture, flow, 0.5).mean.expand(3, 3))
    torch.testing.assert_close(before.covariance, diffuse(mixture, flow, 0.5).covariance.expand(3, 3, 3))


def test_round_covariances_of_many_features_never_become_matrices():
    wide = mx.Mixture(
        torch.ones(25), mx.Gaussian(torch.randn(25, 800, generator=generator()), mx.Spherical(torch.ones(25)))
    )
    x = torch.randn(1000, 800, generator=generator())
    assert denoise(wide, VariancePreserving(), 0.5, x).shape == (1000, 800)
    assert (
        type(reverse(wide, VariancePreserving(), 0.5, x[:4], 0.2).components.gaussian.structure).__name__ == "Spherical"
    )


WIDE = """
import sys, torch, mixtura as mx
from mixtura.diffusion import DDIM, Ancestral, ExactGuidance, TMPD, VariancePreserving, diffuse, sample
draw = torch.Generator().manual_seed(0)
side = 0.1 * torch.randn(25, 800, 1, generator=draw, dtype=torch.float64)
covariance = torch.eye(800, dtype=torch.float64) + side @ side.mT
mean = 8 * torch.randn(25, 800, generator=draw, dtype=torch.float64)
mixture = mx.Mixture(torch.ones(25, dtype=torch.float64), mx.Gaussian(mean, covariance))
seen = mx.observation.LinearMeasurement(torch.randn(2, 800, generator=draw, dtype=torch.float64), 0.5)
y, schedule = torch.zeros(2, dtype=torch.float64), VariancePreserving()
ways = {
    "samplers": [{"sampler": DDIM()}, {"sampler": Ancestral()}, {"sampler": DDIM(1.0)}],
    "exact": [{"sampler": DDIM(), "guidance": ExactGuidance(seen, y)}, {"sampler": Ancestral()}],
    "moments": [{"guidance": TMPD(seen, y)}],
}
for way in ways[sys.argv[1]]:
    assert sample(mixture, schedule, (1000, 800), 1, generator=draw, **way).isfinite().all()
peak = next(one for one in open("/proc/self/status") if one.startswith("VmHWM"))  # of this program alone
print(int(peak.split()[1]) / 1024)
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is counted in other units")
@pytest.mark.parametrize("ways", ["samplers", "exact", "moments"])
def test_full_covariances_of_many_features_fit_in_a_gibibyte(ways):
    """D = 800, K = 25 and 1,000 rows in float64, one way after another, with all that the process holds besides."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(mx.__file__).parents[1])}
    found = subprocess.run(
        [sys.executable, "-c", WIDE, ways], capture_output=True, text=True, env=environment, check=True
    )
    assert float(found.stdout) < 1024


def test_a_process_is_let_go_when_nobody_asks_any_more():
    """Without a cycle of references: its axes are a large part of all memory, and the next one needs as much."""
    process, x = Process(a_mixture(), EDM()), torch.zeros(1, 3, dtype=torch.float64)
    process.denoise(1.0, x)
    seen = weakref.ref(process)
    del process
    assert seen() is None


# -- what cannot be


@pytest.mark.parametrize("t", [-0.1, 1.5, math.nan])
def test_times_outside_are_refused(t):
    with pytest.raises(MixtureError, match="`t` must be between 0 and 1"):
        diffuse(a_mixture(), RectifiedFlow(), t)


@pytest.mark.parametrize("t", ["late", None, object()])
def test_times_that_are_no_numbers_are_refused(t):
    with pytest.raises(MixtureError, match="`t` must be a number"):
        diffuse(a_mixture(), RectifiedFlow(), t)


@pytest.mark.parametrize("ask", ["denoise", "score", "velocity", "belief", "clean"])
@pytest.mark.parametrize("covariance", ["full", "spherical", "low-rank-1"])
def test_rows_of_another_shape_are_refused(covariance, ask):
    for batch, shape in (((), (5, 2)), ((), ()), ((4,), (5, 3)), ((4,), (4,))):
        process = Process(a_mixture(covariance, batch=batch), VariancePreserving())
        with pytest.raises(MixtureError, match="`x` must be rows"):
            getattr(process, ask)(0.5, torch.zeros(shape, dtype=torch.float64))
    with pytest.raises(MixtureError, match="`x` must be rows .*; got list"):
        getattr(Process(a_mixture(covariance), EDM()), ask)(0.5, [[0.0, 0.0, 0.0]])


@pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
def test_the_velocity_is_known_where_no_noise_has_come(schedule):
    """It goes on as it was just after."""
    process, x = Process(a_mixture(), schedule), torch.randn(4, 3, generator=generator(), dtype=torch.float64)
    first, after = (process.velocity(schedule.begin + step, x) for step in (0.0, 1e-6))
    torch.testing.assert_close(first, after, rtol=1e-3, atol=1e-3)


def test_what_has_no_closed_form_says_so():
    counts = mx.Mixture(torch.ones(2), mx.Poisson(torch.tensor([1.0, 2.0])))
    with pytest.raises(NotClosedForm, match="Poisson components have no closed form under Gaussian noise"):
        diffuse(counts, RectifiedFlow(), 0.5)


def test_arguments_are_named():
    process, x = Process(a_mixture(), RectifiedFlow()), torch.zeros(1, 3, dtype=torch.float64)
    with pytest.raises(MixtureError, match="`t` must be later"):
        process.reverse(0.2, x, 0.5)
    with pytest.raises(MixtureError, match="`t` must be later"):
        process.clean(0.0, x)
    with pytest.raises(MixtureError, match="`schedule` must be"):
        Process(a_mixture(), 0.5)  # pyright: ignore[reportArgumentType]
    with pytest.raises(MixtureError, match="`mixture` must be"):
        Process(x, EDM())  # pyright: ignore[reportArgumentType]
    for wrong in (
        lambda: VariancePreserving(3.0, 1.0),
        lambda: EDM(-1),
        lambda: VarianceExploding(2, 1),
        lambda: Cosine(-1),
    ):
        with pytest.raises(MixtureError, match="must be"):
            wrong()
    for steps in (0, -3, 2.5, True):
        with pytest.raises(MixtureError, match="`steps` must be a whole number"):
            Uniform().times(EDM(), steps)  # pyright: ignore[reportArgumentType]
