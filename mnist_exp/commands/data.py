"""`mnist-exp data show`: a data set and the effect of an augmentation."""

import os
from collections.abc import Iterable, Iterator, Sequence
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
SETTINGS = ("dataset", "augmentation", "seed")  # that determine the images
MOST_IMAGES = 200
IMAGES, AUGMENTED = 20, 8  # drawn unless --count says otherwise
STEPS = 9  # of a training, next to each image


def main(arguments: list[str]) -> int:
    """Print a data set's numbers and draw its first training images, unchanged or as a training uses them."""
    purpose = "Show a data set: counts, hashes and the first training images; and the effect of an augmentation."
    parser = command_line.parser("data", purpose, EXAMPLES)
    parser.add_argument("action", choices=("show",))
    parser.add_argument("settings", nargs="*", metavar="dataset=NAME|augmentation=NAME|augmentation.KEY=VALUE|seed=N")
    parser.add_argument(
        "--count", type=int, metavar="N", help=f"images to draw (default: {IMAGES}, or {AUGMENTED} with an augmentation)"
    )
    parser.add_argument("--output", default="", metavar="FILE", help="the PNG (default: NAME.png, or NAME_AUGMENTATION.png)")
    parser.add_argument(
        "--config-dir", metavar="DIR", help="a directory with your own options, such as augmentation/NAME.yaml"
    )
    parsed = parser.parse_intermixed_args(arguments)
    experiment = _compose(parsed.settings, parsed.config_dir) if parsed.settings else None
    data = datasets.load(_default_name() if experiment is None else experiment.dataset.name)
    if experiment is not None and isinstance(experiment.augmentation, RandomAugmentationConfig):
        name, count = f"{data.name}_{experiment.augmentation.name}", AUGMENTED
    else:
        name, count, experiment = data.name, IMAGES, None
    count = count if parsed.count is None else parsed.count
    path = Path(parsed.output or f"{name}.png")
    if not 1 <= count <= MOST_IMAGES:
        raise InputError(f"--count {count}: not allowed", f"allowed: an integer from 1 to {MOST_IMAGES}")
    if path.suffix != ".png":
        raise InputError(f"--output {path}: not allowed", "allowed: a file name that ends in .png")

    out = messages.output()
    for table in _tables(data):
        out.print(table)
    caption = f"the first {count} training images"
    if experiment is None:
        images = data.train_images[:count, np.newaxis]
        titles = np.array(data.class_names)[data.train_labels[:count, np.newaxis]]
    else:
        with backend.tensorflow(Path(os.devnull), quiet=False):
            images, titles, mixed = _augmented(data, experiment, count)
        caption += f", each with its augmented versions in steps 0 to {STEPS - 1} of a training with seed {experiment.seed}"
        caption += ", mixed with the next image (a training shuffles)" if mixed else ""
    if out.is_terminal:
        columns = max(2, out.width // (images.shape[3] + 1))  # that fit in a line
        out.print(characters.draw_images(_flat(images[:, :columns]), _flat(titles[:, :columns]).tolist(), out.width))
    _draw(_flat(images), _flat(titles).tolist(), path, images.shape[1])
    out.print(f"{caption}: {path}", markup=False, highlight=False)
    return EXIT_DONE


def _default_name() -> str:
    """Return the data set in the defaults list of conf/config.yaml, without starting Hydra."""
    (name,) = (entry["dataset"] for entry in command_line.primary_config()["defaults"] if "dataset" in entry)
    return str(name)


def _compose(settings: Sequence[str], config_dir: str | None) -> Experiment:
    """Compose an experiment from overrides.

    Raises:
        ConfigError: the overrides have problems.
        InputError: an override has no effect on the images.
    """
    from mnist_exp.config.command_line import parse_arguments
    from mnist_exp.config.composition import Composition

    flags = [] if config_dir is None else [f"--config-dir={config_dir}"]
    experiment = Composition(parse_arguments([*flags, *settings])).combinations()[0].experiment
    for override in settings:
        key = override.lstrip("+~").partition("=")[0]
        if key not in SETTINGS and not key.startswith("augmentation."):
            allowed = f"allowed: {', '.join(SETTINGS)} and augmentation.KEY"
            raise InputError(f"{override}: has no effect on the images", allowed)
    return experiment


def _augmented(data: Dataset, experiment: Experiment, count: int) -> tuple[np.ndarray, np.ndarray, bool]:
    """Return the first images, and next to each its augmented versions in the first steps.

    Returns:
        uint8 (count, 1 + STEPS, height, width, channels); the titles, (count, 1 + STEPS); whether images are mixed.
    """
    import tensorflow as tf

    from mnist_exp.training import augmentation

    batch = data.train_images[: max(experiment.training.batch_size, count)]
    names = np.array(data.class_names)[data.train_labels[: len(batch)]].tolist()
    columns, titles, mixed = [batch], [names], False
    if transforms := augmentation.build(experiment.augmentation, batch.shape[1:], experiment.seed):
        for step in range(STEPS):
            draws = transforms.draw(tf.constant(step, tf.int64), len(batch))
            images, title = transforms.transform(tf.constant(batch), draws), [f"step {step}"] * len(batch)
            if mixed := draws.shares is not None:
                images = augmentation.mix(images, draws.shares)
                percents = np.round(100 * draws.shares.numpy()).astype(int).tolist()
                others = [*names[1:], names[0]]  # as in `augmentation.next_in_batch`
                title = [_shares(*image) for image in zip(percents, names, others, strict=True)]
            columns.append(images.numpy())
            titles.append(title)
    return np.stack(columns, axis=1)[:count], np.array(titles).T[:count], mixed


def _shares(percent: int, name: str, other: str) -> str:
    return f"{percent} % {name}" + (f", {100 - percent} % {other}" if percent < 100 else "")


def _flat(rows: np.ndarray) -> np.ndarray:
    """(rows, columns, …) → (rows * columns, …)."""
    return rows.reshape(-1, *rows.shape[2:])


def _tables(data: Dataset) -> Iterator[Table]:
    """Yield tables of the images, the classes and the files."""
    parts = {"train": (data.train_images, data.train_labels), "test": (data.test_images, data.test_labels)}
    facts = []
    for part, (images, _) in parts.items():
        shape = "×".join(map(str, images.shape[1:]))
        facts.append((part, f"{len(images):,}", shape, str(images.dtype), f"{images.mean():.3f}", f"{images.std():.3f}"))
    yield _table(data.name, ("part", "images", "shape", "dtype", "mean", "std"), facts)
    counts = np.stack([np.bincount(labels, minlength=len(data.class_names)) for _, labels in parts.values()], axis=1)
    percents = 100 * counts / counts.sum(axis=0)
    rows = [
        (name, f"{train:,}", f"{train_percent:.2f}", f"{test:,}", f"{test_percent:.2f}")
        for name, (train, test), (train_percent, test_percent) in zip(data.class_names, counts, percents, strict=True)
    ]
    yield _table("images of each class", ("class", "train", "%", "test", "%"), rows)
    yield _table("SHA-256 of the uncompressed files", ("file", "SHA-256"), data.file_sha256.items())


def _table(title: str, headings: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    table = Table(title=title, title_justify="left")
    for index, heading in enumerate(headings):
        table.add_column(heading, justify="right" if index and heading != "SHA-256" else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table


def _draw(images: np.ndarray, titles: Sequence[str], path: Path, columns: int) -> None:
    from mnist_exp.report.images import image_grid

    if columns == 1:
        columns = min(10, round(len(images) ** 0.5)) if len(images) <= 16 else 10
    files.write(path, image_grid(images, titles, columns))
