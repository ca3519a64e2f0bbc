r"""A network that returns a mixture: its weights, its components or both depend on a context c.

.. math:: p(x|c) = \sum_k w_k(c)\, p(x; \theta_k(c)), \qquad w(c) = \mathrm{softmax}(a(c)),

where a and the real numbers that stand for :math:`\theta` are linear in what a network makes of c (Bishop, 1994,
Mixture density networks), counted from a start and in units of their own. At the start, every context has the mixture
of all rows; the loss is the mean of :math:`-\log p(x_n|c_n)`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Generator, Tensor, nn

from ..components import Family
from ..components.observation import EXACT, Observation
from ..components.observation_sequence import as_one
from ..data import Block, check_data, rows
from ..errors import refuse
from ..learning import EM, Fit
from ..learning import fit as learn
from ..learning.job import whole
from ..learning.starts.centres import Initialiser
from ..mixture import Mixture
from .batches import Target, parted, some_rows
from .chart import Chart
from .clustering import CENTRES
from .networks import Body, Constant, Varying
from .trained import Trained
from .training import train

__all__ = ["ConditionalMixture"]

_HEADS = {None: (Varying, Varying), "weights": (Constant, Varying), "components": (Varying, Constant)}
_STRATEGIES = (*CENTRES, "em")
_RATE = 3e-3  # of the default optimiser


class ConditionalMixture(nn.Module):
    """What networks that return mixtures have in common.

    Arguments:
        family: What kind of components.
        chart: From real numbers to components.
        body: What reads contexts; none for a mixture without context.
        constant: What no context moves: "weights", "components", or none.
    """

    begun: Tensor

    def __init__(self, family: Family, chart: Chart, body: Body | None, constant: str | None) -> None:
        super().__init__()
        if constant not in _HEADS:
            refuse("constant", '"weights", "components" or None', repr(constant))
        self.family, self.chart, self.body = family, chart, body
        weights, components = _HEADS[constant] if body is not None else (Constant, Constant)
        width = 0 if body is None else body.outputs()
        self.weights_head = weights(torch.zeros(chart.components), [torch.Size([chart.components])], width)
        self.components_head = components(chart.start(), chart.shapes, width)
        self.register_buffer("begun", torch.tensor(False))

    @property
    def components(self) -> int:
        """The number of components K."""
        return self.chart.components

    @property
    def event_shape(self) -> torch.Size:
        """The shape of one row of the target."""
        return self.chart.event_shape

    def forward(self, context: Tensor | None = None) -> Mixture:
        """Returns the mixtures of contexts ``(*B, *shape)``, one `mx.Mixture` of batch shape B.

        Arguments:
            context: The contexts; none where the mixture has no context.

        Raises:
            MixtureError: If there is no context, or its last dimensions are not those of one. Numbers are not looked
                at.
        """
        batch, inside = self._read(context)
        (logits,) = self.weights_head(batch, inside)
        return Mixture._of(torch.log_softmax(logits, -1), self.chart.at(self.components_head(batch, inside)))

    def _read(self, context: Tensor | None) -> tuple[torch.Size, Tensor | None]:
        """The batch shape of contexts, and what the body makes of them."""
        if self.body is None:
            return _without(context), None
        if context is None:
            refuse("context", f"a tensor (..., {', '.join(map(str, self.body.shape))})", None)
        return self.body.batch(context), self.body(context)

    # -- where to begin

    @torch.no_grad()
    def initialize(
        self,
        x: Any,
        strategy: str = "kmeans++",
        context: Tensor | None = None,
        generator: Generator | None = None,
    ) -> Mixture:
        """Starts at a clustering of rows: every context has the mixture of the clusters, until it is trained.

        Arguments:
            x: The rows of the target, in any form that `mx.fit` takes.
            strategy: "kmeans++", "kmeans" or "random" centres, each row going to the nearest; or "em", a whole fit.
            context: The contexts of the rows ``(N, *shape)``, from which the network takes their units.
            generator: The source of randomness.

        Returns:
            The mixture of the clusters, whose log-density the module now has (up to ``epsilon``, where there is one). A
            cluster of too few rows for a density has a prior of one row; see `mixtura.conditional.clustering`.

        Raises:
            MixtureError: If there are fewer rows than components, a number is not finite, or no strategy has the name.

        Example:
            >>> x = mx.datasets.old_faithful()
            >>> gmm = mx.conditional.GMM(features=2, components=2)
            >>> start = gmm.initialize(x, "kmeans")
            >>> bool((gmm().log_prob(x) - start.log_prob(x)).abs().max() < 1e-3)
            True
        """
        if strategy not in _STRATEGIES:
            refuse("strategy", f"one of {', '.join(_STRATEGIES)}", repr(strategy))
        table = rows(x)
        check_data(table, self.components, spread=not self.family.discrete)
        self.family.check(table)
        if table.features != self.event_shape.numel():
            refuse("x", f"rows of {self.event_shape.numel()} features", table.features)
        values = table.tensor().reshape(len(table), *self.event_shape)
        if strategy in CENTRES:
            found = self._clustered(values, CENTRES[strategy], generator)
        else:
            found = learn(values, self.components, family=self.family, generator=generator).mixture
        self.begin(found)
        if context is not None:
            self.take_units(context)
        return found

    @abstractmethod
    def _clustered(self, x: Tensor, strategy: Initialiser, source: Generator | None) -> Mixture:
        """Returns the mixture of a clustering of rows ``(N, *event)``."""

    @torch.no_grad()
    def begin(self, mixture: Mixture) -> None:
        """Starts at a mixture: every context has it from now on, and steps are counted in its components' scales.

        Arguments:
            mixture: A mixture without batch shape, of the same family and number of components.
        """
        if mixture.logits.shape != (self.components,) or mixture.event_shape != self.event_shape:
            expected = f"of {self.components} components on rows of shape {tuple(self.event_shape)}"
            refuse("mixture", expected, repr(mixture))
        self.components_head.begin(self.chart.numbers(mixture.components), self.chart.units(mixture.components))
        self.weights_head.begin(mixture.logits, torch.ones_like(mixture.logits))
        self.begun.fill_(True)

    def take_units(self, context: Tensor) -> None:
        """Takes the units of contexts ``(N, *shape)``: the network sees them with mean 0 and scale 1.

        Raises:
            MixtureError: If there is no context, its shape is another one, or a number is not finite.
        """
        self.checked(context).standardise(context)

    def checked(self, context: Tensor) -> Body:
        """Returns what reads contexts, of which all numbers are looked at."""
        if self.body is None:
            refuse("context", "None, because the mixture has no context", f"shape {tuple(context.shape)}")
        self.body.batch(context)
        if not bool(context.isfinite().all()):
            wrong = (~context.isfinite()).flatten(1).any(1).nonzero()[0].item() if context.ndim > 1 else 0
            refuse("context", "finite", f"NaN or infinity in row {wrong}", "Drop or fill these rows.")
        return self.body

    # -- training

    def fit(
        self,
        x: Any,
        context: Any = None,
        validation: Any = 0.1,
        epochs: int = 200,
        batch_size: int = 256,
        optimizer: Callable[[Any], torch.optim.Optimizer] | None = None,
        early_stopping: int = 20,
        progress: bool = False,
        generator: Generator | None = None,
        observation: Any = None,
    ) -> Trained | Fit:
        """Trains the network on the mean log-density of rows given their contexts; without a context, runs EM.

        Arguments:
            x: The rows of the target, in any form that `mx.fit` takes, or a ``DataLoader`` of pairs (context, x).
            context: The contexts of the rows, in the same forms, or a tensor ``(N, *shape)``.
            validation: What tells when to stop: the share of rows to hold out, 0 for none; or other rows, as a pair
                (context, x), a triple (context, x, observation) or a ``DataLoader``.
            epochs: The most passes over the rows.
            batch_size: Rows in a step.
            optimizer: From parameters to an optimiser, such as ``functools.partial(torch.optim.Adam, lr=1e-3)``. By
                default Adam at a rate of 0.003.
            early_stopping: The epochs without a rise of the held-out log-density after which training ends; after
                half of them steps are shortened.
            progress: Whether to show a progress bar.
            generator: The source of randomness of what is held out and of the order of rows.
            observation: How the rows were observed: one of `mixtura.observation` or a sequence of them, such as
                ``[AdditiveNoise(scale=errors, per_row=True), Missing()]`` for errors of each row and NaN where nothing
                was recorded. The mixtures are then those of clean rows. Of a ``DataLoader`` it is the same for all.

        Returns:
            A `Trained`: traces, the reason with advice, and the module in its best state. Without a context, the
            `mx.Fit` of EM, whose mixture the module then returns. Ctrl-C ends training and keeps the best so far.

        Raises:
            MixtureError: If the data or an argument cannot be used.

        A start is looked for first, by `initialize`, unless there was one.

        Example:
            >>> c = torch.linspace(-1, 1, 300).unsqueeze(1)
            >>> gmm = mx.conditional.GMM(features=1, context=1, components=1)
            >>> fit = gmm.fit(c.square() + 0.1 * torch.randn(300, 1), c, epochs=1)
            >>> fit.reason.name
            'EPOCHS'
        """
        seen = EXACT if observation is None else as_one(observation)
        if self.body is None:
            return self._by_em(x, context, seen, generator, progress)
        epochs, batch_size = whole("epochs", epochs), whole("batch_size", batch_size)
        patience = whole("early_stopping", early_stopping)
        optimizer = partial(torch.optim.Adam, lr=_RATE) if optimizer is None else optimizer
        if not callable(optimizer):
            advice = "Such as functools.partial(torch.optim.Adam, lr=1e-3)."
            refuse("optimizer", "from parameters to an optimiser", type(optimizer).__name__, advice)
        target = Target(self.event_shape, self.weights_head.start, self.checked, seen)
        batches, held = parted(target, x, context, validation, batch_size, generator)
        if not bool(self.begun):
            self._begin_somewhere(*some_rows(batches), generator)
        return train(self, batches, held, optimizer, epochs, patience, progress)

    def _by_em(self, x: Any, context: Any, seen: Observation, generator: Generator | None, progress: bool) -> Fit:
        _without(context)
        asked: dict[str, Any] = {"family": self.family, "generator": generator, "progress": progress}
        found = learn(x, self.components, method=EM(), observation=seen, **asked)
        self.begin(found.mixture)
        return found

    def _begin_somewhere(self, context: Tensor, block: Block, generator: Generator | None) -> None:
        """Starts at a clustering of rows, or, where there are only records of them, at the fit that undoes errors."""
        if block.observation.exact:
            self.initialize(block.x, "kmeans", context, generator)
        else:
            asked: dict[str, Any] = {"family": self.family, "generator": generator}
            self.begin(learn(block.x, self.components, observation=block.observation, **asked).mixture)
            self.take_units(context)


def _without(context: Tensor | None) -> torch.Size:
    """The batch shape of a mixture without context."""
    if context is not None:
        refuse("context", "None, because the mixture has no context", f"shape {tuple(context.shape)}")
    return torch.Size()
