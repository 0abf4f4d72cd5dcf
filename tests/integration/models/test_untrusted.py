"""Every model that the program saves can be loaded again after it was looked at; what others save cannot."""

import hashlib
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
from mnist_exp.models import averaging, untrusted
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


def saved(model: keras.Model, path: Path) -> Path:
    model.save(path)
    return path


def load(path: Path) -> keras.Model:
    return untrusted.load(path, hashlib.sha256(untrusted.checked(path)).hexdigest(), (28, 28, 1), 10)


@pytest.mark.parametrize("choice", CHOICES)
def test_what_is_saved_can_be_loaded(choice: str, tmp_path: Path) -> None:
    overrides = [choice] if choice.startswith("model=") else [*SMALL, choice]
    model = small(*overrides)
    loaded = load(saved(averaging.over_shifts(model, 1), tmp_path / "model.keras"))
    expected = np.asarray(averaging.over_shifts(model, 1)(IMAGES))
    assert np.array_equal(np.asarray(loaded(IMAGES)), expected)
    assert not loaded.compiled


def test_a_layer_with_code_is_refused_and_does_not_run(tmp_path: Path) -> None:
    ran: list[int] = []
    pixels = keras.Input((28, 28, 1), dtype="uint8")
    flat = keras.layers.Flatten()(keras.layers.Lambda(lambda x: ran.append(1) or keras.ops.cast(x, "float32") / 255)(pixels))
    model = keras.Model(pixels, keras.layers.Dense(10, activation="softmax")(flat))
    path = saved(model, tmp_path / "model.keras")
    ran.clear()
    with pytest.raises(IntegrityError, match=r"model.keras: may not be loaded: it names keras.layers.Lambda"):
        load(path)
    assert not ran


@pytest.mark.parametrize("package", ["stranger", "Functional"])
def test_a_class_that_was_registered_is_refused(package: str, tmp_path: Path) -> None:
    @keras.saving.register_keras_serializable(package=package)
    class Foreign(keras.layers.Layer):
        def call(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
            return inputs

    pixels = keras.Input((28, 28, 1), dtype="uint8")
    path = saved(keras.Model(pixels, Foreign()(pixels)), tmp_path / "model.keras")
    with pytest.raises(IntegrityError, match=r"it names tests.integration.models.test_untrusted.Foreign"):
        load(path)


def test_a_model_for_another_task_is_refused(tmp_path: Path) -> None:
    pixels = keras.Input((28, 28, 1), dtype="uint8", name="pixels")
    path = saved(keras.Model(pixels, keras.layers.Flatten()(pixels)), tmp_path / "model.keras")
    with pytest.raises(IntegrityError, match="which is another task"):
        load(path)


def test_a_file_that_was_changed_since_is_refused(tmp_path: Path) -> None:
    path = saved(small(*SMALL), tmp_path / "model.keras")
    with pytest.raises(IntegrityError, match="was changed meanwhile"):
        untrusted.load(path, hashlib.sha256(b"").hexdigest(), (28, 28, 1), 10)


@pytest.mark.parametrize("evil", ["link", "external", "other", "few"])
def test_weights_that_are_not_in_the_file_or_do_not_fit_are_refused(evil: str, tmp_path: Path) -> None:
    path = saved(small(*SMALL), tmp_path / "model.keras")
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    content = io.BytesIO(parts["model.weights.h5"])
    secret = tmp_path / "secret.h5"
    with h5py.File(secret, "w") as file:
        file["0"] = np.zeros((5, 5, 1, 4), np.float32)
    with h5py.File(content, "a") as file:
        group = file["layers/conv2d/vars"]
        shape = group["0"].shape
        del group["0"]
        if evil == "link":
            group["0"] = h5py.ExternalLink(str(secret), "/0")
        elif evil == "external":
            group.create_dataset("0", shape, np.float32, external=[(str(secret), 0, h5py.h5f.UNLIMITED)])
        elif evil == "other":
            group["0"] = np.zeros((2, 2), np.float32)
    with zipfile.ZipFile(path, "w") as archive:
        for name, part in (parts | {"model.weights.h5": content.getvalue()}).items():
            archive.writestr(name, part)
    with pytest.raises(IntegrityError, match=r"model.keras: cannot be loaded: "):
        load(path)
