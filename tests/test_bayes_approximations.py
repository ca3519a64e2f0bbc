"""Approximations of a posterior: what is Gaussian is met exactly, bounds are bounds, and what goes wrong is said."""

import math

import pytest
import torch
from posterior_targets import SHAPES, Normal, Target, standard, two_modes

import mixtura as mx
from mixtura.bayes import approximations
from mixtura.bayes.approximations import Ending, Quality
from mixtura.bayes.approximations.advi import Objective, steady_draws
from mixtura.bayes.approximations.climb import climb
from mixtura.bayes.approximations.curvature import along_path
from mixtura.bayes.approximations.density import by_autograd
from mixtura.bayes.approximations.psis import smoothed
from mixtura.bayes.approximations.ranks import RANKS

SIZES = [1, 2, 5, 20]
METHODS = {
    "laplace": approximations.laplace,
    "mean-field": lambda target, generator: approximations.advi(target, "mean-field", generator=generator),
    "full": lambda target, generator: approximations.advi(target, "full", generator=generator),
    "pathfinder": approximations.pathfinder,
}
FULL = {"laplace": 1e-6, "full": 1e-3, "pathfinder": 0.05}  # a bound of a hundred draws chooses the last's covariance


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def approximate(name, target, seed=0):
    return METHODS[name](target, generator=seeded(seed))


def off(found, target):
    """How far mean and covariance are from a normal target's, in its scales."""
    mean = (found.mean - target.mean) / target.scale
    covariance = (found.covariance - target.covariance) / target.scale / target.scale.unsqueeze(-1)
    return max(float(mean.abs().max()), float(covariance.abs().max()))


# -- a Gaussian posterior is met exactly


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", FULL)
def test_a_gaussian_is_recovered(name, size):
    target = Normal(size, seed=size)
    found = approximate(name, target)
    assert off(found, target) < FULL[name]
    assert found.elbo == pytest.approx(target.log_evidence, abs=1e-3)
    assert found.converged and found.quality is Quality.GOOD


@pytest.mark.parametrize("size", [2, 5, 20])
def test_mean_field_underestimates_variances_as_it_must(size):
    """Its variances are 1 / diag(precision), never above the posterior's."""
    target = Normal(size, seed=size)
    found = approximate("mean-field", target)
    unit = target.covariance / target.scale / target.scale.unsqueeze(-1)
    law = target.scale.square() / torch.linalg.inv(unit).diagonal()
    assert torch.allclose(found.covariance.diagonal() / law, torch.ones(size).double(), atol=1e-3)
    assert (found.covariance.diagonal() < target.scale.square()).all()
    assert found.covariance.equal(found.covariance.diagonal().diag())
    if size == 20:  # whose start has the exact curvature
        assert len(found.history) <= 3


def test_mean_field_loses_what_the_correlations_hold():
    """Its bound is below the evidence by half the log-ratio of the determinants."""
    target = Normal(3, seed=3)
    found = approximate("mean-field", target)
    lost = (found.covariance.diagonal().log().sum() - torch.linalg.slogdet(target.covariance)[1]) / 2
    assert float(lost) < 0
    assert found.elbo == pytest.approx(target.log_evidence + float(lost), abs=4 * found.check.elbo_error)


@pytest.mark.parametrize("size", SIZES)
def test_laplaces_evidence_of_a_gaussian_is_exact(size):
    target = Normal(size, seed=size + 50)
    assert approximate("laplace", target).log_evidence == pytest.approx(target.log_evidence, abs=1e-8)


@pytest.mark.parametrize("size", SIZES)
def test_the_mode_of_a_gaussian_is_its_mean(size):
    target = Normal(size, seed=size)
    found = approximations.maximum(target, generator=seeded())
    assert ((found.u - target.mean) / target.scale).abs().max() < 1e-3
    assert found.reason is Ending.CONVERGED
    assert len(found.values) == 8 and max(found.values) == found.value == found.history[-1]
    assert found.parameters["positive"].equal(found.u.exp())


# -- of any posterior


