"""Priors on the parts of a product of families, or on gated components and their gate, independent of each other."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

import torch
from torch import Generator, Tensor

from ..components import Component, Product, Statistics
from ..errors import refuse
from .components import ComponentsPrior
from .conjugate import ConjugatePosterior, ConjugatePrior

__all__ = ["JointPosterior", "JointPrior"]


@dataclass(frozen=True, eq=False, repr=False)
class JointPrior(ConjugatePrior):
    """Priors on the parts of a `Product`, or on `Gated` components and their gate, independent of each other.

    Arguments:
        parts: For each part its prior, or none for maximum likelihood; of `Gated` components two, theirs and that of
            the gate, `NormalCoefficients`.

    Example:
        >>> mx.priors.JointPrior((None, mx.Conjugate.beta(1.0, 1.0))).parts[1].strength
        2.0
    """

    parts: tuple[ComponentsPrior | None, ...]

    @property
    def monotone(self) -> bool:
        """Whether no part lets the objective fall."""
        return all(part.monotone for part in self.parts if part is not None)

    def of_parts(self, count: int) -> tuple[ComponentsPrior | None, ...]:
        return self.parts if len(self.parts) == count else super().of_parts(count)

    def posterior(self, statistics: Statistics, components: Component) -> JointPosterior:
        """Returns the law of all parts' parameters, for parts that all have a prior."""
        product = _product(components)
        triples = zip(self.of_parts(len(product.parts)), product.split(statistics), product.parts, strict=True)
        laws = (_needed(law).posterior(sums, part) for law, sums, part in triples)
        return JointPosterior._of(template=product, parts=tuple(laws))

    def alone(self, components: Component) -> JointPosterior:
        """Returns the parts' priors as one law."""
        product = _product(components)
        pairs = zip(self.of_parts(len(product.parts)), product.parts, strict=True)
        return JointPosterior._of(template=product, parts=tuple(_needed(law).alone(part) for law, part in pairs))

    def log_prob(self, components: Component) -> Tensor:
        """Returns the sum of the parts' log-densities."""
        parts = components.factors
        zero = torch.zeros(components.batch_shape[:-1], dtype=torch.float64, device=components.device)
        pairs = zip(self.of_parts(len(parts)), parts, strict=True)
        return sum((law.log_prob(part) for law, part in pairs if law is not None), zero)


@dataclass(frozen=True, eq=False, repr=False)
class JointPosterior(ConjugatePosterior):
    """The law of the parameters of all parts of a `Product`."""

    template: Product
    parts: tuple[ConjugatePosterior, ...]

    def mode(self) -> Component:
        return self.template._replace(parts=tuple(part.mode() for part in self.parts))

    @property
    def mean(self) -> Component:
        """The product of the parts' means."""
        return self.template._replace(parts=tuple(part.mean for part in self.parts))

    @property
    def proper(self) -> Tensor:
        return reduce(torch.logical_and, (part.proper for part in self.parts))

    def draw(self, generator: Generator | None = None) -> Component:
        return self.template._replace(parts=tuple(part.draw(generator) for part in self.parts))

    def expected(self) -> tuple[Component, Tensor]:
        parts, offsets = zip(*(part.expected() for part in self.parts), strict=True)
        return self.template._replace(parts=parts), torch.stack(offsets).sum(0)

    def log_prob(self, components: Component) -> Tensor:
        pairs = zip(self.parts, _product(components).parts, strict=True)
        return torch.stack([law.log_prob(part) for law, part in pairs]).sum(0)

    def predictive(self) -> Component:
        return self.template._replace(parts=tuple(part.predictive() for part in self.parts))

    def divergence(self, prior: ComponentsPrior) -> Tensor:
        pairs = zip(self.parts, prior.of_parts(len(self.parts)), strict=True)
        return torch.stack([law.divergence(_needed(one)) for law, one in pairs]).sum(0)


def _needed(prior: ComponentsPrior | None) -> ComponentsPrior:
    return refuse("prior", "given for every part, to be averaged over", None) if prior is None else prior


def _product(components: Component) -> Product:
    if not isinstance(components, Product):
        refuse("components", "a Product", type(components).__name__)
    return components
