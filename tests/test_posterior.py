"""The posterior of a clean value, against exact arithmetic, and what it costs to hold."""

from fractions import Fraction

import pytest
import torch

import mixtura as mx
from mixtura.errors import MixtureError
from mixtura.observation import AdditiveNoise, LinearMeasurement, Missing
from tests.tables import FEATURES, GAUSSIANS

MATRICES = {
    "nothing between": None,
    "a projection": [[0.5, -1.0, 0.25]],
    "picked and scaled": [[0.0, 0.0, 2.0], [-0.5, 0.0, 0.0]],
    "more rows than features": [[1.0, 0.5, 0.0], [0.0, 1.0, -2.0], [1.0, 1.0, 1.0], [0.25, 0.0, 3.0], [1.0, 0.5, 0.5]],
}


@pytest.fixture(autouse=True)
def double():
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(4)
    yield
    torch.set_default_dtype(torch.float32)


def mixture(name):
    return mx.Mixture(torch.tensor([0.3, 0.7]), GAUSSIANS[name])


def solved(matrix, right):
    """The solution of linear equations over the rational numbers, by elimination."""
    size = len(matrix)
    rows = [[*line, *side] for line, side in zip(matrix, right, strict=True)]
    for i in range(size):
        pivot = next(j for j in range(i, size) if rows[j][i] != 0)
        rows[i], rows[pivot] = rows[pivot], rows[i]
        rows[i] = [value / rows[i][i] for value in rows[i]]
        for j in range(size):
            if j != i and rows[j][i] != 0:
                rows[j] = [a - rows[j][i] * b for a, b in zip(rows[j], rows[i], strict=True)]
    return [row[size:] for row in rows]


def product(one, other):
    return [
        [sum(a * b for a, b in zip(row, column, strict=True)) for column in zip(*other, strict=True)] for row in one
    ]


def rational(tensor):
    return [[Fraction(value) for value in row] for row in tensor.tolist()]


def exact(mean, covariance, matrix, noise, y):
    """Means and covariance of a Gaussian given rows y = A x + e, without rounding: the textbook's, in fractions."""
    v, a, s = rational(covariance), rational(matrix), rational(noise)
    cross = product(v, [list(column) for column in zip(*a, strict=True)])  # V A^T
    total = [[p + q for p, q in zip(*rows, strict=True)] for rows in zip(product(a, cross), s, strict=True)]
    m = [[Fraction(value)] for value in mean.tolist()]
    transposed = [list(column) for column in zip(*cross, strict=True)]
    gain = [list(column) for column in zip(*solved(total, transposed), strict=True)]  # V A^T T^-1
    spared = product(gain, transposed)
    left = [[float(p - q) for p, q in zip(*rows, strict=True)] for rows in zip(v, spared, strict=True)]
    seen, means = product(a, m), []
    for row in y.tolist():
        gained = product(gain, [[Fraction(value) - at[0]] for value, at in zip(row, seen, strict=True)])
        means.append([float(p[0] + q[0]) for p, q in zip(m, gained, strict=True)])
    return torch.tensor(means), torch.tensor(left)


@pytest.mark.parametrize("size", [1e-12, 1e-6, 1.0, 1e6, 1e12])
@pytest.mark.parametrize("matrix", MATRICES)
@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("name", sorted(GAUSSIANS))
def test_the_posterior_is_that_of_exact_arithmetic(name, whole, matrix, size):
    clean = mixture(name)
    given = None if MATRICES[matrix] is None else torch.tensor(MATRICES[matrix])
    seen = torch.eye(FEATURES) if given is None else given
    variance = size * torch.linspace(0.5, 1.7, len(seen))
    root = 0.4 * torch.randn(len(seen), len(seen))
    noise = size * (root @ root.mT) + torch.diag(variance) if whole else torch.diag(variance)
    errors = {"covariance": noise} if whole else {"scale": variance.sqrt()}
    observation = AdditiveNoise(**errors) if given is None else LinearMeasurement(given, **errors)
    y = clean.observed(observation).sample((3,))
    posterior = clean.posterior(observation, y)
    noise = noise if whole else torch.diag(variance.sqrt().square())
    for k in range(2):
        mean, covariance = exact(clean.components.mean[k], GAUSSIANS[name].covariance[k], seen, noise, y)
        scale = covariance.diagonal().sqrt()
        found = posterior.components.covariance[:, k]
        assert ((found - covariance).abs() <= 1e-7 * scale * scale[:, None]).all()
        moved = (posterior.components.mean[:, k] - mean).abs()
        assert (moved <= 1e-7 * scale + 1e-13 * (mean.abs() + clean.components.mean[k].abs())).all()


