"""Messages in a notebook, whose kernel looks like a terminal to Rich."""

import re
import sys
from types import SimpleNamespace

import pytest

from mnist_exp.sweep import display as sweep_display
from mnist_exp.sweep.plan import Sweep
from mnist_exp.terminal import messages, streams
from mnist_exp.training.progress import Plain, display
from tests.conftest import ROOT


def test_all_consoles_print_in_a_notebook_too() -> None:
    modules = {path.name for path in (ROOT / "mnist_exp").rglob("*.py") if re.search(r"\bConsole\(", path.read_text())}
    assert modules == {"messages.py"}


def test_a_notebook_gets_plain_lines(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # as ipykernel does
    assert not streams.is_notebook()
    assert messages.console().is_terminal
    shell = SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    assert streams.is_notebook()
    assert not messages.console().is_jupyter
    assert not messages.console(force_terminal=True).is_terminal
    assert isinstance(display("auto", 3, 100), Plain)
    assert type(sweep_display.display("auto", Sweep(ROOT))) is sweep_display.Plain
    with messages.spinner("checking"):
        messages.error("the cause", "the remedy")
    assert capsys.readouterr().err == "error: the cause\n  the remedy\n"
    monkeypatch.setattr(shell, "kernel", None)  # IPython in a terminal
    assert not streams.is_notebook()
