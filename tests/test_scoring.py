"""Scores of distributions: against quadrature and draws, proper, and guaranteed where a guarantee is given."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy import integrate, stats

import mixtura as mx
from mixtura import scoring
from mixtura.errors import MixtureError, NotClosedForm
from mixtura.scoring.energy import mean_length

DOUBLE = torch.float64


def tensor(*values):
    return torch.tensor(values, dtype=DOUBLE)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def mixture_of(components, *weights):
    return mx.Mixture(tensor(*weights), components)


WEIGHTS = (0.5, 0.2, 0.3)
NORMAL = mixture_of(mx.Normal(tensor(-2.0, 0.3, 7.0), tensor(0.4, 3.0, 0.02)), *WEIGHTS)
NUMBERS = {
    "normal": NORMAL,
    "one normal": mixture_of(mx.Normal(tensor(1e6), tensor(1e-3)), 1.0),
    "zero weight": mixture_of(mx.Normal(tensor(-2.0, 3.0), tensor(0.4, 2.0)), 1.0, 0.0),
    "vectors of one": mixture_of(mx.Gaussian(tensor([0.5], [4.0]), mx.Diagonal(tensor([0.3], [2.0]))), 0.4, 0.6),
    "log-normal": mixture_of(mx.LogNormal(tensor(0.1, 2.0), tensor(0.4, 0.1)), 0.4, 0.6),
    "gamma": mixture_of(mx.Gamma(tensor(0.4, 30.0), tensor(0.5, 2.0)), 0.5, 0.5),
    "weibull": mixture_of(mx.Weibull(tensor(0.4, 30.0), tensor(0.7, 2.0)), 0.5, 0.5),
    "laplace": mixture_of(mx.Laplace(tensor(-4.0, 1000.0), tensor(0.5, 0.1)), 0.7, 0.3),
    "uniform": mixture_of(mx.Uniform(tensor(-4.0, 3.0), tensor(0.5, 3.5)), 0.7, 0.3),
    "beta": mixture_of(mx.Beta(tensor(0.5, 30.0), tensor(0.5, 10.0)), 0.5, 0.5),
    "inverse gamma": mixture_of(mx.InverseGamma(tensor(2.5, 30.0), tensor(2.0, 10.0)), 0.5, 0.5),
}
COUNTS = {
    "poisson": mixture_of(mx.Poisson(tensor(0.7, 40.0)), 0.6, 0.4),
    "negative binomial": mixture_of(mx.NegativeBinomial(tensor(2.0, 9.0), tensor(0.3, 0.8)), 0.6, 0.4),
    "binomial": mixture_of(mx.Binomial(10, tensor(0.2, 0.9)), 0.6, 0.4),
    "geometric": mixture_of(mx.Geometric(tensor(0.2, 0.9)), 0.6, 0.4),
    "bernoulli": mixture_of(mx.Bernoulli(tensor(0.2, 0.9)), 0.6, 0.4),
}


def targets(mixture, count=5, seed=1):
    """Draws, and one target far outside."""
    drawn = mixture.sample((count,), generator(seed))
    return torch.cat([drawn, drawn.max(0, keepdim=True).values * 2 + 3])


# -- CRPS


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.slow
def test_crps_is_the_integral_of_its_definition(name):
    """By the trapezoid rule on many numbers, those of the mixture's own quantiles among them."""
    mixture = NUMBERS[name]
    levels = torch.linspace(0.01, 0.99, 60, dtype=DOUBLE), torch.sigmoid(torch.linspace(-25, 25, 40, dtype=DOUBLE))
    cuts, y = mixture.icdf(torch.cat(levels)).flatten(), targets(mixture, 1)
    ends = torch.cat([cuts, y.flatten()]).unique()
    x = torch.cat([a + (b - a) * torch.arange(60) / 60 for a, b in itertools.pairwise(ends)] + [ends[-1:]])
    below = mixture.cdf(x.reshape(-1, *mixture.event_shape))
    above = 1 - below
    for one, found in zip(y.flatten(), scoring.crps(mixture, y), strict=True):
        left, right = x <= one, x >= one
        total = torch.trapezoid(below[left].square(), x[left]) + torch.trapezoid(above[right].square(), x[right])
        assert found.item() == pytest.approx(total.item(), rel=2e-4, abs=1e-12)


