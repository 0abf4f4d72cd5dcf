"""The run whose weights a training starts from, and the layers that do not change: which exist, and which fit."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from mnist_exp import datasets
from mnist_exp.config.problems import nearest, not_allowed, remedy
from mnist_exp.config.schema import Experiment
from mnist_exp.config.shapes import Shape
from mnist_exp.config.weight_shapes import LayerShapes, head_layers, weight_shapes
from mnist_exp.errors import InputError, Problem

SETTINGS = ("initial_weights", "initial_weights_sha256", "freeze")
NEEDED = (*SETTINGS, "runs_dir", "dataset", "preprocessing", "model")  # to check these settings


@dataclass(frozen=True)
class Source:
    """A completed run with the weights to start from, as far as a configuration needs to know it."""

    directory: str  # absolute
    sha256: str  # of the weights
    layers: LayerShapes
    network: str  # the name of its model
    preprocessing: str
    class_names: tuple[str, ...] | None  # None: unknown


Find = Callable[[str, str], Source]  # the run that a user names, and the directory of runs → its weights; or a UserError


@dataclass(frozen=True)
class Match:
    """Which layers of a network start with the weights of another."""

    copied: tuple[str, ...]
    initialized: dict[str, str]  # the other layers, and why


def resolved(experiment: Experiment, find: Find | None) -> tuple[Experiment, list[Problem]]:
    """Return an experiment with the hash of its initial weights and the names of all layers to freeze, and its problems.

    Args:
        experiment: all settings in `NEEDED` are valid.
        find: None for a configuration that has been checked before: the source may have gone meanwhile.
    """
    if not any(getattr(experiment, name) for name in SETTINGS):  # of thousands of jobs, most
        return experiment, []
    layers = layers_of(experiment)
    frozen = [name for name in layers if any(fnmatchcase(name, pattern) for pattern in experiment.freeze)]
    problems = list(_check_freeze(experiment.freeze, layers, frozen))
    changes: dict[str, object] = {"freeze": tuple(frozen)}
    if find is not None and experiment.initial_weights is not None:
        try:
            source = find(experiment.initial_weights, experiment.runs_dir)
        except InputError as error:  # a damaged file is an error of its own
            if experiment.initial_weights_sha256 is None or not Path(experiment.initial_weights).is_absolute():
                problems.append(Problem("initial_weights", f"initial_weights={error.cause}", error.remedy))
            # else a job of a sweep: it may have a checkpoint, and otherwise reports it when it starts
        else:
            problems += check_source(experiment, source)
            changes |= {"initial_weights": source.directory, "initial_weights_sha256": source.sha256}
    elif (experiment.initial_weights is None) != (experiment.initial_weights_sha256 is None):
        given, other = SETTINGS[:2] if experiment.initial_weights_sha256 is None else reversed(SETTINGS[:2])
        problems.append(not_allowed(given, getattr(experiment, given), f"needs {other}", "write both, or neither"))
    return experiment.model_copy(update=changes), problems


def layers_of(experiment: Experiment) -> LayerShapes:
    """Return the layers with weights of the network of an experiment."""
    facts = datasets.facts(experiment.dataset.source)
    return weight_shapes(experiment.model, facts.image_shape, facts.classes)


def check_source(experiment: Experiment, source: Source) -> Iterator[Problem]:
    """Yield the problems of weights that are other ones than expected, or that the network cannot start from."""
    expected = experiment.initial_weights_sha256
    if expected not in (None, source.sha256):
        instead = f"accept the weights of {source.directory}: write initial_weights_sha256=null"
        yield not_allowed("initial_weights_sha256", expected, f"the weights have {source.sha256}", instead)
    if source.preprocessing != (own := experiment.preprocessing.name):
        reason = f"its layers expect pixels scaled by preprocessing={source.preprocessing}, not {own}"
        instead = f"write preprocessing={source.preprocessing}"
        yield Problem("preprocessing", f"initial_weights={source.directory}: {reason}", instead)
    if not match(experiment, source).copied:
        other = "" if source.network == experiment.model.name else f"model={source.network}, or "
        allowed = f"{other}a run with the same first layers, or null"
        reason = f"no layer of its network {source.network} fits one of model={experiment.model.name} by name and shape"
        yield not_allowed("initial_weights", source.directory, reason, remedy(allowed))


def match(experiment: Experiment, source: Source) -> Match:
    """Match layers by name and shape; the head only if the classes are the same, in the same order."""
    layers, theirs = layers_of(experiment), source.layers
    facts = datasets.facts(experiment.dataset.source)
    same_classes = facts.class_names == source.class_names
    initialized: dict[str, str] = {}
    for name, shapes in layers.items():
        if name not in theirs:
            initialized[name] = "not in the source"
        elif name in head_layers(layers) and not same_classes:
            initialized[name] = "unknown classes in the source" if source.class_names is None else "other classes"
        elif theirs[name] != shapes:
            initialized[name] = f"{_describe(theirs[name])} in the source, {_describe(shapes)} here"
    return Match(tuple(name for name in layers if name not in initialized), initialized)


def _describe(shapes: Sequence[Shape]) -> str:
    """Describe the shape of the first weight of a layer, such as its kernel."""
    return "×".join(map(str, shapes[0]))


def _check_freeze(patterns: Sequence[str], layers: LayerShapes, frozen: Sequence[str]) -> Iterator[Problem]:
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in layers):
            allowed = remedy(f"layers with weights: {', '.join(layers)}", nearest(pattern, layers))
            yield not_allowed("freeze", patterns, f"{pattern} is not a layer", allowed)
    if len(frozen) == len(layers):
        yield not_allowed("freeze", patterns, "leaves no layer to train", f"leave out a layer, such as {frozen[-1]}")
