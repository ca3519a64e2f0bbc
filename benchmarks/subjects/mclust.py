"""R's mclust, in one R process that evaluates line by line."""

import shutil
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from subprocess import DEVNULL, PIPE, Popen

import numpy as np

from ..cases import Array, Case, Parameters

_NAMES = {"full": "VVV", "tied": "EEE", "diagonal": "VVI", "spherical": "VII"}


class _R:
    """An R process, and a folder through which numbers pass."""

    def __init__(self) -> None:
        if shutil.which("Rscript") is None:
            raise NotImplementedError("R is not installed")
        self.process = Popen(["R", "--vanilla", "--no-echo"], stdin=PIPE, stdout=PIPE, stderr=DEVNULL, text=True)
        self.folder = tempfile.TemporaryDirectory()
        if self("cat(suppressWarnings(require(mclust, quietly = TRUE)), '\\n')").split()[-1:] != ["TRUE"]:
            raise NotImplementedError("mclust is not installed")

    def __call__(self, line: str) -> str:
        """Runs a line that prints one line."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError("R ended")
        return answer

    def path(self, name: str) -> Path:
        return Path(self.folder.name, name)

    def give(self, name: str, matrix: Array) -> None:
        np.asfortranarray(matrix, dtype=np.float64).ravel(order="F").tofile(self.path(name))
        self(f"{name} <- matrix(readBin('{self.path(name)}', 'double', {matrix.size}), {len(matrix)}); cat('.\\n')")

    def take(self, expression: str) -> Array:
        self(f"writeBin(as.double({expression}), '{self.path('out')}'); cat('.\\n')")
        return np.fromfile(self.path("out"))


_r = cache(_R)


def pid() -> int:
    return _r().process.pid


def em(case: Case) -> Callable[[int], Parameters]:
    if case.dtype != "float64":
        raise NotImplementedError("float64 only")
    k, d, r = case.components, case.features, _r()
    joint = case.start.log_joint(case.x)
    r.give("x", case.x)
    r.give("z", np.exp(joint - np.logaddexp.reduce(joint, axis=1, keepdims=True)))

    def run(iterations: int) -> Parameters:
        control = f"emControl(itmax = {iterations}, tol = 0)"
        r(f"fit <- me(x, '{_NAMES[case.structure]}', z, control = {control}, warn = FALSE); cat('.\\n')")
        weights, means = r.take("fit$parameters$pro"), r.take("fit$parameters$mean").reshape(k, d)
        dense = r.take("fit$parameters$variance$sigma").reshape(k, d, d)
        return Parameters.of(weights, means, dense, case.structure)

    return run
