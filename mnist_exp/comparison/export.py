"""A board as data: JSON with every digit, and CSV that no spreadsheet takes for formulas."""

import csv
import io
from typing import Any

from mnist_exp.comparison.fields import METRICS, TEST, VALIDATION
from mnist_exp.comparison.ranking import Comparison, Line, spread
from mnist_exp.comparison.significance import Significance
from mnist_exp.config.problems import show as typed

# What a spreadsheet would compute; an apostrophe before it makes it text.
FORMULA = ("=", "+", "-", "@", "\t", "\r")
ERRORS = {"validation": VALIDATION, "test": TEST}  # percent, of every line
COSTS = {"parameters": "model.parameters", "train_seconds": "train_seconds", "images_per_second": "images_per_second"}
SPREAD = ("mean", "std", "low", "high", "best")  # columns of a number in CSV


def to_json(board: Comparison) -> dict[str, Any]:
    """All of a board, as JSON knows it."""
    return {
        "schema": 2,
        "ranked_by": board.metric.key,
        "against": None if board.reference is None else _name(board.reference.rows[0].name, board.has_baseline),
        "configurations": [line_to_json(board, one) for one in board.lines],
        "not_ranked": [
            {
                "reason": apart.reason,
                "runs": [
                    {"run": row.name, "status": row.record.status, "cause": row.record.cause, "remedy": row.record.remedy}
                    for row in apart.rows
                ],
            }
            for apart in board.not_ranked
        ],
    }


def line_to_json(board: Comparison, one: Line) -> dict[str, Any]:
    """One line of it."""
    group = one.group
    hashes = {summary.config_hash for summary in group.summaries}
    return {
        "rank": one.rank,
        "name": group.label,
        "config_hash": hashes.pop() if len(hashes) == 1 else None,
        "settings": dict(group.settings),
        "n": group.n,
        "ranked_by": spread(group, board.metric),
        **{name: spread(group, METRICS[key]) for name, key in ERRORS.items()},
        **{name: group.mean(METRICS[key]) for name, key in COSTS.items()},
        "significance": None if one.significance is None else _significance(one.significance),
        "runs": [row.name for row in group.rows],
        "seeds": group.seeds,
    }


def to_csv(board: Comparison) -> str:
    """A row for each line, its nested parts flattened: test.error_percent.mean, settings as they are typed."""
    rows = [_flat(line_to_json(board, one)) for one in board.lines]
    names = list(dict.fromkeys(name for row in rows for name in row)) or ["rank"]
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow([_inert(name) for name in names])
    table.writerows([[row.get(name) for name in names] for row in rows])
    return text.getvalue()


def _name(run: str, baseline: bool) -> dict[str, Any]:
    return {"run": run, "is": "baseline" if baseline else "best"}


def _significance(verdict: Significance) -> dict[str, Any]:
    return {
        "metric": verdict.metric.key,
        "test": verdict.test,
        "difference": verdict.difference,
        "ci95": verdict.interval,
        "p": verdict.p,
        "p_corrected": verdict.p_corrected,
        "significant": verdict.significant,
        "more_seeds": verdict.more_seeds,
        "words": verdict.text,
    }


def _flat(one: dict[str, Any]) -> dict[str, Any]:
    row: dict[str, Any] = {key: one[key] for key in ("rank", "name", "config_hash")}
    row |= {key: typed(value) for key, value in one["settings"].items()}
    row["n"] = one["n"]
    for name in ("ranked_by", *ERRORS):
        numbers = one[name]
        low, high = (numbers and numbers["ci95"]) or (None, None)
        values = (numbers["mean"], numbers["std"], low, high, numbers["best"]) if numbers else (None,) * len(SPREAD)
        row |= dict(zip((f"{name}_{part}" for part in SPREAD), values, strict=True))
    row |= {name: one[name] for name in COSTS}
    verdict = one["significance"] or {}
    row |= {f"significance_{key}": verdict.get(key) for key in ("test", "difference", "p", "p_corrected", "words")}
    row |= {key: " ".join(str(part) for part in one[key] if part is not None) for key in ("runs", "seeds")}
    return {name: _inert(value) if isinstance(value, str) else value for name, value in row.items()}


def _inert(text: str) -> str:
    return f"'{text}" if text.startswith(FORMULA) and not _is_number(text) else text


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