SCALES = [(1e-12, 1.0, 1e12), (1e12, 1e-12, 1.0), (1e6, 1e12, 1e-6)]
ERRORS = {
    "like the scales": lambda scale: 0.3 * scale,
    "far below": lambda scale: 1e-6 * scale,
    "far above": lambda scale: 1e6 * scale,
    "all alike": lambda scale: torch.ones(3),
    "all tiny": lambda scale: torch.full((3,), 1e-12),
    "against the scales": lambda scale: 1 / scale,
}


@pytest.mark.parametrize("scales", SCALES)
@pytest.mark.parametrize("errors", ERRORS)
@pytest.mark.parametrize("name", ["full", "tied-full", "diagonal", "low-rank-1", "eigen", "VVE"])
def test_the_posterior_is_exact_where_scales_differ_by_24_digits(name, errors, scales):
    """To rounding: of covariances relative to their own scales, of means relative to the numbers themselves."""
    scale = torch.tensor(scales)
    clean, noise = mixture(name).affine(torch.diag(scale), torch.zeros(3)), ERRORS[errors](scale)
    observation = AdditiveNoise(scale=noise)
    y = clean.observed(observation).sample()
    posterior = clean.posterior(observation, y)
    for k in range(2):
        prior = clean.components.mean[k], clean.components.covariance[k]
        (mean,), covariance = exact(*prior, torch.eye(3), torch.diag(noise.square()), y.unsqueeze(0))
        own = covariance.diagonal().sqrt()
        assert ((posterior.components.covariance[k] - covariance).abs() <= 1e-13 * own * own[:, None]).all()
        moved = (posterior.components.mean[k] - mean).abs()
        assert (moved <= 1e-13 * (own + mean.abs() + prior[0].abs() + y.abs())).all()


@pytest.mark.parametrize("matrix", MATRICES)
@pytest.mark.parametrize("name", sorted(GAUSSIANS))
def test_bayes_rule_holds(name, matrix):
    clean = mixture(name)
    given = MATRICES[matrix]
    observation = AdditiveNoise(0.5, scale=0.8) if given is None else LinearMeasurement(torch.tensor(given), scale=0.8)
    x = torch.randn(7, FEATURES)
    y = clean.observed(observation).sample((7,))
    seen = x + 0.5 if given is None else x @ torch.tensor(given).mT
    likelihood = torch.distributions.Normal(seen, 0.8).log_prob(y).sum(-1)
    left = clean.log_prob(x) + likelihood
    right = clean.observed(observation).log_prob(y) + clean.posterior(observation, y).log_prob(x)
    assert torch.allclose(left, right, rtol=1e-9)


@pytest.mark.parametrize("name", sorted(GAUSSIANS))
def test_gaps_are_a_measurement_of_the_rest(name):
    clean, noise = mixture(name), torch.tensor([0.5, 0.8, 1.2])
    y = torch.randn(6, FEATURES)
    y[0, 1] = y[1, 0] = y[1, 2] = y[2, 1] = y[4, 1] = torch.nan
    posterior = clean.posterior([AdditiveNoise(scale=noise), Missing()], y)
    for n, row in enumerate(y):
        seen = ~row.isnan()
        alone = clean.posterior(LinearMeasurement(torch.eye(3)[seen], scale=noise[seen]), row[seen])
        assert torch.allclose(posterior.weights[n], alone.weights)
        assert torch.allclose(posterior.components.mean[n], alone.components.mean)
        assert torch.allclose(posterior.components.covariance[n], alone.components.covariance)


