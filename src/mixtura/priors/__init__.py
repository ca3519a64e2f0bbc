r"""Priors: on the weights of a mixture, on its components, and on both.

A prior is a density first. Of a mixture with weights :math:`\pi` and components :math:`\theta_1, \dots, \theta_K`,

.. math:: \log p(\pi, \theta) = \log p(\pi) + \sum_k \log p(\theta_k),

where a tied matrix counts once. `mixtura.Prior` is the whole of it; here are its parts.

========================== ======================= ======================================= ========================
prior                      on                      density with respect to                 given rows
========================== ======================= ======================================= ========================
`DirichletPrior`           weights                 :math:`d\pi_1 \cdots d\pi_{K-1}`        :math:`\alpha_k + N_k`
`StickBreaking`            weights                 :math:`d\pi_1 \cdots d\pi_{K-1}`        breaks count rows
`NormalInverseWishart`     Gaussians               means and the matrices' free entries    pseudo-rows and scatter
`Conjugate`                exponential families    natural parameters                      pseudo-rows' statistics
`JointPrior`               products of families    those of its parts                      part by part
`NormalInverseGamma`       linear regressions      effects and residual variances          rows seen before
`NormalCoefficients`       other regressions       coefficients                            none: it is not conjugate
`Ridge`                    Gaussians               none: it is no density                  a larger variance
========================== ======================= ======================================= ========================

Each answers the same questions:

- ``log_prob``: the log-density in nats, normalised unless the docstring says "up to a constant";
- ``sample``: a draw;
- ``posterior``: the law given sums over rows, by Bayes' rule :math:`p(\theta|x) \propto p(\theta) \prod_n
  p(x_n|\theta)^{r_n}`; it has densities and draws too, and what MAP, variational Bayes and Gibbs ask;
- ``to``: the same on another device or in another type. A prior follows the rows to their device by itself.

Whether a density has a maximum is another question, which only MAP estimates ask (``has_mode``): a Dirichlet of
concentration 1/2 is proper but unbounded, so `EM` refuses it and `Variational` and `Gibbs` take it.
"""

from .components import ComponentsPrior
from .conjugate import ConjugatePosterior, ConjugatePrior
from .exponential_conjugate import Conjugate, ExponentialPosterior
from .inverse_wishart import Law, add_law, law
from .joint import JointPosterior, JointPrior
from .normal_coefficients import NormalCoefficients
from .normal_inverse_gamma import NormalInverseGamma, NormalInverseGammaPosterior
from .normal_inverse_wishart import NormalInverseWishart, NormalInverseWishartPosterior
from .ridge import Ridge
from .weights import DirichletPrior, StickBreaking, WeightsPosterior, WeightsPrior

__all__ = [
    "ComponentsPrior",
    "Conjugate",
    "ConjugatePosterior",
    "ConjugatePrior",
    "DirichletPrior",
    "ExponentialPosterior",
    "JointPosterior",
    "JointPrior",
    "Law",
    "NormalCoefficients",
    "NormalInverseGamma",
    "NormalInverseGammaPosterior",
    "NormalInverseWishart",
    "NormalInverseWishartPosterior",
    "Ridge",
    "StickBreaking",
    "WeightsPosterior",
    "WeightsPrior",
    "add_law",
    "law",
]
