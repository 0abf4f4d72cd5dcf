"""`mnist-exp data show`: what a data set holds."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.table import Table

from mnist_exp import characters, datasets, files, terminal
from mnist_exp.commands import arguments as command_line
from mnist_exp.config.problems import nearest
from mnist_exp.datasets.dataset import Dataset
from mnist_exp.errors import EXIT_DONE, InputError

EXAMPLES = """\
  mnist-exp data show
  mnist-exp data show dataset=mnist --count 4 --output digits.png
"""
MOST_IMAGES = 200


def main(arguments: list[str]) -> int:
    """Print a data set's numbers and draw its first training images."""
    parser = command_line.parser("data", "Show a data set: counts, hashes and the first training images.", EXAMPLES)
    parser.add_argument("action", choices=("show",))
    parser.add_argument("setting", nargs="?", default=f"dataset={_default()}", metavar="dataset=NAME")
    parser.add_argument("--count", type=int, default=20, metavar="N", help="images to draw (default: %(default)s)")
    parser.add_argument("--output", default="", metavar="FILE", help="the PNG (default: NAME.png)")
    parsed = parser.parse_args(arguments)
    data = datasets.load(_name(parsed.setting))
    path = Path(parsed.output or f"{data.name}.png")
    if not 1 <= parsed.count <= MOST_IMAGES:
        raise InputError(f"--count {parsed.count}: not allowed", f"allowed: an integer from 1 to {MOST_IMAGES}")
    if path.suffix != ".png":
        raise InputError(f"--output {path}: not allowed", "allowed: a file name that ends in .png")
    images = data.train_images[: parsed.count]
    titles = [data.class_names[label] for label in data.train_labels[: parsed.count]]
    out = terminal.output()
    for table in (_facts(data), _balance(data), _hashes(data)):
        out.print(table)
    if out.is_terminal:
        out.print(characters.half_blocks(images, titles, out.width))
    _draw(images, titles, path)
    out.print(f"the first {parsed.count} training images: {path}", markup=False, highlight=False)
    return EXIT_DONE


def _default() -> str:
    """The data set that conf/config.yaml names in its defaults list."""
    (name,) = (entry["dataset"] for entry in command_line.primary_config()["defaults"] if "dataset" in entry)
    return str(name)


def _name(setting: str) -> str:
    key, _, name = setting.partition("=")
    if key != "dataset" or name not in datasets.LOADERS:
        close = nearest(name, datasets.LOADERS)
        raise InputError(
            f"{setting}: there is no such data set",
            f"allowed: {', '.join(f'dataset={known}' for known in datasets.LOADERS)}"
            + (f"; did you mean dataset={close}?" if close else ""),
        )
    return name


def _facts(data: Dataset) -> Table:
    table = Table(title=data.name, title_justify="left")
    for heading in ("part", "images", "shape", "dtype", "mean", "std"):
        table.add_column(heading, justify="left" if heading == "part" else "right")
    for part, images in (("train", data.train_images), ("test", data.test_images)):
        shape = "×".join(map(str, images.shape[1:]))
        moments = f"{images.mean():.3f}", f"{images.std():.3f}"
        table.add_row(part, f"{len(images):,}", shape, str(images.dtype), *moments)
    return table


def _hashes(data: Dataset) -> Table:
    table = Table(title="SHA-256 of the uncompressed files", title_justify="left")
    table.add_column("file")
    table.add_column("SHA-256", overflow="fold")
    for name, sha256 in data.file_sha256.items():
        table.add_row(name, sha256)
    return table


def _balance(data: Dataset) -> Table:
    table = Table(title="images of each class", title_justify="left")
    table.add_column("class")
    for part in ("train", "test"):
        table.add_column(part, justify="right")
        table.add_column("%", justify="right")
    counts = [np.bincount(labels, minlength=len(data.class_names)) for labels in (data.train_labels, data.test_labels)]
    for index, name in enumerate(data.class_names):
        cells = [cell for count in counts for cell in (f"{count[index]:,}", f"{100 * count[index] / count.sum():.2f}")]
        table.add_row(name, *cells)
    return table


def _draw(images: np.ndarray, titles: Sequence[str], path: Path) -> None:
    from mnist_exp.report.images import plate

    columns = min(10, round(len(images) ** 0.5)) if len(images) <= 16 else 10
    files.write(path, plate(images, titles, columns))
