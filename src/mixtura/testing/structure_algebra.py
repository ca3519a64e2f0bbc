"""The laws of the algebra of covariance structures: what a structure becomes has the matrices of its dense twin."""

from __future__ import annotations

import torch
from torch import Tensor

from ..components import Diagonal, Full, Spherical, Structure
from .contract import Contract, assert_close

__all__ = ["AlgebraContract"]


class AlgebraContract(Contract):
    """What holds of sums, images, multiples and parts of any structure; a part of `StructureContract`."""

    features = 3
    components = 2

    def make(self) -> Structure:
        """Returns the structure under test."""
        raise NotImplementedError("A contract must say how to make the structure that it tests.")

    def test_sums_have_the_sum_of_matrices(self) -> None:
        structure = self.make()
        for noise in self._noises():
            expected = self._dense(structure) + noise.dense(self.features)
            assert_close(self._dense(structure.plus(noise)), expected, 1e-9, f"plus {noise}")
            assert_close(self._dense(noise.plus(structure)), expected, 1e-9, f"{noise} plus")

    def test_images_have_the_image_of_matrices(self) -> None:
        structure = self.make()
        for matrix in self._matrices():
            expected, image = matrix @ self._dense(structure) @ matrix.mT, structure.image(matrix)
            assert_close(_spread(image, expected), expected, 1e-9, f"image under {matrix.tolist()}")
            logdet = image.logdet(len(matrix)).expand(self.components)
            assert_close(logdet, torch.logdet(expected), 1e-8, f"the determinant of the image under {matrix.tolist()}")

    def test_images_with_noise_need_no_rank(self) -> None:
        structure = self.make()
        for matrix in (torch.cat([self._random(self.features), self._random(2)]), torch.zeros(2, self.features)):
            noise = Diagonal(torch.linspace(0.2, 3, len(matrix), dtype=torch.float64), tied=True)
            matrix = matrix.double()
            expected = matrix @ self._dense(structure) @ matrix.mT + noise.dense(len(matrix))
            assert_close(_spread(structure.image(matrix, noise), expected), expected, 1e-9, "image plus noise")

    def test_multiples_have_the_multiple_of_matrices(self) -> None:
        structure = self.make()
        for scale in (torch.tensor([1.7]), torch.linspace(0.3, 2.5, self.components)):
            expected = scale.double().square()[:, None, None] * self._dense(structure)
            assert_close(self._dense(structure.scaled(scale.double())), expected, 1e-9, "scaled")

    def test_conditionals_have_the_conditional_matrices(self) -> None:
        structure = self.make()
        for known, free in (([0], [1, 2]), ([2, 1], [0]), ([1], [2, 0])):
            dense = self._dense(structure)
            gain = torch.linalg.solve(_block(dense, known, known), _block(dense, known, free)).mT
            expected = _block(dense, free, free) - gain @ _block(dense, known, free)
            found = structure.conditional(known, free)
            assert_close(_spread(found, expected), expected, 1e-9, "conditional")
            assert found.tied == structure.tied
            mean, values = self._random(self.components), self._random(5)[:, known]
            residual = values.unsqueeze(-2) - mean[:, known]
            moved = mean[:, free] + (gain @ residual.unsqueeze(-1)).squeeze(-1)
            assert_close(structure.predicted(mean, known, free, values), moved, 1e-9, "conditional mean")
            stacked = mean.expand(5, -1, -1)
            assert_close(structure.predicted(stacked, known, free, values), moved, 1e-9, "of a batch")

    def test_what_is_shared_stays_shared(self) -> None:
        """Noise, matrix or scale in common leave a structure tied; one for each component unties it."""
        structure, ones = self.make(), torch.ones(self.components, dtype=torch.float64)
        for noise in self._noises():
            assert structure.plus(noise).tied == (structure.tied and noise.tied), f"plus {noise}"
        for matrix in self._matrices():
            assert structure.image(matrix).tied == structure.tied
            assert not structure.image(matrix * ones[:, None, None]).tied
        assert structure.scaled(ones[:1]).tied == structure.tied and not structure.scaled(ones).tied
        assert structure.shares or not structure.tied

    def test_leading_dimensions_make_a_batch(self) -> None:
        """A noise or a matrix for each row and all components gives what each of them gives alone."""
        structure = self.make()
        for noise in self._noises():
            each = [noise.scaled(torch.tensor([scale])) for scale in (0.5, 1.0, 2.0)]
            several = noise._replace(factor=torch.stack([one.given for one in each]))
            self._same_one_by_one(structure.plus(several), [structure.plus(one) for one in each], self.features)
        for matrix in self._matrices():
            stack = matrix * torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64).reshape(3, 1, 1, 1)
            self._same_one_by_one(structure.image(stack), [structure.image(one) for one in stack], len(matrix))

    def test_gradients_are_those_of_the_matrices(self) -> None:
        """Of every sum and image, in the factor, in the noise and in the matrix."""
        structure = self.make()
        for noise in self._noises():
            mine, theirs = _leaf(structure), _leaf(noise)
            expected = mine.dense(self.features) + theirs.dense(self.features)
            self._same_gradients(mine.plus(theirs), expected, [mine.given, theirs.given])
        for matrix in self._matrices():
            mine, by = _leaf(structure), matrix.requires_grad_()
            expected = by @ mine.dense(self.features) @ by.mT
            self._same_gradients(mine.image(by), expected, [mine.given, by])
            self._same_gradients(mine.image(by.detach()), expected, [mine.given])

    def test_single_precision_keeps_its_digits(self) -> None:
        structure = self.make()
        single = structure.to(torch.float32)
        for noise in self._noises():
            sum_ = single.plus(noise.to(torch.float32))
            assert sum_.dtype == torch.float32
            exact = structure.plus(noise).dense(self.features)
            assert_close(sum_.dense(self.features).double(), exact, 3e-6, f"plus {noise}")
        for matrix in self._matrices():
            exact = structure.image(matrix).dense(len(matrix))
            assert_close(single.image(matrix.float()).dense(len(matrix)).double(), exact, 3e-6, "image")

    # -- inside

    def _noises(self) -> list[Structure]:
        """Noise of each kind, in common and one for each component."""
        variances = torch.linspace(0.3, 2, self.components * self.features, dtype=torch.float64)
        variance = variances.reshape(self.components, self.features)
        root = self._random(self.components * self.features).reshape(self.components, self.features, self.features)
        matrices = root @ root.mT + torch.diag_embed(variance)
        own = [Spherical(variance[:, 0]), Diagonal(variance), Full(matrices)]
        shared = [Spherical(variance[0, 1], tied=True), Diagonal(variance[0], tied=True), Full(matrices[0], tied=True)]
        return [*own, *shared]

    def _matrices(self) -> list[Tensor]:
        """Matrices that pick coordinates, scale them, turn them, or do anything else."""
        eye = torch.eye(self.features, dtype=torch.float64)
        turn = torch.linalg.qr(self._random(self.features)).Q
        scales = torch.linspace(-2, 3, self.features, dtype=torch.float64)
        return [
            eye,
            eye[[2, 0]],
            eye.flip(0) * scales,
            1.5 * turn,
            0.7 * turn[:2],
            turn * scales[:, None],
            self._random(2),
        ]

    def _random(self, rows: int) -> Tensor:
        return torch.randn(rows, self.features, generator=self.generator, dtype=torch.float64)

    def _dense(self, structure: Structure) -> Tensor:
        dense = structure.dense(self.features)
        return dense.expand(self.components, *dense.shape[-2:])

    def _same_one_by_one(self, found: Structure, alone: list[Structure], features: int) -> None:
        assert found.leading[:-1] == (len(alone),)
        assert_close(found.dense(features), torch.stack([one.dense(features) for one in alone]), 1e-9, "a batch")

    def _same_gradients(self, found: Structure, expected: Tensor, leaves: list[Tensor]) -> None:
        push = torch.randn(expected.shape, generator=self.generator, dtype=torch.float64)
        dense = found.dense(expected.shape[-1])
        for mine, theirs in zip(_slopes(dense, push, leaves), _slopes(expected, push, leaves), strict=True):
            assert_close(mine, theirs, 1e-8, "the gradient")


def _leaf(structure: Structure) -> Structure:
    """The structure with a factor to be differentiated."""
    return structure._replace(factor=structure.given.detach().clone().requires_grad_())


def _slopes(value: Tensor, push: Tensor, leaves: list[Tensor]) -> tuple[Tensor, ...]:
    return torch.autograd.grad((value * (push + push.mT)).sum(), leaves, retain_graph=True)


def _spread(structure: Structure, expected: Tensor) -> Tensor:
    return structure.dense(expected.shape[-1]).expand(expected.shape)


def _block(dense: Tensor, rows: list[int], columns: list[int]) -> Tensor:
    return dense[..., rows, :][..., :, columns]
