"""The scripts of the drawing page that compute, in Node: normalisation, photos and decisions."""

import json
import re
import shutil
import subprocess
from typing import Any

import numpy as np
import pytest

from mnist_exp.datasets.dataset import Dataset
from mnist_exp.export import drawing_page, node
from mnist_exp.prediction.normalization import is_flat, normalize

pytestmark = pytest.mark.skipif(shutil.which(node.PROGRAM) is None, reason="Node.js is not installed")

# Reads JSON, the images of which are lists of rows, and answers with JSON.
READER = """
const flat = rows => ({ height: rows.length, width: rows[0].length, data: Uint8Array.from(rows.flat()) })
const given = JSON.parse(require('node:fs').readFileSync(0, 'utf8'))
"""


def evaluated(names: list[str], expression: str, given: Any) -> Any:
    """Return the value of an expression after these scripts; it uses `given` and `flat`."""
    scripts = "\n".join((drawing_page.FOLDER / name).read_text() for name in names)
    program = f"{scripts}\n{READER}\nconsole.log(JSON.stringify({expression}))"
    done = subprocess.run(["node", "-e", program], input=json.dumps(given), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def inks(digits: Dataset) -> list[np.ndarray]:
    """Return ink of many sizes and shapes: blots, strokes at odd places, a dot, digits, an empty sheet."""
    generator = np.random.default_rng(3)
    images = [np.zeros((7, 9), np.uint8), np.full((30, 3), 255, np.uint8), np.full((1, 1), 9, np.uint8)]
    for height, width in generator.integers(1, 200, (40, 2)):
        image = generator.integers(0, 256, (height, width)).astype(np.uint8)
        image[generator.random(image.shape) < generator.random()] = 0
        images.append(image)
    return images + [image[..., 0].repeat(k, 0).repeat(k, 1) for k, image in enumerate(digits.test_images[:6], 1)]


def test_the_page_normalises_ink_as_the_program_does(digits: Dataset) -> None:
    images = inks(digits)
    expression = "given.map(image => [...NORMALIZATION.normalize(flat(image))])"
    found = evaluated(["normalization.js"], expression, [image.tolist() for image in images])
    for image, normalized in zip(images, found, strict=True):
        assert np.array_equal(np.reshape(normalized, (28, 28)), normalize(image))
    flat = evaluated(
        ["normalization.js"], "given.map(image => NORMALIZATION.isFlat(flat(image)))", [*map(np.ndarray.tolist, images)]
    )
    assert flat == [is_flat(image) for image in images]
    assert set(flat) == {True, False}


@pytest.mark.parametrize("is_dark", [False, True])
def test_digits_in_a_photo_are_found_in_reading_order(digits: Dataset, is_dark: bool) -> None:
    photo = 215 - np.linspace(0, 60, 300)[None, :] - np.linspace(0, 30, 200)[:, None]  # a shadow over the paper
    photo += np.random.default_rng(0).normal(0, 4, photo.shape)
    places = [(20, 15), (30, 110), (14, 220), (110, 60), (120, 180)]  # two lines
    for index, (top, left) in enumerate(places):
        ink = digits.test_images[index, ..., 0].repeat(2, 0).repeat(2, 1) / 255
        photo[top : top + 56, left : left + 56] -= 130 * ink
    photo[100:102, 8:10] -= 130  # a speck
    grey = np.clip(255 - photo if is_dark else photo, 0, 255).astype(np.uint8)
    expression = "PHOTO.digits(flat(given)).map(({ box, ink }) => [box.top, box.left, ...NORMALIZATION.normalize(ink)])"
    found = np.array(evaluated(["normalization.js", "photo.js"], expression, grey.tolist()))
    assert len(found) == len(places)
    for (top, left), image, (found_top, found_left, *pixels) in zip(places, digits.test_images, found, strict=False):
        assert top <= found_top < top + 30
        assert left <= found_left < left + 30
        overlap = np.corrcoef(np.ravel(image), pixels)[0, 1]
        assert overlap > 0.9


def test_an_empty_photo_has_no_digit() -> None:
    noise = np.random.default_rng(0).normal(200, 3, (60, 80)).astype(np.uint8)
    assert evaluated(["normalization.js", "photo.js"], "PHOTO.digits(flat(given))", noise.tolist()) == []


def test_a_calibrated_answer_is_unsure_unless_one_class_remains() -> None:
    calibration = {"temperature": 2.0, "threshold": 0.3, "confidence": 0.99}
    table = [[0.01, 0.98, 0.01], [0.5, 0.49, 0.01], [0.34, 0.33, 0.33]]
    expression = (
        "given[0].map(row => DECISION.decide({ probabilities: Float32Array.from(row), strangeness: null }, given[1]))"
    )
    answers = evaluated(["decision.js"], expression, [table, calibration])
    roots = np.sqrt(table)
    for answer, root in zip(answers, roots, strict=True):
        assert list(answer["probabilities"].values()) == pytest.approx(root / root.sum(), abs=1e-6)
    assert [answer["classes"] for answer in answers] == [[1], [0, 1], [0, 1, 2]]
    assert [answer["isSure"] for answer in answers] == [True, False, False]
    strange = expression.replace("null", "given[2]")
    for score, expected in ((1.9, [1, 2, 3]), (2.1, [0, 0, 0])):
        answers = evaluated(["decision.js"], strange, [table, calibration | {"limit": 2.0}, score])
        assert [len(answer["classes"]) for answer in answers] == expected
        assert {answer["isStrange"] for answer in answers} == {score > 2}
    answers = evaluated(["decision.js"], expression, [table, None])
    assert [answer["classes"] for answer in answers] == [[1], [0], [0]]


def test_scripts_are_short_and_cannot_end_their_element() -> None:
    for path in drawing_page.FOLDER.glob("*.js"):
        text = path.read_text()
        assert len(text.splitlines()) <= 250, path
        assert not re.search("</script|<!--", text, re.IGNORECASE), path
