"""The weights of a completed run as the start of another."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from mnist_exp import config, datasets
from mnist_exp.config.dataset import AnyDataset
from mnist_exp.config.initial_weights import Source, match
from mnist_exp.config.schema import Experiment
from mnist_exp.datasets import polarity
from mnist_exp.datasets.dataset import Dataset, Split
from mnist_exp.datasets.sources import DescribedSet
from mnist_exp.errors import InputError, IntegrityError, UserError
from mnist_exp.machine import model_files
from mnist_exp.machine.model_files import Layers
from mnist_exp.machine.plain_data import LISTS, read_json
from mnist_exp.runs.directory import read_config
from mnist_exp.runs.held_out import split_images
from mnist_exp.runs.lineage import InitialWeights
from mnist_exp.runs.run import Run
from mnist_exp.runs.status import read_record
from mnist_exp.runs.summary import Summary

CHOICE = ("limit", "validation", "validation_of", "split", "split_seed")  # settings of a data set that choose images


def read_source(run: Run) -> Source:
    """Read a completed run.

    Raises:
        InputError: the run has no weights to start from.
        IntegrityError: its model is damaged.
    """
    return _source(run, _read_summary(run), _read_layers(run))


def _source(run: Run, summary: Summary, layers: Layers) -> Source:
    names = read_json(run.errors, LISTS).get("class_names")
    if names is None and (known := datasets.shipped().get(summary.dataset.name)) is not None:  # errors.json of older runs
        names = list(known.description.class_names)
    return Source(
        directory=str(run.directory.resolve()),
        sha256=model_files.sha256(layers),
        layers={name: tuple(weight.shape for weight in weights) for name, weights in layers.items()},
        network=summary.model.name,
        preprocessing=str(summary.settings.get("preprocessing.name")),
        class_names=tuple(names) if isinstance(names, list) else None,
    )


def load(experiment: Experiment, run: Run, data: Dataset, split: Split) -> tuple[Layers, InitialWeights]:
    """Load the weights from which a run starts, of the layers that fit.

    Args:
        experiment: with `initial_weights`.
        run: its directory.
        data: its data set.
        split: of its training images.

    Raises:
        InputError: the run with the weights does not exist any more, or its weights have changed.
        IntegrityError: its model or its summary is damaged.
    """
    source_run = Run(Path(str(experiment.initial_weights)))
    summary, layers = _read_summary(source_run), _read_layers(source_run)
    source = _source(source_run, summary, layers)
    if source.sha256 != experiment.initial_weights_sha256:
        cause = f"{source_run.model}: its weights have SHA-256 {source.sha256}, not {experiment.initial_weights_sha256}"
        raise InputError(cause, "restore the file, or train a new run")
    matched = match(experiment, source)
    seen = len(np.intersect1d(_trained_on(source_run, data, experiment.dataset), split.validation))
    return {name: layers[name] for name in matched.copied}, InitialWeights(
        run=os.path.relpath(source_run.directory.resolve(), run.directory.resolve()),
        name=summary.name,
        seed=summary.seed,
        config_hash=summary.config_hash,
        sha256=source.sha256,
        dataset=summary.dataset.name,
        network=summary.model.name,
        copied=list(matched.copied),
        initialized=matched.initialized,
        validation_seen=max(seen, _inherited(summary, split)),
    )


def polarity_warning(experiment: Experiment, data: Dataset) -> str | None:
    """Return a warning if the weights from which a run starts were trained on images with the opposite ground.

    None also if these images are not on this machine any more.
    """
    if polarity.ground(data.train_images) is None:
        return None
    try:
        source = config.validate(read_config(Run(Path(str(experiment.initial_weights))))).dataset.source
        if source == experiment.dataset.source:
            return None
        # `read` does not keep them: the training needs the memory.
        known = datasets.read(replace(source, fetch=False) if isinstance(source, DescribedSet) else source)
    except (UserError, ValueError):
        return None
    return None if known.sha256 == data.sha256 else polarity.warning(data.train_images, known.train_images)


def _inherited(summary: Summary, split: Split) -> int:
    """Return how many validation images the weights had seen before a run that held out the same ones."""
    origin = None if summary.lineage is None else summary.lineage.initial_weights
    return origin.validation_seen if origin is not None and summary.dataset.split_sha256 == split.sha256 else 0


def _trained_on(run: Run, data: Dataset, dataset: AnyDataset) -> np.ndarray:
    """Return the images on which the weights of a run were trained, int (n,), also before the run.

    Images of another data set are not recognised, nor is an origin that does not exist any more.

    Args:
        run: a completed run.
        data: the data set whose images are returned.
        dataset: settings of the data set, of which those that choose images are replaced by those of the run.
    """
    known = [np.empty(0, np.int64)]
    visited: set[Path] = set()
    while (summary := read_record(run.directory).summary) is not None and run.directory not in visited:
        visited.add(run.directory)
        if summary.dataset.sha256 == data.sha256:
            chosen = {name: summary.settings.get(f"dataset.{name}") for name in CHOICE}
            try:
                known.append(split_images(data, type(dataset).model_validate(dataset.model_dump() | chosen)).train)
            except (ValueError, UserError) as error:
                cause = f"{run.summary}: its settings choose no images: {' '.join(str(error).split())}"
                raise IntegrityError(cause, "choose another run, or train this one again") from None
        origin = None if summary.lineage is None else summary.lineage.initial_weights
        if origin is None:
            break
        run = Run((run.directory / origin.run).resolve())
    return np.unique(np.concatenate(known))


def _read_summary(run: Run) -> Summary:
    record = read_record(run.directory)
    if record.summary is None:
        remedy = record.remedy or "choose a completed run"
        raise InputError(f"{run.directory}: {record.status}: only a completed run has weights to start from", remedy)
    if record.summary.members is not None:
        example = os.path.normpath(run.directory / record.summary.members[0].run)
        raise InputError(f"{run.directory}: is an ensemble", f"choose one of its members, such as {example}")
    if not run.model.is_file():
        raise InputError(f"{run.model}: does not exist", "choose a completed run with its model")
    return record.summary


def _read_layers(run: Run) -> Layers:
    try:
        return model_files.read_layers(run.model)
    except (ValueError, OSError) as error:
        raise IntegrityError(str(error), "choose another run, or train this one again") from None
