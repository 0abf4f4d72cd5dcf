"""Every kind of page, of runs that were not trained: as long and as wide as pages get, with the real digits."""

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from mnist_exp.comparison.ranking import compare_each
from mnist_exp.comparison.rows import Row
from mnist_exp.datasets.dataset import Dataset
from mnist_exp.ensemble.ranking import page_table, rank_members
from mnist_exp.export import drawing_page
from mnist_exp.export.drawing_page import Confidence, ScriptNetwork
from mnist_exp.export.weights import Weights
from mnist_exp.report import comparison_page, run_page
from mnist_exp.runs import evaluation
from mnist_exp.runs.history import Epoch
from mnist_exp.runs.run import Run
from mnist_exp.runs.status import Record
from mnist_exp.runs.summary import Summary
from mnist_exp.sweep import report, study
from mnist_exp.sweep.plan import Job, Sweep
from tests import boards, synthetic
from tests.unit.run_directories import plan_of, write_predictions

GRID = {"model.units": ["[64]", "[256,128]"], "model.dropout": [0.1, 0.3], "optimizer.learning_rate": [1e-3, 1e-2]}
ENVIRONMENT = {
    "schema": 1,
    "started": "2026-11-27T14:44:33+00:00",
    "argv": ["/home/somebody/.venv/bin/python", "-m", "mnist_exp", "model=cnn_large", "model.units=[16]", "seed=7"],
    "versions": {"mnist_exp": "0.1.0", "python": "3.11.7", "tensorflow": "2.21.0", "keras": "3.15.1", "numpy": "2.4.6"},
    "platform": "Linux-6.18.44-x86_64-with-glibc2.36",
    "cpu": {"model": "AMD EPYC", "instructions": ["fma", "avx", "avx2", "avx512f", "avx512dq", "avx512ifma"]},
    "cores": {"present": 2, "usable": 2},
    "variables": {},
    "git": {"commit": "507e878d509b7008e6d6caff17c223d97f1bd2fc", "dirty": False},
    "device": "/CPU:0",
    "gpus": [],
    "cuda": "12.5.1",
    "cudnn": "9",
    "threads": {"intra_op": 1, "inter_op": 2, "towers": 2},
    "tracker_variables": {},
    "resumed": [],
}


def probabilities(data: Dataset, wrong: int) -> np.ndarray:
    """Return predictions of the test images, that many of them wrong, with every confidence from 0.1 to 1."""
    generator, labels, classes = np.random.default_rng(0), data.test_labels, len(data.class_names)
    predicted = labels.astype(int)
    images = generator.choice(len(labels), wrong, replace=False)
    predicted[images] = (predicted[images] + generator.integers(1, classes, wrong)) % classes
    confidence = 1 - 0.6 * generator.uniform(0, 1, len(labels)) ** 8
    table = np.repeat((1 - confidence)[:, None] / (classes - 1), classes, axis=1)
    table[np.arange(len(labels)), predicted] = confidence
    return table.astype(np.float32)


