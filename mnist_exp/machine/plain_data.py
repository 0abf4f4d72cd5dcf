"""Untrusted YAML and JSON files → plain types."""

import json
from pathlib import Path
from typing import Any

import yaml

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # LibYAML is ten times as fast
# The errors of parsing a partly written or hostile file; RecursionError: nested too deeply.
UNREADABLE = (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, yaml.YAMLError)
MAX_DEPTH = 100  # levels; this program writes fewer


def load_yaml(content: bytes) -> Any:
    """Parse YAML into plain types; no objects are built by name.

    Raises:
        ValueError, YAMLError: it is not YAML, or nested so deeply that LibYAML, which recurses, would crash the process.
    """
    depth = 0
    for event in yaml.parse(content, Loader=LOADER):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise ValueError(f"is nested more than {MAX_DEPTH} deep")
    return yaml.load(content, Loader=LOADER)  # noqa: S506  (a safe loader, by either name)


def read_json(path: Path) -> dict[str, Any]:
    """Read the mapping in a JSON file; return an empty one if the file is missing or invalid."""
    try:
        content = json.loads(path.read_bytes())
    except UNREADABLE:
        return {}
    return content if isinstance(content, dict) else {}
