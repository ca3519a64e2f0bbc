"""Guidance, against what is exact, against automatic derivatives of what it states, and row by row."""

import math

import pytest
import torch

import mixtura as mx
from mixtura.diffusion import (
    DAPS,
    DPS,
    FPS,
    MMPS,
    PGDM,
    TMPD,
    Denoiser,
    DiagonalTMPD,
    DiffPIR,
    Exact,
    ExactGuidance,
    Noise,
    Process,
    RowSumTMPD,
    Score,
    Velocity,
)
from mixtura.diffusion.places import place
from mixtura.errors import MixtureError, NotClosedForm
from mixtura.observation import AdditiveNoise, LinearMeasurement, Missing, Rounded
from tests.tables import FEATURES, GAUSSIANS, NORMALS

SCHEDULE = mx.diffusion.VariancePreserving()
TIMES = (0.02, 0.4, 1.0)
RULES = {
    "exact": ExactGuidance,
    "TMPD": TMPD,
    "diagonal TMPD": DiagonalTMPD,
    "row sums": RowSumTMPD,
    "MMPS": MMPS,
    "DPS": DPS,
    "DPS with a step": lambda observation, y: DPS(observation, y, step=0.7),
    "PGDM": PGDM,
    "DiffPIR": lambda observation, y: DiffPIR(observation, y, strength=3.0),
    "DAPS": lambda observation, y: DAPS(observation, y, SCHEDULE, steps=3),
    "FPS": FPS,
}
WITH_JACOBIAN = ("TMPD", "diagonal TMPD", "row sums", "MMPS", "DPS", "DPS with a step", "PGDM")


@pytest.fixture(autouse=True)
def double():
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(7)
    yield
    torch.set_default_dtype(torch.float32)


def at(t, schedule=SCHEDULE):
    return place(schedule, torch.tensor(t))


def mixture(components):
    return mx.Mixture(torch.linspace(1.0, 2.0, components.batch_shape[-1]), components)


def one(structure, mean=(0.5, -1.0, 2.0)):
    return mx.Mixture(torch.ones(1), mx.Gaussian(torch.tensor([mean]), structure))


def problem(recorded=2, features=FEATURES, components=3):
    """A mixture of correlated Gaussians, a measurement with correlated errors, records of five rows, and rows."""
    root = torch.randn(components, features, features)
    prior = mixture(mx.Gaussian(2 * torch.randn(components, features), root @ root.mT + 0.3 * torch.eye(features)))
    noise = torch.randn(recorded, recorded)
    observation = LinearMeasurement(
        torch.randn(recorded, features), 0.1 * noise @ noise.mT + 0.05 * torch.eye(recorded), offset=0.3
    )
    return prior, observation, torch.randn(5, recorded), 1.5 * torch.randn(5, features)


def likelihood(observation, clean, variance=0.0):
    """What is recorded of a clean draw, as torch's own law, with a covariance added to the errors'."""
    law = torch.distributions.MultivariateNormal
    return law(clean @ observation.matrix.mT + observation.offset, observation.covariance + variance)


def gradient(log_prob, process, x, t):
    """The gradient by rows, of a log-likelihood that is a function of the expected clean draws."""
    at = x.clone().requires_grad_()
    return torch.autograd.grad(log_prob(process.denoise(t, at)).sum(), at)[0]


def moved(process, x, t, slope):
    here = at(t)
    return process.denoise(t, x) + here.sigma**2 / here.alpha * slope


# -- products with the covariance of the clean draw


