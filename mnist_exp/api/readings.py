"""Pictures of handwriting, read with the network of a run: the answers of the command `predict`."""

import functools
import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, overload

import numpy as np

from mnist_exp.api import html
from mnist_exp.api.boundary import public
from mnist_exp.api.models import keras_of_user
from mnist_exp.api.names import RunName, default_runs_dir
from mnist_exp.commands import predict as command
from mnist_exp.commands.named_runs import find_run
from mnist_exp.ensemble import completed
from mnist_exp.errors import InputError, IntegrityError
from mnist_exp.runs.directory import last_change

if TYPE_CHECKING:
    from PIL import Image

    from mnist_exp.prediction import reader, reading
    from mnist_exp.prediction.reading import Digit

    Picture = str | os.PathLike[str] | np.ndarray | Image.Image

READERS = 2  # that are kept: building one takes seconds
WITH_PNG = ("1", "L", "LA", "I;16", "P", "RGB", "RGBA")  # modes of Pillow that the format PNG has


class Reading:
    """What was read in one picture."""

    def __init__(self, content: "reading.Reading") -> None:
        """Use `mx.predict` instead."""
        self._content = content

    @property
    def text(self) -> str:
        """The answers in reading order, lines on lines of their own; ? where the network is not sure."""
        return self._content.text

    @property
    def digits(self) -> "list[Digit]":
        """The digits in reading order, with `answer`, `probability`, `top`, `set`, `verdict`, `box` and `image`."""
        return self._content.digits

    def __repr__(self) -> str:
        return f"<Reading {self._content.name}: {self.text!r}>"

    def _repr_html_(self) -> str:
        from mnist_exp.prediction.formats import describe, percent, tops
        from mnist_exp.report.images import png

        rows = []
        for digit in self.digits:
            answer = describe(digit)
            rows.append([html.picture(png(digit.image), answer), answer, percent(digit.probability), tops(digit)])
        headings = ["the network saw", "digit", "probability", "top three"]
        return html.table(rows, headings, [html.LEFT, html.LEFT, html.RIGHT], f"{self._content.name}: {self.text}")


@overload
def predict(
    run: RunName,
    image: "Picture",
    *,
    confidence: float = command.CONFIDENCE,
    single: bool = False,
    runs_dir: RunName | None = None,
) -> Reading: ...


@overload
def predict(
    run: RunName,
    image: "list[Picture]",
    *,
    confidence: float = command.CONFIDENCE,
    single: bool = False,
    runs_dir: RunName | None = None,
) -> list[Reading]: ...


@public
def predict(
    run: RunName,
    image: "Picture | list[Picture]",
    *,
    confidence: float = command.CONFIDENCE,
    single: bool = False,
    runs_dir: RunName | None = None,
) -> Reading | list[Reading]:
    """Read the digits of a picture, or of each picture in a list, as the command `predict`.

    Args:
        run: a completed run or ensemble.
        image: a path, an image of Pillow, or an array, uint8 (height, width), (height, width, 1) or (height, width, 3).
        confidence: how often the set of a digit must contain the true one.
        single: take each picture as one image of the data set, without looking for digits.
        runs_dir: the directory of the runs; None for runs/.

    Raises:
        InputError: the run has no result, a picture does not exist, or the data set needs `single`.
        IntegrityError: a picture or a file of the run is damaged.
    """
    if not command.MIN_CONFIDENCE <= confidence < 1:
        raise InputError(f"confidence={confidence:g}: not allowed", "allowed: 0.5 or more, and less than 1")
    found = find_run(os.fspath(run), default_runs_dir(runs_dir))
    pictures = image if isinstance(image, list) else [image]
    sources = [_source(picture, number) for number, picture in enumerate(pictures, 1)]
    with keras_of_user():
        opened = _reader(found.directory.absolute(), last_change(found), confidence, single)
        readings = []
        for start in range(0, len(sources), command.BATCH):
            batch = sources[start : start + command.BATCH]
            for (name, _), result in zip(batch, opened.read(batch), strict=True):
                if isinstance(result, Exception):
                    raise IntegrityError(f"{name}: {result}", "choose another picture, or repair this one")
                readings.append(Reading(result))
    return readings if isinstance(image, list) else readings[0]


@functools.lru_cache(READERS)
def _reader(directory: Path, _changed: int, confidence: float, single: bool) -> "reader.Reader":
    """Return the reader of a run, a new one after the run has changed."""
    from mnist_exp.prediction.reader import open_reader

    opened = open_reader(completed.read_directory(directory), confidence, single=single)
    command.warn_not_calibrated(opened)
    return opened


def _source(picture: "Picture", number: int) -> tuple[str, str | bytes | np.ndarray]:
    """Return the name of a picture, and its path, its content as PNG, or its array."""
    from PIL import Image, ImageOps

    if isinstance(picture, Image.Image):
        upright = ImageOps.exif_transpose(picture)
        content = io.BytesIO()
        (upright if upright.mode in WITH_PNG else upright.convert("RGB")).save(content, "PNG", compress_level=1)
        return f"picture {number}", content.getvalue()
    if isinstance(picture, np.ndarray):
        return f"picture {number}", picture
    if not isinstance(picture, str | os.PathLike):
        cause = f"picture {number}: is of the class {type(picture).__name__}"
        raise InputError(cause, "allowed: a path, a NumPy array, an image of Pillow, or a list of them")
    path = Path(picture)
    if not path.is_file():
        raise InputError(f"{path}: picture not found", "name a file, or give an array or an image of Pillow")
    return str(path), str(path)
