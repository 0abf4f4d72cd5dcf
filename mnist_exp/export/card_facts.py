"""The facts that a model card states about a run, each section as a list of sentences in Markdown."""

import shlex
from collections.abc import Iterator
from typing import Any

from mnist_exp.comparison.rows import NOT_SETTINGS
from mnist_exp.config.conversions import PATHS, format_value
from mnist_exp.config.dataset import DescribedDatasetConfig
from mnist_exp.ensemble.completed import CompletedRun
from mnist_exp.export.markdown import block, code, text
from mnist_exp.machine.plain_data import UNREADABLE, read_json, read_yaml
from mnist_exp.runs.evaluations import read_scores
from mnist_exp.runs.run import Run
from mnist_exp.terminal.messages import pluralize, sanitize

NOT_RECORDED = "not recorded"
PLACES = PATHS - {"runs_dir"}  # settings with places on the machine that trained; runs_dir is left out
PLACE = "PATH"  # instead of such a place
# SHA-256 of the file of test images → what a publication found out about the people who wrote them.
WRITERS = {
    "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7": (
        "The test images are by 297 people who wrote no training image (Yadav and Bottou 2019, arXiv:1905.10498). The files "
        "do not say who wrote which, so the interval treats the images as independent, and is too narrow for new writers."
    )
}


def run_name(completed: CompletedRun) -> str:
    """Return the name of the directory of the run."""
    return sanitize(completed.run.directory.resolve().name)


def interval(bounds: Any) -> str:
    """Return an interval in percent."""
    low, high = bounds
    return f"{low:.2f} – {high:.2f}"


def model_details(completed: CompletedRun) -> Iterator[str]:
    """Yield what the network is, and who made it."""
    summary, data = completed.row.summary, completed.data
    height, width, channels = data.test_images.shape[1:]
    if completed.is_ensemble:
        members = ", ".join(code(run.run.directory.resolve().name) for run in completed.runs)
        yield f"The mean of the probabilities of {len(completed.runs)} networks: {members}."
    yield f"Model: {text(summary.model.name)}, {summary.model.parameters:,} parameters."
    yield f"Input: raw pixels, uint8, n×{height}×{width}×{channels}, from 0 to 255. The scaling is a part of the model."
    yield f"Output: a probability for each of {len(data.class_names):,} classes, float32, n×{len(data.class_names)}."
    shifts = {run.experiment.evaluation.tta for run in completed.runs} - {0}
    if shifts:
        yield f"Each prediction averages the image shifted by up to {pluralize(max(shifts), 'pixel')}, inside the model."
    precisions = sorted({run.experiment.precision for run in completed.runs})
    yield f"Precision of training and evaluation: {' and '.join(precisions)}; exported files compute in float32."
    environment = read_json(completed.run.environment)
    versions = environment.get("versions")
    if isinstance(versions, dict):
        listed = (f"{name} {versions[name]}" for name in ("mnist_exp", "tensorflow", "keras") if name in versions)
        yield f"Made by: {text(', '.join(listed))}."
    yield f"Started: {text(environment.get('started', NOT_RECORDED))}."
    yield f"Developers, contact, citation and the licence of the weights: {NOT_RECORDED}."


def intended_use(completed: CompletedRun) -> Iterator[str]:
    """Yield what follows from the data; the purpose is the user's."""
    yield f"The purpose for which it was trained, and its users: {NOT_RECORDED}."
    yield f"It can classify images like those of the evaluation data ({text(completed.data.name)})."
    yield (
        "Out of scope: images of anything else. The network has no class for them, and can give one of its classes a high "
        "probability."
    )


def factors(completed: CompletedRun) -> Iterator[str]:
    """Yield what is known about differences between the images."""
    groups = completed.row.summary.image_groups
    if groups is not None:
        yield f"The test images are of {groups.n:,} groups, such as writers; an interval below has groups as units."
    elif completed.data.test_groups is not None:
        yield "The test images are all of one group, such as one writer: the errors say nothing about other groups."
    else:
        yield f"Who wrote or made each image: {NOT_RECORDED}. So there are no errors by person."
    yield f"Age, language, pen, camera and other circumstances: {NOT_RECORDED}."
    yield from (fact for sha256 in completed.data.file_sha256.values() if (fact := WRITERS.get(sha256)))


