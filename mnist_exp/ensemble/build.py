"""An ensemble as a story: load, combine, check, evaluate, report, finish; no training."""

import hashlib
import logging
import time
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from mnist_exp.comparison.rows import Row
from mnist_exp.config.schema import ThreadsConfig
from mnist_exp.ensemble.members import Ensemble, Member
from mnist_exp.ensemble.ranking import page_table, rank_members
from mnist_exp.errors import IntegrityError
from mnist_exp.machine import files
from mnist_exp.models import averaging, untrusted
from mnist_exp.report import run_page
from mnist_exp.run import environment, evaluation
from mnist_exp.run.names import Run
from mnist_exp.run.status import Record
from mnist_exp.run.summary import MemberSummary, ModelSummary, Score, Summary, dataset_summary
from mnist_exp.terminal import messages
from mnist_exp.training import device
from mnist_exp.training.prediction import PREDICTION_BATCH, Predictor

log = logging.getLogger(__name__)

MODEL = "ensemble"  # what summary.json calls the network
SAMPLE = 1000  # test images on which models are held against stored probabilities
# How far a probability may be from the one that was stored. Another machine rounds otherwise: today's GPUs keep 10 bits of a
# product in float32, and a network in bfloat16, which keeps 7, differs from itself in float32 by up to 0.03. Other weights
# differ on some of so many images by far more.
TOLERANCES = {"float32": 0.01, "bfloat16": 0.1, "float16": 0.1}


def build_ensemble(ensemble: Ensemble, directory: Run, device_asked: str, threads_asked: ThreadsConfig) -> Summary:
    """Average and evaluate the members into a run directory.

    Args:
        ensemble: its members, of which all that can be was checked.
        directory: its ensemble.yaml is there.
        device_asked: as the setting `device`.
        threads_asked: as the setting `threads`.

    Returns:
        The content of summary.json, which is written last.

    Raises:
        IntegrityError: a member's model is not the one that gave its predictions.
        EnvironmentFailure: the device is not there, or a file cannot be written.
    """
    began = time.perf_counter()
    data, members = ensemble.data, ensemble.members
    target = device.prepare(device_asked, "float32", threads_asked, PREDICTION_BATCH, seed=0)
    environment.record(directory, target.describe())
    probabilities = ensemble.probabilities
    validation = ensemble.split.validation
    held_out = None
    with target.scope(), messages.spinner("averaging"):
        combined = _combined(ensemble, probabilities)
        if len(validation):
            predictor = Predictor(combined, target.towers, passes=sum(_passes(member) for member in members))
            held_out = evaluation.score(predictor(data.train_images[validation]), data.train_labels[validation])

    errors = evaluation.write_results(directory, combined, data, probabilities)
    summaries = [member.summary for member in members]
    train_seconds = sum(summary.train_seconds for summary in summaries)
    images_seen = sum(summary.images_per_second * summary.train_seconds for summary in summaries)
    summary = Summary(
        version=3,
        name=ensemble.name,
        status="completed",
        seed=None,
        config_hash=_hash(members),
        dataset=dataset_summary(data, ensemble.split),
        model=ModelSummary(name=MODEL, parameters=combined.count_params()),
        test=Score(**evaluation.score(probabilities, data.test_labels)),
        validation=None if held_out is None else Score(**held_out),
        epochs=sum(summary.epochs for summary in summaries),
        best_epoch=None,
        train_seconds=train_seconds,
        wall_seconds=sum(summary.wall_seconds for summary in summaries) + time.perf_counter() - began,
        images_per_second=images_seen / train_seconds if train_seconds else 0.0,
        settings=_common(summaries) | {"name": ensemble.name, "ensemble.members": len(members)},
        members=[
            MemberSummary(
                run=member.relative_path(directory.directory),
                name=member.summary.name,
                seed=member.summary.seed,
                config_hash=member.summary.config_hash,
            )
            for member in members
        ],
    )
    own = Row(directory.directory.resolve().name, Record(directory.directory, "completed", None, None, summary))
    board = rank_members(own, [member.row for member in members])
    nothing: list[Any] = []
    beside = page_table(board, directory.report)
    run_page.write(directory, "last", summary, errors, nothing, np.empty(0, np.float32), data, probabilities, beside)
    files.write_json(directory.summary, summary.model_dump(mode="json"))
    return summary


def _combined(ensemble: Ensemble, probabilities: np.ndarray) -> keras.Model:
    """One model of all members', each of which gives the probabilities that its run stored, and the whole their mean."""
    data, models = ensemble.data, []
    for member in ensemble.members:
        model = untrusted.load(member.run.model, member.model_sha256, data.test_images.shape[1:], len(data.class_names))
        _check(model, data.test_images, member.probabilities, _tolerance(member), str(member.run.model))
        models.append(model)
    combined = averaging.over_members(models, MODEL)
    widest = max(_tolerance(member) for member in ensemble.members)
    _check(combined, data.test_images, probabilities, widest, "the models of all members together")
    return combined


def _check(model: keras.Model, images: np.ndarray, stored: np.ndarray, tolerance: float, told: str) -> None:
    """Raise IntegrityError unless a model gives what is stored, float32 (n, classes), for a sample of the images."""
    every = slice(None, None, max(len(images) // SAMPLE, 1))
    distance = np.abs(np.asarray(model(images[every], training=False)) - stored[every]).max()
    log.info("%s: within %.2g of the stored probabilities", told, distance)
    if not distance <= tolerance:  # nor is NaN
        cause = f"{told}: its probabilities differ by up to {distance:.2f} from those that are stored"
        raise IntegrityError(cause, "train the run again")


def _tolerance(member: Member) -> float:
    """How far its model may be from what it stored."""
    return TOLERANCES.get(str(member.summary.settings.get("precision")), max(TOLERANCES.values()))


def _passes(member: Member) -> int:
    """Through how many networks a member's model sends an image."""
    tta = member.summary.settings.get("evaluation.tta")
    return averaging.shift_count(tta) if isinstance(tta, int) else 1


def _common(summaries: Sequence[Summary]) -> dict[str, Any]:
    """The settings in which all members agree."""
    first, *others = [summary.settings for summary in summaries]
    agreed = {key: value for key, value in first.items() if all(key in other and other[key] == value for other in others)}
    return {key: value for key, value in agreed.items() if key != "seed"}


def _hash(members: Sequence[Member]) -> str:
    """Of the members' models in any order: the same for every ensemble of the same ones."""
    return hashlib.sha256("".join(sorted(member.model_sha256 for member in members)).encode()).hexdigest()[:16]
