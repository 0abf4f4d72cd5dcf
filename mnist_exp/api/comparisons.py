"""Comparisons as objects: the numbers and words of the command `compare`."""

import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal

from mnist_exp.api import html
from mnist_exp.api.boundary import public
from mnist_exp.api.names import RunName, default_runs_dir
from mnist_exp.commands import compare as command
from mnist_exp.comparison import columns, export, ranking, tables, verdicts
from mnist_exp.errors import EnvironmentFailure

if TYPE_CHECKING:
    import pandas as pd

Keys = str | Iterable[str]  # one or several


class Comparison:
    """Configurations in order, each with the test whether it differs from the best or the baseline."""

    def __init__(self, content: ranking.Comparison) -> None:
        """Use `mx.compare` instead."""
        self._content = content

    @property
    def rows(self) -> list[dict[str, Any]]:
        """A dictionary for each configuration, as in the JSON of the command `compare`."""
        return [export.line_to_json(self._content, line) for line in self._content.lines]

    @property
    def verdicts(self) -> list[str]:
        """The verdict of each configuration in words, such as "worse by 0.42 (0.20 – 0.64), p = 0.003"."""
        return verdicts.results(self._content)

    @property
    def notes(self) -> list[str]:
        """What the ranking and the tests are about, and the runs that are not ranked."""
        return tables.notes(self._content, columns.build(self._content))

    @public
    def to_pandas(self) -> "pd.DataFrame":
        """Return a table with a row for each configuration and the columns of the command's CSV.

        Raises:
            EnvironmentFailure: pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError:
            raise EnvironmentFailure("to_pandas: pandas is not installed", "pip install pandas") from None
        return pd.DataFrame(list(export.csv_rows([self._content])))

    def __repr__(self) -> str:
        title = f"{self._content.title}\n" if self._content.title else ""
        return title + tables.to_text(self._content, columns.build(self._content))

    def _repr_html_(self) -> str:
        built = columns.build(self._content)
        rows = list(zip(*(column.cells for column in built), strict=True))
        alignments = [column.justify for column in built]
        headings = [column.heading for column in built]
        shown = html.table(rows, headings, alignments, self._content.title) if built else ""
        return shown + html.paragraphs(self.notes)


@public
def compare(
    runs: RunName | Sequence[RunName] = (),
    *,
    by: Keys | None = None,
    where: str | None = None,
    metric: str | None = None,
    baseline: RunName | None = None,
    on: Literal["new-images", "these-images"] = "new-images",
    equivalence: float | None = None,
    sort: Keys = (),
    top: int | None = None,
    runs_dir: RunName | None = None,
) -> Comparison:
    """Rank configurations and test which differences are significant, as the command `compare`.

    Args:
        runs: one or several runs, sweeps, directories of them or patterns; none for all runs in `runs_dir`.
        by: fields that the runs of a group share, or "run" for each run by itself; None for the configuration without seed.
        where: a condition, such as "model.name=cnn_large and test.error_percent<1".
        metric: to rank by; None for the validation error or, without validation images, the test error.
        baseline: a run of the configuration to test against; None for the best.
        on: whether the differences are those on new test images or on these.
        equivalence: the difference of two test errors, in percentage points, below which they count as equal.
        sort: fields to sort by instead of the rank; a leading - sorts in descending order.
        top: the maximum number of configurations.
        runs_dir: the directory of the runs; None for runs/.

    Raises:
        InputError: an argument cannot be used, or the runs do not exist.
    """
    named = [runs] if isinstance(runs, str | os.PathLike) else list(runs)
    given = {
        "--by": None if by is None else _joined(by),
        "--where": where,
        "--metric": metric,
        "--baseline": None if baseline is None else os.fspath(baseline),
        "--on": on,
        "--equivalence": equivalence,
        "--sort": _joined(sort) or None,
        "--top": top,
        "--runs-dir": default_runs_dir(runs_dir),
    }
    options = [f"{name}={value}" for name, value in given.items() if value is not None]
    return Comparison(command.compare_runs(command.parse([*options, "--", *(os.fspath(name) for name in named)])))


def _joined(keys: Keys) -> str:
    return keys if isinstance(keys, str) else ",".join(keys)
