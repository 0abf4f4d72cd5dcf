"""Charts of a search: its history, the importance of its parameters, and the Pareto front of several objectives."""

import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mnist_exp.report import encodings as vl
from mnist_exp.report.encodings import Row, Spec, Style
from mnist_exp.report.vega import Chart

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

MAX_PARAMETERS = 12  # with a chart of their own
BAR_HEIGHT = 26  # pixels, with the space to the next


@dataclass(frozen=True)
class SearchResult:
    """A search whose objectives are all minimised."""

    objectives: Sequence[str]  # titles
    parameters: Mapping[str, "BaseDistribution"]
    trials: Sequence["FrozenTrial"]
    runs: Mapping[int, str]  # the name of a run's directory, by the number of its trial
    front: Collection[int]  # the numbers of the trials on the Pareto front
    importances: Sequence[Mapping[str, float]]  # by parameter, for each objective; empty if unknown


def trial_rows(result: SearchResult, styles: Mapping[str, Style]) -> list[Row]:
    """Return the table with a row for each completed trial."""
    lowest = [float("inf")] * len(result.objectives)
    rows = []
    for trial in result.trials:
        if trial.values is None or trial.state.name != "COMPLETE":
            continue
        lowest = [*map(min, lowest, trial.values)]
        run = result.runs.get(trial.number)
        row: Row = {**styles.get(run or "", vl.UNFINISHED).columns, "trial": trial.number, "run": run}
        row |= {"on_front": trial.number in result.front} | {f"lowest{place}": value for place, value in enumerate(lowest)}
        row |= {f"value{place}": _rounded(value) for place, value in enumerate(trial.values)}
        row |= {f"parameter{place}": _rounded(trial.params.get(key)) for place, key in enumerate(result.parameters)}
        rows.append(row)
    return rows


def charts(result: SearchResult, styles: Mapping[str, Style]) -> Iterator[Chart]:
    """Draw everything that the completed trials of a search show, if there are several.

    Args:
        result: of the search.
        styles: by the names of runs.
    """
    rows, names = trial_rows(result, styles), result.objectives
    if len(rows) < 2:  # one point says nothing
        return
    objectives = {f"value{place}": name for place, name in enumerate(names)}
    parameters = {f"parameter{place}": key for place, key in enumerate(result.parameters)}
    axes = [vl.number_axis(field, name, [row[field] for row in rows]) for field, name in objectives.items()]
    ends = [f": {name}" if len(names) > 1 else "" for name in names]  # of titles
    fields = vl.tooltip(trial="trial", run="run", **objectives, **parameters)

    number = vl.quantitative("trial", "trial", axis={"format": "d"}, scale={"padding": 8})
    for place, (name, y) in enumerate(zip(names, axes, strict=True)):
        best = vl.steps(number, y | {"field": f"lowest{place}"})
        description = f"{name} of each trial, and the lowest so far"
        spec = vl.chart(280, best, vl.points({"x": number, "y": y}, fields))
        yield Chart(f"history{place}", f"Search history{ends[place]}", description, "trials", rows, spec)
    for first, second in itertools.combinations(range(len(names))[:3], 2):
        pair = f"{names[second]} and {names[first]}"
        spec = vl.chart(280, *vl.pareto_front(axes[first], axes[second], "on_front", fields, join=len(names) == 2))
        description = f"{pair} of each trial; the table of trials lists those on the Pareto front"
        note = "The large points are the Pareto front: no other trial is as good by every objective and better by one."
        yield Chart(f"front{first}{second}", f"Pareto front: {pair}", description, "trials", rows, spec, note)
    for place, (name, shares) in enumerate(zip(names, result.importances, strict=True)):
        if shares:
            yield _importance(f"importance{place}", f"Parameter importance{ends[place]}", name, shares, len(rows))
    for field, (key, distribution) in zip(parameters, [*result.parameters.items()][:MAX_PARAMETERS], strict=False):
        x = _parameter_axis(field, key, distribution, [row[field] for row in rows if row[field] is not None])
        spec = vl.chart(220, vl.points({"x": x, "y": axes[0]}, fields))
        yield Chart(field, key, f"{names[0]} against {key}", "trials", rows, spec)


def _parameter_axis(field: str, key: str, distribution: "BaseDistribution", values: Sequence[Any]) -> Spec:
    choices = [str(choice) for choice in getattr(distribution, "choices", ())]
    if values and not choices:
        return vl.number_axis(field, key, values, log=getattr(distribution, "log", False))
    return vl.nominal(field, key, axis={"labelLimit": 120, "labelAngle": 0, "labelOverlap": True}, sort=choices)


def _importance(name: str, title: str, objective: str, shares: Mapping[str, float], trials: int) -> Chart:
    rows = [{"parameter": key, "share": round(share, 4)} for key, share in shares.items()]
    encoding = {
        "x": vl.quantitative("share", "importance", scale={"domain": [0, 1]}, axis={"format": "%"}),
        "y": vl.nominal("parameter", sort=None, axis={"labelLimit": 280, "grid": False}),
        "tooltip": vl.tooltip(parameter="parameter", share="share"),
    }
    bars = vl.layer("bar", encoding, color="#4a80c8", height={"band": 0.6})
    spec = vl.chart(BAR_HEIGHT * len(rows), bars, padding=vl.MARGIN)
    numbers = ", ".join(f"{key} {share:.0%}" for key, share in shares.items())
    description = f"Importance of each parameter for a low {objective}: {numbers}"
    note = f"By PED-ANOVA: how far the best of the {trials:,} trials differ from all in this parameter."
    return Chart(name, title, description, name, rows, spec, note)


def _rounded(value: Any) -> Any:
    return float(f"{value:.6g}") if isinstance(value, float) else value
