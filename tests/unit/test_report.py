"""The report without a browser: complete, self-contained, inert."""

import base64
import html
import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mnist_exp import evaluation, files, report
from mnist_exp.runs import Run
from mnist_exp.summary import Summary
from mnist_exp.training.history import Epoch

HOSTILE = "<script>alert(1)</script>"
NAMES = (HOSTILE, *"123456789")


def images(count: int) -> np.ndarray:
    """As many, each another."""
    return np.random.default_rng(1).integers(0, 256, (count, 28, 28, 1)).astype(np.uint8)


def written(
    run: Run, summary: dict[str, Any], errors: dict[str, Any], history: list[Epoch], environment: dict[str, Any]
) -> str:
    """The page of a run with these results."""
    files.write_json(run.environment, environment)
    rates = np.linspace(0.1, 0, 20, dtype=np.float32)
    model = Summary.model_validate(summary)
    report.write(run, "last", model, errors, history, rates, images(summary["dataset"]["test"]), NAMES)
    return run.report.read_text()


@pytest.fixture
def run(tmp_path: Path) -> Run:
    directory = tmp_path / "<b>run"
    directory.mkdir()
    return Run(directory)


@pytest.fixture
def errors(scores: tuple[np.ndarray, np.ndarray]) -> dict[str, Any]:
    return evaluation.error_report(*scores, NAMES)


@pytest.fixture
def page(run: Run, scores: tuple[np.ndarray, np.ndarray], errors: dict[str, Any]) -> str:
    probabilities, labels = scores
    run.config.write_text(f"name: {HOSTILE}\n")
    score = evaluation.score(probabilities, labels)
    summary: dict[str, Any] = {
        "name": HOSTILE,
        "schema": 2,
        "status": "completed",
        "seed": 7,
        "config_hash": "0123456789abcdef",
        "dataset": {
            "name": "mnist",
            "sha256": "ab" * 32,
            "labels_sha256": "b",
            "split_sha256": "c",
            "train": 1000,
            "validation": 100,
            "test": 400,
        },
        "model": {"name": "mlp", "parameters": 623_290},
        "test": score,
        "validation": score,
        "epochs": 2,
        "best_epoch": 2,
        "train_seconds": 3.0,
        "wall_seconds": 5.0,
        "images_per_second": 12_345.0,
        "settings": {},
    }
    history = [Epoch(epoch, 1e-3, 0.5 / epoch, 10.0, 0.4, 9.0, 1.5, 12_345.0) for epoch in (1, 2)]
    environment = {
        "schema": 1,
        "started": "now",
        "argv": ["mnist-exp", HOSTILE],
        "versions": {"mnist_exp": "0"},
        "git": None,
    }
    return written(run, summary, errors, history, environment)


def test_the_figures_are_there(page: str, run: Run) -> None:
    drawn = {path.name: path for path in run.figures.iterdir()}
    assert set(drawn) == {"learning_curves.svg", "reliability.svg", "worst_mistakes.png"}
    for name in ("learning_curves.svg", "reliability.svg"):
        assert drawn[name].read_text() in page
    with Image.open(drawn["worst_mistakes.png"]) as plate:
        assert plate.width > 10 * 84


def test_the_confusion_matrix_is_a_table(page: str, errors: dict[str, Any]) -> None:
    (table,) = re.findall(r'<table class="confusion.*?</table>', page, re.DOTALL)
    assert "<caption>" in table
    assert [html.unescape(name) for name in re.findall(r'<th scope="col">([^<]+)', table)] == list(NAMES)
    rows = re.findall(r'<th scope="row">([^<]+)(.*?)</tr>', table)
    assert [html.unescape(name) for name, _ in rows] == list(NAMES)
    cells = [[int(count) for count in re.findall(r"<td[^>]*>(\d+)", row)] for _, row in rows]
    assert cells == errors["confusion_matrix"]


