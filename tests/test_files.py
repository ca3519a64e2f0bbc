"""Saving and loading: exact, whole or absent, and clear about anything else."""

import json
import os
import stat

import pytest
import torch
from safetensors.torch import save_file
from tables import FAMILIES, GAUSSIANS, tensor

import mixtura as mx
from mixtura.errors import FileFormatError

WEIGHTS = {2: tensor(0.3, 0.7), 3: tensor(0.2, 0.5, 0.3)}


@pytest.fixture
def mixture():
    return mx.Mixture(tensor(0.3, 0.7), GAUSSIANS["tied-full"])


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_comes_back_exactly(name, dtype, path):
    mixture = mx.Mixture(WEIGHTS[FAMILIES[name].batch_shape[-1]], FAMILIES[name]).to(dtype)
    mixture.save(path)
    again = mx.load(path)
    assert again.dtype == dtype and repr(again) == repr(mixture)
    pairs = zip(
        [again.logits, *again.components.tensors()], [mixture.logits, *mixture.components.tensors()], strict=True
    )
    assert all(torch.equal(one, two) for one, two in pairs)


def test_batches_and_gradients_and_strings(mixture, path):
    batch = mixture.expand((3,)).map(lambda t: t.clone().requires_grad_())
    batch.save(str(path))
    assert mx.load(str(path)).batch_shape == (3,)
    assert not mx.load(path).logits.requires_grad


def test_a_file_replaces_the_old_one_and_leaves_nothing_else(mixture, path):
    mixture.save(path)
    mixture.affine(2 * torch.eye(3)).save(path)
    assert torch.equal(mx.load(path).mean, 2 * mixture.mean)
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0o077 & 0o666 & ~_umask()


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


@pytest.mark.parametrize("keep", [0, 4, 60, 0.5, 0.99])
def test_truncated_files(mixture, path, keep):
    mixture.save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(keep if keep >= 1 or keep == 0 else keep * len(whole))])
    with pytest.raises(FileFormatError, match="not a complete safetensors file.*Save the mixture again"):
        mx.load(path)


def test_foreign_files(path):
    path.write_text("eruptions,waiting\n3.6,79\n")
    with pytest.raises(FileFormatError, match="not a complete safetensors file"):
        mx.load(path)
    save_file({"weight": torch.zeros(2)}, path)
    with pytest.raises(FileFormatError, match="not one that Mixtura wrote"):
        mx.load(path)


