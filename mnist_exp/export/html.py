"""The drawing page as a format of exports; its script is run by Node.js in the check."""

from pathlib import Path

from mnist_exp.export import drawing_page, node
from mnist_exp.export.drawing_page import Confidence
from mnist_exp.export.formats import Predict, Quantization
from mnist_exp.export.network import ExportedNetwork
from mnist_exp.export.script_network import convert
from mnist_exp.models.averaging import shift_count
from mnist_exp.trained.calibration import Calibration, calibrate

CONFIDENCE = 0.99  # of the sets of classes from which the page decides whether it is sure


def write(network: ExportedNetwork, path: Path, quantization: Quantization | None) -> None:  # noqa: ARG001
    """Write the page, with weights of 16 bits; there is no quantisation."""
    path.write_text(render(network), encoding="utf-8")


def render(network: ExportedNetwork) -> str:
    """Return the page."""
    completed = network.completed
    passes = sum(shift_count(run.experiment.evaluation.tta) for run in completed.runs)
    return drawing_page.render(
        convert(network.model),
        completed.row.summary,
        network.metadata["run"]["name"],
        completed.data,
        network.probabilities,
        _confidence(calibrate(completed, network.model, passes)),
        completed.data.handwriting,
    )


def load(path: Path) -> Predict:
    """Load the page's script in Node.js."""
    return node.load(path)


def _confidence(calibrated: Calibration | None) -> Confidence | None:
    """Return None if too few images are held out: every class would be possible, and each answer unsure."""
    if calibrated is None or not (threshold := calibrated.threshold(CONFIDENCE)):
        return None
    return Confidence(calibrated.temperature, threshold, CONFIDENCE)
