"""Known labels and frozen parameters."""

import pytest
import torch
from random_fits import labels, rows

import mixtura as mx
from mixtura.errors import MixtureError

F64 = torch.float64
CENTRES = torch.tensor([[0.0, 0.0], [3.0, 0.0], [1.5, 3.0]], dtype=F64)


def groups(rows=300, seed=0):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(3, (rows,), generator=generator)
    return CENTRES[labels] + torch.randn(rows, 2, generator=generator, dtype=F64), labels


def partly(labels, share=0.3):
    hidden = torch.rand(len(labels), generator=torch.Generator().manual_seed(1)) > share
    return torch.where(hidden, -1, labels)


METHODS = [mx.EM(), mx.ClassificationEM(), mx.AnnealedEM(), mx.StochasticEM(draws=5), mx.Variational(), mx.KMeans()]


@pytest.mark.parametrize("method", METHODS, ids=lambda method: type(method).__name__)
def test_all_labels_given_is_the_closed_form(method):
    x, labels = groups()
    fit = mx.fit(x, 3, method=method, labels=labels)
    means = torch.stack([x[labels == k].mean(0) for k in range(3)])
    torch.testing.assert_close(fit.mixture.components.mean, means, atol=2e-3, rtol=0)
    if isinstance(method, mx.EM):
        shares = torch.bincount(labels).double() / len(labels)
        torch.testing.assert_close(fit.mixture.weights, shares)
        covariance = torch.stack([torch.cov(x[labels == k].T, correction=0) for k in range(3)])
        torch.testing.assert_close(fit.mixture.components.covariance, covariance)


def test_the_objective_is_the_joint_density_of_rows_and_labels():
    x, labels = groups()
    known = partly(labels)
    fit = mx.fit(x, 3, labels=known)
    joint = fit.mixture.log_joint(x)
    exact = torch.where(known < 0, joint.logsumexp(-1), joint.gather(-1, known.clamp_min(0).unsqueeze(-1)).squeeze(-1))
    assert fit.log_likelihood == pytest.approx(exact.sum().item(), rel=1e-10)
    assert fit.trace[-1].item() == pytest.approx(exact.mean().item(), rel=1e-6)
    assert (fit.trace.diff() > -1e-12).all()


@pytest.mark.parametrize("method", [*METHODS, mx.Gibbs(50, 20, 2)], ids=lambda method: type(method).__name__)
def test_components_carry_the_classes_names(method):
    x, labels = groups()
    order = torch.tensor([2, 0, 1])
    fit = mx.fit(x, 3, method=method, labels=partly(order[labels]), generator=torch.Generator().manual_seed(0))
    nearest = torch.cdist(CENTRES, fit.mixture.components.mean).argmin(-1)
    assert torch.equal(nearest, order)


def test_components_without_labels_find_their_own_rows():
    x, labels = groups()
    fit = mx.fit(x, 3, labels=torch.where(labels == 2, -1, partly(labels)))
    torch.testing.assert_close(fit.mixture.components.mean, CENTRES, atol=0.5, rtol=0)


def test_labels_of_rows_without_weight_change_nothing():
    x, labels = groups()
    start = mx.fit(x, 3).mixture
    one = torch.full_like(labels, -1)
    first = int((start.assign(x) == 0).nonzero()[0])
    one[first] = 0
    weight = torch.ones(len(x), dtype=F64)
    weight[first] = 0
    known = mx.fit(x, init=start, labels=one, sample_weight=weight, method=mx.EM(acceleration=False))
    plain = mx.fit(x, init=start, sample_weight=weight, method=mx.EM(acceleration=False))
    torch.testing.assert_close(known.mixture.components.mean, plain.mixture.components.mean)


def test_kmeans_keeps_known_rows_in_their_cluster():
    x = torch.tensor([[0.0], [1.0], [10.0], [11.0], [9.0]], dtype=F64)
    fit = mx.fit(x, 2, method=mx.KMeans(), labels=torch.tensor([0, -1, 1, -1, 0]))
    assert fit.inertia == pytest.approx(48 + 2 / 3 + 0.5)
    torch.testing.assert_close(fit.mixture.components.mean, torch.tensor([[10 / 3], [10.5]], dtype=F64))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (torch.tensor([0, 2, -1]), "none for 1"),
        (torch.tensor([0, 5, -1]), "from 0 to 2"),
        (torch.tensor([-1, -1, -1]), "known for some row"),
        (torch.tensor([0, 1]), "one whole number for each of 3 rows"),
        (torch.tensor([0.0, 1.0, 2.0]), "one whole number"),
    ],
)
def test_bad_labels_are_refused(labels, message):
    with pytest.raises(MixtureError, match=message):
        mx.fit(torch.randn(3, 2, dtype=F64), 3, labels=labels)


