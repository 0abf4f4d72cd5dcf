"""The weights of a run are loaded once, when a training starts, from a file that may be damaged or changed."""

import dataclasses
import functools
import io
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from mnist_exp import datasets
from mnist_exp import experiment as pipeline
from mnist_exp.config.command_line import parse_arguments
from mnist_exp.config.schema import Experiment
from mnist_exp.datasets.dataset import Dataset
from mnist_exp.errors import InputError, IntegrityError
from mnist_exp.machine import files
from mnist_exp.machine.model_files import WEIGHTS, Layers, read_layers
from mnist_exp.machine.plain_data import read_json
from mnist_exp.runs import initial_weights, lineage
from mnist_exp.runs.held_out import split_images
from mnist_exp.runs.run import Run
from tests.advice import compositions
from tests.unit.run_directories import make_run, write_weights

SMALL = ("model=mlp", "model.units=[8]", "progress=plain")


@pytest.fixture
def source(tmp_path: Path) -> Run:
    return Run(make_run(tmp_path / "runs" / "a", 100, *SMALL))


@pytest.fixture
def run(tmp_path: Path) -> Run:
    (tmp_path / "new").mkdir()
    return Run(tmp_path / "new")


@pytest.fixture(scope="session")
def data(digits: Dataset) -> Dataset:
    """The digits as the data set that `make_run` names."""
    return dataclasses.replace(digits, sha256="a")


def load(experiment: Experiment, run: Run, data: Dataset) -> Layers:
    return pipeline._load_initial_weights(experiment, run, data, split_images(data, experiment.dataset))


def started(source: Run, *overrides: str) -> Experiment:
    arguments = parse_arguments([*SMALL, f"initial_weights={source.directory}", *overrides])
    return compositions(arguments).single()


