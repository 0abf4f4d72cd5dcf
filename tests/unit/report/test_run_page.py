"""The page of a run without a browser: complete, self-contained, escaped."""

import base64
import hashlib
import html
import io
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mnist_exp.datasets.dataset import Dataset, Mislabelled
from mnist_exp.report import run_page
from mnist_exp.runs import evaluation
from mnist_exp.runs.history import Epoch
from mnist_exp.runs.run import Run
from mnist_exp.runs.summary import Summary
from tests import sample_pages

HOSTILE = "<script>alert(1)</script>"
NAMES = (HOSTILE, *"123456789")
SHOWN = (f"{HOSTILE[:23]}…", *NAMES[1:])  # in a caption


def images(count: int) -> np.ndarray:
    """Different images."""
    return np.random.default_rng(1).integers(0, 256, (count, 28, 28, 1)).astype(np.uint8)


def data_set(labels: np.ndarray, names: tuple[str, ...], mislabelled: Mislabelled | None) -> Dataset:
    """A data set with test images only."""
    test = images(len(labels))
    return Dataset("any", "ab" * 32, {}, test[:0], labels[:0], test, labels, names, mislabelled, ink=True)


def written(
    run: Run,
    summary: dict[str, Any],
    data: Dataset,
    probabilities: np.ndarray,
    history: list[Epoch],
    environment: dict[str, Any],
) -> str:
    """The page of a run with these results."""
    config = run.config.read_text() if run.config.exists() else run.ensemble.read_text()
    rates = np.linspace(0.1, 0, 20, dtype=np.float32)
    model = Summary.model_validate(summary)
    errors = evaluation.error_report(probabilities, data.test_labels, data.class_names, data.mislabelled)
    run_page.write(run, "last", model, errors, history, rates, data, probabilities, environment, config)
    return run.report.read_text()


def of_one_epoch(run: Run, data: Dataset, probabilities: np.ndarray) -> str:
    """The page of a run of one epoch, without validation images."""
    run.config.write_text("name: x\n")
    summary = {
        "schema": 3, "name": "x", "status": "completed", "seed": 7, "config_hash": "0", "validation": None,
        "test": evaluation.score(probabilities, data.test_labels),
        "dataset": {"name": "mnist", "sha256": "a", "labels_sha256": "b", "split_sha256": "c",
                    "train": 1, "validation": 0, "test": len(data.test_labels)},
        "model": {"name": "mlp", "parameters": 1}, "epochs": 1, "best_epoch": None,
        "train_seconds": 1.0, "wall_seconds": 1.0, "images_per_second": 1.0, "settings": {}, "members": None,
    }  # fmt: skip
    environment = {"started": "now", "versions": {"mnist_exp": "0"}}
    history = [Epoch(1, 1e-3, 0.5, 10.0, None, None, 1.5, 100.0)]
    return written(run, summary, data, probabilities, history, environment)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    directory = tmp_path / "<b>run"
    directory.mkdir()
    return Run(directory)


@pytest.fixture
def mislabelled(scores: tuple[np.ndarray, np.ndarray]) -> Mislabelled:
    """Two images that the model has wrong, and one that it has right."""
    probabilities, labels = scores
    wrong = probabilities.argmax(axis=1) != labels
    one, other, *_ = np.flatnonzero(wrong).tolist()
    right = int(np.flatnonzero(~wrong)[0])
    return Mislabelled("<i>somebody", {one: {0: 2, 9: 2, None: 1}, other: {None: 4, 3: 1}, right: {7: 5}})


@pytest.fixture
def data(scores: tuple[np.ndarray, np.ndarray], mislabelled: Mislabelled) -> Dataset:
    return data_set(scores[1], NAMES, mislabelled)


@pytest.fixture
def errors(scores: tuple[np.ndarray, np.ndarray], mislabelled: Mislabelled) -> dict[str, Any]:
    return evaluation.error_report(*scores, NAMES, mislabelled)


