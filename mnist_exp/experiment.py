"""One run as a story: load, build, train, evaluate, report, finish."""

import logging
import time
from functools import partial

from mnist_exp import datasets
from mnist_exp.config.checks import validation_images
from mnist_exp.config.identity import config_hash, flat
from mnist_exp.config.schema import Experiment
from mnist_exp.datasets.dataset import split
from mnist_exp.machine import backend, files
from mnist_exp.machine.cores import usable_cores
from mnist_exp.report import run_page
from mnist_exp.run import environment, evaluation
from mnist_exp.run.evaluation import sha256
from mnist_exp.run.history import best_epoch
from mnist_exp.run.job import run_locked
from mnist_exp.run.names import Run
from mnist_exp.run.summary import DatasetSummary, ModelSummary, Score, Summary
from mnist_exp.terminal import messages
from mnist_exp.training import threads
from mnist_exp.training.progress import display

log = logging.getLogger(__name__)


def train_or_resume(experiment: Experiment, run: Run, lock_timeout: float = 0.0) -> int:
    """Train a prepared run to its end, from its last checkpoint if it has one; return its exit code.

    Args:
        experiment: the content of the run's config.yaml.
        run: its directory.
        lock_timeout: seconds to wait for another process to release the run.

    Raises:
        KeyboardInterrupt, Interrupted: a signal stopped the training; the status is written.
    """
    return run_locked(run, partial(train, experiment, run), f"continue: mnist-exp resume {run.directory}", lock_timeout)


def train(experiment: Experiment, run: Run) -> Summary:
    """Train and evaluate one experiment in its run directory, from its last checkpoint if it has one.

    Returns:
        The content of summary.json, which is written last.

    Raises:
        InputError: the checkpoints belong to another experiment.
        IntegrityError: the data, or every checkpoint, is damaged.
        DivergenceError: the loss is no longer finite.
        EnvironmentFailure: the device does not exist, or a file cannot be written.
    """
    with backend.tensorflow(run.log, experiment.progress == "quiet"):
        return _train(experiment, run)


def _train(experiment: Experiment, run: Run) -> Summary:
    from mnist_exp.training import device, epochs
    from mnist_exp.training.build import build_trainer, weights_sha256

    began = time.perf_counter()
    chosen, batch_size = threads.of_run(experiment, run), experiment.training.batch_size
    device_name = device.prepare(experiment.device, experiment.precision, chosen, batch_size, experiment.seed)
    towers = threads.towers(chosen, batch_size, device.on_cpu(device_name), usable_cores())
    changed = environment.record(run, device.describe(device_name, towers))
    if changed:
        kept = "the same bits as uninterrupted are not to be had"
        messages.warning(f"{', '.join(changed)} changed since the run began: {kept}")
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
        trainer = build_trainer(experiment, data, parts, towers, device.compiled(device_name))
        history, earlier_seconds = epochs.resume(trainer, experiment, run)
        began -= earlier_seconds
        with display(experiment.progress, experiment.training.epochs, len(parts.train), trainer.epoch) as shown:
            history = epochs.train(trainer, experiment, history, validation, run, shown, began)
        trainer.finish(experiment.training.select)
        trainer.average_over_shifts(experiment.evaluation.tta)
        log.info("weights SHA-256 %s", weights_sha256(trainer.model))
        probabilities = trainer.predict(data.test_images)
        held_out = evaluation.score(trainer.predict(validation[0]), validation[1]) if len(parts.validation) else None

    with files.replacing(run.model) as temporary:
        trainer.evaluated.save(temporary)
    files.write_arrays(run.predictions, {"probabilities": probabilities, "labels": data.test_labels})
    errors = evaluation.error_report(probabilities, data.test_labels, data.class_names, data.mislabelled)
    files.write_json(run.errors, errors)
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
            labels_sha256=sha256(data.test_labels),
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
    run_page.write(
        run,
        experiment.training.select,
        summary,
        errors,
        history,
        trainer.learning_rates[: trainer.steps * len(history)],  # an early stop leaves the rest of the schedule
        data,
        probabilities,
    )
    files.write_json(run.summary, summary.model_dump(mode="json"))
    return summary
