"""Samplers against the truth: identities between them, orders of convergence, and the law that they end with."""

import math
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

import mixtura as mx
from mixtura.diffusion import (
    DDIM,
    DDPM,
    EDM,
    Ancestral,
    Churn,
    Cosine,
    Denoiser,
    DPMSolver2M,
    DPMSolver2S,
    DPMSolver3M,
    DPMSolverSDE,
    Euler,
    EulerMaruyama,
    Exact,
    ExactGuidance,
    Grid,
    Here,
    Heun,
    Noise,
    PowerGrid,
    Process,
    RectifiedFlow,
    Sampler,
    Schedule,
    Score,
    Uniform,
    VarianceExploding,
    VariancePreserving,
    Velocity,
    diffuse,
    sample,
    trajectory,
)
from mixtura.diffusion.places import places
from mixtura.diffusion.samplers.sampler import Draw
from mixtura.errors import MixtureError, NotClosedForm

SCHEDULES = (VariancePreserving(), Cosine(), VarianceExploding(), EDM(), RectifiedFlow())
DETERMINISTIC = (Euler(), DDIM(), Heun(), DPMSolver2S(), DPMSolver2M(), DPMSolver3M())
STOCHASTIC = (EulerMaruyama(), DDIM(1.0), DDIM(0.5), DDPM(), DPMSolverSDE(), Ancestral())


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def two():
    """The two-dimensional problem of the tutorial."""
    covariance = torch.eye(2, dtype=torch.float64) * torch.tensor([0.5, 0.8], dtype=torch.float64)[:, None, None]
    mean = torch.tensor([[0.0, 0.0], [2.0, 2.0]], dtype=torch.float64)
    return mx.Mixture(torch.tensor([0.6, 0.4]), mx.Gaussian(mean, covariance))


def one_normal():
    """One Gaussian on two coordinates, whose flow is known."""
    covariance = torch.tensor([[[1.5, 0.6], [0.6, 0.7]]], dtype=torch.float64)
    return mx.Mixture(torch.ones(1), mx.Gaussian(torch.tensor([[0.5, -1.0]], dtype=torch.float64), covariance))


@dataclass(frozen=True)
class Between(Grid):
    """From one log signal-to-noise ratio to another, at equal distances: away from both ends."""

    first: float
    last: float

    def times(self, schedule: Schedule, steps: int) -> Tensor:
        return schedule.time(torch.linspace(self.first, self.last, steps + 1, dtype=torch.float64))

    def spaced(self, schedule: Schedule, steps: int) -> Tensor:
        raise NotImplementedError


@dataclass(frozen=True)
class Fixed(Draw):
    """In the place of random numbers: the same number everywhere."""

    value: float = 0.0

    def __call__(self, like: Tensor) -> Tensor:
        return torch.full_like(like, self.value)


def here(mixture, schedule, t, x):
    return Here(
        x, places(schedule, torch.tensor([t], dtype=torch.float64))[0], Exact(Process(mixture, schedule)), schedule
    )


def there(schedule, t):
    return places(schedule, torch.tensor([t], dtype=torch.float64))[0]


# -- identities


@pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
def test_ddim_is_euler_in_the_ratio_and_the_first_order_of_dpm_solver(two, schedule):
    t, s = 0.7 * schedule.end, 0.4 * schedule.end
    x = diffuse(two, schedule, t).sample((8,), generator())
    now, then = here(two, schedule, t, x), there(schedule, s)
    found = DDIM().step(now, then, Fixed(value=0.0))
    ratio = now.place.ratio
    flow = then.alpha * (x / now.place.alpha + (then.ratio - ratio) * now.noise)
    torch.testing.assert_close(found, flow, rtol=1e-10, atol=1e-10)
    without_past = DPMSolver2M().step(now, then, Fixed(value=0.0))
    torch.testing.assert_close(found, without_past, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
def test_with_all_noise_anew_ddim_is_ddpm(two, schedule):
    for t, s in ((0.7, 0.4), (0.3, 0.0)):
        x = diffuse(two, schedule, t * schedule.end).sample((8,), generator())
        now, then = here(two, schedule, t * schedule.end, x), there(schedule, s * schedule.end)
        left, right = (one.step(now, then, Fixed(value=0.7)) for one in (DDIM(1.0), DDPM()))
        torch.testing.assert_close(left, right, rtol=1e-10, atol=1e-10)


def test_eta_scales_the_standard_deviation(two):
    """Between two times, what DDIM draws anew has standard deviation eta times that of DDPM."""
    schedule = VariancePreserving()
    now, then = here(two, schedule, 0.7, torch.randn(3, 2, dtype=torch.float64)), there(schedule, 0.4)
    whole = DDPM().step(now, then, Fixed(value=1.0)) - DDPM().step(now, then, Fixed(value=0.0))
    for eta in (0.25, 0.5):
        part = DDIM(eta).step(now, then, Fixed(value=1.0)) - DDIM(eta).step(now, then, Fixed(value=0.0))
        torch.testing.assert_close(part, eta * whole)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
def test_churn_takes_a_law_at_one_time_to_the_law_at_another(two, schedule):
    """Without Monte Carlo: the affine map and the noise of a churned step, applied to p_t, give p at the new time."""
    t = 0.3 * schedule.end
    churn, x = Churn(20.0), torch.ones(1, 2, dtype=torch.float64)
    kept, back = churn(x, there(schedule, t), schedule, 100, Fixed(value=0.0))
    noise, _ = churn(0 * x, there(schedule, t), schedule, 100, Fixed(value=1.0))
    assert back.ratio == pytest.approx(1.2 * there(schedule, t).ratio, rel=1e-9)
    moved = (
        diffuse(two, schedule, t)
        .affine(torch.eye(2, dtype=torch.float64) * kept[0, 0])
        .convolve(float(noise[0, 0]) ** 2)
    )
    law = diffuse(two, schedule, back.t)
    torch.testing.assert_close(moved.components.mean, law.components.mean, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(moved.components.covariance, law.components.covariance, rtol=1e-9, atol=1e-12)
    most = churn(x, there(schedule, t), schedule, 10, Fixed(value=0.0))[1].ratio
    assert most / there(schedule, t).ratio == pytest.approx(math.sqrt(2), rel=1e-9)


def test_churn_keeps_to_its_window_and_its_noise(two):
    schedule, x = EDM(), torch.ones(1, 2, dtype=torch.float64)
    for outside in (0.5, 3.0):
        same, place = Churn(10.0, 1.0, 2.0)(x, there(schedule, outside), schedule, 100, Fixed(value=1.0))
        assert same is x and place.t == outside
    single = Churn(10.0)(0 * x, there(schedule, 1.0), schedule, 100, Fixed(value=1.0))[0]
    double = Churn(10.0, noise=2.0)(0 * x, there(schedule, 1.0), schedule, 100, Fixed(value=1.0))[0]
    torch.testing.assert_close(double, 2 * single)
    plain = sample(two, schedule, (500, 2), 20, Heun(), generator=generator())
    churned = sample(two, schedule, (500, 2), 20, Heun(), generator=generator(), churn=Churn(5.0))
    assert not torch.allclose(plain, churned)


# -- orders


def flow_map(mixture, schedule, t, s, x):
    """Where the probability flow takes rows of one Gaussian: along each axis of its covariance, by standard scores."""
    law, then = diffuse(mixture, schedule, t), diffuse(mixture, schedule, s)
    values, axes = torch.linalg.eigh(mixture.covariance)
    scale = [schedule.alpha(one) ** 2 * values + schedule.variance(one) for one in (t, s)]
    z = (x - law.mean) @ axes / scale[0].sqrt()
    return then.mean + (z * scale[1].sqrt()) @ axes.mT


@pytest.mark.parametrize(
    ("sampler", "order"),
    [(Euler(), 1), (DDIM(), 1), (Heun(), 2), (DPMSolver2S(), 2), (DPMSolver2M(), 2), (DPMSolver3M(), 3)],
    ids=repr,
)
@pytest.mark.parametrize("schedule", [VariancePreserving(), EDM(), RectifiedFlow()], ids=repr)
def test_errors_fall_at_the_order_of_theory(sampler, order, schedule):
    mixture, grid = one_normal(), Between(-2.0, 3.0)
    first, *_, last = grid.times(schedule, 4)
    x = diffuse(mixture, schedule, first).sample((20,), generator())
    truth, steps, errors = flow_map(mixture, schedule, first, last, x), (40, 80, 160), []
    for count in steps:
        found = sample(mixture, schedule, (20, 2), count, sampler, grid=grid, start=x)
        errors.append(float((found - truth).abs().mean()))
    slope = math.log(errors[0] / errors[-1]) / math.log(steps[-1] / steps[0])
    assert slope == pytest.approx(order, abs=0.25), (slope, errors)


def test_euler_maruyama_has_weak_order_one():
    """Mean and variance of one normal are carried exactly: affine steps, asked at two points and two noises."""
    mixture = mx.Mixture(torch.ones(1), mx.Normal(torch.tensor([0.5]).double(), torch.tensor([0.6]).double()))
    schedule, sampler, errors = VariancePreserving(), EulerMaruyama(), []
    for steps in (50, 100, 200):
        stops = places(schedule, torch.linspace(1.0, 0.2, steps + 1, dtype=torch.float64))
        law = diffuse(mixture, schedule, 1.0)
        mean, variance = law.mean, law.variance
        for now, then in zip(stops, stops[1:], strict=False):
            at = [sampler.step(here(mixture, schedule, now.t, torch.tensor([v]).double()), then, Fixed(value=z))
                  for v, z in ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0))]  # fmt: skip
            slope, noise = at[1] - at[0], at[2] - at[0]
            mean, variance = (slope * mean + at[0]).squeeze(), (slope**2 * variance + noise**2).squeeze()
        exact = diffuse(mixture, schedule, 0.2)
        errors.append(float((mean - exact.mean).abs() + (variance - exact.variance).abs()))
    assert math.log2(errors[0] / errors[1]) == pytest.approx(1, abs=0.2)
    assert math.log2(errors[1] / errors[2]) == pytest.approx(1, abs=0.2)


