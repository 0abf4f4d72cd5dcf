"""The README, CONTRIBUTING and the pages of the manual, as tests read them."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
MANUAL = ROOT / "mnist_exp" / "docs"
README = ROOT / "README.md"
PAGES = sorted(MANUAL.glob("*.md"))
DOCUMENTS = [README, ROOT / "CONTRIBUTING.md", *PAGES]
FENCE = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)


def blocks(text: str, language: str) -> list[str]:
    """The contents of the fenced blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def commands(text: str) -> list[tuple[str, str]]:
    """The commands after `$ ` in console blocks, each with the output below it."""
    parts = [part for block in blocks(text, "console") for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]]
    joined = [part.replace("\\\n", " ").partition("\n") for part in parts]
    return [(command, output) for command, _, output in joined]


def unique_commands() -> dict[str, str]:
    """Every command of all documents once, with the output that a document shows for it."""
    found: dict[str, str] = {}
    for document in DOCUMENTS:
        for command, output in commands(document.read_text()):
            found[command] = output or found.get(command, "")
    return found


def links(text: str) -> list[str]:
    """The targets of all links and pictures that are not web addresses."""
    return re.findall(r"\]\((?!https?://)([^)\s]+)\)", FENCE.sub("", text))


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings, as GitHub forms them."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip(" ").replace(" ", "-") for heading in headings}
