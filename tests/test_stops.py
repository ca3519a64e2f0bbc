"""Honest stops: what a reason says is so."""

import pytest
import torch
from random_fits import rows

import mixtura as mx
from mixtura.learning import Reason
from mixtura.learning.loop.rounding import by_nodes
from mixtura.learning.loop.traces import stack

TABLES = {
    mx.StudentT: lambda g: torch.cat(
        [torch.randn(200, 2, generator=g) + 3 * torch.randn(2, generator=g) for _ in "abc"]
    ),
    mx.Gamma: lambda g: 200 + 14 * torch.randn(500, generator=g),
    mx.Poisson: lambda g: torch.poisson(torch.full((500,), 1000.0), generator=g),
    mx.Beta: lambda g: 0.2 + 0.5 * torch.rand(500, generator=g),
}


@pytest.mark.parametrize("family", TABLES, ids=lambda family: family.__name__)
def test_what_has_converged_in_single_precision_gains_no_more_in_double(family):
    """Rounding is that of the objective, however large the terms whose difference a log-density is."""
    generator = torch.Generator().manual_seed(0)
    x = TABLES[family](generator)
    fit = mx.fit(x, 3, family=family, generator=generator, method=mx.EM(max_iterations=5000))
    on = mx.EM(max_iterations=500, tolerance=0)
    further = mx.fit(x.double(), 3, family=family, init=fit.mixture.to(torch.float64), method=on)
    assert fit.reason is Reason.CONVERGED
    assert further.trace[-1] - further.trace[0] < 1e-4


