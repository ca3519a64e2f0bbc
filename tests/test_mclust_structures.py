"""All fourteen volume-shape-orientation structures against R's mclust, where it is installed.

mclust is GPL: it is run as a program, once for everything here, and none of its code is used.
"""

import shutil
import subprocess

import pytest
import torch

import mixtura as mx
from mixtura.components import structure

NAMES = ("EII", "VII", "EEI", "VEI", "EVI", "VVI", "EEE", "VEE", "EVE", "VVE", "EEV", "VEV", "EVV", "VVV")
SCRIPT = """
suppressMessages(library(mclust))
options(digits = 15)
flowers <- as.matrix(read.csv("{folder}/flowers.csv", header = FALSE))
geyser <- as.matrix(read.csv("{folder}/geyser.csv", header = FALSE))
z <- unmap(c({labels}))
start <- hc(geyser)
for (name in c("{names}")) {{
  one <- me(data = flowers, modelName = name, z = z)
  one <- estep(data = flowers, modelName = name, parameters = one$parameters)  # the loglik of `me` is of a step before
  two <- Mclust(geyser, G = 3, modelNames = name, initialization = list(hcPairs = start), verbose = FALSE)
  cat(name, one$loglik, two$loglik, nMclustParams(name, d = 4, G = 3), nMclustParams(name, d = 5, G = 7), "\\n")
}}
"""


def flowers():
    """Four correlated lengths of three kinds of unequal volume, shape and direction, and the kinds."""
    generator = torch.Generator().manual_seed(4)
    groups = []
    for count, scale in ((50, 0.4), (60, 0.7), (40, 1.0)):
        root = scale * torch.randn(4, 4, generator=generator, dtype=torch.float64)
        centre = 2 * torch.randn(4, generator=generator, dtype=torch.float64)
        groups.append(torch.randn(count, 4, generator=generator, dtype=torch.float64) @ root + centre)
    return torch.cat(groups), torch.arange(3).repeat_interleave(torch.tensor([50, 60, 40]))


def write(path, x):
    path.write_text("\n".join(",".join(map(repr, row)) for row in x.tolist()))


@pytest.fixture(scope="module")
def theirs(tmp_path_factory):
    """For each name: log-likelihoods of the flowers from their kinds and of the geyser, and two parameter counts."""
    if shutil.which("Rscript") is None:
        pytest.skip("R is not installed, so nothing was compared with mclust")
    folder = tmp_path_factory.mktemp("mclust")
    x, labels = flowers()
    write(folder / "flowers.csv", x)
    write(folder / "geyser.csv", mx.datasets.old_faithful())
    listed = ", ".join(str(label + 1) for label in labels.tolist())
    (folder / "run.R").write_text(SCRIPT.format(folder=folder, names='", "'.join(NAMES), labels=listed))
    done = subprocess.run(["Rscript", str(folder / "run.R")], capture_output=True, text=True)
    if "there is no package called" in done.stderr:
        pytest.skip("R's mclust is not installed (Debian: r-cran-mclust), so nothing was compared with it")
    assert done.returncode == 0, done.stderr
    return {name: tuple(map(float, numbers)) for name, *numbers in map(str.split, done.stdout.splitlines())}


@pytest.mark.parametrize("name", NAMES)
def test_flowers_from_their_kinds(theirs, name):
    x, labels = flowers()
    fit = mx.fit(x, covariance=name, init=labels, method=mx.EM(tolerance=1e-9))
    assert fit.log_likelihood >= theirs[name][0] - 1e-3


@pytest.mark.parametrize("name", NAMES)
def test_geyser(theirs, name):
    x = mx.datasets.old_faithful()
    fit = mx.fit(x, 3, covariance=name, generator=torch.Generator().manual_seed(0))
    assert fit.log_likelihood >= theirs[name][1] - 1e-3


@pytest.mark.parametrize("name", NAMES)
def test_parameters(theirs, name):
    template = structure(name)
    weights_and_means = 2 + 3 * 4, 6 + 7 * 5
    assert template.parameters(3, 4) + weights_and_means[0] == theirs[name][2]
    assert template.parameters(7, 5) + weights_and_means[1] == theirs[name][3]
