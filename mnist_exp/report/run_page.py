"""The report of a run: its figures as files, and one self-contained HTML page."""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

import mnist_exp
from mnist_exp.datasets.dataset import Dataset
from mnist_exp.machine import files
from mnist_exp.report import images, page, run_charts, sample_images
from mnist_exp.report.confusions import TABLE_CLASSES, heat_map, most_frequent, shorten
from mnist_exp.runs.history import Epoch
from mnist_exp.runs.run import Run
from mnist_exp.runs.summary import Summary

TITLE_CHARACTERS = 14  # of a class in the figure of the worst mistakes
MAX_ROWS = 100  # of the table of epochs; history.csv contains all
LABELS = {
    "argv": "command",
    "cpu": "processor",
    "dirty": "uncommitted changes",
    "gpus": "GPUs",
    "cuda": "CUDA",
    "cudnn": "cuDNN",
}


def write(
    run: Run,
    select: str,
    summary: Summary,
    errors: dict[str, Any],
    history: Sequence[Epoch],
    learning_rates: np.ndarray,
    data: Dataset,
    probabilities: np.ndarray,
    environment: Mapping[str, Any],
    config: str,
    member_table: Mapping[str, Any] | None = None,
    evaluated: str | None = None,
) -> None:
    """Draw the figures and write report.html.

    Args:
        run: its directory.
        select: the epoch whose weights the model has, "best" or "last".
        summary: of the run.
        errors: from `evaluation.error_report`.
        history: a row for each epoch.
        learning_rates: one for each trained step, float32 (steps_per_epoch * epochs,).
        data: the data set.
        probabilities: of its test images, float32 (n, classes).
        environment: the content of environment.json.
        config: the text of config.yaml, or of ensemble.yaml.
        member_table: for an ensemble, which has no history: columns, rows and caption of its table of members.
        evaluated: for an evaluation on other images than the test images of the run: these images, in words.

    Raises:
        EnvironmentFailure: a file cannot be written.
    """
    drawn = {"reliability": run_charts.reliability(errors["calibration"])}
    charts: dict[str, Any] = dict(drawn)
    if len(history) > 1:  # one epoch is no curve, but a row of the table
        panels = {
            "learning_curves": run_charts.learning_panels(history, learning_rates),
            "timing": run_charts.timing_panels(history),
        }
        charts |= {name: run_charts.draw_each(row) for name, row in panels.items()}
        drawn["learning_curves"] = run_charts.learning_curves(history, learning_rates)
        drawn["timing"] = run_charts.timing(history)
    with files.writing(run.figures):
        run.figures.mkdir(exist_ok=True)
    for name, svg in drawn.items():
        files.write(run.figures / f"{name}.svg", svg.encode())
    mistakes, names = errors["worst_mistakes"], data.class_names
    worst = [mistake["index"] for mistake in mistakes]
    if mistakes:
        short = [shorten(name, TITLE_CHARACTERS) for name in images.plain_names(names)]
        titles = [f"{short[one['label']]} as {short[one['predicted']]}  {one['confidence']:.1%}" for one in mistakes]
        files.write(run.figures / "worst_mistakes.png", images.image_grid(data.displayed(data.test_images[worst]), titles))
    is_table = len(names) <= TABLE_CLASSES
    listed = [] if is_table else most_frequent(errors["confusions"], probabilities, data.test_labels)
    required = worst + [one["index"] for one in listed]
    text = page.render(
        "run.html.j2",
        scripts=[*([page.script("confusion.js")] if is_table else []), page.script("table.js")],
        run=run.directory.name,
        summary=summary,
        select=select,
        model_epoch=summary.best_epoch if select == "best" and summary.best_epoch else len(history),
        errors=errors,
        shades=shades(errors["confusion_matrix"]) if is_table else None,
        heat_map=None if is_table else heat_map(errors["confusions"], names),
        confusions=listed,
        samples=sample_images.template_values(data, probabilities, required, only_required=not is_table),
        history=history,
        rows=table_rows(history, summary.best_epoch),
        class_names=names,
        started=environment.get("started", "at an unknown time"),
        environment=environment_rows(environment),
        colors=(run_charts.TRAIN, run_charts.VALIDATION),
        version=mnist_exp.__version__,
        member_table=member_table,
        evaluated=evaluated,
        config=config,
        config_name="images" if evaluated else (run.config if member_table is None else run.ensemble).name,
        charts=charts,
    )
    files.write(run.report, text.encode())


def environment_rows(environment: Mapping[str, Any]) -> dict[str, str]:
    """Return the rows of the table of the environment as text, without the versions of CUDA for a run on a CPU."""
    left_out = {"schema"} | (set() if "GPU" in str(environment.get("device")) else {"cuda", "cudnn"})
    values = {key: value for key, value in environment.items() if key not in left_out}
    if isinstance(command := values.get("argv"), list):
        values["argv"] = shlex.join(map(str, command))
    if isinstance(sessions := values.get("resumed"), list):
        values["resumed"] = [session["started"] for session in sessions]
    return {LABELS.get(key, key.replace("_", " ")): text for key, value in values.items() if (text := _text(value))}


def _text(value: Any) -> str:
    """Return a value of the environment as a reader would write it; "" if there is none."""
    if isinstance(value, Mapping):
        texts = {LABELS.get(key, key): _text(entry) for key, entry in value.items()}
        return " · ".join(f"{key} {text}" for key, text in texts.items() if text)
    if isinstance(value, list):
        return ", ".join(map(_text, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else str(value)


def shades(matrix: Sequence[Sequence[int]]) -> list[list[float]]:
    """Return the intensity of each cell of a confusion matrix, from 0 to 1 for the most frequent mistake.

    The diagonal has none: it contains nearly all images, and no mistake would be visible next to it.
    """
    counts = np.array(matrix)
    np.fill_diagonal(counts, 0)
    return (counts / max(1, counts.max())).tolist()  # type: ignore[no-any-return]


def table_rows(history: Sequence[Epoch], best: int | None) -> list[Epoch]:
    """Return the rows of a short table: every n-th epoch, the first, the best and the last."""
    stride = -(-len(history) // MAX_ROWS)
    return [row for row in history if row.epoch % stride == 0 or row.epoch in {1, best, len(history)}]
