"""`fit`: from rows to a mixture.

Many short runs from different starts, all batched through one pass over each block; the best few are continued to
convergence and the best of those is returned. Starts and short runs use a sample of the rows where there are many.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, overload

from torch import Generator

from ..components import Family, Structure, structure
from ..components.observation import EXACT
from ..components.observation_sequence import as_one
from ..data import Rows, grouping
from ..errors import refuse
from ..mixture import Mixture
from ..mixture.columns import names_of
from .expectation.recorded import recorded
from .families import families, read_by
from .groups.fit_groups import features_beside, fit_groups
from .groups.group_fits import GroupFits
from .job import Job, whole
from .loop.method import FitT, Gives, Method
from .loop.progress import progress_report
from .methods.em import EM
from .methods.freeze import Freeze
from .results.fit import Fit

__all__ = ["fit"]


@overload
def fit(
    x: Any,
    components: int | None = None,
    covariance: Structure | str = "full",
    method: None = None,
    observation: Any = None,
    sample_weight: Any = None,
    init: Any = None,
    restarts: int | None = None,
    generator: Generator | None = None,
    progress: bool = False,
    columns: str | Sequence[str] | None = None,
    family: Any = None,
    labels: Any = None,
    freeze: Freeze | None = None,
) -> Fit: ...


@overload
def fit(
    x: Any,
    components: int | None = None,
    covariance: Structure | str = "full",
    method: Gives[FitT] = ...,  # pyright: ignore[reportInvalidTypeVarUse] (without one, it is the overload above)
    observation: Any = None,
    sample_weight: Any = None,
    init: Any = None,
    restarts: int | None = None,
    generator: Generator | None = None,
    progress: bool = False,
    columns: str | Sequence[str] | None = None,
    family: Any = None,
    labels: Any = None,
    freeze: Freeze | None = None,
) -> FitT: ...


@overload
def fit(
    x: Any,
    components: int,
    covariance: Structure | str = "full",
    method: Method | None = None,
    observation: Any = None,
    sample_weight: Any = None,
    init: Any = None,
    restarts: int | None = None,
    generator: Generator | None = None,
    progress: bool = False,
    columns: str | Sequence[str] | None = None,
    family: Any = None,
    labels: Any = None,
    freeze: Freeze | None = None,
    *,
    groups: Any,
) -> GroupFits: ...


def fit(
    x: Any,
    components: int | None = None,
    covariance: Structure | str = "full",
    method: Any = None,
    observation: Any = None,
    sample_weight: Any = None,
    init: Any = None,
    restarts: int | None = None,
    generator: Generator | None = None,
    progress: bool = False,
    columns: str | Sequence[str] | None = None,
    family: Any = None,
    labels: Any = None,
    freeze: Freeze | None = None,
    groups: Any = None,
) -> Any:
    """Learns a mixture from rows.

    Arguments:
        x: A tensor or array ``(N,)`` or ``(N, D)``, a frame, an Arrow table, or the path of a file; see
            `mixtura.data.rows`.
        components: The number of components K; taken from ``init`` where that is a mixture, means or labels.
        covariance: The covariance structure to learn, or its name. An ``init`` that is a mixture keeps its own.
        method: How to learn; `EM()` if none is given.
        observation: How the rows were observed, one of `mixtura.observation` or a sequence of them; the mixture is
            then that of the clean rows.
        sample_weight: How much each row counts, with shape ``(N,)``, or the name of a column.
        init: Where to start: a mixture, means ``(K, D)``, integer labels ``(N,)``, or an initialiser such as
            `KMeansPlusPlus`. By default, `MixedStart`.
        restarts: The number of short runs; 16 by default, 1 gives a single run.
        generator: The source of randomness; the same state gives the same fit.
        progress: Whether to show a progress bar.
        columns: Which columns of a table or file, in order; by default those that an ``init`` knows by name, else all.
        family: What kind of components: a class such as `Poisson`, a template such as
            ``mx.Binomial.template(total_count=10)``, or the name of a class. Gaussians by default.
        labels: The component of each row where that is known and -1 elsewhere, whole numbers with shape ``(N,)``.
        freeze: What learning must not change of an ``init`` that is a mixture.
        groups: The group of each row, or the name of the column that says it: one mixture is learned for each group,
            from its rows alone. A group that cannot be fitted is told so in the table, and spoils no other.

    Returns:
        A `Fit`, or `GroupFits` where there are groups. Ctrl-C ends the work and returns the best so far.

    Raises:
        MixtureError: If the data or an argument cannot be used; the message says why and what to do.

    Example:
        >>> fit = mx.fit(mx.datasets.old_faithful(), components=3, covariance="tied-full")
        >>> round(fit.log_likelihood, 3)
        -1126.316
    """
    (chosen,) = families(family, [structure(covariance)])
    columns = _known_by(init, x, observation) if columns is None else columns
    columns = read_by([chosen], x, columns)
    columns = features_beside(x, groups, sample_weight) if columns is None else columns
    rows = recorded(x, columns, sample_weight, observation, labels, components)
    method = frozen(EM() if method is None else method, freeze, init)
    if groups is not None:
        count, found = whole("components", components), grouping(x, groups)
        return fit_groups(rows, found, method, chosen, count, learn, init, restarts, generator)
    return learn(rows, method, chosen, init, components, restarts, generator, progress)


def learn(
    rows: Rows,
    method: Method,
    family: Family,
    init: Any = None,
    components: int | None = None,
    restarts: int | None = None,
    generator: Generator | None = None,
    progress: bool = False,
) -> Fit:
    """Learns a mixture from rows that know how they were recorded; the arguments are those of `fit`."""
    method.check(rows)
    job = Job.of(rows, method, family, generator, components)
    with progress_report(progress, method.max_iterations) as report:
        return job.result(job.runs(init, components, restarts, report))


def _known_by(init: Any, x: Any, observation: Any) -> str | tuple[str, ...] | None:
    """The columns of a table that a start knows by name, where what is recorded of them has the same names."""
    if not isinstance(init, Mixture):
        return None
    return names_of(init, x, EXACT if observation is None else as_one(observation))


def frozen(method: Method, freeze: Freeze | None, init: Any) -> Method:
    """Returns the method with what is frozen; that must be in the start."""
    if freeze is None:
        return method
    if not isinstance(init, Mixture):
        refuse("freeze", "with an `init` that is a mixture, whose parameters are kept", init)
    freeze.check(init)
    return method.freezing(freeze)
