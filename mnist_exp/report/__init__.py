"""The report of a run for the eye: figures, and one self-contained HTML page."""

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from mnist_exp import runs
from mnist_exp.report import figures
from mnist_exp.training.history import Epoch

TEMPLATES = Path(__file__).parent / "templates"


def write(
    run: runs.Run,
    summary: dict[str, Any],
    errors: dict[str, Any],
    history: Sequence[Epoch],
    test_images: np.ndarray,
    class_names: Sequence[str],
    environment: dict[str, Any],
) -> None:
    """Draw the figures and write report.html, with the configuration as it stands in the run directory.

    Raises:
        EnvironmentFailure: a file cannot be written.
    """
    with runs.writing(run.figures):
        run.figures.mkdir(exist_ok=True)
        figures.learning_curves(history, run.figures / "learning_curves.png")
        figures.confusion(errors["confusion_matrix"], class_names, run.figures / "confusion_matrix.png")
        figures.reliability(errors["calibration"], run.figures / "reliability.png")
        if errors["worst_mistakes"]:
            figures.mistakes(errors["worst_mistakes"], test_images, class_names, run.figures / "worst_mistakes.png")
    page = (
        _environment()
        .get_template("report.html.j2")
        .render(
            run=run.directory.name,
            summary=summary,
            errors=errors,
            history=history,
            class_names=class_names,
            environment=environment,
            config=run.config.read_text(),
            pictures={path.stem: _data_url(path) for path in run.figures.glob("*.png")},
        )
    )
    runs.write(run.report, page.encode())


def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _data_url(path: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()
