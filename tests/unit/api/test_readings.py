"""Pictures from Python, without a network: which are accepted, how they reach the reader, and how a reading is shown."""

import contextlib
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import mnist_exp as mx
from mnist_exp.api import readings
from mnist_exp.datasets.pictures import UnreadableError
from mnist_exp.prediction import pictures
from mnist_exp.prediction.reading import Digit
from mnist_exp.prediction.reading import Reading as Content
from tests.unit.run_directories import make_run


class FakeReader:
    """Answers with the mean of each picture."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def read(self, sources: Sequence[tuple[str, Any]]) -> list[Content | UnreadableError]:
        self.batches.append(len(sources))
        return [self._read(name, source) for name, source in sources]

    def _read(self, name: str, source: Any) -> Content | UnreadableError:
        try:
            picture = pictures.from_array(source) if isinstance(source, np.ndarray) else pictures.read(source)
        except UnreadableError as error:
            return error
        mean = str(int(picture.pixels.mean()))
        image = np.zeros((28, 28, 1), np.uint8)
        return Content(name, [[Digit((0, 0, 1, 1), image, [(mean, 0.75), ("<b>", 0.25)], [mean], "sure")]], None)


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> FakeReader:
    make_run(Path("runs/a"), 100)
    fake = FakeReader()

    @contextlib.contextmanager
    def without_keras() -> Iterator[None]:
        yield

    monkeypatch.setattr(readings, "keras_of_user", without_keras)
    monkeypatch.setattr(readings, "_reader", lambda *_: fake)
    return fake


@pytest.mark.usefixtures("reader")
def test_a_picture_is_a_path_an_array_or_an_image_of_pillow() -> None:
    grey = np.full((30, 40), 100, np.uint8)
    grey[0, 0] = 101
    image = Image.fromarray(grey)
    image.save("a.png")
    forms = [
        "a.png", Path("a.png"), grey, grey[..., None], np.repeat(grey[..., None], 3, axis=2), image, image.convert("RGBA"),
        image.convert("CMYK"), image.convert("P"), Image.fromarray(grey.astype(np.uint16) * 257),
    ]  # fmt: skip
    for form in forms:
        assert mx.predict("a", form).text == "100"
    assert [reading.text for reading in mx.predict(mx.load("a"), forms)] == ["100"] * len(forms)
    assert mx.predict("a", []) == []


def test_an_image_of_pillow_is_turned_upright() -> None:
    exif = Image.Exif()
    exif[0x112] = 6
    content = io.BytesIO()
    Image.new("RGB", (40, 30)).save(content, "JPEG", exif=exif)
    name, png = readings._source(Image.open(content), 1)
    assert (name, pictures.read(png).size) == ("picture 1", (40, 30))  # type: ignore[arg-type]


def test_many_pictures_are_read_in_batches(reader: FakeReader) -> None:
    assert len(mx.predict("a", [np.zeros((4, 4), np.uint8)] * 33)) == 33
    assert reader.batches == [16, 16, 1]


@pytest.mark.usefixtures("reader")
def test_a_reading_is_shown_with_what_the_network_saw() -> None:
    reading = mx.predict("a", np.full((4, 4), 7, np.uint8))
    assert repr(reading) == "<Reading picture 1: '7'>"
    assert reading.digits[0].probability == 0.75
    shown = reading._repr_html_()
    assert shown.count('<img src="data:image/png;base64,') == 1
    assert "7 75.0 %, &lt;b&gt; 25.0 %" in shown


@pytest.mark.usefixtures("reader")
@pytest.mark.parametrize(
    ("run", "picture", "options", "expected", "message"),
    [
        ("b", "a.png", {}, mx.errors.InputError, "b: run not found"),
        ("a", "a.png", {}, mx.errors.InputError, "a.png: picture not found"),
        ("a", [3], {}, mx.errors.InputError, "picture 1: is of the class int"),
        ("a", np.zeros((3, 3)), {}, mx.errors.IntegrityError, "picture 1: is an array float64"),
        ("a", ["x.txt"], {}, mx.errors.IntegrityError, "x.txt: is not an image"),
        ("a", "x.txt", {"confidence": 1.0}, mx.errors.InputError, "confidence=1: not allowed"),
    ],
)
def test_a_picture_that_cannot_be_read_is_named(
    run: str, picture: Any, options: dict[str, Any], expected: type[Exception], message: str
) -> None:
    Path("x.txt").write_text("text")
    with pytest.raises(expected, match=message):
        mx.predict(run, picture, **options)
