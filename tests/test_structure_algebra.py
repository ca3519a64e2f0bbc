"""What structures become under noise, images, multiples and measurements: the least general that holds.

That they have the matrices of their dense twins is a law of `mixtura.testing`; here are the kinds, and `Eigen`.
"""

from dataclasses import dataclass

import pytest
import torch
from tables import STRUCTURES, matrices

import mixtura as mx
from mixtura.components import Diagonal, Full, Structure
from mixtura.components.covariance.posterior import Measurement
from mixtura.errors import MixtureError
from mixtura.testing import StructureContract
from mixtura.testing import structure as contract

FEATURES = 3


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=generator(seed), dtype=torch.float64)


def rotation(angles):
    skew = torch.zeros(FEATURES, FEATURES, dtype=torch.float64)
    skew[*torch.triu_indices(FEATURES, FEATURES, 1)] = angles
    return torch.matrix_exp(skew - skew.mT)


ROUND, AXES, MATRICES, FACTORS, TURNED = mx.Spherical, Diagonal, Full, mx.LowRank, mx.Eigen
BECOMES = {  # with round, diagonal and full noise; images that pick, turn, turn and stretch, or mix coordinates
    **dict.fromkeys(("spherical", "tied-spherical"), (ROUND, AXES, MATRICES, ROUND, ROUND, AXES, MATRICES)),
    **dict.fromkeys(("diagonal", "tied-diagonal", "VEI", "EVI"), (AXES, AXES, MATRICES, AXES, *[MATRICES] * 3)),
    **dict.fromkeys(("low-rank-1", "tied-low-rank-1"), (FACTORS, FACTORS, MATRICES, FACTORS, *[MATRICES] * 3)),
    **dict.fromkeys(
        ("eigen", "tied-eigen", "VEE", "EVE", "VVE"), (TURNED, MATRICES, MATRICES, MATRICES, TURNED, MATRICES, MATRICES)
    ),
    **dict.fromkeys(("full", "tied-full", "EEV", "VEV", "EVV"), (MATRICES,) * 7),
}


def becomes(one):
    """What a structure becomes, in the order of the table."""
    noises = (
        mx.Spherical(torch.tensor(0.3).double(), tied=True),
        Diagonal(torch.tensor([0.3, 1.0, 2.0]).double(), tied=True),
        Full(matrices(seed=9), tied=True),
    )
    turn, stretch = torch.linalg.qr(normal(FEATURES, FEATURES, seed=11)).Q, torch.tensor([[0.5], [3.0], [2.0]]).double()
    images = (torch.eye(FEATURES).double()[[2, 0]], 2 * turn, stretch * turn, normal(2, FEATURES, seed=12))
    return [one.plus(noise) for noise in noises] + [one.image(matrix) for matrix in images]


@pytest.mark.parametrize("name", STRUCTURES)
def test_a_structure_becomes_the_least_general(name):
    found = [type(one) for one in becomes(STRUCTURES[name])]
    assert found == list(BECOMES[name])


@pytest.mark.parametrize("name", STRUCTURES)
def test_a_multiple_keeps_what_is_shared(name):
    one, alike, own = STRUCTURES[name], torch.tensor([2.0]).double(), torch.tensor([2.0, 3.0]).double()
    assert type(one.scaled(alike)) is type(one)
    apart = {"EVI": Diagonal, "EEV": Full, "EVV": Full, "EVE": mx.Eigen}  # of one volume, which they lose
    assert type(one.scaled(own)) is apart.get(name, type(one))


@pytest.mark.parametrize("name", STRUCTURES)
def test_gaussians_keep_the_least_general_structure(name):
    """Through every operation of a mixture's own."""
    gaussian = mx.Gaussian(normal(2, FEATURES), STRUCTURES[name])
    mixture = mx.Mixture(torch.ones(2), gaussian)
    kinds = BECOMES[name]
    noisy = [mixture.convolve(noise) for noise in (0.4, [0.1, 0.2, 0.3], matrices(seed=4))]
    assert [type(one.components.structure) for one in noisy] == list(kinds[:3])
    assert type(mixture.affine(torch.eye(3)[[1, 0]]).components.structure) is kinds[3]
    apart = mixture.condition([1], normal(5, 1)).components.structure
    assert type(apart) is type(STRUCTURES[name].marginal([0, 2])) and apart.tied == STRUCTURES[name].tied
    other = mx.Mixture(torch.ones(2), mx.Gaussian(normal(2, FEATURES, seed=2), Diagonal(normal(2, FEATURES).exp())))
    product = mixture.product(other).components.structure
    assert type(product) is (Diagonal if STRUCTURES[name].elementwise else Full)


