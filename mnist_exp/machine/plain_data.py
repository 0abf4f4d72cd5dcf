"""YAML and JSON files that anyone may have written → plain types."""

import json
from pathlib import Path
from typing import Any

import yaml

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # LibYAML is ten times as fast
# What parsing a half-written or hostile file can raise; RecursionError comes from deep nesting.
UNREADABLE = (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, yaml.YAMLError)
DEEPEST = 100  # levels of what this program writes as YAML, generously


def load_yaml(content: bytes) -> Any:
    """What stands in YAML, of plain types; nothing is built by name.

    Raises:
        ValueError, YAMLError: it is no YAML, or nested so deeply that LibYAML, which recurses, would end the process.
    """
    depth = 0
    for event in yaml.parse(content, Loader=LOADER):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise ValueError(f"is nested more than {DEEPEST} deep")
    return yaml.load(content, Loader=LOADER)  # noqa: S506  (a safe loader, by either name)


def read_json(path: Path) -> dict[str, Any]:
    """The mapping in a JSON file; empty if there is none that can be read."""
    try:
        content = json.loads(path.read_bytes())
    except UNREADABLE:
        return {}
    return content if isinstance(content, dict) else {}
