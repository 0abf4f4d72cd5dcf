"""Measure `mnist-exp predict`: test digits on sheets of paper, foreign handwriting, letters, noise and empty fields.

Run with `python -m tests.benchmarks.predict RUN [--digits N] [--manual]`. RUN is a run on MNIST that held out images. The
limits of the program were chosen with the run's held-out images, so the test images measure them.
"""

import argparse
import os
import string
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from mnist_exp.commands.arguments import primary_config
from mnist_exp.comparison.rows import read_rows
from mnist_exp.config.schema import ThreadsConfig
from mnist_exp.ensemble import completed
from mnist_exp.machine import backend
from mnist_exp.runs.evaluation import wilson_interval
from tests.benchmarks import manual
from tests.sheets import Sheet, draw_sheet

PER_SHEET = 20
SHEETS = 16  # at once
SEED = 11
CONDITIONS = ("no rules", "lines", "squares", "touching")
CONFIDENCES = (0.9, 0.95, 0.99, 0.999)
FONTS = Path("/usr/share/fonts/truetype/dejavu")
LOOKALIKES = set("BDGIOQSZabgijloqsyz")  # letters that are written like a digit


def batched(items: Iterable, size: int) -> Iterator[list]:
    """Yield lists of that many items."""
    remaining = iter(items)
    while batch := list(islice(remaining, size)):
        yield batch


def share(count: int, n: int) -> str:
    """A percentage."""
    return f"{100 * count / n:.2f}"


def interval(count: int, n: int) -> str:
    """The 95 % interval of a percentage."""
    return " – ".join(f"{end:.2f}" for end in wilson_interval(count, n))


def overlap(digits: Sequence, box: np.ndarray) -> np.ndarray:
    """The intersection over union of the boxes of digits with a box."""
    boxes = np.array([digit.box for digit in digits]).reshape(-1, 4)
    sides = np.minimum(boxes[:, 2:], box[2:]) - np.maximum(boxes[:, :2], box[:2])
    both = sides.clip(0).prod(axis=1)
    return both / ((boxes[:, 2:] - boxes[:, :2]).prod(axis=1) + (box[2:] - box[:2]).prod() - both)


class Count:
    """What was read on sheets."""

    def __init__(self) -> None:
        self.digits = self.found = self.additional = self.raw_errors = self.errors = self.sheets = self.in_order = 0

    def add(self, sheet: Sheet, reading, labels: np.ndarray, raw: np.ndarray) -> None:
        """Count the digits of a sheet; one that is not found is an error."""
        digits, used, order = reading.digits, set(), []
        for index, box in zip(sheet.indices, sheet.boxes, strict=True):
            self.digits += 1
            self.raw_errors += raw[index] != labels[index]
            overlaps = overlap(digits, box)
            best = int(overlaps.argmax()) if len(overlaps) else -1
            if best < 0 or best in used or overlaps[best] < 0.5:
                self.errors += 1
                continue
            used.add(best)
            order.append(best)
            self.found += 1
            self.errors += digits[best].top[0][0] != str(labels[index])
        self.additional += len(digits) - len(used)
        self.sheets += 1
        self.in_order += order == sorted(order)

    def row(self, name: str) -> str:
        """The row of the table."""
        added = 100 * (self.errors - self.raw_errors) / self.digits
        cells = [
            name, f"{self.digits:,}", share(self.found, self.digits), self.additional, share(self.raw_errors, self.digits),
            share(self.errors, self.digits), f"{added:+.2f}", f"{self.in_order} of {self.sheets}",
        ]  # fmt: skip
        return f"| {' | '.join(map(str, cells))} |"


