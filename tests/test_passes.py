"""The passes against scipy, against each other, and against the laws of weighted sums."""

from itertools import product

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

from mixtura.components import passes

STRUCTURES = ("full", "diagonal", "spherical")
torch_pass_of = {name: getattr(passes, f"{name}_pass") for name in STRUCTURES}
joint_of = {name: getattr(passes, f"{name}_log_joint") for name in STRUCTURES}
density_of = {name: getattr(passes, f"{name}_log_density") for name in STRUCTURES}
CASES = list(product(STRUCTURES, (False, True)))


def problem(structure, tied, rows=211, features=4, components=3, restarts=2, seed=0):
    """Rows and parameters at unequal, non-unit scales: (x, weight, mean, factor, logits)."""
    rng = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=rng, dtype=torch.float64)

    shared = 1 if tied else components
    mean = 3 * normal(restarts, components, features)
    x = normal(rows, features) * torch.linspace(0.5, 4, features) + 1
    weight = torch.rand(rows, generator=rng, dtype=torch.float64) * 2
    log_weights = torch.log_softmax(normal(restarts, components), -1)
    scale = torch.exp(0.4 * normal(restarts, shared, features)) / 2
    match structure:
        case "full":
            factor = torch.diag_embed(scale) + 0.2 * normal(restarts, shared, features, features).tril(-1)
            log_det = scale.log().sum(-1)
        case "diagonal":
            factor, log_det = scale, scale.log().sum(-1)
        case _:
            factor, log_det = scale[..., 0], features * scale[..., 0].log()
    logits = log_weights + log_det - features / 2 * np.log(2 * np.pi)
    return x, weight, mean, factor, logits


def covariances(structure, mean, factor):
    """Dense covariances (B, K, D, D)."""
    features = mean.shape[-1]
    match structure:
        case "full":
            whitening = factor
        case "diagonal":
            whitening = torch.diag_embed(factor)
        case _:
            whitening = factor[..., None, None] * torch.eye(features, dtype=torch.float64)
    inverse = torch.linalg.inv(whitening)
    return (inverse @ inverse.mT).expand(*mean.shape, features), whitening


def oracle(structure, tied, x, weight, mean, factor, logits):
    """The sums from scipy's densities and plain NumPy sums, one component at a time."""
    covariance, whitening = covariances(structure, mean, factor)
    log_det = torch.linalg.slogdet(whitening).logabsdet
    log_weights = (logits - log_det + x.shape[1] / 2 * np.log(2 * np.pi)).numpy()
    x, weight, mean, covariance = (t.numpy() for t in (x, weight, mean, covariance))
    restarts, components = log_weights.shape
    joint = np.stack(
        [
            [log_weights[b, k] + multivariate_normal(mean[b, k], covariance[b, k]).logpdf(x) for k in range(components)]
            for b in range(restarts)
        ]
    )  # (B, K, N)
    density = logsumexp(joint, axis=1)
    r = weight * np.exp(joint - density[:, None])
    residual = x - mean[:, :, None]  # (B, K, N, D)
    scatter = np.einsum("bkn,bkni,bknj->bkij", r, residual, residual)
    if structure != "full":
        scatter = np.diagonal(scatter, axis1=-2, axis2=-1)
    if structure == "spherical":
        scatter = scatter.sum(-1)
    if tied:
        scatter = scatter.sum(1, keepdims=True)
    return joint, density, (density @ weight, r.sum(-1), np.einsum("bkn,bkni->bki", r, residual), scatter)


def check(sums, expected, tolerance=1e-11):
    for got, want in zip(sums, expected, strict=True):
        want = torch.tensor(np.array(want))
        assert got.dtype == torch.float64 and got.shape == want.shape
        assert (got - want).abs().max() <= tolerance * want.abs().max()


@pytest.mark.parametrize(("structure", "tied"), CASES)
def test_pass_agrees_with_scipy(structure, tied):
    arguments = problem(structure, tied)
    check(torch_pass_of[structure](*arguments), oracle(structure, tied, *arguments)[2])


@pytest.mark.parametrize(("structure", "tied"), CASES)
def test_densities_agree_with_scipy(structure, tied):
    arguments = problem(structure, tied)
    x, _, *parameters = arguments
    joint, density, _ = oracle(structure, tied, *arguments)
    torch.testing.assert_close(joint_of[structure](x, *parameters), torch.as_tensor(joint).permute(2, 0, 1))
    torch.testing.assert_close(density_of[structure](x, *parameters), torch.as_tensor(density).mT)
