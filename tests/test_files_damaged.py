"""Damaged model files: each loads the very same model, or is refused in words that say what is wrong and what to do."""

import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from tables import FAMILIES, GAUSSIANS, tensor

import mixtura as mx
from mixtura.errors import FileFormatError
from mixtura.mixture import read_model

ADVICE = r"Save .* again|Upgrade|import the module|not one that Mixtura wrote"


def contents(model):
    """All that a model holds, comparable."""
    values = [model.mixture.logits, *model.mixture.components.tensors()]
    values += [] if model.recording is None else model.recording.tensors()
    return repr(model), model.mixture.columns, [(t.dtype, tuple(t.shape), t.numpy().tobytes()) for t in values]


def fitted(path):
    """A fit through an observation with tensors of its own."""
    x = mx.datasets.old_faithful()
    noise = mx.observation.AdditiveNoise(scale=torch.tensor([0.1, 2.0]))
    mx.fit({"eruptions": x[:, 0], "waiting": x[:, 1]}, 2, observation=noise, restarts=1).save(path)


def single(path):
    mx.Mixture(tensor(0.3, 0.7), GAUSSIANS["full"]).named(["a", "b", "c"]).to(torch.float32).save(path)


@pytest.mark.parametrize("write", [single, fitted])
def test_flipped_bits(write, tmp_path):
    path = tmp_path / "model.safetensors"
    write(path)
    whole, before = path.read_bytes(), contents(read_model(path))
    generator, refused = torch.Generator().manual_seed(0), 0
    for place in torch.randint(8 * len(whole), (300,), generator=generator).tolist():
        damaged = bytearray(whole)
        damaged[place // 8] ^= 1 << place % 8
        path.write_bytes(damaged)
        try:
            assert contents(read_model(path)) == before, f"bit {place} changed the model in silence"
        except mx.errors.MixtureError as error:
            refused += 1
            assert str(path) in str(error) and any(word in str(error) for word in ("Save", "Upgrade", "wrote")), error
    assert refused > 280


@pytest.mark.parametrize("write", [single, fitted])
def test_files_cut_short_or_with_a_hole(write, tmp_path):
    path = tmp_path / "model.safetensors"
    write(path)
    whole, generator = path.read_bytes(), torch.Generator().manual_seed(1)
    for cut in [0, 1, 7, 8, 9, *torch.randint(len(whole) - 1, (40,), generator=generator).tolist()]:
        for damaged in (whole[:cut], whole + whole[: cut + 1], whole[:cut] + bytes(16) + whole[cut + 16 :]):
            path.write_bytes(damaged)
            if damaged == whole:
                continue
            with pytest.raises(FileFormatError, match="model.safetensors.*(Save|wrote)"):
                read_model(path)


def rewritten(path, change_header=lambda header: header, **changed):
    """Writes the same file with other tensors or another header, as an old version would have: without a checksum."""
    with safe_open(path, framework="pt") as file:
        header, tensors = json.loads(file.metadata()["mixtura"]), {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    header.pop("checksum", None)
    header["format"] = 2
    save_file({**tensors, **changed}, path, metadata={"mixtura": json.dumps(change_header(header))})
    return tensors


def refused(path):
    with pytest.raises(FileFormatError, match=r"model\.safetensors.* Save the mixture again") as caught:
        mx.load(path)
    return str(caught.value)


def test_a_changed_tensor_or_header_is_seen(tmp_path):
    path = tmp_path / "model.safetensors"
    single(path)
    with safe_open(path, framework="pt") as file:
        metadata, tensors = file.metadata(), {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    save_file(tensors, path, metadata=metadata)
    assert mx.load(path).columns == ("a", "b", "c")
    save_file({**tensors, "logits": tensors["logits"].flip(0)}, path, metadata=metadata)
    assert "checksum" in refused(path)
    save_file(tensors, path, metadata={"mixtura": metadata["mixtura"].replace('"a"', '"A"')})
    assert "checksum" in refused(path)
    header = json.loads(metadata["mixtura"])
    del header["checksum"]
    save_file(tensors, path, metadata={"mixtura": json.dumps(header)})
    assert "checksum" in refused(path)


@pytest.mark.parametrize("name", FAMILIES)
def test_old_files_of_every_family_are_read(name, tmp_path):
    path = tmp_path / "model.safetensors"
    count = FAMILIES[name].batch_shape[-1]
    mixture = mx.Mixture(torch.ones(count), FAMILIES[name])
    mixture.save(path)
    rewritten(path)
    assert repr(mx.load(path)) == repr(mixture)


@pytest.mark.parametrize("name", FAMILIES)
def test_impossible_parameters_of_every_family_are_refused(name, tmp_path):
    """NaN, and one number too many or too few, in each tensor; without a checksum that would tell."""
    path = tmp_path / "model.safetensors"
    count = FAMILIES[name].batch_shape[-1]
    mx.Mixture(torch.ones(count), FAMILIES[name]).save(path)
    whole = path.read_bytes()
    for key, value in rewritten(path).items():
        for wrong in (
            torch.full_like(value, torch.nan),
            torch.cat([value.reshape(-1), value.reshape(-1)]),
            value[..., :0],
        ):
            path.write_bytes(whole)
            if value.ndim and value.is_floating_point():
                rewritten(path, **{key: wrong})
                assert refused(path), key


@pytest.mark.parametrize("name", FAMILIES)
def test_scales_and_probabilities_below_zero_are_refused(name, tmp_path):
    """What a family calls positive in its arguments, in the tensors as they are stored."""
    path = tmp_path / "model.safetensors"
    mx.Mixture(torch.ones(FAMILIES[name].batch_shape[-1]), FAMILIES[name]).save(path)
    whole, stored, met = path.read_bytes(), rewritten(path), 0
    for key, value in stored.items():
        if key.split(".")[-1] in (
            "factor",
            "rate",
            "scale",
            "concentration",
            "probs",
            "dof",
            "total_count",
            "variance",
        ):
            path.write_bytes(whole)
            rewritten(path, **{key: -value})
            assert refused(path)
            met += 1
    if not met:
        pytest.skip("the family has no positive parameter of its own")


@pytest.mark.parametrize("change", [lambda t: -1 - t, lambda t: t[..., :1], lambda t: t / 0 - t / 0])
@pytest.mark.parametrize("name", ["noise", "offset"])
def test_impossible_errors_of_rows(name, change, tmp_path):
    path = tmp_path / "model.safetensors"
    fitted(path)
    key = f"recording.through.{name}"
    value = rewritten(path)[key]
    if name == "offset" and value.shape == change(value).shape and not change(value).isnan().any():
        pytest.skip("an offset may have any sign")
    rewritten(path, **{key: change(value)})
    assert refused(path)


WEIGHTS = {
    "sum to 1.46": tensor(0.73, 0.73).log(),
    "sum to less": tensor(0.2, 0.7).log(),
    "NaN": tensor(0.0, torch.nan),
    "plus infinity": tensor(0.0, torch.inf),
    "nothing at all": tensor(-torch.inf, -torch.inf),
    "one too many": tensor(0.2, 0.3, 0.5).log(),
    "a number": torch.zeros((), dtype=torch.float64),
    "whole numbers": torch.zeros(2, dtype=torch.int64),
}


@pytest.mark.parametrize("kind", WEIGHTS)
def test_impossible_weights(kind, tmp_path):
    path = tmp_path / "model.safetensors"
    mx.Mixture(tensor(0.3, 0.7), GAUSSIANS["full"]).save(path)
    rewritten(path, logits=WEIGHTS[kind])
    assert "weights" in refused(path)


def test_entries_of_a_batch_that_are_no_mixtures(tmp_path):
    """A group that could not be fitted is NaN throughout, and is kept so; some NaN in an entry is damage."""
    path = tmp_path / "model.safetensors"
    one = mx.Mixture(tensor(0.3, 0.7), GAUSSIANS["tied-full"])
    batch = one.map(lambda t: torch.stack([t, torch.full_like(t, torch.nan), t]))
    batch.save(path)
    again = mx.load(path)
    assert again.batch_shape == (3,) and repr(again.batch(0)) == repr(one) and bool(again.weights[1].isnan().all())
    rewritten(path)
    assert mx.load(path).batch_shape == (3,)
    rewritten(path, logits=torch.stack([one.logits, one.logits, one.logits]))
    assert "NaN" in refused(path)
    with pytest.raises(mx.errors.MixtureError, match="NaN"):
        one.map(lambda t: torch.stack([t, torch.full_like(t, torch.nan)])).batch(1).save(path)


HEADERS = {
    "unknown": lambda header: header | {"colour": "red"},
    "'sacle'": lambda header: json.loads(json.dumps(header).replace('"factor"', '"sacle"')),
    "'tied'": lambda header: json.loads(json.dumps(header).replace('"tied": {"value": false}', '"tied": {"value": 3}')),
    "columns": lambda header: header | {"columns": ["a", "a", "b"]},
    "names": lambda header: header | {"columns": "abc"},
    "nothing": lambda header: header | {"extra": None},
}


@pytest.mark.parametrize("kind", HEADERS)
def test_unknown_fields_and_names(kind, tmp_path):
    path = tmp_path / "model.safetensors"
    mx.Mixture(tensor(0.3, 0.7), GAUSSIANS["full"]).save(path)
    rewritten(path, HEADERS[kind])
    assert refused(path)


def test_tensors_that_nobody_asked_for(tmp_path):
    path = tmp_path / "model.safetensors"
    mx.Mixture(tensor(0.3, 0.7), GAUSSIANS["full"]).save(path)
    rewritten(path, spare=torch.zeros(2))
    assert "spare" in refused(path)


def test_a_perfect_fit_of_k_means_is_saved(tmp_path):
    """Its scale is zero: no density, but centres all the same."""
    fit = mx.fit(torch.tensor([[0.0, 1.0], [5.0, 2.0]]), 2, method=mx.KMeans(), restarts=2)
    fit.save(tmp_path / "model.safetensors")
    assert torch.equal(mx.load(tmp_path / "model.safetensors").components.mean, fit.mixture.components.mean)
