"""`mnist-exp predict` with a network of random weights: what is printed and written; the quality is measured elsewhere."""

import csv
import io
import json
import pickle
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from mnist_exp.commands import predict
from mnist_exp.comparison.rows import read_rows
from mnist_exp.datasets.dataset import Dataset
from mnist_exp.ensemble import completed
from mnist_exp.ensemble.completed import CompletedRun
from mnist_exp.ensemble.network import rebuild_completed
from mnist_exp.errors import InputError, IntegrityError
from mnist_exp.machine import files
from mnist_exp.machine.plain_data import read_json
from mnist_exp.models.activations import activations_model
from mnist_exp.prediction import doubts
from mnist_exp.prediction.doubts import learn
from mnist_exp.prediction.explanation import content
from mnist_exp.prediction.normalization import normalize
from mnist_exp.prediction.occlusion import occlusion
from mnist_exp.prediction.pictures import Picture
from mnist_exp.prediction.reader import open_reader
from mnist_exp.prediction.reading import Reading
from mnist_exp.terminal.messages import pluralize
from tests.integration.ensemble.test_ensemble import untrained
from tests.integration.models.test_averaging import SAVES
from tests.sheets import draw_sheet

pytestmark = SAVES
COUNT = 7  # digits of the sheet


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, digits: Dataset) -> Path:
    """A run that is calibrated."""
    directory = untrained(tmp_path_factory.mktemp("predict") / "a", digits, "model=mlp", "model.units=[8]")
    source = read(directory)
    learn(source, rebuild_completed(source))
    return directory


@pytest.fixture(scope="module")
def sheet(digits: Dataset) -> np.ndarray:
    images = digits.test_images[..., 0]
    return draw_sheet(images, np.random.default_rng(5), np.arange(COUNT), per_line=4, paper="cream", rules="lines").pixels


