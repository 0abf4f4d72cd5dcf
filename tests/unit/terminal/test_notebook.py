"""Rich in a notebook: it must print like elsewhere, where the output can be captured and redirected."""

import re

from mnist_exp.terminal import messages
from tests.conftest import ROOT


def test_all_consoles_print_in_a_notebook_too() -> None:
    modules = {path.name for path in (ROOT / "mnist_exp").rglob("*.py") if re.search(r"\bConsole\(", path.read_text())}
    assert modules == {"messages.py"}
    assert messages.console().is_jupyter is False