def metrics(completed: CompletedRun) -> Iterator[str]:
    """Yield how the numbers are computed."""
    yield "Error: the percentage of images whose most probable class is not their label. There is no other threshold."
    yield "Interval: Wilson 1927, 95 %, for other images drawn in the same way, and for this one network."
    if completed.row.summary.image_groups is not None:
        yield "Interval for new groups: Korn and Graubard 1998, 95 %, with groups as units."


def evaluation_data(completed: CompletedRun) -> Iterator[str]:
    """Yield what the test images are, and their known faults."""
    data = completed.data
    yield f"{len(data.test_labels):,} test images of {text(data.name)} (SHA-256 of the data set: {code(data.sha256)})."
    yield from _licence(completed)
    if (study := data.mislabelled) is not None:
        wrong = sum(completed.probabilities[index].argmax() != data.test_labels[index] for index in study.votes)
        yield (
            f"{pluralize(len(study.votes), 'test image')} have a label that most raters of a study rejected; {wrong:,} of "
            f"them count as errors here ({text(study.source)})."
        )
    else:
        yield f"Wrong labels among the test images: {NOT_RECORDED}."
    yield f"How many other networks were compared on these test images: {NOT_RECORDED}."


def training_data(completed: CompletedRun) -> Iterator[str]:
    """Yield what the network learned from."""
    dataset = completed.row.summary.dataset
    yield f"{dataset.train:,} training images of {text(completed.data.name)}, from the same source as the evaluation data."
    if dataset.validation:
        chosen = {"drawn": "drawn at random", "last": "the last ones of each class", "groups": "whole groups of images"}
        how = " and ".join(sorted({chosen[run.experiment.dataset.split] for run in completed.runs}))
        yield f"{dataset.validation:,} validation images, held out of the training images: {how}."
    else:
        yield "No validation images."
    for run in completed.runs:
        if (lineage := run.row.summary.lineage) is not None:
            described = "; ".join(f"{name} {value}" for name, value in lineage.rows.items())
            yield f"{code(run.run.directory.resolve().name)} learned before, in another run: {text(described)}."
    names = sorted({run.experiment.augmentation.name for run in completed.runs})
    yield f"Augmentation: {', '.join(map(text, names))}."


def procedure(completed: CompletedRun) -> Iterator[str]:
    """Yield the settings; for an ensemble, those that its members share."""
    summary = completed.row.summary
    yield (
        f"{pluralize(summary.epochs, 'epoch')}"
        + (" of all members together" if completed.is_ensemble else f", seed {summary.seed}")
        + f". {'Settings that all members share' if completed.is_ensemble else 'Settings'}:"
    )
    shown = {key: value for key, value in sorted(summary.settings.items()) if _is_shown(key)}
    yield block(f"{key}={format_value(value)}" for key, value in shown.items())


def errors(completed: CompletedRun) -> Iterator[tuple[str, ...]]:
    """Yield the rows of the table of errors."""
    summary = completed.row.summary
    scores = {"test": summary.test} | ({"validation": summary.validation} if summary.validation else {})
    scores |= {f"evaluation {name}": score for name, score in read_scores(completed.run).items()}
    for name, score in scores.items():
        numbers = f"{score.n:,}", f"{score.errors:,}", f"{score.error_percent:.2f}"
        yield text(name), *numbers, interval(score.ci95)
        if name == "test" and (groups := summary.image_groups) is not None:
            yield "test, for new groups", *numbers, interval(groups.ci95)


