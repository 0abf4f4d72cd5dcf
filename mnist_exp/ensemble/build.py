"""Build an ensemble from its members and evaluate it as a run; nothing is trained."""

import logging
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from mnist_exp.comparison.rows import Row
from mnist_exp.config.schema import ThreadsConfig
from mnist_exp.ensemble.members import Ensemble, describe_member
from mnist_exp.ensemble.network import MODEL, rebuild_mean
from mnist_exp.ensemble.ranking import page_table, rank_members
from mnist_exp.machine import backend, files
from mnist_exp.report import run_page
from mnist_exp.runs import environment, evaluation
from mnist_exp.runs.run import Run
from mnist_exp.runs.status import Record
from mnist_exp.runs.summary import ModelSummary, Score, Summary, summarize_images
from mnist_exp.terminal import messages
from mnist_exp.training import device
from mnist_exp.training.prediction import PREDICTION_BATCH, Predictor

log = logging.getLogger(__name__)


def build_ensemble(ensemble: Ensemble, run: Run, device_setting: str, threads_setting: ThreadsConfig) -> Summary:
    """Average and evaluate the members in a run directory.

    Args:
        run: the run directory, with its ensemble.yaml; its summary.json is written last, and returned.
        device_setting, threads_setting: `device` and `threads` of a configuration.

    Raises:
        IntegrityError: a member's model does not give its stored probabilities.
        EnvironmentFailure: the device does not exist, or a file cannot be written.
    """
    start = time.perf_counter()
    data, members = ensemble.data, ensemble.members
    with backend.without_hints(run.log):  # that there is no GPU
        target = device.prepare(device_setting, "float32", threads_setting, PREDICTION_BATCH, seed=0)
    recorded, _ = environment.record(run, target.describe())
    probabilities = ensemble.probabilities
    validation, validation_score = ensemble.split.validation, None
    with target.scope(), messages.spinner("averaging"):
        model = rebuild_mean(members, data.test_images, probabilities)
        if len(validation):
            passes = sum(member.experiment.evaluation.passes for member in members)
            predicted = Predictor(model, target.towers, passes)(data.train_images[validation])
            validation_score = evaluation.score(predicted, data.train_labels[validation])

    errors = evaluation.write_results(run, model, data, probabilities)
    summaries = [member.row.summary for member in members]
    train_seconds = sum(summary.train_seconds for summary in summaries)
    compile_seconds = [summary.compile_seconds for summary in summaries if summary.compile_seconds is not None]
    images_seen = sum(summary.images_per_second * summary.train_seconds for summary in summaries)
    summary = Summary(
        version=4,
        name=ensemble.name,
        status="completed",
        seed=None,
        config_hash=ensemble.config_hash,
        model=ModelSummary(name=MODEL, parameters=model.count_params()),
        **summarize_images(data, ensemble.split, probabilities),
        validation=None if validation_score is None else Score(**validation_score),
        epochs=sum(summary.epochs for summary in summaries),
        best_epoch=None,
        train_seconds=train_seconds,
        wall_seconds=sum(summary.wall_seconds for summary in summaries) + time.perf_counter() - start,
        images_per_second=images_seen / train_seconds if train_seconds else 0.0,
        compile_seconds=sum(compile_seconds) if compile_seconds else None,
        settings=_common_settings(summaries) | {"name": ensemble.name, "ensemble.members": len(members)},
        members=[describe_member(member, run.directory) for member in members],
    )
    own_row = Row(run.directory.resolve().name, Record(run.directory, "completed", None, None, summary))
    table = page_table(rank_members(own_row, [member.row for member in members]), run.report)
    rates, members_file = np.empty(0, np.float32), ensemble.to_yaml(run.directory)
    run_page.write(run, "last", summary, errors, [], rates, data, probabilities, recorded, members_file, table)
    if not run.ensemble.exists():  # it was removed meanwhile; without it, the directory is not an ensemble
        files.write(run.ensemble, members_file.encode())
    return summary


def _common_settings(summaries: Sequence[Summary]) -> dict[str, Any]:
    """Return the settings that all members share, without the seed."""
    first, *others = [summary.settings for summary in summaries]
    return {
        key: value for key, value in first.items() if key != "seed" and all((key, value) in one.items() for one in others)
    }