@pytest.fixture
def page(run: Run, scores: tuple[np.ndarray, np.ndarray], data: Dataset) -> str:
    probabilities, labels = scores
    run.config.write_text(f"name: {HOSTILE}\n")
    score = evaluation.score(probabilities, labels)
    summary: dict[str, Any] = {
        "name": HOSTILE,
        "schema": 3,
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
        "compile_seconds": 1.25,
        "settings": {},
        "members": None,
    }
    history = [Epoch(epoch, 1e-3, 0.5 / epoch, 10.0, 0.4, 9.0, 1.5, 12_345.0) for epoch in (1, 2)]
    environment = {
        "schema": 1,
        "started": "now",
        "argv": ["mnist-exp", HOSTILE],
        "versions": {"mnist_exp": "0"},
        "git": None,
    }
    return written(run, summary, data, probabilities, history, environment)


def test_the_figures_are_files_and_on_the_page(page: str, run: Run) -> None:
    drawn = {path.name: path for path in run.figures.iterdir()}
    assert set(drawn) == {"learning_curves.svg", "reliability.svg", "timing.svg", "worst_mistakes.png"}
    assert drawn["reliability.svg"].read_text() in page
    for name, panels in (("learning_curves.svg", 3), ("timing.svg", 2)):  # a page has each panel as a figure of its own
        lines = re.findall(r'<path d="M[^"]+" stroke="#', drawn[name].read_text())
        assert len(lines) >= panels
        assert all(line in page for line in lines)
    assert page.count('<figure class="plot"') == page.count("<svg") == 6
    with Image.open(drawn["worst_mistakes.png"]) as grid:
        assert grid.width > 10 * 84


def test_compiling_is_no_part_of_the_training(page: str) -> None:
    assert "compiled in 1.2 s" in page
    assert re.search(r"3\.0 s</span><small>training, 60 %", page)
    assert re.search(r"1\.2 s</span><small>building and compiling the graph, 25 %", page)
    assert re.search(r"0\.8 s</span><small>everything else, 15 %", page)


def test_the_confusion_matrix_is_a_table(page: str, errors: dict[str, Any]) -> None:
    (table,) = re.findall(r'<table class="confusion.*?</table>', page, re.DOTALL)
    assert 'aria-describedby="matrix-note"' in table
    assert 'id="matrix-note"' in page
    names = re.findall(r'<th scope="col">(?:<span title="([^"]+)">)?([^<]+)', table)
    assert [html.unescape(title or name) for title, name in names] == list(NAMES)
    rows = re.findall(r'<th scope="row">(?:<span title="([^"]+)">)?([^<]+)(.*?)</tr>', table)
    assert [html.unescape(title or name) for title, name, _ in rows] == list(NAMES)
    cells = [[int(count) for count in re.findall(r"<td[^>]*>(\d+)", row)] for *_, row in rows]
    assert cells == errors["confusion_matrix"]


def test_only_mistakes_are_shaded_and_the_most_frequent_the_most() -> None:
    assert run_page.shades([[90, 1, 0], [4, 95, 2], [0, 0, 99]]) == [[0, 0.25, 0], [1, 0, 0.5], [0, 0, 0]]
    assert run_page.shades([[5, 0], [0, 5]]) == [[0, 0], [0, 0]]


def sheet(page: str) -> np.ndarray:
    """The one image of the page: uint8 (height, width), as much ink as the digits have."""
    (content,) = re.findall(r"url\(data:image/png;base64,([^)]+)\)", page)
    with Image.open(io.BytesIO(base64.b64decode(content))) as image:
        return 255 - np.asarray(image)


def part(whole: np.ndarray, row: int, column: int) -> np.ndarray:
    return whole[28 * row : 28 * row + 28, 28 * column : 28 * column + 28]


def test_every_mistake_has_its_image_and_caption(page: str, errors: dict[str, Any]) -> None:
    name = r'(?:<span title="[^"]*">)?(.*?)(?:</span>)?'
    figure = (
        r'aria-label="test image (\d+)" style="--row: (\d+); --column: (\d+)"></span>'
        rf"<figcaption><b>{name} → {name}</b> ([\d.]+) %"
    )
    found = re.findall(figure, page)
    assert [int(index) for index, *_ in found] == [mistake["index"] for mistake in errors["worst_mistakes"]]
    for (index, row, column, true, predicted, confidence), mistake in zip(found, errors["worst_mistakes"], strict=True):
        assert np.array_equal(part(sheet(page), int(row), int(column)), images(400)[int(index), :, :, 0])
        shown = [html.unescape(name) for name in (true, predicted)]
        assert shown == [SHOWN[mistake["label"]], SHOWN[mistake["predicted"]]]
        assert float(confidence) == pytest.approx(100 * max(mistake["probabilities"]), abs=0.0501)


