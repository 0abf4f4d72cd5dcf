"""Charts of a search: how it went, what its parameters did, and which trials are best by several objectives."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from mnist_exp.report.encodings import MARGIN, Mark, dot, faded, front_line, measured, plane, points, shown_as, told
from mnist_exp.report.vega import Chart, Spec

TRIALS = "trials"  # the table
MOST_SLICES = 12  # parameters; each has a chart
BAR = 26  # pixels, with the space to the next

State = Literal["completed", "pruned", "failed", "unfinished"]


@dataclass(frozen=True)
class Parameter:
    """What a search chooses, and from what, in words."""

    key: str
    choices: Sequence[str]  # none, if it is a number
    log: bool
    domain: str


@dataclass(frozen=True)
class Trial:
    """One trial; its values are those of the objectives, if it completed."""

    number: int
    state: State
    values: Sequence[float]
    parameters: Mapping[str, Any]
    run: str | None  # the name of its directory
    label: str | None  # of its configuration
    on_front: bool  # whether no other is better by all objectives


@dataclass(frozen=True)
class SearchResult:
    """A search: what it makes small, what it chooses, and what came of it."""

    objectives: Sequence[str]  # as a reader would name them
    parameters: Sequence[Parameter]
    trials: Sequence[Trial]
    importances: Sequence[Mapping[str, float]]  # for each objective, by parameter; empty where nothing can be said

    @property
    def completed(self) -> list[Trial]:
        return [trial for trial in self.trials if trial.state == "completed"]


def tables(study: SearchResult, marks: Sequence[Mark]) -> dict[str, list[dict[str, Any]]]:
    """What the charts are made of: the trials that completed, and each objective's importances."""
    lowest = [float("inf")] * len(study.objectives)
    rows = []
    for trial in study.completed:
        lowest = [min(pair) for pair in zip(lowest, trial.values, strict=True)]
        row: dict[str, Any] = {
            "trial": trial.number,
            "of": shown_as(trial.label, marks),
            "run": trial.run,
            "front": trial.on_front,
        }
        row |= {f"value{place}": _short(value) for place, value in enumerate(trial.values)}
        row |= {f"best{place}": value for place, value in enumerate(lowest)}
        row |= {f"parameter{place}": _short(trial.parameters.get(each.key)) for place, each in enumerate(study.parameters)}
        rows.append(row)
    shares = {
        f"importances{place}": [{"parameter": key, "share": round(share, 4)} for key, share in found.items()]
        for place, found in enumerate(study.importances)
    }
    return {TRIALS: rows} | shares


def charts(study: SearchResult, marks: Sequence[Mark]) -> Iterator[Chart]:
    """All that can be drawn of a search."""
    if not study.completed:
        return
    for place in range(len(study.objectives)):
        yield history(study, marks, place)
    for first, second in ((0, 1), (0, 2), (1, 2)):
        if second < len(study.objectives):
            yield front(study, marks, first, second)
    for place, found in enumerate(study.importances):
        if found:
            yield importance(study, place)
    for place in range(min(len(study.parameters), MOST_SLICES)):
        yield slice_of(study, marks, place)


def history(study: SearchResult, marks: Sequence[Mark], objective: int) -> Chart:
    """The value of each trial, and the best so far."""
    name = study.objectives[objective]
    y = _value(study, objective)
    x = {"field": "trial", "type": "quantitative", "title": "trial", "axis": {"format": "d"}, "scale": {"padding": 8}}
    line = {"type": "line", "interpolate": "step-after", "color": "currentColor", "strokeWidth": 1.5, "opacity": 0.55}
    spec = {
        **plane(280),
        "encoding": {"x": x},
        "layer": [
            {"mark": line, "encoding": {"y": y | {"field": f"best{objective}"}}},
            {"mark": dot(), "encoding": {"y": y, **_of_trial(study, marks)}},
        ],
    }
    title = "How the search went" if len(study.objectives) == 1 else f"How the search went: {name}"
    return Chart(f"history{objective}", title, f"{name} of each trial, and the lowest so far", TRIALS, spec)