@pytest.mark.parametrize("name", ["full", "tied-full", "low-rank-1", "diagonal"])
def test_gaps_in_numbers_measured_exactly_are_conditioning(name):
    clean, y = mixture(name), torch.randn(5, FEATURES)
    y[:, 1] = torch.nan
    posterior, known = clean.posterior(Missing(), y), clean.condition([0, 2], y[:, [0, 2]])
    assert torch.allclose(posterior.weights, known.weights)
    assert torch.allclose(posterior.components.mean[..., [1]], known.components.mean)
    assert torch.allclose(posterior.components.covariance[..., 1, 1], known.components.covariance[..., 0, 0])
    assert torch.allclose(posterior.components.mean[..., [0, 2]], y[:, None, [0, 2]].expand(5, 2, 2))


@pytest.mark.parametrize("seed", range(6))
def test_a_direction_without_noise_is_known_exactly(seed):
    clean, generator = mixture("full"), torch.Generator().manual_seed(seed)
    direction = torch.nn.functional.normalize(torch.randn(3, generator=generator), dim=0)
    noise = 3 * (torch.eye(3) - direction[:, None] * direction)
    y = torch.randn(4, 3)
    posterior = clean.posterior(AdditiveNoise(covariance=noise), y)
    assert torch.allclose(posterior.components.mean @ direction, (y @ direction)[:, None].expand(4, 2))
    assert (posterior.components.structure.factor.mT @ direction).abs().max() < 1e-13  # its scale, not rounding's root


@pytest.mark.parametrize(
    ("name", "noise", "kind"),
    [
        ("spherical", 0.7, mx.Spherical),
        ("tied-spherical", 0.7, mx.Spherical),
        ("spherical", torch.tensor([0.7, 0.2, 0.1]), mx.Diagonal),
        ("diagonal", 0.7, mx.Diagonal),
        ("tied-diagonal", 0.7, mx.Diagonal),
        ("low-rank-1", torch.tensor([0.7, 0.2, 0.1]), mx.LowRank),
        ("tied-low-rank-1", 0.7, mx.LowRank),
        ("tied-full", 0.7, mx.Full),
        ("eigen", 0.7, mx.Eigen),
        ("eigen", torch.tensor([0.7, 0.2, 0.1]), mx.Full),
    ],
)
def test_a_posterior_keeps_the_least_general_structure(name, noise, kind):
    clean = mixture(name)
    structure = clean.posterior(AdditiveNoise(scale=noise), torch.randn(5, 3)).components.structure
    assert type(structure) is kind
    assert structure.tied == name.startswith("tied")


@pytest.mark.parametrize(
    ("name", "noise", "kind"),
    [
        ("spherical", 0.7, mx.Spherical),
        ("tied-spherical", 0.7, mx.Spherical),
        ("spherical", torch.tensor([0.7, 0.2, 0.1]), mx.Diagonal),
        ("tied-diagonal", 0.7, mx.Diagonal),
        ("tied-low-rank-1", torch.tensor([0.7, 0.2, 0.1]), mx.LowRank),
        ("eigen", 0.7, mx.Eigen),
        ("tied-full", 0.7, mx.Full),
    ],
)
def test_what_is_recorded_keeps_the_least_general_structure(name, noise, kind):
    structure = mixture(name).observed(AdditiveNoise(scale=noise)).components.structure
    assert type(structure) is kind
    assert structure.tied == name.startswith("tied")


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("matrix", ["nothing between", "a projection", "picked and scaled"])
@pytest.mark.parametrize("name", sorted(GAUSSIANS))
def test_what_is_recorded_has_the_dense_covariance(name, matrix, whole):
    clean, given = mixture(name), MATRICES[matrix]
    seen = torch.eye(3) if given is None else torch.tensor(given)
    noise = torch.rand(4, len(seen)) + 0.1
    root = torch.randn(4, len(seen), len(seen))
    errors = {"covariance": root @ root.mT} if whole else {"scale": noise.sqrt()}
    covariance = root @ root.mT if whole else torch.diag_embed(noise)
    stack = seen * torch.linspace(0.5, 2.0, 4)[:, None, None]
    if given is None:
        observation, stack = AdditiveNoise(**errors, per_row=True), seen
    else:
        observation = LinearMeasurement(stack, **errors, per_row=True)
    law = clean.observed(observation).components
    stack = stack.expand(4, *seen.shape).unsqueeze(1)
    assert torch.allclose(law.covariance, stack @ clean.components.covariance @ stack.mT + covariance.unsqueeze(1))
    assert torch.allclose(law.mean, (stack @ clean.components.mean.unsqueeze(-1)).squeeze(-1))


