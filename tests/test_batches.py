"""A batch of mixtures: its answers are those of its entries, and no question loops over them."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import mixtura as mx
from mixtura.observation import AdditiveNoise, LinearMeasurement, Missing
from tests.tables import FEATURES, GAUSSIANS

NAMES = sorted(GAUSSIANS)
OBSERVATION = AdditiveNoise(scale=torch.tensor([0.5, 0.3, 2.0]))

QUESTIONS = {
    "log_prob": lambda m, x: m.log_prob(x),
    "score": lambda m, x: m.score(x),
    "responsibilities": lambda m, x: m.responsibilities(x),
    "mean": lambda m, x: m.mean,
    "covariance": lambda m, x: m.covariance,
    "marginal": lambda m, x: m.marginal([2, 0]).covariance,
    "condition": lambda m, x: m.condition([1], x[..., [1]]).mean,
    "posterior": lambda m, x: m.posterior(OBSERVATION, x).mean,
    "projected": lambda m, x: m.posterior(LinearMeasurement(torch.ones(1, 3), scale=0.5), x[..., :1]).covariance,
    "gaps": lambda m, x: m.posterior(Missing(), x.masked_fill(x > 1, torch.nan)).mean,
    "observed": lambda m, x: m.observed(OBSERVATION).log_prob(x),
    "affine": lambda m, x: m.affine(torch.tensor([[1.0, 2.0, 0.5]]).to(m.dtype)).variance,
}


@pytest.fixture(autouse=True)
def double():
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(9)
    yield
    torch.set_default_dtype(torch.float32)


def batch(name, size):
    """Mixtures of different weights and means; covariances of structures that constrain them stay what they are."""
    one = GAUSSIANS[name]
    structure = one.structure.map(lambda tensor: tensor.expand(size, *tensor.shape).clone())
    mean = one.mean + torch.randn(size, *one.mean.shape)
    scaled = structure.scaled(torch.rand(size, structure.leading[-1]) + 0.5)
    return mx.Mixture(torch.rand(size, 2) + 0.1, mx.Gaussian(mean, scaled))


@pytest.mark.parametrize("rows", [(), (4,)])
@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("name", NAMES)
def test_a_batch_answers_as_its_entries(name, question, rows):
    many, x = batch(name, 3), torch.randn(*rows, 3, FEATURES)
    ask = QUESTIONS[question]
    whole = ask(many, x)
    for b in range(3):
        alone = ask(many.batch(b), x[..., b, :])
        mine = whole[b] if whole.ndim == alone.ndim + 1 and whole.shape[0] == 3 and not rows else None
        mine = whole.select(len(rows) if whole.shape[: len(rows)] == rows else 0, b) if mine is None else mine
        assert torch.allclose(mine, alone, rtol=1e-9, atol=1e-12)


class Counted(TorchDispatchMode):
    """Counts the operations that torch is asked for."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += 1
        return func(*args, **(kwargs or {}))


def operations(run):
    with Counted() as counted:
        run()
    return counted.count


ASKED = QUESTIONS | {"sample": lambda m, x: m.sample(), "sample many": lambda m, x: m.sample((60,))}


@pytest.mark.parametrize("question", ASKED)
@pytest.mark.parametrize("name", NAMES)
def test_no_question_loops_over_the_entries_of_a_batch(name, question):
    few, many = (
        operations(lambda size=size: ASKED[question](batch(name, size), torch.randn(size, FEATURES)))
        for size in (7, 400)
    )
    assert many - few < 393  # not one more operation for each of 393 more entries: only for blocks of rows


def test_draws_of_a_batch_have_the_moments_of_its_entries():
    many = batch("full", 300)
    x = many.sample((3000,))
    error = (many.variance / len(x)).sqrt()
    assert ((x.mean(0) - many.mean).abs() < 6 * error).all()
    spread = (x - many.mean).square().mean(0)
    assert torch.allclose(spread, many.variance, rtol=0.35)


def test_pathwise_draws_of_a_batch_have_gradients():
    many = batch("full", 50)
    mean = many.components.mean.clone().requires_grad_()
    moved = mx.Mixture(many.weights, mx.Gaussian(mean, many.components.structure))
    moved.rsample((3,)).sum().backward()
    # all means of an entry moved alike move each of its draws by as much
    assert torch.allclose(mean.grad.sum(-2), torch.tensor(3.0))
