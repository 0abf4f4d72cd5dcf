"""`mnist-exp help [TOPIC]`: the manual, which is the Markdown files of mnist_exp/docs."""

import difflib
import os
import re
import shutil
import sys
import textwrap
from importlib.resources import files

from mnist_exp.commands import arguments as command_line
from mnist_exp.errors import EXIT_DONE, InputError

EXAMPLES = """\
  mnist-exp help                    list the topics of the manual
  mnist-exp help tutorial           print one topic
  mnist-exp help sweeps | less      the Markdown text of a topic, for a pipe or a file
"""
# The order in which a new user reads the manual; each is a file mnist_exp/docs/NAME.md.
ORDER = (
    "tutorial", "configuration", "datasets", "models", "augmentation", "runs", "sweeps", "searches", "clusters", "comparing",
    "statistics", "ensembles", "predict", "draw", "export", "python", "trackers", "recipes", "reliability", "speed",
    "troubleshooting", "glossary", "architecture", "decisions",
)  # fmt: skip
MAX_WIDTH = 100  # columns, of the list of topics
# For less: stop after one screen, allow colours, scroll wide lines sideways instead of wrapping them, and print the keys.
LESS = "-FRS -PsUse the arrow keys to scroll\\, press q to quit."


def main(arguments: list[str]) -> int:
    """List the topics of the manual, or print one of them.

    Raises:
        InputError: the topic is unknown.
    """
    parser = command_line.parser("help", EXAMPLES, runs_dir=False)
    parser.add_argument("topic", nargs="?", default="", metavar="TOPIC", help="a topic; without one, list all topics")
    topic = parser.parse_args(arguments).topic
    if not topic:
        print(contents(min(MAX_WIDTH, shutil.get_terminal_size().columns)))
        return EXIT_DONE
    text = page(topic)
    if sys.stdout.isatty():
        _page_through(text)
    else:
        print(text, end="")
    return EXIT_DONE


def topics() -> dict[str, str]:
    """Return all topics in reading order, each with its summary."""
    found = (files("mnist_exp") / "docs").iterdir()
    pages = {path.name.removesuffix(".md"): path for path in found if path.name.endswith(".md")}
    names = [name for name in ORDER if name in pages] + sorted(set(pages) - set(ORDER))
    return {name: summary(pages[name].read_text(encoding="utf-8")) for name in names}


def summary(text: str) -> str:
    """Return the first paragraph after the title of a page, on one line and without backquotes."""
    paragraphs = [" ".join(paragraph.split()) for paragraph in text.split("\n\n")]
    first = next((paragraph for paragraph in paragraphs if paragraph and not paragraph.startswith("#")), "")
    return first.replace("`", "")


def contents(width: int) -> str:
    """Return the list of topics, wrapped at a number of columns."""
    listed = topics()
    indent = max(map(len, listed)) + 4
    lines = ["The manual of mnist-exp. Print a topic with: mnist-exp help TOPIC", ""]
    for name, purpose in listed.items():
        first = f"  {name}".ljust(indent)
        lines.append(textwrap.fill(purpose, width, initial_indent=first, subsequent_indent=" " * indent))
    lines += ["", "All commands, options and settings: mnist-exp --help"]
    return "\n".join(lines)


def page(topic: str) -> str:
    """Return the Markdown text of a topic.

    Raises:
        InputError: the topic is unknown; the nearest topic is suggested.
    """
    known = list(topics())
    if topic in known:
        return (files("mnist_exp") / "docs" / f"{topic}.md").read_text(encoding="utf-8")
    nearest = difflib.get_close_matches(topic.lower().removesuffix(".md"), known, n=1, cutoff=0.5)
    suggestion = f"did you mean {nearest[0]}?" if nearest else "for a command use mnist-exp COMMAND --help"
    raise InputError(f"help {topic}: unknown topic", f"allowed: {', '.join(known)}; {suggestion}")


def for_terminal(text: str) -> str:
    """Return Markdown without comments and pictures, with the commands that print other topics instead of links."""
    text = re.sub(r"<!--.*?-->\n?", "", text, flags=re.DOTALL)
    text = re.sub(r"^!\[([^\]]*)\]\([^)]*\)", r"*Picture: \1*", text, flags=re.MULTILINE)
    text = re.sub(r"(?<!!)\[([^\]]+)\]\(#[^)]*\)", r"\1", text)
    text = re.sub(r"(?<!!)\[([^\]]+)\]\(([a-z]+)\.md(?:#[^)]*)?\)", r"\1 (`help \2`)", text)
    return re.sub(r"(?<!!)\[([^\]]+)\]\((?!https?:)(?:\.\./)*([^)#]+)[^)]*\)", _with_path, text)


def _with_path(link: re.Match[str]) -> str:
    text, path = link.groups()
    return f"`{path}`" if text == path else f"{text} (`{path}`)"


def _page_through(text: str) -> None:
    from mnist_exp.commands.markdown import Page
    from mnist_exp.terminal import messages

    os.environ.setdefault("LESS", LESS)
    out = messages.output()
    with out.pager(styles=True):
        out.print(Page(for_terminal(text)), crop=False)
