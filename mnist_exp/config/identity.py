"""What an experiment is, apart from its label, its place and how it is shown: what a checkpoint must be of, and a hash."""

import hashlib
import json
from typing import Any

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


def identity(experiment: Experiment) -> dict[str, Any]:
    """The settings that define the experiment and its repetition, by dotted key, as JSON knows them."""
    return flat(experiment.model_dump(mode="json", exclude=NOT_IDENTITY))


def not_identity(key: str) -> bool:
    """Whether a setting, by its dotted key, is none of those."""
    section, _, name = key.partition(".")
    excluded = NOT_IDENTITY.get(section, set())
    return excluded is True or name in excluded


def config_hash(experiment: Experiment) -> str:
    """Of all that defines the experiment, the first 16 hexadecimal digits of SHA-256; its repetitions by seed share it."""
    settings = experiment.model_dump(mode="json", exclude=NOT_IDENTITY | {"seed": True})
    canonical = json.dumps(settings, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def changes(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """The keys in which two identities differ, each with both values: "seed: 7 → 8"."""
    absent = object()
    keys = dict.fromkeys([*before, *now])
    differing = [key for key in keys if before.get(key, absent) != now.get(key, absent)]
    return [f"{key}: {before.get(key, 'absent')} → {now.get(key, 'absent')}" for key in differing]


def flat(tree: dict[Any, Any], prefix: str = "") -> dict[str, Any]:
    """The leaves of nested mappings by their dotted keys."""
    leaves: dict[str, Any] = {}
    for name, value in tree.items():
        key = f"{prefix}{name}"
        leaves |= flat(value, f"{key}.") if isinstance(value, dict) else {key: value}
    return leaves
