"""Student-t components: scipy's density, the compiled pass, heavy tails, and degrees of freedom that run away."""

import pytest
import scipy.stats
import torch

import mixtura as mx

D = torch.float64


def two():
    matrices = torch.tensor([[[1.0, 0.5], [0.5, 2.0]], [[0.5, -0.2], [-0.2, 0.7]]], dtype=D)
    centres = torch.tensor([[0.0, 0.0], [5.0, 3.0]], dtype=D)
    return mx.StudentT(centres, mx.Full(matrices), torch.tensor([3.0, 8.0], dtype=D))


def test_density_is_scipys():
    components, x = two(), torch.randn(20, 2, dtype=D) * 4
    matrices = components.gaussian.covariance
    for k in range(2):
        expected = scipy.stats.multivariate_t(components.loc[k], matrices[k], components.dof[k].item()).logpdf(x)
        assert torch.allclose(components.log_prob(x)[:, k], torch.from_numpy(expected), rtol=1e-12)
    one = mx.StudentT(torch.tensor([1.0], dtype=D), torch.tensor([2.0], dtype=D), 3.5)
    expected = scipy.stats.t(3.5, 1.0, 2.0).logpdf(x[:, 0])
    assert torch.allclose(one.log_prob(x[:, 0]).squeeze(-1), torch.from_numpy(expected), rtol=1e-12)


def test_conditional_times_marginal_is_the_joint():
    components, x = two(), torch.randn(7, 2, dtype=D) * 4
    rest, evidence = components.condition([1], x[:, 1:])
    each = torch.stack([rest.batch(i).log_prob(x[i, :1]) for i in range(7)])
    assert torch.allclose(evidence + each, components.log_prob(x), rtol=1e-10)


def test_parameters_are_recovered():
    # z-scores with the Fisher information of the t in its location, nu + D over (nu + D + 2), per row and component
    truth = mx.Mixture(torch.tensor([0.4, 0.6], dtype=D), two())
    x = truth.sample((20_000,), generator=torch.Generator().manual_seed(0))
    found = mx.fit(x, family=mx.StudentT, init=truth.components.loc).mixture.components
    dof, rows = truth.components.dof, 20_000 * truth.weights
    error = (truth.components.gaussian.variance * ((dof + 4) / (dof + 2) / rows).unsqueeze(-1)).sqrt()
    assert ((found.loc - truth.components.loc).abs() / error).max() < 4.5
    assert torch.allclose(found.dof, dof, rtol=0.2)


def test_one_component_is_scipys_estimate():
    x = scipy.stats.t(4.0, 1.0, 2.0).rvs(3000, random_state=1)
    dof, loc, scale = scipy.stats.t.fit(x)
    found = mx.fit(torch.from_numpy(x), 1, family=mx.StudentT, method=mx.EM(tolerance=1e-12)).mixture.components
    theirs = scipy.stats.t(dof, loc, scale).logpdf(x).sum()
    mine = found.log_prob(torch.from_numpy(x)).sum().item()
    assert mine >= theirs - 1e-9 * abs(theirs)
    assert found.dof.item() == pytest.approx(dof, rel=1e-2)


def test_an_outlier_moves_a_gaussian_and_not_a_student():
    x = torch.randn(200, 2, dtype=D)
    x[0] = 1000.0
    centre = mx.fit(x, 1, family=mx.StudentT).mixture.components.loc
    assert centre.abs().max() < 0.5
    assert mx.fit(x, 1).mixture.components.mean.abs().max() > 3


def test_gaussian_rows_need_no_tails_and_the_fit_says_so():
    fit = mx.fit(torch.rand(500, dtype=D), 1, family=mx.StudentT)
    assert fit.converged
    assert "degrees of freedom of component 0 exceed" in fit.advice


def test_shared_and_fixed_degrees_of_freedom():
    x = torch.cat([torch.randn(300, dtype=D), torch.randn(300, dtype=D) / torch.rand(300, dtype=D) + 20])
    shared = mx.fit(x, 2, family=mx.StudentT.template(shared=True)).mixture
    assert shared.components.dof.unique().numel() == 1 and shared.parameters == 6
    fixed = mx.fit(x, 2, family=mx.StudentT.template(fixed=4.0)).mixture
    assert bool((fixed.components.dof == 4).all()) and fixed.parameters == 5


def test_map_with_a_prior_keeps_scales_from_collapsing():
    x = torch.cat([torch.zeros(20, dtype=D), torch.randn(100, dtype=D) + 5])
    prior = mx.Prior.weak(x, 2)
    fit = mx.fit(x, 2, family=mx.StudentT, method=mx.EM(prior=prior, max_iterations=3000))
    assert fit.converged and bool((fit.trace.diff() > -1e-9).all())


@pytest.mark.parametrize("dof", [0.0, -1.0])
def test_degrees_of_freedom_are_positive(dof):
    with pytest.raises(mx.errors.MixtureError, match="`dof` must be positive"):
        mx.StudentT(torch.zeros(2), torch.ones(2), dof)
