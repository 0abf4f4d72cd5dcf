"""The test images on a run's page, in one sprite sheet: examples of each cell of the confusion matrix, worst mistakes."""

import base64
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from mnist_exp.datasets.dataset import Dataset
from mnist_exp.report import images, page

COLUMNS = 25  # of the sprite sheet
MAX_WRONG, MAX_RIGHT = 24, 12  # of a cell
MAX_IMAGES = 800  # of all cells; of digits, they take 4 ms and 170 kB of the page
MAX_BYTES = 2**21  # of their pixels


def select(probabilities: np.ndarray, labels: np.ndarray, required: Sequence[int], most: int = MAX_IMAGES) -> np.ndarray:
    """Select the most confident test images of each cell, a second one of each before a third one of any.

    Args:
        probabilities: float32 (n, classes).
        labels: integers (n,).
        required: images that are always selected.
        most: number of other images.

    Returns:
        Indices of images, int64, by cell and then by falling confidence.
    """
    n, classes = probabilities.shape
    predicted, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    cells = labels.astype(np.int64) * classes + predicted
    order = np.lexsort((-confidence, cells))
    firsts = np.flatnonzero(np.diff(cells[order], prepend=-1))
    ranks = np.arange(n) - np.repeat(firsts, np.diff(firsts, append=n))  # of each within its cell
    eligible = np.flatnonzero(ranks < np.where((predicted == labels)[order], MAX_RIGHT, MAX_WRONG))
    selected = np.isin(order, required)
    selected[eligible[np.argsort(ranks[eligible], kind="stable")][:most]] = True
    return order[selected]


def template_values(
    data: Dataset, probabilities: np.ndarray, required: Sequence[int], only_required: bool = False
) -> dict[str, Any]:
    """Return what the template of a run's page needs to show test images.

    Args:
        data: the data set.
        probabilities: of its test images, float32 (n, classes).
        required: indices of images that are always selected.
        only_required: select no other images.

    Returns:
        The sprite sheet as Base64 (`png`), its number of `columns`, the `ratio` of an image's height to its width, the row
        and column of each image (`places`), the answers of human `raters`, and the data of confusion.js (`json`).
    """
    shape = images.thumbnails(data.displayed(data.test_images[:1])).shape[1:]
    most = 0 if only_required else min(MAX_IMAGES, MAX_BYTES // math.prod(shape))
    indices = select(probabilities, data.test_labels, required, most)
    selected = probabilities[indices]
    percent = [round(100 * confidence, 1) for confidence in selected.max(axis=1).tolist()]
    columns = indices.tolist(), data.test_labels[indices].tolist(), selected.argmax(axis=1).tolist(), percent
    raters = _rater_answers(data)
    sheet = images.thumbnails(data.displayed(data.test_images[indices if len(indices) else [0]]))
    content = {"columns": COLUMNS, "most": MAX_WRONG, "images": list(zip(*columns, strict=True))}
    content["raters"] = {index: answer["most"] for index, answer in raters.items()}
    return {
        "png": base64.b64encode(images.sprite_sheet(sheet, COLUMNS)).decode(),
        "columns": COLUMNS,
        "ratio": shape[0] / shape[1],
        "places": {index: divmod(place, COLUMNS) for place, index in enumerate(columns[0])},
        "raters": raters,
        "json": page.json_script(content),
    }


def _rater_answers(data: Dataset) -> dict[int, dict[str, str]]:
    """Return the answer of `most` raters and all `votes`, by the index of each test image whose label they rejected."""
    answers = {}
    for index, votes in data.mislabelled.votes.items() if data.mislabelled else ():
        named = [("neither" if label is None else data.class_names[label], count) for label, count in votes.items()]
        answers[index] = {
            "most": " or ".join(name for name, count in named if count == named[0][1]),
            "votes": ", ".join(f"{count} say{'s' if count == 1 else ''} {name}" for name, count in named),
        }
    return answers
