"""The confusions of many classes on a run's page: a heat map instead of a table of numbers, and the most frequent ones."""

import math
from collections.abc import Mapping, Sequence
from typing import Any
from unicodedata import east_asian_width

import numpy as np

TABLE_CLASSES = 12  # with more, a table of numbers would not fit
LISTED = 30  # of the most frequent confusions
WIDTH, MAX_CELL = 1040, 14  # pixels: of the heat map with its names, and of a cell, at most
MIN_MARK = 4  # pixels: the colour of a smaller cell would not be visible
MIN_CELL = 8  # pixels, from which each row and column has the name of its class
NARROW, BROAD = 0.62, 1.0  # width of a character as a part of the font size: Latin, and East Asian
NAME_CHARACTERS = 18


def heat_map(confusions: Sequence[Mapping[str, int]], names: Sequence[str]) -> dict[str, Any]:
    """Return what the template of a run's page needs to draw a heat map of confused classes.

    Args:
        confusions: from `evaluation.error_report`, the most frequent first.
        names: of all classes.

    Returns:
        The number of classes (`n`), pixels of a `cell` and of its `mark`, the `names` of rows and columns with their `font`
        size and the `margin` for them, the `cells` with their text, column, row and share of the most frequent mistake, and
        the `width`.
    """
    n = len(names)
    shown = [shorten(name, NAME_CHARACTERS) for name in names]
    longest = max(sum(BROAD if east_asian_width(character) in "WF" else NARROW for character in name) for name in shown)
    font = MAX_CELL - 3.0
    margin = math.ceil(font * longest) + 8
    cell = min(MAX_CELL, (WIDTH - margin) / n)
    if cell >= MIN_CELL:
        font = min(font, cell - 1)
        margin = math.ceil(font * longest) + 8
        cell = min(MAX_CELL, (WIDTH - margin) / n)
    else:
        shown, margin = [], 4
        cell = min(MAX_CELL, (WIDTH - margin) / n)
    most = confusions[0]["n"] if confusions else 1
    cells = [
        {
            "text": f"{names[one['label']]} taken for {names[one['predicted']]}: {one['n']:,}",
            "x": one["predicted"],
            "y": one["label"],
            "share": round(0.25 + 0.75 * one["n"] / most, 3),
        }
        for one in confusions
    ]
    size = round(margin + n * cell, 1)
    sizes = {"cell": round(cell, 3), "mark": round(max(cell, MIN_MARK), 3), "font": font, "margin": margin, "width": size}
    return {"n": n, "names": shown, "cells": cells} | sizes


def most_frequent(
    confusions: Sequence[Mapping[str, int]], probabilities: np.ndarray, labels: np.ndarray
) -> list[dict[str, Any]]:
    """Return the most frequent confusions, each with its share of the images of the true class and the surest mistake.

    Args:
        confusions: as in `heat_map`.
        probabilities: float32 (n, classes).
        labels: integers (n,).
    """
    predicted, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    images = np.bincount(labels, minlength=probabilities.shape[1])
    listed = []
    for one in confusions[:LISTED]:
        inside = np.flatnonzero((labels == one["label"]) & (predicted == one["predicted"]))
        share = 100 * one["n"] / int(images[one["label"]])
        listed.append({**one, "share": share, "index": int(inside[confidence[inside].argmax()])})
    return listed


def shorten(name: str, characters: int) -> str:
    """Return a name of at most that many characters."""
    return name if len(name) <= characters else f"{name[: characters - 1]}…"
