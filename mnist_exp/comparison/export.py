"""Export of a comparison: JSON and CSV with every digit; a spreadsheet cannot take a CSV cell for a formula."""

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from mnist_exp.comparison import verdicts
from mnist_exp.comparison.fields import METRICS, TEST, VALIDATION, field_value
from mnist_exp.comparison.ranking import Comparison, Line
from mnist_exp.comparison.significance import Significance
from mnist_exp.comparison.verdicts import Subject
from mnist_exp.config.conversions import format_value
from mnist_exp.runs.status import Record
from mnist_exp.terminal import messages

ERRORS = {"validation": VALIDATION, "test": TEST}
COSTS = {"parameters": "model.parameters", "train_seconds": "train_seconds", "images_per_second": "images_per_second"}


def to_json(comparison: Comparison, first: Mapping[str, Any] = MappingProxyType({})) -> Iterator[str]:
    """Yield the parts of the JSON of a comparison, schema 3, in ASCII; each configuration is a line, to take little memory.

    Args:
        comparison: of any size.
        first: keys before the others.
    """
    reference, tests = comparison.reference, comparison.tests
    content = dict(first) | {
        "schema": 3,
        "images": dict(comparison.images),
        "ranked_by": comparison.metric.key,
        "against": reference and {"run": reference.rows[0].name, "is": comparison.reference_name},
        "question": verdicts.subject(comparison),
        "correction": tests and {"name": tests.correction, "comparisons": tests.comparisons},
        "looks": comparison.looks and {"seeds": list(comparison.looks.sizes), "look": tests and tests.look},
        "not_ranked": [
            {"reason": reason, "runs": [{"run": row.name} | _record_to_json(row.record) for row in rows]}
            for reason, rows in comparison.not_ranked.items()
        ],
        "configurations": [],
    }
    yield json.dumps(content, indent=2, allow_nan=False).removesuffix("]\n}")
    for place, line in enumerate(comparison.lines):  # without indent, the encoder is the one in C: six times as fast
        yield f"{',' if place else ''}\n    {json.dumps(line_to_json(comparison, line), allow_nan=False)}"
    yield "\n  ]\n}\n" if comparison.lines else "]\n}\n"


def line_to_json(comparison: Comparison, line: Line) -> dict[str, Any]:
    """Return one line of a comparison."""
    group = line.group
    hashes = {summary.config_hash for summary in group.summaries}
    statistics = {key: group.statistics(METRICS[key]) for key in {comparison.metric.key, *ERRORS.values()}}
    return {
        "rank": line.rank,
        "name": group.label,
        "config_hash": hashes.pop() if len(hashes) == 1 else None,
        "settings": dict(group.settings),
        "n": group.n,
        "ranked_by": statistics[comparison.metric.key],
        **{name: statistics[key] for name, key in ERRORS.items()},
        **{name: group.mean(METRICS[key]) for name, key in COSTS.items()},
        "spread": group.spread,
        "significance": line.significance and _significance(line.significance, verdicts.subject(comparison, line)),
        "runs": [row.name for row in group.rows],
        "seeds": group.seeds,
    }


def to_csv(comparisons: Sequence[Comparison]) -> str:
    """Return CSV text with a row for each line of some comparisons."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for place, row in enumerate(csv_rows(comparisons)):  # all have the same names
        if not place:
            writer.writerow(map(messages.csv_value, row))
        writer.writerow(map(messages.csv_value, row.values()))
    return text.getvalue() or "rank\n"


def csv_rows(comparisons: Sequence[Comparison]) -> Iterator[dict[str, Any]]:
    """Yield a row for each line, by the names of its columns; nested values have columns such as test_mean."""
    settings = dict.fromkeys(key for comparison in comparisons for key in comparison.settings)
    for comparison in comparisons:
        for line in comparison.lines:
            values = dict(comparison.images) | {key: field_value(line.group.rows[0], key) for key in settings}
            yield _csv_row(line_to_json(comparison, line) | {"settings": values})


def _record_to_json(record: Record) -> dict[str, str | None]:
    return {"status": record.status, "cause": record.cause, "remedy": record.remedy}


def _significance(significance: Significance, about: Subject | None) -> dict[str, Any]:
    difference = None if isinstance(significance.result, str) else significance.result
    plan = significance.plan
    return {
        "metric": significance.metric.key,
        "question": about,
        "test": difference and difference.test,
        "difference": difference and difference.value,
        "interval": difference and difference.interval,
        "level": difference and difference.level,
        "p": difference and difference.p,
        "p_corrected": significance.p_corrected,
        "significant": significance.significant,
        "verdict": significance.verdict,
        "more_seeds": plan and {"group": plan.group, "reference": plan.reference},
        "words": significance.text,
    }


def _csv_row(line: dict[str, Any]) -> dict[str, Any]:
    row: dict[str, Any] = {key: line[key] for key in ("rank", "name", "config_hash")}
    row |= {key: format_value(value) for key, value in line["settings"].items()}
    row["n"] = line["n"]
    for name in ("ranked_by", *ERRORS):
        values = line[name] or {}
        low, high = values.get("ci95") or (None, None)
        row |= {f"{name}_mean": values.get("mean"), f"{name}_std": values.get("std")}
        row |= {f"{name}_low": low, f"{name}_high": high, f"{name}_best": values.get("best")}
    row |= {name: line[name] for name in COSTS}
    row |= {f"spread_{name}": (line["spread"] or {}).get(name) for name in ("std", "images", "seeds")}
    significance = line["significance"] or {}
    row |= {
        f"significance_{key}": significance.get(key)
        for key in ("question", "test", "difference", "p", "p_corrected", "verdict", "words")
    }
    return row | {key: " ".join(str(one) for one in line[key] if one is not None) for key in ("runs", "seeds")}
