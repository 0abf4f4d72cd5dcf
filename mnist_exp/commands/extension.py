"""`mnist-exp resume RUN training.epochs=N`: train a completed run longer, as a new run that begins with its state.

The new run gets the last checkpoint, whose history includes the earlier epochs, and is then resumed like any other. The
result is bit-identical to that of a run with N epochs, if these have the same learning rates.
"""

import os
import shlex
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from mnist_exp import config, datasets, tracking
from mnist_exp.commands import arguments as command_line
from mnist_exp.commands import one_run
from mnist_exp.config.identity import flatten, identity
from mnist_exp.config.initial_weights import layers_of
from mnist_exp.config.problems import nearest_key
from mnist_exp.config.schema import Experiment
from mnist_exp.errors import ConfigError, InputError, IntegrityError
from mnist_exp.machine import files
from mnist_exp.machine.plain_data import UNREADABLE, read_bytes, read_yaml
from mnist_exp.runs import lineage
from mnist_exp.runs.directory import create_directory, read_config
from mnist_exp.runs.history import MAX_EPOCHS, Epoch, patience_exhausted
from mnist_exp.runs.lineage import Continued, InitialWeights, Lineage
from mnist_exp.runs.outcome import prepare_run
from mnist_exp.runs.run import Run
from mnist_exp.runs.status import REBUILD_HINT, read_record
from mnist_exp.runs.summary import Summary
from mnist_exp.terminal import messages
from mnist_exp.terminal.messages import pluralize
from mnist_exp.training import checkpoints, schedules
from mnist_exp.training.checkpoints import Checkpoint

EPOCHS = "training.epochs"
STATES = 8  # times the bytes of the weights: more than weights, optimizer, average and best weights take together


def extend(source: Run, overrides: Sequence[str], runs_dir: str | None) -> int:
    """Train a completed run to more epochs, as a new run, and print the result; return the exit code."""
    experiment, run = prepare(source, overrides, runs_dir)
    if experiment.progress != "quiet":
        messages.note(f"{run.directory}: continues {source.directory} to epoch {experiment.training.epochs}")
    return one_run.train(experiment, run)


def prepare(source: Run, overrides: Sequence[str], runs_dir: str | None = None) -> tuple[Experiment, Run]:
    """Create the run that continues a completed one; return its settings and its directory.

    Args:
        source: the completed run.
        overrides: a new number of epochs.
        runs_dir: the directory of the new run; None for the setting of the completed one.

    Raises:
        InputError: the run is not completed, or cannot be trained longer with the same result as a longer run.
        IntegrityError: its configuration or all its checkpoints are damaged.
        EnvironmentFailure: the new directory cannot be written.
    """
    summary = _completed(source)
    before = read_experiment(source)
    experiment = _with_epochs(source, before, overrides)
    experiment = experiment if runs_dir is None else experiment.model_copy(update={"runs_dir": runs_dir})
    _check_schedule(source, summary, before, experiment)
    start = _last_checkpoint(source, before)
    tracking.check_installed(experiment.tracker)
    datasets.check_available(experiment.dataset.source)
    label = f"{experiment.name}_s{experiment.seed}"
    run = Run(create_directory(Path(command_line.path(experiment.runs_dir)), label))
    try:
        checkpoints.save(run.checkpoints, replace(start, identity=identity(experiment)))
        files.write_table(run.history, start.history, Epoch)  # without a checkpoint it cannot be trained from the beginning
        lineage.write(run, _lineage(source, summary, start.epoch, run))
        if source.environment.exists():  # so that changes are reported, and the number of towers is the same
            files.write(run.environment, read_bytes(source.environment))
        prepare_run(experiment, run, _typed(source, f"{EPOCHS}={experiment.training.epochs}"), "running")
    except BaseException:  # also by a signal: what is left would be no run
        shutil.rmtree(run.directory, ignore_errors=True)
        raise
    return experiment, run


def read_experiment(run: Run) -> Experiment:
    """Read and check the config.yaml of a run that is trained further.

    Raises:
        ConfigError: it has been changed.
        IntegrityError: it is damaged.
    """
    try:
        tree = read_config(run)
    except ValueError as error:
        raise IntegrityError(str(error), "the run cannot be resumed: train it again") from None
    try:
        return config.validate(tree)
    except ConfigError:
        messages.note(f"{run.config}: is not valid; do not change the configuration of a run that has started")
        raise


def _completed(source: Run) -> Summary:
    record = read_record(source.directory)
    if source.ensemble.exists():
        raise InputError(f"{source.directory}: is an ensemble, which cannot be trained", REBUILD_HINT)
    if record.summary is None:
        cause = f"{source.directory}: {record.status}: only a completed run can be trained longer"
        raise InputError(cause, f"train it to its end first, with its own settings: mnist-exp resume {source.directory}")
    return record.summary


