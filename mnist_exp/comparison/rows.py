"""Runs as rows of a comparison: their results and the settings in which they differ."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

from mnist_exp.config.identity import (
    CONTENT_HASHES,
    expand_layers,
    is_layer_name,
    layer_count,
    layer_list_of,
    recorded_settings,
)
from mnist_exp.runs.directory import find_runs, read_config
from mnist_exp.runs.run import Run
from mnist_exp.runs.status import Record, read_record, recorded_time
from mnist_exp.runs.summary import Summary

MAX_LAYER_KINDS = 3  # kinds of layers that are listed one by one
# The label of a run, where it is stored, and how it is displayed.
NOT_SETTINGS = frozenset({"name", "runs_dir", "progress", "sweep", "tracker"})
# Limits of an untrusted file: a YAML anchor can make it endless, and a number can be too long to print.
MAX_VALUES, MAX_DEPTH, MAX_BITS = 10_000, 20, 1000


@dataclass(frozen=True)
class Row:
    """One run and its unique name, relative to the directory in which it was found."""

    name: str
    record: Record
    evaluation: Run | None = None  # its files, if the summary is of an evaluation on other images

    @cached_property
    def settings(self) -> dict[str, Any]:
        """The expanded settings by dotted key; empty if the run has no result and its config.yaml is damaged."""
        try:
            return expand_layers(read_settings(self.record) if self.record.summary is None else self.record.summary.settings)
        except ValueError:
            return {}

    @property
    def summary(self) -> Summary:
        """The summary; ValueError for a run that is not completed."""
        if self.record.summary is None:
            raise ValueError(f"{self.name} has no result")
        return self.record.summary

    @property
    def tested(self) -> Run:
        """The files with the predictions for the images of the summary."""
        return self.evaluation or Run(self.record.directory)

    @cached_property
    def time(self) -> float:
        """When the status last changed, as recorded, in seconds since 1970."""
        return recorded_time(Run(self.record.directory))


def read_rows(places: Iterable[Path]) -> list[Row]:
    """Read the runs in some directories, each run once, in the order of their names; equal names become paths.

    Raises:
        InputError: a directory does not exist.
    """
    rows: dict[Path, Row] = {}
    for place in places:
        resolved = place.resolve()
        for directory in find_runs(place):
            relative = directory.relative_to(place)
            if (path := resolved / relative) not in rows:
                rows[path] = Row(resolved.name if directory == place else str(relative), read_record(directory))
    count = Counter(row.name for row in rows.values())
    return [row if count[row.name] == 1 else replace(row, name=str(row.record.directory)) for row in rows.values()]


def read_settings(record: Record) -> dict[str, Any]:
    """Read the settings of a run from its config.yaml, by dotted key; for an ensemble, those that its members share.

    Raises:
        ValueError: the file is damaged or does not contain settings.
    """
    if record.ensemble_settings is not None:
        return record.ensemble_settings
    return flatten_untrusted(read_config(Run(record.directory)))


def flatten_untrusted(tree: Mapping[Any, Any]) -> dict[str, Any]:
    """Flatten nested mappings from an untrusted file to dotted keys.

    Raises:
        ValueError: the mapping exceeds a limit.
    """
    remaining: list[tuple[Any, int]] = [(tree, 0)]
    count = 0
    while remaining:
        value, depth = remaining.pop()
        count += 1
        if count > MAX_VALUES or depth > MAX_DEPTH or (isinstance(value, int) and value.bit_length() > MAX_BITS):
            raise ValueError("contains more than settings")
        if isinstance(value, Mapping | list):
            children = [*value.keys(), *value.values()] if isinstance(value, Mapping) else value
            remaining += [(child, depth + 1) for child in children]
    return recorded_settings(dict(tree))


def differing_settings(rows: Sequence[Row], ignored: frozenset[str] = frozenset()) -> list[str]:
    """List the settings in which rows differ, in the order of the configuration.

    If rows use different options of a group, the `name` of the group shows it. Its other settings are listed only if they
    differ between rows with the same option, and settings of a layer only if they differ between rows with the same kinds
    of layers. If all lists of layers have the same length and few kinds differ, the kinds are listed instead of the list.

    Args:
        ignored: sections and settings to leave out, besides NOT_SETTINGS.
    """
    settings = [row.settings for row in rows if row.settings]
    ignored |= NOT_SETTINGS
    keys = [key for key in dict.fromkeys(chain.from_iterable(settings)) if key.partition(".")[0] not in ignored]
    values = zip(*[tuple(map(one.get, keys)) for one in settings], strict=True)  # of each key; fast, for thousands of runs
    varying = [key for key, found in zip(keys, values, strict=True) if len(set(map(repr, found))) > 1]
    differing = [key for key in varying if _differs(key, settings)]
    kinds = {key for key in differing if is_layer_name(key)}
    lists = {name for key in kinds if (name := layer_list_of(key))}
    same_length = {name for name in lists if len({layer_count(one, name) for one in settings} - {""}) == 1}
    redundant = kinds if len(kinds) > MAX_LAYER_KINDS else same_length
    for place in CONTENT_HASHES.keys() & differing:
        redundant |= _redundant(place, settings)
    return [key for key in differing if key not in redundant]


def _redundant(place: str, settings: Sequence[dict[str, Any]]) -> set[str]:
    """Return what a reader does not need of a place and the hash of its content: the place, if the content is the same."""
    places, hashes = ({repr(one.get(key)) for one in settings} for key in (place, CONTENT_HASHES[place]))
    if len(hashes) == 1:
        return {place}
    pairs = {repr((one.get(place), one.get(CONTENT_HASHES[place]))) for one in settings}
    return {CONTENT_HASHES[place]} if len(places) == len(pairs) else set()


def _differs(key: str, settings: Sequence[dict[str, Any]]) -> bool:
    option, layers = f"{key.partition('.')[0]}.name", layer_list_of(key)
    values: dict[str, set[str]] = {}
    for one in settings:
        same_layers = layers and (layer_count(one, layers) if is_layer_name(key) else one.get(layers))
        context = "" if key == option else repr((one.get(option), same_layers))
        values.setdefault(context, set()).add(repr(one.get(key)))
    return any(len(different) > 1 for different in values.values())
