"""What an experiment is, apart from its label, its place and how it is shown: what a checkpoint must be of, and a hash."""

import copy
import difflib
import hashlib
import json
import re
from collections.abc import Iterator
from typing import Any, TypeGuard

from mnist_exp.config import additions
from mnist_exp.config.schema import Experiment

# What does not define the experiment: its label, the place, and what is kept, shown and told meanwhile.
NOT_IDENTITY: dict[str, Any] = {
    "name": True,
    "device": True,
    "threads": True,
    "runs_dir": True,
    "progress": True,
    "sweep": True,
    "tracker": True,
    "training": {"checkpoint_every"},
}
ELEMENT = re.compile(r"\.\d+(\.|$)")  # of a list, in a dotted key


def identity(experiment: Experiment) -> dict[str, Any]:
    """The settings that define the experiment and its repetition, by dotted key, as JSON knows them."""
    return flat(experiment.model_dump(mode="json", exclude=NOT_IDENTITY))


def not_identity(key: str) -> bool:
    """Whether a setting, by its dotted key, is none of those."""
    section, _, name = key.partition(".")
    excluded = NOT_IDENTITY.get(section, set())
    return excluded is True or name in excluded


def config_hash(experiment: Experiment) -> str:
    """Return a hash of the settings that define the experiment, without the seed: 16 hexadecimal digits of SHA-256.

    A setting that was added later counts only if it trains differently from the versions without it; see `additions`.
    """
    return next(config_hashes(experiment))


def config_hashes(experiment: Experiment) -> Iterator[str]:
    """Yield the `config_hash` of an experiment, then those that earlier versions computed."""
    for generation in (None, 4, 3, 2, 1):
        yield _hash(experiment.model_dump(mode="json", exclude=NOT_IDENTITY | {"seed": True}), generation)


def hash_of_settings(settings: dict[str, Any]) -> str:
    """Return the `config_hash` of the settings of an experiment by dotted key."""
    return _hash(nested({key: value for key, value in settings.items() if key != "seed" and not not_identity(key)}))


def _hash(tree: dict[str, Any], generation: int | None = None) -> str:
    settings = additions.without_additions(tree, generation)
    canonical = json.dumps(settings, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def changes(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """The keys in which two identities differ, each with both values: "seed: 7 → 8"."""
    absent = object()
    before, now = layered(complete(before)), layered(complete(now))
    keys = [key for key in dict.fromkeys([*before, *now]) if matched(key, before, now)]
    differing = [key for key in keys if before.get(key, absent) != now.get(key, absent)]
    return [f"{key}: {before.get(key, 'absent')} → {now.get(key, 'absent')}" for key in differing]


def complete(settings: dict[str, Any]) -> dict[str, Any]:
    """Return settings by dotted key, with those that the version that stored them did not have; see `additions`."""
    return flat(additions.complete(nested(settings))) if additions.may_lack_additions(settings) else settings


def nested(settings: dict[str, Any]) -> dict[str, Any]:
    """Return a copy of settings by dotted key as nested sections: the inverse of `flat`."""
    tree: dict[str, Any] = {}
    for key, value in copy.deepcopy(settings).items():
        *sections, name = key.split(".")
        section = tree
        for part in sections:
            section = section.setdefault(part, {})
        section[name] = value
    return tree


def flat(tree: dict[Any, Any], prefix: str = "") -> dict[str, Any]:
    """The leaves of nested mappings by their dotted keys."""
    leaves: dict[str, Any] = {}
    for name, value in tree.items():
        key = f"{prefix}{name}"
        leaves |= flat(value, f"{key}.") if isinstance(value, dict) else {key: value}
    return leaves


def layered(settings: dict[str, Any]) -> dict[str, Any]:
    """Flat settings for people: in place of each list of layers, a word for their kinds, and the kind and settings of each.

    So "model.layers" becomes "11 layers 3fa2c1", the same for all lists of these kinds in this order, and what stands in it
    follows by the keys of overrides: "model.layers.0.name", "model.layers.0.filters".
    """
    found: dict[str, Any] = {}
    for key, value in settings.items():
        if not is_layers(value):
            found[key] = value
            continue
        leaves = _leaves(value, key)
        kinds = {name: kind for name, kind in leaves.items() if is_kind(name)}
        digest = hashlib.sha256(repr(kinds).encode(errors="surrogatepass")).hexdigest()[:6]
        found[key] = f"{len(value)} {brief(key)} {digest}"
        found |= leaves
    return found


def is_layers(value: Any) -> TypeGuard[list[dict[Any, Any]]]:
    """Whether a setting is a list of sections."""
    return isinstance(value, list) and bool(value) and all(isinstance(layer, dict) for layer in value)


def _leaves(layers: list[dict[Any, Any]], key: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for number, layer in enumerate(layers):
        for name, value in flat(layer, f"{key}.{number}.").items():
            found |= _leaves(value, name) if is_layers(value) else {name: value}
    return found


def list_of(key: str) -> str | None:
    """The list in which a key of `layered` settings lies."""
    listed = ELEMENT.split(key, maxsplit=1)[0]
    return None if listed == key else listed


def is_kind(key: str) -> bool:
    """Whether a key of `layered` settings is that of a layer's kind."""
    return list_of(key) is not None and key.endswith(".name")


def length(settings: dict[str, Any], key: str) -> str:
    """How many layers a list in `layered` settings has, as the word for it says; nothing where there is none."""
    return str(settings.get(key, "")).partition(" ")[0]


def matched(key: str, *settings: dict[str, Any]) -> bool:
    """Whether a key stands in the same list in all of these `layered` settings, or in none; other lists are told as such."""
    listed = list_of(key)
    return listed is None or len({repr(one.get(listed)) for one in settings}) == 1


def brief(key: str) -> str:
    """A key without its section: learning_rate, layers.0.filters."""
    return key[(list_of(key) or key).rfind(".") + 1 :]


def own_layers(layers: list[Any], others: list[Any]) -> list[Any]:
    """The layers that a list has and another, read side by side, has not."""
    matcher = difflib.SequenceMatcher(None, [repr(layer) for layer in others], [repr(layer) for layer in layers], False)
    return [layer for tag, _, _, begin, end in matcher.get_opcodes() if tag != "equal" for layer in layers[begin:end]]