def rewritten(mixture, path, change):
    """The same file with another header."""
    mixture.save(path)
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        header, tensors = json.loads(file.metadata()["mixtura"]), {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    header = change(header)
    save_file(tensors, path, metadata={"mixtura": header if isinstance(header, str) else json.dumps(header)})


def test_newer_files(mixture, path):
    rewritten(mixture, path, lambda header: header | {"format": 99})
    with pytest.raises(FileFormatError, match="has format 99; this version of Mixtura reads up to 3. Upgrade"):
        mx.load(path)


DAMAGED = {
    "no JSON": lambda header: "{",
    "a list": lambda header: [1, 2],
    "no format": lambda header: {"mixture": header["mixture"]},
    "no mixture": lambda header: {"format": 1},
    "no components": lambda header: {"format": 1, "mixture": {"logits": {"tensor": "logits"}}},
    "a missing tensor": lambda header: {"format": 1, "mixture": header["mixture"] | {"logits": {"tensor": "nowhere"}}},
    "an unknown class": lambda header: json.dumps(header).replace('"Gaussian"', '"os.system"'),
    "components that are no family": lambda header: {
        "format": 1,
        "mixture": header["mixture"] | {"components": {"value": "text"}},
    },
    "no distribution": lambda header: {
        "format": 1,
        "mixture": header["mixture"] | {"components": {"torch": "kl_divergence", "fields": {}}},
    },
    "impossible parameters": lambda header: {
        "format": 1,
        "mixture": header["mixture"]
        | {
            "components": {
                "class": "TorchComponent",
                "fields": {
                    "distribution": {
                        "torch": "Normal",
                        "fields": {"loc": {"tensor": "logits"}, "scale": {"tensor": "logits"}},
                    }
                },
            }
        },
    },
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_damaged_headers(mixture, path, damage):
    rewritten(mixture, path, DAMAGED[damage])
    with pytest.raises(FileFormatError, match=r"header|class|distribution"):
        mx.load(path)


def test_paths_that_do_not_exist(mixture, tmp_path):
    with pytest.raises(FileNotFoundError, match="There is no file"):
        mx.load(tmp_path / "nothing.safetensors")
    with pytest.raises(mx.errors.MixtureError, match="`path` must lie in an existing folder.*Create it first"):
        mixture.save(tmp_path / "no" / "folder" / "model.safetensors")
    with pytest.raises(FileNotFoundError):
        mx.load(tmp_path)


def test_a_failed_save_keeps_the_old_file(mixture, path):
    mixture.save(path)
    other = mx.Mixture(
        tensor(1.0),
        torch.distributions.TransformedDistribution(
            torch.distributions.Normal(tensor(0.0), tensor(1.0)), torch.distributions.ExpTransform()
        ),
    )
    with pytest.raises(NotImplementedError, match="cannot be saved"):
        other.save(path)
    assert torch.equal(mx.load(path).mean, mixture.mean)
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_classes_of_other_packages_do_not_take_our_names():
    from mixtura._value import registry

    class Gaussian(mx.components.Component):
        pass

    assert registry["Gaussian"] is mx.Gaussian
    assert Gaussian.tag() != "Gaussian"


def test_files_of_the_first_version_are_read(mixture, path):
    """They hold the mixture and perhaps the names of its columns, and do not say how rows were recorded."""
    names = ["a", "b", "c"]
    rewritten(mixture, path, lambda header: {"format": 1, "mixture": header["mixture"], "columns": names})
    assert mx.load(path).columns == tuple(names) and mx.mixture.read_model(path).recording is None
    rewritten(mixture, path, lambda header: {"format": 1, "mixture": header["mixture"], "columns": None})
    assert mx.load(path).columns is None and repr(mx.load(path)) == repr(mixture)


RECORDINGS = {
    "nothing": (None, "Plain(gaps=False)"),
    "gaps": (mx.observation.Missing(), "Plain(gaps=True)"),
    "errors of each row": (
        mx.observation.AdditiveNoise(scale=torch.full((30, 3), 0.2), per_row=True),
        "ErrorsByRow(gaps=False, errors=None)",
    ),
    "errors and gaps": (
        [mx.observation.AdditiveNoise(scale=torch.full((30, 3), 0.2), per_row=True), mx.observation.Missing()],
        "ErrorsByRow(gaps=True, errors=None)",
    ),
    "one noise": (mx.observation.AdditiveNoise(scale=0.2), "SameForAll(through=Linear("),
    "rounding": (mx.observation.Rounded(0.5), "SameForAll(through=Rounded("),
    "correlated errors of each row": (
        mx.observation.AdditiveNoise(covariance=0.1 * torch.eye(3).expand(30, 3, 3), per_row=True),
        "OfEachRow(kind='Linear', gaps=False)",
    ),
}


@pytest.mark.parametrize("name", RECORDINGS)
def test_a_fit_keeps_how_its_rows_were_recorded(name, mixture, path):
    observation, described = RECORDINGS[name]
    x = mixture.sample((30,), torch.Generator().manual_seed(0))
    method = mx.EM(max_iterations=2)
    fit = mx.fit(x, 1, "diagonal", observation=observation, method=method)
    fit.save(path)
    again = mx.mixture.read_model(path)
    assert repr(again.recording).startswith(described)
    assert repr(again.mixture) == repr(fit.mixture)
    fit.mixture.save(path)
    assert mx.mixture.read_model(path).recording is None
