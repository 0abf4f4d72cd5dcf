"""Directories of completed runs, with the files that a comparison reads."""

import base64
import io
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import yaml

from mnist_exp import datasets
from mnist_exp.comparison.ranking import Comparison, compare
from mnist_exp.comparison.rows import read_rows
from mnist_exp.config.identity import config_hash, recorded_settings
from mnist_exp.config.initial_weights import layers_of
from mnist_exp.config.schema import Experiment
from mnist_exp.machine import files
from mnist_exp.machine.model_files import WEIGHTS
from mnist_exp.machine.plain_data import read_json
from mnist_exp.runs import evaluation
from mnist_exp.runs.directory import read_config
from mnist_exp.runs.run import Run
from mnist_exp.runs.status import write_status
from mnist_exp.sweep.plan import Job, Plan
from tests.conftest import compose

TEST_IMAGES = 10_000


def make_run(directory: Path, errors: int, *overrides: str, validation_errors: int | None = None) -> Path:
    """Create the directory of a completed run."""
    experiment = compose(*overrides)
    directory.mkdir(parents=True)
    run = Run(directory)
    run.config.write_text(yaml.safe_dump(experiment.model_dump(mode="json"), sort_keys=False))
    complete_run(run, errors, validation_errors)
    return directory


def plan_of(jobs: Iterable[Job], *overrides: str) -> Plan:
    """The plan of a sweep with these jobs."""
    texts = {"created": "2026-11-22T07:40:12+00:00", "version": "0", "config_dir": None, "config_name": None}
    return Plan(layout=1, overrides=overrides, extensions=(), jobs=tuple(jobs), **texts)  # type: ignore[arg-type]


def pack(wrong: Iterable[int]) -> str:
    """These test images as summary.json stores them."""
    bits = np.zeros(TEST_IMAGES, bool)
    bits[list(wrong)] = True
    return base64.b64encode(np.packbits(bits).tobytes()).decode()


def set_wrong_images(directory: Path, wrong: Iterable[int] | None) -> None:
    """Change which test images a run has wrong, of the same number; None: it is a run of an earlier version."""
    content = read_json(Run(directory).summary)
    content["wrong_images"] = None if wrong is None else pack(wrong)
    files.write_json(Run(directory).summary, content)


def complete_run(run: Run, errors: int = 100, validation_errors: int | None = None) -> None:
    """Write the files of a completed run."""
    experiment = Experiment.model_validate(read_config(run))
    write_status(run, "completed", 0)

    changes = {
        "name": experiment.name,
        "seed": experiment.seed,
        "config_hash": config_hash(experiment),
        "settings": recorded_settings(experiment.model_dump(mode="json")),
    }
    content = summary_content(experiment.model.name, errors, validation_errors) | changes
    content["dataset"]["split_sha256"] = "none" if validation_errors is None else str(experiment.dataset.split_seed)
    files.write_json(run.summary, content)


def summary_content(model: str, errors: int, validation_errors: int | None, parameters: int = 1000) -> dict[str, Any]:
    """What summary.json of a completed run has, with these errors on 10,000 images each, and without its identity."""

    def score(wrong: int) -> dict[str, Any]:
        return evaluation.error_rate(wrong, TEST_IMAGES) | {"loss": 0.1}

    return {
        "schema": 4,
        "status": "completed",
        "dataset": {
            "name": "mnist",
            "sha256": "a",
            "labels_sha256": "b",
            "split_sha256": "c",
            "train": 50_000,
            "validation": 0 if validation_errors is None else TEST_IMAGES,
            "test": TEST_IMAGES,
        },
        "model": {"name": model, "parameters": parameters},
        "test": score(errors),
        "wrong_images": pack(range(errors)),
        "validation": None if validation_errors is None else score(validation_errors),
        "epochs": 10,
        "best_epoch": None,
        "train_seconds": 20.0,
        "wall_seconds": 30.0,
        "images_per_second": 1000.0,
        "members": None,
    }


def write_weights(directory: Path, start: float = 0.0) -> dict[str, list[np.ndarray]]:
    """Write the model of a completed run, as Keras does, and the names of its classes; return the weights."""
    experiment = Experiment.model_validate(read_config(Run(directory)))
    layers = {
        name: [np.full(shape, start + number, np.float32) for number, shape in enumerate(shapes)]
        for name, shapes in layers_of(experiment).items()
    }
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        for number, (name, weights) in enumerate(layers.items()):
            group = file.create_group(f"layers/layer_{number}/vars")
            group.attrs["name"] = name
            for index, weight in enumerate(weights):
                group[str(index)] = weight
    with zipfile.ZipFile(Run(directory).model, "w") as archive:
        archive.writestr(WEIGHTS, content.getvalue())
    names = datasets.facts(experiment.dataset.source).class_names
    files.write_json(Run(directory).errors, {"class_names": list(names)})
    return layers


def compare_directory(directory: Path, **options: Any) -> Comparison:
    """Compare all runs in a directory."""
    return compare(read_rows([directory]), **options)


def set_time(directory: Path, time: str) -> None:
    """Set the time at which the status of a run changed."""
    files.write_json(Run(directory).status, read_json(Run(directory).status) | {"time": time})


def change_settings(directory: Path, **settings: Any) -> None:
    """Change settings in the summary of a run, and thus its configuration."""
    content = read_json(Run(directory).summary)
    content["settings"] |= settings
    content["config_hash"] = str(sorted(settings.items()))
    files.write_json(Run(directory).summary, content)


def write_predictions(directory: Path, wrong: range, in_summary: range | None = None) -> None:
    """Write predictions that are wrong for these test images, as many as the summary, if there is one, states."""
    if Run(directory).summary.exists():
        set_wrong_images(directory, wrong if in_summary is None else in_summary)
    labels = (np.arange(TEST_IMAGES) % 10).astype(np.uint8)
    classes = labels.copy()
    classes[list(wrong)] = (labels[list(wrong)] + 1) % 10
    files.write_arrays(
        Run(directory).predictions, {"probabilities": np.eye(10, dtype=np.float32)[classes], "labels": labels}
    )
