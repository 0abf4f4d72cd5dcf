"""The difference of two runs, in the terminal."""

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import Any

import numpy as np
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from mnist_exp.comparison import difference
from mnist_exp.comparison.difference import Difference, Images, Side
from mnist_exp.comparison.significance import format_p_value
from mnist_exp.comparison.statistics import LEVEL
from mnist_exp.config.problems import show as typed
from mnist_exp.run.summary import Score
from mnist_exp.terminal import characters, messages
from mnist_exp.terminal.messages import MISSING, pluralize

LONGEST = 300  # characters of a value
COMMIT_CHARACTERS = 12
CURVE_ROWS, MOST_COLUMNS = 8, 60  # characters of a chart, which is less wide where the terminal is
FEWEST_COLUMNS = 10
MOST_EPOCHS = 8  # in the table below the curves


def show(found: Difference, out: Console) -> None:
    """Print everything but the images themselves."""
    for part in (*_runs(found), *_settings(found), *_environment(found), *_curves(found, out.width), *_images(found)):
        out.print(part)


def _runs(found: Difference) -> Iterator[RenderableType]:
    sides = found.a, found.b
    table = _table("")
    summaries = [side.record.summary for side in sides]
    table.add_row("directory", *(messages.cell(side.run.directory) for side in sides))
    if not all(summaries):
        table.add_row("status", *(_cell(_status(side)) for side in sides))
    table.add_row("test error %", *(_score(one.test if one else None) for one in summaries))
    table.add_row("validation error %", *(_score(one.validation if one else None) for one in summaries))
    table.add_row("parameters", *(f"{one.model.parameters:,}" if one else MISSING for one in summaries))
    table.add_row("training s", *(f"{one.train_seconds:.1f}" if one else MISSING for one in summaries))
    for faults in zip_longest(*(side.faults for side in sides)):
        table.add_row("missing", *(_cell(fault.cause if fault else "") for fault in faults))
    yield _title("runs")
    yield table


def _settings(found: Difference) -> Iterator[RenderableType]:
    if not (found.a.settings and found.b.settings):
        yield _sentence("settings", "not known of both: a config.yaml cannot be read")
    elif not found.settings:
        yield _sentence("settings", "none differs: the same experiment with the same seed")
    else:
        yield _title("settings that differ")
        yield _differing(found.settings)
        if set(found.settings) == {"seed"}:
            yield _sentence("", "only the seed: two repetitions of one experiment")


def _environment(found: Difference) -> Iterator[RenderableType]:
    sides = found.a, found.b
    if not all(side.environment for side in sides):
        yield _sentence("environment", "not known of both: an environment.json cannot be read or is not there yet")
        return
    told = []
    if found.environment:
        yield _title("environment that differs")
        yield _differing(found.environment)
    else:
        told.append("nothing recorded of it differs")
    told.append(_source(*(side.environment for side in sides)))
    told += [
        f"{name} was resumed {pluralize(side.resumed, 'time')}"
        for name, side in zip("AB", sides, strict=True)
        if side.resumed
    ]
    yield _sentence("environment", "; ".join(told))


def _source(a: dict[str, Any], b: dict[str, Any]) -> str:
    """What git says of the program that trained them."""
    commits = [side.get("git.commit") for side in (a, b)]
    if None in commits:
        return "which commit the program was of is not known of both"
    told = f"both of commit {_commit(commits[0])}" if commits[0] == commits[1] else "the program is of different commits"
    dirty = [name for name, side in zip("AB", (a, b), strict=True) if side.get("git.dirty") is not False]
    return told + (f", with changes that were not committed in {' and '.join(dirty)}" if dirty else "")


