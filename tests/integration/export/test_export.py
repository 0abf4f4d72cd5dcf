"""Exports of networks with random weights: each artefact in its own runtime, its names, its metadata, and what fails."""

import errno
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import keras
import numpy as np
import pytest

from mnist_exp.comparison.rows import read_rows
from mnist_exp.datasets.dataset import Dataset
from mnist_exp.ensemble import build, completed, members
from mnist_exp.ensemble.network import rebuild_completed
from mnist_exp.errors import EnvironmentFailure, InputError, IntegrityError, UserError
from mnist_exp.export import artefact, html, network, node, saved_model, sidecars
from mnist_exp.export.formats import FORMATS, Quantization
from mnist_exp.export.network import ExportedNetwork
from mnist_exp.machine import files, locks
from mnist_exp.machine.plain_data import read_json
from mnist_exp.models import preprocessing
from mnist_exp.models.build import build_model
from mnist_exp.runs.outcome import run_locked
from mnist_exp.runs.run import Run
from mnist_exp.runs.status import REBUILD_HINT
from mnist_exp.training.device import Device
from tests.conftest import compose
from tests.documents import MANUAL, blocks
from tests.integration.ensemble.test_ensemble import CHOICES, THREADS, untrained
from tests.integration.models.test_averaging import SAVES, SMALL

pytestmark = SAVES
MLP = ("model=mlp", "model.units=[8]", "seed=3", "preprocessing=standardize")
Write = Callable[..., artefact.Artefact]


def needs(name: str) -> Any:
    """A format as a parameter of a test, which is skipped where its packages are missing."""
    import importlib.util

    missing = [package for package in FORMATS[name].packages if importlib.util.find_spec(package) is None]
    reason = f"{', '.join(missing)} not installed: pip install 'mnist-exp[{FORMATS[name].extra}]'"
    return pytest.param(name, marks=pytest.mark.skipif(bool(missing), reason=reason))


NEEDS_NODE = pytest.mark.skipif(shutil.which(node.PROGRAM) is None, reason="Node.js is not installed")
EXACT = [needs(name) for name in ("saved_model", "onnx", "litert")]
QUANTIZED = [needs(name) for name in ("onnx", "litert")]


def exported(directory: Path) -> ExportedNetwork:
    (row,) = read_rows([directory])
    return network.build(completed.read(row), Device("/CPU:0", 1))


@pytest.fixture(scope="module")
def mlp(tmp_path_factory: pytest.TempPathFactory, digits: Dataset) -> ExportedNetwork:
    return exported(untrained(tmp_path_factory.mktemp("export") / "a", digits, *MLP))


@pytest.fixture(scope="module")
def ensemble(tmp_path_factory: pytest.TempPathFactory, digits: Dataset) -> Path:
    """The directory of an ensemble: one member averages over shifts, another one is in bfloat16."""
    place = tmp_path_factory.mktemp("members")
    shifted = ("model=mlp", "model.units=[8]", "seed=2", "evaluation.tta=1")
    chosen = [untrained(place / "b", digits, *shifted), untrained(place / "c", digits, *CHOICES[2])]
    run = Run(place / "two")
    run.directory.mkdir()
    found = members.read_ensemble("two", chosen)
    run.ensemble.write_text(found.to_yaml(run.directory))
    summary = build.build_ensemble(found, run, "cpu", THREADS)
    assert run_locked(run, lambda: summary, REBUILD_HINT) == 0
    return run.directory


@pytest.fixture(scope="module")
def averaged(ensemble: Path) -> ExportedNetwork:
    """The ensemble, with 64 test images."""
    source = exported(ensemble)
    data, stored = source.completed.data, source.completed.probabilities
    few = replace(data, test_images=data.test_images[:64], test_labels=data.test_labels[:64])
    run = replace(source.completed, data=few, probabilities=stored[:64])
    return replace(source, completed=run, probabilities=source.probabilities[:64])


