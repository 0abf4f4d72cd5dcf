"""The values that must be bit-identical in two runs with the same result."""

import csv
import hashlib
import re
from pathlib import Path


def result_of(run: Path) -> tuple[str, str, list[dict[str, str]]]:
    """Return the hashes of weights and predictions, and the history without times."""
    hashes = re.findall(r"weights SHA-256 ([0-9a-f]{64})", (run / "train.log").read_text())
    with (run / "history.csv").open() as file:
        history = [
            {key: value for key, value in row.items() if key not in {"seconds", "images_per_second", "compile_seconds"}}
            for row in csv.DictReader(file)
        ]
    return hashes[-1], hashlib.sha256((run / "predictions.npz").read_bytes()).hexdigest(), history
