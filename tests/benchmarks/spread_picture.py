"""The picture of the two sources of chance in the manual: the errors of two configurations by seed and by test images.

Run with `make spread-picture`. It is drawn from the networks in the tour of `compare`, on disjoint random sets of the test
images. Look at it before it is committed.
"""

import json
import sys

import numpy as np

from mnist_exp.report import encodings as vl
from mnist_exp.report import vega
from mnist_exp.report.encodings import Row
from mnist_exp.report.vega import Chart
from tests.conftest import ROOT

PICTURE = ROOT / ".assets" / "spread.svg"
CONFIGURATIONS = {"A": "cnn_large 0.002", "B": "cnn_large 0.001"}  # those that are undecided in the tour
SEEDS, IMAGES, SETS = 5, 10_000, 5
CHOICE = 0  # seed of the random choice
# A picture in a Markdown page has no surrounding text whose colour it could take.
STYLE = """<style>
svg { color: #1c2330; background: #ffffff; }
@media (prefers-color-scheme: dark) { svg { color: #e6e9ee; background: #1b212a; } }
</style>"""


def measure() -> list[Row]:
    """Return the errors of the networks of both configurations on each set of test images, in percent, and their mean."""
    tour = json.loads((ROOT / "tests" / "data" / "tour.json").read_text())
    wrong = np.zeros((len(CONFIGURATIONS), SEEDS, IMAGES), bool)
    for place, key in enumerate(CONFIGURATIONS.values()):
        for seed in range(SEEDS):
            wrong[place, seed, tour[f"{key} {seed}"]] = True
    images = np.random.default_rng(CHOICE).permutation(IMAGES)
    rows = []
    for number, part in enumerate(np.array_split(images, SETS), 1):
        for place, name in enumerate(CONFIGURATIONS):
            errors = 100 * wrong[place][:, part].mean(axis=1)
            row = {"set": f"set {number}", "name": name, "color": vl.COLORS[place], "errors": errors.tolist()}
            rows.append(row | {"mean": float(errors.mean())})
    return rows


def draw(rows: list[Row]) -> str:
    """Return the picture as SVG."""
    x = vl.quantitative("mean", "test error %", scale={"zero": False, "padding": 12}, axis={"tickCount": 8})
    y = vl.nominal("set", axis={"domain": False, "grid": False})
    offset = vl.nominal("name", scale={"domain": [*CONFIGURATIONS], "paddingInner": 0.1, "paddingOuter": 0.5})
    place = {"y": y, "yOffset": offset, "color": vl.COLOR}
    one, mean, name = (place | {"x": x | {"field": field}} for field in ("errors", "mean", "mean"))
    layers = (
        vl.layer("tick", one, {"flatten": ["errors"]}, thickness=1.5, size=12, opacity=0.8),
        vl.layer("point", mean, filled=True, size=80, opacity=1),
        *(
            vl.layer("text", name, {"filter": f"datum.name === '{text}'"}, dy=side, text=text, fontWeight="bold", opacity=1)
            for text, side in zip(CONFIGURATIONS, (-11, 12), strict=True)
        ),
    )
    svg = vega.static_svg(Chart("spread", "", "", "", rows, vl.chart(64 * SETS, *layers, width=620, padding=14)))
    start = svg.index(">") + 1
    return f"{svg[:start]}{STYLE}{svg[start:]}\n"


def main() -> int:
    """Draw it, and print its numbers."""
    rows = measure()
    PICTURE.write_text(draw(rows))
    for row in rows:
        print(f"{row['set']}, {row['name']}: {row['mean']:.2f}; {', '.join(f'{error:.2f}' for error in row['errors'])}")
    print(f"look at it: {PICTURE}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
