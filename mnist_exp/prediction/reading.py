"""What was read in a picture: its digits, in lines."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from mnist_exp.prediction.pictures import Picture

UNSURE = "?"  # in a text
SPACE = 0.8  # of the height of a line: a wider gap separates two numbers

Verdict = Literal["sure", "unsure", "not a digit", "not calibrated"]
Box = tuple[int, int, int, int]  # left, top, right, bottom in a picture, right and bottom excluded


@dataclass(frozen=True, eq=False)
class Digit:
    """One digit, or one whole picture with `single`."""

    box: Box
    image: np.ndarray  # uint8 (height, width, channels): the input of the network
    top: Sequence[tuple[str, float]]  # the most probable classes with their probabilities, the most probable one first
    set: Sequence[str] | None  # the classes that it can have at the confidence; None: the run is not calibrated
    verdict: Verdict

    @property
    def answer(self) -> str | None:
        """The class; None if that is not sure."""
        return self.top[0][0] if self.verdict in ("sure", "not calibrated") else None

    @property
    def probability(self) -> float:
        """The probability of the most probable class."""
        return self.top[0][1]

    def content(self) -> dict[str, Any]:
        """Return the digit as JSON has it."""
        return {
            "box": list(self.box),
            "answer": self.answer,
            "probability": round(self.probability, 6),
            "verdict": self.verdict,
            "top": [{"class": name, "probability": round(probability, 6)} for name, probability in self.top],
            "set": None if self.set is None else list(self.set),
        }


@dataclass(frozen=True, eq=False)
class Reading:
    """What was read in one picture."""

    name: str
    lines: Sequence[Sequence[Digit]]
    picture: Picture | None  # as it was read; None unless it is kept, and with `single`

    @property
    def digits(self) -> list[Digit]:
        """All digits in reading order."""
        return [digit for line in self.lines for digit in line]

    @property
    def text(self) -> str:
        """The answers in reading order: lines on lines of their own, a space where the gap is wide, ? where none is sure."""
        return "\n".join(_text_of(line) for line in self.lines)

    def content(self) -> dict[str, Any]:
        """Return the reading as JSON has it."""
        return {"file": self.name, "text": self.text, "digits": [digit.content() for digit in self.digits]}


def verdict_of(chosen: Sequence[str] | None, is_strange: bool) -> Verdict:
    """Return the verdict on a digit from its set, and whether it is not a digit."""
    if chosen is None:
        return "not calibrated"
    if is_strange:
        return "not a digit"
    return "sure" if len(chosen) == 1 else "unsure"


def _text_of(line: Sequence[Digit]) -> str:
    """Return the answers of a line."""
    height = float(np.median([digit.box[3] - digit.box[1] for digit in line]))
    text, end = "", line[0].box[0]
    for digit in line:
        text += (" " if digit.box[0] - end > SPACE * height else "") + (digit.answer or UNSURE)
        end = digit.box[2]
    return text