@pytest.fixture
def write(tmp_path: Path) -> Iterator[Write]:
    def call(source: ExportedNetwork, name: str, quantization: Quantization | None = None) -> artefact.Artefact:
        return artefact.write(source, FORMATS[name], quantization, tmp_path / "out", lambda _: None)

    with artefact.prepared(tmp_path / "out"):
        yield call


def predict_alone(path: Path, images: np.ndarray, batch: int | None = None) -> tuple[np.ndarray, dict[str, Any]]:
    """The probabilities and the metadata of an artefact, with nothing but its own runtime."""
    size = batch or len(images)
    batches = [images[start : start + size] for start in range(0, len(images), size)]
    if path.is_dir():
        import tensorflow as tf

        loaded = tf.saved_model.load(str(path))
        metadata = json.loads((path / "assets.extra" / "metadata.json").read_text())
        (only,) = batches
        return loaded.signatures["serving_default"](images=tf.constant(only))["probabilities"].numpy(), metadata
    if path.suffix == ".onnx":
        import onnxruntime

        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        properties = session.get_modelmeta().custom_metadata_map
        metadata = {key: json.loads(text) for key, text in properties.items() if not key.startswith("onnx.")}
        ((entry,), (result,)) = session.get_inputs(), session.get_outputs()
        assert (entry.name, entry.type, result.name) == ("images", "tensor(uint8)", "probabilities")
        assert entry.shape[1:] == list(images.shape[1:])
        return np.concatenate([session.run(None, {"images": one})[0] for one in batches]), metadata
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path))
    ((entry,), (result,)) = interpreter.get_input_details(), interpreter.get_output_details()
    assert (entry["name"], entry["dtype"], result["name"]) == ("images", np.uint8, "probabilities")
    content = path.read_bytes()
    start = content.index(b'{"run": ')
    metadata, _ = json.JSONDecoder().raw_decode(content[start:].decode("latin-1"))
    run = interpreter.get_signature_runner("serving_default")
    return np.concatenate([run(images=one)["probabilities"].copy() for one in batches]), metadata


