"""One run as a story: load, build, train, evaluate, report, finish."""

import hashlib
import logging
import time

import keras
import numpy as np

from mnist_exp import (
    augmentation,
    datasets,
    environment,
    evaluation,
    files,
    models,
    preprocessing,
    report,
    terminal,
    threads,
)
from mnist_exp.config.checks import validation_images
from mnist_exp.config.identity import config_hash, flat
from mnist_exp.config.schema import Experiment
from mnist_exp.datasets.dataset import Dataset, Split, split
from mnist_exp.progress import display
from mnist_exp.runs import Run
from mnist_exp.summary import DatasetSummary, ModelSummary, Score, Summary
from mnist_exp.training import device, epochs, optimizers, schedules
from mnist_exp.training.history import best_epoch
from mnist_exp.training.loop import Trainer

log = logging.getLogger(__name__)


def run(experiment: Experiment, directory: Run) -> Summary:
    """Train and evaluate one experiment into its run directory, from its last checkpoint if it has one.

    Returns:
        The content of summary.json, which is written last.

    Raises:
        InputError: the checkpoints are of another experiment.
        IntegrityError: the data, or every checkpoint, is damaged.
        DivergenceError: the loss is not finite any more.
        EnvironmentFailure: the device is not there, or a file cannot be written.
    """
    began = time.perf_counter()
    chosen, batch_size = threads.of_run(experiment, directory), experiment.training.batch_size
    device_name = device.prepare(experiment.device, experiment.precision, chosen, batch_size, experiment.seed)
    towers = threads.towers(chosen, batch_size, device.on_cpu(device_name), threads.usable_cores())
    changed = environment.record(directory, device.describe(device_name, towers))
    if changed:
        kept = "the same bits as uninterrupted are not to be had"
        terminal.warning(f"{', '.join(changed)} changed since the run began: {kept}")
    log.info("training on %s in %s", device_name, experiment.precision)

    data = datasets.load(experiment.dataset.name)
    parts = split(
        data.train_labels,
        experiment.dataset.limit,
        validation_images(experiment.dataset),
        experiment.dataset.split_seed,
    )
    log.info("%d training, %d validation, %d test images", len(parts.train), len(parts.validation), len(data.test_labels))
    validation = data.train_images[parts.validation], data.train_labels[parts.validation]

    with device.placed(device_name):
        trainer = _trainer(experiment, data, parts, towers, device.compiled(device_name))
        history, earlier_seconds = epochs.resume(trainer, experiment, directory)
        began -= earlier_seconds
        with display(experiment.progress, experiment.training.epochs, len(parts.train), trainer.epoch) as shown:
            history = epochs.train(trainer, experiment, history, validation, directory, shown, began)
        trainer.finish(experiment.training.select)
        trainer.average_over_shifts(experiment.evaluation.tta)
        log.info("weights SHA-256 %s", weights_sha256(trainer.model))
        probabilities = trainer.predict(data.test_images)
        held_out = evaluation.score(trainer.predict(validation[0]), validation[1]) if len(parts.validation) else None

    with files.replacing(directory.model) as temporary:
        trainer.evaluated.save(temporary)
    files.write_arrays(directory.predictions, {"probabilities": probabilities, "labels": data.test_labels})
    errors = evaluation.error_report(probabilities, data.test_labels, data.class_names, data.mislabelled)
    files.write_json(directory.errors, errors)
    train_seconds = sum(row.seconds for row in history)
    summary = Summary(
        version=3,
        name=experiment.name,
        status="completed",
        seed=experiment.seed,
        config_hash=config_hash(experiment),
        dataset=DatasetSummary(
            name=data.name,
            sha256=data.sha256,
            labels_sha256=_sha256(data.test_labels),
            split_sha256=parts.sha256,
            train=len(parts.train),
            validation=len(parts.validation),
            test=len(data.test_labels),
        ),
        model=ModelSummary(name=experiment.model.name, parameters=trainer.model.count_params()),
        test=Score(**evaluation.score(probabilities, data.test_labels)),
        validation=None if held_out is None else Score(**held_out),
        epochs=len(history),
        best_epoch=best_epoch(history),
        train_seconds=train_seconds,
        wall_seconds=time.perf_counter() - began,
        images_per_second=len(parts.train) * len(history) / train_seconds,
        settings=flat(experiment.model_dump(mode="json")),
        members=None,
    )
    report.write(
        directory,
        experiment.training.select,
        summary,
        errors,
        history,
        trainer.learning_rates[: trainer.steps * len(history)],  # an early stop leaves the rest of the schedule
        data,
        probabilities,
    )
    files.write_json(directory.summary, summary.model_dump(mode="json"))
    return summary


def weights_sha256(model: keras.Model) -> str:
    """SHA-256 over the bytes of all weights in the order of the model: equal if and only if they are, bit for bit."""
    return _sha256(*model.get_weights())


def _sha256(*arrays: np.ndarray) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _trainer(experiment: Experiment, data: Dataset, parts: Split, towers: int, compiled: bool) -> Trainer:
    """The model with fresh weights, its optimizer and schedule, and the training images on the device."""
    images, labels = data.train_images[parts.train], data.train_labels[parts.train]
    scaling = preprocessing.build(experiment.preprocessing, images)
    training = experiment.training
    rates = schedules.learning_rates(
        experiment.schedule,
        experiment.optimizer.learning_rate,
        steps_per_epoch=schedules.steps_per_epoch(len(labels), training.batch_size),
        epochs=training.epochs,
    )
    return Trainer(
        model=models.build(experiment.model, scaling, data.train_images.shape[1:], len(data.class_names)),
        optimizer=optimizers.build(experiment.optimizer, experiment.precision, training.gradient_clip_norm),
        learning_rates=rates,
        images=images,
        labels=labels,
        batch_size=training.batch_size,
        augmentation=augmentation.build(experiment.augmentation, data.train_images.shape[1:], experiment.seed),
        label_smoothing=training.label_smoothing,
        ema_decay=training.ema_decay,
        seed=experiment.seed,
        towers=towers,
        compiled=compiled,
    )
