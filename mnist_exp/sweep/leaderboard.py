"""What a sweep came to: its configurations, each over its seeds, as JSON, CSV and Markdown."""

import csv
import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from mnist_exp import comparison, files
from mnist_exp.comparison import Group, Row, tables
from mnist_exp.comparison.statistics import mean_interval
from mnist_exp.config.problems import show as typed
from mnist_exp.sweep.plan import Sweep

# What a spreadsheet would compute; an apostrophe before it makes it text.
FORMULA = ("=", "+", "-", "@", "\t", "\r")


def write(sweep: Sweep, rows: Sequence[Row]) -> None:
    """Write leaderboard.json, .csv and .md.

    Args:
        sweep: where to.
        rows: its runs, best first.

    Raises:
        EnvironmentFailure: a file cannot be written.
    """
    groups = comparison.groups(rows)
    ranked = comparison.ranking([row for group in groups for row in group.rows])
    lines = of_groups(groups)
    failures = [
        {"run": row.name, "status": row.record.status, "cause": row.record.cause}
        for row in rows
        if row.record.summary is None
    ]
    content = {"schema": 1, "sweep": sweep.directory.name, "ranked_by": ranked, "configurations": lines}
    files.write_json(sweep.leaderboard, content | {"without_result": failures})
    files.write(sweep.leaderboard.with_suffix(".csv"), _csv(lines).encode())
    markdown = tables.markdown(tables.of_groups(groups)) if groups else "no job completed"
    files.write(sweep.leaderboard.with_suffix(".md"), f"{markdown}\n".encode())


def of_groups(groups: Sequence[Group]) -> list[dict[str, Any]]:
    """A line for each configuration, as they stand in leaderboard.json."""
    firsts = [group.rows[0] for group in groups]
    keys = comparison.differing(firsts, apart_from=frozenset({"seed"}))
    return [_line(rank, group, keys) for rank, group in enumerate(groups, 1)]


def _line(rank: int, group: Group, keys: Sequence[str]) -> dict[str, Any]:
    """One configuration."""
    first = group.summaries[0]
    return {
        "rank": rank,
        "name": first.name,
        "config_hash": first.config_hash,
        "settings": {key: group.rows[0].settings.get(key) for key in keys},
        "n": len(group.rows),
        "validation": _errors(group.errors("validation")),
        "test": _errors(group.errors("test")),
        "parameters": first.model.parameters,
        "train_seconds": float(np.mean([summary.train_seconds for summary in group.summaries])),
        "runs": [row.name for row in group.rows],
        "seeds": [summary.seed for summary in group.summaries],
    }


def _errors(values: np.ndarray | None) -> dict[str, Any] | None:
    """Of errors in percent: the mean, the standard deviation, the 95 % interval of the mean, and the best."""
    if values is None:
        return None
    std = float(values.std(ddof=1)) if len(values) > 1 else None
    return {"mean": float(values.mean()), "std": std, "ci95": mean_interval(values), "best": float(values.min())}


def _csv(lines: Sequence[dict[str, Any]]) -> str:
    """A row for each configuration, its nested parts flattened: validation_mean, settings as they are typed."""
    text = io.StringIO()
    rows = [_flat(line) for line in lines]
    names = list(dict.fromkeys(name for row in rows for name in row)) or ["rank"]
    table = csv.DictWriter(text, names, lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    return text.getvalue()


def _flat(line: dict[str, Any]) -> dict[str, Any]:
    row: dict[str, Any] = {key: line[key] for key in ("rank", "name", "config_hash")}
    row |= {key: _inert(typed(value)) for key, value in line["settings"].items()}
    row["n"] = line["n"]
    for which in ("validation", "test"):
        errors = line[which]
        if errors is not None:
            low, high = errors["ci95"] or (None, None)
            values = (errors["mean"], errors["std"], low, high, errors["best"])
            row |= dict(zip((f"{which}_{name}" for name in ("mean", "std", "low", "high", "best")), values, strict=True))
    return row | {key: line[key] for key in ("parameters", "train_seconds")}


def _inert(text: str) -> str:
    return f"'{text}" if text.startswith(FORMULA) and not _is_number(text) else text


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
