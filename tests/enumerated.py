"""The exact posterior of a mixture of normals on a handful of rows, by going through every labelling."""

import itertools
import math

import numpy as np
import torch
from scipy import stats
from scipy.special import gammaln, logsumexp


def log_marginal(x, mean, strength, scale, degrees):
    """Log-probability of numbers under one normal-inverse-Wishart component: a product of Student-t predictions."""
    total, n = 0.0, 0
    for value in x:
        total += predictive(mean, strength, scale, degrees).logpdf(value)
        scale += strength / (strength + 1) * (value - mean) ** 2
        mean = (strength * mean + value) / (strength + 1)
        strength, degrees, n = strength + 1, degrees + 1, n + 1
    return total


def predictive(mean, strength, scale, degrees):
    return stats.t(degrees, mean, math.sqrt(scale * (strength + 1) / (strength * degrees)))


def updated(x, mean, strength, scale, degrees):
    for value in x:
        scale += strength / (strength + 1) * (value - mean) ** 2
        mean = (strength * mean + value) / (strength + 1)
        strength, degrees = strength + 1, degrees + 1
    return mean, strength, scale, degrees


def labellings(x, components, concentration, prior):
    """All labellings of the rows and the log joint probability of each with the rows."""
    every = list(itertools.product(range(components), repeat=len(x)))
    return every, np.array([_log_joint(x, np.array(z), components, concentration, prior) for z in every])


def _log_joint(x, z, components, concentration, prior):
    counts = np.bincount(z, minlength=components)
    dirichlet = gammaln(components * concentration) - gammaln(components * concentration + len(x))
    dirichlet += (gammaln(concentration + counts) - gammaln(concentration)).sum()
    return dirichlet + sum(log_marginal(x[z == k], *prior) for k in range(components))


def log_evidence(x, components, concentration, prior):
    return logsumexp(labellings(x, components, concentration, prior)[1])


def predictive_density(at, x, components, concentration, prior):
    """The posterior predictive density at some points."""
    every, joint = labellings(x, components, concentration, prior)
    shares = np.exp(joint - logsumexp(joint))
    total = np.zeros_like(at)
    for z, share in zip(map(np.array, every), shares, strict=True):
        counts = np.bincount(z, minlength=components)
        weights = (counts + concentration) / (len(x) + components * concentration)
        for k in range(components):
            total += share * weights[k] * predictive(*updated(x[z == k], *prior)).pdf(at)
    return total


def as_prior(concentration, prior):
    import mixtura as mx

    mean, strength, scale, degrees = prior
    wishart = mx.NormalInverseWishart(
        torch.tensor([mean], dtype=torch.float64), strength, torch.tensor([[scale]], dtype=torch.float64), degrees
    )
    return mx.Prior(concentration, wishart)
