"""Runs → rows: what the runs at some places came to, and the settings in which they differ."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from mnist_exp.config.identity import flat, is_kind, layered, length, list_of
from mnist_exp.run.directory import find_runs, read_config
from mnist_exp.run.names import Run
from mnist_exp.run.status import Record, read_record

# The label, which stands in the name of the directory, and where and how a run was shown and told of.
MOST_KINDS = 3  # of layers, told one by one where they differ
NOT_SETTINGS = frozenset({"name", "runs_dir", "progress", "sweep", "tracker"})


@dataclass(frozen=True)
class Row:
    """One run, and its name from where it was looked for."""

    name: str
    record: Record

    @cached_property
    def settings(self) -> dict[str, Any]:
        """By dotted key, `layered`; none where the run has no result and its config.yaml cannot be read."""
        if self.record.summary is not None:
            return layered(self.record.summary.settings)
        try:
            found = flat(read_config(Run(self.record.directory)))
            json.dumps(found, default=str)  # an anchor that contains itself is valid YAML, and refused here
            return layered(found)
        except (ValueError, RecursionError, TypeError):
            return {}


def read_rows(places: Iterable[Path]) -> list[Row]:
    """The runs at or below the places, each once, in the order of their names.

    Raises:
        InputError: a place is not there.
    """
    named: dict[Path, Row] = {}
    for place in places:
        real = place.resolve()
        for directory in find_runs(place):
            below = directory.relative_to(place)
            if (known := real / below) not in named:
                named[known] = Row(real.name if directory == place else str(below), read_record(directory))
    return list(named.values())


def differing_settings(rows: Sequence[Row], apart_from: frozenset[str] = frozenset()) -> list[str]:
    """The keys in which the rows differ, in the order of the configuration.

    Where rows chose different options of a group, its `name` says so; a setting of that group is a difference only if it
    differs between rows that chose the same option, and one of a layer only between lists of the same kinds of layers. Where
    all lists have one length and a few layers of different kinds, these kinds are told in place of a word for the whole.
    """
    known = [row.settings for row in rows if row.settings]
    hidden = NOT_SETTINGS | apart_from
    keys = list(dict.fromkeys(key for settings in known for key in settings))
    found = [key for key in keys if key.partition(".")[0] not in hidden and _differs(key, known)]
    kinds = {key for key in found if is_kind(key)}
    if len(kinds) > MOST_KINDS:
        return [key for key in found if key not in kinds]
    said = {listed for key in kinds if (listed := list_of(key)) and len({length(row, listed) for row in known} - {""}) == 1}
    return [key for key in found if key not in said]


def _differs(key: str, known: Sequence[dict[str, Any]]) -> bool:
    option, listed = f"{key.partition('.')[0]}.name", list_of(key)
    values: dict[str, set[str]] = {}
    for settings in known:
        layers = listed and (length(settings, listed) if is_kind(key) else settings.get(listed))
        chosen = "" if key == option else repr((settings.get(option), layers))
        values.setdefault(chosen, set()).add(repr(settings.get(key)))
    return any(len(different) > 1 for different in values.values())
