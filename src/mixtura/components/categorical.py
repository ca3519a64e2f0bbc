r"""The categorical family on codes 0, 1, ..., C - 1, and the multinomial family on vectors of counts.

.. math:: \log p(x; \pi) = \sum_c T_c(x) \log\pi_c + h(x), \qquad \eta = \log\pi, \quad A = 0,

with T the indicator of the category, or the counts themselves, and h the multinomial coefficient. The conjugate law of
:math:`\pi` is Dirichlet, of concentration :math:`\tau` (plus the trials behind it).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Generator, Tensor
from torch.distributions import constraints

from ..errors import refuse
from ..kernels.laws import Law
from .argument import Argument
from .domains import codes
from .exponential_family import ExponentialFamily, MatchedMeans
from .family import OfVectors
from .special.gamma_draws import gamma
from .spreading import spread_to

__all__ = ["Categorical", "Multinomial"]


@dataclass(frozen=True, eq=False, repr=False, init=False)
class _Shares(ExponentialFamily):
    """What categorical and multinomial have in common: log-probabilities of categories as the last dimension."""

    law = Law.SHARES
    logits: Tensor
    loose: bool = False  # whether probabilities may sum to less than one, as expected logarithms of them do

    def verify(self) -> None:
        super().verify()
        if self.logits.shape[-1] < 1 or not bool(
            (self.logits < torch.inf).all() & self.logits.isfinite().any(-1).all()
        ):
            refuse("logits", "below infinity, and finite for some category", self.logits.detach().amax().item())

    @property
    def probs(self) -> Tensor:
        """The probabilities of the categories, which come last."""
        return self.natural.exp()

    @property
    def natural(self) -> Tensor:
        return self.logits if self.loose else self.logits.log_softmax(-1)

    @property
    def log_volume(self) -> Tensor:
        return -self.natural.flatten(len(self.batch_shape)).sum(-1)

    def log_normaliser(self, natural: Tensor) -> Tensor:
        return torch.zeros_like(natural[..., 0])

    def from_mean(self, mean: Tensor) -> Any:
        floored = mean.clamp_min(torch.finfo(mean.dtype).tiny)
        return self._replace(logits=(floored / floored.sum(-1, keepdim=True)).log(), loose=False)

    def with_natural(self, natural: Tensor) -> Any:
        return self._replace(logits=natural, loose=True)

    def at_natural(self, natural: Tensor) -> Any:
        return self._replace(logits=natural, loose=False)

    def prior_log_normaliser(self, strength: Tensor, total: Tensor) -> Tensor:
        return torch.lgamma(total).sum(-1) - torch.lgamma(total.sum(-1))

    def prior_draw(self, strength: Tensor, total: Tensor, generator: Generator | None) -> Any:
        return self.from_mean(gamma(total, generator))

    @property
    def parameters(self) -> int:
        entries = max(1, self.batch_shape[:-1].numel())
        return (self.logits.numel() - self.logits[..., 0].numel()) // entries

    def collapsed(self, floor: Tensor) -> Tensor:
        return self.broken()


@dataclass(frozen=True, eq=False, repr=False, init=False)
class Categorical(_Shares):
    r"""K categorical distributions on the codes 0, ..., C - 1, held as floating point.

    Arguments:
        probs: The probabilities of the categories, with shape ``(*B, K, C)``; ``(*B, K, D, C)`` for vectors. They are
            divided by their sum.
        vectors: Whether rows are vectors of codes with independent coordinates (latent class analysis).

    Raises:
        MixtureError: If a probability is negative or not finite, or all are zero.

    A fit takes ``family=mx.Categorical.template(categories=C)``. Means and variances are those of the code.

    Example:
        >>> mx.Categorical(torch.tensor([[0.2, 0.3, 0.5], [1.0, 1.0, 2.0]])).log_prob(torch.tensor(2.0)).exp()
        tensor([0.5000, 0.5000])
    """

    vectors: bool = False
    categories: int = 0

    def __init__(self, probs: Tensor, *, vectors: bool = False) -> None:
        logits = _log_shares(probs, 2 + vectors)
        values = {"logits": logits, "loose": False, "vectors": vectors, "categories": probs.shape[-1]}
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @property
    def batch_shape(self) -> torch.Size:
        return self.logits.shape[: -1 - self.vectors]

    @property
    def event_shape(self) -> torch.Size:
        return self.logits.shape[-2:-1] if self.vectors else torch.Size()

    def verify(self) -> None:
        super().verify()
        if self.categories != self.logits.shape[-1]:
            refuse("categories", f"{self.logits.shape[-1]}, the number of logits", self.categories)

    @property
    def domain(self) -> Any:
        """The codes."""
        return codes(self.categories)

    @property
    def support(self) -> Any:
        return constraints.independent(self.domain, len(self.event_shape))

    def sufficient(self, x: Tensor) -> Tensor:
        return _indicators(x, self.categories)

    def base(self, x: Tensor) -> Tensor:
        return torch.zeros_like(x)

    def middling(self) -> Tensor:
        return torch.full_like(self.logits[(0,) * len(self.batch_shape)], 1 / self.categories)

    @property
    def mean(self) -> Tensor:
        return self.probs @ torch.arange(self.categories, dtype=self.dtype, device=self.device)

    @property
    def variance(self) -> Tensor:
        codes = torch.arange(self.categories, dtype=self.dtype, device=self.device)
        return (self.probs * (codes - self.mean.unsqueeze(-1)).square()).sum(-1)

    def cdf(self, x: Tensor) -> Tensor:
        return self._total(x, torch.le)

    def survival(self, x: Tensor) -> Tensor:
        return self._total(x, torch.gt)

    def _total(self, x: Tensor, which: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        """The probability of the codes that stand so to numbers ``(*S, *B)``, under each component."""
        if self.vectors:
            raise self._no(f"cumulative probabilities in {self.event_shape[0]} dimensions")
        codes = torch.arange(self.categories, dtype=self.dtype, device=self.device)
        some = which(codes, x[..., None, None])
        return (self.probs * some).sum(-1).masked_fill(x.isnan().unsqueeze(-1), torch.nan)

    def draw(self, labels: Tensor, generator: Generator | None = None) -> Tensor:
        cumulative = self.chosen(labels).probs.cumsum(-1)
        shape = (*cumulative.shape[:-1], 1)
        uniform = torch.rand(shape, dtype=self.dtype, device=self.device, generator=generator)
        return (uniform * cumulative[..., -1:] >= cumulative).sum(-1).to(self.dtype)

    def marginal(self, dims: Sequence[int]) -> Categorical:
        return self._replace(logits=self.logits[..., list(dims), :])

    def condition(self, dims: Sequence[int], values: Tensor) -> tuple[Categorical, Tensor]:
        free = [d for d in range(self.event_shape[0]) if d not in set(dims)]
        evidence = self.marginal(dims).log_prob(values)
        return spread_to(self.marginal(free), evidence.shape), evidence


@dataclass(frozen=True, eq=False, repr=False, init=False)
class Multinomial(_Shares):
    r"""K multinomial distributions on vectors of C counts, given each row's total.

    Arguments:
        probs: The probabilities of the categories, with shape ``(*B, K, C)``; they are divided by their sum.
        total_count: The total of a row that is drawn, and of which moments are taken; rows read may have any total.

    Raises:
        MixtureError: If a probability is negative or not finite, or all are zero.

    Example:
        >>> mx.Multinomial(torch.tensor([[0.5, 0.5]]), total_count=4).mean
        tensor([[2., 2.]])
    """

    total_count: int = 1
    domain = constraints.nonnegative_integer

    def __init__(self, probs: Tensor, total_count: int = 1) -> None:
        if not isinstance(total_count, int) or total_count < 1:
            refuse("total_count", "a whole number of at least 1", total_count)
        for name, value in (("logits", _log_shares(probs, 2)), ("loose", False), ("total_count", total_count)):
            object.__setattr__(self, name, value)

    @property
    def batch_shape(self) -> torch.Size:
        return self.logits.shape[:-1]

    @property
    def event_shape(self) -> torch.Size:
        return self.logits.shape[-1:]

    @property
    def support(self) -> Any:
        return constraints.multinomial(self.total_count)

    def sufficient(self, x: Tensor) -> Tensor:
        return x

    def base(self, x: Tensor) -> Tensor:
        return torch.lgamma(x.sum(-1) + 1) - torch.lgamma(x + 1).sum(-1)

    @property
    def mean(self) -> Tensor:
        return self.total_count * self.probs

    @property
    def variance(self) -> Tensor:
        return self.total_count * self.probs * (1 - self.probs)

    @property
    def covariance(self) -> Tensor:
        p = self.probs
        return self.total_count * (torch.diag_embed(p) - p.unsqueeze(-1) * p.unsqueeze(-2))

    def draw(self, labels: Tensor, generator: Generator | None = None) -> Tensor:
        probs = self.chosen(labels).probs
        left = torch.full(probs.shape[:-1], self.total_count, dtype=self.dtype, device=self.device)
        rest = probs.flip(-1).cumsum(-1).flip(-1)  # of each category and all after it
        counts = []
        for c in range(probs.shape[-1] - 1):
            counts.append(torch.binomial(left, (probs[..., c] / rest[..., c]).clamp(0, 1), generator=generator))
            left = left - counts[-1]
        return torch.stack([*counts, left], -1)


@dataclass(frozen=True, eq=False, repr=False)
class CategoricalFamily(MatchedMeans, of=[Categorical]):
    """Categorical components, on so many categories."""

    categories: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.categories, int) or self.categories < 2:
            refuse("categories", "a whole number of at least 2, one above the largest code", self.categories or None)

    @property
    def domain(self) -> Any:
        return codes(self.categories)

    def embed(self, x: Tensor) -> Tensor:
        return _indicators(x, self.categories).reshape(len(x), -1)

    def arguments(self, features: int | None) -> dict[str, Argument]:
        own = () if features is None else (features,)
        return {"probs": Argument(constraints.simplex, (*own, self.categories))}

    def made(self, values: Mapping[str, Tensor], features: int | None) -> Categorical:
        logits, vectors = values["probs"].log(), features is not None
        return Categorical._of(logits=logits, loose=False, vectors=vectors, categories=self.categories)

    def read(self, components: Any) -> dict[str, Tensor]:
        return {"probs": components.probs}

    def neutral(self, x: Tensor, batch: tuple[int, ...]) -> Categorical:
        return Categorical(x.new_ones(*batch, *x.shape[1:], self.categories), vectors=x.ndim > 1)


@dataclass(frozen=True, eq=False, repr=False)
class MultinomialFamily(OfVectors, MatchedMeans, of=[Multinomial]):
    """Multinomial components; rows are seen as shares of their totals."""

    total_count: int = 1

    def embed(self, x: Tensor) -> Tensor:
        return x / x.sum(-1, keepdim=True).clamp_min(1)

    def arguments(self, features: int | None) -> dict[str, Argument]:
        return {"probs": Argument(constraints.simplex, (features or 1,))}

    def made(self, values: Mapping[str, Tensor], features: int | None) -> Multinomial:
        return Multinomial._of(logits=values["probs"].log(), loose=False, total_count=self.total_count)

    def read(self, components: Any) -> dict[str, Tensor]:
        return {"probs": components.probs}

    def neutral(self, x: Tensor, batch: tuple[int, ...]) -> Multinomial:
        return Multinomial(x.new_ones(*batch, *x.shape[1:]), self.total_count)


def _indicators(x: Tensor, categories: int) -> Tensor:
    """Returns whether a code is each of the categories, which come last."""
    every = torch.arange(categories, dtype=x.dtype, device=x.device)
    return (x.unsqueeze(-1) == every).to(x.dtype)


def _log_shares(probs: Tensor, ndim: int) -> Tensor:
    if not isinstance(probs, Tensor) or probs.ndim < ndim or not probs.is_floating_point():
        refuse("probs", f"a floating point tensor of at least {ndim} dimensions", getattr(probs, "shape", type(probs)))
    total = probs.detach().sum(-1)
    if not bool(((probs >= 0) & probs.isfinite()).all()) or not bool((total > 0).all()):
        refuse("probs", "at least 0, finite and not all 0", probs.detach().min().item())
    return (probs / probs.sum(-1, keepdim=True)).clamp_min(torch.finfo(probs.dtype).tiny).log()
