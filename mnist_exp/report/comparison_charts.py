"""Charts of a comparison: learning curves, means with intervals, error against size and time with the Pareto front."""

from collections.abc import Iterator, Sequence

from mnist_exp.report import encodings as vl
from mnist_exp.report.chart_numbers import nice_step, thin_out
from mnist_exp.report.comparison_view import Configuration, Curve
from mnist_exp.report.encodings import Row, Spec
from mnist_exp.report.vega import Chart

MAX_INTERVALS = 30  # in one chart
MAX_POINTS = 12_000  # of all curves together
MIN_CURVE_POINTS, MAX_CURVE_POINTS = 12, 200
MIN_WIDTH = 512  # pixels
MAX_NAMES = 8  # of configurations on the front, in a description
PARTS = {
    "images": "images",
    "rest": "seeds",
    "both": "std",
}  # of the standard deviation over seeds, by name: see Group.spread
# By column: the title of the chart, of its axis, and what no configuration beyond the front has.
COSTS = {
    "parameters": ("Error and size", "parameters", "as few parameters"),
    "seconds": ("Error and time", "training s", "as short a training time"),
}


def pareto_mask(pairs: Sequence[tuple[float, float]]) -> list[bool]:
    """Return for each pair whether no other is as low in both numbers and lower in one: the Pareto front."""
    mask = [False] * len(pairs)
    best = float("inf"), float("inf")
    for place in sorted(range(len(pairs)), key=pairs.__getitem__):
        if pairs[place][1] < best[1] or pairs[place] == best:
            mask[place], best = True, pairs[place]
    return mask


def configuration_rows(configurations: Sequence[Configuration]) -> list[Row]:
    """Return the table with a row for each configuration."""
    fronts = {cost: pareto_mask([(getattr(one, cost), one.mean) for one in configurations]) for cost in COSTS}
    return [
        {
            **one.style.columns,
            "rank": one.rank,
            "label": one.label,
            "settings": one.overrides,
            "n": len(one.errors),
            "errors": [round(error, 4) for error in one.errors],
            "mean": round(one.mean, 4),
            "low": one.interval and round(one.interval[0], 4),
            "high": one.interval and round(one.interval[1], 4),
            "parameters": one.parameters,
            "seconds": round(one.seconds, 3),
            **{f"front_{cost}": mask[place] for cost, mask in fronts.items()},
        }
        for place, one in enumerate(configurations)
    ]


