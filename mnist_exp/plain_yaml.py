"""YAML that anyone may have written → plain types."""

from typing import Any

import yaml

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # LibYAML is ten times as fast
DEEPEST = 100  # levels of what this program writes as YAML, generously


def load(content: bytes) -> Any:
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
