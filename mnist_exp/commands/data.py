"""`mnist-exp data`: `show` draws a data set and the effect of an augmentation; `data_files` has the other actions."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rich.table import Table

from mnist_exp import datasets
from mnist_exp.commands import arguments as command_line
from mnist_exp.commands import data_files
from mnist_exp.commands.computing import on_cpu
from mnist_exp.config.schema import Experiment, RandomAugmentationConfig
from mnist_exp.datasets.dataset import Dataset
from mnist_exp.datasets.idx import format_shape
from mnist_exp.datasets.statistics import channel_statistics
from mnist_exp.errors import EXIT_DONE, InputError
from mnist_exp.machine import files
from mnist_exp.terminal import characters, messages

EXAMPLES = """\
  mnist-exp data list
  mnist-exp data fetch fashion_mnist kmnist
  mnist-exp data verify fashion_mnist
  mnist-exp data remove kmnist
  mnist-exp data show
  mnist-exp data show dataset=mnist --count 4 --output digits.png
  mnist-exp data show dataset=folder dataset.path=photos augmentation=flip
  mnist-exp data show augmentation=affine
  mnist-exp data show augmentation=affine augmentation.rotation=30 augmentation.elastic_alpha=20 seed=8
"""
SETTINGS = ("dataset", "augmentation", "seed")  # that determine the images
SPLIT = ("dataset.limit", "dataset.validation", "dataset.validation_of", "dataset.split", "dataset.split_seed")  # do not
ANY_DATA = ("training.batch_size=1", "dataset.validation=0")  # nothing is trained: the data may be too few for that
BATCH = 200  # of a training by default
MAX_CLASSES = 60  # in the table
UNBALANCED = 1.5  # times as many images in the largest class as in the smallest
MAX_IMAGES = 200
IMAGES, AUGMENTED = 20, 8  # drawn unless --count says otherwise
STEPS = 9  # of a training, next to each image


class Title(NamedTuple):
    """The title of an image, with places for the names of classes, which a picture and a terminal write differently."""

    text: str
    labels: tuple[int, ...] = ()


def main(arguments: list[str]) -> int:
    """Run an action of `data_files`, or print a data set's numbers and draw its first training images."""
    if arguments and arguments[0] in data_files.ACTIONS:
        return data_files.main(arguments)
    parser = command_line.parser("data", EXAMPLES)
    actions = ("show", *data_files.ACTIONS)
    parser.add_argument(
        "action", choices=actions, metavar="|".join(actions), help="what to do; all but show have a help of their own"
    )
    parser.add_argument(
        "settings", nargs="*", metavar="dataset=NAME|dataset.KEY=VALUE|augmentation=NAME|augmentation.KEY=VALUE|seed=N"
    )
    count_help = f"images to draw (default: {IMAGES}, or {AUGMENTED} with an augmentation)"
    parser.add_argument("--count", type=int, metavar="N", help=count_help)
    parser.add_argument(
        "--output", type=command_line.path, metavar="FILE", help="the PNG (default: NAME.png in the directory of the runs)"
    )
    text = "a directory with options of your own: dataset/NAME.yaml, augmentation/NAME.yaml"
    command_line.add_config_dir(parser, text)
    parsed = parser.parse_intermixed_args(arguments)
    experiment = _compose(parsed.settings, parsed.config_dir) if parsed.settings else None
    data = datasets.load(experiment.dataset.source if experiment else datasets.DEFAULT)
    augmentation = experiment.augmentation.name if experiment else "none"
    name, count = (data.name, IMAGES) if augmentation == "none" else (f"{data.name}_{augmentation}", AUGMENTED)
    count = min(count, len(data.train_labels)) if parsed.count is None else parsed.count
    path = Path(parsed.runs_dir) / f"{name}.png"
    if parsed.output is not None:
        path = command_line.output_file(parsed.output, [".png"])
    if not 1 <= count <= MAX_IMAGES:
        raise InputError(f"--count {count}: not allowed", f"allowed: an integer from 1 to {MAX_IMAGES}")

    messages.warn_all(data.warnings)
    images, titles, caption = _images(data, count, experiment)
    from mnist_exp.report.images import image_grid, plain_names

    columns = round(count**0.5) if augmentation == "none" and count <= 16 else 10
    if parsed.output is None:
        with files.writing(path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
    every = [title for row in titles for title in row]
    files.write_output(path, image_grid(_flat(images), _named(every, plain_names(data.class_names)), columns))
    console = messages.output()
    for table in _tables(data):
        console.print(table)
    console.print(_balance(data), markup=False, highlight=False)
    if console.is_terminal:
        across = characters.images_per_row(images.shape[3], console.width)
        rows, columns = (characters.ROWS * across, 1) if augmentation == "none" else (characters.ROWS, max(2, across))
        titled = _named([title for row in titles[:rows] for title in row[:columns]], data.class_names)
        console.print(characters.draw_images(_flat(images[:rows, :columns]), titled, console.width))
    messages.print_line(f"{caption}: {path}")
    return EXIT_DONE


def _compose(settings: Sequence[str], config_dir: str | None) -> Experiment:
    """Compose an experiment from overrides.

    Raises:
        ConfigError: the overrides have problems.
        InputError: an override has no effect on the images.
    """
    keys = [override.lstrip("+~").partition("=")[0] for override in settings]
    more = [override for override in ANY_DATA if override.partition("=")[0] not in keys]
    experiment = command_line.compose([*settings, *more], config_dir)
    for override, key in zip(settings, keys, strict=True):
        if key in SPLIT or (key not in SETTINGS and not key.startswith(("augmentation.", "dataset."))):
            cause = f"{override}: has no effect on the images"
            raise InputError(cause, f"allowed: {', '.join(SETTINGS)}, keys of the data set and augmentation.KEY")
    return experiment


def _images(data: Dataset, count: int, experiment: Experiment | None) -> tuple[np.ndarray, list[list[Title]], str]:
    """Return the first training images; for an augmentation, next to each its augmented versions in the first steps.

    Where the images are in the order of their classes, as in a folder for each class: the first ones of each class in turn.

    Returns:
        uint8 (count, columns, height, width, channels); the title of each image, count rows with a title for each column; a
        caption.
    """
    count = min(count, len(data.train_labels))
    size = min(max(count, BATCH if experiment else 0), len(data.train_labels))
    first = np.arange(size)
    caption = f"the first {count} training images"
    if (data.train_labels[:-1] <= data.train_labels[1:]).all():
        first = _in_turn(data.train_labels)[:size]
        caption += " of the classes in turn"
    batch, labels = data.train_images[first], data.train_labels[first].tolist()
    columns, titles = [batch[:count]], [[Title("{}", (label,)) for label in labels]]
    if experiment is not None and isinstance(experiment.augmentation, RandomAugmentationConfig):
        caption += f", each with its augmented versions in steps 0 to {STEPS - 1} of a training with seed {experiment.seed}"
        caption += ", mixed with the next image (a training shuffles)" if experiment.augmentation.mixup else ""
        with on_cpu() as cpu, cpu.scope():  # a GPU may be full
            import tensorflow as tf

            from mnist_exp.training import augmentation, transforms

            changes = augmentation.Augmentation(experiment.augmentation, batch.shape[1:], experiment.seed)
            for step in range(STEPS):
                draws = changes.draw(tf.constant(step, tf.int64), len(batch))
                images, title = changes.transform(tf.constant(batch), draws), [Title(f"step {step}")] * len(batch)
                if draws.shares is not None:
                    images = transforms.mix(images, draws.shares)
                    others = [*labels[1:], labels[0]]  # as in `transforms.next_in_batch`
                    title = [_shares(*one) for one in zip(draws.shares.numpy(), labels, others, strict=True)]
                columns.append(images.numpy()[:count])
                titles.append(title)
    rows = [list(row) for row in zip(*titles, strict=True)]
    return data.displayed(np.stack(columns, axis=1)), rows[:count], caption


def _in_turn(labels: np.ndarray) -> np.ndarray:
    """Return the indices of images, the first of each class, then the second of each, and so on."""
    order = np.argsort(labels, kind="stable")
    firsts = np.searchsorted(labels[order], labels[order])
    ranks = np.arange(len(labels)) - firsts  # of each image within its class
    return order[np.argsort(ranks, kind="stable")]


def _shares(share: float, label: int, other: int) -> Title:
    percent = round(100 * share)
    return (
        Title(f"{percent} % {{}}", (label,))
        if percent == 100
        else Title(f"{percent} % {{}}, {100 - percent} % {{}}", (label, other))
    )


def _named(titles: Iterable[Title], names: Sequence[str]) -> list[str]:
    """Return titles with the names of their classes."""
    return [title.text.format(*(names[label] for label in title.labels)) for title in titles]


def _flat(rows: np.ndarray) -> np.ndarray:
    """Reshape (rows, columns, …) to (rows * columns, …)."""
    return rows.reshape(-1, *rows.shape[2:])


def _tables(data: Dataset) -> Iterator[Table]:
    """Yield tables of the images, the classes and the files."""
    parts = {"train": (data.train_images, data.train_labels), "test": (data.test_images, data.test_labels)}
    facts, counts = [], []
    for part, (images, labels) in parts.items():
        means, deviations = zip(*channel_statistics(images, np.arange(len(images))), strict=True)
        numbers = (", ".join(f"{number:.3f}" for number in column) for column in (means, deviations))
        facts.append((part, f"{len(images):,}", format_shape(images.shape[1:]), str(images.dtype), *numbers))
        counts.append(np.bincount(labels, minlength=len(data.class_names)))
    yield _table(data.name, ("part", "images", "shape", "dtype", "mean", "std"), facts)
    classes, title = list(range(len(data.class_names))), "images of each class"
    if len(classes) > MAX_CLASSES:
        order, half = np.argsort(-counts[0], kind="stable").tolist(), MAX_CLASSES // 2
        classes, title = order[:half] + order[-half:], f"{title}: those with the most and those with the fewest"
    rows = []
    for number in classes:
        cells = [(f"{count[number]:,}", f"{100 * count[number] / max(1, count.sum()):.2f}") for count in counts]
        rows.append((data.class_names[number], *cells[0], *cells[1]))
    yield _table(title, ("class", "train", "%", "test", "%"), rows)
    if data.file_sha256:
        yield _table("SHA-256 of the uncompressed files", ("file", "SHA-256"), data.file_sha256.items())


def _balance(data: Dataset) -> str:
    """Return how different the sizes of the classes are."""
    counts = np.bincount(data.train_labels, minlength=len(data.class_names))
    if counts.min() == counts.max():
        return f"{len(counts):,} classes; each has {counts[0]:,} training images"
    least, most = (f"{counts[number]:,} ({data.class_names[number]})" for number in (counts.argmin(), counts.argmax()))
    text = f"{len(counts):,} classes; the smallest has {least} training images, the largest {most}"
    if counts.min() and counts.max() >= UNBALANCED * counts.min():
        text += "; training.class_weights=balanced counts them equally"
    return messages.sanitize(text)


def _table(title: str, headings: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    table = Table(title=messages.cell(title), title_justify="left")
    for index, heading in enumerate(headings):
        table.add_column(heading, justify="right" if index and heading != "SHA-256" else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(messages.cell, row))
    return table
