"""Bad input to `fit` and `select`: the message names the argument, what was expected, what came and what to do."""

import numpy as np
import pandas as pd
import pytest
import torch

import mixtura as mx
from mixtura.errors import MixtureError


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def table(rows=40, features=3):
    return torch.randn(rows, features, generator=generator(), dtype=torch.float64)


def named():
    return pd.DataFrame(table().numpy(), columns=["length", "mass", "depth"])


def changed(value, row=5, column=1):
    x = table()
    x[row, column] = value
    return x


def doubled():
    frame = named()
    frame["grams"] = 1000 * frame["mass"] + 3
    return frame


def summed():
    frame = named()
    frame["total"] = frame["length"] + 2 * frame["mass"]
    return frame


def constant():
    frame = named()
    frame["zone"] = 4.0
    return frame


BAD = {
    "empty": (lambda: (table(0), 1), "`x` must be at least one row; got none.*did a filter drop every row"),
    "empty frame": (lambda: (named().iloc[:0], 1), "`x` must be at least one row; got none"),
    "one row": (lambda: (table(1), 1), "`x` must be rows that differ; got a single row that counts"),
    "few rows": (lambda: (table(2), 3), "`components` must be at most the number of rows, 2; got 3. Ask for fewer"),
    "rows below columns": (
        lambda: (table(3), 1),
        "`x` must be at least 4 rows, for a matrix of 3 columns; got 3 rows.*fewer columns",
    ),
    "NaN": (
        lambda: (changed(torch.nan), 2),
        "`x` must be finite; got 1 of 120 values.*row 5, column 1: nan.*Drop or fill",
    ),
    "inf": (lambda: (changed(-torch.inf), 2), "`x` must be finite; got 1 of 120 values.*row 5, column 1: -inf"),
    "NaN by name": (lambda: (named().mask(named() == named().iloc[7, 2]), 2), "row 7, column 'depth': nan"),
    "text": (lambda: (named().assign(species="Adelie"), 2), "species"),
    "constant": (lambda: (constant(), 2), "varied in every column; got column 'zone' with 4.0 in every row. Leave"),
    "duplicate": (
        lambda: (doubled(), 2),
        "columns 'mass' and 'grams', whose correlation is 1. Leave one of them out with columns=",
    ),
    "duplicate of opposite sign": (
        lambda: (torch.stack([table()[:, 0], -table()[:, 0]], 1), 2),
        "columns 0 and 1, whose correlation is -1",
    ),
    "linear": (lambda: (summed(), 2), "columns 'length', 'mass', 'total', which satisfy a linear equation"),
    "equal rows": (lambda: (torch.ones(9, 2), 1), "`x` must be rows that differ; got 9 rows that are all equal"),
    "huge": (lambda: (changed(1e300), 2), r"`x` must be below .* in size.*got 1e\+300 in column 1. Rescale"),
    "huge in float32": (lambda: (changed(1e30).float(), 2), "so that squares fit into torch.float32"),
    "shape": (lambda: (torch.zeros(3, 4, 5), 2), r"`x` must be N numbers.*got shape \(3, 4, 5\)"),
    "scalar": (lambda: (torch.tensor(1.0), 2), "`x` must be N numbers"),
    "no columns": (lambda: (torch.zeros(3, 0), 2), r"got shape \(3, 0\)"),
    "K = 0": (lambda: (table(), 0), "`components` must be a whole number of at least 1; got 0"),
    "K negative": (lambda: (table(), -2), "`components` must be a whole number of at least 1; got -2"),
    "K half": (lambda: (table(), 2.5), "`components` must be a whole number of at least 1; got 2.5"),
    "K text": (lambda: (table(), "two"), "`components` must be a whole number of at least 1; got 'two'"),
    "K true": (lambda: (table(), True), "`components` must be a whole number of at least 1; got True"),
}


@pytest.mark.parametrize("case", BAD)
def test_data_that_cannot_be_learned_from(case):
    make, message = BAD[case]
    x, components = make()
    with pytest.raises(mx.errors.MixtureError, match=message):
        mx.fit(x, components, generator=generator())
    with pytest.raises(mx.errors.MixtureError, match=message):
        mx.select(x, [components], "full", generator=generator())


