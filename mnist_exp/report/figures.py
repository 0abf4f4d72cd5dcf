"""The pictures of a run, each returned as the bytes of a PNG.

Matplotlib's objects are used without pyplot, which would cost half a second to import.
"""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator

from mnist_exp.training.history import Epoch

DOTS_PER_INCH = 150
CELL_WIDTH, CELL_HEIGHT = 1.07, 1.25  # inches, of an image of one inch and its title
TRAIN, VALIDATION, QUIET = "#3b6fb6", "#d1603d", "#8a8f98"


def learning_curves(history: Sequence[Epoch], learning_rates: np.ndarray) -> bytes:
    """Loss and error by epoch, for the training and, if there is one, the validation images; the learning rate by step.

    Args:
        history: a row for each epoch.
        learning_rates: of each step, float32 (steps_per_epoch * epochs,).
    """
    figure = Figure((12, 3.4), layout="constrained")
    *panels, last = figure.subplots(1, 3)
    epochs = [row.epoch for row in history]
    curves = (
        ("loss", [row.train_loss for row in history], [row.validation_loss for row in history]),
        (
            "error %",
            [row.train_error_percent for row in history],
            [row.validation_error_percent for row in history],
        ),
    )
    for axes, (name, train, validation) in zip(panels, curves, strict=True):
        axes.plot(epochs, train, "o-", color=TRAIN, markersize=3.5, label="training (during the epoch)")
        if any(value is not None for value in validation):
            axes.plot(epochs, validation, "s-", color=VALIDATION, markersize=3.5, label="validation (after it)")
        axes.set_xlim(0.5, len(epochs) + 0.5)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True) if len(epochs) > 1 else FixedLocator(epochs))
        _name(axes, name)
        axes.legend(frameon=False, fontsize=8)
    last.plot(np.arange(len(learning_rates)) / len(learning_rates) * len(epochs), learning_rates, color=TRAIN, linewidth=1.4)
    _name(last, "learning rate")
    return _png(figure)


def confusion(matrix: Sequence[Sequence[int]], class_names: Sequence[str]) -> bytes:
    """True against predicted classes; only mistakes are coloured, since nearly everything lies on the diagonal."""
    counts = np.asarray(matrix)
    mistakes = counts * (1 - np.eye(len(counts), dtype=counts.dtype))
    side = 1.6 + 0.42 * len(counts)
    figure = Figure((side, side), layout="constrained")
    axes = figure.subplots()
    axes.imshow(mistakes, cmap="Reds", vmin=0, vmax=max(1, mistakes.max()))
    for (row, column), count in np.ndenumerate(counts):
        if count:
            right = row == column
            dark = not right and mistakes[row, column] > 0.6 * mistakes.max()
            color = QUIET if right else "white" if dark else "black"
            axes.text(column, row, f"{count:,}", ha="center", va="center", fontsize=8, color=color)
    axes.set_xticks(range(len(class_names)), class_names)
    axes.set_yticks(range(len(class_names)), class_names)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return _png(figure)


def reliability(calibration: dict[str, Any]) -> bytes:
    """Accuracy against confidence; the area of a point grows with the images in its bin."""
    figure = Figure((4.6, 4.4), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], "--", color=QUIET, linewidth=1, label="perfect calibration")
    filled = [bin_ for bin_ in calibration["bins"] if bin_["n"]]
    total = sum(bin_["n"] for bin_ in filled)
    points = [(bin_["confidence"], bin_["accuracy"], 25 + 375 * bin_["n"] / total) for bin_ in filled]
    axes.scatter(*zip(*points, strict=True), color=TRAIN, alpha=0.75, clip_on=False, label="images in a bin of confidence")
    for bin_, (confidence, accuracy, area) in zip(filled, points, strict=True):
        below = -(9 + area**0.5 / 2)  # points: under the circle
        axes.annotate(
            f"{bin_['n']:,}",
            (confidence, accuracy),
            (0, below),
            textcoords="offset points",
            ha="center",
            fontsize=7,
            color=QUIET,
        )
    axes.set_xlim(-0.03, 1.03)
    axes.set_ylim(-0.03, 1.03)
    axes.set_xlabel("confidence")
    axes.set_ylabel("accuracy")
    axes.legend(frameon=False, fontsize=8, loc="upper left")
    _open(axes)
    return _png(figure)


def plate(images: np.ndarray, titles: Sequence[str], columns: int = 10) -> bytes:
    """Images under their titles, in rows.

    Args:
        images: uint8 (n, height, width, channels), n ≥ 1.
        titles: n of them.
        columns: at most so many in a row.
    """
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    high, wide = images.shape[1:3]
    width, height = wide / max(high, wide) / CELL_WIDTH, high / max(high, wide) / CELL_HEIGHT  # of an image, in cells
    figure = Figure((CELL_WIDTH * columns, CELL_HEIGHT * rows))
    axes = figure.add_axes((0, 0, 1, 1))  # one for all: an axes for each image would take seconds
    for index, (image, title) in enumerate(zip(images, titles, strict=True)):
        row, column = divmod(index, columns)
        middle, bottom = column + 0.5, row + 0.98
        place = (middle - width / 2, middle + width / 2, bottom, bottom - height)
        axes.imshow(image.squeeze(), cmap="gray_r", vmin=0, vmax=255, extent=place, aspect="auto")
        axes.text(middle, bottom - height - 0.02, title, fontsize=8, ha="center", va="bottom")
    axes.set_axis_off()
    axes.set_xlim(0, columns)
    axes.set_ylim(rows, 0)
    return _png(figure)


def mistakes(worst: Sequence[dict[str, Any]], images: np.ndarray, class_names: Sequence[str]) -> bytes:
    """The plate of the most confident mistakes: true class, predicted class, confidence."""
    titles = [
        f"{class_names[mistake['label']]} → {class_names[mistake['predicted']]}  {max(mistake['probabilities']):.0%}"
        for mistake in worst
    ]
    return plate(images[[mistake["index"] for mistake in worst]], titles)


def _name(axes: Axes, what: str) -> None:
    axes.set_ylim(bottom=0)
    axes.set_xlabel("epoch")
    axes.set_ylabel(what)
    _open(axes)


def _open(axes: Axes) -> None:
    """No box around the data, and a faint grid."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.set_axisbelow(True)


def _png(figure: Figure) -> bytes:
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=DOTS_PER_INCH)
    return content.getvalue()