@pytest.mark.parametrize("name", sorted(GAUSSIANS))
def test_a_stack_is_a_batch(name):
    clean, matrices, offsets = mixture(name), torch.randn(4, 2, 3), torch.randn(4, 2)
    root = torch.randn(4, 1, 3, 3)
    images, blurred = clean.affine(matrices, offsets), clean.convolve(root @ root.mT)
    assert images.batch_shape == blurred.batch_shape == images.logits.shape[:-1] == (4,)
    for n in range(4):
        alone, noisy = clean.affine(matrices[n], offsets[n]), clean.convolve(root[n, 0] @ root[n, 0].mT)
        assert torch.allclose(images.mean[n], alone.mean) and torch.allclose(images.covariance[n], alone.covariance)
        assert torch.allclose(blurred.mean[n], noisy.mean) and torch.allclose(blurred.covariance[n], noisy.covariance)
        x = torch.randn(2)
        assert torch.allclose(images.log_prob(x)[n], alone.log_prob(x))


@pytest.mark.parametrize("name", sorted(GAUSSIANS))
def test_rows_under_one_measurement_share_their_covariances(name):
    clean = mixture(name)
    posterior = clean.posterior(LinearMeasurement(torch.randn(2, 3), scale=0.6), torch.randn(1000, 2))
    assert posterior.batch_shape == (1000,)
    factor = posterior.components.structure.factor
    assert factor.shape[0] == 1000 and factor.untyped_storage().nbytes() <= 8 * 2 * 3 * 3


@pytest.mark.parametrize("name", sorted(GAUSSIANS))
def test_what_is_asked_of_a_shared_posterior_is_that_of_each_row(name):
    clean, observation = mixture(name), AdditiveNoise(scale=torch.tensor([0.6, 0.3, 2.0]))
    y, x = torch.randn(7, 3), torch.randn(5, 7, 3)
    posterior, each = clean.posterior(observation, y), [clean.posterior(observation, row) for row in y]
    values = torch.randn(7, 1)
    found = {
        "log_prob": (posterior.log_prob(x), [one.log_prob(x[:, n]) for n, one in enumerate(each)], 1),
        "score": (posterior.score(x), [one.score(x[:, n]) for n, one in enumerate(each)], 1),
        "mean": (posterior.mean, [one.mean for one in each], 0),
        "variance": (posterior.variance, [one.variance for one in each], 0),
        "covariance": (posterior.covariance, [one.covariance for one in each], 0),
        "marginal": (posterior.marginal([2, 0]).covariance, [one.marginal([2, 0]).covariance for one in each], 0),
        "condition": (
            posterior.condition([1], values).mean,
            [one.condition([1], value).mean for one, value in zip(each, values, strict=True)],
            0,
        ),
    }
    for what, (batch, single, dim) in found.items():
        assert torch.allclose(batch, torch.stack(single, dim), rtol=1e-9, atol=1e-12), what