def test_the_data_of_the_script_are_right(page: str, scores: tuple[np.ndarray, np.ndarray]) -> None:
    probabilities, labels = scores
    (text,) = re.findall(r'<script type="application/json" id="samples">(.*?)</script>', page)
    content = json.loads(text)
    assert len(content["images"]) > 100
    for place, (index, label, predicted, percent) in enumerate(content["images"]):
        assert (label, predicted) == (labels[index], probabilities[index].argmax())
        assert percent == pytest.approx(100 * probabilities[index].max(), abs=0.0501)
        assert np.array_equal(part(sheet(page), *divmod(place, content["columns"])), images(400)[index, :, :, 0])


def test_mislabelled_images_are_marked_with_the_answer_of_the_raters(
    page: str, errors: dict[str, Any], mislabelled: Mislabelled
) -> None:
    wrong = [mistake["index"] for mistake in errors["worst_mistakes"]]
    one, other, right = mislabelled.votes
    assert errors["overall"]["errors"] < 50  # so that all mistakes are shown
    assert {one, other} <= set(wrong)
    marked = re.findall(r'<li class="mislabelled">.*?test image (\d+)".*?<small>raters: (.*?)</small>', page)
    assert {int(index): html.unescape(said) for index, said in marked} == {one: f"{HOSTILE} or 9", other: "neither"}
    (text,) = re.findall(r'<script type="application/json" id="samples">(.*?)</script>', page)
    answers = json.loads(text)["raters"]
    assert answers == {str(one): f"{HOSTILE} or 9", str(other): "neither", str(right): "7"}
    table = re.findall(r'<tr><th scope="row" data-value="(\d+)".*?class="left">(\d say.*?)</tr>', page)
    votes = {one: f"2 say {HOSTILE}, 2 say 9, 1 says neither", other: "4 say neither, 1 says 3"}
    assert {int(index): html.unescape(said) for index, said in table} == votes
    sentence = f"2 of the {errors['overall']['errors']} mistakes are on images whose label human raters rejected"
    assert sentence in page
    assert "the test set has 3 such images (&lt;i&gt;somebody)" in page


def test_a_data_set_without_ratings_has_no_raters_on_the_page(run: Run, scores: tuple[np.ndarray, np.ndarray]) -> None:
    text = of_one_epoch(run, data_set(scores[1], tuple("0123456789"), None), scores[0])
    content, _, scripts = text.partition('<script type="application/json"')
    assert "The most confident mistakes" in content
    assert "raters" not in content
    assert '"raters":{}' in scripts


def test_the_numbers_are_on_the_page(page: str, scores: tuple[np.ndarray, np.ndarray]) -> None:
    score = evaluation.score(*scores)
    assert f"{score['error_percent']:.2f} %" in page
    assert f"{score['ci95'][0]:.2f} – {score['ci95'][1]:.2f} %" in page
    assert "623,290" in page


def test_user_input_is_escaped(page: str) -> None:
    assert HOSTILE not in page
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 5
    ours = [run_page.page.script(name) for name in ("confusion.js", "table.js")]
    assert re.findall(r"<script>(.*?)</script>", page, re.DOTALL) == ours
    assert page.count("<script") == len(ours) + 1  # and one of numbers, which does not run
    assert "<b>run" not in page
    assert "&lt;b&gt;run" in page


def test_no_request_leaves_the_page(page: str) -> None:
    assert re.findall(r"""(?:src|href)=["'](?!data:|#)""", page) == []
    assert re.findall(r"url\((?!data:image/png;base64,)", page) == []
    assert set(re.findall(r"""https?://[^"'\s]+""", page)) == {"http://www.w3.org/2000/svg"}
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]+)"', page)
    scripts = [run_page.page.script(name).encode() for name in ("confusion.js", "table.js")]
    hashes = [base64.b64encode(hashlib.sha256(script).digest()).decode() for script in scripts]
    assert html.unescape(policy).split("; ") == [
        "default-src 'none'",
        "img-src data:",
        "style-src 'unsafe-inline'",
        f"script-src 'sha256-{hashes[0]}' 'sha256-{hashes[1]}'",
        "base-uri 'none'",
        "form-action 'none'",
    ]


