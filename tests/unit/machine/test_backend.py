"""Packages that are hidden while TensorFlow starts."""

import sys
from importlib import import_module

import pytest

from mnist_exp.machine import backend


def test_a_hidden_package_cannot_be_imported_until_the_block_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    with pytest.raises(ModuleNotFoundError), backend.hidden("colorsys"):
        import_module("colorsys")
    assert import_module("colorsys") is sys.modules["colorsys"]


def test_an_imported_package_is_not_hidden() -> None:
    with backend.hidden("json"):
        assert import_module("json").dumps([]) == "[]"
    assert "json" in sys.modules
