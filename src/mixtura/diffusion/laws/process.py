r"""A Gaussian mixture under a schedule of noise, exactly.

With :math:`p_0 = \sum_k w_k N(\mu_k, \Sigma_k)`, :math:`x_t = \alpha x_0 + \sigma\varepsilon` and
:math:`S_k = \alpha^2\Sigma_k + \sigma^2 I`,

.. math::

    p_t = \sum_k w_k N(\alpha\mu_k, S_k), \qquad
    \nabla\log p_t(x) = \sum_k r_k(x)\,S_k^{-1}(\alpha\mu_k - x), \qquad r_k \propto w_k N(x; \alpha\mu_k, S_k), \\
    p(x_0 | x_t) = \sum_k r_k N(m_k, C_k), \qquad m_k = \mu_k + \alpha\Sigma_k S_k^{-1}(x_t - \alpha\mu_k), \quad
    C_k = \sigma^2\Sigma_k S_k^{-1} .

So the mean of :math:`p(x_0|x_t)`, the denoiser, is :math:`(x_t + \sigma^2\nabla\log p_t)/\alpha` (Tweedie), and its
covariance is :math:`(\sigma^2/\alpha)` times the denoiser's Jacobian. For an earlier time s,

.. math:: x_t = a\,x_s + \text{noise of variance } v, \qquad a = \alpha_t/\alpha_s, \quad
    v = \sigma_t^2 - a^2\sigma_s^2 = -\sigma_t^2\,\mathrm{expm1}(\log\mathrm{SNR}_t - \log\mathrm{SNR}_s),

which measures :math:`x_s` linearly; so the reverse kernel :math:`p(x_s|x_t)` is a Gaussian mixture too, and a chain of
draws from it has no error of discretisation, in however many steps. What was recorded of :math:`x_0`,
:math:`y = A x_0 + \varepsilon_y`, makes of :math:`p_0` the mixture :math:`p(x_0|y)`; everything above holds of it.

Round noise only moves the variances along a covariance's own axes: matrices are decomposed once, for all times;
spherical, diagonal and low-rank covariances stay so.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from ...components import Eigen, Gaussian
from ...components.gaussian_algebra import expanded
from ...errors import NotClosedForm, refuse
from ...mixture import Mixture
from ..beliefs import Belief
from ..schedules import Schedule
from .by_axes import ByAxes
from .by_coordinates import ByCoordinates
from .by_means import ByMeans
from .earlier import Earlier
from .noised import noised
from .order import Order, Part

__all__ = ["Process"]


@dataclass(frozen=True, eq=False)
class Process:
    """A mixture under a schedule: build it once, ask it at every time.

    Arguments:
        mixture: The law of the draws: a mixture of Gaussians on vectors, or of normals on numbers; of any batch shape.
        schedule: How signal and noise change with time.

    Times are numbers or tensors; numbers are computed in float64. What comes out has the mixture's type and device.

    Raises:
        MixtureError: If ``mixture`` is no mixture.
        NotClosedForm: If its components are not Gaussian: no law of this page is closed for them.

    Example:
        >>> mixture = mx.Mixture(torch.ones(2), mx.Normal(torch.tensor([-2.0, 2.0]), torch.ones(2)))
        >>> process = mx.diffusion.Process(mixture, mx.diffusion.RectifiedFlow())
        >>> process.at(0.5).mean, process.denoise(0.5, torch.tensor(0.0))
        (tensor(0.), tensor(0.))
        >>> process.clean(0.5, torch.tensor(1.0)).mean
        tensor(1.9640)
    """

    mixture: Mixture
    schedule: Schedule

    def __post_init__(self) -> None:
        if not isinstance(self.mixture, Mixture):
            refuse("mixture", "a Mixture", type(self.mixture).__name__)
        if not isinstance(self.schedule, Schedule):
            refuse("schedule", "one of mixtura.diffusion's, such as VariancePreserving()", type(self.schedule).__name__)
        family = self.mixture.components
        if not family.is_gaussian:
            name = type(family).__name__
            raise NotClosedForm(
                f"{name} components have no closed form under Gaussian noise: not the law at a time, nor score, "
                "denoiser or reverse kernel. Gaussian and Normal have all of them."
            )
        object.__setattr__(self, "mixture", self.mixture._of(self.mixture.logits, _in_own_axes(family)))

    @property
    def features(self) -> int:
        """The number of coordinates D; 1 where draws are numbers."""
        return self.mixture.components.gaussian.features

    # -- forward

    def at(self, t: Any) -> Mixture:
        r"""Returns the law of :math:`x_t`, :math:`\sum_k w_k N(\alpha\mu_k, \alpha^2\Sigma_k + \sigma^2 I)`.

        Arguments:
            t: A time, or times ``(*T)``, which give batch shape ``(*T, *B)``.

        Raises:
            MixtureError: If a time is outside of the schedule.
        """
        times = self.schedule.checked(t)
        return noised(self.mixture, self._led(self.schedule.alpha(times)), self._led(self.schedule.variance(times)))

    def score(self, t: Any, x: Tensor) -> Tensor:
        r"""Returns :math:`\nabla\log p_t(x)` of rows ``(*S, *T, *B, *event)``, in their shape."""
        times = self.schedule.checked(t)
        alpha, variance = self._led(self.schedule.alpha(times)), self._led(self.schedule.variance(times))
        return self._shaped(self._order.score(alpha, variance, self._rows(x, times)))

    # -- what a noisy draw says of the clean one

    def denoise(self, t: Any, x: Tensor) -> Tensor:
        r"""Returns :math:`E[x_0|x_t]` of rows ``(*S, *T, *B, *event)`` at times ``(*T)``, in their shape."""
        times = self.schedule.checked(t)
        return self.denoise_at(self.schedule.alpha(times), self.schedule.variance(times), x)

    def denoise_at(self, alpha: Tensor, variance: Tensor, x: Tensor) -> Tensor:
        """The same for signal and variance ``(*T)`` instead of times: what a sampler asks, who knows them."""
        return self._shaped(self._order.mean(self._led(alpha), self._led(variance), self._rows(x, alpha)))

    def belief(self, t: Any, x: Tensor) -> Belief:
        r"""Returns mean and covariance of :math:`p(x_0|x_t)` for rows at one time, the covariance as its products."""
        time = self.schedule.checked(t)
        alpha, variance = self._led(self.schedule.alpha(time)), self._led(self.schedule.variance(time))
        mean, times = self._order.moments(alpha, variance, self._rows(x, time))
        return Belief(self._shaped(mean), lambda v: self._shaped(times(self._rows(v, time))))

    def parts(self, t: Any, x: Tensor) -> Iterator[Part]:
        """Yields :math:`p(x_0|x_t)` of rows ``(N, *B, *event)`` at one time by component, some rows at a time."""
        times = self.schedule.checked(t)
        alpha, variance = self._led(self.schedule.alpha(times)), self._led(self.schedule.variance(times))
        return self._order.parts(alpha, variance, self._rows(x, times))

    def clean(self, t: Any, x: Tensor) -> Mixture:
        r"""Returns :math:`p(x_0|x_t)` of rows ``(*S, *T, *B, *event)``, a mixture of batch shape ``(*S, *T, *B)``.

        Raises:
            MixtureError: If no noise has come at a time: then :math:`x_0` is known.
        """
        times = self.schedule.checked(t)
        return self._before(times, x, self.mixture, self.schedule.alpha(times), self.schedule.variance(times))

    def velocity(self, t: Any, x: Tensor) -> Tensor:
        r"""Returns the velocity of the probability flow, :math:`\alpha' E[x_0|x_t] + \sigma' E[\varepsilon|x_t]`.

        The second term is :math:`-\tfrac12(\sigma^2)'\nabla\log p_t(x)`, and as such finite without noise, too.

        Along it, draws of :math:`p_t` stay draws of :math:`p_t`: :math:`dx/dt = f x - \tfrac12 g^2\nabla\log p_t(x)`.
        """
        times, one = self.schedule.checked(t), self.schedule
        rate, growth = (self._led(number).unsqueeze(-1) for number in (one.alpha_rate(times), one.variance_rate(times)))
        clean, score = (self._rows(known, times) for known in (self.denoise(times, x), self.score(times, x)))
        return self._shaped(rate * clean - 0.5 * growth * score)

    # -- back in time

    def reverse(self, t: Any, x: Tensor, s: Any) -> Mixture:
        r"""Returns :math:`p(x_s|x_t)` for an earlier time s, a mixture of batch shape ``(*S, *T, *B)``.

        Raises:
            MixtureError: If s is not before t.
        """
        late, early, one = self.schedule.checked(t), self.schedule.checked(s), self.schedule
        signal = one.alpha(late) / one.alpha(early)
        variance = -one.variance(late) * torch.expm1(one.log_snr(late) - one.log_snr(early))
        return self._before(late, x, self.at(early), signal, variance)

    # -- what was recorded of the clean draw

    def given(self, observation: Any, y: Tensor) -> Process:
        r"""Returns the process of :math:`p(x_0|y)`, whose law at t is :math:`p_t(x|y)`.

        Arguments:
            observation: How y was recorded, such as ``mx.observation.LinearMeasurement(A, variance)``; with errors in
                every direction in which A sees the draw, or exact along rows of A that are independent.
            y: What was recorded, ``(M,)``, or ``(*S, M)`` for a batch of processes.

        Raises:
            MixtureError: If y or A have another width, or the law of what is recorded is singular.
        """
        return Process(self.mixture.posterior(observation, y), self.schedule)

    def recorded(self, t: Any, x: Tensor, observation: Any) -> Mixture:
        r"""Returns :math:`p(y|x_t)`, a mixture of batch shape ``(*S, *B)``: the exact guidance is its gradient at y."""
        return self.clean(t, x).observed(observation)

    # -- inside

    @cached_property
    def _order(self) -> Order:
        structure = self.mixture.components.gaussian.structure
        if self.mixture.batch_shape or not structure.has_axes:
            return ByMeans(self.mixture)
        return (ByCoordinates if structure.elementwise else ByAxes)(self.mixture)

    def _led(self, number: Tensor) -> Tensor:
        """A number for each time, before the batch: ``(*T, *1)``."""
        number = number.to(self.mixture.device, self.mixture.dtype)
        return number.reshape(number.shape + (1,) * len(self.mixture.batch_shape) * (number.ndim > 0))

    def _rows(self, x: Any, times: Tensor) -> Tensor:
        """Rows as vectors of the mixture's type; numbers are vectors of one feature."""
        wanted = (*times.shape, *self.mixture.batch_shape, *self.mixture.event_shape)
        if not isinstance(x, Tensor) or x.shape[max(0, x.ndim - len(wanted)) :] != wanted:
            came = tuple(x.shape) if isinstance(x, Tensor) else type(x).__name__
            refuse(
                "x", f"rows (..., {', '.join(map(str, wanted))}), a tensor" if wanted else "a tensor of numbers", came
            )
        rows = x.to(self.mixture.dtype)
        return rows if self.mixture.event_shape else rows.unsqueeze(-1)

    def _shaped(self, rows: Tensor) -> Tensor:
        return rows if self.mixture.event_shape else rows.squeeze(-1)

    def _before(self, times: Tensor, x: Tensor, law: Mixture, signal: Tensor, variance: Tensor) -> Mixture:
        """The law of an earlier value, of which rows are the later: x = signal * earlier + noise."""
        if not bool((variance > 0).all()):
            refuse("t", "later than the time that is asked for: noise has come between", times.tolist())
        earlier = Earlier(law.components.gaussian, self._led(signal), self._led(variance))
        evidence, means = earlier.means(self._rows(x, times))
        found = Gaussian._of(location=means, structure=expanded(earlier.structure, means.shape[:-2]))
        return law._of(torch.log_softmax(law.logits + evidence, -1), law.components.with_gaussian(found))


def _in_own_axes(family: Any) -> Any:
    """The components with covariances to which round noise adds without a decomposition."""
    gaussian = family.gaussian
    if gaussian.structure.keeps_round:
        return family
    return family.with_gaussian(gaussian._replace(structure=Eigen.of(gaussian.structure, gaussian.features)))