@pytest.mark.parametrize("shape", sorted(SHAPES.keys() - {"half"}))
@pytest.mark.parametrize("name", METHODS)
def test_the_bound_is_below_the_evidence(name, shape):
    found = approximate(name, SHAPES[shape])
    assert found.elbo <= SHAPES[shape].log_evidence + 4 * found.check.elbo_error + 1e-9


@pytest.mark.parametrize("shape", sorted(SHAPES.keys() - {"half"}))
def test_a_larger_family_has_the_higher_bound(shape):
    narrow, wide = (approximate(name, SHAPES[shape]) for name in ("mean-field", "full"))
    assert wide.elbo >= narrow.elbo - 0.05 - 4 * (wide.check.elbo_error + narrow.check.elbo_error)


@pytest.mark.parametrize("shape", sorted(SHAPES.keys() - {"half"}))
def test_advi_is_at_a_maximum(shape):
    """No shift and no other spread of its Gaussian has a higher bound, over draws that it has not seen."""
    target, found = SHAPES[shape], approximate("full", SHAPES[shape])
    z = steady_draws(2**13, target.size, seeded(7))
    factor = torch.linalg.cholesky(found.covariance)

    def bound(shift, wider):
        density = target.log_density(found.mean + factor @ shift + wider * z @ factor.mT)
        return float(density.mean() + target.size * math.log(wider))

    here = bound(torch.zeros(target.size).double(), 1.0)
    moves = [(0.5 * sign * one, 1.0) for one in torch.eye(target.size).double() for sign in (1, -1)]
    others = [bound(*move) for move in [*moves, (0 * moves[0][0], 1.5), (0 * moves[0][0], 0.67)]]
    assert max(others) < here + 0.05


def test_gamma_numbers_on_the_log_scale_have_a_known_best_gaussian():
    r"""Of p(u) = exp(a u - e^u)/Γ(a) the best N(m, s²) has s² = 1/a and m = log a - s²/2."""
    found = approximate("mean-field", SHAPES["skewed"])
    assert torch.allclose(found.covariance.diagonal(), torch.full((3,), 1 / 3).double(), atol=0.02)
    assert torch.allclose(found.mean, torch.full((3,), math.log(3) - 1 / 6).double(), atol=0.02)


def test_pathfinder_finds_both_modes_with_their_weights():
    draws = approximate("pathfinder", SHAPES["two modes"]).sample(4000, seeded(1))
    assert float((draws[:, 0] > 0).double().mean()) == pytest.approx(0.3, abs=0.05)


@pytest.mark.parametrize("shape", ["two modes", "banana", "skewed"])
def test_pathfinders_ratios_estimate_the_evidence(shape):
    assert approximate("pathfinder", SHAPES[shape]).log_evidence == pytest.approx(0.0, abs=0.25)


@pytest.mark.parametrize("name", METHODS)
def test_draws_follow_the_law(name):
    found = approximate(name, Normal(3, seed=9))
    u = found.sample(4000, seeded(2))
    assert u.shape == (4000, 3) and found.log_prob(u).shape == (4000,)
    scale = found.covariance.diagonal().sqrt()
    assert ((u.mean(0) - found.mean) / scale).abs().max() < 0.15
    named = found.draws(5, seeded(2))
    assert named["positive"].equal(named["u"].exp())
    assert found.sample(5, seeded(2)).equal(named["u"])
    with pytest.raises(mx.errors.MixtureError, match="`n` must be"):
        found.sample(0)


@pytest.mark.parametrize("name", METHODS)
def test_one_seed_gives_one_result(name):
    once, again = (approximate(name, SHAPES["banana"], seed=4) for _ in range(2))
    assert once.mean.equal(again.mean) and once.history == again.history


@pytest.mark.parametrize("name", METHODS)
def test_units_change_nothing(name):
    """Coordinates in other units give the same Gaussian in those units."""
    units = torch.tensor([1e4, 1e-3]).double()
    plain = SHAPES["banana"]
    other = Target(2, lambda u: plain.log_density(u / units) - units.log().sum())
    other.start = lambda generator=None: plain.start(generator) * units
    one, two = approximate(name, plain, seed=1), approximate(name, other, seed=1)
    assert torch.allclose(two.mean / units, one.mean, atol=0.02)
    assert torch.allclose(two.covariance / units / units.unsqueeze(-1), one.covariance, atol=0.02)


