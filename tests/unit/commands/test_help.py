"""`mnist-exp help`: the list of topics, one topic, an unknown one."""

import io
import os
import re
from pathlib import Path

import pytest
from rich.console import Console

from mnist_exp import cli
from mnist_exp.commands import help as manual
from mnist_exp.commands.markdown import Page
from tests.documents import PAGES

PAGE = """# A title

A summary
on two lines.

<!-- mark -->
See [Sweeps](sweeps.md#where), [above](#a-title), [a file](../../tests/x.md#y) and [a page](https://example.org/a).

![A picture](../../.assets/x.png)

```console
$ mnist-exp a command that is 'longer than' the terminal is wide, and can be copied
output that is longer than the terminal is wide, and keeps its line
```

| one | two | three | four | five |
| --- | --- | --- | --- | --- |
| a cell of some words | a cell of some words | a cell of some words | a cell of some words | a cell of some words |
"""


def test_help_lists_every_topic_with_its_summary(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert cli.main(["help"]) == 0
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 80
    for page in PAGES:
        assert re.search(rf"^  {page.stem} +\S", text, re.MULTILINE)
        assert manual.summary(page.read_text()) in " ".join(text.split())


@pytest.mark.parametrize("topic", [page.stem for page in PAGES])
def test_a_topic_in_a_pipe_is_the_markdown_text(topic: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["help", topic]) == 0
    assert capsys.readouterr().out == next(page for page in PAGES if page.stem == topic).read_text()


def test_all_topics_are_in_the_reading_order() -> None:
    assert {page.stem for page in PAGES} <= set(manual.ORDER)
    assert list(manual.topics()) == [name for name in manual.ORDER if name in manual.topics()]


@pytest.mark.parametrize(
    ("topic", "cause", "remedy"),
    [
        ("configuratoin", "help configuratoin: unknown topic", "did you mean configuration?"),
        ("Speed.md", "help Speed.md: unknown topic", "did you mean speed?"),
        ("qqq", "help qqq: unknown topic", "allowed: tutorial, "),
        ("show", "help show: unknown topic", "for a command use mnist-exp COMMAND --help"),
        ("../../README", "help ../../README: unknown topic", "allowed: tutorial, "),
    ],
)
def test_an_unknown_topic(topic: str, cause: str, remedy: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["help", topic]) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert first == f"error: {cause}"
    assert remedy in second


def test_the_overview_mentions_the_manual(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--help"]) == 0
    assert "mnist-exp help TOPIC" in capsys.readouterr().out


def test_a_summary_is_one_line() -> None:
    assert manual.summary(PAGE) == "A summary on two lines."


def test_links_name_the_command_that_prints_the_other_topic() -> None:
    text = manual.for_terminal(PAGE)
    assert "See Sweeps (`help sweeps`), above, a file (`tests/x.md`) and [a page](https://example.org/a)." in text
    assert "mark" not in text
    assert "*Picture: A picture*" in text


def test_prose_and_commands_are_wrapped_and_output_and_wide_tables_keep_their_width() -> None:
    out = io.StringIO()
    Console(file=out, width=60).print(Page(manual.for_terminal(PAGE)), crop=False)
    lines = [line.rstrip() for line in out.getvalue().splitlines()]
    assert "    $ mnist-exp a command that is 'longer than' the \\" in lines
    assert "        terminal is wide, and can be copied" in lines
    assert "    output that is longer than the terminal is wide, and keeps its line" in lines
    assert max(len(line) for line in lines if "See" in line) <= 60
    assert any(line.count("a cell of some words") == 5 for line in lines)


def test_a_terminal_gets_a_pager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = tmp_path / "shown"
    monkeypatch.delenv("LESS", raising=False)
    monkeypatch.setattr("pydoc.pager", shown.write_text)
    monkeypatch.setattr("sys.stdout", Terminal())
    assert cli.main(["help", "tutorial"]) == 0
    assert "Tutorial" in shown.read_text()
    assert "# Tutorial" not in shown.read_text()
    assert os.environ["LESS"] == manual.LESS


class Terminal(io.StringIO):
    """Standard output that says it is a terminal."""

    def isatty(self) -> bool:
        return True