def test_only_mistakes_are_shaded_and_the_most_frequent_the_most() -> None:
    assert report.shades([[90, 1, 0], [4, 95, 2], [0, 0, 99]]) == [[0, 0.25, 0], [1, 0, 0.5], [0, 0, 0]]
    assert report.shades([[5, 0], [0, 5]]) == [[0, 0], [0, 0]]


def test_every_mistake_has_its_image_and_its_words(page: str, errors: dict[str, Any]) -> None:
    found = re.findall(r'base64,([^"]+)" alt="test image (\d+)"><figcaption><b>(.*?) → (.*?)</b> ([\d.]+) %', page)
    assert [int(index) for _, index, *_ in found] == [mistake["index"] for mistake in errors["worst_mistakes"]]
    for (content, index, true, predicted, confidence), mistake in zip(found, errors["worst_mistakes"], strict=True):
        with Image.open(io.BytesIO(base64.b64decode(content))) as image:
            assert np.array_equal(255 - np.asarray(image), images(400)[int(index), :, :, 0])
        assert (html.unescape(true), html.unescape(predicted)) == (NAMES[mistake["label"]], NAMES[mistake["predicted"]])
        assert float(confidence) == pytest.approx(100 * max(mistake["probabilities"]), abs=0.0501)


def test_the_numbers_are_there(page: str, scores: tuple[np.ndarray, np.ndarray]) -> None:
    score = evaluation.score(*scores)
    assert f"{score['error_percent']:.2f} %" in page
    assert f"{score['ci95'][0]:.2f} – {score['ci95'][1]:.2f} %" in page
    assert "623,290" in page


def test_what_users_supply_is_inert(page: str) -> None:
    assert HOSTILE not in page
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 5
    assert "<script" not in page
    assert "<b>run" not in page
    assert "&lt;b&gt;run" in page


def test_no_request_leaves_the_page(page: str) -> None:
    assert re.findall(r"""(?:src|href)=["'](?!data:)""", page) == []
    assert "url(" not in page
    assert set(re.findall(r"""https?://[^"'\s]+""", page)) == {"http://www.w3.org/2000/svg"}
    assert "default-src 'none'" in page


def test_a_model_without_mistakes_has_a_page(run: Run) -> None:
    probabilities, labels = np.eye(10, dtype=np.float32), np.arange(10)
    run.config.write_text("name: x\n")
    errors = evaluation.error_report(probabilities, labels, tuple("0123456789"))
    score = evaluation.score(probabilities, labels)
    summary = {
        "schema": 2, "name": "x", "status": "completed", "seed": 7, "config_hash": "0", "test": score, "validation": None,
        "dataset": {"name": "mnist", "sha256": "a", "labels_sha256": "b", "split_sha256": "c",
                    "train": 1, "validation": 0, "test": 10},
        "model": {"name": "mlp", "parameters": 1}, "epochs": 1, "best_epoch": None,
        "train_seconds": 1.0, "wall_seconds": 1.0, "images_per_second": 1.0, "settings": {},
    }  # fmt: skip
    environment = {"started": "now", "versions": {"mnist_exp": "0"}}
    history = [Epoch(1, 1e-3, 0.5, 10.0, None, None, 1.5, 100.0)]
    text = written(run, summary, errors, history, environment)
    assert "most confident mistakes" not in text
    assert "Can its confidence be believed?" in text
    assert {path.name for path in run.figures.iterdir()} == {"learning_curves.svg", "reliability.svg"}


@pytest.mark.parametrize("epochs", [1, 2, 100, 101, 1999])
def test_the_table_of_epochs_stays_short(epochs: int) -> None:
    history = [Epoch(epoch, 1e-3, 0.5, 10.0, 0.4, 9.0, 1.5, 100.0) for epoch in range(1, epochs + 1)]
    best = (epochs + 1) // 2
    rows = report.shown(history, best)
    assert len(rows) == epochs if epochs <= 100 else len(rows) <= 103
    assert {rows[0].epoch, rows[-1].epoch} == {1, epochs}
    assert best in {row.epoch for row in rows}
    assert [row.epoch for row in rows] == sorted({row.epoch for row in rows})
