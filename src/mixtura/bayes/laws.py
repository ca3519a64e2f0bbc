r"""Laws of single parameters: torch's distributions, in double precision and as they were written.

A prior's density is normalised. Of a parameter of shape ``(K, ...)`` a prior of numbers counts once for every entry,

.. math:: \log p(\theta) = \sum_{k, d} \log p(\theta_{kd}),

and one with a batch shape follows torch's broadcasting: ``Normal(torch.tensor([0., 10., 20.]), 5.0)`` has a law for
each of three numbers.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from copy import copy
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Distribution, constraints
from torch.distributions.utils import lazy_property

from ..errors import refuse
from ..priors import WeightsPrior

__all__ = ["Flat", "Hierarchical", "Law", "OfTorch", "OfWeights", "in_words", "law", "numbers"]

Values = Mapping[str, Tensor]


class Law(ABC):
    """The prior of one parameter."""

    hyper: Mapping[str, Law] = {}
    """The laws of its own parameters, by name, where it has such."""

    @property
    @abstractmethod
    def support(self) -> Any:
        """Where the density is positive, as a torch constraint."""

    @abstractmethod
    def log_prob(self, value: Tensor, given: Values) -> Tensor:
        """Returns the log-density in nats by entry or event, ``(*S, ...)``; ``given`` are the law's own parameters."""

    @abstractmethod
    def sample(self, count: int, shape: tuple[int, ...], given: Values) -> Tensor:
        """Returns draws ``(count, *shape)`` from torch's own stream; ``given`` is led by ``(count,)`` as well."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one draw, if it stands alone."""
        return ()


class OfTorch(Law):
    """A torch distribution as a prior.

    Arguments:
        distribution: With numbers of its own.
    """

    def __init__(self, distribution: Distribution) -> None:
        self.distribution = as_written(distribution)

    @property
    def support(self) -> Any:
        return self.distribution.support

    def log_prob(self, value: Tensor, given: Values) -> Tensor:
        return self.distribution.log_prob(value)

    def sample(self, count: int, shape: tuple[int, ...], given: Values) -> Tensor:
        event = len(self.distribution.event_shape)
        return self.distribution.expand(shape[: len(shape) - event]).sample((count,))

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.distribution.batch_shape + self.distribution.event_shape)

    def __repr__(self) -> str:
        return in_words(self.distribution)


class Hierarchical(Law):
    """A prior whose own parameters have priors.

    Arguments:
        kind: A class of torch distributions.
        parameters: A number, or a prior, for each parameter of the class. Those with priors are learned, under the
            name of the parameter they are behind: ``loc_scale`` is the scale of the prior of ``loc``.

    Raises:
        MixtureError: If the support of the class depends on its parameters.

    Example:
        >>> from torch.distributions import HalfNormal, Normal
        >>> sorted(mx.bayes.Hierarchical(Normal, loc=Normal(0.0, 10.0), scale=HalfNormal(5.0)).hyper)
        ['loc', 'scale']
    """

    def __init__(self, kind: type[Distribution], **parameters: Any) -> None:
        support: Any = kind.support
        if not isinstance(support, constraints.Constraint) or constraints.is_dependent(support):
            refuse("kind", "a class whose support is known without parameters", kind.__name__)
        self.kind, self._support = kind, support
        self.hyper = {name: law(one) for name, one in parameters.items() if isinstance(one, (Distribution, Law))}
        self.fixed = {
            name: torch.as_tensor(one, dtype=torch.float64)
            for name, one in parameters.items()
            if name not in self.hyper
        }

    @property
    def support(self) -> Any:
        return self._support

    def _at(self, given: Values, rank: int, leading: int) -> Distribution:
        """The distribution whose parameters were drawn, each behind the leading dimensions of the draws."""
        wide = {name: _widened(given[name], rank, leading) for name in self.hyper}
        kind: Any = self.kind
        return kind(**self.fixed, **wide, validate_args=False)

    def log_prob(self, value: Tensor, given: Values) -> Tensor:
        leading = min(given[name].ndim - len(one.shape) for name, one in self.hyper.items()) if self.hyper else 0
        return self._at(given, value.ndim, leading).log_prob(value)

    def sample(self, count: int, shape: tuple[int, ...], given: Values) -> Tensor:
        one = self._at(given, 1 + len(shape), 1)
        return one.expand((count, *shape[: len(shape) - len(one.event_shape)])).sample()

    def __repr__(self) -> str:
        inside = ", ".join(f"{name}={one!r}" for name, one in {**self.fixed, **self.hyper}.items())
        return f"Hierarchical({self.kind.__name__}, {inside})"


