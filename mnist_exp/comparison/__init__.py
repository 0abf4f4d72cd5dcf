"""Runs → rows: what the runs at some places came to, best first, with the settings in which they differ."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from mnist_exp import runs
from mnist_exp.config.identity import flat
from mnist_exp.runs import Record, Run
from mnist_exp.summary import Summary

# The label, which stands in the name of the directory, and where and how a run was shown.
NOT_SETTINGS = frozenset({"name", "runs_dir", "progress", "sweep"})


Which = Literal["validation", "test"]  # images


@dataclass(frozen=True)
class Row:
    """One run, its name from where it was looked for, and its flattened settings; none where config.yaml cannot be read."""

    name: str
    record: Record
    settings: dict[str, Any]


@dataclass(frozen=True)
class Group:
    """The completed runs of one configuration, which differ in their seeds; the first stands for all."""

    rows: Sequence[Row]
    summaries: Sequence[Summary]

    def errors(self, which: Which) -> np.ndarray | None:
        """Errors in percent, float64 (n,); None if a run has none of that kind."""
        scores = [getattr(summary, which) for summary in self.summaries]
        return None if None in scores else np.array([score.error_percent for score in scores])


def gather(places: Iterable[Path]) -> list[Row]:
    """The runs at or below the places, each once, best first; those without a result come last.

    Raises:
        InputError: a place is not there.
    """
    named = {directory.resolve(): _name(directory, place) for place in places for directory in runs.find(place)}
    rows = [Row(name, runs.read(directory), _settings(directory)) for directory, name in named.items()]
    key = ranking(rows)

    def rank(row: Row) -> float:
        score = getattr(row.record.summary, key, None)
        return float("inf") if score is None else float(score.error_percent)

    return sorted(rows, key=rank)


def ranking(rows: Iterable[Row]) -> Which:
    """Which error ranks these runs: validation if all completed ones have it, else test."""
    summaries = [row.record.summary for row in rows if row.record.summary is not None]
    return "validation" if summaries and all(summary.validation for summary in summaries) else "test"


def differing(rows: Sequence[Row], apart_from: frozenset[str] = frozenset()) -> list[str]:
    """The keys in which the rows differ, in the order of the configuration.

    Where rows chose different options of a group, its `name` says so; a setting of that group is a difference only if it
    differs between rows that chose the same option.
    """
    known = [row.settings for row in rows if row.settings]
    hidden = NOT_SETTINGS | apart_from
    keys = list(dict.fromkeys(key for settings in known for key in settings))
    return [key for key in keys if key.partition(".")[0] not in hidden and _differs(key, known)]


def _differs(key: str, known: Sequence[dict[str, Any]]) -> bool:
    option = f"{key.partition('.')[0]}.name"
    values: dict[str, set[str]] = {}
    for settings in known:
        chosen = "" if key == option else repr(settings.get(option))
        values.setdefault(chosen, set()).add(repr(settings.get(key)))
    return any(len(different) > 1 for different in values.values())


def groups(rows: Iterable[Row]) -> list[Group]:
    """The completed runs grouped by `config_hash`, in the order of their mean errors.

    Of several runs with one seed only the latest counts: a repetition of the same numbers is no further evidence.
    """
    completed = [(row, row.record.summary) for row in rows if row.record.summary is not None]
    completed.sort(key=lambda pair: runs.changed(Run(pair[0].record.directory)))
    by_hash: dict[str, dict[int, tuple[Row, Summary]]] = {}
    for row, summary in completed:
        by_hash.setdefault(summary.config_hash, {})[summary.seed] = (row, summary)
    key = ranking([row for row, _ in completed])
    found = [Group(*zip(*members.values(), strict=True)) for members in by_hash.values()]

    def rank(group: Group) -> float:
        errors = group.errors(key)
        return float("inf") if errors is None else float(errors.mean())

    return sorted(found, key=rank)


def _name(directory: Path, place: Path) -> str:
    return directory.resolve().name if directory == place else str(directory.relative_to(place))


def _settings(directory: Path) -> dict[str, Any]:
    try:
        return flat(runs.read_config(Run(directory)))
    except (ValueError, RecursionError):  # an anchor that contains itself is valid YAML
        return {}
