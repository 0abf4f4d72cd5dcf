"""The table of artefacts that `export` prints."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.table import Table

from mnist_exp.comparison.significance import format_p_value
from mnist_exp.export.check import Check
from mnist_exp.terminal import messages

if TYPE_CHECKING:
    from mnist_exp.export.artefact import Artefact  # TensorFlow

COLUMNS = ("artefact", "kB", "differs by", "changed", "error % (95 %)", "p", "ms")
WHOLE = 2  # columns whose cells stay on one line


def build(artefacts: "Sequence[Artefact]", width: int) -> Table:
    """Return the table, which needs `caption` below it; one without lines if that is wider than `width` characters."""
    table = _filled(Table(), artefacts)
    if messages.width_of(table) <= width:
        return table
    return _filled(messages.table_without_lines(), artefacts, "\n")


def _filled(table: Table, artefacts: "Sequence[Artefact]", space: str = " ") -> Table:
    """Return a table with the headings and a row for each artefact; `space` is between the first words of a heading."""
    for place, heading in enumerate(COLUMNS):  # a narrow terminal breaks the lines of the others
        text = heading.replace(" ", space, 1)
        table.add_column(text, justify="right" if place else "left", no_wrap=place < WHOLE, overflow="fold")
    for one in artefacts:
        table.add_row(messages.cell(one.path.name), f"{one.size / 1000:,.1f}", *_cells(one.check))
    return table


def _cells(check: Check) -> list[str]:
    low, high = check.score["ci95"]
    time = messages.MISSING if check.milliseconds is None else f"{check.milliseconds:.3f}"
    return [
        f"{check.largest_difference:.1e}",
        f"{len(check.changed):,}",
        f"{check.score['error_percent']:.2f} ({low:.2f} – {high:.2f})",
        format_p_value(check.paired.difference.p).removeprefix("= "),
        time,
    ]


def caption(reference: Check, precisions: Sequence[str]) -> str:
    """Return the line below the table: what was compared, and what the columns are.

    Args:
        reference: the exported network next to the predictions of the run.
        precisions: of the run, or of the members of an ensemble.
    """
    n = len(reference.original)
    text = f"each run in its own runtime on all {n:,} test images, against the network of the run in float32"
    if count := len(reference.changed):
        p = format_p_value(reference.paired.difference.p)
        by = " and ".join(sorted(set(precisions)))
        text += (
            f"; this changes {messages.pluralize(count, 'prediction')} of the run, which was tested in {by} (McNemar p {p})"
        )
    return f"{text}; differs by: the largest difference of a probability; p: McNemar's test; ms: for one image at a time"
