"""The report without a browser: complete, self-contained, inert."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mnist_exp import evaluation, files, report
from mnist_exp.runs import Run
from mnist_exp.summary import Summary
from mnist_exp.training.history import Epoch

HOSTILE = "<script>alert(1)</script>"


def written(
    run: Run, summary: dict[str, Any], errors: dict[str, Any], history: list[Epoch], environment: dict[str, Any]
) -> str:
    """The page of a run with these results; its images are blank."""
    files.write_json(run.environment, environment)
    images = np.zeros((summary["dataset"]["test"], 28, 28, 1), np.uint8)
    rates = np.linspace(0.1, 0, 20, dtype=np.float32)
    report.write(run, "last", Summary.model_validate(summary), errors, history, rates, images, tuple("0123456789"))
    return run.report.read_text()


@pytest.fixture
def page(tmp_path: Path, scores: tuple[np.ndarray, np.ndarray]) -> str:
    probabilities, labels = scores
    run = Run(tmp_path)
    run.config.write_text(f"name: {HOSTILE}\n")
    score = evaluation.score(probabilities, labels)
    summary: dict[str, Any] = {
        "name": HOSTILE,
        "schema": 1,
        "status": "completed",
        "seed": 7,
        "config_hash": "0123456789abcdef",
        "dataset": {"name": "mnist", "sha256": "ab" * 32, "train": 1000, "validation": 100, "test": 400},
        "model": {"name": "mlp", "parameters": 623_290},
        "test": score,
        "validation": score,
        "epochs": 2,
        "best_epoch": 2,
        "train_seconds": 3.0,
        "wall_seconds": 5.0,
        "images_per_second": 12_345.0,
    }
    history = [Epoch(epoch, 1e-3, 0.5 / epoch, 10.0, 0.4, 9.0, 1.5, 12_345.0) for epoch in (1, 2)]
    environment = {
        "schema": 1,
        "started": "now",
        "argv": ["mnist-exp", HOSTILE],
        "versions": {"mnist_exp": "0"},
        "git": None,
    }
    errors = evaluation.error_report(probabilities, labels, tuple("0123456789"))
    return written(run, summary, errors, history, environment)


def test_the_figures_are_there(page: str, tmp_path: Path) -> None:
    names = {path.name for path in Run(tmp_path).figures.iterdir()}
    assert names == {"learning_curves.png", "confusion_matrix.png", "reliability.png", "worst_mistakes.png"}
    assert page.count("data:image/png;base64,") == 4


def test_the_numbers_are_there(page: str, scores: tuple[np.ndarray, np.ndarray]) -> None:
    score = evaluation.score(*scores)
    assert f"{score['error_percent']:.2f} %" in page
    assert f"{score['ci95'][0]:.2f} – {score['ci95'][1]:.2f} %" in page
    assert "623,290" in page


def test_what_users_supply_is_inert(page: str) -> None:
    assert HOSTILE not in page
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 3
    assert "<script" not in page


def test_no_request_leaves_the_page(page: str) -> None:
    assert re.findall(r"""(?:src|href)=["'](?!data:)""", page) == []
    assert "url(" not in page
    assert "default-src 'none'" in page


def test_a_model_without_mistakes_has_a_page(tmp_path: Path) -> None:
    probabilities, labels = np.eye(10, dtype=np.float32), np.arange(10)
    run = Run(tmp_path)
    run.config.write_text("name: x\n")
    errors = evaluation.error_report(probabilities, labels, tuple("0123456789"))
    score = evaluation.score(probabilities, labels)
    summary = {
        "schema": 1, "name": "x", "status": "completed", "seed": 7, "config_hash": "0", "test": score, "validation": None,
        "dataset": {"name": "mnist", "sha256": "a", "train": 1, "validation": 0, "test": 10},
        "model": {"name": "mlp", "parameters": 1}, "epochs": 1, "best_epoch": None,
        "train_seconds": 1.0, "wall_seconds": 1.0, "images_per_second": 1.0,
    }  # fmt: skip
    environment = {"started": "now", "versions": {"mnist_exp": "0"}}
    history = [Epoch(1, 1e-3, 0.5, 10.0, None, None, 1.5, 100.0)]
    text = written(run, summary, errors, history, environment)
    assert "most confident mistakes" not in text
    assert len(text) > 10_000
