"""Charts of a search: its history, the importance of its parameters, and the Pareto front of several objectives."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from mnist_exp.report import encodings as vl
from mnist_exp.report.encodings import Row, Spec, Style
from mnist_exp.report.vega import Chart

MOST_PARAMETERS = 12  # with a chart of their own
BAR_HEIGHT = 26  # pixels, with the space to the next

State = Literal["completed", "pruned", "failed", "unfinished"]


@dataclass(frozen=True)
class Parameter:
    """A parameter of a search."""

    key: str
    choices: Sequence[str]  # empty for a number
    log: bool
    domain: str  # in words


@dataclass(frozen=True)
class Trial:
    """A trial of a search."""

    number: int
    state: State
    values: Sequence[float]  # of the objectives, if it completed
    parameters: Mapping[str, Any]
    run: str | None  # the name of its directory
    on_front: bool  # whether no other trial is better by all objectives


@dataclass(frozen=True)
class SearchResult:
    """A search: objectives, all to be minimised, parameters and trials."""

    objectives: Sequence[str]  # titles
    parameters: Sequence[Parameter]
    trials: Sequence[Trial]
    importances: Sequence[Mapping[str, float]]  # by parameter, for each objective; empty if unknown

    @property
    def completed(self) -> list[Trial]:
        """The trials with values."""
        return [trial for trial in self.trials if trial.state == "completed"]


def trial_rows(result: SearchResult, styles: Mapping[str, Style]) -> list[Row]:
    """The table with a row for each completed trial."""
    lowest = [float("inf")] * len(result.objectives)
    rows = []
    for trial in result.completed:
        lowest = [min(pair) for pair in zip(lowest, trial.values, strict=True)]
        row: Row = {**styles.get(trial.run or "", vl.UNFINISHED).columns, "trial": trial.number, "run": trial.run}
        row |= {"on_front": trial.on_front} | {f"lowest{place}": value for place, value in enumerate(lowest)}
        row |= {f"value{place}": _rounded(value) for place, value in enumerate(trial.values)}
        row |= {
            f"parameter{place}": _rounded(trial.parameters.get(each.key)) for place, each in enumerate(result.parameters)
        }
        rows.append(row)
    return rows


def charts(result: SearchResult, styles: Mapping[str, Style]) -> Iterator[Chart]:
    """Draw everything that the completed trials of a search show.

    Args:
        result: of the search.
        styles: by the names of runs.
    """
    trials, names = result.completed, result.objectives
    if not trials:
        return
    rows = trial_rows(result, styles)
    columns = zip(*(trial.values for trial in trials), strict=True)
    values = [
        vl.number_axis(f"value{place}", name, column)
        for place, (name, column) in enumerate(zip(names, columns, strict=True))
    ]
    fields = vl.tooltip(
        trial="trial", run="run", **{f"value{place}": name for place, name in enumerate(names)},
        **{f"parameter{place}": each.key for place, each in enumerate(result.parameters)},
    )  # fmt: skip

    number = vl.quantitative("trial", "trial", axis={"format": "d"}, scale={"padding": 8})
    for place, (name, y) in enumerate(zip(names, values, strict=True)):
        best = vl.steps(number, y | {"field": f"lowest{place}"})
        description = f"{name} of each trial, and the lowest so far"
        spec = vl.chart(280, best, vl.points({"x": number, "y": y}, fields))
        yield Chart(f"history{place}", f"Search history{_of(result, name)}", description, "trials", rows, spec)
    for (first, x), (second, y) in itertools.combinations(list(enumerate(values))[:3], 2):
        pair = f"{names[second]} and {names[first]}"
        spec = vl.chart(280, *vl.pareto_front(x, y, "on_front", fields, join=len(names) == 2))
        description = f"{pair} of each trial; the table of trials lists those on the Pareto front"
        note = "The large points are the Pareto front: no other trial is as good by every objective and better by one."
        yield Chart(f"front{first}{second}", f"Pareto front: {pair}", description, "trials", rows, spec, note)
    for place, (name, shares) in enumerate(zip(names, result.importances, strict=True)):
        if shares:
            yield _importance(f"importance{place}", name, shares, result)
    for place, parameter in enumerate(result.parameters[:MOST_PARAMETERS]):
        spec = vl.chart(220, vl.points({"x": _parameter_axis(place, parameter, trials), "y": values[0]}, fields))
        description = f"{names[0]} against {parameter.key}"
        yield Chart(f"parameter{place}", parameter.key, description, "trials", rows, spec)


def _parameter_axis(place: int, parameter: Parameter, trials: Sequence[Trial]) -> Spec:
    field = f"parameter{place}"
    numbers = [trial.parameters[parameter.key] for trial in trials if parameter.key in trial.parameters]
    if numbers and not parameter.choices:
        return vl.number_axis(field, parameter.key, numbers, log=parameter.log)
    look = {"labelLimit": 120, "labelAngle": 0, "labelOverlap": True}
    return vl.nominal(field, parameter.key, axis=look, sort=[*parameter.choices])


def _importance(name: str, objective: str, shares: Mapping[str, float], result: SearchResult) -> Chart:
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
    note = f"By PED-ANOVA: how far the best of the {len(result.completed):,} trials differ from all in this parameter."
    return Chart(name, f"Parameter importance{_of(result, objective)}", description, name, rows, spec, note)


def _of(result: SearchResult, objective: str) -> str:
    """The end of a title: the objective, if there are several."""
    return f": {objective}" if len(result.objectives) > 1 else ""


def _rounded(value: Any) -> Any:
    return float(f"{value:.6g}") if isinstance(value, float) else value
