"""Weights of every model are loaded bit for bit; files that do not fit, lie about sizes or contain code are refused."""

import io
import zipfile
from pathlib import Path
from typing import get_args

import h5py
import keras
import numpy as np
import pytest

from mnist_exp.config.settings import Activation, Initializer
from mnist_exp.errors import IntegrityError
from mnist_exp.machine.model_files import WEIGHTS
from mnist_exp.models import averaging
from mnist_exp.models.weights import OVERHEAD_BYTES, load_weights
from tests.integration.models.test_averaging import SAVES, SMALL, small
from tests.integration.models.test_models import MODELS

pytestmark = SAVES
IMAGES = np.random.default_rng(0).integers(0, 256, (3, 28, 28, 1), np.uint8)
CHOICES = [
    *(f"model={name}" for name in MODELS),
    "precision=bfloat16",
    "preprocessing=standardize",
    *(f"model.activation={name}" for name in get_args(Activation)),
    *(f"model.initializer={name}" for name in get_args(Initializer)),
]
AVERAGED = ("model=mlp", "model=resnet", "precision=bfloat16")  # an average over shifts contains the model as one layer


def saved(model: keras.Model, path: Path) -> Path:
    model.save(path)
    return path


def replace_parts(path: Path, compression: int = zipfile.ZIP_STORED, **parts: bytes) -> None:
    """Write a .keras archive again with these contents of `config` and `weights`."""
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    names = {"config": "config.json", "weights": WEIGHTS}
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, part in (content | {names[key]: part for key, part in parts.items()}).items():
            archive.writestr(name, part)


def refused(path: Path) -> str:
    """The reason for which the weights of a file are refused for a small network."""
    with pytest.raises(IntegrityError) as raised:
        load_weights(small(*SMALL), path)
    assert raised.value.exit_code == 3
    prefix = f"{path}: its weights do not fit the settings of its run: "
    assert raised.value.cause.startswith(prefix)
    return raised.value.cause.removeprefix(prefix)


@pytest.mark.parametrize(
    ("choice", "max_shift"), [*((choice, 0) for choice in CHOICES), *((choice, 1) for choice in AVERAGED)]
)
def test_saved_weights_are_loaded_into_a_rebuilt_model(choice: str, max_shift: int, tmp_path: Path) -> None:
    overrides = [choice] if choice.startswith("model=") else [*SMALL, choice]
    model = averaging.over_shifts(small(*overrides, seed=1), max_shift)
    path, expected = saved(model, tmp_path / "model.keras"), np.asarray(model(IMAGES))
    rebuilt = averaging.over_shifts(small(*overrides, seed=2), max_shift)
    assert not np.array_equal(np.asarray(rebuilt(IMAGES)), expected)
    load_weights(rebuilt, path)
    assert np.array_equal(np.asarray(rebuilt(IMAGES)), expected)
    for loaded, weight in zip(rebuilt.get_weights(), model.get_weights(), strict=True):
        assert np.array_equal(loaded, weight)


def test_code_in_a_file_does_not_run(tmp_path: Path) -> None:
    ran: list[int] = []
    pixels = keras.Input((28, 28, 1), dtype="uint8")
    flat = keras.layers.Flatten()(keras.layers.Lambda(lambda x: ran.append(1) or keras.ops.cast(x, "float32") / 255)(pixels))
    model = keras.Model(pixels, keras.layers.Dense(10, activation="softmax")(flat))
    path = saved(model, tmp_path / "model.keras")
    ran.clear()
    refused(path)
    assert not ran


def test_the_configuration_in_a_file_is_not_read(tmp_path: Path) -> None:
    model = small(*SMALL, seed=1)
    path = saved(model, tmp_path / "model.keras")
    replace_parts(path, config=b'{"module": "os", "class_name": "system", "config": {}, "registered_name": null}')
    rebuilt = small(*SMALL, seed=2)
    load_weights(rebuilt, path)
    assert np.array_equal(np.asarray(rebuilt(IMAGES)), np.asarray(model(IMAGES)))


@pytest.mark.parametrize("other", [("model.units=[9]",), ("model.filters=[4,3,2]", "model.kernel_sizes=[3,3,3]")])
def test_weights_of_another_network_are_refused(other: tuple[str, ...], tmp_path: Path) -> None:
    assert "could not be loaded" in refused(saved(small(*SMALL, *other), tmp_path / "model.keras"))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("external link", "ExternalLink"),
        ("soft link", "SoftLink"),
        ("external data", "is in another file"),
        ("other shape", "shape"),
        ("missing", "expected 2 variables"),
        ("huge array", "conv2d/vars/0 takes 1,000,000,000,000 bytes"),
        ("huge chunk", "conv2d/vars/0 takes 400 bytes or is compressed"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(change: str, reason: str, tmp_path: Path) -> None:
    path = saved(small(*SMALL), tmp_path / "model.keras")
    secret = tmp_path / "secret.h5"
    with h5py.File(secret, "w") as file:
        file["0"] = np.zeros((3, 3, 1, 4), np.float32)
    with zipfile.ZipFile(path) as archive:
        content = io.BytesIO(archive.read(WEIGHTS))
    with h5py.File(content, "a") as file:
        group = file["layers/conv2d/vars"]
        shape = group["0"].shape
        del group["0"]
        match change:
            case "external link":
                group["0"] = h5py.ExternalLink(str(secret), "/0")
            case "soft link":
                group["0"] = h5py.SoftLink("/layers/conv2d_1/vars/0")
            case "external data":
                group.create_dataset("0", shape, np.float32, external=[(str(secret), 0, h5py.h5f.UNLIMITED)])
            case "other shape":
                group["0"] = np.zeros((2, 2), np.float32)
            case "huge array":
                group.create_dataset("0", (250_000, 1_000_000), np.float32)  # without data: a few bytes of the file
            case "huge chunk":
                chunks = (1024, 1024, 64, 4)
                group.create_dataset("0", shape, np.float32, chunks=chunks, maxshape=(None,) * 4, compression="gzip")
    replace_parts(path, weights=content.getvalue())
    assert path.stat().st_size < 1_000_000
    assert reason in refused(path)


def test_an_archive_that_unpacks_to_more_than_the_model_is_refused(tmp_path: Path) -> None:
    path = saved(small(*SMALL), tmp_path / "model.keras")
    replace_parts(path, zipfile.ZIP_DEFLATED, weights=bytes(2 * OVERHEAD_BYTES))
    assert path.stat().st_size < 100_000
    assert refused(path).startswith(f"it takes {2 * OVERHEAD_BYTES:,} bytes, more than ")


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    with path.open("wb") as file:
        file.truncate(2**33)  # sparse
    assert refused(path).startswith(f"it takes {2**33:,} bytes, more than ")


def test_a_damaged_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    path.write_bytes(b"no archive")
    assert refused(path) == "File is not a zip file"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", "{}")
    assert WEIGHTS in refused(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(WEIGHTS, b"not HDF5")
    assert refused(path)