def test_a_fall_that_rounding_explains_is_none():
    """Single precision knows a mean of a million to a sixteenth, so the objective moves up and down by 1e-5."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(400, 2, generator=generator) + 3 * torch.randint(0, 2, (400, 1), generator=generator)
    plain = mx.EM(prior=mx.Prior(), acceleration=False)  # small tables without a prior are read in double precision
    fits = [mx.fit(0.2 * x + 1e6, 2, "diagonal", plain, generator=generator) for _ in range(3)]
    assert min(fit.trace.diff().min() for fit in fits) < -1e-5
    assert {fit.reason for fit in fits} == {Reason.CONVERGED}


class _Overshooting(mx.EM):
    """EM whose means go thrice as far as they should."""

    def update(self, statistics, mixture):
        new = super().update(statistics, mixture)
        inside, before = new.components.gaussian, mixture.components.gaussian
        moved = inside._replace(location=before.location + 3 * (inside.location - before.location))
        return mx.Mixture._of(new.logits, new.components.with_gaussian(moved))


def test_an_update_that_lowers_the_objective_is_told():
    x = mx.datasets.old_faithful()
    start = torch.tensor([[2.0, 60.0], [4.0, 70.0]], dtype=x.dtype)
    fit = mx.fit(x, 2, init=start, method=_Overshooting())
    assert fit.reason is Reason.FELL


def _rounded(scale):
    """Rows of three columns, coarsely rounded, whose components may be all but flat."""
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(60, 3, generator=generator, dtype=torch.float64)
    x[:, 2] = x[:, 0] + scale * x[:, 2]
    return mx.data.rows(x.round()).through(mx.observation.Rounded(1.0)), x.T.cov()


@pytest.mark.parametrize("scale", [1.0, 0.0001])
def test_a_likelihood_by_nodes_says_how_well_it_is_known(scale):
    """The order of coordinates changes errors alone: next to none at moderate correlations, and some near one."""
    rows, covariance = _rounded(scale)
    flat = mx.Mixture(torch.ones(1).double(), mx.Gaussian(torch.zeros(1, 3).double(), covariance[None]))
    known = by_nodes(mx.EM(), rows, stack([flat, flat]))
    assert known < 1e-12 if scale == 1.0 else 1e-9 < known < 1e-6


def test_a_likelihood_that_is_exact_is_known_to_rounding():
    x = torch.randn(40, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    fit = mx.fit(x, 1)
    assert by_nodes(mx.EM(), fit.rows, stack([fit.mixture, fit.mixture])) == 0.0


def test_an_update_that_lowers_the_objective_of_rounded_rows_is_told():
    """What integration explains is less than what a wrong update loses."""
    x = mx.datasets.old_faithful()
    start = torch.tensor([[2.0, 60.0], [4.0, 70.0]], dtype=x.dtype)
    rounded = mx.observation.Rounded(torch.tensor([0.5, 5.0]))
    fit = mx.fit(x, 2, init=start, observation=rounded, method=_Overshooting(acceleration=False))
    assert fit.reason is Reason.FELL


EQUAL = {
    "Weibull, as few rows as components": (mx.Weibull, torch.tensor([1.0, 9.0, 50.0]).double(), Reason.COLLAPSED),
    "negative binomial": (mx.NegativeBinomial, torch.zeros(60, dtype=torch.float64), Reason.CONVERGED),
    "geometric, in single precision": (mx.Geometric, torch.zeros(60, 2), Reason.CONVERGED),
    "von Mises, half alike": (
        mx.VonMises,
        torch.linspace(-3, 3, 80, dtype=torch.float64).clamp_max(0.1),
        Reason.COLLAPSED,
    ),
    "beta, half alike": (mx.Beta, torch.linspace(0.1, 0.9, 80, dtype=torch.float64).clamp_max(0.4), Reason.COLLAPSED),
}


@pytest.mark.parametrize("name", EQUAL)
def test_rows_that_are_alike_end_soundly(name):
    """A component of equal rows is a point, which is told, or has a likelihood that is finite."""
    family, x, reason = EQUAL[name]
    fit = mx.fit(x, 3, family=family, generator=torch.Generator().manual_seed(0))
    assert fit.reason is reason
    assert torch.isfinite(torch.tensor(fit.log_likelihood))


@pytest.mark.parametrize(
    "family", [mx.Bernoulli, mx.Poisson, mx.Geometric, mx.Categorical.template(categories=2)], ids=str
)
def test_a_bound_exists_where_columns_hold_one_value(family):
    x = torch.randint(0, 2, (50, 3), generator=torch.Generator().manual_seed(0)).double()
    x[:, 0], x[:, 1] = 0, (0 if family is mx.Poisson else 1)
    fit = mx.fit(x, 2, family=family, method=mx.Variational(), generator=torch.Generator().manual_seed(0))
    assert fit.reason is Reason.CONVERGED
    assert fit.bound < fit.log_likelihood < 0


@pytest.mark.parametrize("count", [2, 3, 4, 7])
@pytest.mark.parametrize("least", [0.0, 7.0])
@pytest.mark.slow
def test_a_bound_exists_where_sums_round_to_what_no_law_has(count, least):
    """Shares of rows that are all successes sum to one but for rounding, which is no evidence of a failure."""
    family, x = mx.Binomial.template(total_count=7), torch.full((count,), least).double()
    for concentration in (0.5, mx.StickBreaking(2.0)):
        fit = mx.fit(x, 2, family=family, method=mx.Variational(prior=mx.Prior(concentration)))
        assert fit.reason is Reason.CONVERGED and fit.bound < 0


def test_a_fall_that_rounding_of_the_sums_explains_is_none_in_compiled_steps():
    """Columns of a far row depend on each other to ten digits: their second moments keep six of what is left."""
    x = 1e7 * torch.randn(5, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for row in range(5):
        far = x.clone()
        far[row] = 1e13
        assert mx.fit(far, 1, "EVV").reason is Reason.CONVERGED


def test_logarithms_that_determine_each_other_are_refused():
    x = torch.tensor([[0.5746, 0.5746], [0.1714, 0.1714]]).double() * torch.tensor([1, 1 + 1e-9]).double()
    with pytest.raises(mx.errors.MixtureError, match="at least 3 rows"):
        mx.fit(x, 2, "VEE", family=mx.LogNormal)


@pytest.mark.parametrize("family", [mx.Gamma, mx.InverseGamma])
@pytest.mark.parametrize("restarts", [1, 3])
def test_a_shape_that_grows_without_end_is_a_collapse(family, restarts):
    """Half of the rows are alike: the likelihood grows with the shape, until rounding hides by how much."""
    generator = torch.Generator().manual_seed(0)
    x = (0.5 * torch.randn(40, generator=generator, dtype=torch.float64)).exp()
    x[::2] = x[0]
    fit = mx.fit(x, 2, family=family, restarts=restarts, generator=torch.Generator().manual_seed(0))
    assert fit.reason is mx.Reason.COLLAPSED and torch.isfinite(torch.tensor(fit.log_likelihood))


def test_a_collapse_behind_gaps_is_told_as_one():
    """Sums in units of roots keep their digits as a component goes flat; so the likelihood rises until it has."""
    generator = torch.Generator().manual_seed(2)
    x = torch.randn(60, 6, generator=generator, dtype=torch.float64) * torch.logspace(-2, 3, 6, dtype=torch.float64)
    x = x.masked_fill(torch.rand(x.shape, generator=generator) < 0.1, torch.nan)
    fits = [mx.fit(x, 5, observation=mx.observation.Missing(), init=x[k : k + 50 : 10].nan_to_num()) for k in range(5)]
    assert Reason.COLLAPSED in {fit.reason for fit in fits}
    assert {fit.reason for fit in fits} <= {Reason.COLLAPSED, Reason.CONVERGED}


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("least", [1e-4, 1e-17])
def test_a_component_that_still_grows_has_not_converged(compiled, least):
    """A share of next to nothing gains next to nothing in an update, and more each time."""
    x = torch.tensor([0.0, 6.0]).double().repeat(20)
    weights = torch.tensor([1 - least, least]).double()
    start = mx.Mixture(weights, mx.Poisson(torch.tensor([3.0, 6.0]).double()))
    prior = None if compiled else mx.Prior(1.0)
    fit = mx.fit(x, 2, init=start, method=mx.EM(prior=prior))
    assert fit.converged and fit.mixture.weights[1] > 0.4


ALIKE = {
    "Poisson": lambda apart: mx.Poisson(torch.tensor([3.0, 3.0 + apart]).double()),
    "Normal": lambda apart: mx.Normal(torch.tensor([3.0, 3.0 + apart]).double(), torch.full((2,), 3.0).double()),
}


@pytest.mark.parametrize("method", [mx.EM(), mx.EM(prior=mx.Prior(2.0)), mx.AnnealedEM(beta=1.0)], ids=str)
@pytest.mark.parametrize("family", ALIKE)
@pytest.mark.parametrize("apart", [0.0, 1e-9])
def test_components_that_are_alike_are_at_no_end_where_two_are_better(family, method, apart):
    """What tells them apart grows by a factor in each update, and gains nothing to be seen before it is large."""
    x = torch.tensor([0.0, 1.0, 5.0, 7.0]).double().repeat(20)
    start = mx.Mixture(torch.tensor([0.5, 0.5]).double(), ALIKE[family](apart))
    fit = mx.fit(x, 2, init=start, method=method)
    assert fit.converged and fit.mixture.components.mean.diff().abs().item() > 4


def test_components_that_are_alike_where_one_is_enough_stay_where_they_are():
    x = torch.tensor([1.0, 2.0, 3.0]).double().repeat(20)  # counts that vary less than those of one rate
    start = mx.Mixture(torch.tensor([0.5, 0.5]).double(), mx.Poisson(torch.tensor([2.0, 2.0]).double()))
    fit = mx.fit(x, 2, init=start)
    assert fit.converged and torch.equal(fit.mixture.components.rate, start.components.rate)


def test_the_tail_of_a_binomial_is_exact():
    """Where a success is all but certain, a failure is not: log(1 - p) at log-odds of 25 is its own size."""
    p = 1 / (1 + torch.tensor(-25.0).double().exp())
    found = mx.Binomial(7, p.reshape(1)).log_prob(torch.tensor(7.0).double())
    assert found.item() == pytest.approx(7 * torch.log1p(-(1 - p)).item(), rel=1e-9)


@pytest.mark.parametrize("family", [mx.NegativeBinomial, mx.Weibull, mx.StudentT])
@pytest.mark.parametrize("seed", range(4))
def test_no_update_by_newtons_steps_lowers_the_likelihood(family, seed):
    """From far starts, where the steps are longest; whatever the number of threads or the route."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.poisson((2 * torch.randn(60, generator=generator, dtype=torch.float64)).exp(), generator=generator) + 1
    labels = torch.arange(60) % 3
    fit = mx.fit(x, 3, family=family, init=labels, method=mx.EM(300, 0))
    assert fit.reason in (Reason.MAX_ITERATIONS, Reason.COLLAPSED)
    assert fit.trace.diff().min() > -1e-9


