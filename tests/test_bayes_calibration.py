"""Simulation-based calibration: of parameters drawn from the prior, ranks among draws of the posterior are uniform.

.. math:: \\theta \\sim p(\\theta), \\quad x \\sim p(x | \\theta), \\quad \\theta_s \\sim p(\\theta | x)
    \\;\\Rightarrow\\; \\#\\{s: \\theta_s < \\theta\\} \\text{ uniform}

(Talts, Betancourt, Simpson, Vehtari and Gelman, 2018.)
"""

import math

import pytest
import torch
from scipy import stats
from torch.distributions import Beta, Dirichlet, Gamma, LKJCholesky, LogNormal, Normal

import mixtura as mx
from mixtura import bayes
from mixtura.bayes.draws.predictive import replicates
from mixtura.bayes.draws.prior import from_prior

pytest.importorskip("nutpie")
pytest.importorskip("arviz")

_TRIALS, _ROWS, _DRAWS = 100, 40, 20


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


WEIGHTS = Dirichlet(torch.full((2,), 3.0))
MODELS = {
    "normal": (
        bayes.Model(2, mx.Normal, WEIGHTS, {"loc": Normal(0.0, 3.0), "scale": LogNormal(0.0, 0.3)}, ordered="loc"),
        torch.randn(_ROWS, generator=seeded()).double(),
    ),
    "gaussian": (
        bayes.Model(
            2, mx.Gaussian, WEIGHTS,
            {"mean": Normal(0.0, 3.0), "scale": LogNormal(0.0, 0.3), "correlation": LKJCholesky(2, 2.0)},
            ordered="mean",
        ),
        torch.randn(_ROWS, 2, generator=seeded()).double(),
    ),
    "poisson": (
        bayes.Model(2, mx.Poisson, WEIGHTS, {"rate": Gamma(3.0, 0.5)}, ordered="rate"),
        torch.arange(_ROWS).double() % 9,
    ),
    "student": (
        bayes.Model(
            2, mx.StudentT, WEIGHTS,
            {"loc": Normal(0.0, 3.0), "scale": LogNormal(0.0, 0.3), "dof": Gamma(10.0, 1.0)},
            ordered="loc",
        ),
        torch.randn(_ROWS, generator=seeded()).double(),
    ),
    "walls": (
        bayes.Model(
            2, mx.Normal, WEIGHTS, {"loc": Normal(0.0, 3.0)}, {"scale": 1.0},
            potentials=[bayes.ordered("loc"), bayes.min_weight(0.1)],
        ),
        torch.randn(_ROWS, generator=seeded()).double(),
    ),
}  # fmt: skip


def ranks(model, like):
    """Ranks of each parameter's draws from the prior among nearly independent ones of the posterior, by name."""
    first = model.posterior(like)
    truth = from_prior(first, _TRIALS, seeded(11))
    rows = torch.cat(
        [replicates(first, {k: v[s : s + 1] for k, v in truth.items()}, seeded(s)) for s in range(_TRIALS)]
    )
    found: dict[str, list[torch.Tensor]] = {name: [] for name in first.names}
    for s, x in enumerate(rows):
        posterior = model.posterior(x)
        drawn = bayes.engine.draw(posterior, 20 * _DRAWS, 500, 2, 0.95, seed=s)
        for name in found:
            draws = torch.from_numpy(drawn.values[name])[:, 39::40].flatten(0, 1)  # twenty of two chains
            found[name].append((draws < truth[name][s]).sum(0).flatten())
    return {name: torch.stack(each) for name, each in found.items()}


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_ranks_are_uniform(name):
    """Of 21 ranks, over so many parameters that the least p-value of a sound sampler is rarely below this."""
    columns = torch.cat(list(ranks(*MODELS[name]).values()), 1)
    moving = [column for column in columns.mT if int(column.max()) > int(column.min())]
    for column in moving:
        counts = torch.bincount(column, minlength=_DRAWS + 1).reshape(3, 7).sum(1)
        assert stats.chisquare(counts.numpy()).pvalue > 1e-3 / len(moving)


# -- closed forms of one component


def held(prior, family, x, name, **fixed):
    model = bayes.Model(1, family, priors={name: prior}, fixed=fixed)
    drawn = bayes.engine.draw(model.posterior(x), 2000, 500, 2, 0.8, seed=1)
    return torch.from_numpy(drawn.values[name])[:, ::4].flatten().numpy()


def test_one_normal_law_has_the_posterior_of_the_textbook():
    x = 2.0 + torch.randn(30, generator=seeded(3)).double()
    precision = 1 / 9 + 30
    law = stats.norm(float(x.sum()) / precision, 1 / math.sqrt(precision))
    assert stats.kstest(held(Normal(0.0, 3.0), mx.Normal, x, "loc", scale=1.0), law.cdf).pvalue > 1e-3


def test_one_poisson_law_has_the_posterior_of_the_textbook():
    x = torch.poisson(torch.full((30,), 4.0), generator=seeded(3)).double()
    law = stats.gamma(3 + float(x.sum()), scale=1 / (0.5 + 30))
    assert stats.kstest(held(Gamma(3.0, 0.5), mx.Poisson, x, "rate"), law.cdf).pvalue > 1e-3


def test_one_geometric_law_has_the_posterior_of_the_textbook():
    x = torch.tensor([0.0, 1, 3, 0, 2, 5, 1, 0, 0, 2]).double()
    law = stats.beta(2 + 10, 3 + float(x.sum()))
    assert stats.kstest(held(Beta(2.0, 3.0), mx.Geometric, x, "probs"), law.cdf).pvalue > 1e-3


def test_weights_of_known_labels_have_a_dirichlet_posterior():
    """All labels are known: thirty of the first, ten of the second."""
    labels = torch.arange(40).ge(30).long()
    model = bayes.Model(2, mx.Normal, Dirichlet(torch.tensor([2.0, 3.0])), fixed={"loc": [0.0, 1.0], "scale": 1.0})
    drawn = bayes.engine.draw(model.posterior(torch.randn(40, generator=seeded()), labels=labels), 2000, 500, 2, seed=1)
    weights = drawn.values["weights"][:, ::4, 0].ravel()
    assert stats.kstest(weights, stats.beta(32, 13).cdf).pvalue > 1e-3