OPTIONS = {
    "no K": ({}, "`components` must be given: how many components"),
    "weight negative": (
        {"components": 2, "sample_weight": -torch.ones(40)},
        "`sample_weight` must be finite numbers, zero or",
    ),
    "weight zero": (
        {"components": 2, "sample_weight": torch.zeros(40)},
        "`sample_weight` must be positive somewhere; got 40 z",
    ),
    "weight NaN": (
        {"components": 2, "sample_weight": torch.full((40,), torch.nan)},
        "`sample_weight` must be finite.*row 0",
    ),
    "weight length": (
        {"components": 2, "sample_weight": torch.ones(39)},
        "`sample_weight` must be one number for each of the 40",
    ),
    "weights for fewer rows": (
        {"components": 3, "sample_weight": torch.eye(40)[0] + torch.eye(40)[1]},
        "at most the number of rows of positive weight, 2",
    ),
    "column": ({"components": 2, "columns": ["a", "b"]}, "`columns` must be"),
    "covariance": (
        {"components": 2, "covariance": "fulll"},
        "`covariance` must be a structure or one of full, diagonal",
    ),
    "restarts": ({"components": 2, "restarts": 0}, "`restarts` must be a whole number of at least 1; got 0"),
    "init shape": (
        {"components": 2, "init": torch.zeros(2, 5)},
        r"`init` must be a mixture, 2 means of 3 features, or one label",
    ),
    "init number": ({"components": 2, "init": torch.zeros(4, 3)}, "`init` must be a mixture, 2 means of 3 features"),
    "init NaN": ({"init": torch.full((2, 3), torch.nan)}, "`init` must be finite means"),
    "init labels": ({"components": 2, "init": torch.arange(40)}, "`init` must be labels between 0 and 1; got 0 to 39"),
    "init negative": ({"init": torch.arange(40) - 1}, "`init` must be labels between 0 and 38; got -1 to 38"),
    "init mixture": (
        {"init": mx.Mixture(torch.ones(1), mx.Normal(torch.zeros(1), torch.ones(1)))},
        r"`init` must be one mixture on rows of shape \(3,\)",
    ),
    "init K": (
        {"components": 3, "init": mx.Mixture(torch.ones(1), mx.Gaussian(torch.zeros(1, 3), torch.eye(3)[None]))},
        "`components` must be the 1 of `init`; got 3",
    ),
}


@pytest.mark.parametrize("case", OPTIONS)
def test_arguments_that_cannot_be(case):
    options, message = OPTIONS[case]
    with pytest.raises(mx.errors.MixtureError, match=message):
        mx.fit(table(), **options)


SEARCHES = {
    "criterion": ({"criterion": "bik"}, "`criterion` must be one of bic, aic, icl; got 'bik'"),
    "no K": ({"components": []}, "`components` must be at least one number"),
    "no covariance": ({"covariance": []}, "`covariance` must be at least one structure"),
    "weight": ({"sample_weight": -torch.ones(40)}, "`sample_weight` must be finite numbers"),
    "many K": ({"components": range(1, 50)}, "`components` must be at most the number of rows, 40; got 49"),
}


@pytest.mark.parametrize("case", SEARCHES)
def test_searches_that_cannot_be(case):
    options, message = SEARCHES[case]
    with pytest.raises(mx.errors.MixtureError, match=message):
        mx.select(table(), **options)


