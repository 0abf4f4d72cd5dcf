"""Where benchmarks put their tables."""

import re
from pathlib import Path

README = Path(__file__).parent.parent.parent / "README.md"


def between(begin: str, end: str) -> str:
    """The text between two marks of the README.

    Raises:
        ValueError: the marks do not stand there exactly once.
    """
    found = re.findall(rf"{re.escape(begin)}\n(.*?)\n?{re.escape(end)}", README.read_text(), flags=re.DOTALL)
    if len(found) != 1:
        raise ValueError(f"{README.name} has {len(found)} places for {begin}")
    return str(found[0])


def replace_between(begin: str, end: str, text: str) -> None:
    """Put a text between two marks of the README, in place of what is there.

    Raises:
        ValueError: the marks do not stand there exactly once.
    """
    marked = rf"({re.escape(begin)}\n).*?({re.escape(end)})"
    page, places = re.subn(marked, lambda found: f"{found[1]}{text}\n{found[2]}", README.read_text(), flags=re.DOTALL)
    if places != 1:
        raise ValueError(f"{README.name} has {places} places for {begin}")
    README.write_text(page)
