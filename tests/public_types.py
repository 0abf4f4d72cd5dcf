"""The script of a user: mypy checks it with the program. It is not run."""

from pathlib import Path
from typing import Any, assert_type

import numpy as np

import mnist_exp as mx


def use_runs() -> None:
    run = mx.run(["model=cnn_large", "training.epochs=3"])
    assert_type(run, mx.Run)
    assert_type(run.summary.test.error_percent, float)
    assert_type(run.history["epoch"], np.ndarray)
    assert_type(run.predictions, mx.Predictions)
    assert_type(run.predictions.wrong, np.ndarray)
    assert_type(run.errors, dict[str, Any])
    assert_type(run.report, Path)
    assert_type(mx.load("latest", runs_dir=Path("trials")).resume(), mx.Run)
    assert_type(mx.datasets.load("mnist").test_images, np.ndarray)


def use_comparisons(run: mx.Run) -> None:
    sweep = mx.run_sweep(["model=mlp,cnn_large", "seed=range(3)"])
    assert_type(sweep.resume(["seed=range(5)"], retry_failed=True).runs, list[mx.Run])
    comparison = mx.compare([run, "latest", sweep, Path("runs/x")], by="model.name", baseline=run, top=3)
    assert_type(comparison, mx.Comparison)
    assert_type(comparison.rows, list[dict[str, Any]])
    assert_type(comparison.verdicts, list[str])
    assert_type(mx.load_sweep().comparison.notes, list[str])


def use_pictures(run: mx.Run) -> None:
    reading = mx.predict(run, "photo.png", confidence=0.999)
    assert_type(reading, mx.Reading)
    assert_type(reading.text, str)
    assert_type(reading.digits[0].answer, str | None)
    assert_type(mx.predict("latest", np.zeros((28, 28), np.uint8), single=True), mx.Reading)
    assert_type(mx.predict("latest", [Path("a.png"), Path("b.png")]), list[mx.Reading])


def make_mistakes() -> None:
    """Each of these is an error for mypy, which reports a comment that ignores nothing."""
    try:
        mx.run(model="cnn_large")  # type: ignore[call-arg]
    except mx.errors.ConfigError as error:
        assert_type(error.problems[0].remedy, str)
    except mx.errors.RunInterrupted as error:
        assert_type(error.remedy, str)
    mx.trian  # type: ignore[attr-defined]  # noqa: B018
    mx.compare(on="these-imagse")  # type: ignore[arg-type]
    mx.predict(run_or_path=3)  # type: ignore[call-overload]
    mx.load("latest").summary.tset  # type: ignore[attr-defined]  # noqa: B018