# -- their parts


@pytest.mark.parametrize("rank", RANKS)
def test_the_gradient_of_the_bound_is_that_of_finite_differences(rank):
    family, size = RANKS[rank], 3
    scale_tril = torch.linalg.cholesky(Normal(size, seed=2, spread=0.0).covariance)
    draws = steady_draws(64, size, seeded())
    density = by_autograd(SHAPES["skewed"].log_density, 7)
    objective = Objective(density, family, torch.ones(size).double(), family.frame(scale_tril), draws)
    free = 0.1 * torch.randn(1, family.free(size), generator=seeded(1), dtype=torch.float64)
    _, gradient = objective(free)
    steps = 1e-6 * torch.eye(family.free(size)).double()
    found = [(objective(free + step)[0] - objective(free - step)[0]) / 2e-6 for step in steps]
    assert torch.allclose(gradient.squeeze(0), torch.cat(found), atol=1e-7)


@pytest.mark.parametrize(("count", "size"), [(64, 1), (64, 7), (64, 40)])
def test_steady_draws_have_the_moments_of_a_standard_normal(count, size):
    z = steady_draws(count, size, seeded())
    assert z.mean(0).abs().max() < 1e-12
    assert torch.allclose(z.mT @ z / len(z), torch.eye(size).double(), atol=1e-10)
    assert float(z[:, 0].abs().max()) > 1.5


def test_what_a_path_learns_of_the_curvature_is_bfgs():
    r"""H y = s for the last pair, and H is that of the update by matrices, from the identity."""
    target, start = Normal(4, seed=1, spread=0.0), torch.ones(1, 4).double()
    way = climb(by_autograd(target.log_density, 7), start, 5)
    points, gradients = way.points[:, 0], way.gradients[:, 0]
    factors = along_path(points, gradients)
    expected = torch.eye(4).double()
    assert factors.equal(factors.tril()) and len(points) > 4
    for factor, s, y in zip(factors[1:], points.diff(dim=0), -gradients.diff(dim=0), strict=True):
        turn = torch.eye(4).double() - torch.outer(s, y) / (s @ y)
        expected = turn @ expected @ turn.mT + torch.outer(s, s) / (s @ y)
        assert torch.allclose(factor @ factor.mT, expected, rtol=1e-6, atol=1e-8)
        assert torch.allclose(factor @ (factor.mT @ y), s, rtol=1e-6, atol=1e-8)


def test_more_draws_are_fixed_where_fresh_ones_disagree():
    """Where it has converged, the bound that was maximised is that of fresh draws."""
    found = approximate("full", Target(8, SHAPES["heavy"].log_density))
    assert found.converged and found.fixed_draws > 64
    assert found.history[-1] - found.elbo <= 0.05 + 2 * found.check.elbo_error


def test_climbs_do_not_disturb_each_other():
    target = Normal(4, seed=1, spread=0.0)
    starts = torch.stack([target.start(seeded(seed)) for seed in range(5)])
    density = by_autograd(target.log_density, 7)
    together = climb(density, starts, 100)
    for i, start in enumerate(starts):
        alone = climb(density, start.unsqueeze(0), 100)
        assert torch.allclose(alone.points[-1, 0], together.points[-1, i], atol=1e-4)
        assert alone.endings[0] is together.endings[i]


def test_a_climb_never_goes_down():
    for target in SHAPES.values():
        starts = torch.stack([target.start(seeded(seed)) + 1.0 for seed in range(6)])
        starts = starts[target.log_density(starts).isfinite()]
        assert (climb(by_autograd(target.log_density, 7), starts, 200).values.diff(dim=0) >= 0).all()