def _curves(found: Difference, width: int) -> Iterator[RenderableType]:
    """The error by epoch of both, side by side on one scale, and in numbers."""
    which = difference.measure(found)
    both = [difference.errors(side, which) for side in (found.a, found.b)]
    everything = np.concatenate(both)
    if not len(everything):
        yield _sentence("learning curves", "none: no epoch is told in either history.csv")
        return
    low, high = float(everything.min()), float(everything.max())
    epochs = max(map(len, both))
    labels = [f"{high:.2f}", *[""] * (CURVE_ROWS - 2), f"{low:.2f}"]
    across = min(MOST_COLUMNS, max(FEWEST_COLUMNS, (width - len(labels[0]) - 10) // 2))
    table = Table(show_footer=True)
    table.add_column("", justify="right")
    cells = []
    for name, errors in zip("AB", both, strict=True):
        table.add_column(name, footer=f"{1:<{across - len(str(epochs))}}{epochs}" if epochs > 1 else "1")
        rows = characters.draw_curve(errors, epochs, (low, high), across, CURVE_ROWS) if len(errors) else ["no epoch"]
        cells.append("\n".join(rows))
    table.add_row("\n".join(labels), *cells)
    yield _title(f"{which} error % by epoch")
    yield table
    yield _epochs(which, both)


def _epochs(which: str, both: Sequence[np.ndarray]) -> Table:
    table = Table()
    for heading in ("epoch", f"A: {which} error %", f"B: {which} error %"):
        table.add_column(heading, justify="right")
    last = max(map(len, both))
    chosen = {*np.linspace(1, last, MOST_EPOCHS).round().astype(int).tolist(), *(len(errors) for errors in both)} - {0}
    for epoch in sorted(chosen):
        table.add_row(str(epoch), *(f"{errors[epoch - 1]:.2f}" if epoch <= len(errors) else MISSING for errors in both))
    return table


def _images(found: Difference) -> Iterator[RenderableType]:
    images = found.images
    if images is None:
        yield _sentence("test images", f"not compared: {found.without_images}")
        return
    table = Table(show_header=False)
    table.add_column(style="bold")
    table.add_column(justify="right")
    for name, count in (
        ("both right", images.both_right),
        ("only A wrong", images.only_a),
        ("only B wrong", images.only_b),
        ("both wrong", images.both_wrong),
        ("  with the same answer", images.same_answer),
    ):
        table.add_row(name, f"{count:,}")
    yield _title(f"{images.n:,} test images")
    yield table
    yield _sentence("", verdict(images))
    yield _sentence("", "this compares two networks; of networks from other seeds it says nothing")


def verdict(images: Images) -> str:
    """What may be said of two networks whose errors differ so on the same images."""
    low, high = images.interval
    better = "A" if images.only_a < images.only_b else "B"
    told = f"a significant difference: {better} has fewer errors" if images.p < LEVEL else "no significant difference"
    test = f"McNemar's exact test, p {format_p_value(images.p)}"
    return f"{told} ({test}); A's error less B's: {images.points:+.2f} points (95 %: {low:+.2f} to {high:+.2f})"


def _differing(found: dict[str, dict[str, Any]]) -> Table:
    table = _table("key")
    for key, values in found.items():
        table.add_row(_cell(key), *(_cell(_value(key, name, values)) for name in "ab"))
    return table


def _value(key: str, name: str, values: dict[str, Any]) -> str:
    """One side's value; of two lists only what the other one has not."""
    if name not in values:
        return MISSING
    other = values.get("b" if name == "a" else "a")
    value = values[name]
    if key == "git.commit":
        return _commit(value)
    if key.startswith("cpu.") and isinstance(value, list) and isinstance(other, list):
        return ", ".join(typed(item) for item in value if item not in other) or "no other"
    return typed(value)


def _title(text: str) -> Text:
    """A title by itself: that of a table would be no wider than the table."""
    return Text(text, style="italic")


def _table(first: str) -> Table:
    table = Table()
    table.add_column(first, style="bold" if not first else "", overflow="fold")
    for name in "AB":
        table.add_column(name, overflow="fold")
    return table


def _status(side: Side) -> str:
    record = side.record
    return f"{record.status}: {record.cause}" if record.cause and record.status != "unreadable" else record.status


def _score(score: Score | None) -> str:
    if score is None:
        return MISSING
    low, high = score.ci95
    return f"{score.error_percent:.2f}  (95 %: {low:.2f} – {high:.2f})"


def _commit(commit: Any) -> str:
    return messages.sanitize(commit)[:COMMIT_CHARACTERS]


def _sentence(head: str, text: str) -> Text:
    return Text.assemble((f"{head}: " if head else "", "bold"), messages.sanitize(text))


def _cell(text: str) -> Text:
    return messages.cell(text if len(text) <= LONGEST else f"{text[:LONGEST]}…")