def _with_epochs(source: Run, before: Experiment, overrides: Sequence[str]) -> Experiment:
    """Return the experiment with the new number of epochs."""
    for line in overrides:
        key, _, value = line.partition("=")
        if key.lstrip("+~") != EPOCHS and nearest_key(key, flatten(before.model_dump(mode="json"))) == EPOCHS:
            raise InputError(f"{line}: unknown key", f"did you mean {EPOCHS}={value}?")
        if key != EPOCHS:
            cause = f"{line}: a run can be trained longer, but not with other settings"
            raise InputError(cause, f"allowed: {EPOCHS}=N; {_new_run(source, line)}")
    try:
        value = yaml.safe_load(overrides[-1].partition("=")[2])
    except yaml.YAMLError:
        value = overrides[-1].partition("=")[2]
    tree: dict[str, Any] = before.model_dump(mode="json")
    tree["training"]["epochs"] = value
    experiment = config.validate(tree)
    if experiment.training.epochs <= before.training.epochs:
        cause = f"{EPOCHS}={value}: {source.directory} was trained with {EPOCHS}={before.training.epochs}"
        raise InputError(cause, f"allowed: an integer from {before.training.epochs + 1} to {MAX_EPOCHS}")
    return experiment


def _check_schedule(source: Run, summary: Summary, before: Experiment, experiment: Experiment) -> None:
    """Raise InputError unless the first epochs of the longer training have the learning rates of the shorter one."""
    images, most = summary.dataset.train, datasets.facts(before.dataset.source).train_images
    if images > most:  # an untrusted number: with it, the learning rates would take any memory
        raise IntegrityError(f"{source.summary}: states {images:,} training images of {most:,}", "train the run again")
    steps = schedules.steps_per_epoch(images, before.training.batch_size)
    peak, epochs = before.optimizer.learning_rate, before.training.epochs
    known = schedules.learning_rates(before.schedule, peak, steps, epochs)
    longer = schedules.learning_rates(experiment.schedule, peak, steps, experiment.training.epochs)
    if not np.array_equal(known, longer[: len(known)]):
        cause = (
            f"{source.directory}: schedule={before.schedule.name} has its learning rates for {epochs} epochs;"
            f" the first {epochs} of {experiment.training.epochs} epochs have others, so no longer run begins with this one"
        )
        raise InputError(cause, _new_run(source, f"{EPOCHS}={experiment.training.epochs - epochs}"))


def _last_checkpoint(source: Run, before: Experiment) -> Checkpoint:
    weights = sum(np.prod(shape) for shapes in layers_of(before).values() for shape in shapes)
    start, faults = checkpoints.load_latest(source.checkpoints, identity(before), 4 * STATES * float(weights))
    if start is None:
        cause = f"{source.checkpoints}: no checkpoint found; a training continues from the state of its optimizer, too"
        raise InputError(cause, _new_run(source))
    for fault in faults:
        messages.warning(f"skipped a damaged checkpoint: {fault}")
    if start.history and patience_exhausted(start.history, before.training.early_stopping_patience):
        patience = before.training.early_stopping_patience
        cause = (
            f"{source.directory}: stopped after epoch {start.epoch}, since the validation error had not improved for"
            f" {pluralize(patience or 0, 'epoch')}; a longer run stops there, too"
        )
        raise InputError(cause, _new_run(source, "training.early_stopping_patience=null"))
    return start


def _new_run(source: Run, *overrides: str) -> str:
    """Return the advice to train a new run instead, with the settings of the run and some others."""
    words = _typed(source, f"initial_weights={source.directory}", *overrides)
    return f"start a new run from its weights: {shlex.join(['mnist-exp', *words])}"


def _typed(source: Run, *changes: str) -> list[str]:
    """Return the overrides of a run, as far as they can be read, with some of them replaced or added."""
    try:
        lines = read_yaml(source.overrides)
    except UNREADABLE:
        lines = []
    keys = {line.lstrip("+~").partition("=")[0] for line in changes}
    keys |= {"initial_weights_sha256"} if "initial_weights" in keys else set()
    kept = [line for line in lines if isinstance(line, str)] if isinstance(lines, list) else []
    return [*(line for line in kept if line.lstrip("+~").partition("=")[0] not in keys), *changes]


def _lineage(source: Run, summary: Summary, epochs: int, run: Run) -> Lineage:
    """Return what the new run starts from, including the weights from which the other started."""

    def relative(directory: Path) -> str:
        return os.path.relpath(directory.resolve(), run.directory.resolve())

    earlier: InitialWeights | None = None if summary.lineage is None else summary.lineage.initial_weights
    if earlier is not None:
        earlier = earlier.model_copy(update={"run": relative(source.directory / earlier.run)})
    known = {"name": summary.name, "seed": summary.seed, "config_hash": summary.config_hash}
    continued = Continued(run=relative(source.directory), epochs=epochs, **known)  # type: ignore[arg-type]
    return Lineage(initial_weights=earlier, continued=continued)