def run(directory: Path, data: Dataset, epochs: int = 12, select: str = "last", validation: bool = True) -> Path:
    """Write the page of a run with 14,861,456 parameters, whose best epoch is the last but one."""
    best = epochs - 1 if validation and epochs > 1 else None
    held_out = [
        (0.3 / epoch + 0.01 * (epoch != best), 9.0 / epoch) if validation else (None, None) for epoch in range(1, epochs + 1)
    ]
    history = [
        Epoch(epoch, 0.00123, 2.3 / epoch, 89.8 / epoch, *held_out[epoch - 1], 123.4, 1_246_215.0)
        for epoch in range(1, epochs + 1)
    ]
    predicted = probabilities(data, min(163, len(data.test_labels) // 3))
    score = evaluation.score(predicted, data.test_labels)
    changes = {
        "validation": score if validation else None,
        "test": score,
        "model": {"name": "cnn_large", "parameters": 14_861_456},
        "epochs": epochs,
        "best_epoch": best,
        "train_seconds": 12_345.6,
        "compile_seconds": 1_234.5,
        "wall_seconds": 23_456.7,
        "images_per_second": 1_234_567.0,
    }
    rates = np.linspace(1e-3, 1e-5, 40 * epochs, dtype=np.float32)
    return _write(directory, data, predicted, changes, history, rates, select)


NAMES = ("T-shirt/top", "Ankle boot", "l", "<b>&amp;</b>\n\N{RIGHT-TO-LEFT OVERRIDE}x", "ぬいぐるみ", "a long name " * 8)


def photos(classes: int, shape: tuple[int, int, int] = (40, 64, 3)) -> Dataset:
    """Return colour images that are not square, whose classes have names of every length, some hostile."""
    names = [f"{NAMES[number % len(NAMES)]}{number or ''}" for number in range(classes)]
    return synthetic.dataset(shape, classes, train=0, test=max(400, 8 * classes), names=tuple(names))


def of_classes(directory: Path, classes: int) -> Path:
    """Write the page of a run on photos of that many classes."""
    return run(directory, photos(classes), epochs=2)


def ensemble(directory: Path, data: Dataset) -> Path:
    """Write the page of an ensemble of three runs with long names."""
    predicted = probabilities(data, 141)
    rows = []
    for seed in range(3):
        member = boards.row(directory / f"{seed:03d}_mlp_units=16,16_dropout=0.1_learning_rate=0.001", {}, 160 + seed, seed)
        write_predictions(member.record.directory, range(seed, 160 + 2 * seed))
        rows.append(member)
    changes = {
        "test": evaluation.score(predicted, data.test_labels),
        "seed": None,
        "name": "ensemble",
        "members": [{"run": row.name, "name": "mlp", "seed": seed, "config_hash": "0"} for seed, row in enumerate(rows)],
    }
    return _write(directory, data, predicted, changes, [], np.empty(0, np.float32), "last", rows)


def _write(
    directory: Path, data: Dataset, predicted: np.ndarray, changes: Mapping[str, Any], history: Sequence[Epoch],
    rates: np.ndarray, select: str, members: Sequence[Row] = (),
) -> Path:  # fmt: skip
    summary = _summary(directory, data, predicted, changes)
    run_ = Run(directory / "run")
    errors = evaluation.error_report(predicted, data.test_labels, data.class_names, data.mislabelled)
    config = "".join(f"setting_{number}: {number}\n" for number in range(60))
    table = None
    if members:
        own = Row("run", Record(run_.directory, "completed", None, None, summary))
        table = page_table(rank_members(own, members), run_.report)
    run_page.write(run_, select, summary, errors, history, rates, data, predicted, ENVIRONMENT, config, table)
    return run_.report


def _summary(directory: Path, data: Dataset, predicted: np.ndarray, changes: Mapping[str, Any]) -> Summary:
    base = boards.row(directory / "run", {}, 100).record.summary
    assert base is not None
    wrong = {"wrong_images": evaluation.pack_wrong_images(predicted, data.test_labels)}
    return Summary.model_validate(base.model_dump(mode="json", by_alias=True) | wrong | changes)


def drawing(
    directory: Path,
    data: Dataset,
    network: ScriptNetwork | None = None,
    predicted: np.ndarray | None = None,
    is_handwriting: bool = False,
    calibration: Confidence | None = None,
    run_name: str = "run",
) -> Path:
    """Write a drawing page; without a network, of one that compares an image with the mean of each class."""
    predicted = probabilities(data, min(163, len(data.test_labels) // 3)) if predicted is None else predicted
    summary = _summary(directory, data, predicted, {"test": evaluation.score(predicted, data.test_labels)})
    network = network or _means(data)
    text = drawing_page.render(network, summary, run_name, data, predicted, calibration, is_handwriting)
    page = directory / "draw.html"
    page.write_text(text)
    return page


def _means(data: Dataset) -> ScriptNetwork:
    """Return a network of one dense layer, whose weights are the means of the classes."""
    images = data.test_images.reshape(len(data.test_images), -1) / 255
    means = np.stack([images[data.test_labels == label].mean(axis=0) for label in range(len(data.class_names))])
    kernel, bias = means / 255 / 4, -(means**2).sum(axis=1) / 8
    content = Weights()
    arrays = {"bias": content.add(bias)} | content.add_rows(kernel)
    nodes = [
        {"kind": "flatten", "inputs": [0]},
        {"kind": "dense", "inputs": [1], "units": len(means), "activation": "linear", **arrays},
        {"kind": "activation", "inputs": [2], "activation": "softmax"},
    ]
    return ScriptNetwork(
        [{"nodes": nodes, "shown": [{"node": 2, "name": "dense layer"}], "features": [2]}], 0, None, bytes(content.content)
    )


def comparison(directory: Path) -> Path:
    """Write the page of a comparison of eight configurations with three seeds each."""
    comparison_page.write(directory / "page.html", "runs", boards.grid(directory / "runs", GRID, seeds=3))
    return directory / "page.html"


def sweep(directory: Path) -> Path:
    """Write the page of a sweep over three settings with four seeds, of which two runs failed."""
    view = boards.grid(directory, GRID, seeds=4)
    failed = [
        Row(
            name,
            Record(directory / name, "failed", "the loss is not finite in epoch 3", "lower optimizer.learning_rate", None),
        )
        for name in ("0008_s0", "0008_s1")
    ]
    rows = [row for line in view.board.lines for row in line.group.rows]
    return _write_sweep(directory, [*rows, *failed], GRID | {"seed": [0, 1, 2, 3]})


def search(directory: Path) -> Path:
    """Write the page of a search over eight settings by two objectives."""
    view = boards.many(directory, configurations=14, seeds=1)
    rows = sorted((row for line in view.board.lines for row in line.group.rows), key=lambda row: row.name)
    keys = [*view.board.settings]
    values = [[row.settings.get(key) for row in rows] for key in keys]
    space: dict[str, BaseDistribution] = {
        key: FloatDistribution(min(column), max(column), log=key.endswith("rate"))
        if all(isinstance(value, float) for value in column)
        else CategoricalDistribution(sorted({str(value) for value in column}))
        for key, column in zip(keys, values, strict=True)
    }
    known = Sweep(directory)
    storage = JournalStorage(JournalFileBackend(str(known.study)))
    created = optuna.create_study(storage=storage, study_name=study.NAME, directions=["minimize"] * 2)
    created.set_user_attr(study.SPACE, {"objectives": ["validation.error_percent", "train_seconds"]})
    for number, row in enumerate(rows, 1):
        drawn = {
            key: value if isinstance(space[key], FloatDistribution) else str(value)
            for key, value in zip(keys, [column[number - 1] for column in values], strict=True)
        }
        error = row.summary.validation.error_percent if row.summary.validation else 0.0
        created.add_trial(
            optuna.trial.create_trial(
                params=drawn, distributions=space, values=[error, row.summary.train_seconds], user_attrs={study.JOB: number}
            )
        )
    return _write_sweep(directory, rows, {})


def _write_sweep(directory: Path, rows: Sequence[Row], settings: Mapping[str, Sequence[Any]]) -> Path:
    points = itertools.cycle(itertools.product(*settings.values()))
    jobs = [
        Job(
            number=number,
            directory=row.name,
            overrides=tuple(f"{key}={value}" for key, value in zip(settings, next(points), strict=True)),
            config_hash="0",
            seed=0,
        )
        for number, row in enumerate(rows, 1)
    ]
    typed = tuple(f"{key}={','.join(map(str, values))}" for key, values in settings.items())
    known = Sweep(directory)
    report.write(known, plan_of(jobs, *typed), rows, compare_each(rows), len(rows) + 2)
    return known.report