def test_gradients_reach_the_axes():
    """Along rotations of the axes, densities change as those of the dense matrices do."""
    angles = normal(FEATURES, seed=13).requires_grad_()
    spectrum, mean, x = normal(2, FEATURES).exp(), normal(2, FEATURES, seed=1), normal(6, FEATURES, seed=2)

    def slope(family):
        structure = family(rotation(angles), spectrum)
        noisy = structure.plus(mx.Spherical(torch.tensor(0.3).double(), tied=True))
        mixture = mx.Mixture._of(torch.zeros(2).double(), mx.Gaussian(mean, noisy))
        return torch.autograd.grad(mixture.log_prob(x).sum(), angles)[0]

    dense = slope(lambda axes, variances: Full((axes * variances.unsqueeze(-2)) @ axes.mT))
    torch.testing.assert_close(slope(mx.Eigen), dense)


@pytest.mark.parametrize("name", STRUCTURES)
def test_a_batch_of_structures_is_each_alone(name):
    """Densities, marginals, conditionals and images of a batch."""
    one, mean = STRUCTURES[name], normal(3, 2, FEATURES)
    leading = len(one.leading)
    several = one.map(lambda tensor: tensor.expand(3, *tensor.shape)).scaled(
        torch.tensor([[0.5], [1.0], [2.0]]).double()
    )
    batch = mx.Mixture(torch.ones(3, 2), mx.Gaussian(mean, several))
    assert len(several.leading) == leading + 1
    x, matrix = normal(3, FEATURES, seed=5), normal(2, FEATURES, seed=6)
    for n, scale in enumerate((0.5, 1.0, 2.0)):
        alone = mx.Mixture(torch.ones(2), mx.Gaussian(mean[n], one.scaled(torch.tensor([scale]).double())))
        for ask in (
            lambda m, x: m.log_prob(x),
            lambda m, x: m.score(x),
            lambda m, x: m.marginal([2, 0]).log_prob(x[..., :2]),
            lambda m, x: m.condition([1], x[..., :1]).log_prob(x[..., 1:]),
            lambda m, x: m.affine(matrix).log_prob(x[..., 1:]),
            lambda m, x: m.convolve(0.4).log_prob(x),
            lambda m, x: m.product(m).log_prob(x),
        ):
            torch.testing.assert_close(ask(batch, x)[n], ask(alone, x[n]))


@pytest.mark.parametrize("axes", [torch.eye(3) * 1.1, torch.eye(2), torch.eye(3).repeat(3, 1, 1)])
def test_axes_are_orthogonal_matrices_one_for_each_component_or_for_all(axes):
    with pytest.raises(MixtureError, match="axes"):
        mx.Eigen(axes, torch.ones(2, 3))


def test_axes_and_spectrum_come_together():
    with pytest.raises(MixtureError, match="spectrum"):
        mx.Eigen(torch.eye(3))
    with pytest.raises(MixtureError, match="variance"):
        mx.Eigen(torch.eye(3), torch.zeros(2, 3))


def test_eigen_learns_what_full_learns():
    x = mx.datasets.old_faithful()
    one, other = (mx.fit(x, 2, covariance=name, generator=generator()) for name in ("eigen", "full"))
    assert one.log_likelihood == pytest.approx(other.log_likelihood, abs=1e-6)
    assert one.parameters == other.parameters


