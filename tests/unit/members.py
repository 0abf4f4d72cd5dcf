"""Completed runs without training, from which an ensemble can be read; their models are not real."""

from pathlib import Path

import numpy as np

from mnist_exp.datasets.dataset import Dataset, split
from mnist_exp.machine import files
from mnist_exp.machine.plain_data import read_json
from mnist_exp.runs.run import Run
from tests.unit.run_directories import TEST_IMAGES, make_run, write_predictions

TRAIN_LABELS = (np.arange(60_000) % 10).astype(np.uint8)
# The test labels are those of `write_predictions`.
DATA = Dataset(
    name="mnist",
    sha256="a",
    file_sha256={},
    train_images=np.zeros((60_000, 1, 1, 1), np.uint8),
    train_labels=TRAIN_LABELS,
    test_images=np.zeros((TEST_IMAGES, 1, 1, 1), np.uint8),
    test_labels=(np.arange(TEST_IMAGES) % 10).astype(np.uint8),
    class_names=tuple("0123456789"),
    mislabelled=None,
)


def member(directory: Path, wrong: range, *overrides: str) -> Path:
    """Make a completed run that misclassifies these test images."""
    make_run(directory, len(wrong), *overrides, validation_errors=10)
    write_predictions(directory, wrong)
    run = Run(directory)
    summary = read_json(run.summary)
    settings = summary["settings"]
    parts = split(TRAIN_LABELS, settings["dataset.limit"], settings["dataset.validation"], settings["dataset.split_seed"])
    summary["dataset"]["split_sha256"] = parts.sha256
    files.write_json(run.summary, summary)
    run.model.write_bytes(b"weights of " + directory.name.encode())
    return directory


def ensemble_of(directory: Path, *members: Path, errors: int = 50) -> Path:
    """Make the files of a completed ensemble that comparison reads."""
    make_run(directory, errors, validation_errors=5)
    run = Run(directory)
    summaries = [read_json(Run(one).summary) for one in members]
    summary = read_json(run.summary)
    entries = [{key: one[key] for key in ("name", "seed", "config_hash")} for one in summaries]
    settings = {key: value for key, value in summaries[0]["settings"].items() if key != "seed"}
    changes = {
        "name": "ensemble",
        "seed": None,
        "config_hash": "e" * 16,
        "dataset": summaries[0]["dataset"],
        "model": {"name": "ensemble", "parameters": 2000},
        "settings": settings | {"name": "ensemble", "ensemble.members": len(members)},
        "members": [{"run": f"../{one.name}", **entry} for one, entry in zip(members, entries, strict=True)],
    }
    files.write_json(run.summary, summary | changes)
    run.config.unlink()
    run.ensemble.write_text("name: ensemble\nmembers: []\n")
    return directory
