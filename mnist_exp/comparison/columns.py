"""The columns of a comparison's table, each with a key and with a priority for narrow terminals."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from mnist_exp.comparison import verdicts
from mnist_exp.comparison.fields import METRICS, TEST, Metric, check_fields, field_value
from mnist_exp.comparison.ranking import Comparison, Line
from mnist_exp.config.conversions import format_value
from mnist_exp.config.identity import CONTENT_HASHES
from mnist_exp.terminal.messages import MISSING

COSTS = {"model.parameters": 2, "train_seconds": 3, "images_per_second": 1}  # metrics of every table, with priorities
MODEL_NAME = "model.name"
NEEDED = 7  # the priority of a column without which two rows can look the same


@dataclass(frozen=True)
class Column:
    """A heading and its cells; a narrow terminal hides columns of a priority below `NEEDED`, the lowest first."""

    key: str
    heading: str
    cells: Sequence[str]
    priority: int
    justify: str = "right"
    wraps: bool = False  # in a narrow terminal, before any column is hidden

    @property
    def is_needed(self) -> bool:
        """Whether it is never hidden."""
        return self.priority >= NEEDED


def build(comparison: Comparison, chosen: Sequence[str] | None = None) -> list[Column]:
    """Build the columns of a comparison; none if it has no lines.

    Args:
        chosen: the keys of the columns, in order; None for the default columns.

    Raises:
        InputError: a key is unknown.
    """
    default = _default(comparison) if comparison.lines else []
    if chosen is None or not default:
        return default
    columns = {column.key: column for column in default}
    rows = [row for line in comparison.lines for row in line.group.rows]
    check_fields(chosen, rows, "--columns", "column", dict.fromkeys([*columns, *METRICS]))
    return [replace(columns.get(key) or _additional(comparison, key), priority=NEEDED) for key in chosen]


def _default(comparison: Comparison) -> list[Column]:
    lines, repeated = comparison.lines, comparison.has_repetitions
    columns = [
        Column("rank", "rank", [str(line.rank) for line in lines], 8),
        Column("name", "name", [line.group.name for line in lines], 9, "left", wraps=True),
        Column("n", "n", [str(line.group.n) for line in lines], 7 if repeated else 3),
    ]
    for metric, priority in zip(comparison.shown_metrics, (9, 8), strict=False):
        is_ranking = metric is comparison.metric
        statistics = [line.group.statistics(metric) for line in lines]
        heading = f"{metric.heading}{', mean ± std' if repeated else ''}"
        columns.append(Column(metric.key, heading, [_mean(one, metric) for one in statistics], priority))
        if repeated or metric.images is not None:
            heading = f"95 % interval of {metric.heading.removesuffix(' %')}"
            cells = [_interval(line, metric, repeated) for line in lines]
            columns.append(Column(f"{metric.key}.ci95", heading, cells, priority - 3))
        if repeated and is_ranking:
            columns.append(
                Column("best", "best run", [metric.format(one["best"] if one else None) for one in statistics], 3)
            )
    if len(lines) > 1:
        texts = verdicts.results(comparison)
        columns.append(Column("significance", verdicts.heading(comparison), texts, 8, "left", wraps=True))
    if repeated and comparison.shown_metrics[-1].key == TEST:
        columns.append(Column("spread", "std over seeds (images, rest)", [_spread(line) for line in lines], 4))
    columns += [_of_setting(lines, key) for key in comparison.settings]
    keys = {column.key for column in columns}
    return columns + [
        Column(key, METRICS[key].heading, [METRICS[key].format(line.group.mean(METRICS[key])) for line in lines], priority)
        for key, priority in COSTS.items()
        if key not in keys
    ]


def _additional(comparison: Comparison, key: str) -> Column:
    """Return a column that is shown only if the user asks for it."""
    if key in METRICS:
        metric = METRICS[key]
        cells = [_mean(line.group.statistics(metric), metric) for line in comparison.lines]
        return Column(key, metric.heading, cells, NEEDED)
    return Column(key, key, [_setting(line, key) for line in comparison.lines], NEEDED, "left")


def _of_setting(lines: Sequence[Line], key: str) -> Column:
    """Return the column of a setting; a narrow terminal hides it only if the name in each row contains the setting."""
    cells, names = [_setting(line, key) for line in lines], [line.group.name for line in lines]
    stated = f"{key.rpartition('.')[2]}="  # in the name of a job
    is_named = all(stated in name or (key == MODEL_NAME and cell in name) for name, cell in zip(names, cells, strict=True))
    return Column(key, key, cells, 6 if is_named else 8, "left", wraps=key in CONTENT_HASHES)


def _setting(line: Line, key: str) -> str:
    """Return all values of a group, since its runs may differ in a setting."""
    values = [(field_value(row, key), key in row.settings) for row in line.group.rows]
    texts = [MISSING if value is None and not known else format_value(value) for value, known in values]
    return ", ".join(dict.fromkeys(texts))


def _mean(statistics: dict[str, Any] | None, metric: Metric) -> str:
    if statistics is None:
        return MISSING
    std = "" if statistics["std"] is None else f" ± {metric.format(statistics['std'])}"
    return metric.format(statistics["mean"]) + std


def _spread(line: Line) -> str:
    """Return the two parts of the standard deviation of the test error over seeds."""
    spread, metric = line.group.spread, METRICS[TEST]
    return MISSING if spread is None else f"{metric.format(spread['images'])}, {metric.format(spread['seeds'])}"


def _interval(line: Line, metric: Metric, repeated: bool) -> str:
    """Return the interval of the mean over seeds or, if no group has several runs, of the error among one run's images."""
    if repeated:
        statistics = line.group.statistics(metric)
        interval = None if statistics is None else statistics["ci95"]
    else:
        summary = line.group.summaries[0]
        score = summary.validation if metric.images == "validation" else summary.test
        interval = score.ci95 if score is not None and metric.key.endswith("error_percent") else None
    return metric.format_interval(interval)