def test_the_layers_that_fit_are_loaded_and_listed(
    source: Run, run: Run, data: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = write_weights(source.directory)
    loaded = load(started(source, "dataset=fashion_mnist"), run, data)
    assert list(loaded) == ["dense_1"]
    assert all(np.array_equal(*pair) for pair in zip(loaded["dense_1"], weights["dense_1"], strict=True))
    text = "copied dense_1; initialized logits (other classes)"
    assert capsys.readouterr().err.strip() == f"weights of {tmp_path / 'runs' / 'a'} (mlp, mnist): {text}"
    known = lineage.read(run)
    assert known is not None
    assert known.rows == {"started from": f"mlp, seed 7 (../runs/a): {text}"}
    assert load(started(source, "dataset=fashion_mnist", "freeze=[logits]"), run, data)
    assert "warning: freeze: logits: not copied" in capsys.readouterr().err
    assert load(started(source, "freeze=[logits]"), run, data)
    assert "warning" not in capsys.readouterr().err
    run.lineage.write_text("{")
    with pytest.raises(IntegrityError, match="is damaged"):  # the result would say that it started with random weights
        lineage.read(run)


def test_a_source_that_has_gone_or_changed_matters_only_at_the_start(source: Run, run: Run, data: Dataset) -> None:
    write_weights(source.directory)
    experiment = started(source)
    write_weights(source.directory, start=1.0)
    with pytest.raises(InputError, match="its weights have SHA-256"):
        load(experiment, run, data)
    shutil.rmtree(source.directory)
    with pytest.raises(InputError, match="runs/a: not a run"):
        load(experiment, run, data)
    (run.checkpoints / "epoch_000001").mkdir(parents=True)
    assert load(experiment, run, data) == {}


def test_validation_images_on_which_the_weights_were_trained_are_counted(
    source: Run, run: Run, data: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also those on which the run was trained that the source itself started from."""
    write_weights(source.directory)  # of a run with the default split: its 5,000 validation images are never seen
    assert load(started(source), run, data)
    assert "validation images" not in capsys.readouterr().err

    few = started(source, "dataset.limit=600")
    parts = [split_images(data, one.dataset) for one in (few, started(source))]
    unseen = np.intersect1d(parts[0].validation, parts[1].validation)
    assert load(few, run, data)
    seen = f"trained on {50 - len(unseen)} of the validation images"
    assert f"warning: the weights were {seen.replace('of the', 'of the 50')}: the validation error is too low" in (
        capsys.readouterr().err
    )
    known = lineage.read(run)
    assert known is not None
    assert known.rows["started from"].endswith(f"copied dense_1, logits; {seen}")

    second = Run(make_run(tmp_path / "runs" / "b", 100, *SMALL, "dataset.limit=600"))
    write_weights(second.directory)
    origin = known.model_dump(mode="json")
    origin["initial_weights"]["run"] = "../a"
    files.write_json(second.summary, read_json(second.summary) | {"lineage": origin})
    assert load(started(second, "dataset.limit=600"), run, data)
    again = lineage.read(run)
    assert again is not None
    assert again.initial_weights is not None
    assert again.initial_weights.validation_seen == 50 - len(unseen)
    source.directory.rename(tmp_path / "gone")
    assert "too low" in capsys.readouterr().err
    assert load(started(second, "dataset.limit=600"), run, data)
    assert "too low" not in capsys.readouterr().err  # not known any more, unless the validation images are the same ones
    content = read_json(second.summary)
    content["dataset"]["split_sha256"] = parts[0].sha256
    files.write_json(second.summary, content)
    assert load(started(second, "dataset.limit=600"), run, data)
    assert "too low" in capsys.readouterr().err
    content["settings"]["dataset.limit"] = "many"
    files.write_json(second.summary, content)
    with pytest.raises(IntegrityError, match="its settings choose no images"):
        load(started(second), run, data)


def external(file: h5py.File) -> None:
    group = file.create_group("layers/dense/vars")
    group.attrs["name"] = "dense_1"
    group.create_dataset("0", (2,), "f4", external=[("/etc/passwd", 0, 8)])


def virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((2,), "f4")
    layout[:] = h5py.VirtualSource("/etc/passwd", "x", (2,))
    file.create_virtual_dataset("layers/dense/vars/0", layout)


def linked(file: h5py.File) -> None:
    group = file.create_group("layers/dense/vars")
    group.attrs["name"] = "dense_1"
    group["0"] = h5py.ExternalLink("elsewhere.h5", "/x")


def huge(file: h5py.File) -> None:
    file.create_dataset("layers/dense/vars/0", (2**40,), "f4")


def compressed(file: h5py.File) -> None:
    file.create_dataset("layers/dense/vars/0", data=np.zeros(10**6, "f4"), compression="gzip")


def repeated(file: h5py.File) -> None:
    group = file.create_group("layers/dense/vars")
    group.attrs["name"] = "dense_1"
    group["0"] = np.zeros(1000, "f4")
    for number in range(1, 20):
        group[str(number)] = group["0"]


def not_stored(file: h5py.File) -> None:
    file["other"] = np.zeros(1000, "f4")  # so that the file has the size of one array
    group = file.create_group("layers/dense/vars")
    group.attrs["name"] = "dense_1"
    for number in range(20):
        group.create_dataset(str(number), (1000,), "f4")


def nameless(file: h5py.File) -> None:
    file["layers/dense/vars/0"] = np.zeros(2, "f4")


def text(file: h5py.File) -> None:
    file["layers/dense/vars/0"] = b"text"
    file["layers/dense/vars"].attrs["name"] = "dense_1"


@pytest.mark.parametrize(
    ("fill", "reason"),
    [
        (external, "is in another file"),
        (virtual, "is in another file"),
        (linked, "is in another file"),
        (huge, "takes 4,398,046,511,104 bytes"),
        (compressed, "is compressed"),
        (repeated, "its layers take 80,000 bytes, more than"),
        (not_stored, "its layers take 80,000 bytes, more than"),
        (nameless, "no names of their own"),
        (text, "is not an array of numbers"),
        (lambda _: None, "contains no weights"),
    ],
)
def test_a_file_that_could_do_harm_is_refused(fill: Callable[[h5py.File], None], reason: str, tmp_path: Path) -> None:
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        fill(file)
    with zipfile.ZipFile(tmp_path / "model.keras", "w") as archive:
        archive.writestr(WEIGHTS, content.getvalue())
    with pytest.raises(ValueError, match=f"(?i){reason}"):
        read_layers(tmp_path / "model.keras")


def test_weights_of_inverted_images_have_a_warning_and_the_other_images_do_not_stay_in_memory(
    source: Run, digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_weights(source.directory)
    train, labels = 255 - digits.train_images[:200], digits.train_labels[:200]
    np.savez(tmp_path / "own.npz", x_train=train, y_train=labels, x_test=train, y_test=labels)
    settings = "dataset=npz", "dataset.path=own.npz", "training.batch_size=8"
    experiment = started(source, *settings)
    kept = functools.cache(datasets._load.__wrapped__)
    monkeypatch.setattr(datasets, "_load", kept)
    data = dataclasses.replace(digits, train_images=train, sha256="b")
    warning = initial_weights.polarity_warning(experiment, data)
    assert warning is not None
    assert "these images have light borders" in warning
    assert kept.cache_info().currsize == 0
    assert initial_weights.polarity_warning(started(source), digits) is None
