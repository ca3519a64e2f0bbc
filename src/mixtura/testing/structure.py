"""The laws of a covariance structure: it agrees with its dense twin."""

from __future__ import annotations

import torch
from torch import Tensor

from ..components import Gaussian, Structure
from .contract import assert_close, skip
from .structure_algebra import AlgebraContract

__all__ = ["StructureContract", "check_structure"]


class StructureContract(AlgebraContract):
    """The laws of a covariance structure; a subclass says how to `make` one with leading shape ``(K,)`` (or ``(1,)``).

    Attributes:
        features: The number of coordinates D, at least 2.
        components: The number of components K that a tied structure serves, and at least 2.

    Example:
        >>> class TestRound(mx.testing.StructureContract):
        ...     def make(self):
        ...         return mx.Spherical(torch.tensor([0.5, 3.0], dtype=torch.float64))
        >>> TestRound().check()
    """

    features = 3
    components = 2

    # -- the same as the dense matrices

    def test_whiten_and_color_are_inverse(self) -> None:
        structure, residual = self.make(), self._residual(7)
        assert_close(structure.color(structure.whiten(residual)), residual, 1e-9, "color of whiten")
        assert_close(structure.whiten(structure.color(residual)), residual, 1e-9, "whiten of color")

    def test_whiten_gives_the_mahalanobis_distance(self) -> None:
        structure, residual = self.make(), self._residual(5, 2)
        squares = structure.whiten(residual).square().sum(-1)
        solved = torch.linalg.solve(self._dense(structure), residual.unsqueeze(-1)).squeeze(-1)
        assert_close(squares, (residual * solved).sum(-1), 1e-9, "the squared distance")
        assert_close(structure.solve(residual), solved, 1e-9, "solve")

    def test_color_gives_the_covariance(self) -> None:
        structure = self.make()
        eye = torch.eye(self.features, dtype=torch.float64).unsqueeze(1).expand(-1, self.components, -1)
        columns = structure.color(eye).movedim(0, -1)
        assert_close(columns @ columns.mT, self._dense(structure), 1e-9, "L L^T")

    def test_color_rows_is_color_of_one_component(self) -> None:
        structure = self.make()
        noise = torch.randn(6, self.features, generator=self.generator, dtype=torch.float64)
        index = torch.arange(6) % structure.leading[-1]
        every = structure.color(noise.unsqueeze(1).expand(-1, self.components, -1))
        assert_close(structure.color_rows(index, noise), every[torch.arange(6), index], 1e-9, "an index for each row")
        assert_close(structure.color_rows(0, noise), every[:, 0], 1e-9, "one index")

    def test_determinant_and_inverse(self) -> None:
        structure = self.make()
        dense = self._dense(structure)
        logdet = structure.logdet(self.features).expand(self.components)
        assert_close(logdet, torch.linalg.slogdet(dense).logabsdet, 1e-9, "logdet")
        assert_close(2 * structure.half_logdet(self.features), structure.logdet(self.features), 1e-12, "half_logdet")
        assert_close(self._dense(structure.inv()), torch.linalg.inv(dense), 1e-8, "inv")

    def test_a_triangle_whitens_coordinate_by_coordinate(self) -> None:
        """What comes after a coordinate does not tell in its whitened value, which has the scale given those before."""
        structure, residual = self.make().triangular, self._residual(4)
        assert_close(self._dense(structure), self._dense(self.make()), 1e-9, "the same covariances")
        z = structure.whiten(residual)
        for d in range(self.features):
            other = residual.clone()
            other[..., d:] += 1.7
            moved = structure.whiten(other)
            assert_close(moved[..., :d], z[..., :d], 1e-9, "coordinates before")
            scale = structure.scales(self.features)[..., d]
            assert_close((moved - z)[..., d] * scale, torch.full_like(z[..., d], 1.7), 1e-9, "the conditional scale")

    def test_inverse_factor_whitens(self) -> None:
        structure, residual = self.make(), self._residual(4)
        factor = structure.inverse_factor()
        by_factor = {
            2: lambda: (factor @ residual.unsqueeze(-1)).squeeze(-1),
            1: lambda: factor * residual,
            0: lambda: factor.unsqueeze(-1) * residual,
        }[structure.moment_trailing]()
        assert_close(by_factor, structure.triangular.whiten(residual), 1e-9, "the inverse factor")

    def test_variances_and_scales(self) -> None:
        structure = self.make()
        dense = self._dense(structure)
        variance, scales = (t.expand(dense.shape[:-1]) for t in (structure.variance(3), structure.scales(3)))
        assert_close(variance, dense.diagonal(dim1=-2, dim2=-1), 1e-9, "the variances")
        assert_close(scales, torch.linalg.cholesky(dense).diagonal(dim1=-2, dim2=-1), 1e-9, "the scales")

    def test_marginal_keeps_rows_and_columns(self) -> None:
        structure = self.make()
        for dims in ([1], [2, 0], [0, 1, 2]):
            inside = self._dense(structure)[..., dims, :][..., :, dims]
            assert_close(
                _expanded(structure.marginal(dims).dense(len(dims)), self.components), inside, 1e-9, "marginal"
            )

    # -- learning

    def test_moments_reduce_linearly(self) -> None:
        structure, residual = self.make(), self._residual(1)[0]
        outer = residual.unsqueeze(-1) * residual.unsqueeze(-2)
        assert_close(structure.outer(residual), structure.scatter(outer), 1e-12, "outer")
        assert_close(structure.scatter(3 * outer), 3 * structure.scatter(outer), 1e-12, "scatter")
        reduced = structure.scatter(outer)
        assert_close(structure.scatter(structure.dense_moment(reduced, 3)), reduced, 1e-12, "dense_moment")
        total = structure.scatter(outer.sum(0, keepdim=True) if structure.tied else outer)
        assert_close(structure.pooled(outer), total, 1e-12, "pooled")

    def test_moments_give_back_the_structure(self) -> None:
        structure = self.make()
        dense = structure.dense(self.features)
        again = structure.with_moment(structure.scatter(dense), self.features)
        assert_close(again.dense(self.features), dense, 1e-9, "with_moment")
        assert_close(structure.with_covariance(dense).dense(self.features), dense, 1e-9, "with_covariance")
        assert again.tied == structure.tied

    def test_estimate_is_the_maximum(self) -> None:
        """From the estimate no small step to other members of the structure raises the likelihood of the moments."""
        structure = self.make()
        weight, shift, dense, scatter = self._sums(structure)
        moment = dense - shift.unsqueeze(-1) * shift.unsqueeze(-2) / weight[:, None, None]
        for _ in range(100):  # some structures near the maximum by steps
            structure = structure.estimate(weight, shift, scatter, structure.pool(weight))
        best = self._loss(structure, weight, moment)
        for push in self._directions(structure):
            for step in (1e-4, -1e-4):
                worse = self._loss(self._moved(structure, step * push), weight, moment)
                assert worse >= best - 1e-9 * weight.sum(), f"a small step raises the likelihood by {best - worse:.3g}"

    def test_estimate_has_no_slope(self) -> None:
        """Where every factor is a member, the likelihood of the moments is flat in the factor at the estimate."""
        structure = self.make()
        if structure.constrained:
            skip("not every factor is one of the structure")
        weight, shift, dense, scatter = self._sums(structure)
        moment = dense - shift.unsqueeze(-1) * shift.unsqueeze(-2) / weight[:, None, None]
        fitted = structure.estimate(weight, shift, scatter, structure.pool(weight))
        factor = fitted.given.detach().clone().requires_grad_()
        (slope,) = torch.autograd.grad(self._loss(fitted._replace(factor=factor), weight, moment), factor)
        slope = slope.tril() if structure.trailing == 2 else slope
        assert_close(slope, torch.zeros_like(slope), 1e-8 * weight.sum().item(), "the slope at the estimate")

    def test_parameters_counts_what_moves_the_matrices(self) -> None:
        """The members near one, all of them projections of nearby matrices, have as many dimensions as parameters."""
        structure = self.make()
        moved = [
            (self._moved(structure, 1e-4 * push).dense(3) - self._moved(structure, -1e-4 * push).dense(3)) / 2e-4
            for push in self._directions(structure)
        ]
        whitening = torch.linalg.inv(torch.linalg.cholesky(structure.dense(self.features)))
        jacobian = (whitening @ torch.stack(moved) @ whitening.mT).flatten(1)
        rank = int(torch.linalg.matrix_rank(jacobian, rtol=1e-4))
        assert structure.parameters(self.components, self.features) == rank

    def test_untied_repeats_the_factor(self) -> None:
        structure = self.make()
        untied = structure.untied(self.components)
        assert not untied.tied and untied.leading[-1] == self.components
        assert_close(untied.dense(self.features), self._dense(structure), 1e-12, "untied")

    def test_gaussians_take_it(self) -> None:
        structure = self.make()
        mean = torch.randn(self.components, self.features, generator=self.generator, dtype=torch.float64)
        gaussian = Gaussian(mean, structure)
        dense = torch.distributions.MultivariateNormal(mean, self._dense(structure))
        x = 2 * torch.randn(9, self.features, generator=self.generator, dtype=torch.float64)
        assert_close(gaussian.log_prob(x), dense.log_prob(x.unsqueeze(1)), 1e-9, "the log-density")

    # -- inside

    def _residual(self, *samples: int) -> Tensor:
        shape = (*samples, self.components, self.features)
        return torch.randn(shape, generator=self.generator, dtype=torch.float64) * torch.linspace(0.3, 4, self.features)

    def _directions(self, structure: Structure) -> Tensor:
        """Symmetric changes of the matrices ``(n, K or 1, D, D)`` that span all there are, at their own scales."""
        factor = torch.linalg.cholesky(structure.dense(self.features))
        pushes = torch.randn(2 * factor.numel(), *factor.shape, generator=self.generator, dtype=factor.dtype)
        return factor @ (pushes + pushes.mT) @ factor.mT

    def _moved(self, structure: Structure, change: Tensor) -> Structure:
        """The member that a change of the matrices leads to."""
        return structure.with_moment(structure.scatter(structure.dense(self.features) + change), self.features)

    def _loss(self, structure: Structure, weight: Tensor, moment: Tensor) -> Tensor:
        """Minus twice the log-likelihood of dense second moments, up to a constant."""
        dense = self._dense(structure)
        fit = (moment * torch.linalg.inv(dense)).sum((-2, -1))
        return (weight * torch.linalg.slogdet(dense).logabsdet + fit).sum()

    def _sums(self, structure: Structure) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Weights, shifts and second moments of some weighted rows: dense, and in the structure's own form."""
        residual = self._residual(50) + 0.7
        r = torch.rand(50, self.components, generator=self.generator, dtype=torch.float64)
        dense = torch.einsum("nk,nki,nkj->kij", r, residual, residual)
        return r.sum(0), torch.einsum("nk,nki->ki", r, residual), dense, structure.pooled(dense)


def check_structure(structure: Structure, features: int, components: int) -> None:
    """Runs every law of `StructureContract` on a structure of that many features, serving that many components.

    Raises:
        AssertionError: If a law does not hold.

    Example:
        >>> mx.testing.check_structure(mx.Spherical(torch.tensor([0.5, 3.0], dtype=torch.float64)), 3, 2)
    """
    given(structure, features, components).check()


def given(structure: Structure, features: int, components: int) -> StructureContract:
    """Returns the contract of this structure."""

    class Given(StructureContract):
        def make(self) -> Structure:
            return structure

    contract = Given()
    contract.features, contract.components = features, components
    return contract


def _expanded(dense: Tensor, components: int) -> Tensor:
    return dense.expand(components, *dense.shape[-2:])
