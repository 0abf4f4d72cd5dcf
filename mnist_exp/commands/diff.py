"""`mnist-exp diff A B`: two runs in detail."""

import json
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mnist_exp import datasets
from mnist_exp.commands import arguments as command_line
from mnist_exp.comparison import difference, difference_tables
from mnist_exp.comparison.difference import Difference, Images
from mnist_exp.errors import EXIT_DONE, InputError, IntegrityError
from mnist_exp.machine import files
from mnist_exp.terminal import characters, messages
from mnist_exp.terminal.messages import pluralize

EXAMPLES = """\
  mnist-exp diff 2026-11-22T07-35-03_mlp_s7 latest
  mnist-exp diff runs/sweep/001_mlp_s0 runs/sweep/002_mlp_s1 --output disagreements.png
  mnist-exp diff latest 2026-11-22T07-35-03_mlp_s7 --format json --output none
"""
NO_PLATE = "none"
MOST_IMAGES = 60  # on the plate
ROWS = 2  # of images in a terminal
UNSAFE = re.compile(r"[^A-Za-z0-9._=,+-]+")
NAME_CHARACTERS = 100


def main(arguments: list[str]) -> int:
    """Print in what two runs differ, and draw the images on which they disagree."""
    parser = command_line.parser(
        "diff", "Print in what two runs differ, and draw the images on which they disagree.", EXAMPLES
    )
    for name in ("a", "b"):
        parser.add_argument(name, metavar=name.upper(), help="a run: a directory, its name, or latest")
    parser.add_argument("--format", choices=("table", "json"), default="table")
    parser.add_argument("--output", metavar="FILE", help="the PNG of those images, or none (default: diff_A_B.png)")
    command_line.add_runs_dir(parser)
    parsed = parser.parse_args(arguments)
    if parsed.output not in {None, NO_PLATE} and not parsed.output.endswith(".png"):
        raise InputError(f"--output {parsed.output}: not allowed", f"allowed: a file name that ends in .png, or {NO_PLATE}")
    found = difference.read(*(command_line.find_run(name, parsed.runs_dir) for name in (parsed.a, parsed.b)))
    pictures: tuple[np.ndarray, list[str]] | None = None
    reason, plate = None, None
    if found.images is not None and (parsed.format == "table" or parsed.output != NO_PLATE):
        try:
            pictures = _pictures(found, found.images)
        except InputError as error:
            reason = error.cause
    if pictures is not None and parsed.output != NO_PLATE:
        from mnist_exp.report import images

        plate = Path(parsed.output or _file_name(found))
        files.write(plate, images.image_grid(*pictures))
    if parsed.format == "json":
        print(json.dumps(difference.as_json(found, plate), indent=2, allow_nan=False))
    else:
        difference_tables.show(found, messages.output())
        if found.images is not None and pictures is not None:
            _show(*pictures, len(found.images.disagreements), plate)
        elif reason is not None:
            messages.output().print(messages.cell(reason))
    for fault in (*found.a.faults, *found.b.faults):
        if isinstance(fault, IntegrityError):
            raise fault
    return EXIT_DONE


def _pictures(found: Difference, images: Images) -> tuple[np.ndarray, list[str]]:
    """The first images on which the runs disagree, uint8 (n, height, width, channels), and what was said of each.

    Raises:
        InputError: there are none, or they are not in this version's data set.
    """
    a, b = found.a.predictions, found.b.predictions
    if not len(images.disagreements) or a is None or b is None:
        raise InputError("no image has different answers", "")
    name = found.a.settings.get("dataset.name", found.b.settings.get("dataset.name"))
    data = datasets.load(name) if isinstance(name, str) and name in datasets.LOADERS else None
    if data is None or not np.array_equal(data.test_labels, a.labels):
        raise InputError(f"the images cannot be shown: they are not those of the data set {name}, as it is here", "")
    chosen = images.disagreements[:MOST_IMAGES]
    names = [[data.class_names[said[index]] for said in (a.labels, a.answers, b.answers)] for index in chosen]
    return data.test_images[chosen], [f"{label}: {of_a} | {of_b}" for label, of_a, of_b in names]


def _show(chosen: np.ndarray, titles: Sequence[str], total: int, plate: Path | None) -> None:
    """Say how many images there are and where and, in a terminal, show some."""
    out = messages.output()
    told = f"{pluralize(total, 'image')} with different answers"
    told += f", {len(chosen)} of them, the surest first, in {plate}" if plate is not None else ""
    out.print(messages.cell(f"{told}; true: A's answer | B's answer"))
    if out.is_terminal:
        count = ROWS * max(1, out.width // (chosen.shape[2] + 1))
        out.print(characters.draw_images(chosen[:count], titles[:count], out.width), end="")


def _file_name(found: Difference) -> str:
    names = [side.run.directory.resolve().name for side in (found.a, found.b)]
    return "_".join(["diff", *(UNSAFE.sub("-", name)[:NAME_CHARACTERS] for name in names)]) + ".png"
