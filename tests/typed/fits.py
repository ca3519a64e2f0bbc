"""What type checkers are to see: `tests/test_typed.py` runs pyright over this file, and nobody calls what is in it."""

from typing import assert_type

import torch

import mixtura as mx
from mixtura.learning import Fit, GibbsFit, GroupFits, GroupSelection, OnlineFit, Selection, VariationalFit
from mixtura.learning.methods.kmeans import KMeansFit


def fits(x: torch.Tensor) -> None:
    assert_type(mx.fit(x, 2), Fit)
    assert_type(mx.fit(x, 2, "full", None), Fit)
    assert_type(mx.fit(x, 2, method=mx.EM()), Fit)
    assert_type(mx.fit(x, 2, "full", mx.Gibbs()), GibbsFit)
    assert_type(mx.fit(x, 2, method=mx.Gibbs()), GibbsFit)
    assert_type(mx.fit(x, 2, method=mx.Variational()), VariationalFit)
    assert_type(mx.fit(x, 2, method=mx.KMeans()), KMeansFit)
    assert_type(mx.fit(x, 2, method=mx.OnlineEM()), OnlineFit)
    assert_type(mx.fit(x, 2, groups=["a", "b"]), GroupFits)
    assert_type(mx.fit(x, 2, method=mx.EM(), groups="gene"), GroupFits)
    assert_type(mx.fit(x, 2, groups="gene")["a"], Fit)
    assert_type(mx.select(x), Selection)
    assert_type(mx.select(x, (1, 2), groups="gene"), GroupSelection)


def mixtures(mixture: mx.Mixture) -> None:
    assert_type(mixture.marginal(["a"]), mx.Mixture)
    assert_type(mixture.condition("a", [1.0]), mx.Mixture)
    assert_type(mixture.entropy(), torch.Tensor)
    assert_type(mx.load("model.safetensors").columns, tuple[str, ...] | None)