# -- the law at the end


def distance(x, mixture):
    """How far mean and covariance of draws are from the truth, in standard errors, at most."""
    n = len(x)
    exact = mixture.sample((4 * n,), generator(99))
    both = [torch.cat([one, one**2, one.prod(-1, keepdim=True)], -1) for one in (x, exact)]
    error = (both[0].var(0) / n + both[1].var(0) / (4 * n)).sqrt()
    return float(((both[0].mean(0) - both[1].mean(0)) / error).abs().max())


@pytest.mark.parametrize("sampler", [DPMSolver2M(), DPMSolver3M()], ids=repr)
def test_after_noise_is_added_nothing_of_before_is_used(two, sampler):
    """Slopes are of one path: through rows with new noise they have no limit, and at the end of time no distance."""
    churned = sample(two, VariancePreserving(), (50, 2), 20, sampler, generator=generator(), churn=Churn(5.0))
    assert churned.isfinite().all()
    one_step = {DPMSolver2M(): DDIM(), DPMSolver3M(): DPMSolver2S()}[sampler]
    same = sample(two, VariancePreserving(), (50, 2), 20, one_step, generator=generator(), churn=Churn(5.0))
    torch.testing.assert_close(churned, same, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
@pytest.mark.parametrize("sampler", [*DETERMINISTIC, *STOCHASTIC], ids=repr)
@pytest.mark.slow
def test_samplers_end_at_the_law(two, schedule, sampler):
    grid = PowerGrid(least=0.01)
    start = diffuse(two, schedule, float(grid.times(schedule, 1)[0]))
    steps = 400 if sampler in (Euler(), DDIM(), EulerMaruyama(), DDIM(1.0), DDIM(0.5), DDPM()) else 100
    if sampler == Euler() and schedule == VarianceExploding():
        steps = 3000  # in its time, the last step goes from a ratio of .01, where the flow is steep
    x = sample(two, schedule, (2000, 2), steps, sampler, generator=generator(), grid=grid, start=start)
    ended = diffuse(two, schedule, schedule.begin)
    assert distance(x, ended) < 4.5


@pytest.mark.parametrize("steps", [1, 3])
def test_the_exact_chain_needs_no_more_than_one_step(two, steps):
    schedule = VariancePreserving()
    start, given = diffuse(two, schedule, 1.0), {"generator": generator(), "grid": Uniform()}
    assert distance(sample(two, schedule, (4000, 2), steps, Ancestral(), start=start, **given), two) < 4
    assert distance(sample(two, schedule, (4000, 2), steps, DDPM(), start=start, **given), two) > 10


def test_exact_guidance_ends_at_the_posterior(two):
    """The tutorial's measurement, y = x_1 + e = 1.5: the posterior has mean 1.495 and standard deviation .202 there."""
    seen = mx.observation.LinearMeasurement(torch.tensor([[1.0, 0.0]]), scale=0.2)
    y, schedule = torch.tensor([1.5], dtype=torch.float64), VariancePreserving()
    posterior = two.posterior(seen, y)
    assert float(posterior.mean[0]) == pytest.approx(1.495, abs=5e-4)
    assert float(posterior.variance[0].sqrt()) == pytest.approx(0.202, abs=5e-4)
    for sampler in (EulerMaruyama(), Heun(), Ancestral()):
        guide = ExactGuidance(seen, y)
        start = Process(two, schedule).given(seen, y).at(1.0)
        x = sample(two, schedule, (3000, 2), 200, sampler, guide, generator(), start=start)
        assert distance(x, posterior) < 4.5


def test_numbers_are_sampled_too():
    mixture = mx.Mixture(torch.tensor([0.5, 0.5]), mx.Normal(torch.tensor([-3.0, 3.0]), torch.tensor([0.5, 1.0])))
    for sampler in (*DETERMINISTIC, *STOCHASTIC):
        x = sample(mixture, EDM(), (2000,), 60, sampler, generator=generator())
        assert x.shape == (2000,) and x.dtype == torch.float32
        assert abs(float((x > 0).float().mean()) - 0.5) < 0.06 and abs(float(x.std()) - 3.12) < 0.25


# -- models


@pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
@pytest.mark.parametrize("sampler", [Heun(), DDIM(0.5), DPMSolver2M()], ids=repr)
def test_all_ways_of_saying_it_are_one(two, schedule, sampler):
    """A score, a noise, a velocity or a denoiser that is exact leads where the mixture leads."""
    process = Process(two, schedule)

    def noise(x, t):
        return -schedule.sigma(t) * process.score(t, x)

    ways = {
        "mixture": two,
        "process": process,
        "function": lambda x, t: process.denoise(t, x),
        "denoiser": Denoiser(lambda x, t: process.denoise(t, x)),
        "score": Score(lambda x, t: process.score(t, x)),
        "noise": Noise(noise),
        "velocity": Velocity(lambda x, t: process.velocity(t, x)),
    }
    grid = PowerGrid(least=0.05, most=10.0)
    start = diffuse(two, schedule, float(grid.times(schedule, 1)[0])).sample((6,), generator())
    found = {
        name: sample(way, schedule, (6, 2), 8, sampler, generator=generator(), grid=grid, start=start)
        for name, way in ways.items()
    }
    for name, x in found.items():
        torch.testing.assert_close(x, found["mixture"], rtol=1e-7, atol=1e-7, msg=name)


def test_a_path_is_its_own_whatever_the_batch(two):
    for sampler in DETERMINISTIC:
        x = torch.randn(5, 2, generator=generator(), dtype=torch.float64)
        whole = sample(two, Cosine(), (5, 2), 7, sampler, start=x)
        alone = sample(two, Cosine(), (1, 2), 7, sampler, start=x[3:4])
        torch.testing.assert_close(whole[3:4], alone, rtol=1e-10, atol=1e-10)


def test_trajectories_are_what_sampling_goes_through(two):
    states = list(trajectory(two, RectifiedFlow(), (4, 2), 5, EulerMaruyama(), generator=generator(), grid=PowerGrid()))
    told = []
    x = sample(
        two, RectifiedFlow(), (4, 2), 5, EulerMaruyama(), generator=generator(), grid=PowerGrid(),
        progress=lambda number, state: told.append((number, state.t)),
    )  # fmt: skip
    assert [state.t for state in states] == PowerGrid().times(RectifiedFlow(), 5).tolist()
    assert torch.equal(states[-1].x, x) and told == [(i, state.t) for i, state in enumerate(states)][1:]


def test_starts(two):
    again = [sample(two, VariancePreserving(), (3, 2), 3, generator=generator()) for _ in range(2)]
    assert torch.equal(*again)
    wide = next(trajectory(two, EDM(), (4000, 2), 3, generator=generator())).x
    assert abs(float(wide.std()) / 80 - 1) < 0.03
    unit = next(trajectory(two, VariancePreserving(), (4000, 2), 3, generator=generator())).x
    assert abs(float(unit.std()) - 1) < 0.03
    given = torch.zeros(3, 2, dtype=torch.float64)
    assert next(trajectory(two, EDM(), (3, 2), 3, start=given)).x is given


def test_a_sampler_of_your_own(two):
    class Still(Sampler):
        def step(self, here, then, draw):
            return here.x

    x = torch.ones(2, 2, dtype=torch.float64)
    assert torch.equal(sample(two, EDM(), (2, 2), 4, Still(), start=x), x)


# -- what cannot be


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("schedule", EDM),
        ("schedule", "edm"),
        ("sampler", DDIM),
        ("sampler", "ddim"),
        ("grid", Uniform),
        ("guidance", ExactGuidance),
        ("churn", 3.0),
        ("generator", 0),
        ("start", [[0.0, 0.0]]),
        ("shape", 5),
        ("shape", (-5, 2)),
        ("shape", "many"),
    ],
)
def test_what_is_of_another_kind_is_refused_by_name(two, name, value):
    given = {"model": two, "schedule": EDM(), "shape": (1, 2), "steps": 2, name: value}
    with pytest.raises(MixtureError, match=f"`{name}` must be"):
        sample(**given)