def slice_of(study: SearchResult, marks: Sequence[Mark], place: int) -> Chart:
    """The first objective against one parameter."""
    parameter = study.parameters[place]
    field = f"parameter{place}"
    numbers = [trial.parameters[parameter.key] for trial in study.completed if parameter.key in trial.parameters]
    if parameter.choices or not numbers:
        axis = {"labelLimit": 120, "labelAngle": 0, "labelOverlap": True}
        x: Spec = {"field": field, "type": "nominal", "title": parameter.key, "axis": axis, "sort": [*parameter.choices]}
    else:
        x = measured(field, parameter.key, min(numbers), max(numbers), log=parameter.log)
    encoding = {"x": x, "y": _value(study, 0), **_of_trial(study, marks)}
    spec = {**plane(220), "mark": dot(), "encoding": encoding}
    return Chart(f"slice{place}", parameter.key, f"{study.objectives[0]} against {parameter.key}", TRIALS, spec)


def importance(study: SearchResult, objective: int) -> Chart:
    """Which parameters decide about an objective."""
    shares = study.importances[objective]
    name = study.objectives[objective]
    x = {"field": "share", "type": "quantitative", "title": "importance", "scale": {"domain": [0, 1]}}
    y = {"field": "parameter", "type": "nominal", "sort": None, "title": None, "axis": {"labelLimit": 280, "grid": False}}
    spec = {
        **plane(BAR * len(shares)),
        "padding": MARGIN,
        "mark": {"type": "bar", "color": "#4a80c8", "height": {"band": 0.6}},
        "encoding": {
            "x": x | {"axis": {"format": "%"}},
            "y": y,
            "tooltip": told(("parameter", "parameter"), ("share", "share")),
        },
    }
    title = "What mattered" if len(study.objectives) == 1 else f"What mattered: {name}"
    numbers = ", ".join(f"{key} {share:.0%}" for key, share in shares.items())
    description = f"Importance of each parameter for a low {name}: {numbers}"
    note = f"By PED-ANOVA: in what the best of the {len(study.completed):,} trials differ from all."
    return Chart(f"importance{objective}", title, description, f"importances{objective}", spec, note)


def front(study: SearchResult, marks: Sequence[Mark], first: int, second: int) -> Chart:
    """Two objectives against each other; those of which none is better by all stand out, and with two are joined."""
    x, y = _value(study, first), _value(study, second)
    size = {"condition": {"test": "datum.front", "value": 110}, "value": 36}
    layers: list[Spec] = [{"mark": dot(), "encoding": {"x": x, "y": y, **_of_trial(study, marks), "size": size}}]
    if len(study.objectives) == 2:
        layers.insert(0, front_line(x, y, "front"))
    names = f"{study.objectives[second]} and {study.objectives[first]}"
    description = f"{names} of each trial; those of the Pareto front are listed in the table of trials"
    spec = {**plane(280), "layer": layers}
    note = "The large marks are the front: no other trial is at least as good by every objective, and better by one."
    return Chart(f"front{first}{second}", f"Pareto front: {names}", description, TRIALS, spec, note)


def _value(study: SearchResult, objective: int) -> Spec:
    values = [trial.values[objective] for trial in study.completed]
    return measured(f"value{objective}", study.objectives[objective], min(values), max(values))


def _of_trial(study: SearchResult, marks: Sequence[Mark]) -> Spec:
    fields = [("trial", "trial"), ("run", "run")]
    fields += [(f"value{place}", name) for place, name in enumerate(study.objectives)]
    fields += [(f"parameter{place}", each.key) for place, each in enumerate(study.parameters)]
    return points(marks) | {"opacity": faded(0.9), "tooltip": told(*fields)}


def _short(value: Any) -> Any:
    """A number as one would tell it."""
    return float(f"{value:.6g}") if isinstance(value, float) else value
