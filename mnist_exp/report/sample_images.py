"""The test images that a page shows: some of each cell of the confusion matrix, and the worst mistakes, all on one sheet."""

import base64
from collections.abc import Sequence
from typing import Any

import numpy as np

from mnist_exp.datasets.dataset import Dataset
from mnist_exp.report import images, page

COLUMNS = 25  # of the sheet
MOST_WRONG, MOST_RIGHT = 24, 12  # of a cell
MOST = 800  # of all cells; they take 4 ms and 170 kB of the page


def chosen(probabilities: np.ndarray, labels: np.ndarray, worst: Sequence[int]) -> np.ndarray:
    """The most confident of every cell, a second of each before a third of any, as far as the page has room.

    Args:
        probabilities: float32 (n, classes).
        labels: integers (n,).
        worst: images that are wanted in any case.

    Returns:
        int64: images by their cells, those of a cell by their confidence, the greatest first.
    """
    n, classes = probabilities.shape
    predicted, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    cells = labels.astype(np.int64) * classes + predicted
    order = np.lexsort((-confidence, cells))
    firsts = np.flatnonzero(np.diff(cells[order], prepend=-1))
    ranks = np.arange(n) - np.repeat(firsts, np.diff(firsts, append=n))  # of each within its cell
    eligible = np.flatnonzero(ranks < np.where((predicted == labels)[order], MOST_RIGHT, MOST_WRONG))
    wanted = np.isin(order, worst)
    wanted[eligible[np.argsort(ranks[eligible], kind="stable")][:MOST]] = True
    return order[wanted]


def on_page(data: Dataset, probabilities: np.ndarray, worst: Sequence[int]) -> dict[str, Any]:
    """What a template needs: the sheet, the row and column of each image on it, and what confusion.js is `told` of them all.

    Args:
        data: whose test images they are.
        probabilities: float32 (n, classes), of all of them.
        worst: images that are wanted in any case.
    """
    indices = chosen(probabilities, data.test_labels, worst)
    likely = probabilities[indices]
    percent = [round(100 * confidence, 1) for confidence in likely.max(axis=1).tolist()]
    columns = indices.tolist(), data.test_labels[indices].tolist(), likely.argmax(axis=1).tolist(), percent
    answers = {index: said["most"] for index, said in raters(data).items()}
    told = {"columns": COLUMNS, "most": MOST_WRONG, "images": list(zip(*columns, strict=True)), "raters": answers}
    return {
        "png": base64.b64encode(images.sprite_sheet(data.test_images[indices], COLUMNS)).decode(),
        "columns": COLUMNS,
        "ratio": data.test_images.shape[1] / data.test_images.shape[2],
        "places": {index: divmod(place, COLUMNS) for place, index in enumerate(columns[0])},
        "told": page.embedded(told),
    }


def raters(data: Dataset) -> dict[int, dict[str, str]]:
    """What the raters say who rejected the label of a test image, by its index: the answer of `most`, and all `votes`."""
    said = {}
    for index, votes in data.mislabelled.votes.items() if data.mislabelled else ():
        named = [("neither" if label is None else data.class_names[label], count) for label, count in votes.items()]
        said[index] = {
            "most": " or ".join(name for name, count in named if count == named[0][1]),
            "votes": ", ".join(f"{count} say{'s' if count == 1 else ''} {name}" for name, count in named),
        }
    return said
