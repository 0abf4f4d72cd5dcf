"""Flags of Hydra that print something: they compose nothing that has not been checked."""

import sys
from pathlib import Path

import pytest

from mnist_exp.commands import train

SEARCH_PATH = "hydra.searchpath=[pkg://evil_package]"


@pytest.mark.parametrize("line", ["mnist-exp optim", f"mnist-exp {SEARCH_PATH} optim", f"mnist-exp -cn mine {SEARCH_PATH} "])
def test_shell_completion_imports_no_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], line: str
) -> None:
    (tmp_path / "evil_package").mkdir()
    (tmp_path / "evil_package" / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "mine.yaml").write_text("defaults: [config, _self_]\nhydra:\n  searchpath: [pkg://evil_package]\n")
    monkeypatch.setenv("COMP_LINE", line)
    assert train.main(["-sc", "query=bash", "--config-dir", str(tmp_path), "--config-name", "mine"]) == 0
    assert capsys.readouterr().out.split() == ([] if "searchpath" in line else ["optimizer.", "optimizer="])
    assert "evil_package" not in sys.modules


def test_shell_completion_knows_the_options_of_a_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine.yaml").write_text("defaults: [mlp]\n")
    monkeypatch.setenv("COMP_LINE", "mnist-exp model=mi")
    assert train.main(["-sc", "query=bash", "--config-dir", str(tmp_path)]) == 0
    assert capsys.readouterr().out.split() == ["model=mine"]
