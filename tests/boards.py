"""Comparisons of runs that were not trained: each is a directory with the files that a page reads."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from mnist_exp.comparison.ranking import compare
from mnist_exp.comparison.rows import Row
from mnist_exp.report.comparison_view import ComparisonView
from mnist_exp.runs.history import Epoch
from mnist_exp.runs.run import Run
from mnist_exp.runs.status import Record
from mnist_exp.runs.summary import Summary
from tests.unit.run_directories import TEST_IMAGES, summary_content

EPOCHS = 20


def row(
    directory: Path, settings: Mapping[str, Any], errors: int, seed: int = 0, parameters: int = 1000, seconds: float = 10.0
) -> Row:
    """A completed run with this number of errors on 10,000 validation images and on 10,000 test images."""
    directory.mkdir(parents=True)
    run = Run(directory)
    run.report.touch()
    curve = np.geomspace(90, errors * 100 / TEST_IMAGES, EPOCHS)
    table = [f"{epoch},0.001,0.1,{error:.4f},0.1,{error:.4f},1.0,1000.0" for epoch, error in enumerate(curve, 1)]
    run.history.write_text("\n".join([",".join(field.name for field in fields(Epoch)), *table]) + "\n")
    name = str(settings.get("model.name", "mlp"))
    summary = summary_content(name, errors, errors, parameters) | {
        "name": name,
        "seed": seed,
        "config_hash": repr(sorted(settings.items())),
        "epochs": EPOCHS,
        "train_seconds": seconds,
        "wall_seconds": seconds,
        "settings": {**settings, "seed": seed},
    }
    return Row(directory.name, Record(directory, "completed", None, None, Summary.model_validate(summary)))


def view(rows: Sequence[Row]) -> ComparisonView:
    """The comparison of these runs."""
    return ComparisonView(compare(rows))


def many(place: Path, configurations: int, seeds: int) -> ComparisonView:
    """A comparison of configurations that differ in eight settings, each with several seeds."""
    generator = np.random.default_rng(0)
    rows = []
    for number in range(configurations):
        rate = float(f"{10 ** generator.uniform(-4, -1):.6g}")
        settings = {
            "model.name": ("mlp", "cnn_simple", "cnn_large")[number % 3],
            "model.units": [[64], [128], [256, 128]][number // 3 % 3],
            "model.dropout": None if number % 5 == 0 else float(f"{generator.uniform(0, 0.6):.3f}"),
            "training.batch_size": 2 ** int(generator.integers(5, 10)),
            "training.label_smoothing": float(f"{generator.uniform(0, 0.2):.3f}"),
            "optimizer.name": ("adam", "sgd", "lion")[number // 9 % 3],
            "optimizer.learning_rate": rate,
            "schedule.name": ("constant", "cosine")[number % 2],
        }
        base = 80 + 400 * abs(np.log10(rate) + 2.5) + 40 * (number % 3)
        size = (30_000, 600_000, 1_200_000)[number % 3] + number
        for seed in range(seeds):
            errors = int(base + generator.uniform(0, 60))
            seconds = float(10 + 20 * (number % 3) + generator.uniform(0, 9))
            rows.append(row(place / f"{number:04d}_s{seed}", settings, errors, seed, size, seconds))
    return view(rows)


def grid(place: Path, settings: Mapping[str, Sequence[Any]], seeds: int = 1, missing: Sequence[int] = ()) -> ComparisonView:
    """A comparison of all combinations but the missing ones; the n-th has a mean error of n + 1 %, and its seeds differ."""
    points = [dict(zip(settings, values, strict=True)) for values in itertools.product(*settings.values())]
    return view(
        [
            row(place / f"{number:04d}_s{seed}", point, (100 + 2 * seed - (seeds - 1)) * (number + 1), seed)
            for number, point in enumerate(points)
            if number not in missing
            for seed in range(seeds)
        ]
    )