def start_of(x, covariance):
    return mx.fit(x, 3, covariance=covariance, method=mx.EM(2, tolerance=0)).mixture


@pytest.mark.parametrize("covariance", ["full", "diagonal", "spherical", "tied-full"])
@pytest.mark.parametrize("what", ["weights", "means", "covariances"])
def test_what_is_frozen_stays_and_the_rest_climbs(covariance, what):
    x, _ = groups()
    start = start_of(x, covariance)
    fit = mx.fit(x, init=start, freeze=mx.Freeze(**{what: True}))
    parts = {
        "weights": lambda m: m.logits,
        "means": lambda m: m.components.mean,
        "covariances": lambda m: m.components.covariance,
    }
    for name, part in parts.items():
        same = torch.equal(part(fit.mixture), part(start))
        assert same == (name == what)
    assert (fit.trace.diff() > -1e-12).all() and fit.converged
    assert (
        fit.parameters
        == start.parameters
        - {
            "weights": 2,
            "means": 6,
            "covariances": start.components.structure.parameters(3, 2),
        }[what]
    )


@pytest.mark.parametrize("what", ["weights", "means", "covariances"])
def test_the_rest_ends_at_a_maximum(what):
    x, _ = groups()
    fit = mx.fit(x, init=start_of(x, "full"), method=mx.EM(5000, 1e-13), freeze=mx.Freeze(**{what: True}))
    free = {
        "weights": fit.mixture.logits,
        "means": fit.mixture.components.location,
        "covariances": fit.mixture.components.structure.factor,
    }
    free = {name: value.clone().requires_grad_() for name, value in free.items() if name != what}
    logits = free.get("weights", fit.mixture.logits)
    location = free.get("means", fit.mixture.components.location)
    factor = free.get("covariances", fit.mixture.components.structure.factor)
    components = mx.Gaussian._of(location=location, structure=mx.Full._of(factor=factor, tied=False))
    total = mx.Mixture._of(torch.log_softmax(logits, -1), components).log_prob(x).mean()
    for name, gradient in zip(free, torch.autograd.grad(total, list(free.values())), strict=True):
        gradient = gradient.tril() if name == "covariances" else gradient
        assert gradient.abs().max() < 1e-5, name


def test_frozen_components_stay():
    x, _ = groups()
    start = start_of(x, "full")
    for method in (mx.EM(), mx.Gibbs(20, 5, 1), mx.OnlineEM(block=100), mx.StochasticEM(draws=5)):
        fit = mx.fit(
            x, init=start, method=method, freeze=mx.Freeze(components=(1,)), generator=torch.Generator().manual_seed(0)
        )
        torch.testing.assert_close(fit.mixture.components.mean[1], start.components.mean[1])
        torch.testing.assert_close(fit.mixture.components.covariance[1], start.components.covariance[1])
        assert not torch.equal(fit.mixture.components.mean[0], start.components.mean[0])


def test_what_cannot_be_frozen_is_refused():
    x, _ = groups()
    start = start_of(x, "tied-full")
    for method, freeze, init, message in (
        (mx.KMeans(), mx.Freeze(weights=True), start, "for this method"),
        (mx.EM(), mx.Freeze(components=(0,)), start, "share parts"),
        (mx.EM(), mx.Freeze(components=(3,)), start, "between 0 and 2"),
        (mx.EM(), mx.Freeze(weights=True), None, "`init` that is a mixture"),
        (mx.EM(prior=mx.Prior.weak(x, 3)), mx.Freeze(means=True), start, "prior"),
    ):
        with pytest.raises(MixtureError, match=message):
            mx.fit(x, 3, init=init, method=method, freeze=freeze)


def test_a_row_whose_label_is_known_starts_there_however_far():
    """Boxes of uniform components hold none but their own rows: a labelled row outside would be impossible."""
    x, known = rows(147, "real", (80, 2), "ties", 1, 0, 3), labels(147, 80, 8)
    fit = mx.fit(x, 8, family=mx.Uniform, labels=known, restarts=2, generator=torch.Generator().manual_seed(147))
    assert torch.isfinite(torch.tensor(fit.log_likelihood)) and fit.converged