def caveats(completed: CompletedRun) -> Iterator[str]:
    """Yield the known limits."""
    summary = completed.row.summary
    if completed.is_ensemble:
        yield "The user chose the members. If test errors decided, the test error is too low."
    else:
        yield "One training with one seed: another seed gives another error."
    selects_best = any(run.experiment.training.select == "best" for run in completed.runs)
    if summary.validation is not None and selects_best:
        yield "The epoch was chosen by the validation error, which is therefore too low; the test error is not."
    if summary.validation is not None and any(run.row.summary.has_seen_validation for run in completed.runs):
        yield "The weights had been trained on some of the validation images before; the validation error is too low."
    if summary.validation is not None and completed.data.train_groups is None:
        yield (
            "Validation images may have the same writers or sources as training images; their error is then too low for new "
            "ones."
        )
    if any(run.experiment.training.label_smoothing for run in completed.runs):
        yield "Label smoothing makes the probabilities of right predictions smaller: see the calibration error."
    yield "The error on images from elsewhere (other writers, pens, scanners, cameras) is not known; it is usually larger."
    yield "Before use, test the network on images of your own whose classes you know."


def time(completed: CompletedRun) -> Iterator[str]:
    """Yield what the training took."""
    summary = completed.row.summary
    of_all = " of all members" if completed.is_ensemble else ""
    yield f"Training{of_all}: {summary.train_seconds:,.1f} s; in total {summary.wall_seconds:,.1f} s."
    for machine in sorted({_machine(read_json(run.run.environment)) for run in completed.runs}):
        yield f"Computed on: {text(machine)}."
    yield "Energy: not measured."


def reproduction(completed: CompletedRun) -> Iterator[str]:
    """Yield the commands that repeat the run."""
    commands = []
    for run in completed.runs:
        overrides = _overrides(run.run)
        commands.append(
            f"mnist-exp  # {NOT_RECORDED}" if overrides is None else f"mnist-exp {shlex.join(overrides)}".rstrip()
        )
    if completed.is_ensemble:
        commands.append(f"mnist-exp ensemble {shlex.join(run.run.directory.resolve().name for run in completed.runs)}")
    yield f"The overrides as they were typed, where a place on the machine that trained is {PLACE}:"
    yield block(commands, "console")
    settings = (
        ""
        if completed.is_ensemble
        else f"The settings above have the `config_hash` {code(completed.row.summary.config_hash)}. "
    )
    yield (
        f"{settings}With the same settings, versions of the libraries, processor and number of threads, the weights are "
        "bit-identical on a CPU."
    )


def _licence(completed: CompletedRun) -> Iterator[str]:
    settings = completed.runs[0].experiment.dataset
    if isinstance(settings, DescribedDatasetConfig):
        yield f"Licence of the data set: {text(settings.description.licence)}. {text(settings.description.attribution)}."
    else:
        yield f"The licence and the origin of the data set: {NOT_RECORDED}."


def _machine(environment: dict[str, Any]) -> str:
    """Return the processor and the GPUs in environment.json, an untrusted file."""
    cpu, gpus = environment.get("cpu"), environment.get("gpus")
    names = [cpu.get("model") if isinstance(cpu, dict) else None]
    names += [gpu.get("device_name") for gpu in gpus if isinstance(gpu, dict)] if isinstance(gpus, list) else []
    return f"{', '.join(str(name or NOT_RECORDED) for name in names)}; device {environment.get('device', NOT_RECORDED)}"


def _overrides(run: Run) -> list[str] | None:
    """Return the overrides of a run without those that only say where and how it was executed; None if unreadable."""
    try:
        typed = read_yaml(run.overrides)
    except UNREADABLE:
        return None
    if not isinstance(typed, list) or not all(isinstance(one, str) for one in typed):
        return None
    kept = []
    for override in typed:
        key, equals, _ = override.partition("=")
        if key.lstrip("+") in PLACES:
            kept.append(f"{key}={PLACE}")
        elif _is_shown(key.lstrip("+~")) or not equals:
            kept.append(override)
    return kept


def _is_shown(key: str) -> bool:
    """Return whether a setting is part of the protocol."""
    return key.partition(".")[0] not in NOT_SETTINGS | {"hydra"} and key not in PLACES