def test_a_process_has_one_schedule(two):
    with pytest.raises(MixtureError, match="`schedule` must be the process's own"):
        sample(Process(two, EDM()), VariancePreserving(), (5, 2))


def test_rows_to_start_from_take_the_mixture_s_type(two):
    start = torch.zeros(3, 2, dtype=torch.float32 if two.dtype == torch.float64 else torch.float64)
    assert sample(two, EDM(), (3, 2), 2, start=start).dtype == two.dtype


def test_bad_input_is_refused_by_name(two):
    flow, ones = RectifiedFlow(), torch.ones(3, 2, dtype=torch.float64)
    with pytest.raises(MixtureError, match="`steps` must be"):
        sample(two, flow, (3, 2), 0)
    with pytest.raises(MixtureError, match="`shape` must be"):
        sample(two, flow, (3, 5))
    with pytest.raises(MixtureError, match="`start` must be"):
        sample(two, flow, (4, 2), start=ones)
    with pytest.raises(MixtureError, match="`model` must be a mixture"):
        sample(3, flow, (4, 2))
    with pytest.raises(MixtureError, match="`model` must be a function whose answer"):
        sample(lambda x, t: x[:1], flow, (4, 2))
    with pytest.raises(MixtureError, match="`grid` must be"):
        sample(two, flow, (3, 2), sampler=EulerMaruyama())
    with pytest.raises(MixtureError, match="`churn` must be none"):
        sample(two, flow, (3, 2), sampler=DDPM(), churn=Churn(3.0))
    with pytest.raises(MixtureError, match="`eta` must be"):
        DDIM(1.5)
    with pytest.raises(MixtureError, match="`amount` must be"):
        Churn(-1.0)
    with pytest.raises(NotClosedForm, match="no reverse kernel"):
        sample(lambda x, t: x, flow, (3, 2), sampler=Ancestral())
    with pytest.warns(UserWarning, match="No step is churned"):
        sample(two, EDM(), (3, 2), 5, churn=Churn(3.0, 200.0, 300.0))
