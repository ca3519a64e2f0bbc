"""Uses of fits at random, each a line of code, and the laws that every use must keep.

``line(seed)`` writes a use of `uses_of_fits` with the arguments of a fit as `random_fits` writes them, regressions and
weights that hang on columns beside the other families. The line is the whole of the case.

``judged(line)`` runs it and says how it ended: KEPT, where all laws of the use hold, or by an error of ours; another
exception, a warning and a law that is broken are defects.

From the root of the project, ``python tests/random_uses.py 17`` runs the case of seed 17 and prints its line.
"""

from __future__ import annotations

import random
import sys

import torch
import uses_beyond_fits  # noqa: F401 (adds to the table of uses)
import uses_of_fits  # noqa: F401
import uses_of_uses  # noqa: F401
from random_fits import FAMILIES, GAUSSIAN, KINDS, METHODS, Ending, Kind, arguments, ended
from use_laws import USES

LINES = [
    Kind("mx.LinearRegression", shapes="vectors"),
    Kind("mx.LinearRegression.template(target=0, intercept=False)", shapes="vectors"),
    Kind("mx.PoissonRegression", "counts", "vectors"),
    Kind("mx.LogisticRegression.template(total_count=7)", "trials", "vectors"),
    Kind("mx.Gated.template(mx.LinearRegression)", shapes="vectors"),
    Kind("mx.Gated.template(mx.Gaussian, on=[0])", shapes="vectors"),
    Kind("mx.Gated.template(mx.Poisson, on=[1])", "counts", "vectors"),
    Kind("mx.Gated.template(mx.PoissonRegression)", "counts", "vectors"),
    Kind("mx.Gated.template(mx.StudentT, on=[1])", shapes="vectors"),
    Kind("mx.Product.template((mx.Gaussian, (0, 1)), (mx.Poisson, 2))", "mixed", "triples"),
    Kind("mx.Product.template((mx.StudentT, (0, 1)), (mx.Bernoulli, 2))", "flagged", "triples", structured=True),
    Kind("mx.Beside.with_noise(mx.StudentT)", shapes="vectors"),
]
KINDS["mixed"] = lambda z, source: torch.cat([z[:, :-1], KINDS["counts"](z[:, -1:], source)], -1)
KINDS["flagged"] = lambda z, _: torch.cat([z[:, :-1], (z[:, -1:] > 0).double()], -1)
PRIORS = {
    "mx.Poisson": "mx.Conjugate.gamma(3.0, 2.0)",
    "mx.Bernoulli": "mx.Conjugate.beta(1.5, 2.5)",
    "mx.Categorical.template(categories=3)": "mx.Conjugate.dirichlet(torch.tensor([1.5, 1.0, 2.5]))",
    "mx.LinearRegression": "mx.priors.NormalInverseGamma(torch.zeros(2), torch.ones(2), 2.0, 2.0)",
    "mx.PoissonRegression": "mx.priors.NormalCoefficients(2.5)",
    "mx.LogisticRegression.template(total_count=7)": "mx.priors.NormalCoefficients(2.5)",
}
PLAIN = (
    *["mx.EM(4, 0, acceleration=False)"] * 3,
    *("mx.EM(4, 0, mx.Prior(2.0), acceleration=False)", "mx.EM(4, 0, mx.Prior.weak(x, {k}), acceleration=False)"),
    *(
        "mx.KMeans(4, 0)",
        "mx.ClassificationEM(4, 0)",
        "mx.Variational(max_iterations=4, tolerance=0, elimination=False)",
    ),
)
SAME = (
    "subset",
    "weighed",
    "shuffled",
    "turned",
    "streamed",
    "rounded",
)  # uses that make few plain updates in two ways
ALIKE = ("turned", "rescaled")  # uses that need columns alike, and units
TABLE = Kind("mx.Gaussian", shapes="vectors", structured=True)
GROUND = {"rescaled": GAUSSIAN, "commanded": GAUSSIAN, "turned": TABLE, "networked": TABLE}  # what makes sense for them
PURE = ("mx.EM(4, 0, acceleration=False)", "mx.ClassificationEM(4, 0)")
METHODS_OF = {**dict.fromkeys(SAME, PLAIN), **dict.fromkeys(ALIKE, PURE)}
SELDOM = ("validated", "tested", "selected", "reported", "commanded", "estimated")  # what takes longer


def line(seed: int) -> str:
    """The case of a seed, as a line of code."""
    pick = random.Random(f"a use, {seed}")
    use = pick.choice([name for name in sorted(USES) for _ in range(1 if name in SELDOM else 3)])
    kind = GAUSSIAN if pick.random() < 0.35 else pick.choice([*FAMILIES, *LINES])
    kind = GROUND.get(use, kind)
    methods = METHODS_OF.get(use, METHODS)
    if kind.family in PRIORS and pick.random() < 0.3 and use not in ALIKE:
        methods = (f"mx.EM(20, prior=mx.Prior(2.0, {PRIORS[kind.family]}))",)
    return f"{use}({arguments(pick, seed, kind, methods)})"


def judged(code: str) -> Ending:
    """Runs a line, and says how it ended."""
    return ended(code, USES, lambda _: ("KEPT", ""))


if __name__ == "__main__":
    torch.set_num_threads(1)
    for number in sys.argv[1:]:
        print(judged(line(int(number)) if number.isdigit() else number))
