"""Settings that did not exist in the first version, each with the value that trains as the versions without it did.

A stored configuration without such a setting is read with this value. `config_hash` leaves the setting out at this value,
so that hashes stay as they are. A composed configuration must have every setting.
"""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

Section = dict[Any, Any]
LAYERS = "model.layers"


@dataclass(frozen=True)
class Addition:
    """One setting, or a whole section or group."""

    section: str  # its dotted key; "" for a section or group of its own, LAYERS for a layer in any list of layers
    key: str
    as_before: Any  # as JSON has it; for a section all its settings, for a group the name and settings of an option
    where_null: tuple[str, Any] | None = None  # another key of the section, and the value as before where that is null
    options: tuple[str, ...] = ()  # the `name` of each option, or kind of layer, that has the setting; (): all
    generation: int | None = None  # of settings before this rule, which `config_hash` includes: their order in time

    def value_in(self, section: Section) -> Any:
        """Return the value as before in a section."""
        if self.where_null is not None and section.get(self.where_null[0], 0) is None:
            return self.where_null[1]
        return self.as_before

    @cached_property
    def flat_key(self) -> str:
        """The dotted key of the setting, or of the first setting of the section or group."""
        first = [next(iter(self.as_before))] if isinstance(self.as_before, dict) else []
        return ".".join([*self.section.split("."), self.key, *first]).lstrip(".")

    def applies_to(self, option: Any) -> bool:
        """Return whether the option, or kind of layer, of that name has the setting."""
        return not self.options or option in self.options


SWEEP = {"name": "sweep", "dry_run": False, "on_failure": "continue", "retries": 0, "job_timeout": None, "jobs_per_gpu": 1}
DIGITS = "c9d513186716a584bc28e0f566068cfd4c13fc37d9012850974893af1392226e"  # the fingerprint of dataset=mnist
# Append new settings, without a generation. Never change an entry: it would change the hashes of existing runs.
ADDITIONS: tuple[Addition, ...] = (
    Addition("training", "label_smoothing", 0.0, generation=1),
    Addition("training", "gradient_clip_norm", None, generation=1),
    Addition("training", "ema_decay", None, generation=2),
    Addition("training", "select", "last", generation=2),
    Addition("training", "early_stopping_patience", None, generation=2),
    Addition("", "augmentation", {"name": "none"}, generation=3),
    Addition("", "evaluation", {"tta": 0}, generation=4),
    Addition("", "sweep", SWEEP),
    Addition("", "tracker", {"name": "none"}),
    Addition("threads", "towers", 1),
    Addition("dataset", "validation_of", "all"),
    Addition("", "tf32", False),
    Addition("dataset", "kind", "files", options=("mnist",)),
    Addition("dataset", "root", None, options=("mnist",)),
    Addition("dataset", "fetch", False, options=("mnist",)),
    Addition("dataset", "fingerprint", DIGITS, options=("mnist",)),
    Addition("training", "class_weights", "none"),
    Addition("augmentation", "flip", "none", options=("affine", "elastic", "cutout", "mixup")),
    Addition("sweep", "until_decided", False),
    Addition("sweep", "max_seeds", 20),
    Addition("dataset", "split", "drawn", where_null=("split_seed", "last")),
    Addition("", "initial_weights", None),
    Addition("", "initial_weights_sha256", None),
    Addition("", "freeze", []),
)
IN_SOME = [addition for addition in ADDITIONS if addition.section == LAYERS or addition.options]
IN_ALL = {addition.flat_key for addition in ADDITIONS if addition not in IN_SOME}  # keys of every configuration


def complete(tree: Section) -> Section:
    """Add the missing settings to nested sections, unchecked, in place; return them."""
    for addition in ADDITIONS:
        for section in _sections_with(addition, tree):
            section.setdefault(addition.key, copy.deepcopy(addition.value_in(section)))
    return tree


def without_additions(tree: Section, generation: int | None = None) -> Section:
    """Remove the settings at their "as before" value that a hash leaves out from nested sections, in place; return them.

    Args:
        tree: of a valid configuration, as JSON has it.
        generation: of an older hash, which also leaves out the settings of this and later generations.
    """
    for addition in reversed(ADDITIONS):  # the settings of an added section before the section itself
        if addition.generation is None or (generation is not None and addition.generation >= generation):
            for section in _sections_with(addition, tree):
                if addition.key in section and section[addition.key] == addition.value_in(section):
                    del section[addition.key]
    return tree


def may_lack_additions(settings: dict[str, Any]) -> bool:
    """Return whether flat settings may lack an addition; fast, for thousands of summaries that nearly always lack none."""
    return not settings.keys() >= IN_ALL or any(
        LAYERS in settings
        if addition.section == LAYERS
        else addition.flat_key not in settings and addition.applies_to(settings.get(f"{addition.section}.name"))
        for addition in IN_SOME
    )


def _sections_with(addition: Addition, tree: Section) -> list[Section]:
    sections = _sections(tree, addition.section.split(".") if addition.section else [])
    return [section for section in sections if addition.applies_to(section.get("name"))]


def _sections(value: Any, path: list[str]) -> Iterator[Section]:
    """Yield the section at a path of keys; for a list of layers every layer, also those in layers that contain layers."""
    if isinstance(value, list):
        for layer in value:
            yield from _sections(layer, [])
            yield from _sections(layer, ["layers"])
    elif isinstance(value, dict):
        yield from _sections(value.get(path[0]), path[1:]) if path else [value]