def learning_curves(curves: Sequence[Curve]) -> Chart:
    """Draw the validation error of each run by epoch, one of them of several epochs; the best is on top."""
    most = min(max(MAX_POINTS // len(curves), MIN_CURVE_POINTS), MAX_CURVE_POINTS)
    rows = []
    for curve in reversed(curves):
        shown = thin_out(curve.errors, most)
        points = {"epoch": curve.epochs[shown].tolist(), "error": curve.errors[shown].round(4).tolist()}
        rows.append({**curve.style.columns, **curve.labels, **points, "last": round(float(curve.errors[-1]), 4)})
    last = max(int(curve.epochs[-1]) for curve in curves)
    ends = [float(end) for curve in curves for end in (curve.errors.min(), curve.errors.max())]
    step = max(1, round(nice_step(last, 8)))  # no halves of epochs
    axis = {"format": "d", **vl.ticks(range(step, last + 1, step))}
    scale = {"domain": [1, last], "nice": False}
    encoding = {
        "x": vl.quantitative("epoch", "epoch", axis=axis, scale=scale),
        "y": vl.number_axis("error", "validation error %", ends, zero=True),
        "detail": {"field": "run"},
    }
    fields = vl.tooltip(run="run", configuration="configuration", repetition="repetition", last="last error %")
    flat = {"flatten": ["epoch", "error"]}
    layers = vl.lines(encoding, len(curves), fields, flat, point={"size": 24} if last <= 2 else False)
    description = f"Validation error in percent by epoch, a line for each of {len(curves):,} runs"
    spec = vl.chart(320, *layers, width=vl.WIDE)
    return Chart("learning_curves", "Learning curves", description, "runs", rows, spec, wide=True)


def intervals(configurations: Sequence[Configuration], error: str) -> Chart:
    """Draw the mean of each of the best configurations, with its interval and its runs.

    Args:
        configurations: best first, at least one.
        error: the heading of the metric: "validation error %".
    """
    best = configurations[:MAX_INTERVALS]
    x = vl.number_axis("mean", error, [end for one in best for end in (one.mean, *one.errors, *(one.interval or ()))])
    y = vl.nominal("label", sort=None, axis={"labelLimit": 420, "grid": False})
    only = {"filter": f"datum.rank <= {MAX_INTERVALS}"}
    layers = [vl.points({"x": x, "y": y}, _configuration_tooltip(error), only, size=70)]
    repeated = any(one.interval for one in best)
    if repeated:
        look = {"y": y, "color": vl.COLOR}
        runs = look | {"x": x | {"field": "errors"}, "opacity": vl.opacity(0.6)}
        interval = look | {"x": x | {"field": "low"}, "x2": {"field": "high"}, "opacity": vl.opacity(0.9)}
        layers = [
            vl.layer("tick", runs, only, {"flatten": ["errors"]}, thickness=1.5, size=12),
            vl.layer("rule", interval, only, {"filter": "isValid(datum.low)"}, strokeWidth=2),
            *layers,
        ]
    title = "Mean and interval" if repeated else f"{error.capitalize()}, best first"
    title += f": the best {len(best)}" if len(best) < len(configurations) else ""
    description = f"Mean {error} of {len(best)} configurations, with its interval and each run"
    note = "Points are means, lines their 95 % intervals over seeds by Student's t, ticks single runs." if repeated else ""
    spec = vl.chart(len(best) * (24 if len(best) > 6 else 40), *layers, width=vl.WIDE, padding=vl.MARGIN)
    rows = configuration_rows(configurations)
    return Chart("intervals", title, description, "configurations", rows, spec, note, wide=True, min_width=MIN_WIDTH)


def spreads(configurations: Sequence[Configuration]) -> Chart:
    """Draw the two parts of the standard deviation of the test error over seeds, for each of the best configurations.

    Args:
        configurations: best first; one of the best has a spread.
    """
    best = [(one, one.spread) for one in configurations[:MAX_INTERVALS] if one.spread is not None]
    rows = [
        {**one.style.columns, "label": one.label, "part": part, "size": round(spread[key], 4)}
        for one, spread in best
        for part, key in PARTS.items()
    ]
    title = "test error: std over seeds, percentage points"
    x = vl.number_axis("size", title, [row["size"] for row in rows], zero=True, log=False)
    y = vl.nominal("label", sort=None, axis={"labelLimit": 420, "grid": False})
    look = {"x": x, "y": y, "color": vl.COLOR, "tooltip": vl.tooltip(label="configuration", part="part", size="points")}
    images, rest, both = ({"filter": f"datum.part === '{part}'"} for part in PARTS)
    scale = {"domain": [*PARTS][:2], "paddingInner": 0.15}
    bar = look | {"yOffset": vl.nominal("part", sort=None, scale=scale)}
    layers = (
        vl.layer("bar", bar | {"opacity": vl.opacity(0.9)}, images),
        vl.layer("bar", bar | {"opacity": vl.opacity(0.45)}, rest),
        vl.layer("tick", look | {"opacity": vl.opacity(0.9)}, both, thickness=2, size=18 if len(best) > 6 else 30),
    )
    named = "; ".join(f"{one.label}: {size['images']:.2f} and {size['seeds']:.2f}" for one, size in best[:MAX_NAMES])
    description = f"Standard deviation of the test error over seeds of {len(best)} configurations, images and rest: {named}"
    note = (
        "The vertical line is the standard deviation over seeds. The upper bar is the part that finite test images make, "
        "the lower bar would remain with infinitely many. The squares of both add up to the square of the deviation."
    )
    more = f": the best {MAX_INTERVALS}" if len(configurations) > MAX_INTERVALS else ""
    spec = vl.chart(len(best) * (24 if len(best) > 6 else 40), *layers, width=vl.WIDE, padding=vl.MARGIN)
    title = f"Where the spread over seeds comes from{more}"
    return Chart("spreads", title, description, "spreads", rows, spec, note, wide=True, min_width=MIN_WIDTH)


def cost_charts(configurations: Sequence[Configuration], error: str) -> Iterator[Chart]:
    """Draw the error against the parameters and the training time, each if the configurations differ in it.

    Args:
        configurations: best first.
        error: the heading of the metric: "validation error %".
    """
    rows = configuration_rows(configurations)
    order = vl.quantitative("rank", sort="descending")  # the best on top
    for cost, (title, unit, phrase) in COSTS.items():
        costs = [getattr(one, cost) for one in configurations]
        if len(set(costs)) < 2:
            continue
        x, y = vl.number_axis(cost, unit, costs), vl.number_axis("mean", error, [one.mean for one in configurations])
        layers = vl.pareto_front(x, y, f"front_{cost}", _configuration_tooltip(error), order=order)
        names = [row["label"] for row in rows if row[f"front_{cost}"]]
        more = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
        description = f"Mean {error} against {unit}; on the Pareto front: {', '.join(names[:MAX_NAMES])}{more}"
        note = f"The large points are the Pareto front: no other configuration has {phrase} and as low an error."
        yield Chart(cost, title, description, "configurations", rows, vl.chart(280, *layers), note)


def _configuration_tooltip(error: str) -> list[Spec]:
    return vl.tooltip(
        label="configuration", settings="settings", n="runs", mean=error, low="95 % from", high="to",
        parameters="parameters", seconds="training s",
    )  # fmt: skip