def test_columns_that_depend_on_each_other_but_for_rounding_are_refused():
    x = torch.randn(100, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x = x[:, :1] + 1e-7 * x
    with pytest.raises(mx.errors.MixtureError, match="determine each other"):
        mx.fit(x, 2)
    assert mx.fit(x, 2, "diagonal").converged


def test_rows_whose_squares_overflow_are_refused_behind_an_observation():
    x = torch.tensor([1.0, 2.0, 3.0, 1e26])
    with pytest.raises(mx.errors.MixtureError, match="squares fit"):
        mx.fit(x, 2, family=mx.Weibull, observation=mx.observation.ShiftNoise(-1, 2))


def test_labelled_rows_that_do_not_count_change_nothing():
    x = (torch.randn(40, generator=torch.Generator().manual_seed(0), dtype=torch.float64)).exp()
    labels, weight = torch.full((40,), -1), torch.ones(40, dtype=torch.float64)
    labels[:4], weight[2:4] = torch.tensor([0, 1, 2, 2]), 0
    labels[4] = 2
    fit = mx.fit(x, 3, family=mx.Gamma, labels=labels, sample_weight=weight, restarts=1)
    assert torch.isfinite(fit.trace).all()
    labels[4] = -1  # now no row of the class counts
    assert torch.isfinite(mx.fit(x, 3, family=mx.Gamma, labels=labels, sample_weight=weight, restarts=1).trace).all()


@pytest.mark.parametrize("method", [mx.EM(), mx.EM(acceleration=False), mx.EM(prior=mx.Prior(2.0))], ids=str)
def test_a_step_that_leads_too_far_is_made_again(method):
    """Ties at a few values: Newton's step in the degrees of freedom and that of the scale are one too many."""
    x = rows(364, "real", (80,), "ties", 1e-4, 0, 1).float()
    assert mx.fit(x, 1, family=mx.StudentT, method=method).reason is Reason.CONVERGED


def test_uniform_boxes_hold_all_rows_of_a_stream_before_it_begins():
    x = torch.rand(150, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    fit = mx.fit(x, 8, family=mx.Uniform, method=mx.OnlineEM(2, 20), generator=torch.Generator().manual_seed(0))
    assert torch.isfinite(fit.trace).all()


def test_the_ends_of_uniform_components_are_not_sought_behind_errors():
    x = torch.rand(60, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    noise = mx.observation.ShiftNoise(-1, 2)
    with pytest.raises(mx.errors.MixtureError, match="ends"):
        mx.fit(x, 2, family=mx.Uniform, observation=noise)
    given = mx.Uniform.template(low=torch.tensor(-1.0), high=torch.tensor(3.0))
    assert mx.fit(x, 2, family=given, observation=noise).converged
