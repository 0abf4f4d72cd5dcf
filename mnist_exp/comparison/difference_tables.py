"""The differences between two runs, printed in the terminal."""

from collections.abc import Iterator
from functools import partial
from itertools import zip_longest
from typing import Any

import numpy as np
from rich.console import Console, RenderableType
from rich.table import Column, Table
from rich.text import Text

from mnist_exp.comparison.difference import RunDifference, Side
from mnist_exp.comparison.predictions import PairedErrors
from mnist_exp.comparison.verdicts import TESTS, TWO_NETWORKS, compare_networks
from mnist_exp.config.conversions import format_value
from mnist_exp.runs.status import Record
from mnist_exp.runs.summary import Score
from mnist_exp.terminal import characters, messages
from mnist_exp.terminal.messages import MISSING, pluralize

MAX_CHARACTERS = 300  # of a value
COMMIT_CHARACTERS = 12
CURVE_HEIGHT, MIN_CURVE_WIDTH, MAX_CURVE_WIDTH = 8, 10, 60  # characters
MAX_EPOCHS = 8  # in the table below the curves


def print_difference(difference: RunDifference, console: Console) -> None:
    """Print all differences but the images."""
    for section in (_runs, _settings, _environment, partial(_curves, width=console.width), _test_images):
        for part in section(difference):
            console.print(part)


def _runs(difference: RunDifference) -> Iterator[RenderableType]:
    sides = difference.sides
    summaries = [side.record.summary for side in sides]
    table = _two_columns("", "bold")
    table.add_row("directory", *(messages.cell(side.run.directory) for side in sides))
    if not all(summaries):
        table.add_row("status", *(_cell(_status(side.record)) for side in sides))
    table.add_row("test error %", *(_score(one.test if one else None) for one in summaries))
    table.add_row("validation error %", *(_score(one.validation if one else None) for one in summaries))
    table.add_row("parameters", *(f"{one.model.parameters:,}" if one else MISSING for one in summaries))
    table.add_row("training s", *(f"{one.train_seconds:.1f}" if one else MISSING for one in summaries))
    for faults in zip_longest(*(side.faults for side in sides)):
        table.add_row("missing", *(_cell(fault.cause if fault else "") for fault in faults))
    yield _title("runs")
    yield table


def _status(record: Record) -> str:
    return f"{record.status}: {record.cause}" if record.cause and record.status != "unreadable" else record.status


def _settings(difference: RunDifference) -> Iterator[RenderableType]:
    if not all(side.settings for side in difference.sides):
        yield _sentence("settings", "not compared: a config.yaml is damaged or missing")
    elif not difference.settings:
        yield _sentence("settings", "no differences: the same configuration and seed")
    else:
        yield _title("settings that differ")
        yield _values(difference.settings)
        if set(difference.settings) == {"seed"}:
            yield _sentence("", "only the seed differs: two repetitions of one configuration")


def _environment(difference: RunDifference) -> Iterator[RenderableType]:
    sides = difference.sides
    if not all(side.environment for side in sides):
        yield _sentence("environment", "not compared: an environment.json is damaged or missing")
        return
    if difference.environment:
        yield _title("environment that differs")
        yield _values(difference.environment)
    notes = [] if difference.environment else ["no differences"]
    resumed = [f"{side.name} was resumed {pluralize(side.resumed, 'time')}" for side in sides if side.resumed]
    yield _sentence("environment", "; ".join([*notes, _commits(sides), *resumed]))


def _commits(sides: tuple[Side, Side]) -> str:
    """Return the commits of the program that trained the runs."""
    commits = [side.environment.get("git.commit") for side in sides]
    if None in commits:
        causes = [f" ({cause})" for side in sides if (cause := side.environment.get("git.cause"))]
        return "the commit of a run is unknown" + (causes[0] if causes else "")
    dirty = [side.name for side in sides if side.environment.get("git.dirty") is not False]
    text = f"both from commit {_commit(commits[0])}" if commits[0] == commits[1] else "different commits of the program"
    return text + (f", with uncommitted changes in {' and '.join(dirty)}" if dirty else "")


