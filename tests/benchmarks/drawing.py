"""Measures drawing pages: their script against the model on all test images, in Node.js, and an answer's time in Chromium.

Each run is exported by the real command. Without a run, cnn_large is trained first.
"""

import argparse
import itertools
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from mnist_exp import datasets
from tests.benchmarks import manual
from tests.end_to_end.pages import CHROMIUM, FLAGS

TRAINED = ("model=cnn_large", "training.epochs=10", "progress=quiet")
IMAGES = 300  # in Chromium
HEAD = ("network", "parameters", "page", "largest difference", "changed answers", "Chromium: ms (95 % below)", "Node.js: ms")
# The times of answers, and that of the normalisation of a drawing.
MEASURE = """
images => {
  const { network, weights, shape: [height, width, channels] } = JSON.parse(document.getElementById('page').textContent)
  const model = NETWORK.load(network, weights), size = height * width * channels, pixels = NETWORK.bytes(images), times = []
  for (let at = 0; at < pixels.length; at += size) {
    const data = pixels.subarray(at, at + size), started = performance.now()
    NETWORK.probabilities(model, { height, width, channels, data })
    times.push(performance.now() - started)
  }
  const side = 280, ink = Uint8Array.from({ length: side * side }, (_, i) => (i * 7919) % 256), started = performance.now()
  for (let i = 0; i < 20; i++) NORMALIZATION.normalize({ height: side, width: side, data: ink })
  return { times, normalization: (performance.now() - started) / 20 }
}
"""


def main() -> None:
    """Print a table with a line for each run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="*", type=Path, metavar="RUN")
    parser.add_argument("--manual", action="store_true", help="write the table into the manual")
    parsed = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        runs = parsed.runs or [train(Path(directory))]
        lines = []
        rows = itertools.chain(
            [HEAD, ("---",) * len(HEAD)], (measure(run, Path(directory) / str(n)) for n, run in enumerate(runs))
        )
        for row in rows:
            lines.append(f"| {' | '.join(row)} |")
            print(lines[-1], flush=True)
    if parsed.manual:
        manual.replace_between(*manual.TABLES["drawing"], "\n".join(lines))


def train(directory: Path) -> Path:
    """Train cnn_large."""
    command(*TRAINED, f"runs_dir={directory / 'runs'}")
    (run,) = (directory / "runs").iterdir()
    return run


def measure(run: Path, place: Path) -> tuple[str, ...]:
    """Export a run, and return its line of the table."""
    command("export", str(run), "--format", "html", "--output", str(place))
    page = place / "draw.html"
    check = json.loads((place / "draw.html.json").read_text())["check"]
    summary = json.loads((run / "summary.json").read_text())
    found = in_chromium(page)
    times = found["times"]
    print(f"{run.name}: normalisation of a drawing: {found['normalization']:.1f} ms", file=sys.stderr)
    return (
        summary["model"]["name"],
        f"{summary['model']['parameters']:,}",
        f"{page.stat().st_size / 1000:,.0f} kB",
        f"{check['largest_difference']:.1e}",
        f"{check['changed']:,} of {check['n']:,}",
        f"{statistics.median(times):.1f} ({statistics.quantiles(times, n=20)[-1]:.1f})",
        f"{check['milliseconds_per_image']:.1f}",
    )


def in_chromium(page: Path) -> dict[str, Any]:
    """Return the milliseconds of each answer in a new browser."""
    from base64 import b64encode

    from playwright.sync_api import sync_playwright

    images = datasets.load("mnist").test_images[:IMAGES]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        opened = browser.new_page()
        opened.goto(page.resolve().as_uri())
        found: dict[str, Any] = opened.evaluate(MEASURE, b64encode(np.ascontiguousarray(images).tobytes()).decode())
        browser.close()
    return found


def command(*arguments: str) -> None:
    """Run the real command."""
    subprocess.run([sys.executable, "-m", "mnist_exp", *arguments], check=True)


if __name__ == "__main__":
    main()
