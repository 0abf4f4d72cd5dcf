"""report.html of a sweep: its leaderboard, its curves, what a search did, and what failed, on one self-contained page."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from mnist_exp import files
from mnist_exp.comparison import Row, records
from mnist_exp.comparison.board import Board
from mnist_exp.comparison.groups import Group
from mnist_exp.config.problems import show as typed
from mnist_exp.report import configurations, page, trials, vega
from mnist_exp.report.configurations import Configuration, Curve
from mnist_exp.report.trials import Study
from mnist_exp.runs import Run
from mnist_exp.sweep.plan import Plan, Sweep
from mnist_exp.training import history

FAILED = frozenset({"failed", "diverged", "unreadable"})
LABEL_CHARACTERS = 60
MOST_VALUES = 8  # of a setting, that the header lists


def write(sweep: Sweep, known: Plan, rows: Sequence[Row], board: Board, total: int) -> None:
    """Write report.html.

    Args:
        sweep: where to.
        known: its jobs.
        rows: its runs.
        board: of them.
        total: how many jobs it has or, if it is a search, may have.

    Raises:
        EnvironmentFailure: it cannot be written.
    """
    ranked = board.metric.images or "test"
    lines = [records.line(board, line) for line in board.lines]
    found = [_configuration(line, one.group, board) for line, one in zip(lines, board.lines, strict=True)]
    labels = {name: one.label for one, line in zip(found, lines, strict=True) for name in line["runs"]}
    curves = [curve for row in rows if (curve := _curve(row, labels)) is not None]
    study = _study(sweep, known, labels)
    marks = configurations.legend(found, any(curve.label is None for curve in curves))
    data = {
        configurations.CONFIGURATIONS: configurations.configuration_rows(found, marks),
        configurations.RUNS: configurations.curve_rows(curves, marks),
        **(trials.tables(study, marks) if study else {}),
    }
    charts = list(configurations.costs(found, marks, ranked))
    if len(found) > 1:
        charts.insert(0, configurations.intervals(found, marks, ranked))
    if curves:
        charts.insert(0, configurations.learning_curves(curves, marks))
    searched = list(trials.charts(study, marks)) if study else []
    drawn = [*charts, *searched]
    text = page.render(
        "sweep.html.j2",
        scripts=[*([vega.bundle(), page.script("charts.js")] if drawn else []), page.script("table.js")],
        name=sweep.directory.name,
        plan=known,
        command=_command(known),
        swept=_swept(known, study),
        counts=_counts(rows, total),
        ranked=ranked,
        lines=lines,
        settings=list(lines[0]["settings"]) if lines else [],
        marks={mark.label: (place, mark) for place, mark in enumerate(marks)},
        labels=[one.label for one in found],
        links={row.name: _link(row.record.directory, Run(row.record.directory).report) for row in rows},
        logs={row.name: _link(row.record.directory, Run(row.record.directory).log) for row in rows},
        failures=sorted((row for row in rows if row.record.status in FAILED), key=lambda row: row.name),
        unfinished=sorted((row for row in rows if _is_unfinished(row)), key=lambda row: row.name),
        study=study,
        charts=charts,
        searched=searched,
        stills={chart.name: vega.still(chart, data) for chart in drawn},
        interactive=page.embedded(vega.on_page(drawn, data)),
        typed=typed,
    )
    files.write(sweep.report, text.encode())


def _configuration(line: Mapping[str, Any], group: Group, board: Board) -> Configuration:
    errors = group.values(board.metric)
    assert errors is not None  # noqa: S101  (what is ranked has the number)
    return Configuration(
        rank=line["rank"],
        label=f"{line['rank']} · {_label(line)}",
        settings=", ".join(f"{key}={typed(value)}" for key, value in line["settings"].items()),
        errors=errors.tolist(),
        mean=line["ranked_by"]["mean"],
        interval=line["ranked_by"]["ci95"],
        parameters=line["parameters"],
        seconds=line["train_seconds"],
    )


def _label(line: Mapping[str, Any]) -> str:
    """The settings that differ, in short: a number to three digits, a group by its option alone; else the name."""
    parts = []
    for key, value in line["settings"].items():
        short = f"{value:.3g}" if isinstance(value, float) else typed(value)
        group, _, name = key.rpartition(".")
        parts.append(short if name == "name" and group else f"{name}={short}")
    label = " ".join(parts) or str(line["name"])
    return label if len(label) <= LABEL_CHARACTERS else f"{label[: LABEL_CHARACTERS - 1]}…"


def _curve(row: Row, labels: Mapping[str, str]) -> Curve | None:
    """The validation error of a run by epoch, as far as it came; None if it has none."""
    told = history.read(Run(row.record.directory).history)
    points = [(line.epoch, line.validation_error_percent) for line in told if line.validation_error_percent is not None]
    if not points:
        return None
    epochs, errors = zip(*points, strict=True)
    return Curve(row.name, labels.get(row.name), _told(row), np.array(epochs), np.array(errors))


def _told(row: Row) -> str:
    """How a run came to its end, if it has no result: then no rank leads to its settings."""
    if row.record.summary is not None:
        return f"seed {row.record.summary.seed}"
    return f"{row.record.status}, seed {row.settings.get('seed', '?')}"


def _study(sweep: Sweep, known: Plan, labels: Mapping[str, str]) -> Study | None:
    """Optuna is imported only for a search."""
    if not sweep.study.exists():
        return None
    from mnist_exp.sweep import study

    return study.read(sweep, known, labels)


def _command(known: Plan) -> str:
    flags = [f"--config-dir={known.config_dir}"] if known.config_dir else []
    flags += [f"--config-name={known.config_name}"] if known.config_name else []
    return shlex.join(["mnist-exp", "-m", *flags, *known.overrides])


def _swept(known: Plan, study: Study | None) -> dict[str, str]:
    """What the jobs differ in, and the values that were tried; of a search, what it chose from."""
    if study is not None:
        return {parameter.key: parameter.told for parameter in study.parameters}
    values: dict[str, dict[str, None]] = {}
    for job in known.jobs:
        for line in job.overrides:
            key, _, value = line.lstrip("+~").partition("=")
            values.setdefault(key, {})[value] = None
    told = {}
    for key, tried in values.items():
        if len(tried) > 1:
            some = list(tried)[: MOST_VALUES if len(tried) > MOST_VALUES + 1 else None]
            more = len(tried) - len(some)
            told[key] = ", ".join(some) + (f" and {more:,} more" if more else "")
    return told


def _counts(rows: Sequence[Row], total: int) -> dict[str, int]:
    completed = sum(row.record.summary is not None for row in rows)
    pruned = sum(row.record.status == "pruned" for row in rows)
    failed = sum(row.record.status in FAILED for row in rows)
    left = max(total - completed - pruned - failed, 0)
    return {"total": total, "completed": completed, "pruned": pruned, "failed": failed, "left": left}


def _is_unfinished(row: Row) -> bool:
    return row.record.summary is None and row.record.status not in FAILED


def _link(run: Path, file: Path) -> str | None:
    """From the sweep's directory; None if the file is not there."""
    return f"{quote(run.name)}/{quote(file.name)}" if file.exists() else None
