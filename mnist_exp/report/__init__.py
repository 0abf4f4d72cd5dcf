"""The report of a run for the eye: figures, and one self-contained HTML page."""

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from mnist_exp import files, runs
from mnist_exp.report import figures
from mnist_exp.summary import Summary
from mnist_exp.training.history import Epoch

TEMPLATES = Path(__file__).parent / "templates"


def write(
    run: runs.Run,
    select: str,
    summary: Summary,
    errors: dict[str, Any],
    history: Sequence[Epoch],
    learning_rates: np.ndarray,
    test_images: np.ndarray,
    class_names: Sequence[str],
) -> None:
    """Draw the figures and write report.html, with the configuration and environment as they stand in the run directory.

    Raises:
        EnvironmentFailure: a file cannot be written.
    """
    drawn = {
        "learning_curves": figures.learning_curves(history, learning_rates),
        "confusion_matrix": figures.confusion(errors["confusion_matrix"], class_names),
        "reliability": figures.reliability(errors["calibration"]),
    }
    if errors["worst_mistakes"]:
        drawn["worst_mistakes"] = figures.mistakes(errors["worst_mistakes"], test_images, class_names)
    with files.writing(run.figures):
        run.figures.mkdir(exist_ok=True)
    for name, png in drawn.items():
        files.write(run.figures / f"{name}.png", png)
    page = (
        _environment()
        .get_template("report.html.j2")
        .render(
            run=run.directory.name,
            summary=summary,
            select=select,
            errors=errors,
            history=history,
            class_names=class_names,
            environment=runs.read_json(run.environment),
            config=run.config.read_text(),
            pictures={name: "data:image/png;base64," + base64.b64encode(png).decode() for name, png in drawn.items()},
        )
    )
    files.write(run.report, page.encode())


def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
