"""`mnist-exp diff A B`: the differences between two runs."""

import json
from collections.abc import Sequence

import numpy as np

from mnist_exp import config, datasets
from mnist_exp.commands import arguments as command_line
from mnist_exp.commands.named_runs import find_run
from mnist_exp.comparison import difference, difference_tables
from mnist_exp.comparison.difference import RunDifference, Side
from mnist_exp.datasets.dataset import Dataset
from mnist_exp.errors import EXIT_DONE, IntegrityError, UserError
from mnist_exp.machine import files
from mnist_exp.runs.directory import read_config
from mnist_exp.terminal import characters, messages
from mnist_exp.terminal.messages import pluralize

EXAMPLES = """\
  mnist-exp diff 2026-11-22T07-35-03_mlp_s7 latest
  mnist-exp diff runs/sweep/001_mlp_s0 runs/sweep/002_mlp_s1 --output disagreements.png
  mnist-exp diff latest 2026-11-22T07-35-03_mlp_s7 --format json --output none
"""
NO_IMAGES = "none"
MAX_IMAGES = 60  # in the image grid
NAME_CHARACTERS = 100  # of a run, in the name of a file


def main(arguments: list[str]) -> int:
    """Print the differences between two runs, and draw the images with different predictions."""
    parser = command_line.parser("diff", EXAMPLES)
    for name in ("a", "b"):
        parser.add_argument(name, metavar=name.upper(), help="a run: a directory, its name, or latest")
    parser.add_argument("--format", choices=("table", "json"), default="table")
    parser.add_argument(
        "--output",
        type=command_line.path,
        metavar="FILE",
        help="the PNG of these images, or none to draw no images (default: diff_B.png in the directory of A)",
    )
    parsed = parser.parse_args(arguments)
    draws = parsed.output != NO_IMAGES
    chosen = command_line.output_file(parsed.output, [".png"]) if draws and parsed.output is not None else None
    found = difference.compare_runs(*(find_run(name, parsed.runs_dir) for name in (parsed.a, parsed.b)))
    images, classes, names, text = _images(found)
    path = None
    if classes and draws:
        from mnist_exp.report.images import image_grid, plain_names

        a, b = (side.run.directory for side in found.sides)
        path = chosen or a / f"diff_{b.resolve().name[:NAME_CHARACTERS]}.png"
        write = files.write_output if chosen else files.write  # a file in a run may be a link that leads elsewhere
        titles = _titles(classes[:MAX_IMAGES], plain_names(names))
        write(path, image_grid(images[:MAX_IMAGES], titles))
        text += f", {len(titles)} of them, highest confidence first, in {path}"
    if parsed.format == "json":
        print(json.dumps(difference.to_json(found, path), indent=2, allow_nan=False))
    else:
        console = messages.output()
        difference_tables.print_difference(found, console)
        if text:
            console.print(messages.cell(text + ("; label: prediction of A | prediction of B" if classes else "")))
        if console.is_terminal:
            count = characters.ROWS * characters.images_per_row(images.shape[2], console.width)
            console.print(characters.draw_images(images[:count], _titles(classes[:count], names), console.width), end="")
    for fault in (*found.a.faults, *found.b.faults):
        if isinstance(fault, IntegrityError):
            raise fault
    return EXIT_DONE


def _images(found: RunDifference) -> tuple[np.ndarray, list[list[int]], Sequence[str], str]:
    """Return the test images with different predictions, if they can be shown.

    Returns:
        uint8 (n, height, width, channels); the label and both predictions of each; the names of the classes; how many images
        they are, or why there are none.
    """
    none = np.empty((0, 1, 1, 1), np.uint8), list[list[int]](), ()
    a, b = found.a.predictions, found.b.predictions
    if isinstance(found.errors, str) or a is None or b is None:
        return *none, ""  # the printed differences say why
    indices = found.errors.disagreements
    if not len(indices):
        return *none, "no image has different predictions"
    data = next(filter(None, map(_load_data, (found.a, found.b))), None)
    if data is None or not np.array_equal(data.test_labels, a.labels):
        name = found.a.settings.get("dataset.name", found.b.settings.get("dataset.name"))
        return *none, f"the images cannot be shown: they are not in the installed version of the data set {name}"
    classes = np.stack([column[indices].astype(int) for column in (a.labels, a.classes, b.classes)], axis=1).tolist()
    text = f"{pluralize(len(classes), 'image')} with different predictions"
    return data.displayed(data.test_images[indices]), classes, data.class_names, text


def _titles(classes: Sequence[Sequence[int]], names: Sequence[str]) -> list[str]:
    """Return the label and both predictions of each image as text."""
    return [f"{names[label]}: {names[of_a]} | {names[of_b]}" for label, of_a, of_b in classes]


def _load_data(side: Side) -> Dataset | None:
    """Return the data set of a run, or None if it cannot be loaded. For an ensemble, which has no configuration: by name."""
    name = side.settings.get("dataset.name")
    try:
        is_run = side.run.config.is_file()
        return datasets.load(config.validate(read_config(side.run)).dataset.source if is_run else str(name))
    except (UserError, OSError, ValueError, KeyError):
        return None
