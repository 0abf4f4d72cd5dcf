"""The settings that define an experiment: their hash, their changes, and lists of layers as single settings."""

import copy
import difflib
import hashlib
import json
import re
import sys
from collections.abc import Iterator
from typing import Any, TypeGuard

from mnist_exp.config import additions
from mnist_exp.config.schema import Experiment

# Settings that do not change the result: label, places, hardware, display, checkpoints and trackers.
EXECUTION_SETTINGS: dict[str, Any] = {
    "name": True,
    "device": True,
    "threads": True,
    "runs_dir": True,
    "progress": True,
    "sweep": True,
    "tracker": True,
    "training": {"checkpoint_every"},
    "dataset": {"root", "fetch", "max_unreadable"},
}
# Settings that do not define a run, but a hash of their content does: initial_weights_sha256, dataset.fingerprint.
# So a sweep may have several values of them.
NOT_DEFINING: dict[str, Any] = EXECUTION_SETTINGS | {
    "initial_weights": True,
    "dataset": EXECUTION_SETTINGS["dataset"] | {"path", "class_names", "groups", "description"},
}
CONTENT_HASHES = {"initial_weights": "initial_weights_sha256", "dataset.path": "dataset.fingerprint"}  # by the place
ELEMENT = re.compile(r"\.\d+(\.|$)")  # of a list, in a dotted key


def identity(experiment: Experiment) -> dict[str, Any]:
    """Return the settings that define a run, including the seed, by dotted key, as JSON values."""
    return flatten(experiment.model_dump(mode="json", exclude=NOT_DEFINING))


def is_execution_setting(key: str) -> bool:
    """Return whether a dotted key is a setting that only changes how the experiment runs."""
    return _is_in(EXECUTION_SETTINGS, key)


def is_content_hash(override: str) -> bool:
    """Return whether an override sets the hash of what is at a place; it repeats the place, and is not shown."""
    return override.partition("=")[0] in CONTENT_HASHES.values()


def _is_in(settings: dict[str, Any], key: str) -> bool:
    section, name, *_ = [*key.split("."), ""]
    names = settings.get(section, set())
    return names is True or name in names


def config_hash(experiment: Experiment) -> str:
    """Return a hash of the settings that define the experiment, without the seed: 16 hexadecimal digits of SHA-256.

    A setting that was added later counts only if it trains differently from the versions without it; see `additions`.
    """
    return next(config_hashes(experiment))


def config_hashes(experiment: Experiment) -> Iterator[str]:
    """Yield the `config_hash` of an experiment, then those that earlier versions computed."""
    for generation in (None, 4, 3, 2, 1):
        yield _hash(experiment.model_dump(mode="json", exclude=NOT_DEFINING | {"seed": True}), generation)


def hash_of_settings(settings: dict[str, Any]) -> str:
    """Return the `config_hash` of the settings of an experiment by dotted key."""
    return _hash(
        unflatten({key: value for key, value in settings.items() if key != "seed" and not _is_in(NOT_DEFINING, key)})
    )