@pytest.mark.parametrize("name", COUNTS)
def test_crps_of_counts_is_the_sum_of_its_definition(name):
    mixture = COUNTS[name]
    x = torch.arange(0, 300, dtype=DOUBLE)
    below = mixture.cdf(x)
    y = tensor(0.0, 1.0, 3.0, 90.0, -4.0)
    right = (below - (x >= y[:, None]).double()).square().sum(-1) + (-y).clamp_min(0)
    torch.testing.assert_close(scoring.crps(mixture, y), right, rtol=1e-10, atol=0.0)


@pytest.mark.parametrize("name", ["gamma", "laplace", "poisson"])
def test_crps_is_the_mean_distance_less_half_that_of_draws(name):
    mixture = {**NUMBERS, **COUNTS}[name]
    y = targets(mixture)
    one, other = (mixture.sample((200_000, 1), generator(seed)) for seed in (2, 3))
    each = (one - y).abs() - 0.5 * (one - other).abs()
    error = each.std(0) / math.sqrt(len(each))
    assert ((scoring.crps(mixture, y) - each.mean(0)).abs() < 5 * error + 1e-12).all()


@pytest.mark.parametrize("dtype", [torch.float32, DOUBLE])
def test_crps_of_a_narrow_law_is_the_absolute_error(dtype):
    mixture = mx.Mixture(torch.ones(1, dtype=dtype), mx.Normal(tensor(1e3).to(dtype), tensor(1e-8).to(dtype)))
    y = tensor(-1e3, 1001.0, 1e8).to(dtype)
    torch.testing.assert_close(scoring.crps(mixture, y), (y - 1000).abs())


def test_crps_has_the_gradient_of_differences():
    loc, scale, logits = (one.requires_grad_() for one in (tensor(-1.0, 2.0), tensor(0.5, 1.5), tensor(0.1, -0.4)))
    y = tensor(0.3, 4.0)

    def mean(loc, scale, logits):
        return scoring.crps(mx.Mixture(logits=logits, components=mx.Normal(loc, scale)), y)

    assert torch.autograd.gradcheck(mean, (loc, scale, logits))


def test_every_mixture_of_a_batch_meets_its_own_target():
    batch = mx.Mixture(torch.rand(4, 3, dtype=DOUBLE), mx.Normal(torch.randn(4, 3).double(), torch.ones(4, 3).double()))
    y = torch.randn(5, 4, dtype=DOUBLE)
    alone = torch.stack([scoring.crps(batch.batch(b), y[:, b]) for b in range(4)], 1)
    torch.testing.assert_close(scoring.crps(batch, y), alone)
    waits = mx.Mixture(torch.rand(4, 2), mx.Weibull(1 + torch.rand(4, 2), 1 + torch.rand(4, 2)))
    alone = torch.stack([scoring.crps(waits.batch(b), y[:, b].abs()) for b in range(4)], 1)
    torch.testing.assert_close(scoring.crps(waits, y.abs()), alone, rtol=1e-4, atol=1e-5)
    counts = mx.Mixture(torch.rand(4, 2), mx.Geometric(0.1 + 0.8 * torch.rand(4, 2)))
    alone = torch.stack([scoring.crps(counts.batch(b), y[:, b].abs().round()) for b in range(4)], 1)
    torch.testing.assert_close(scoring.crps(counts, y.abs().round()), alone)


# -- energy score


def plane(seed=0, features=2, components=3):
    random = torch.randn(components, features, features, generator=generator(seed), dtype=DOUBLE)
    mean = 3 * torch.randn(components, features, generator=generator(seed + 1), dtype=DOUBLE)
    return mixture_of(mx.Gaussian(mean, random @ random.mT + 0.1 * torch.eye(features)), *WEIGHTS[:components])