@pytest.mark.parametrize("name", STRUCTURES)
def test_what_is_recorded_keeps_the_least_general_structure(name):
    one, kinds = STRUCTURES[name], BECOMES[name]
    mixture = mx.Mixture(torch.ones(2), mx.Gaussian(normal(2, FEATURES), one))
    several, pick = torch.tensor([0.3, 1.0, 2.0]).double(), torch.eye(FEATURES).double()[[2, 0]]
    observations = {
        mx.observation.AdditiveNoise(scale=0.4): kinds[0],
        mx.observation.AdditiveNoise(scale=several): kinds[1],
        mx.observation.AdditiveNoise(covariance=matrices(seed=4)): kinds[2],
        mx.observation.LinearMeasurement(pick, scale=0.4): kinds[3],
    }
    for observation, kind in observations.items():
        found = mixture.observed(observation).components.structure
        assert type(found) is kind and found.tied == one.tied


@pytest.mark.parametrize("name", ["eigen", "tied-eigen", "VEE", "EVE", "VVE"])
@pytest.mark.parametrize("matrix", [None, 2 * torch.linalg.qr(normal(FEATURES, FEATURES, seed=11)).Q])
def test_round_errors_leave_the_axes_as_they_are(name, matrix):
    """And everything else is as for the dense twin."""
    mean, y, noise = normal(2, FEATURES), normal(5, 1, FEATURES, seed=3), torch.full((1, FEATURES), 0.49).double()
    measurement = Measurement(matrix, noise, diagonal=True, absent=None)
    (mine, gain), (theirs, other) = (
        one.posterior(measurement, FEATURES) for one in (STRUCTURES[name], STRUCTURES[name].full(FEATURES))
    )
    assert type(mine) is mx.Eigen
    torch.testing.assert_close(mine.dense(FEATURES), theirs.dense(FEATURES))
    torch.testing.assert_close(gain.explain(y, mean), other.explain(y, mean))  # evidence and means


@pytest.mark.parametrize("name", STRUCTURES)
def test_one_coordinate_is_always_on_its_own(name):
    assert STRUCTURES[name].marginal([1]).elementwise
    assert STRUCTURES[name].elementwise == (BECOMES[name][0] in (mx.Spherical, Diagonal))


# -- a structure from elsewhere is one class


@dataclass(frozen=True, eq=False, repr=False, init=False)
class Proportional(Structure):
    """Multiples of a known matrix, one scale for each component."""

    root: torch.Tensor  # the Cholesky factor of the matrix, (1, D, D)

    trailing = 0
    moment_trailing = 2
    constrained = True
    form = Full.form

    def __init__(self, variance, matrix):
        root = torch.linalg.cholesky(matrix).unsqueeze(0)
        for name, value in (("factor", variance.sqrt()), ("tied", False), ("root", root)):
            object.__setattr__(self, name, value)

    @property
    def width(self):
        return self.root.shape[-1]

    def fits(self, features):
        return self.width == features

    def full(self, features):
        return Full.from_scale_tril(self.given[..., None, None] * self.root)

    def with_moment(self, moment, features):
        share = torch.cholesky_solve(moment, self.root).diagonal(dim1=-2, dim2=-1).mean(-1)
        return self._replace(factor=share.sqrt(), root=self.root.expand(*moment.shape[:-3], *self.root.shape[-3:]))

    def parameters(self, components, features):
        return components


@pytest.mark.parametrize("law", StructureContract.laws())
def test_a_structure_from_elsewhere(law):
    ours = Proportional(torch.tensor([0.5, 3.0]).double(), matrices())
    getattr(contract.given(ours, FEATURES, 2), law)()


def test_a_structure_from_elsewhere_learns_and_is_measured():
    x = mx.datasets.old_faithful()
    ours = Proportional(torch.ones(2).double(), x.T.cov())
    mixture = mx.fit(x, 2, covariance=ours, generator=generator()).mixture
    assert type(mixture.components.structure) is Proportional
    errors = mx.observation.AdditiveNoise(scale=0.3)
    dense = mx.Mixture._of(mixture.logits, mx.Gaussian(mixture.components.mean, mixture.components.covariance))
    found, twin = (one.posterior(errors, x[:5]) for one in (mixture, dense))
    torch.testing.assert_close(found.covariance, twin.covariance)