def _hash(tree: dict[str, Any], generation: int | None = None) -> str:
    settings = additions.without_additions(tree, generation)
    canonical = json.dumps(settings, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def changes(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Return the differences between two identities, each with both values: "seed: 7 → 8"."""
    absent = object()
    before, now = expand_layers(complete(before)), expand_layers(complete(now))
    keys = [key for key in dict.fromkeys([*before, *now]) if same_layer_list(key, before, now)]
    differing = [key for key in keys if before.get(key, absent) != now.get(key, absent)]
    return [f"{key}: {before.get(key, 'absent')} → {now.get(key, 'absent')}" for key in differing]


def complete(settings: dict[str, Any]) -> dict[str, Any]:
    """Return settings by dotted key, with those that the version that stored them did not have; see `additions`."""
    return flatten(additions.complete(unflatten(settings))) if additions.may_lack_additions(settings) else settings


def unflatten(settings: dict[str, Any]) -> dict[str, Any]:
    """Return a copy of settings by dotted key as nested sections: the inverse of `flatten`."""
    tree: dict[str, Any] = {}
    for key, value in settings.items():
        *sections, name = key.split(".")
        section = tree
        for part in sections:
            section = section.setdefault(part, {})
        section[name] = copy.deepcopy(value) if isinstance(value, list | dict) else value
    return tree


def flatten(tree: dict[Any, Any], prefix: str = "") -> dict[str, Any]:
    """Return the values in nested mappings by dotted key."""
    leaves: dict[str, Any] = {}
    for name, value in tree.items():
        key = sys.intern(f"{prefix}{name}")  # one text for thousands of runs
        leaves |= flatten(value, f"{key}.") if isinstance(value, dict) else {key: value}
    return leaves


def recorded_settings(tree: dict[Any, Any]) -> dict[str, Any]:
    """Return the settings of a configuration by dotted key, as results record and compare them.

    The description of a data set is left out: its fingerprint says whether two are the same.
    """
    return {key: value for key, value in flatten(tree).items() if not key.startswith("dataset.description.")}


def expand_layers(settings: dict[str, Any]) -> dict[str, Any]:
    """Replace each list of layers by a short label and the settings of its layers.

    "model.layers" becomes "11 layers 3fa2c1": their number, and a hash of their names in order. The settings of the layers
    follow under the keys of overrides: "model.layers.0.name", "model.layers.0.filters".

    Args:
        settings: by dotted key; without such a list, they are returned as they are.
    """
    if not any(
        is_layer_list(value) for value in settings.values() if isinstance(value, list)
    ):  # fast, for thousands of runs
        return settings
    expanded: dict[str, Any] = {}
    for key, value in settings.items():
        if not is_layer_list(value):
            expanded[key] = value
            continue
        leaves = _leaves(value, key)
        names = {name: value for name, value in leaves.items() if is_layer_name(name)}
        digest = hashlib.sha256(repr(names).encode(errors="surrogatepass")).hexdigest()[:6]
        expanded[key] = f"{len(value)} {short_key(key)} {digest}"
        expanded |= leaves
    return expanded


def is_layer_list(value: Any) -> TypeGuard[list[dict[Any, Any]]]:
    """Return whether a value is a list of layers: a list of mappings that is not empty."""
    return isinstance(value, list) and bool(value) and all(isinstance(layer, dict) for layer in value)


def _leaves(layers: list[dict[Any, Any]], key: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for number, layer in enumerate(layers):
        for name, value in flatten(layer, f"{key}.{number}.").items():
            found |= _leaves(value, name) if is_layer_list(value) else {name: value}
    return found


def layer_list_of(key: str) -> str | None:
    """Return the key of the list that contains a key of expanded settings: model.layers for model.layers.0.filters."""
    list_key = ELEMENT.split(key, maxsplit=1)[0]
    return None if list_key == key else list_key


def is_layer_name(key: str) -> bool:
    """Return whether a key of expanded settings is the name of a layer."""
    return layer_list_of(key) is not None and key.endswith(".name")


def layer_count(settings: dict[str, Any], key: str) -> str:
    """Return the number of layers of a list in expanded settings; an empty text if the list does not exist."""
    return str(settings.get(key, "")).partition(" ")[0]


def same_layer_list(key: str, *settings: dict[str, Any]) -> bool:
    """Return whether a key is in a list with the same layer names in all of these expanded settings, to compare values."""
    list_key = layer_list_of(key)
    return list_key is None or len({repr(one.get(list_key)) for one in settings}) == 1


def short_key(key: str) -> str:
    """Return a key without its section: learning_rate, layers.0.filters."""
    return key[(layer_list_of(key) or key).rfind(".") + 1 :]


def unmatched_layers(layers: list[Any], others: list[Any]) -> list[Any]:
    """Return the layers that are not in another list, after both lists have been aligned."""
    matcher = difflib.SequenceMatcher(None, [repr(layer) for layer in others], [repr(layer) for layer in layers], False)
    return [layer for tag, _, _, begin, end in matcher.get_opcodes() if tag != "equal" for layer in layers[begin:end]]
