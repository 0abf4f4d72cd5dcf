"""The evaluations of a completed run on other images than its test images: `evaluations/NAME/` in its directory."""

from pathlib import Path

from pydantic import ValidationError

from mnist_exp.machine.plain_data import read_json
from mnist_exp.runs.run import Run
from mnist_exp.runs.summary import Score

RESULT = "evaluation.json"  # the last file that an evaluation writes


def directory(run: Run, name: str) -> Path:
    """Return the directory of an evaluation, whose files are named as those of a run."""
    return run.evaluations / name


def read_scores(run: Run) -> dict[str, Score]:
    """Read the results of the evaluations by name; those that are not complete or damaged are left out."""
    scores = {}
    for path in sorted(run.evaluations.glob(f"*/{RESULT}")):
        try:
            scores[path.parent.name] = Score.model_validate(read_json(path).get("result"))
        except ValidationError:
            continue
    return scores