class Flat(Law):
    """No law of its own: the parameter has its prior together with others."""

    def __init__(self, support: Any, words: str) -> None:
        self._support, self.words = support, words

    @property
    def support(self) -> Any:
        return self._support

    def log_prob(self, value: Tensor, given: Values) -> Tensor:
        return torch.zeros_like(value)

    def sample(self, count: int, shape: tuple[int, ...], given: Values) -> Tensor:
        raise NotImplementedError("What has its prior together with others is drawn with them.")

    def __repr__(self) -> str:
        return self.words


class OfWeights(Law):
    """One of Mixtura's own priors on weights."""

    def __init__(self, prior: WeightsPrior) -> None:
        self.prior = prior.to(torch.float64)

    @property
    def support(self) -> Any:
        return constraints.simplex

    def log_prob(self, value: Tensor, given: Values) -> Tensor:
        return self.prior.log_prob(value.log())

    def sample(self, count: int, shape: tuple[int, ...], given: Values) -> Tensor:
        generator = torch.Generator().manual_seed(int(torch.randint(2**62, ())))
        return torch.stack([self.prior.sample(shape[0], generator) for _ in range(count)]).softmax(-1)

    def __repr__(self) -> str:
        return repr(self.prior)


def law(given: Any, name: str = "priors") -> Law:
    """Returns a prior as a law, whatever it was given as.

    Raises:
        MixtureError: If it is no prior.
    """
    if isinstance(given, Law):
        return given
    if isinstance(given, WeightsPrior):
        return OfWeights(given)
    if isinstance(given, Distribution):
        return OfTorch(given)
    expected = "a torch distribution, mx.bayes.Hierarchical or one of mx.priors"
    refuse(name, expected, repr(given), "To hold a parameter at a number, use `fixed`.")


def in_words(distribution: Distribution) -> str:
    """Returns the class of a distribution and its parameters: ``Normal(loc=0, scale=[1, 2.5])``."""
    lazy = {name for name, value in vars(type(distribution)).items() if isinstance(value, lazy_property)}
    names = [name for name in distribution.arg_constraints if name not in lazy]
    inside = ", ".join(f"{name}={numbers(getattr(distribution, name))}" for name in names)
    return f"{type(distribution).__name__}({inside})"


def numbers(value: Any) -> str:
    """Numbers to four digits, once where all are the same."""
    values = torch.as_tensor(value).detach()
    few = values.reshape(-1)[:1] if bool((values == values.reshape(-1)[0]).all()) else values.reshape(-1)
    digits = ", ".join(f"{one:.4g}" for one in few.tolist())
    return digits if few.numel() == 1 else f"[{digits}]"


def as_written(distribution: Distribution) -> Any:
    """Returns a copy in double precision, of the numbers that were typed, which nobody checks again."""
    new = copy(distribution)
    for name, value in vars(distribution).items():
        if isinstance(value, Tensor) and value.is_floating_point():
            new.__dict__[name] = _typed(value)
        elif isinstance(value, Distribution):
            new.__dict__[name] = as_written(value)
    new.__dict__["_validate_args"] = False
    return new


def _typed(value: Tensor) -> Tensor:
    """Numbers in double precision, by their shortest decimals: a 0.1 that torch took in single precision is 0.1."""
    numbers = value.detach().cpu().numpy()
    shortest = [float(str(one)) for one in numbers.reshape(-1)]
    return torch.from_numpy(np.asarray(shortest, dtype=np.float64).reshape(numbers.shape))


def _widened(value: Tensor, rank: int, leading: int) -> Tensor:
    """Values ``(*S, *own)`` with ones between, so that they broadcast against ``(*S, ...)`` of a given rank."""
    lead, own = value.shape[:leading], value.shape[leading:]
    return value.reshape(*lead, *(1,) * (rank - leading - len(own)), *own)