def test_pareto_weights_agree_with_arviz():
    arviz = pytest.importorskip("arviz", exc_type=ImportError)
    for shape, seed in ((0.5, 0), (1.5, 1), (3.0, 2)):
        ratios = shape * torch.randn(2000, generator=seeded(seed), dtype=torch.float64) + 100
        found = smoothed(ratios)
        weights, k = arviz.psislw(ratios.numpy().copy())
        assert torch.allclose(found.logits, torch.as_tensor(weights) - torch.as_tensor(weights).logsumexp(0), atol=1e-3)
        assert found.pareto_k == pytest.approx(float(k), abs=1e-3)


@pytest.mark.parametrize("k", [0.3, 0.8, 1.2])
def test_the_pareto_shape_is_found(k):
    uniform = torch.rand(20000, generator=seeded(), dtype=torch.float64)
    assert smoothed(-k * uniform.log()).pareto_k == pytest.approx(k, abs=0.12)


def test_equal_ratios_weigh_the_same_and_impossible_draws_nothing():
    found = smoothed(torch.full((100,), -1e5).double())
    assert found.log_mean == pytest.approx(-1e5) and found.pareto_k == -math.inf
    some = torch.randn(500, generator=seeded(), dtype=torch.float64).index_fill(0, torch.arange(100), -math.inf)
    assert (smoothed(some).logits[:100] == -math.inf).all()
    assert Quality.of(smoothed(torch.full((9,), -math.inf)).pareto_k) is Quality.UNKNOWN


# -- what goes wrong is said


def test_a_spread_that_is_too_small_is_called_poor():
    found = approximate("mean-field", Normal(20, seed=20))
    assert found.quality is Quality.POOR
    assert Quality.POOR.value in repr(found)


def test_a_density_without_bound_is_named():
    rising = Target(2, lambda u: u.sum(-1))
    assert approximations.maximum(rising).reason is Ending.UNBOUNDED
    for rank in RANKS:
        found = approximations.advi(rising, rank)
        assert found.reason is Ending.UNBOUNDED and not found.converged


def test_an_improper_posterior_is_named():
    ridge = Target(2, lambda u: -u[..., 0].square() / 2 + 0 * u[..., 1])
    assert approximations.maximum(ridge).reason is Ending.FLAT
    assert approximations.advi(ridge).reason is Ending.UNBOUNDED
    with pytest.raises(mx.errors.MixtureError, match="bent downwards in every direction.*proper prior"):
        approximations.laplace(ridge)


def test_a_wall_is_named():
    wall = SHAPES["half"]
    assert approximations.maximum(wall, generator=seeded()).reason is Ending.WALL
    found = approximate("full", wall)
    assert found.reason is Ending.WALL and found.elbo == -math.inf
    assert found.mean[0] > 0.5


def test_nan_is_a_wall():
    target = Target(2, lambda u: standard(u) + 0 * (u[..., 0] + 1).sqrt())
    assert approximate("mean-field", target).reason is Ending.WALL


@pytest.mark.parametrize("never", [-math.inf, math.nan])
@pytest.mark.parametrize("name", METHODS)
def test_a_posterior_that_is_zero_everywhere_is_refused(name, never):
    with pytest.raises(mx.errors.MixtureError, match="100 starts where it is zero or NaN"):
        approximate(name, Target(2, lambda u: never + 0 * u.sum(-1)))


def test_what_users_give_is_checked():
    target = Normal(2)
    for wrong in ({"rank": "meanfield"}, {"steps": 0}):
        with pytest.raises(mx.errors.MixtureError, match=next(iter(wrong))):
            approximations.advi(target, **wrong)
    with pytest.raises(mx.errors.MixtureError, match="starts"):
        approximations.maximum(target, starts=0)


def test_too_few_steps_are_named():
    assert approximations.maximum(SHAPES["banana"], steps=2).reason is Ending.MAX_STEPS
    assert approximations.advi(SHAPES["banana"], "full", steps=2).reason is Ending.MAX_STEPS


def test_a_mode_far_from_every_other_is_not_seen_by_one_gaussian():
    """What `Quality` says it cannot see: the evidence of one mode alone."""
    target = Target(3, two_modes)
    assert approximate("full", target).elbo == pytest.approx(math.log(0.7), abs=0.01)