@pytest.mark.parametrize("features", [2, 5])
def test_the_energy_score_is_that_of_draws(features):
    mixture = plane(features=features)
    y = targets(mixture)
    one, other = (mixture.sample((100_000, 1), generator(seed)) for seed in (2, 3))
    each = (one - y).norm(dim=-1) - 0.5 * (one - other).norm(dim=-1)
    found = scoring.energy_score(mixture, y)
    assert (found.standard_error == 0).all()
    assert ((found.value - each.mean(0)).abs() < 5 * each.std(0) / math.sqrt(len(each))).all()


def test_the_energy_score_of_numbers_is_the_crps():
    pair = NUMBERS["vectors of one"]
    y = targets(pair)
    torch.testing.assert_close(scoring.energy_score(pair, y).value, scoring.crps(pair, y))
    wide = mixture_of(
        mx.Gaussian(tensor([0.5, 0.0], [4.0, 0.0]), mx.Diagonal(tensor([0.3, 1e-18], [2.0, 1e-18]))), 0.4, 0.6
    )
    flat = scoring.energy_score(wide, torch.cat([y, torch.zeros_like(y)], -1)).value  # nothing happens along the second
    torch.testing.assert_close(flat, scoring.crps(pair, y), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("features", [1, 2, 3, 8, 100])
def test_the_mean_length_of_round_vectors_is_that_of_a_chi_law(features):
    for scale in (1e-8, 1.0, 1e8):
        found = mean_length(torch.zeros(features, dtype=DOUBLE), scale**2 * torch.ones(features, dtype=DOUBLE))
        assert found.item() == pytest.approx(scale * stats.chi(features).mean(), rel=1e-12)
    shift = tensor(*[0.7] * features)
    found = mean_length(shift, torch.ones(features, dtype=DOUBLE)).item()
    right = integrate.quad(lambda r: math.sqrt(r) * stats.ncx2(features, 0.49 * features).pdf(r), 0, np.inf)[0]
    assert found == pytest.approx(right, rel=1e-6)


def test_the_energy_score_of_other_families_is_drawn_with_its_error():
    mixture = mixture_of(mx.StudentT(tensor([0.0, 0.0], [3.0, 1.0]), mx.Spherical(tensor(1.0, 2.0)), 5.0), 0.5, 0.5)
    y = tensor([0.0, 0.0], [9.0, 9.0])
    rough, fine = (scoring.energy_score(mixture, y, count, generator(count)) for count in (1000, 100_000))
    assert (rough.standard_error > 5 * fine.standard_error).all()
    assert ((rough.value - fine.value).abs() < 5 * rough.standard_error).all()


def test_energy_scores_of_a_batch_share_what_conditionals_share():
    joint = plane(features=4)
    x = joint.sample((6,), generator(5))
    given = joint.condition([0, 1], x[:, :2])
    alone = [scoring.energy_score(joint.condition([0, 1], row[:2]), row[2:]).value for row in x]
    torch.testing.assert_close(scoring.energy_score(given, x[:, 2:]).value, torch.stack(alone))


# -- all of them are proper


@pytest.mark.parametrize("other", ["shifted", "wider", "narrower", "one normal", "other weights"])
def test_no_other_law_scores_better_than_the_truth(other):
    truth = mixture_of(mx.Normal(tensor(-1.0, 2.0), tensor(0.5, 1.0)), 0.4, 0.6)
    rivals = {
        "shifted": truth.affine(tensor(1.0).squeeze(), tensor(0.15).squeeze()),
        "wider": mixture_of(mx.Normal(tensor(-1.0, 2.0), tensor(0.65, 1.3)), 0.4, 0.6),
        "narrower": mixture_of(mx.Normal(tensor(-1.0, 2.0), tensor(0.4, 0.8)), 0.4, 0.6),
        "one normal": truth.reduce(1),
        "other weights": mixture_of(mx.Normal(tensor(-1.0, 2.0), tensor(0.5, 1.0)), 0.55, 0.45),
    }
    y, level = truth.sample((40_000,), generator(4)), 0.5 if other == "one normal" else 0.8
    scores = {
        "log": lambda mixture: -mixture.log_prob(y),
        "crps": lambda mixture: scoring.crps(mixture, y),
        "interval": lambda mixture: scoring.central_interval(mixture, level).score(y, level),
    }
    for name, score in scores.items():
        worse = score(rivals[other]) - score(truth)
        assert worse.mean() > 4 * worse.std() / math.sqrt(len(y)), name


def test_no_other_law_has_a_better_energy_score_than_the_truth():
    truth = plane()
    y = truth.sample((8000,), generator(4))
    for rival in (truth.convolve(0.5), truth.affine(torch.eye(2).double(), tensor(0.3, 0.0)), truth.reduce(1)):
        worse = scoring.energy_score(rival, y).value - scoring.energy_score(truth, y).value
        assert worse.mean() > 4 * worse.std() / math.sqrt(len(y))


# -- probability integral transforms


@pytest.mark.parametrize("name", {**NUMBERS, **COUNTS})
def test_transforms_of_draws_are_uniform(name):
    mixture = {**NUMBERS, **COUNTS}[name]
    values = scoring.pit(mixture, mixture.sample((4000,), generator(6)), generator(7)).flatten()
    assert stats.kstest(values.numpy(), "uniform").pvalue > 1e-3


def test_transforms_of_vectors_are_uniform_and_independent():
    mixture = plane(features=3)
    values = scoring.pit(mixture, mixture.sample((4000,), generator(6)))
    for column in values.T:
        assert stats.kstest(column.numpy(), "uniform").pvalue > 1e-3
    for one, other in itertools.combinations(values.T, 2):
        assert stats.spearmanr(one, other).pvalue > 1e-3


def test_transforms_tell_what_is_wrong():
    y = torch.randn(4000, generator=generator(), dtype=DOUBLE)
    share = {
        name: scoring.pit_histogram(scoring.pit(mixture_of(mx.Normal(tensor(loc), tensor(scale)), 1.0), y)).share
        for name, (loc, scale) in {"wide": (0.0, 2.0), "narrow": (0.0, 0.5), "low": (-1.0, 1.0)}.items()
    }
    assert share["wide"][4:6].sum() > 0.3 and share["narrow"][[0, 9]].sum() > 0.4 and share["low"][9] > 0.3


def test_the_histogram_counts_by_weight_and_knows_its_error():
    values = torch.tensor([0.0, 0.1, 0.3, 1.0])
    found = scoring.pit_histogram(values, 4, weight=torch.tensor([1.0, 1.0, 2.0, 4.0]))
    torch.testing.assert_close(found.share, torch.tensor([0.25, 0.25, 0.0, 0.5]))
    uniform = torch.rand(2000, 50, generator=generator(), dtype=DOUBLE)
    shares = torch.stack([scoring.pit_histogram(row, 5).share for row in uniform])
    assert scoring.pit_histogram(uniform[0], 5).error == pytest.approx(shares.std().item(), rel=0.05)


# -- intervals


@pytest.mark.parametrize("level", [0.5, 0.9])
@pytest.mark.parametrize("name", NUMBERS)
def test_central_intervals_hold_their_share_of_probability(name, level):
    interval = scoring.central_interval(NUMBERS[name], level)
    slack = 1e-6 if name == "one normal" else 1e-9  # whose numbers have few digits behind the point
    assert NUMBERS[name].cdf(interval.low).item() == pytest.approx((1 - level) / 2, abs=slack)
    assert NUMBERS[name].cdf(interval.high).item() == pytest.approx((1 + level) / 2, abs=slack)


@pytest.mark.parametrize("level", [0.5, 0.9])
@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.slow
def test_regions_of_highest_density_are_where_the_density_is_above_their_ends(name, level):
    mixture = NUMBERS[name]
    region = scoring.highest_density(mixture, level)
    event = mixture.event_shape
    low, high = (end.unsqueeze(-1) if event else end for end in (region.low, region.high))
    mass = (mixture.cdf(high) - mixture.cdf(low)).sum().item()
    if name == "uniform":
        assert mass >= level  # whose density has but three values
    else:
        assert mass == pytest.approx(level, abs=1e-6 if name == "one normal" else 1e-9)
    drawn = mixture.sample((5000,), generator())
    above = mixture.log_prob(drawn) >= region.log_density
    held = region.holds(drawn.reshape(5000))
    assert (held != above).double().mean() < (0.01 if name == "one normal" else 1e-3)  # but for rounding at the ends
    assert (region.low[1:] > region.high[:-1]).all()


def test_a_region_has_an_interval_for_each_mode_and_none_is_smaller():
    region, central = scoring.highest_density(NORMAL, 0.8), scoring.central_interval(NORMAL, 0.8)
    assert region.low.shape == (2,) and region.width < 0.8 * central.width
    alone = scoring.highest_density(mixture_of(mx.Normal(tensor(2.0), tensor(3.0)), 1.0), 0.8)
    right = scoring.central_interval(mixture_of(mx.Normal(tensor(2.0), tensor(3.0)), 1.0), 0.8)
    torch.testing.assert_close((alone.low[0], alone.high[0]), (right.low, right.high))


def test_each_mixture_of_a_batch_has_its_own_region():
    batch = mx.Mixture(
        tensor([0.5, 0.5], [0.9, 0.1]), mx.Normal(tensor([0.0, 9.0], [0.0, 0.1]), torch.ones(2, 2).double())
    )
    region = scoring.highest_density(batch)
    for row in range(2):
        one = scoring.highest_density(batch.batch(row))
        count = one.low.numel()
        torch.testing.assert_close(region.low[row, :count], one.low)
        assert region.low[row, count:].isnan().all() and region.width[row] == pytest.approx(one.width.item())
    assert region.holds(tensor(9.0, 9.0)).tolist() == [True, False]


def test_regions_of_heavy_tails_need_no_moments():
    cauchy = mixture_of(mx.StudentT(tensor(1.0), tensor(2.0), tensor(1.0)), 1.0)
    region, right = scoring.highest_density(cauchy, 0.9), scoring.central_interval(cauchy, 0.9)
    torch.testing.assert_close((region.low[0], region.high[0]), (right.low, right.high))


def test_regions_of_counts_and_vectors_are_refused():
    with pytest.raises(NotClosedForm, match="central_interval"):
        scoring.highest_density(COUNTS["poisson"])
    with pytest.raises(MixtureError, match="of numbers"):
        scoring.highest_density(plane())
    with pytest.raises(MixtureError, match="level"):
        scoring.highest_density(NORMAL, 95)


def test_quantiles_of_vectors_are_those_of_their_marginals():
    mixture, levels = plane(features=3), [0.05, 0.4, 0.99]
    found = scoring.quantiles(mixture.expand((2,)), levels)
    for d in range(3):
        right = mixture.marginal([d]).icdf(tensor(*levels)).squeeze(-1)
        torch.testing.assert_close(found[..., d], right[:, None].expand(-1, 2))


def test_judging_is_scoring_row_by_row():
    joint = plane(features=3)
    x = joint.sample((50,), generator(3))
    given, y = joint.condition([0], x[:, :1]), x[:, 1:]
    weight = torch.arange(50)
    found = scoring.judge(given, y, levels=(0.8,), weight=weight)
    assert found.mean_log_density == pytest.approx(np.average(given.log_prob(y), weights=weight))
    assert found.crps == pytest.approx(np.average(scoring.energy_score(given, y).value, weights=weight))
    interval = scoring.central_interval(given, 0.8)
    share = np.average(interval.holds(y).double().mean(-1), weights=weight)
    assert found.coverage[0].share == pytest.approx(share)
    assert found.coverage[0].width == pytest.approx(np.average(interval.width.mean(-1), weights=weight))
    order = given.log_prob(y)[1:].argsort() + 1  # the first row counts for nothing
    assert found.most_surprising(3).tolist() == order[:3].tolist()
    doubled = scoring.judge(given, y, levels=(0.8,))
    torch.testing.assert_close(doubled.pit, scoring.pit(given, y))


def test_judging_one_mixture_is_judging_it_for_each_row():
    y = NORMAL.sample((40,), generator())
    one, each = scoring.judge(NORMAL, y), scoring.judge(NORMAL.expand((40,)), y)
    assert (one.mean_log_density, one.crps) == pytest.approx((each.mean_log_density, each.crps))
    assert one.coverage == each.coverage


# -- what is guaranteed for finitely many rows


@pytest.mark.parametrize("level", [0.5, 0.8, 0.9, 0.95])
@pytest.mark.parametrize("count", [3, 9, 19, 20, 47])
@pytest.mark.slow
def test_of_exchangeable_rows_exactly_the_promised_number_is_held(count, level):
    """Every one of n + 1 rows in turn is the new one: exactly k of them are held, whatever the mixtures."""
    source = generator(count)
    weights, scale = (torch.rand(count + 1, 2, generator=source, dtype=DOUBLE) + 0.1 for _ in range(2))
    wrong = mx.Mixture(weights, mx.Normal(torch.randn(count + 1, 2, generator=source, dtype=DOUBLE), scale))
    y = 3 * torch.randn(count + 1, generator=generator(count + 1), dtype=DOUBLE) + 1
    held = 0
    for new in range(count + 1):
        old = torch.arange(count + 1) != new
        calibration = scoring.calibrate(wrong.batch(old), y[old])
        held += bool(calibration.interval(wrong.batch(new), level).holds(y[new]))
    promised = math.ceil(round(level * (count + 1), 9))
    assert held == promised
    assert level <= held / (count + 1) + 1e-12 and held / (count + 1) < level + 1 / (count + 1)


@pytest.mark.parametrize("rate", [0.02, 0.1, 0.25])
@pytest.mark.parametrize("count", [3, 19, 49, 99])
def test_of_exchangeable_rows_exactly_the_promised_number_is_flagged(count, rate):
    density = torch.randn(count + 1, generator=generator(count), dtype=DOUBLE)
    flagged = 0
    for new in range(count + 1):
        found = scoring.alarm(density[torch.arange(count + 1) != new], rate)
        flags, p = found.flags(density[new]), found.p_value(density[new])
        assert bool(flags) == (p.item() <= rate + 1e-12)
        flagged += bool(flags)
    assert flagged == math.floor(round(rate * (count + 1), 9))


def test_with_ties_and_counts_coverage_is_no_less_than_promised():
    counts = COUNTS["geometric"]
    y = counts.sample((40,), generator(8))
    old = [torch.arange(40) != new for new in range(40)]
    held = [bool(scoring.calibrate(counts, y[o]).interval(counts, 0.8).holds(y[~o])) for o in old]
    assert 0.8 <= np.mean(held) < 1


def test_calibrated_intervals_keep_their_level_where_the_mixture_is_wrong():
    """The number held of m new rows is beta-binomial: four standard deviations about its mean, many seeds together."""
    narrow, held, rows, new = mixture_of(mx.Normal(tensor(0.5), tensor(0.3)), 1.0), 0, 39, 50
    plain = scoring.central_interval(narrow, 0.8)
    for seed in range(100):
        y = torch.randn(rows + new, generator=generator(seed), dtype=DOUBLE)
        interval = scoring.calibrate(narrow, y[:rows]).interval(narrow, 0.8)
        held += interval.holds(y[rows:]).sum().item()
    assert plain.holds(y).double().mean() < 0.4
    spread = math.sqrt(0.8 * 0.2 / 41 + 0.8 * 0.2 / new) / math.sqrt(100)
    assert abs(held / (100 * new) - 0.8) < 4 * spread


def test_too_few_rows_support_nothing_but_the_whole_line():
    calibration = scoring.calibrate(NORMAL, NORMAL.sample((8,), generator()))
    assert calibration.interval(NORMAL, 0.9) == (-math.inf, math.inf)
    assert not scoring.alarm(torch.zeros(8), 0.1).flags(torch.tensor([-1e300])).any()


def test_far_tails_are_told_apart():
    """Below 1e-17 from one, distribution functions are 1 in floating point; tails are not."""
    normal = mixture_of(mx.Normal(tensor(0.0), tensor(1.0)), 1.0)
    calibration = scoring.calibrate(normal, tensor(9.0, 10.0, 11.0))
    assert (calibration.tail.diff() > 0).all() and calibration.tail[0] > 0


# -- bad input


def gaussian_rows(count=3):
    return mx.Mixture(torch.ones(count, 2), mx.Normal(torch.zeros(count, 2), torch.ones(count, 2)))


@pytest.mark.parametrize("score", [scoring.crps, scoring.energy_score, scoring.pit, scoring.judge, scoring.calibrate])
@pytest.mark.parametrize(
    "y", [torch.zeros(4), torch.zeros(3, 1), torch.tensor([0.0, math.nan, 1.0]), torch.tensor(0.0)]
)
def test_targets_that_do_not_fit_are_refused(score, y):
    with pytest.raises(MixtureError, match="`y`"):
        score(gaussian_rows(), y)


@pytest.mark.parametrize("score", [scoring.judge, scoring.calibrate])
def test_no_rows_are_refused(score):
    with pytest.raises(MixtureError, match="`y`"):
        score(gaussian_rows(0), torch.zeros(0))


@pytest.mark.parametrize(
    "call, said",
    [
        (lambda: scoring.crps(plane(), torch.zeros(3, 2)), "energy_score"),
        (lambda: scoring.calibrate(plane(), torch.zeros(3, 2)), "marginal"),
        (lambda: scoring.crps(COUNTS["poisson"].affine, 1), None),
        (lambda: scoring.central_interval(NORMAL, 95), "level"),
        (lambda: scoring.quantiles(NORMAL, [0.5, 1.5]), "levels"),
        (lambda: scoring.alarm(torch.zeros(3), 5), "rate"),
        (lambda: scoring.alarm(torch.zeros(0)), "held_out"),
        (lambda: scoring.alarm(torch.tensor([0.0, math.nan])), "held_out"),
        (lambda: scoring.pit_histogram(torch.tensor([0.5, 1.5])), "values"),
        (lambda: scoring.pit_histogram(torch.tensor([0.5]), 0), "bins"),
        (lambda: scoring.judge(NORMAL, torch.zeros(3), weight=[1, -1, 1]), "weight"),
        (lambda: scoring.judge(NORMAL, torch.zeros(3), weight=[0, 0, 0]), "weight"),
        (lambda: scoring.judge(NORMAL, torch.zeros(3), weight=[1, 1]), "weight"),
        (lambda: scoring.crps(mixture_of(mx.Poisson(tensor(0.1, 1e9)), 0.5, 0.5), tensor(0.0)), "energy_score"),
    ],
)
def test_what_cannot_be_used_is_refused(call, said):
    with pytest.raises(MixtureError if said else AttributeError, match=said):
        call()


def test_families_without_a_distribution_function_say_so():
    with pytest.raises(NotClosedForm, match="no distribution function of Poisson"):
        scoring.crps(mixture_of(torch.distributions.Poisson(tensor(3.0)), 1.0), tensor(0.0))


@pytest.mark.parametrize("dtype", [torch.float32, DOUBLE])
@pytest.mark.parametrize("scale", [1e-12, 1e-6, 1.0, 1e6, 1e12])
def test_scores_follow_the_units(dtype, scale):
    """y in other units: distances scale, probabilities do not, whatever the magnitude."""
    units = torch.tensor(scale, dtype=dtype)
    one = mx.Mixture(tensor(0.3, 0.7).to(dtype), mx.Normal(tensor(-1.0, 2.0).to(dtype), tensor(0.5, 1.0).to(dtype)))
    other = one.affine(units, torch.zeros((), dtype=dtype))
    y = tensor(-3.0, 0.0, 40.0).to(dtype)
    slack = dict(rtol=1e-5 if dtype == torch.float32 else 1e-10, atol=0.0)
    torch.testing.assert_close(scoring.crps(other, y * units), scoring.crps(one, y) * units, **slack)
    torch.testing.assert_close(scoring.pit(other, y * units), scoring.pit(one, y), **slack)
    found, right = (scoring.central_interval(mixture, 0.9) for mixture in (other, one))
    torch.testing.assert_close(found.width, right.width * units, **slack)
