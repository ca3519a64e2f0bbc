"""Densities on R^P with known answers, as posteriors for tests of approximations."""

import math

import torch

HALF_LOG_TWO_PI = 0.5 * math.log(2 * math.pi)


class Target:
    """A posterior that is a function; starts are wide normal draws."""

    def __init__(self, size, log_density, log_evidence=0.0):
        self.size, self.log_density, self.log_evidence = size, log_density, log_evidence
        self.points_at_once = 1000

    def start(self, generator=None):
        return 2 * torch.randn(self.size, generator=generator, dtype=torch.float64)

    def constrain(self, u):
        return {"u": u, "positive": u.exp()}


class Normal(Target):
    """exp(c) N(mean, covariance) with correlated coordinates of unequal scales."""

    def __init__(self, size, seed=0, spread=3.0, log_evidence=1.7):
        generator = torch.Generator().manual_seed(seed)
        wide = torch.randn(size, 2 * size, generator=generator, dtype=torch.float64)
        scale = (
            torch.logspace(-spread, spread, size, dtype=torch.float64) if size > 1 else torch.full((1,), 10.0**spread)
        )
        self.covariance = (wide @ wide.mT / (2 * size)) * scale * scale.unsqueeze(-1)
        self.mean = 5 * scale * torch.randn(size, generator=generator, dtype=torch.float64)
        self.scale = self.covariance.diagonal().sqrt()
        self.factor = torch.linalg.cholesky(self.covariance)
        super().__init__(size, self._log_density, log_evidence)

    def _log_density(self, u):
        z = torch.linalg.solve_triangular(self.factor, (u - self.mean).unsqueeze(-1), upper=False).squeeze(-1)
        constant = self.factor.diagonal().log().sum() + self.size * HALF_LOG_TWO_PI
        return self.log_evidence - z.square().sum(-1) / 2 - constant

    def sample(self, shape, generator=None):
        noise = torch.randn(*shape, self.size, generator=generator, dtype=torch.float64)
        return self.mean + noise @ self.factor.mT


def standard(u):
    return -u.square().sum(-1) / 2 - u.shape[-1] * HALF_LOG_TWO_PI


def two_modes(u):
    return torch.logaddexp(standard(u - 5) + math.log(0.3), standard(u + 5) + math.log(0.7))


def banana(u):
    first, second = u[..., 0], (u[..., 1] - u[..., 0].square()) / 0.5
    return standard(first.unsqueeze(-1)) + standard(second.unsqueeze(-1)) - math.log(0.5)


def funnel(u):
    log_variance = u[..., :1]
    inner = standard(u[..., 1:] * (-log_variance / 2).exp()) - (u.shape[-1] - 1) * log_variance.squeeze(-1) / 2
    return standard(log_variance / 3) - math.log(3) + inner


def heavy(u):
    return torch.distributions.StudentT(torch.tensor(4.0).double()).log_prob(u).sum(-1)


def skewed(u):
    """The logarithms of Gamma(3, 1) numbers."""
    return (3 * u - u.exp()).sum(-1) - u.shape[-1] * math.lgamma(3.0)


def half(u):
    """A standard normal right of .5, cut off at once: its integral is that of the tail."""
    return torch.where(u[..., 0] > 0.5, standard(u), -torch.inf)


HALF_EVIDENCE = math.log(math.erfc(0.5 / math.sqrt(2)) / 2)

SHAPES = {
    "two modes": Target(3, two_modes),
    "banana": Target(2, banana),
    "funnel": Target(5, funnel),
    "heavy": Target(2, heavy),
    "skewed": Target(3, skewed),
    "half": Target(2, half, HALF_EVIDENCE),
}