def test_a_model_without_mistakes_has_a_page(run: Run) -> None:
    text = of_one_epoch(run, data_set(np.arange(10), tuple("0123456789"), None), np.eye(10, dtype=np.float32))
    assert "most confident mistakes" not in text
    assert "Reliability of the confidence" in text
    assert {path.name for path in run.figures.iterdir()} == {"reliability.svg"}


def test_images_that_are_not_square_keep_their_shape(run: Run) -> None:
    broad = np.zeros((10, 16, 32, 3), np.uint8)
    data = replace(data_set(np.arange(10), tuple("0123456789"), None), test_images=broad)
    assert "--height: 0.5;" in of_one_epoch(run, data, np.eye(10, dtype=np.float32))


def test_one_epoch_is_a_row_and_no_chart(run: Run, data: Dataset, scores: tuple[np.ndarray, np.ndarray]) -> None:
    text = of_one_epoch(run, data, scores[0])
    assert {path.name for path in run.figures.iterdir()} == {"reliability.svg", "worst_mistakes.png"}
    assert text.count("<svg") == 1
    assert '<h2 id="learning">Training</h2>' in text
    assert re.findall(r'<tr class="best"><th scope="row">(\d+)</th><td>([\d.]+)</td>', text) == [("1", "0.001")]


@pytest.mark.parametrize(("select", "epoch", "words"), [("last", 12, "epoch 12, the last"), ("best", 11, "that epoch")])
def test_the_epoch_whose_weights_the_model_has_is_highlighted(
    tmp_path: Path, digits: Dataset, select: str, epoch: int, words: str
) -> None:
    text = sample_pages.run(tmp_path, digits, epochs=12, select=select).read_text()  # the best is the last but one
    assert re.findall(r'<tr class="best"><th scope="row">(\d+)<', text) == [str(epoch)]
    assert f"Epoch 11 has the lowest validation error. The model has the weights of {words}," in text


def test_the_configuration_is_collapsed(page: str) -> None:
    assert re.search(r"<details><summary>config.yaml</summary>\s*<pre[^>]*>name: &lt;script&gt;", page)
    assert "<details open" not in page


def test_every_link_of_the_navigation_has_its_place(page: str) -> None:
    targets = re.findall(r'<a href="#([^"]+)"', page)
    assert len(targets) == 7
    assert sorted(set(targets) & set(re.findall(r'<h2 id="([^"]+)"', page))) == sorted(targets)


def test_the_environment_is_text_and_without_cuda_on_a_cpu() -> None:
    on_cpu = run_page.environment_rows(sample_pages.ENVIRONMENT)
    assert on_cpu["command"].endswith("-m mnist_exp model=cnn_large 'model.units=[16]' seed=7")
    assert on_cpu["processor"] == "model AMD EPYC · instructions fma, avx, avx2, avx512f, avx512dq, avx512ifma"
    assert on_cpu["git"].endswith("· uncommitted changes no")
    assert set(on_cpu) == {
        "started", "command", "versions", "platform", "processor", "cores", "git", "device", "threads",
    }  # fmt: skip
    gpu = {"device": "/GPU:0", "gpus": [{"device_name": "H100", "compute_capability": [9, 0]}]}
    on_gpu = run_page.environment_rows(sample_pages.ENVIRONMENT | gpu)
    assert (on_gpu["CUDA"], on_gpu["cuDNN"]) == ("12.5.1", "9")
    assert on_gpu["GPUs"] == "device_name H100 · compute_capability 9, 0"
    assert run_page.environment_rows({"resumed": [{"started": "now"}, {"started": "later"}]}) == {"resumed": "now, later"}


@pytest.mark.parametrize("epochs", [1, 2, 100, 101, 1999])
def test_the_table_of_epochs_stays_short(epochs: int) -> None:
    history = [Epoch(epoch, 1e-3, 0.5, 10.0, 0.4, 9.0, 1.5, 100.0) for epoch in range(1, epochs + 1)]
    best = (epochs + 1) // 2
    rows = run_page.table_rows(history, best)
    assert len(rows) == epochs if epochs <= 100 else len(rows) <= 103
    assert {rows[0].epoch, rows[-1].epoch} == {1, epochs}
    assert best in {row.epoch for row in rows}
    assert [row.epoch for row in rows] == sorted({row.epoch for row in rows})
