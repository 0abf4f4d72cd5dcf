"""One run as a pipeline: load, build, train, evaluate, report, write the summary."""

import contextlib
import logging
import time
from functools import partial
from typing import TYPE_CHECKING

from mnist_exp import datasets
from mnist_exp.config.schema import Experiment
from mnist_exp.config.tracker_variables import used_variables
from mnist_exp.datasets.dataset import Dataset, Split
from mnist_exp.errors import UserError
from mnist_exp.machine import backend, files
from mnist_exp.machine.plain_data import read_bytes
from mnist_exp.runs import environment, evaluation, lineage
from mnist_exp.runs.held_out import split_images
from mnist_exp.runs.lineage import Lineage
from mnist_exp.runs.outcome import config_text, run_locked
from mnist_exp.runs.run import Run
from mnist_exp.runs.summary import Summary, summarize
from mnist_exp.terminal import messages
from mnist_exp.training import threads
from mnist_exp.training.progress import display

if TYPE_CHECKING:
    from mnist_exp.machine.model_files import Layers  # HDF5

log = logging.getLogger(__name__)

SAME_SPLIT = "use the same dataset.limit, validation and split_seed as that run, or new images"


def train_or_resume(experiment: Experiment, run: Run, lock_timeout: float = 0.0) -> int:
    """Train a prepared run to its end, from its last checkpoint if it has one, and return its exit code.

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
        The content of summary.json, which `run_locked` writes.

    Raises:
        InputError: files of the data set are not on this machine, or the checkpoints belong to another experiment.
        IntegrityError: the data set or every checkpoint is damaged.
        DivergenceError: the loss is no longer finite.
        EnvironmentFailure: the device does not exist, or a file cannot be written.
    """
    datasets.check_available(experiment.dataset.source)  # before TensorFlow, which takes seconds to start
    config = read_bytes(run.config).decode() if run.config.exists() else config_text(experiment)
    try:
        with backend.tensorflow(run.log, experiment.progress == "quiet", experiment.device):
            return _train(experiment, run, config)
    finally:
        if run.directory.exists() and not run.config.exists():  # it was removed; to resume or compare the run needs it
            with contextlib.suppress(UserError):  # an error of the training is reported instead
                files.write(run.config, config.encode())


def _train(experiment: Experiment, run: Run, config: str) -> Summary:
    from mnist_exp.report import run_page
    from mnist_exp.training import device, epochs
    from mnist_exp.training.build import build_trainer
    from mnist_exp.training.capacity import check_memory

    start, training = time.perf_counter(), experiment.training
    run_threads = threads.for_run(experiment, run)
    with backend.without_hints(run.log):  # that there is no GPU
        target = device.prepare(
            experiment.device, experiment.precision, run_threads, training.batch_size, experiment.seed, experiment.tf32
        )
    recorded, changed = environment.record(
        run, target.describe() | {"tracker_variables": used_variables(experiment.tracker)}
    )
    if changed:
        consequence = "the result may not be bit-identical to an uninterrupted run"
        messages.warning(f"{', '.join(changed)} changed since the run started: {consequence}")
    log.info("training on %s in %s", target.name, experiment.precision)

    check_memory(experiment, target)
    data, settings = datasets.load(experiment.dataset.source), experiment.dataset
    messages.warn_all(data.warnings)
    parts = split_images(data, settings)
    log.info("%d training, %d validation, %d test images", len(parts.train), len(parts.validation), len(data.test_labels))
    validation = data.train_images[parts.validation], data.train_labels[parts.validation]
    weights = _load_initial_weights(experiment, run, data, parts)
    origin = lineage.read(run)  # before the training, which a damaged file would make useless

    with target.scope():
        trainer = build_trainer(experiment, data, parts, target, weights)
        history, earlier_seconds = epochs.resume(trainer, experiment, run)
        start -= earlier_seconds
        with display(experiment.progress, training.epochs, len(parts.train), trainer.epoch) as progress:
            history = epochs.train(trainer, experiment, history, validation, run, progress, start)
        trainer.select_weights(training.select)
        trainer.average_over_shifts(experiment.evaluation.tta)
        log.info("weights SHA-256 %s", files.array_sha256(*trainer.model.get_weights()))
        probabilities = trainer.predict(data.test_images)
        validation_probabilities = trainer.predict(validation[0]) if len(parts.validation) else None

    errors = evaluation.write_results(run, trainer.final_model, data, probabilities)
    parameters, wall_seconds = trainer.model.count_params(), time.perf_counter() - start
    summary = summarize(
        experiment,
        data,
        parts,
        parameters,
        probabilities,
        validation_probabilities,
        history,
        wall_seconds,
        origin,
    )
    learning_rates = trainer.learning_rates[: trainer.steps_per_epoch * len(history)]  # without those after an early stop
    run_page.write(run, training.select, summary, errors, history, learning_rates, data, probabilities, recorded, config)
    return summary


def _load_initial_weights(experiment: Experiment, run: Run, data: Dataset, parts: Split) -> "Layers":
    """Load the weights to start from, of each layer that fits; none for a run with a checkpoint, which contains them."""
    if experiment.initial_weights is None or any(run.checkpoints.glob("epoch_*")):
        return {}
    from mnist_exp.runs import initial_weights  # HDF5

    weights, origin = initial_weights.load(experiment, run, data, parts)
    lineage.write(run, Lineage(initial_weights=origin))
    text = f"weights of {experiment.initial_weights} ({origin.network}, {origin.dataset}): {origin.text}"
    log.info("%s", text)
    if experiment.progress != "quiet":
        messages.note(text)
    if random := [name for name in experiment.freeze if name in origin.initialized]:
        messages.warning(
            f"freeze: {', '.join(random)}: not copied, so random weights are never trained; leave out such layers"
        )
    if (inverted := initial_weights.polarity_warning(experiment, data)) is not None:
        messages.warning(inverted)
    if origin.validation_seen:
        few = f"{origin.validation_seen:,} of the {len(parts.validation):,} validation images"
        messages.warning(f"the weights were trained on {few}: the validation error is too low; {SAME_SPLIT}")
    return weights
