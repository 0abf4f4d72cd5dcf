"""The drawing page: one HTML file with a trained network, which needs neither a network connection nor this program."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

import mnist_exp
from mnist_exp.datasets.dataset import Dataset
from mnist_exp.report import page
from mnist_exp.runs.summary import Summary

FOLDER = Path(__file__).parent / "page"
# Everything that computes, which needs no page, and then what shows it.
SCRIPTS = (
    ("layers.js", "network.js", "normalization.js", "photo.js"),
    ("view.js", "decision.js", "answerer.js", "pen.js", "main.js"),
)
MAX_WRONG, MAX_RIGHT = 12, 20  # test images that are answered wrongly and correctly
MAX_BYTES = 2**19  # of the pixels of each


@dataclass(frozen=True)
class ScriptNetwork:
    """A network as page/network.js reads it."""

    networks: Sequence[Mapping[str, Any]]  # each with its `nodes` in the order of computation, and those that are `shown`
    output: int  # the place of the network whose result are the probabilities; it uses the others
    detector: Mapping[str, Any] | None  # of images that are not digits: its place, and the networks whose features it uses
    weights: bytes  # of all nodes
    shown: str | None = None  # which of several networks the page shows, in words


@dataclass(frozen=True)
class Confidence:
    """How the page decides whether it is sure: see `mnist_exp.trained.calibration`."""

    temperature: float
    threshold: float  # of the probability of a class at this temperature, to be in the set of possible classes
    confidence: float  # with which these sets contain the true class
    limit: float | None = None  # the largest score of the detector for an image that may be a digit


def render(
    network: ScriptNetwork,
    summary: Summary,
    run: str,
    data: Dataset,
    probabilities: np.ndarray,
    calibration: Confidence | None,
    is_handwriting: bool,
) -> str:
    """Return the page.

    Args:
        network: from uint8 images to probabilities.
        summary: of the run.
        run: its name.
        data: the data set; images of its test set are on the page.
        probabilities: of its test images, float32 (n, classes).
        calibration: from the held-out images; None without.
        is_handwriting: whether images are normalised as MNIST's: only then can a user draw one.
    """
    wrong, right = select_samples(probabilities, data)
    chosen = np.concatenate([wrong, right])
    predicted = probabilities.argmax(axis=1)
    content = {
        "shape": list(data.test_images.shape[1:]),
        "names": list(data.class_names),
        "isInk": data.ink,
        "isHandwriting": is_handwriting,
        "calibration": calibration and asdict(calibration),
        "hint": f"Draw {_subject(data)}." if is_handwriting else "Choose an image.",
        "network": {"networks": network.networks, "output": network.output, "detector": network.detector},
        "weights": base64.b64encode(network.weights).decode(),
        "samples": [
            {"index": int(index), "label": int(data.test_labels[index]), "predicted": int(predicted[index])}
            for index in chosen
        ],
        "pixels": base64.b64encode(data.test_images[chosen].tobytes()).decode(),
    }
    subject = _subject(data)
    return page.render(
        "draw.html.j2",
        scripts=["\n".join((FOLDER / name).read_text(encoding="utf-8") for name in names) for names in SCRIPTS],
        folder=FOLDER,
        page=content,
        content=page.json_script(content),
        summary=summary,
        run=run,
        heading=f"Draw {subject}" if is_handwriting else "Show it an image",
        subject=subject,
        wrong=list(range(len(wrong))),
        right=list(range(len(wrong), len(chosen))),
        averaged=network.shown,
        command=f"This page is written by: mnist-exp draw {run}",
        version=mnist_exp.__version__,
    )


def select_samples(probabilities: np.ndarray, data: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Select test images: the mistakes with the highest confidence, and correct answers of each class in turn.

    Returns:
        Indices of the wrong and of the right ones, int64.
    """
    most = MAX_BYTES // data.test_images[0].size
    predicted, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    is_right = predicted == data.test_labels
    wrong = np.flatnonzero(~is_right)
    wrong = wrong[np.argsort(-confidence[wrong], kind="stable")][: min(MAX_WRONG, most)]
    right = np.flatnonzero(is_right)
    labels = data.test_labels[right]
    ranks = np.empty(len(right), np.int64)  # of each within its class
    for label in np.unique(labels):
        ranks[labels == label] = np.arange(np.count_nonzero(labels == label))
    return wrong, right[np.lexsort((labels, ranks))][: min(MAX_RIGHT, most)]


def _subject(data: Dataset) -> str:
    return "a digit" if all(name.isdigit() for name in data.class_names) else "a character"