METHODS = {
    "iterations": (lambda: mx.EM(max_iterations=0), "`max_iterations` must be at least 1; got 0"),
    "tolerance": (lambda: mx.EM(tolerance=-1.0), "`tolerance` must be at least 0"),
    "tolerance NaN": (lambda: mx.KMeans(tolerance=float("nan")), "`tolerance` must be at least 0"),
    "concentration": (
        lambda: mx.fit(table(), 2, method=mx.EM(prior=mx.Prior(0.5))),
        "`concentration` must be a number of at least 1",
    ),
    "strength": (lambda: niw(strength=-1.0), "`strength` must be at least 0; got -1"),
    "degrees": (
        lambda: niw(degrees=1.0),
        "`degrees` must be more than D - 1 = 1; got 1.0. Otherwise the prior is improper",
    ),
    "scale shape": (lambda: niw(scale=torch.eye(3)), r"`scale` must be a \(2, 2\) matrix"),
    "scale indefinite": (lambda: niw(scale=-torch.eye(2)), "`scale` must be symmetric positive semi-definite"),
    "scale asymmetric": (
        lambda: niw(scale=torch.ones(2, 2).triu()),
        "`scale` must be symmetric positive semi-definite",
    ),
    "mean NaN": (lambda: niw(mean=torch.full((2,), torch.nan)), "`mean` must be finite"),
    "no worker": (
        lambda: mx.fit(table(), 2, method=mx.EM(prior=mx.Prior(components=niw()))),
        "`prior` must be on 3 features",
    ),
}


def niw(mean=None, strength=1.0, scale=None, degrees=4.0):
    mean, scale = torch.zeros(2) if mean is None else mean, torch.eye(2) if scale is None else scale
    return mx.NormalInverseWishart(mean, strength, scale, degrees)


@pytest.mark.parametrize("case", METHODS)
def test_methods_and_priors_that_cannot_be(case):
    make, message = METHODS[case]
    with pytest.raises(mx.errors.MixtureError, match=message):
        make()


def test_a_column_that_does_not_exist_suggests_the_nearest():
    with pytest.raises(mx.errors.MixtureError, match="'lenght'.*'length'"):
        mx.fit(named(), 2, columns=["lenght", "mass"])


@pytest.mark.parametrize("covariance", ["diagonal", "spherical", "tied-diagonal", "tied-spherical"])
def test_duplicate_columns_are_no_hindrance_to_diagonal_covariances(covariance):
    assert mx.fit(doubled(), 2, covariance, generator=generator()).converged
    assert mx.fit(doubled(), 2, covariance, method=mx.KMeans(), generator=generator()).converged


def test_nearly_duplicate_columns_are_fitted():
    x = table(200, 2)
    x = torch.stack([x[:, 0], x[:, 0] + 1e-4 * x[:, 1]], 1)
    fit = mx.fit(x, 1)
    centred = x - x.mean(0)
    expected = centred.mT @ centred / len(x)
    assert bool(((fit.mixture.covariance - expected).abs() < 1e-12 * expected.abs().max()).all())


def test_columns_of_very_different_scales_are_fitted():
    unit = torch.tensor([1e-60, 1.0, 1e80], dtype=torch.float64)
    one, two = (mx.fit(x, 2, generator=generator(), restarts=4) for x in (table(), table() * unit))
    assert abs(one.log_likelihood - two.log_likelihood - 40 * unit.log().sum()) < 1e-5 * abs(two.log_likelihood)


def test_integers_of_numpy_are_whole_numbers():
    fit = mx.fit(table(), np.int64(2), restarts=np.int32(3), generator=generator())
    assert fit.mixture.logits.shape == (2,)
    assert len(mx.select(table(), np.arange(1, 3), "spherical", generator=generator()).table) == 2


def test_an_empty_table_is_refused_through_an_observation_too():
    empty = torch.zeros(0, 2, dtype=torch.float64)
    for one in (mx.observation.Truncated(-1.0, 1.0), mx.observation.Missing(), mx.observation.AdditiveNoise(scale=0.1)):
        with pytest.raises(MixtureError, match="0"):
            mx.fit(empty, 2, observation=one)


def test_components_of_torch_that_shrink_to_a_point_have_collapsed():
    x = torch.tensor([0.0, 0.0, 0.0, 7.0, 7.0], dtype=torch.float64)
    fit = mx.fit(x, 2, family=torch.distributions.Gumbel, generator=generator())
    assert fit.reason is mx.Reason.COLLAPSED and fit.mixture.mean.isfinite()


def test_one_value_is_refused_behind_gaps_as_without_them():
    x = table()
    x[:, 1] = torch.where(torch.arange(len(x)) % 3 == 0, torch.nan, 2.0)
    with pytest.raises(mx.errors.MixtureError, match="one value in every row of column 1"):
        mx.fit(x, 2, observation=mx.observation.Missing())
