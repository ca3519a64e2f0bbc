"""Names of columns live in the mixture, and what goes into `fit` goes into everything that reads rows."""

import pandas
import polars
import pyarrow
import pytest
import torch

import mixtura as mx
from mixtura.testing.contract import assert_close

X = mx.datasets.old_faithful()
NAMES = ("eruptions", "waiting")
SHUFFLED = {"note": ["x"] * len(X), "waiting": X[:, 1].tolist(), "eruptions": X[:, 0].tolist()}


def file(table, tmp_path):
    path = tmp_path / "table.csv"
    table.to_csv(path, index=False)
    return path


FORMS = {
    "a mapping": lambda table, _: table.to_dict("list"),
    "pandas": lambda table, _: table.set_index(pandas.Index(range(7, 7 + len(table)))),
    "polars": lambda table, _: polars.from_pandas(table),
    "Arrow": lambda table, _: pyarrow.Table.from_pandas(table),
    "a CSV file": file,
    "its path as text": lambda table, tmp_path: str(file(table, tmp_path)),
}


@pytest.fixture(scope="module")
def fit():
    return mx.fit({name: X[:, j] for j, name in enumerate(NAMES)}, 2, restarts=2)


@pytest.fixture(params=FORMS)
def table(request, tmp_path):
    """The rows in another order of columns, beside one of text."""
    return FORMS[request.param](pandas.DataFrame(SHUFFLED), tmp_path)


READERS = {
    "log_prob": lambda mixture, x: mixture.log_prob(x),
    "log_joint": lambda mixture, x: mixture.log_joint(x),
    "responsibilities": lambda mixture, x: mixture.responsibilities(x),
    "assign": lambda mixture, x: mixture.assign(x),
    "score": lambda mixture, x: mixture.score(x),
    "impute": lambda mixture, x: mixture.impute(x).values,
    "held_out": lambda mixture, x: torch.tensor(mx.held_out(mixture, x)),
}


@pytest.mark.parametrize("reader", READERS)
def test_a_table_is_read_by_name(fit, table, reader):
    assert_close(READERS[reader](fit.mixture, table), READERS[reader](fit.mixture, X), 1e-12)


def test_values_to_condition_on_are_found_by_name(fit, table):
    given = fit.mixture.condition(["waiting"], table)
    assert_close(given.mean, fit.mixture.condition([1], X[:, 1:]).mean, 1e-12)
    assert given.columns == ("eruptions",)


@pytest.mark.parametrize("form", FORMS)
def test_numbers_are_found_by_their_name(form, tmp_path):
    table = FORMS[form](pandas.DataFrame(SHUFFLED), tmp_path)
    mixture = mx.fit(table, 2, columns="waiting", restarts=2).mixture
    assert mixture.columns == ("waiting",) and mixture.event_shape == ()
    assert_close(mixture.log_prob(table), mixture.log_prob(X[:, 1]), 1e-12)
    assert_close(mixture.cdf(table), mixture.cdf(X[:, 1]), 1e-12)


@pytest.mark.parametrize("library", [pandas, polars])
def test_a_series_is_a_column(fit, library):
    numbers = fit.mixture.marginal(["waiting"])
    expected = numbers.log_prob(X[:, 1:])
    assert_close(
        numbers.log_prob(
            library.Series(name="waiting", data=X[:, 1].tolist())
            if library is pandas
            else polars.Series("waiting", X[:, 1].tolist())
        ),
        expected,
        1e-12,
    )


def test_gaps_of_a_table_are_filled(fit):
    frame = pandas.DataFrame(SHUFFLED).head(3)
    frame.loc[1, "waiting"] = None
    filled = fit.mixture.impute(frame)
    assert_close(filled.values[1, 1], fit.mixture.condition(["eruptions"], X[1, :1]).mean[0], 1e-12)


