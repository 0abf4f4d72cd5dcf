"""One run as a story: load, build, train, evaluate, report, finish."""

import hashlib
import logging
import time
from typing import Any

import keras
import numpy as np

from mnist_exp import datasets, environment, evaluation, models, preprocessing, report, runs
from mnist_exp.config.checks import validation_images
from mnist_exp.config.schema import Experiment, config_hash
from mnist_exp.datasets.dataset import split
from mnist_exp.progress import Display, display, sentence
from mnist_exp.runs import Run
from mnist_exp.training import checkpoints, device, optimizers, schedules
from mnist_exp.training.checkpoints import Checkpoint
from mnist_exp.training.history import Epoch
from mnist_exp.training.loop import Trainer

log = logging.getLogger(__name__)


def run(experiment: Experiment, run: Run) -> dict[str, Any]:
    """Train and evaluate one experiment into its run directory, from its last checkpoint if it has one.

    Returns:
        The content of summary.json, which is written last.

    Raises:
        IntegrityError: the data, or every checkpoint, is damaged.
        DivergenceError: the loss is not finite any more.
        EnvironmentFailure: the device is not there, or a file cannot be written.
    """
    began = time.perf_counter()
    place = device.prepare(experiment.device, experiment.precision, experiment.threads, experiment.seed)
    surroundings = environment.describe() | {"device": place, "threads": device.thread_settings()}
    runs.write_json(run.environment, surroundings)
    log.info("training on %s in %s", place, experiment.precision)

    data = datasets.load(experiment.dataset.name)
    held_out = validation_images(experiment.dataset)
    parts = split(data.train_labels, experiment.dataset.limit, held_out, experiment.dataset.split_seed)
    images, labels = data.train_images[parts.train], data.train_labels[parts.train]
    log.info("%d training, %d validation, %d test images", len(labels), held_out, len(data.test_labels))

    scaling = preprocessing.build(experiment.preprocessing, images)
    model = models.build(experiment.model, scaling, data.train_images.shape[1:], len(data.class_names))
    training = experiment.training
    rates = schedules.learning_rates(
        experiment.schedule,
        experiment.optimizer.learning_rate,
        steps_per_epoch=-(-len(labels) // training.batch_size),
        epochs=training.epochs,
    )
    optimizer = optimizers.build(experiment.optimizer, experiment.precision)
    trainer = Trainer(model, optimizer, rates, images, labels, training.batch_size, experiment.seed, place)
    validation = data.train_images[parts.validation], data.train_labels[parts.validation]
    history = _resume(trainer, run)
    with display(experiment.progress, training.epochs, len(labels), trainer.epoch) as shown:
        _train(trainer, history, validation, training.epochs, training.checkpoint_every, run, shown)
    log.info("weights SHA-256 %s", weights_sha256(model))

    probabilities = trainer.predict(data.test_images)
    errors = evaluation.error_report(probabilities, data.test_labels, data.class_names)
    with runs.replacing(run.model) as temporary:
        model.save(temporary)
    runs.write_arrays(run.predictions, {"probabilities": probabilities, "labels": data.test_labels})
    runs.write_json(run.errors, errors)

    train_seconds = sum(row.seconds for row in history)
    summary = {
        "schema": runs.SUMMARY_SCHEMA,
        "name": experiment.name,
        "status": "completed",
        "seed": experiment.seed,
        "config_hash": config_hash(experiment),
        "dataset": {
            "name": data.name,
            "sha256": data.sha256,
            "train": len(labels),
            "validation": held_out,
            "test": len(data.test_labels),
        },
        "model": {"name": experiment.model.name, "parameters": model.count_params()},
        "test": evaluation.score(probabilities, data.test_labels),
        "validation": evaluation.score(trainer.predict(validation[0]), validation[1]) if held_out else None,
        "epochs": training.epochs,
        "best_epoch": _best_epoch(history),
        "train_seconds": train_seconds,
        "wall_seconds": time.perf_counter() - began,
        "images_per_second": len(labels) * len(history) / train_seconds,
    }
    report.write(run, summary, errors, history, data.test_images, data.class_names, surroundings)
    runs.write_json(run.summary, summary)
    return summary


def weights_sha256(model: keras.Model) -> str:
    """SHA-256 over the bytes of all weights in the order of the model: equal if and only if they are, bit for bit."""
    digest = hashlib.sha256()
    for weight in model.get_weights():
        digest.update(np.ascontiguousarray(weight).tobytes())
    return digest.hexdigest()


def _resume(trainer: Trainer, run: Run) -> list[Epoch]:
    """Set the trainer to the run's last whole checkpoint, if it has any, and return the history up to there."""
    checkpoint, faults = checkpoints.load_latest(run.checkpoints)
    for fault in faults:
        log.warning("checkpoint passed over: %s", fault)
    if checkpoint is None:
        return []
    trainer.restore(checkpoint.state, checkpoint.epoch)
    log.info("resumed behind epoch %d", checkpoint.epoch)
    return checkpoint.history


def _train(
    trainer: Trainer,
    history: list[Epoch],
    validation: tuple[np.ndarray, np.ndarray],
    epochs: int,
    checkpoint_every: int,
    run: Run,
    shown: Display,
) -> None:
    """Train the epochs that are left, adding each to the history, to history.csv and to the display."""
    while trainer.epoch < epochs:
        row = trainer.run_epoch(*validation, progress=shown.stretch)
        history.append(row)
        if trainer.epoch % checkpoint_every == 0 or trainer.epoch == epochs:
            checkpoints.save(run.checkpoints, Checkpoint(trainer.epoch, trainer.state(), history))
        runs.write_table(run.history, history, Epoch)
        log.info("%s", sentence(row, epochs))
        shown.epoch(row)


def _best_epoch(history: list[Epoch]) -> int | None:
    """The epoch of the lowest validation error, the first of equals; None without a validation share."""
    measured = [(row.validation_error_percent, row.epoch) for row in history if row.validation_error_percent is not None]
    return min(measured)[1] if measured else None
