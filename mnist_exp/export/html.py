"""The drawing page as a format of exports; its script is run by Node.js in the check."""

import math
from pathlib import Path

from mnist_exp.export import drawing_page, node
from mnist_exp.export.drawing_page import Confidence
from mnist_exp.export.formats import Predict, Quantization
from mnist_exp.export.network import ExportedNetwork
from mnist_exp.export.script_network import convert
from mnist_exp.prediction.doubts import Doubts, learn

CONFIDENCE = 0.99  # of the sets of classes from which the page decides whether it is sure


def write(network: ExportedNetwork, path: Path, quantization: Quantization | None) -> None:  # noqa: ARG001
    """Write the page, with weights of 16 bits; there is no quantisation."""
    path.write_text(render(network), encoding="utf-8")


def render(network: ExportedNetwork) -> str:
    """Return the page."""
    completed = network.completed
    doubts = learn(completed, network.model)
    if doubts is not None and doubts.images < doubts.images_needed(CONFIDENCE):
        doubts = None  # every class would be possible, and each answer unsure
    detector = None if doubts is None or doubts.strangeness is None else doubts.strangeness.detector
    return drawing_page.render(
        convert(network.model, detector),
        completed.row.summary,
        network.metadata["run"]["name"],
        completed.data,
        network.probabilities,
        None if doubts is None else _confidence(doubts),
        completed.data.handwriting,
    )


def load(path: Path) -> Predict:
    """Load the page's script in Node.js."""
    return node.load(path)


def _confidence(doubts: Doubts) -> Confidence:
    threshold, limit = doubts.limits(CONFIDENCE)
    return Confidence(doubts.calibration.temperature, threshold, CONFIDENCE, None if math.isinf(limit) else limit)