def measure_sheets(reader, data, raw: np.ndarray, count: int) -> str:
    """Read test digits on sheets; the table has a row for each kind of rules, and one for touching digits."""
    images, labels = data.test_images[..., 0], data.test_labels
    order = np.random.default_rng(SEED).permutation(len(labels))[:count]
    counts = {name: Count() for name in CONDITIONS}
    total = Count()
    for touching in (False, True):
        chosen = order if not touching else order[: count // 5]
        gap = (-0.08, 0.02) if touching else (0.2, 1.0)
        sheets = (
            draw_sheet(images, np.random.default_rng([SEED, number, touching]), np.array(indices), gap=gap)
            for number, indices in enumerate(batched(chosen.tolist(), PER_SHEET))
        )
        for some in batched(sheets, SHEETS):
            for sheet, reading in zip(some, reader.read([("sheet", sheet.pixels) for sheet in some]), strict=True):
                name = "touching" if touching else sheet.rules or "no rules"
                for one in (counts[name],) if touching else (counts[name], total):
                    one.add(sheet, reading, labels, raw)
    heading = (
        "| sheets | digits | found % | boxes without a digit | error % of the images | error % of the sheets | added points "
        "| sheets read in order |\n|" + " --- |" * 8
    )
    rows = [counts[name].row(name) for name in CONDITIONS[:3]] + [total.row("**all of these**")]
    return "\n".join([heading, *rows, counts["touching"].row("touching digits")])


def letters() -> tuple[list[np.ndarray], list[str]]:
    """Letters in all styles of the font DejaVu, turned a little, as pictures."""
    pictures, names = [], []
    for font in sorted(FONTS.glob("*.ttf")):
        style = ImageFont.truetype(font, 80)
        for letter in string.ascii_letters:
            image = Image.new("L", (180, 180), 255)
            ImageDraw.Draw(image).text((90, 90), letter, font=style, fill=20, anchor="mm")
            turn = 8 if len(pictures) % 2 else -8
            pictures.append(np.asarray(image.rotate(turn, Image.Resampling.BICUBIC, fillcolor=255)))
            names.append(letter)
    return pictures, names


def noise(rng: np.random.Generator) -> list[np.ndarray]:
    """Pictures of noise in the size of the images, and blots on paper."""
    pictures = [rng.integers(0, 256, (28, 28), np.uint8) for _ in range(100)]
    for _ in range(200):
        smooth = ndimage.gaussian_filter(rng.normal(size=(120, 120)), rng.uniform(3, 12))
        pictures.append(np.where(smooth > np.quantile(smooth, rng.uniform(0.7, 0.95)), 40, 245).astype(np.uint8))
    return pictures


def empty_fields(rng: np.random.Generator) -> list[np.ndarray]:
    """Pictures of paper, frames and lines without digits."""
    pictures = []
    for number in range(200):
        paper = rng.normal(rng.uniform(180, 250), rng.uniform(0, 5), (120, 160))
        thickness = int(rng.integers(1, 5))
        if number % 4 == 1:
            paper[20 : 20 + thickness, 20:140] = paper[100 : 100 + thickness, 20:140] = 60
            paper[20:100, 20 : 20 + thickness] = paper[20:104, 140 : 140 + thickness] = 60
        elif number % 4 == 2:
            paper[90 : 90 + thickness] = 90
        elif number % 4 == 3:
            paper *= np.linspace(0.5, 1, 160)
        pictures.append(paper.clip(0, 255).astype(np.uint8))
    return pictures


def rejected(reader, pictures: Sequence[np.ndarray]) -> np.ndarray:
    """Whether no digit of a picture is sure."""
    readings = [one for some in batched(pictures, 64) for one in reader.read([("", picture) for picture in some])]
    return np.array([not any(digit.verdict == "sure" for digit in reading.digits) for reading in readings])


def measure_doubts(source, model, doubts, data) -> str:
    """Read the test images, letters, noise and empty fields at several confidences."""
    from mnist_exp.prediction.reader import Reader

    drawn, names = letters()
    similar = np.array([name in LOOKALIKES for name in names])
    rng = np.random.default_rng(SEED)
    others = {"noise and blots": noise(rng), "empty fields": empty_fields(rng)}
    rows = []
    for confidence in CONFIDENCES:
        reader = Reader(source, model, doubts, confidence, single=True)
        digits = reader.answer_images(list(data.test_images))
        truth = [data.class_names[label] for label in data.test_labels]
        covered = sum(name in digit.set for name, digit in zip(truth, digits, strict=True))
        sure = [(name, digit) for name, digit in zip(truth, digits, strict=True) if digit.verdict == "sure"]
        wrong = sum(name != digit.answer for name, digit in sure)
        reader = Reader(source, model, doubts, confidence)
        lost = rejected(reader, drawn)
        n = len(digits)
        cells = [
            f"{100 * confidence:g}",
            share(covered, n),
            interval(covered, n),
            share(len(sure), n),
            share(wrong, len(sure)),
        ]
        cells += [share(lost[kind].sum(), kind.sum()) for kind in (~similar, similar)]
        cells += [share(rejected(reader, pictures).sum(), len(pictures)) for pictures in others.values()]
        rows.append(f"| {' | '.join(cells)} |")
    heading = (
        "| confidence % | set has the true digit % | 95 % interval | sure % | wrong if sure % | letters refused % | "
        f"letters like digits refused % | {' refused % | '.join(others)} refused % |\n|" + " --- |" * 9
    )
    print(f"{(~similar).sum():,} letters, {similar.sum():,} letters like digits", file=sys.stderr)
    return "\n".join([heading, *rows])


def measure_foreign(reader) -> str:
    """Read digits that other people wrote for other data sets."""
    from sklearn.datasets import load_digits

    found = load_digits()
    dark = (255 - 15.9 * np.pad(found.images, ((0, 0), (2, 2), (2, 2)))).astype(np.uint8)
    pictures = [np.asarray(Image.fromarray(one).resize((120, 120), Image.Resampling.BICUBIC)) for one in dark]
    readings = [one for some in batched(pictures, 64) for one in reader.read([("", picture) for picture in some])]
    single = [reading.digits[0] if len(reading.digits) == 1 else None for reading in readings]
    n = len(single)
    right = sum(one is not None and one.top[0][0] == str(label) for one, label in zip(single, found.target, strict=True))
    sure = [
        (one, label) for one, label in zip(single, found.target, strict=True) if one is not None and one.verdict == "sure"
    ]
    wrong = sum(one.answer != str(label) for one, label in sure)
    naive = np.stack(
        [np.asarray(Image.fromarray(255 - picture).resize((28, 28), Image.Resampling.BOX)) for picture in pictures]
    )
    raw = (reader.predictor(naive[..., None]).argmax(axis=1) != found.target).sum()
    cells = [f"{n:,}", share(sum(one is not None for one in single), n), share(n - right, n), share(raw, n)]
    cells += [share(len(sure), n), share(wrong, len(sure))]
    heading = "| digits | one digit found % | error % | error % if only made smaller | sure % | wrong if sure % |\n"
    return f"{heading}|{' --- |' * 6}\n| {' | '.join(cells)} |"


def main() -> int:
    """Print the tables, and write them into the manual."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="a completed run on MNIST that held out images")
    parser.add_argument("--digits", type=int, default=10_000, help="test digits on sheets")
    parser.add_argument("--manual", action="store_true", help="write the tables into the manual")
    parsed = parser.parse_args()
    source = completed.read(read_rows([parsed.run])[0])
    with backend.tensorflow(Path(os.devnull), quiet=True):
        from mnist_exp.ensemble.network import rebuild_completed
        from mnist_exp.prediction.doubts import learn
        from mnist_exp.prediction.reader import Reader
        from mnist_exp.training import device

        threads = ThreadsConfig.model_validate(primary_config()["threads"])
        device.prepare("cpu", "float32", threads, 1000, seed=0)
        model = rebuild_completed(source)
        doubts = learn(source, model)
        reader = Reader(source, model, doubts, 0.99)
        raw = reader.predictor(source.data.test_images).argmax(axis=1)
        tables = {
            "predict-sheets": measure_sheets(reader, source.data, raw, parsed.digits),
            "predict-doubts": measure_doubts(source, model, doubts, source.data),
            "predict-foreign": measure_foreign(reader),
        }
    for name, table in tables.items():
        print(f"{name}\n\n{table}\n")
        if parsed.manual:
            manual.replace_between(*manual.TABLES[name], table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