@pytest.mark.parametrize("t", TIMES)
@pytest.mark.parametrize("name", [*GAUSSIANS, *NORMALS])
def test_products_are_those_of_the_covariance_and_of_the_jacobian(name, t):
    prior = mixture((GAUSSIANS | NORMALS)[name])
    process, x = Process(prior, SCHEDULE), 2 * torch.randn(5, *prior.event_shape)
    v = torch.randn(4, *x.shape)
    clean = process.clean(t, x)
    covariance = clean.covariance if prior.event_shape else clean.variance[..., None, None]
    wanted = (covariance @ v.reshape(4, 5, -1, 1)).reshape(v.shape)
    functions = {
        Exact: process,
        Denoiser: lambda x, t: process.denoise(t, x),
        Score: lambda x, t: process.score(t, x),
        Noise: lambda x, t: -process.score(t, x) * SCHEDULE.sigma(t),
        Velocity: lambda x, t: process.velocity(t, x),
    }
    for kind, function in functions.items():
        mean, times = kind(function).belief(x, at(t))
        torch.testing.assert_close(mean, process.denoise(t, x), rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(times(v), wanted, rtol=1e-10, atol=1e-10 * float(wanted.abs().max()))


@pytest.mark.parametrize("name", ["diagonal", "full", "low-rank-1"])
def test_products_know_no_origin(name):
    """Far from zero what is known of the clean draw is the same, and second moments do not cancel."""
    near = Process(mixture(GAUSSIANS[name]), SCHEDULE)
    moved_by = 1e6 * torch.tensor([1.0, -2.0, 0.5])
    far = Process(near.mixture.affine(torch.eye(FEATURES), moved_by), SCHEDULE)
    x, v = torch.randn(5, FEATURES), torch.randn(5, FEATURES)
    wanted = near.belief(0.4, x).times(v)
    found = far.belief(0.4, x + SCHEDULE.alpha(0.4) * moved_by).times(v)
    torch.testing.assert_close(found, wanted, rtol=1e-6, atol=1e-6)


def test_products_of_many_rows_are_made_some_rows_at_a_time():
    prior, _, _, _ = problem(features=40, components=60)
    process, x = Process(prior, SCHEDULE), torch.randn(1500, 40)
    v = torch.randn(1500, 40)
    mean, times = process.belief(0.4, x)
    some = process.belief(0.4, x[1100:1110])
    torch.testing.assert_close(mean[1100:1110], some.mean)
    torch.testing.assert_close(times(v)[1100:1110], some.times(v[1100:1110]))


def test_products_can_be_differentiated():
    prior, observation, y, x = problem()
    process = Process(prior, SCHEDULE)
    at_ = x.requires_grad_()
    for model in (Exact(process), Denoiser(lambda x, t: process.denoise(t, x))):
        slope = torch.autograd.grad(TMPD(observation, y).denoise(model, at_, at(0.4)).sum(), at_)[0]
        step = torch.zeros_like(x)
        step[0, 1] = 1e-5
        ends = [TMPD(observation, y).denoise(model, (x + side * step).detach(), at(0.4)).sum() for side in (1, -1)]
        assert float(slope[0, 1]) == pytest.approx(float(ends[0] - ends[1]) / 2e-5, rel=1e-6)


# -- where an approximation is exact


@pytest.mark.parametrize("t", TIMES)
@pytest.mark.parametrize("schedule", [SCHEDULE, mx.diffusion.EDM(), mx.diffusion.RectifiedFlow()], ids=repr)
def test_moments_of_one_gaussian_are_all_there_is_to_know(schedule, t):
    prior, observation, y, x = problem(components=1)
    exact = ExactGuidance(observation, y).guide(Exact(Process(prior, schedule)))
    found = TMPD(observation, y).denoise(Exact(Process(prior, schedule)), x, at(t, schedule))
    torch.testing.assert_close(found, exact.denoise(x, at(t, schedule)), rtol=1e-10, atol=1e-10)


MANY = 16
BROAD = {
    "spherical": mx.Spherical(torch.tensor([0.3, 2.0, 1.0], dtype=torch.float64)),
    "diagonal": mx.Diagonal(torch.linspace(0.2, 3.0, 3 * MANY, dtype=torch.float64).reshape(3, MANY)),
    "tied-diagonal": mx.Diagonal(torch.linspace(0.2, 3.0, MANY, dtype=torch.float64), tied=True),
    "full": mx.Full(torch.eye(MANY, dtype=torch.float64) + torch.linspace(0, 2, 3, dtype=torch.float64)[:, None, None]),
    "tied-full": mx.Full(torch.eye(MANY, dtype=torch.float64) + 0.5, tied=True),
    "low rank": mx.LowRank.from_loadings(
        torch.linspace(-1, 2, 3 * MANY, dtype=torch.float64).reshape(3, MANY, 1),
        torch.ones(3, MANY, dtype=torch.float64),
    ),
}


@pytest.mark.parametrize("far", [1.0, 1e4])
@pytest.mark.parametrize("variance", [0.0, 1e-8, 0.3])
@pytest.mark.parametrize("recorded", [1, 2])
@pytest.mark.parametrize("name", BROAD)
def test_a_few_records_of_many_features_teach_what_the_posterior_knows(name, recorded, variance, far):
    """Of rows near and far, with and without errors, of one record for all and one for each."""
    prior = mixture(mx.Gaussian(3 * torch.randn(3, MANY), BROAD[name]))
    observation = LinearMeasurement(torch.randn(recorded, MANY), variance, offset=0.2)
    process, x, records = Process(prior, SCHEDULE), 2 * torch.randn(5, MANY), far * torch.randn(5, recorded)
    for y, t in ((records[0], 0.02), (records[0], 1.0), (records, 0.4)):
        found = ExactGuidance(observation, y).guide(Exact(process)).denoise(x, at(t))
        wanted = process.given(observation, y).denoise(t, x)
        torch.testing.assert_close(found, wanted, rtol=1e-6, atol=1e-6 * float(wanted.abs().max()))


@pytest.mark.parametrize("variance", [0.0, 0.3])
@pytest.mark.parametrize("name", ["diagonal", "tied-full", "full", "low rank"])
def test_draws_by_few_records_are_those_of_the_posterior_s_kernel(name, variance):
    """Means and second moments along three directions, against those of the mixture that the kernel is."""
    prior = mixture(mx.Gaussian(torch.randn(3, MANY), BROAD[name]))
    observation, y = LinearMeasurement(torch.randn(2, MANY), variance), torch.randn(2)
    process, x = Process(prior, SCHEDULE), torch.randn(MANY)
    guided, rows = ExactGuidance(observation, y).guide(Exact(process)), 20_000
    found = guided.draw_earlier(x.expand(rows, -1), at(0.9), at(0.02), torch.Generator().manual_seed(3))
    law = process.given(observation, y).reverse(0.9, x, 0.02)
    along = torch.cat([torch.randn(2, MANY), observation.matrix[:1]])
    off = (found - law.mean) @ along.mT
    square = ((along @ law.covariance) * along).sum(-1)
    assert float((off.mean(0) / (square / rows).sqrt()).abs().max()) < 4.5
    spread = off.square().std(0) / math.sqrt(rows)
    assert float(((off.square().mean(0) - square) / spread).abs().max()) < 4.5


def test_the_posterior_s_kernel_and_moments_are_there_where_records_are_few():
    prior = mixture(mx.Gaussian(3 * torch.randn(3, MANY), BROAD["diagonal"]))
    observation, y, x = LinearMeasurement(torch.randn(1, MANY), 0.3), torch.randn(1), torch.randn(5, MANY)
    process = Process(prior, SCHEDULE)
    guided, posterior = ExactGuidance(observation, y).guide(Exact(process)), process.given(observation, y)
    kernel = guided.reverse(x, at(0.8), at(0.3))
    torch.testing.assert_close(kernel.mean, posterior.reverse(0.8, x, 0.3).mean)
    v = torch.randn(5, MANY)
    torch.testing.assert_close(guided.belief(x, at(0.4)).times(v), posterior.belief(0.4, x).times(v))
    with pytest.raises(MixtureError, match="`y`"):
        rule = ExactGuidance(observation, torch.zeros(2))
        mx.diffusion.sample(prior, SCHEDULE, (5, MANY), 2, guidance=rule)
    with pytest.raises(NotClosedForm, match="mixture"):
        ExactGuidance(observation, y).guide(Denoiser(lambda x, t: x))


@pytest.mark.parametrize("rule", [DiagonalTMPD, RowSumTMPD])
def test_cheap_forms_are_exact_where_records_are_independent(rule):
    prior = one(mx.Diagonal(torch.tensor([[0.3, 2.0, 5.0]])))
    observation = LinearMeasurement(torch.tensor([[0.0, 2.0, 0.0], [0.5, 0.0, 0.0]]), scale=[0.3, 0.5])
    model, x, y = Exact(Process(prior, SCHEDULE)), torch.randn(5, 3), torch.randn(2)
    wanted = ExactGuidance(observation, y).denoise(model, x, at(0.4))
    torch.testing.assert_close(rule(observation, y).denoise(model, x, at(0.4)), wanted, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("variance", [1.0, 2.5])
@pytest.mark.parametrize("t", TIMES)
def test_pgdm_is_exact_for_round_data_about_zero(t, variance):
    _, observation, y, x = problem()
    model = Exact(Process(one(mx.Spherical(torch.tensor([variance])), (0.0, 0.0, 0.0)), SCHEDULE))
    wanted = ExactGuidance(observation, y).guide(model).denoise(x, at(t))
    found = PGDM(observation, y, variance=variance).denoise(model, x, at(t))
    torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("t", TIMES)
def test_without_a_jacobian_rules_are_exact_for_a_flat_law(t):
    _, observation, y, x = problem()
    model = Exact(Process(one(mx.Spherical(torch.tensor([1e9]))), SCHEDULE))
    wanted = ExactGuidance(observation, y).guide(model).denoise(x, at(t))
    for rule in (DiffPIR, DAPS, FPS):
        torch.testing.assert_close(rule(observation, y).denoise(model, x, at(t)), wanted, rtol=1e-6, atol=1e-6)


def test_as_many_iterations_as_records_solve_the_system_and_fewer_are_worse():
    prior, observation, y, x = problem(recorded=6, features=8)
    model = Exact(Process(prior, SCHEDULE))
    wanted = TMPD(observation, y).denoise(model, x, at(0.3))
    found = [MMPS(observation, y, iterations=k).denoise(model, x, at(0.3)) for k in range(1, 8)]
    off = [float((one - wanted).norm()) for one in found]
    assert off[0] > off[2] > off[4] > 100 * off[6]
    torch.testing.assert_close(found[6], wanted, rtol=1e-8, atol=1e-8)


# -- what is stated is what is done


@pytest.mark.parametrize("t", TIMES)
def test_guidance_is_the_gradient_of_the_stated_likelihood(t):
    prior, observation, y, x = problem()
    process, here, square = Process(prior, SCHEDULE), at(t), observation.matrix @ observation.matrix.mT
    covariance = observation.matrix @ process.clean(t, x).covariance @ observation.matrix.mT
    errors = observation.covariance
    round_ = here.sigma**2 / (here.sigma**2 + here.alpha**2)
    spreads = {
        DPS: torch.zeros(2, 2),
        PGDM: round_ * square,
        TMPD: covariance,
        DiagonalTMPD: torch.diag_embed(covariance.diagonal(dim1=-2, dim2=-1)) + errors.diagonal().diag() - errors,
        RowSumTMPD: torch.diag_embed(covariance.sum(-1).clamp_min(0)) + errors.diagonal().diag() - errors,
    }
    for rule, spread in spreads.items():
        slope = gradient(lambda clean, v=spread: likelihood(observation, clean, v).log_prob(y), process, x, t)
        found = rule(observation, y).denoise(Exact(process), x, here)
        torch.testing.assert_close(found, moved(process, x, t, slope), rtol=1e-9, atol=1e-9)
        stated = rule(observation, y).likelihood(Exact(process), x, here)
        wanted = likelihood(observation, process.denoise(t, x), spread)
        torch.testing.assert_close(stated.log_prob(y), wanted.log_prob(y), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("t", TIMES)
def test_fps_is_the_gradient_of_a_likelihood_of_the_noisy_rows(t):
    prior, observation, y, x = problem()
    process, here = Process(prior, SCHEDULE), at(t)
    spread = here.ratio**2 * observation.matrix @ observation.matrix.mT
    noisy = x.clone().requires_grad_()
    law = likelihood(observation, noisy / here.alpha, spread)
    slope = torch.autograd.grad(law.log_prob(y).sum(), noisy)[0]
    found = FPS(observation, y).denoise(Exact(process), x, here)
    torch.testing.assert_close(found, moved(process, x, t, slope), rtol=1e-9, atol=1e-9)
    stated = FPS(observation, y).likelihood(Exact(process), x, here)
    torch.testing.assert_close(stated.log_prob(y), law.log_prob(y).detach())


def test_of_sums_of_rows_that_are_negative_nothing_is_taken():
    covariance = torch.tensor([[[1.0, -1.9], [-1.9, 4.0]]])
    process = Process(mx.Mixture(torch.ones(1), mx.Gaussian(torch.zeros(1, 2), covariance)), SCHEDULE)
    stated = RowSumTMPD(AdditiveNoise(0.0, 0.3), torch.zeros(2)).likelihood(Exact(process), torch.zeros(1, 2), at(1.0))
    sums = process.clean(1.0, torch.zeros(1, 2)).covariance[0].sum(-1)
    assert float(sums[0]) < 0 < float(sums[1])
    torch.testing.assert_close(stated.errors.variance[0], torch.stack([torch.tensor(0.09), 0.09 + sums[1]]))


def test_the_published_step_is_that_of_a_distance_for_each_row():
    prior, observation, y, x = problem()
    process = Process(prior, SCHEDULE)

    def far(clean):
        return -0.7 * (y - clean @ observation.matrix.mT - observation.offset).norm(dim=-1)

    found = DPS(observation, y, step=0.7).denoise(Exact(process), x, at(0.4))
    torch.testing.assert_close(found, moved(process, x, 0.4, gradient(far, process, x, 0.4)))
    with pytest.raises(NotClosedForm, match="step"):
        DPS(observation, y, step=0.7).likelihood(Exact(process), x, at(0.4))


def test_diffpir_is_at_the_minimum_of_what_it_weighs():
    prior, observation, y, x = problem()
    process, here = Process(prior, SCHEDULE), at(0.4)
    found = DiffPIR(observation, y, strength=3.0).denoise(Exact(process), x, here).requires_grad_()
    away = (found - process.denoise(0.4, x)).square().sum(-1) * 3.0 / here.ratio**2
    cost = away - 2 * likelihood(observation, found).log_prob(y)
    assert float(torch.autograd.grad(cost.sum(), found)[0].abs().max()) < 1e-8


@pytest.mark.parametrize("numbers", [False, True])
def test_the_kernel_of_daps_is_the_law_that_it_states(numbers):
    """Of numbers it is one product of two normal laws; of vectors its mean is the expected draw at no noise."""
    early, late = at(0.1), at(0.5)
    if numbers:
        prior = mixture(NORMALS["normal"])
        model, x, y = Exact(Process(prior, SCHEDULE)), torch.randn(5), torch.randn(5)
        rule = DAPS(AdditiveNoise(scale=0.3), y, SCHEDULE)
        share = late.ratio**2 / (late.ratio**2 + 0.09)
        wanted = early.alpha**2 * share * 0.09 + early.sigma**2
    else:
        prior, observation, y, x = problem()
        model, rule = Exact(Process(prior, SCHEDULE)), DAPS(observation, y, SCHEDULE)
        precision = observation.matrix.mT @ torch.linalg.solve(observation.covariance, observation.matrix)
        left = torch.linalg.inv(precision + torch.eye(FEATURES) / late.ratio**2)
        wanted = (early.alpha**2 * left + early.sigma**2 * torch.eye(FEATURES)).diagonal()
    kernel = rule.guide(model).reverse(x, late, early)
    torch.testing.assert_close(kernel.mean, early.alpha * rule.denoise(model, x, late), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(kernel.variance, torch.as_tensor(wanted).expand(x.shape), rtol=1e-9, atol=1e-9)


def test_daps_starts_from_the_end_of_the_flow():
    prior, observation, y, x = problem()
    model = Exact(Process(prior, SCHEDULE))
    far = LinearMeasurement(observation.matrix, 1e12)
    start = mx.diffusion.sample(
        prior, SCHEDULE, (5, 3), 4000, mx.diffusion.Heun(), start=x, grid=mx.diffusion.LogSNRGrid()
    )
    off = [
        float((DAPS(far, y, SCHEDULE, steps=steps).denoise(model, x, at(1.0)) - start).norm()) for steps in (1, 10, 100)
    ]
    assert off[0] > 3 * off[1] > 9 * off[2]


# -- who is asked, and how many at a time


@pytest.mark.parametrize("each", [False, True])
@pytest.mark.parametrize("name", RULES)
def test_a_row_does_not_depend_on_the_others(name, each):
    prior, observation, y, x = problem()
    model, records = Exact(Process(prior, SCHEDULE)), y if each else y[0]
    together = RULES[name](observation, records).denoise(model, x, at(0.3))
    for i in range(5):
        alone = RULES[name](observation, y[i : i + 1] if each else records).denoise(model, x[i : i + 1], at(0.3))
        torch.testing.assert_close(alone[0], together[i], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", [Denoiser, Score, Noise, Velocity])
@pytest.mark.parametrize("name", [name for name in RULES if name != "exact"])
def test_a_function_is_guided_as_the_mixture_is(name, kind):
    prior, observation, y, x = problem()
    process = Process(prior, SCHEDULE)
    function = {
        Denoiser: lambda x, t: process.denoise(t, x),
        Score: lambda x, t: process.score(t, x),
        Noise: lambda x, t: -process.score(t, x) * SCHEDULE.sigma(t),
        Velocity: lambda x, t: process.velocity(t, x),
    }[kind]
    rule = RULES[name](observation, y)
    wanted = rule.denoise(Exact(process), x, at(0.4))
    torch.testing.assert_close(rule.denoise(kind(function), x, at(0.4)), wanted, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", RULES)
def test_numbers_are_vectors_of_one_feature(name):
    prior = mixture(NORMALS["normal"])
    vectors = mx.Mixture(prior.weights, prior.components.gaussian)
    x, y = torch.randn(5), torch.randn(5)
    number = RULES[name](LinearMeasurement(2.0, 0.3), y).denoise(Exact(Process(prior, SCHEDULE)), x, at(0.4))
    rows = RULES[name](LinearMeasurement([[2.0]], 0.3), y[:, None])
    wanted = rows.denoise(Exact(Process(vectors, SCHEDULE)), x[:, None], at(0.4))
    torch.testing.assert_close(number, wanted[:, 0])


@pytest.mark.parametrize("name", RULES)
def test_errors_alone_are_a_measurement_of_everything(name):
    prior, _, _, x = problem()
    model, y, scale = Exact(Process(prior, SCHEDULE)), torch.randn(FEATURES), torch.tensor([0.2, 0.5, 1.0])
    found = RULES[name](AdditiveNoise(0.1, scale), y).denoise(model, x, at(0.4))
    same = LinearMeasurement(torch.eye(FEATURES), scale=scale, offset=0.1)
    torch.testing.assert_close(found, RULES[name](same, y).denoise(model, x, at(0.4)))


@pytest.mark.parametrize("name", [name for name in RULES if name != "exact"])
def test_each_row_may_have_a_measurement_of_its_own(name):
    prior, _, y, x = problem()
    model, matrices = Exact(Process(prior, SCHEDULE)), torch.randn(5, 2, FEATURES)
    together = RULES[name](LinearMeasurement(matrices, 0.2), y).denoise(model, x, at(0.4))
    for i in range(5):
        alone = RULES[name](LinearMeasurement(matrices[i], 0.2), y[i]).denoise(model, x[i : i + 1], at(0.4))
        torch.testing.assert_close(alone[0], together[i], rtol=1e-12, atol=1e-12)


def test_the_matrix_is_never_made_for_a_product():
    """So many features that one matrix a row would take 20 GiB; a tensor of that size is not asked for."""
    torch.set_default_dtype(torch.float32)
    features, rows = 1000, 2500
    prior = mx.Mixture(torch.ones(2), mx.Gaussian(torch.randn(2, features), mx.Diagonal(torch.rand(2, features) + 0.5)))
    observation, y = LinearMeasurement(torch.randn(3, features), 0.1), torch.randn(3)
    x = torch.randn(rows, features)
    found = TMPD(observation, y).denoise(Exact(Process(prior, SCHEDULE)), x, at(0.4))
    assert found.shape == x.shape and bool(found.isfinite().all())


# -- on the way from noise to draws

SAMPLERS = [
    mx.diffusion.DDIM(),
    mx.diffusion.DDIM(eta=0.6),
    mx.diffusion.DDPM(),
    mx.diffusion.Euler(),
    mx.diffusion.EulerMaruyama(),
    mx.diffusion.Heun(),
    mx.diffusion.DPMSolver2M(),
    mx.diffusion.DPMSolver2S(),
    mx.diffusion.DPMSolver3M(),
    mx.diffusion.DPMSolverSDE(),
]


@pytest.mark.parametrize("sampler", SAMPLERS, ids=repr)
@pytest.mark.parametrize("name", RULES)
def test_every_guidance_goes_with_every_sampler(name, sampler):
    prior, observation, y, _ = problem()
    churn = mx.diffusion.Churn(3.0) if sampler.deterministic else None
    x = mx.diffusion.sample(prior, SCHEDULE, (5, 3), 20, sampler, RULES[name](observation, y), churn=churn)
    assert x.shape == (5, 3) and bool(x.isfinite().all())


@pytest.mark.parametrize(
    "schedule", [mx.diffusion.RectifiedFlow(), mx.diffusion.EDM(), mx.diffusion.Cosine()], ids=repr
)
@pytest.mark.parametrize("name", [name for name in RULES if name != "FPS"])
def test_every_guidance_starts_where_no_signal_is_left(name, schedule):
    prior, observation, y, _ = problem()
    process = Process(prior, schedule)
    for model in (prior, Denoiser(lambda x, t: process.denoise(t, x))):
        if name == "exact" and model is not prior:
            continue
        rule = DAPS(observation, y, schedule) if name == "DAPS" else RULES[name](observation, y)
        assert bool(mx.diffusion.sample(model, schedule, (5, 3), 10, guidance=rule).isfinite().all())


@pytest.mark.parametrize(("rule", "mean", "scale"), [(ExactGuidance, 1.495, 0.202), (TMPD, 1.490, 0.211)])
def test_the_tutorial_s_problem_in_two_dimensions(rule, mean, scale):
    """The factor of the covariance is the square of the noise over the signal; with the noise itself, 1.41 and .49."""
    prior = mx.Mixture(
        torch.tensor([0.6, 0.4]),
        mx.Gaussian(torch.tensor([[0.0, 0.0], [2.0, 2.0]]), mx.Spherical(torch.tensor([0.5, 0.8]))),
    )
    observation, y = LinearMeasurement([[1.0, 0.0]], 0.2**2), torch.tensor([1.5])
    posterior = prior.posterior(observation, y)
    assert float(posterior.mean[0]) == pytest.approx(1.495, abs=5e-4)
    assert float(posterior.variance[0].sqrt()) == pytest.approx(0.202, abs=5e-4)
    rows, sampler = 20_000, mx.diffusion.EulerMaruyama()
    x = mx.diffusion.sample(prior, SCHEDULE, (rows, 2), 50, sampler, rule(observation, y))[:, 0]
    assert float(x.mean()) == pytest.approx(mean, abs=4 * scale / math.sqrt(rows) + 0.005)
    assert float(x.std()) == pytest.approx(scale, abs=4 * scale / math.sqrt(2 * rows) + 0.005)


@pytest.mark.parametrize("name", ["exact", "TMPD", "MMPS"])
def test_one_gaussian_s_posterior_is_drawn_with_moments_alone(name):
    """So fine a grid that only Monte Carlo error is left."""
    prior, observation, y, _ = problem(components=1)
    posterior = prior.posterior(observation, y[0])
    rule = MMPS(observation, y[0], iterations=2) if name == "MMPS" else RULES[name](observation, y[0])
    start = Process(posterior, SCHEDULE).at(1.0)
    grid = mx.diffusion.LogSNRGrid()
    x = mx.diffusion.sample(prior, SCHEDULE, (4000, 3), 100, mx.diffusion.Heun(), rule, start=start, grid=grid)
    off = (x.mean(0) - posterior.mean) / (posterior.variance / 4000).sqrt()
    assert float(off.abs().max()) < 4.5
    torch.testing.assert_close(x.var(0), posterior.variance, rtol=0.1, atol=0)


# -- bad input


@pytest.mark.parametrize("kind", [Denoiser, Score, Noise, Velocity])
@pytest.mark.parametrize("name", WITH_JACOBIAN)
def test_a_function_without_a_derivative_is_refused_where_one_is_asked_for(name, kind):
    _, observation, y, x = problem()
    weight = torch.ones((), requires_grad=True)
    for function in (lambda x, t: (0.5 * x).detach(), lambda x, t: weight * x.detach()):
        with pytest.raises(MixtureError, match="derivative|does not depend on the rows"):
            RULES[name](observation, y).denoise(kind(function), x, at(0.4))


@pytest.mark.parametrize("name", ["DiffPIR", "DAPS", "FPS"])
def test_a_function_without_a_derivative_will_do_where_none_is_asked_for(name):
    _, observation, y, x = problem()
    found = RULES[name](observation, y).denoise(Denoiser(lambda x, t: (0.5 * x).detach()), x, at(0.4))
    assert bool(found.isfinite().all())


@pytest.mark.parametrize("name", [name for name in RULES if name != "exact"])
def test_what_does_not_fit_is_refused_before_a_step(name):
    prior, observation, y, _ = problem()

    def sample(observation, y):
        return mx.diffusion.sample(prior, SCHEDULE, (5, 3), 2, guidance=RULES[name](observation, y))

    with pytest.raises(MixtureError, match="matrix"):
        sample(LinearMeasurement(torch.randn(2, 4), 0.1), y)
    with pytest.raises(MixtureError, match=r"`y` must be of shape \(2,\) for all rows or \(5, 2\), one for each"):
        sample(observation, y[:3])
    with pytest.raises(MixtureError, match="`y`"):
        sample(observation, torch.zeros(3))
    with pytest.raises(MixtureError, match="finite"):
        sample(observation, torch.tensor([0.0, torch.nan]))
    with pytest.raises(MixtureError, match="repeat"):
        sample(LinearMeasurement(torch.tensor([[1.0, 0.0, 2.0], [2.0, 0.0, 4.0]])), y[0])
    for other in (Missing(), Rounded(0.1)):
        with pytest.raises(MixtureError, match="linear with Gaussian errors"):
            sample(other, torch.zeros(3))
    with pytest.raises(MixtureError, match="observation"):
        sample(torch.eye(3), torch.zeros(3))


@pytest.mark.parametrize("name", [name for name in RULES if not name.startswith("DPS")])
def test_exact_records_along_independent_rows_are_met(name):
    prior, observation, y, _ = problem()
    exact = LinearMeasurement(observation.matrix)
    x = mx.diffusion.sample(prior, SCHEDULE, (200, 3), 200, guidance=RULES[name](exact, y[0]))
    off = x @ observation.matrix.mT - y[0]
    limits = {"MMPS": 1.0, "diagonal TMPD": 1.0, "row sums": 5.0, "DiffPIR": 0.1}
    assert float(off.abs().max()) < limits.get(name, 1e-2)


def test_settings_out_of_range_are_refused():
    _, observation, y, _ = problem()
    for rule, setting in ((MMPS, "iterations"), (DAPS, "steps"), (DAPS, "scale"), (DiffPIR, "strength")):
        with pytest.raises(MixtureError, match=setting):
            rule(observation, y, **{setting: 0})
    prior = problem()[0]
    with pytest.raises(MixtureError, match="signal"):
        mx.diffusion.sample(prior, mx.diffusion.RectifiedFlow(), (5, 3), 2, guidance=FPS(observation, y))


def test_rows_that_a_rule_throws_beyond_all_numbers_are_told_of():
    """Opposed coordinates: sums of rows are negative, and with a precise record the pull has no bound; variances do."""
    a = torch.randn(8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    covariance = 0.05 * torch.eye(8, dtype=torch.float64) + 4 * torch.outer(a, a)
    one = torch.ones(1, dtype=torch.float64)
    law = mx.Mixture(one, mx.Gaussian(torch.zeros(1, 8, dtype=torch.float64), covariance[None]))
    assert (covariance.sum(-1) < 0).any()
    told = AdditiveNoise(0.0, 0.01), a
    draw = {"shape": (50, 8), "steps": 50, "generator": torch.Generator().manual_seed(1)}
    with pytest.warns(UserWarning, match=r"of 400 numbers that were drawn are NaN or infinite: RowSumTMPD pulled"):
        found = mx.diffusion.sample(law, mx.diffusion.VariancePreserving(), guidance=RowSumTMPD(*told), **draw)
    assert not found.isfinite().all()
    assert (
        mx.diffusion.sample(law, mx.diffusion.VariancePreserving(), guidance=DiagonalTMPD(*told), **draw)
        .isfinite()
        .all()
    )