@pytest.mark.parametrize("name", sorted(GAUSSIANS))
def test_draws_of_a_shared_posterior_have_its_moments(name):
    clean = mixture(name)
    posterior = clean.posterior(LinearMeasurement(torch.randn(2, 3), scale=0.6), torch.randn(3, 2))
    x = posterior.sample((40_000,))
    error = (posterior.variance / len(x)).sqrt()
    assert ((x.mean(0) - posterior.mean).abs() < 5 * error).all()
    for n in range(3):
        assert torch.allclose(x[:, n].mT.cov(), posterior.covariance[n], rtol=0.1, atol=0.1 * posterior.variance.max())


def test_marginals_commute_with_posteriors():
    clean, y = mixture("full"), torch.randn(4, 2)
    whole = clean.posterior(LinearMeasurement(torch.eye(3)[[0, 2]], scale=0.5), y).marginal([0, 2])
    part = clean.marginal([0, 2]).posterior(AdditiveNoise(scale=0.5), y)
    assert torch.allclose(whole.components.mean, part.components.mean)
    assert torch.allclose(whole.components.covariance, part.components.covariance)


def test_two_records_at_once_are_one_after_the_other():
    clean, y, noise = mixture("full"), torch.randn(4), torch.tensor([0.5, 0.4, 2.0, 1.0])
    matrix = torch.randn(4, 3)
    both = clean.posterior(LinearMeasurement(matrix, scale=noise), y)
    first = clean.posterior(LinearMeasurement(matrix[:2], scale=noise[:2]), y[:2])
    then = first.posterior(LinearMeasurement(matrix[2:], scale=noise[2:]), y[2:])
    assert torch.allclose(both.weights, then.weights)
    assert torch.allclose(both.components.mean, then.components.mean)
    assert torch.allclose(both.components.covariance, then.components.covariance)


@pytest.mark.parametrize("per_row", [True, False])
@pytest.mark.parametrize("name", ["full", "diagonal", "tied-low-rank-1"])
def test_a_batch_of_mixtures_is_its_entries_one_by_one(name, per_row):
    batch = mixture(name).map(lambda tensor: torch.stack([tensor, 1.1 * tensor, 0.7 * tensor]))
    batch = mx.Mixture._of(torch.log_softmax(batch.logits, -1), batch.components)
    scale = 0.5 + torch.rand(5, 3) if per_row else torch.tensor([0.5, 1.0, 2.0])
    y = torch.randn(5, 3, 3)
    if per_row:
        y = y[:, :1].expand(5, 3, 3)
    observation = AdditiveNoise(scale=scale, per_row=per_row or None)
    posterior = batch.posterior(observation, y)
    for b in range(3):
        alone = batch.batch(b).posterior(observation, y[:, b])
        assert torch.allclose(posterior.weights[:, b], alone.weights)
        assert torch.allclose(posterior.mean[:, b], alone.mean)
        assert torch.allclose(posterior.covariance[:, b], alone.covariance)


@pytest.mark.parametrize("matrix", [[[0.5, -1.0, 0.25]], [[0.0, 0.0, 2.0], [-0.5, 0.0, 0.0]]])
@pytest.mark.parametrize("name", ["full", "diagonal", "spherical", "low-rank-1"])
def test_gradients_flow_through_a_posterior(name, matrix):
    clean, y = mixture(name), torch.randn(3, len(matrix))

    def asked(*tensors):
        given = iter(tensors)
        moved = clean.map(lambda tensor: next(given))
        posterior = moved.posterior(LinearMeasurement(torch.tensor(matrix), scale=0.7), next(given))
        return posterior.mean, posterior.log_prob(torch.ones(3))

    tensors = [clean.logits, *clean.components.tensors(), y]
    assert torch.autograd.gradcheck(asked, [t.detach().clone().requires_grad_() for t in tensors])


def test_a_singular_record_is_refused():
    with pytest.raises(MixtureError, match="must be positive definite"):
        mixture("full").posterior(LinearMeasurement(torch.ones(2, 3)), torch.ones(2))
    with pytest.raises(MixtureError, match="must be positive definite"):
        mixture("diagonal").posterior(LinearMeasurement(torch.randn(4, 3)), torch.ones(4))
