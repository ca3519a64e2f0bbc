"""Against R's mclust where it is installed: our optimum is never below its, and our criteria agree at its parameters.

mclust is GPL: it is run as a program, and none of its code is used.
"""

import shutil
import subprocess
from dataclasses import replace

import pytest
import torch

import mixtura as mx

CODES = {
    "full": "VVV",
    "diagonal": "VVI",
    "spherical": "VII",
    "tied-full": "EEE",
    "tied-diagonal": "EEI",
    "tied-spherical": "EII",
}
SCRIPT = """
suppressMessages(library(mclust))
x <- as.matrix(read.csv("{data}", header = FALSE))
m <- Mclust(x, G = {components}, modelNames = "{code}", verbose = FALSE)
e <- estep(x, modelName = "{code}", parameters = m$parameters)  # m$z and m$icl are of the step before
bic <- bic(modelName = "{code}", loglik = e$loglik, n = nrow(x), d = ncol(x), G = {components})
icl <- bic + 2 * sum(log(apply(e$z, 1, max)))
p <- m$parameters
cat(e$loglik, bic, icl, m$df, p$pro, p$mean, p$variance$sigma, sep = "\\n")
"""


def has_mclust():
    if shutil.which("Rscript") is None:
        return False
    return subprocess.run(["Rscript", "-e", "library(mclust)"], capture_output=True).returncode == 0


@pytest.fixture(scope="module")
def mclust(tmp_path_factory):
    if not has_mclust():
        pytest.skip("R's mclust is not installed (Debian: r-cran-mclust), so nothing was compared with it")
    folder = tmp_path_factory.mktemp("mclust")
    data = mx.datasets.old_faithful()
    (folder / "x.csv").write_text("\n".join(",".join(map(repr, row)) for row in data.tolist()))

    def run(covariance, components):
        script = SCRIPT.format(data=folder / "x.csv", components=components, code=CODES[covariance])
        (folder / "run.R").write_text("options(digits = 15)\n" + script)
        out = subprocess.run(["Rscript", str(folder / "run.R")], capture_output=True, text=True, check=True).stdout
        numbers = torch.tensor([float(line) for line in out.split()], dtype=torch.float64)
        criteria, rest = numbers[:4], numbers[4:]
        weights, mean, matrices = rest.split([components, 2 * components, 4 * components])
        # R stores columns first: a 2 x K matrix is read back as K rows of 2.
        return criteria, weights, mean.reshape(components, 2), matrices.reshape(components, 2, 2)

    return run


@pytest.mark.parametrize("covariance", CODES)
def test_optima(mclust, covariance):
    x = mx.datasets.old_faithful()
    (likelihood, _, _, free), *_ = mclust(covariance, 3)
    fit = mx.fit(x, 3, covariance, generator=torch.Generator().manual_seed(0))
    assert fit.log_likelihood >= likelihood - 1e-3
    assert fit.parameters == free


@pytest.mark.parametrize("covariance", CODES)
def test_our_criteria_at_their_parameters(mclust, covariance):
    """A fit around mclust's own mixture gives mclust's likelihood, BIC and ICL, the last two with the opposite sign."""
    x = mx.datasets.old_faithful()
    (likelihood, bic, icl, _), weights, mean, matrices = mclust(covariance, 2)
    structure = mx.components.structure(covariance)
    dense = (matrices + matrices.mT) / 2
    structure = structure.with_covariance(dense[:1] if structure.tied else dense)
    mixture = mx.Mixture(weights, mx.Gaussian(mean, structure))
    fit = replace(mx.fit(x, 2, covariance), mixture=mixture)
    assert abs(fit.log_likelihood - likelihood) < 1e-8 * abs(likelihood)
    assert abs(fit.bic + bic) < 1e-8 * abs(bic) and abs(fit.icl + icl) < 1e-8 * abs(icl)
