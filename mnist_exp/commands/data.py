"""`mnist-exp data show`: what a data set holds, and what an augmentation makes of it."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.table import Table

from mnist_exp import datasets
from mnist_exp.commands import arguments as command_line
from mnist_exp.config.schema import Experiment, RandomAugmentationConfig
from mnist_exp.datasets.dataset import Dataset
from mnist_exp.errors import EXIT_DONE, InputError
from mnist_exp.machine import backend, files
from mnist_exp.terminal import characters, messages

EXAMPLES = """\
  mnist-exp data show
  mnist-exp data show dataset=mnist --count 4 --output digits.png
  mnist-exp data show augmentation=affine
  mnist-exp data show augmentation=affine augmentation.rotation=30 augmentation.elastic_alpha=20 seed=8
"""
SHOWN = ("dataset", "augmentation", "seed")  # the settings that decide what is drawn
MOST_IMAGES = 200
IMAGES, AUGMENTED = 20, 8  # drawn unless --count says otherwise
STEPS = 9  # of a training, beside each image


def main(arguments: list[str]) -> int:
    """Print a data set's numbers and draw its first training images, as they are or as a training would see them."""
    purpose = "Show a data set: counts, hashes and the first training images; and what an augmentation makes of them."
    parser = command_line.parser("data", purpose, EXAMPLES)
    parser.add_argument("action", choices=("show",))
    parser.add_argument("settings", nargs="*", metavar="dataset=NAME|augmentation=NAME|augmentation.KEY=VALUE|seed=N")
    parser.add_argument(
        "--count", type=int, metavar="N", help=f"images to draw (default: {IMAGES}, or {AUGMENTED} with an augmentation)"
    )
    parser.add_argument("--output", default="", metavar="FILE", help="the PNG (default: NAME.png, or NAME_AUGMENTATION.png)")
    parser.add_argument(
        "--config-dir", metavar="DIR", help="a directory with options of your own, as augmentation/NAME.yaml"
    )
    parsed = parser.parse_intermixed_args(arguments)
    experiment = _experiment(parsed.settings, parsed.config_dir) if parsed.settings else None
    augmentation = None if experiment is None else experiment.augmentation
    augmented = isinstance(augmentation, RandomAugmentationConfig)
    count = (AUGMENTED if augmented else IMAGES) if parsed.count is None else parsed.count
    data = datasets.load(_default() if experiment is None else experiment.dataset.name)
    name = f"{data.name}_{augmentation.name}" if isinstance(augmentation, RandomAugmentationConfig) else data.name
    path = Path(parsed.output or f"{name}.png")
    if not 1 <= count <= MOST_IMAGES:
        raise InputError(f"--count {count}: not allowed", f"allowed: an integer from 1 to {MOST_IMAGES}")
    if path.suffix != ".png":
        raise InputError(f"--output {path}: not allowed", "allowed: a file name that ends in .png")
    out = messages.output()
    for table in (_facts(data), _balance(data), _hashes(data)):
        out.print(table)
    told = f"the first {count} training images"
    images, titles = data.train_images[:count, np.newaxis], np.array(data.class_names)[data.train_labels[:count, np.newaxis]]
    if experiment is not None and isinstance(augmentation, RandomAugmentationConfig):
        with backend.tensorflow(Path(os.devnull), quiet=False):
            images, titles = _by_steps(data, experiment, count)
        told += f", beside each what steps 0 to {STEPS - 1} of a training with seed {experiment.seed} see in its place"
        told += ", mixed with the next (a training shuffles)" if augmentation.mixup else ""
    if out.is_terminal:
        shown = max(2, out.width // (images.shape[3] + 1))  # columns: a row of the plate is a line
        out.print(characters.draw_images(_flat(images[:, :shown]), _flat(titles[:, :shown]).tolist(), out.width))
    _draw(_flat(images), _flat(titles).tolist(), path, images.shape[1])
    out.print(f"{told}: {path}", markup=False, highlight=False)
    return EXIT_DONE


def _default() -> str:
    """The data set that conf/config.yaml names in its defaults list."""
    (name,) = (entry["dataset"] for entry in command_line.primary_config()["defaults"] if "dataset" in entry)
    return str(name)


def _experiment(settings: Sequence[str], config_dir: str | None) -> Experiment:
    """The experiment that these overrides compose to.

    Raises:
        ConfigError: everything that is wrong with them.
        InputError: they set something that no image shows.
    """
    from mnist_exp.config.command_line import parse_arguments
    from mnist_exp.config.composition import Composition

    flags = [] if config_dir is None else [f"--config-dir={config_dir}"]
    experiment = Composition(parse_arguments([*flags, *settings])).combinations()[0].experiment
    for line in settings:
        key = line.lstrip("+~").partition("=")[0]
        if key not in SHOWN and not key.startswith("augmentation."):
            raise InputError(f"{line}: changes nothing that is drawn", f"allowed: {', '.join(SHOWN)} and augmentation.KEY")
    return experiment


def _by_steps(data: Dataset, experiment: Experiment, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The first images, and beside each what the first steps see in its place of a batch.

    Returns:
        uint8 (count, 1 + STEPS, height, width, channels), and a title for each, (count, 1 + STEPS).
    """
    import tensorflow as tf

    from mnist_exp.training import augmentation

    batch = data.train_images[: max(experiment.training.batch_size, count)]
    names = np.array(data.class_names)[data.train_labels[: len(batch)]].tolist()
    columns, titles = [batch], [names]
    if drawn := augmentation.build(experiment.augmentation, batch.shape[1:], experiment.seed):
        for step in range(STEPS):
            draws = drawn.draw(tf.constant(step, tf.int64), len(batch))
            images = drawn.transform(tf.constant(batch), draws)
            title = [f"step {step}"] * len(batch)
            if draws.shares is not None:
                images = augmentation.mix(images, draws.shares)
                others = [*names[1:], names[0]]  # as `augmentation.next_in_batch` has it
                percents = np.round(100 * draws.shares.numpy()).astype(int)
                parts = [
                    [(percent, own), (100 - percent, other)]
                    for percent, own, other in zip(percents, names, others, strict=True)
                ]
                title = [", ".join(f"{percent} % {digit}" for percent, digit in two if percent) for two in parts]
            columns.append(images.numpy())
            titles.append(title)
    return np.stack(columns, axis=1)[:count], np.array(titles).T[:count]


def _flat(rows: np.ndarray) -> np.ndarray:
    """(rows, columns, …) → (rows * columns, …)."""
    return rows.reshape(-1, *rows.shape[2:])


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


def _draw(images: np.ndarray, titles: Sequence[str], path: Path, columns: int) -> None:
    from mnist_exp.report.images import image_grid

    if columns == 1:
        columns = min(10, round(len(images) ** 0.5)) if len(images) <= 16 else 10
    files.write(path, image_grid(images, titles, columns))
