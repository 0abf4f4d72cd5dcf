"""The page of `predict --explain`: pictures with the boxes of their digits, what the network saw, and where it looked."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from mnist_exp import __version__
from mnist_exp.prediction.formats import describe, percent
from mnist_exp.prediction.occlusion import occlusion
from mnist_exp.prediction.reader import Reader
from mnist_exp.prediction.reading import Digit, Reading
from mnist_exp.report import page

MAX_PICTURES = 50  # on one page
MAX_DIGITS = 200  # on one page: for each, the network predicts some hundred images
SHOWN_SIDE = 1000  # pixels of the longer side of a picture on the page
WARM = np.array([214, 69, 65])  # where erasing ink makes the answer less probable
COLD = np.array([52, 101, 164])  # where it makes it more probable
STRONG = 0.25  # a fall of the probability that is shown in full colour, at least


@dataclass(frozen=True)
class Card:
    """One digit on the page."""

    number: int
    digit: Digit
    saw: str  # address of the image
    looked: str
    shares: Sequence[tuple[str, str]]  # class and percentage

    @property
    def heading(self) -> str:
        """The answer in words."""
        return describe(self.digit)


def render(reader: Reader, contents: Sequence[dict[str, Any]], run: str, left_out: int) -> str:
    """Return the page.

    Args:
        reader: that read the pictures.
        contents: of the pictures: see `content`; `MAX_PICTURES` at most.
        run: name of the run.
        left_out: pictures that were read, but are not on the page.
    """
    remaining, pictures = MAX_DIGITS, []
    number = 0
    for one in contents:
        cards = []
        for digit in one["digits"][:remaining]:
            number += 1
            cards.append(_card(reader, number, digit))
        remaining -= len(cards)
        pictures.append(one | {"cards": cards})
    dataset, confidence = reader.data.name, f"{100 * reader.confidence:g}"
    reason = reader.why_not_calibrated
    return page.render(
        "prediction.html.j2", (), version=__version__, run=run, dataset=dataset, pictures=pictures, left_out=left_out,
        confidence=confidence, reason=reason, single=reader.single,
    )  # fmt: skip


def _card(reader: Reader, number: int, digit: Digit) -> Card:
    falls = occlusion(reader.predictor, digit.image)
    shares = [(name, percent(probability)) for name, probability in digit.top]
    return Card(number, digit, _address(_shown(digit.image), "PNG"), _address(_heat(digit.image, falls), "PNG"), shares)


def content(reading: Reading) -> dict[str, Any]:
    """Return a picture as the template needs it, without its cards; compressed, since 50 take 600 MB as they are read."""
    texts = {"name": reading.name, "text": reading.text, "digits": reading.digits}
    if reading.picture is None:
        return texts | {"address": None, "width": 1, "height": 1}
    image = Image.fromarray(reading.picture.pixels)
    image.thumbnail((SHOWN_SIDE, SHOWN_SIDE))
    height, width = reading.picture.size
    return texts | {"address": _address(image, "JPEG"), "width": width, "height": height}


def _shown(image: np.ndarray) -> Image.Image:
    """Return an image as the network got it: ink is light, as in the data set."""
    return Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)


def _heat(image: np.ndarray, falls: np.ndarray) -> Image.Image:
    """Return the image in pale grey under the colours of what matters."""
    grey = image.mean(axis=2, keepdims=True) / 255
    paper = 255 - 90 * grey
    strength = (falls / max(STRONG, float(np.abs(falls).max())))[..., None]
    colour = np.where(strength > 0, WARM, COLD)
    share = np.abs(strength) ** 0.7
    return Image.fromarray((paper * (1 - share) + colour * share).round().astype(np.uint8))


def _address(image: Image.Image, form: str) -> str:
    """Return a picture as a data: address."""
    content = io.BytesIO()
    image.save(content, format=form, **({"quality": 85} if form == "JPEG" else {}))
    return f"data:image/{form.lower()};base64,{base64.b64encode(content.getvalue()).decode()}"