def test_a_column_that_is_absent_is_named(fit):
    with pytest.raises(mx.errors.MixtureError, match="'waiting', which is not one"):
        fit.mixture.log_prob({"eruptions": [3.0], "wait": [50.0]})
    with pytest.raises(mx.errors.MixtureError, match="names of columns; got 'height'"):
        fit.mixture.marginal(["height"])
    with pytest.raises(mx.errors.MixtureError, match="mixture.named"):
        fit.mixture.named(None).condition("waiting", [50.0])
    with pytest.raises(mx.errors.MixtureError, match="rows of 2 columns"):
        fit.mixture.named(None).log_prob({"a": [1.0], "b": [1.0], "c": [2.0]})
    with pytest.raises(mx.errors.MixtureError, match="rows of the columns eruptions, waiting"):
        fit.mixture.log_prob(mx.data.rows({"waiting": [50.0], "eruptions": [2.0]}))


def test_a_file_is_read_block_by_block(fit, tmp_path, monkeypatch):
    """No block of a file that is scored holds more than it must."""
    path = file(pandas.DataFrame(SHUFFLED), tmp_path)
    monkeypatch.setattr(mx.data.Rows, "suggested_size", 50)
    sizes = []
    plain = type(fit.mixture.components).mixture_log_prob

    def watched(self, logits, x):
        sizes.append(len(x))
        return plain(self, logits, x)

    monkeypatch.setattr(type(fit.mixture.components), "mixture_log_prob", watched)
    assert len(fit.mixture.log_prob(path)) == 272 and sizes == [50] * 5 + [22]


def test_a_batch_reads_a_table_as_its_rows(fit):
    """One row for each entry, as in a mixture seen through errors of each row."""
    batch = fit.mixture.expand((272,))
    assert batch.columns == NAMES
    assert_close(batch.log_prob(SHUFFLED), fit.mixture.log_prob(X), 1e-12)


def test_a_mixture_seen_through_gaps_or_errors_reads_a_table():
    frame = pandas.DataFrame(SHUFFLED)
    frame.loc[3, "waiting"] = None
    found = mx.fit(frame, 2, columns=NAMES, observation=mx.observation.Missing(), restarts=2)
    seen = found.mixture.observed(mx.observation.Missing())
    assert seen.columns == NAMES
    assert seen.log_prob(frame).sum().item() == pytest.approx(found.log_likelihood, rel=1e-10)
    errors = mx.observation.AdditiveNoise(scale=torch.full((272, 2), 0.5), per_row=True)
    assert_close(found.mixture.observed(errors).log_prob(SHUFFLED), found.mixture.observed(errors).log_prob(X), 1e-12)
    clean = found.mixture.posterior(mx.observation.AdditiveNoise(scale=0.5), X)
    assert clean.columns == NAMES and clean.marginal(["waiting"]).batch_shape == (272,)
    turned = mx.observation.LinearMeasurement(torch.tensor([[1.0, 1.0], [0.0, 2.0]]), torch.eye(2))
    assert found.mixture.observed(turned).columns is None
    both = [mx.observation.AdditiveNoise(scale=0.5), turned]
    assert found.mixture.observed(both).columns is None


# -- where names live


def test_names_stay_with_what_keeps_the_columns(fit):
    mixture = fit.mixture
    assert mixture.columns == NAMES
    for same in (
        mixture.to(torch.float32),
        mixture.detach(),
        mixture.order(),
        mixture.reduce(1),
        mixture.expand((2,)).batch(0),
        mixture.convolve(torch.eye(2)),
        mixture.product(mixture),
        mixture.product(mixture.named(None)),
        mixture.named(None).product(mixture),
    ):
        assert same.columns == NAMES
    assert mixture.marginal([1]).columns == ("waiting",)
    assert mixture.marginal(["waiting", "eruptions"]).columns == ("waiting", "eruptions")
    assert mixture.condition("waiting", [70.0]).columns == ("eruptions",)
    assert mixture.affine(torch.eye(2)).columns is None
    with pytest.raises(mx.errors.MixtureError, match="`other` must be on the columns"):
        mixture.product(mixture.named(["a", "b"]))


def test_names_are_saved(fit, tmp_path):
    fit.mixture.save(tmp_path / "m.safetensors")
    again = mx.load(tmp_path / "m.safetensors")
    assert again.columns == NAMES
    assert_close(again.condition(["waiting"], [70.0]).mean, fit.mixture.condition([1], [70.0]).mean, 1e-12)
    fit.mixture.named(None).save(tmp_path / "m.safetensors")
    assert mx.load(tmp_path / "m.safetensors").columns is None


