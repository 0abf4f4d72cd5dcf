"""The report of a run for the eye: its figures as files, and one self-contained HTML page."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mnist_exp.datasets.dataset import Dataset
from mnist_exp.machine import files
from mnist_exp.machine.plain_data import read_json
from mnist_exp.report import images, page, run_charts, sample_images
from mnist_exp.run.history import Epoch
from mnist_exp.run.names import Run
from mnist_exp.run.summary import Summary

MOST_ROWS = 100  # of the table of epochs; history.csv has them all


def write(
    run: Run,
    select: str,
    summary: Summary,
    errors: dict[str, Any],
    history: Sequence[Epoch],
    learning_rates: np.ndarray,
    data: Dataset,
    probabilities: np.ndarray,
    member_table: Mapping[str, Any] | None = None,
) -> None:
    """Draw the figures and write report.html, with the configuration and environment as they stand in the run directory.

    Args:
        run: where to; config.yaml, or ensemble.yaml, and environment.json are there.
        select: which epoch's weights the model has, "best" or "last".
        summary: what summary.json will hold.
        errors: from `evaluation.error_report`.
        history: a row for each epoch.
        learning_rates: of each step that was trained, float32 (steps_per_epoch * epochs,).
        data: whose test images were looked at.
        probabilities: of the classes of the test images, float32 (n, classes).
        member_table: for an ensemble, which has no history: columns, rows and caption of its table of members.

    Raises:
        EnvironmentFailure: a file cannot be written.
    """
    drawn = {"reliability": run_charts.reliability(errors["calibration"])}
    if history:
        drawn |= {
            "learning_curves": run_charts.learning_curves(history, learning_rates),
            "timing": run_charts.timing(history),
        }
    with files.writing(run.figures):
        run.figures.mkdir(exist_ok=True)
    for name, svg in drawn.items():
        files.write(run.figures / f"{name}.svg", svg.encode())
    mistakes = [_mistake(mistake, data.class_names) for mistake in errors["worst_mistakes"]]
    worst = [mistake["index"] for mistake in mistakes]
    if mistakes:
        titles = [f"{mistake['true']} as {mistake['predicted']}  {mistake['confidence']:.1%}" for mistake in mistakes]
        files.write(run.figures / "worst_mistakes.png", images.image_grid(data.test_images[worst], titles))
    configuration = run.config if member_table is None else run.ensemble
    text = page.render(
        "report.html.j2",
        scripts=[page.script("confusion.js"), page.script("table.js")],
        run=run.directory.name,
        summary=summary,
        select=select,
        errors=errors,
        shades=shades(errors["confusion_matrix"]),
        mistakes=mistakes,
        digits=sample_images.on_page(data, probabilities, worst),
        raters=sample_images.raters(data),
        history=history,
        rows=shown(history, summary.best_epoch),
        class_names=data.class_names,
        environment=read_json(run.environment),
        member_table=member_table,
        config=configuration.read_text(),
        config_name=configuration.name,
        charts=drawn,
    )
    files.write(run.report, text.encode())


def shades(matrix: Sequence[Sequence[int]]) -> list[list[float]]:
    """The colour of each cell of a confusion matrix, from 0 to 1, the most frequent mistake.

    What is right has none: nearly everything lies on the diagonal, and beside it no mistake would be seen.
    """
    counts = np.array(matrix)
    np.fill_diagonal(counts, 0)
    return (counts / max(1, counts.max())).tolist()  # type: ignore[no-any-return]


def shown(history: Sequence[Epoch], best: int | None) -> list[Epoch]:
    """The rows of a table that stays short: every, every second, every third … epoch, and the first, best and last."""
    stride = -(-len(history) // MOST_ROWS)
    return [row for row in history if row.epoch % stride == 0 or row.epoch in {1, best, len(history)}]


def _mistake(mistake: dict[str, Any], class_names: Sequence[str]) -> dict[str, Any]:
    probabilities = mistake["probabilities"]
    return {
        "index": mistake["index"],
        "true": class_names[mistake["label"]],
        "predicted": class_names[mistake["predicted"]],
        "confidence": probabilities[mistake["predicted"]],
        "of_true": probabilities[mistake["label"]],
    }
