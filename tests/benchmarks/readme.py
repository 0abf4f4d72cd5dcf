"""Where benchmarks put their tables."""

from pathlib import Path

README = Path(__file__).parent.parent.parent / "README.md"


def between(begin: str, end: str) -> str:
    """The text between two marks of the README.

    Raises:
        ValueError: the marks do not stand there exactly once.
    """
    return _marked(begin, end)[1].strip("\n")


def replace_between(begin: str, end: str, text: str) -> None:
    """Put a text between two marks of the README, in place of what is there.

    Raises:
        ValueError: the marks do not stand there exactly once.
    """
    before, _, after = _marked(begin, end)
    README.write_text(f"{before}{begin}\n{text}\n{end}{after}")


def _marked(begin: str, end: str) -> tuple[str, str, str]:
    """What stands before two marks, between them and behind them."""
    page = README.read_text()
    if page.count(begin) != 1 or page.count(end) != 1 or page.index(end) < page.index(begin):
        raise ValueError(f"{README.name} does not have {begin} and {end} once each, in this order")
    before, _, rest = page.partition(begin)
    text, _, after = rest.partition(end)
    return before, text, after