@pytest.mark.parametrize("names", [["a"], ["a", "a"], "ab", ["a", "b", "c"]])
def test_bad_names_are_refused(fit, names):
    with pytest.raises(mx.errors.MixtureError, match="a list of 2 different names"):
        fit.mixture.named(names)


METHODS = {
    "EM": lambda: mx.EM(max_iterations=3),
    "KMeans": lambda: mx.KMeans(max_iterations=3),
    "Gibbs": lambda: mx.Gibbs(draws=5, warmup=2),
    "Variational": lambda: mx.Variational(max_iterations=3),
    "OnlineEM": lambda: mx.OnlineEM(),
}


@pytest.mark.parametrize("method", METHODS)
def test_every_method_names_the_columns(method):
    found = mx.fit(pandas.DataFrame(SHUFFLED), 2, columns=NAMES, method=METHODS[method](), restarts=1)
    assert found.mixture.columns == NAMES


def test_select_and_gaps_name_the_columns():
    frame = pandas.DataFrame(SHUFFLED).drop(columns="note")
    frame.loc[3, "waiting"] = None
    found = mx.select(frame, (1, 2), "full", observation=mx.observation.Missing(), restarts=1)
    assert found.best.mixture.columns == ("waiting", "eruptions")


def test_other_columns_than_were_recorded_have_no_names():
    turned = mx.observation.LinearMeasurement(torch.tensor([[1.0, 1.0], [0.0, 2.0]]), torch.eye(2) * 1e-3)
    assert mx.fit(pandas.DataFrame(SHUFFLED), 1, columns=NAMES, observation=turned).mixture.columns is None


# -- entropy


def test_entropy_is_torchs(fit):
    """A tensor, as in torch, so that `perplexity` is its exponential."""
    once = fit.mixture.entropy(50, torch.Generator().manual_seed(0))
    assert isinstance(once, torch.Tensor)
    assert once == fit.mixture.entropy_estimate(50, torch.Generator().manual_seed(0)).value
    torch.manual_seed(0)
    one = fit.mixture.reduce(1)
    assert_close(one.perplexity().log(), one.entropy_estimate().lower, 0.05)


def test_a_start_finds_its_columns_by_name(fit, table):
    again = mx.fit(table, init=fit.mixture)
    assert again.mixture.columns == NAMES
    assert again.log_likelihood == pytest.approx(fit.log_likelihood, abs=1e-4)


def test_a_start_on_numbers_finds_its_column():
    one = mx.fit(SHUFFLED, 1, columns="waiting")
    assert mx.fit(SHUFFLED, init=one.mixture).mixture.event_shape == ()


def test_a_start_refuses_its_columns_in_another_order(fit):
    with pytest.raises(mx.errors.MixtureError, match="eruptions, waiting, in the order of `init`"):
        mx.fit(SHUFFLED, init=fit.mixture, columns=["waiting", "eruptions"])


def test_a_projection_has_its_own_columns(fit):
    first = mx.observation.LinearMeasurement(torch.eye(2, dtype=torch.float64))
    read = {"one": X[:, 0], "other": X[:, 1]}
    assert mx.fit(read, init=fit.mixture, observation=first).mixture.columns is None


def test_a_posterior_reads_a_table_by_its_names(fit, table):
    noise = mx.observation.AdditiveNoise(scale=torch.tensor([0.5, 5.0]))
    found = fit.mixture.posterior(noise, table)
    assert found.columns == NAMES
    assert_close(found.mean, fit.mixture.posterior(noise, X).mean)
    number = mx.fit(SHUFFLED, 1, columns="waiting").mixture
    assert number.posterior(mx.observation.AdditiveNoise(scale=1.0), table).batch_shape == (len(X),)
    unnamed = number.named(None).posterior(mx.observation.AdditiveNoise(scale=1.0), {"w": X[:, 1]})
    assert unnamed.batch_shape == (len(X),)
