"""What must be equal, bit for bit, for two runs to have had the same result."""

import csv
import hashlib
import re
from pathlib import Path


def result_of(run: Path) -> tuple[str, str, list[dict[str, str]]]:
    """The hash of the weights, that of the predictions, and the history without its seconds."""
    hashes = re.findall(r"weights SHA-256 ([0-9a-f]{64})", (run / "train.log").read_text())
    with (run / "history.csv").open() as file:
        history = [
            {key: value for key, value in row.items() if key not in {"seconds", "images_per_second"}}
            for row in csv.DictReader(file)
        ]
    return hashes[-1], hashlib.sha256((run / "predictions.npz").read_bytes()).hexdigest(), history