@pytest.mark.parametrize("name", EXACT)
def test_an_artefact_predicts_as_the_network_on_all_test_images(
    name: str, mlp: ExportedNetwork, write: Write, tmp_path: Path, digits: Dataset, capfd: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.read_bytes() for path in mlp.completed.run.directory.iterdir() if path.is_file()}
    found = write(mlp, name)
    stored = np.load(mlp.completed.run.predictions)["probabilities"]
    probabilities, metadata = predict_alone(found.path, digits.test_images)
    np.testing.assert_allclose(probabilities, stored, atol=1e-5)
    assert np.array_equal(probabilities.argmax(1), stored.argmax(1))
    content = read_json(found.path.with_name(found.path.name + ".json"))
    assert (content["check"]["n"], content["check"]["changed"], content["check"]["mcnemar"]["p"]) == (10_000, 0, 1)
    assert content["check"]["largest_difference"] < 1e-5
    assert content["check"]["error"]["errors"] == np.count_nonzero(stored.argmax(1) != digits.test_labels)
    assert content["check"]["milliseconds_per_image"] > 0
    assert content["bytes"] == sum(path.stat().st_size for path in [found.path, *found.path.rglob("*")] if path.is_file())
    assert metadata == {key: content[key] for key in metadata} == mlp.metadata
    assert metadata["class_names"] == list("0123456789")
    assert metadata["run"]["name"] == "a"
    (scaling,) = metadata["normalization"]["layers"]
    pixels = digits.train_images[mlp.completed.split.train]
    assert scaling["scale"] == pytest.approx([1 / pixels.std()])
    assert scaling["offset"] == pytest.approx([-pixels.mean() / pixels.std()])
    assert {path.name for path in (tmp_path / "out").iterdir()} == {".lock", found.path.name, f"{found.path.name}.json"}
    assert {path: path.read_bytes() for path in before} == before
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize("name", EXACT)
def test_the_code_of_the_manual_uses_a_file(
    name: str, mlp: ExportedNetwork, write: Write, digits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = write(mlp, name)
    (code,) = (one for one in blocks((MANUAL / "export.md").read_text(), "py") if f'"{found.path.name}"' in one)
    monkeypatch.chdir(found.path.parent)
    values: dict[str, Any] = {"images": digits.test_images[:50]}
    exec(code, values)
    assert np.asarray(values["probabilities"]) == pytest.approx(mlp.probabilities[:50], abs=1e-5)


@pytest.mark.parametrize("quantization", ["dynamic", "int8"])
@pytest.mark.parametrize("name", QUANTIZED)
def test_a_quantised_artefact_says_how_much_it_changes(
    name: str, quantization: Quantization, mlp: ExportedNetwork, write: Write, digits: Dataset
) -> None:
    found = write(mlp, name, quantization)
    assert found.path.stem == f"model_{quantization}"
    probabilities, metadata = predict_alone(found.path, digits.test_images, 1 if quantization == "dynamic" else None)
    assert metadata["class_names"] == list("0123456789")
    changed = np.flatnonzero(probabilities.argmax(1) != mlp.probabilities.argmax(1))
    content = read_json(found.path.with_name(f"{found.path.name}.json"))
    assert content["quantization"] == quantization
    assert content["check"]["changed"] == len(changed) > 0
    assert content["check"]["largest_difference"] == pytest.approx(np.abs(probabilities - mlp.probabilities).max())
    assert {one["index"] for one in content["check"]["changed_images"]} <= set(changed.tolist())
    wrong = [one.argmax(1) != digits.test_labels for one in (probabilities, mlp.probabilities)]
    assert content["check"]["mcnemar"]["only_artefact_wrong"] == np.count_nonzero(wrong[0] & ~wrong[1])


@pytest.mark.parametrize("module", [saved_model, pytest.param(html, marks=NEEDS_NODE)])
def test_a_float_artefact_that_changes_a_prediction_is_removed(
    module: ModuleType, mlp: ExportedNetwork, write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(html, "learn", lambda *_: None)  # it takes seconds
    name = module.__name__.rpartition(".")[2]
    earlier = write(mlp, name)
    file = earlier.path if earlier.path.is_file() else earlier.path / "saved_model.pb"
    content = file.read_bytes()

    def load(_: Path) -> Callable[[np.ndarray], np.ndarray]:
        probabilities = iter([np.roll(mlp.probabilities[:1000], 1, axis=1), *np.split(mlp.probabilities[1000:], 9)])
        return lambda images: next(probabilities) if len(images) > 1 else images

    monkeypatch.setattr(module, "load", load)
    with pytest.raises(UserError, match="1,000 of 10,000 predictions change: that of test image") as raised:
        write(mlp, name)
    assert raised.value.exit_code == 1
    assert file.read_bytes() == content
    assert {path.name for path in (tmp_path / "out").iterdir()} == {".lock", earlier.path.name, f"{earlier.path.name}.json"}


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (RuntimeError("line one\n line two"), UserError, "saved_model: cannot be exported: line one line two"),
        (RuntimeError("x; No space left on device"), EnvironmentFailure, "saved_model: cannot be written: No space left"),
        (
            OSError(errno.ENOSPC, "No space left on device"),
            EnvironmentFailure,
            "saved_model: cannot be written: No space left",
        ),
        (None, UserError, "is not a probability of each class"),
    ],
)
def test_an_error_of_a_library_is_one_line_and_leaves_nothing(
    error: Exception | None, kind: type[UserError], message: str, mlp: ExportedNetwork, write: Write, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def fail(_: ExportedNetwork, path: Path, __: None) -> None:
        path.mkdir()
        if error is not None:
            raise error

    monkeypatch.setattr(saved_model, "write", fail)
    monkeypatch.setattr(saved_model, "load", lambda _: lambda images: np.full((len(images), 10), np.nan, np.float32))
    with pytest.raises(kind) as raised:
        write(mlp, "saved_model")
    assert type(raised.value) is kind
    assert message in raised.value.cause
    assert {path.name for path in (tmp_path / "out").iterdir()} == {".lock"}


@pytest.mark.parametrize("name", QUANTIZED)
def test_an_ensemble_with_shifts_and_bfloat16_is_exported_in_float32(
    name: str, averaged: ExportedNetwork, write: Write
) -> None:
    found = write(averaged, name)
    content = read_json(found.path.with_name(f"{found.path.name}.json"))
    assert content["run"]["members"] == ["b", "c"]
    assert content["shifts"] == [9, 1]
    assert len(content["normalization"]["layers"]) == 2
    assert content["original"]["precision_of_run"] == ["bfloat16", "float32"]
    assert content["check"]["largest_difference"] < 1e-5
    assert 1e-5 < content["original"]["compared_with_run"]["largest_difference"] < 0.03  # of bfloat16


def test_an_ensemble_whose_members_changed_is_refused(ensemble: Path, digits: Dataset) -> None:
    (row,) = read_rows([ensemble])
    member = Run(ensemble.parent / "c")
    content = member.model.read_bytes()
    member.model.write_bytes(content + b" ")
    with pytest.raises(IntegrityError, match="a member has another model than when the ensemble was built"):
        completed.read(row)
    member.model.write_bytes(content)
    member.directory.rename(ensemble.parent / "elsewhere")
    with pytest.raises(InputError, match=r"its member .*c does not exist"):
        completed.read(row)
    (ensemble.parent / "elsewhere").rename(member.directory)
    source = completed.read(row)
    found = np.asarray(rebuild_completed(source)(digits.test_images[:50]))
    assert found == pytest.approx(source.probabilities[:50], abs=1e-6)


# `export` keeps the warnings of the converters from the terminal; here a converter is called without it.
@pytest.mark.filterwarnings("ignore:In the future `np.object`:FutureWarning")
@pytest.mark.parametrize("name", EXACT)
def test_colour_images_and_many_classes(name: str, mlp: ExportedNetwork, tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (40, 20, 16, 3)).astype(np.uint8)
    settings = compose("model=cnn_large", *SMALL, "preprocessing=standardize")
    keras.utils.set_random_seed(0)
    model = build_model(settings.model, preprocessing.build(settings.preprocessing, images), (20, 16, 3), 47)
    source = replace(mlp, model=model, probabilities=np.asarray(model(images)))
    path = tmp_path / FORMATS[name].file
    FORMATS[name].module.write(source, path, None)
    found, metadata = predict_alone(path, images)
    assert found == pytest.approx(source.probabilities, abs=1e-6)
    assert metadata["output"]["shape"] == [None, 47]
    assert len(metadata["normalization"]["layers"][0]["scale"]) == 3


def test_files_of_others_stay_and_one_process_exports(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_text("mine")
    with pytest.raises(InputError, match=r"model.onnx: exists, and mnist-exp export did not write it"):
        sidecars.refuse_other_files(tmp_path, ["model.tflite", "model.onnx"])
    (tmp_path / f"{artefact.UNFINISHED}killed").mkdir()
    (tmp_path / f"{files.UNFINISHED}of_another_command").touch()
    with artefact.prepared(tmp_path):
        assert not (tmp_path / f"{artefact.UNFINISHED}killed").exists()
        assert locks.is_locked(tmp_path / ".lock")
        with pytest.raises(InputError, match="another process exports into it"), artefact.prepared(tmp_path):
            pass
    assert {path.name for path in tmp_path.iterdir()} == {"model.onnx", f"{files.UNFINISHED}of_another_command"}