def _curves(difference: RunDifference, width: int) -> Iterator[RenderableType]:
    """Yield the errors of both runs by epoch: as curves with the same axes, and as numbers."""
    measure, both = difference.curves()
    epochs = max(map(len, both))
    if not epochs:
        yield _sentence("learning curves", "none: no history.csv contains an epoch")
        return
    low, high = float(np.concatenate(both).min()), float(np.concatenate(both).max())
    labels = [f"{high:.2f}", *[""] * (CURVE_HEIGHT - 2), f"{low:.2f}"]
    columns = min(MAX_CURVE_WIDTH, max(MIN_CURVE_WIDTH, (width - len(labels[0]) - 10) // 2))
    curves, numbers = Table(Column(justify="right"), show_footer=True), Table(Column("epoch", justify="right"))
    cells = []
    for name, errors in zip("AB", both, strict=True):
        curves.add_column(name, footer=f"{1:<{columns - len(str(epochs))}}{epochs}" if epochs > 1 else "1")
        numbers.add_column(f"{name}: {measure} error %", justify="right")
        curve = characters.draw_curve(errors, epochs, (low, high), columns, CURVE_HEIGHT) if len(errors) else ["no epoch"]
        cells.append("\n".join(curve))
    curves.add_row("\n".join(labels), *cells)
    spaced = np.linspace(1, epochs, MAX_EPOCHS).round().astype(int).tolist()
    for epoch in sorted({*spaced, *map(len, both)} - {0}):  # with the last of each run
        numbers.add_row(str(epoch), *(f"{errors[epoch - 1]:.2f}" if epoch <= len(errors) else MISSING for errors in both))
    yield _title(f"{measure} error % by epoch")
    yield curves
    yield numbers


def _test_images(difference: RunDifference) -> Iterator[RenderableType]:
    errors = difference.errors
    if isinstance(errors, str):
        yield _sentence("test images", f"not compared: {errors}")
        return
    table = Table(Column(style="bold"), Column(justify="right"), show_header=False)
    table.add_row("both right", f"{errors.both_right:,}")
    table.add_row("only A wrong", f"{errors.only_a:,}")
    table.add_row("only B wrong", f"{errors.only_b:,}")
    table.add_row("both wrong", f"{errors.both_wrong:,}")
    table.add_row("  with the same prediction", f"{errors.same_prediction:,}")
    yield _title(f"{errors.n:,} test images")
    yield table
    yield _sentence("", describe_errors(errors))
    yield _sentence("", f"p: {TESTS[errors.difference.test]}; {TWO_NETWORKS}")


def describe_errors(errors: PairedErrors) -> str:
    """Describe the verdict on A, as `compare A B` has it, and the interval of the difference in a sentence."""
    difference, (low, high) = errors.difference, errors.difference.interval
    size = f"error of A minus error of B: {difference.value:+.2f} points (95 %: {low:+.2f} to {high:+.2f})"
    return f"A compared with B, test error %: {compare_networks(errors).text}; {size}"


def _values(differences: dict[str, dict[str, Any]]) -> Table:
    table = _two_columns("key")
    for key, values in differences.items():
        table.add_row(_cell(key), _cell(_value(key, values, "a", "b")), _cell(_value(key, values, "b", "a")))
    return table


def _value(key: str, values: dict[str, Any], name: str, other: str) -> str:
    """Return the value of one run; for a list of the processor's features, only what the other run lacks."""
    if name not in values:
        return MISSING
    value, others = values[name], values.get(other)
    if key == "git.commit":
        return _commit(value)
    if key.startswith("cpu.") and isinstance(value, list) and isinstance(others, list):
        return ", ".join(format_value(item) for item in value if item not in others) or "no other"
    return format_value(value)


def _two_columns(first: str, style: str = "") -> Table:
    return Table(Column(first, style=style, overflow="fold"), *(Column(name, overflow="fold") for name in "AB"))


def _title(text: str) -> Text:
    """Return a title outside its table, since a table's own title is no wider than the table."""
    return Text(text, style="italic")


def _sentence(subject: str, text: str) -> Text:
    return Text.assemble((f"{subject}: " if subject else "", "bold"), messages.sanitize(text))


def _cell(text: str) -> Text:
    return messages.cell(text if len(text) <= MAX_CHARACTERS else f"{text[:MAX_CHARACTERS]}…")


def _score(score: Score | None) -> str:
    if score is None:
        return MISSING
    low, high = score.ci95
    return f"{score.error_percent:.2f}  (95 %: {low:.2f} – {high:.2f})"


def _commit(commit: Any) -> str:
    return messages.sanitize(commit)[:COMMIT_CHARACTERS]