@pytest.fixture
def place(tmp_path: Path, sheet: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with a folder of two pictures and a file that is none."""
    (tmp_path / "scans" / "below").mkdir(parents=True)
    Image.fromarray(sheet).save(tmp_path / "scans" / "b.png")
    Image.fromarray(sheet).save(tmp_path / "scans" / "below" / "a.jpg", quality=95)
    (tmp_path / "scans" / "notes.txt").write_text("no picture")
    (tmp_path / "damaged.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    Image.new("L", (60, 80), 240).save(tmp_path / "blank.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def read(directory: Path) -> CompletedRun:
    return completed.read(read_rows([directory])[0])


@pytest.mark.usefixtures("place")
def test_json_has_every_picture_and_digit(
    run: Path, sheet: np.ndarray, digits: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {name: (run / name).read_bytes() for name in ("summary.json", "calibration.json", "outliers.npz")}
    assert predict.main([str(run), "scans", "blank.png", "--format", "json", "--confidence", "0.9"]) == 0
    first, second, blank = json.loads(capsys.readouterr().out)
    assert [one["file"] for one in (first, second, blank)] == ["scans/b.png", "scans/below/a.jpg", "blank.png"]
    assert blank == {"file": "blank.png", "text": "", "digits": []}
    assert [len(one["digits"]) for one in (first, second)] == [COUNT, COUNT]
    assert re.fullmatch(r"[0-9? ]+\n[0-9? ]+", first["text"])
    assert len(re.sub(r"\s", "", first["text"])) == COUNT
    height, width = sheet.shape[:2]
    for digit in first["digits"]:
        left, top, right, bottom = digit["box"]
        assert 0 <= left < right <= width
        assert 0 <= top < bottom <= height
        names = [one["class"] for one in digit["top"]]
        assert len(names) == 3
        assert digit["probability"] == digit["top"][0]["probability"]
        assert set(digit["set"]) <= set(digits.class_names)
        assert digit["answer"] == (names[0] if digit["verdict"] == "sure" else None)
        assert (digit["verdict"] == "sure") == (len(digit["set"]) == 1)
        assert digit["verdict"] != "not a digit" or digit["set"] == []
    assert {name: (run / name).read_bytes() for name in before} == before  # computed once; results never change


def test_csv_and_a_picture_from_standard_input(
    run: Path, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    content = (place / "scans" / "b.png").read_bytes()
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(content)))
    (place / "=1+1.png").write_bytes(content)
    assert predict.main([str(run), "-", "=1+1.png", "--format", "csv", "--confidence", "0.9"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["file"] for row in rows] == ["-"] * COUNT + ["'=1+1.png"] * COUNT  # no formula of a spreadsheet
    assert [row["line"] for row in rows] == (["1"] * 4 + ["2"] * 3) * 2
    assert all(row["first_probability"] == row["probability"] for row in rows)


def test_the_table_the_page_and_a_damaged_picture(run: Path, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "<b>.png").write_bytes((place / "scans" / "b.png").read_bytes())
    arguments = [str(run), "<b>.png", "damaged.png", "blank.png", "--confidence", "0.9", "--explain", "page.html"]
    assert predict.main(arguments) == 1
    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    assert lines[0].split() == ["picture", "digit", "probability", "top", "three", "read"]
    assert len(lines) == 1 + COUNT + 1
    assert lines[1].startswith("<b>.png ")
    assert lines[-1].endswith("no digits found")
    assert "damaged.png: is not an image, or its header is damaged" in printed.err
    unsure = sum("?" in line.partition(" % ")[0] for line in lines)
    assert unsure > 0
    assert f"?: {pluralize(unsure, 'digit')} unsure at a confidence of 90 %; choose a lower --confidence" in printed.err
    page = (place / "page.html").read_text()
    assert page.count("<rect ") == COUNT
    assert page.count("data:image/png") == 2 * COUNT
    assert page.count("data:image/jpeg") == 2
    assert "default-src &#39;none&#39;" in page
    assert "&lt;b&gt;.png" in page
    assert "<b>.png" not in page


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (["absent.png"], InputError, "absent.png: picture not found"),
        (["damaged.png", "--format", "json"], IntegrityError, "damaged.png: is not an image"),
        (["empty"], InputError, "empty: contains no pictures"),
        (["blank.png", "--confidence", "1"], InputError, "--confidence 1: not allowed"),
        (["blank.png", "--explain", "page.png"], InputError, "page.png: unknown ending"),
        (["-", "-"], InputError, "named twice"),
    ],
)
def test_mistakes(
    run: Path, place: Path, arguments: list[str], error: type[Exception], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "empty").mkdir()
    with pytest.raises(error, match=re.escape(message)):
        predict.main([str(run), *arguments])
    assert capsys.readouterr().out == ""


@pytest.mark.usefixtures("place")
def test_too_few_held_out_images_give_no_sets(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert predict.main([str(run), "scans/b.png", "--format", "json", "--confidence", "0.99"]) == 0
    printed = capsys.readouterr()
    warning = " ".join(printed.err.split())
    assert "a confidence of 99 % needs 399 held-out images, but the run has 100" in warning
    assert "choose a lower confidence, or train with dataset.validation=399 or more" in warning
    (picture,) = json.loads(printed.out)
    assert {(digit["verdict"], digit["set"]) for digit in picture["digits"]} == {("not calibrated", None)}


@pytest.mark.usefixtures("place")
def test_images_on_which_the_weights_were_trained_before_calibrate_nothing(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(run, tmp_path / "a")
    source = read(tmp_path / "a")
    weights = {"sha256": "", "dataset": "mnist", "network": "mlp", "copied": ["logits"], "initialized": {}}
    origin = {"run": "../b", "name": "b", "seed": 1, "config_hash": ""} | weights | {"validation_seen": 1}
    lineage = {"initial_weights": origin, "continued": None}
    files.write_json(source.run.summary, read_json(source.run.summary) | {"lineage": lineage})
    assert predict.main([str(tmp_path / "a"), "scans/b.png", "--format", "json", "--confidence", "0.9"]) == 0
    printed = capsys.readouterr()
    assert "weights from which it started were trained on some of the held-out images" in " ".join(printed.err.split())
    assert {digit["verdict"] for digit in json.loads(printed.out)[0]["digits"]} == {"not calibrated"}


def test_pictures_are_read_in_float32_as_by_exports_which_share_the_calibration(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "a")
    config = tmp_path / "a" / "config.yaml"
    config.write_text(config.read_text().replace("precision: float32", "precision: bfloat16"))
    source = read(tmp_path / "a")
    assert source.runs[0].experiment.precision == "bfloat16"
    assert {layer.compute_dtype for layer in open_reader(source).model.layers[1:]} == {"float32"}


def test_a_single_picture_is_an_image_of_the_data_set(
    run: Path, place: Path, digits: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    for index in range(20):
        Image.fromarray(digits.test_images[index, ..., 0]).save(place / f"{index:02d}.png")
    source = read(run)
    reader = open_reader(source, 0.9, single=True)
    readings = reader.read([(str(index), str(place / f"{index:02d}.png")) for index in range(20)])
    stored = reader.doubts.calibration.calibrate(source.probabilities[:20])
    for reading, expected in zip(readings, stored, strict=True):
        (digit,) = reading.digits
        assert digit.box == (0, 0, 28, 28)
        assert digit.top[0][0] == str(expected.argmax())
        assert digit.probability == pytest.approx(expected.max(), abs=1e-4)
    (array,) = reader.read([("array", digits.test_images[0, ..., 0])])
    assert array.digits[0].probability == pytest.approx(readings[0].digits[0].probability, abs=1e-6)
    assert capsys.readouterr().err == ""
    narrow = 255 - digits.test_images[0, :, 5:23, 0]  # dark on light; its sides are filled with black
    reader.read([("narrow", narrow), ("again", narrow)])
    reader.read([("once more", narrow)])
    assert capsys.readouterr().err == (
        "warning: narrow, again: light borders, but the training images have dark ones: "
        "if they are inverted, the answers are wrong\n"
    )


def test_a_minus_sign_is_not_a_digit(run: Path, digits: Dataset) -> None:
    """The detector alone may take it for a 4."""
    bar = normalize(np.ones((8, 60), bool))[..., None]
    seven = digits.test_images[0]
    minus, digit = open_reader(read(run), 0.9).answer_images([bar, seven])
    assert (minus.verdict, minus.set, minus.answer) == ("not a digit", [], None)
    assert digit.verdict != "not a digit"


def test_another_data_set_needs_single(run: Path) -> None:
    source = read(run)
    others = SimpleNamespace(data=SimpleNamespace(handwriting=False, name="fashion_mnist"), run=source.run)
    with pytest.raises(InputError, match=r"trained on fashion_mnist.*\n.*--single"):
        open_reader(others)


@pytest.mark.parametrize("change", ["damaged", "other model"])
def test_a_damaged_detector_or_one_of_another_model_is_trained_again(
    run: Path, tmp_path: Path, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(run, tmp_path / "a")
    source = read(tmp_path / "a")
    model = rebuild_completed(source)
    with np.load(source.run.outliers) as found:
        arrays = dict(found)
    if change == "damaged":
        source.run.outliers.write_bytes(source.run.outliers.read_bytes()[:1000])
    else:
        np.savez_compressed(source.run.outliers, **arrays | {"identity": arrays["identity"][::-1]})
    monkeypatch.setattr(doubts, "EXAMPLES", 50)
    learned = learn(source, model)
    assert learned is not None
    with np.load(source.run.outliers) as again:
        assert np.array_equal(again["identity"], arrays["identity"])
        assert not np.array_equal(again["hidden"], arrays["hidden"])  # of fewer examples


def test_features_are_the_layers_of_all_networks(run: Path) -> None:
    model = rebuild_completed(read(run))
    features = activations_model(model)
    assert features.output.shape == (None, 784 + 8 + 10)
    images = np.random.default_rng(1).integers(0, 256, (3, 28, 28, 1), np.uint8)
    values = np.asarray(features(images))
    np.testing.assert_allclose(values[:, :784], images.reshape(3, -1) / 255, atol=1e-6)
    logits = values[:, -10:]
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    np.testing.assert_allclose(exponentials / exponentials.sum(axis=1, keepdims=True), model(images), atol=1e-5)


def test_a_picture_that_waits_for_the_page_is_compressed() -> None:
    picture = Picture(np.zeros((2000, 1500, 3), np.uint8), (4000, 3000))
    found = content(Reading("a", [], picture))
    assert (found["width"], found["height"]) == (3000, 4000)
    assert len(pickle.dumps(found)) < 100_000


def test_the_network_looks_where_the_ink_decides() -> None:
    """A network that sees only one pixel looks there."""
    image = np.full((28, 28, 1), 200, np.uint8)

    def see(images: np.ndarray) -> np.ndarray:
        share = images[:, 10, 20, 0] / 255
        return np.stack([share, 1 - share], axis=1)

    falls = occlusion(see, image)
    assert falls[10, 20] == falls.max() == pytest.approx(200 / 255)
    assert np.count_nonzero(falls) <= 7 * 7
