"""The journal of a search: opened to train its trials, or read for its report."""

import itertools
import logging
import os
import warnings
import weakref
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, distribution_to_json
from optuna.importance import PedAnovaImportanceEvaluator
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import FrozenTrial, TrialState

from mnist_exp.config.hydra_settings import OptunaSweeperConfig
from mnist_exp.errors import InputError, IntegrityError
from mnist_exp.machine import files, locks
from mnist_exp.machine.plain_data import describe, open_regular, read_bytes
from mnist_exp.report.search_charts import SearchResult
from mnist_exp.sweep.plan import Plan, Sweep
from mnist_exp.sweep.sampling import grid_values, pruner, sampler
from mnist_exp.terminal import messages

log = logging.getLogger(__name__)

MAX_JOURNAL_BYTES = 2**30
NAME = "sweep"  # of the only study in the journal
JOB = "job"  # attribute of a trial: the number of its job
SPACE = "space"  # attribute of the study: its objectives and distributions
START_AGAIN = "start a new search; the runs of this one are complete, and mnist-exp compare shows them"
LOCK_SECONDS = 3  # after which the lock of a killed process is taken over
MIN_TRIALS = 4  # completed trials before the importance of parameters is estimated
MANY_TRIALS = 40  # from here on the best tenth of the trials is compared with the rest, before the best quarter
NOT_MEASURED = "model.parameters"  # an objective that follows from the settings: importances would say nothing
TITLES = {
    "validation.error_percent": "validation error %",
    "model.parameters": "parameters",
    "train_seconds": "training s",
}

optuna.logging.set_verbosity(optuna.logging.WARNING)


class _Journal(JournalFileBackend):
    """A journal that is written again if it is removed during a search, whose driver alone writes to it."""

    def __init__(self, path: Path) -> None:
        super().__init__(str(path), JournalFileOpenLock(str(path), grace_period=LOCK_SECONDS))
        self._path = path
        self._descriptor = os.open(path, os.O_RDONLY)  # which can be read even when the path is gone
        weakref.finalize(self, os.close, self._descriptor)

    def read_logs(self, log_number_from: int) -> Generator[dict[str, Any], None, None]:
        """Read the journal from a line on."""
        self._restore()
        return super().read_logs(log_number_from)

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Append lines to the journal."""
        self._restore()
        super().append_logs(logs)

    def _restore(self) -> None:
        if not locks.is_same_file(self._descriptor, self._path):
            messages.warning(f"{self._path}: was removed or replaced; it is written again")
            files.write(self._path, os.pread(self._descriptor, os.fstat(self._descriptor).st_size, 0))
            with self._path.open("rb") as file:
                os.dup2(file.fileno(), self._descriptor, inheritable=False)


def open_study(
    sweep: Sweep, known: Plan, settings: OptunaSweeperConfig, distributions: Mapping[str, BaseDistribution]
) -> optuna.Study:
    """Open the study of a search, or create it; a new grid search has all its trials waiting.

    Raises:
        InputError: the study has other parameters or objectives.
        IntegrityError: the journal is damaged or missing.
        EnvironmentFailure: the sampler needs a package that is not installed.
    """
    path = str(sweep.study)
    if known.jobs and not sweep.study.exists():
        raise IntegrityError(f"{path}: is missing, but the search has {len(known.jobs)} jobs", START_AGAIN)
    _drop_incomplete_line(sweep.study)
    directions = [optuna.study.StudyDirection.MINIMIZE] * len(settings.objectives)
    try:
        storage = JournalStorage(_Journal(sweep.study))
        study = optuna.create_study(storage=storage, study_name=NAME, directions=directions, load_if_exists=True)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        cause = f"{path}: {describe(error)}"
        raise IntegrityError(cause, START_AGAIN) from None
    space: dict[str, Any] = {"objectives": list(settings.objectives)}
    space |= {key: distribution_to_json(value) for key, value in distributions.items()}
    if study.user_attrs.get(SPACE, space) != space or len(study.directions) != len(directions):
        cause = f"{sweep.directory}: the search has other parameters or objectives"
        raise InputError(cause, "continue it with those that it started with, or start a new search")
    if SPACE not in study.user_attrs:
        study.set_user_attr(SPACE, space)
        if settings.sampler == "grid":
            for values in itertools.product(*map(grid_values, distributions.values())):
                study.enqueue_trial(dict(zip(distributions, values, strict=True)))
    study.sampler = sampler(settings, len(study.get_trials(deepcopy=False)))
    study.pruner = pruner(settings)
    return study


def _drop_incomplete_line(journal: Path) -> None:
    """Remove the last line of a journal if a crash or a full disk has cut it: Optuna would append the next line to it.

    Raises:
        EnvironmentFailure: the journal cannot be written.
        IntegrityError: it cannot be read, or is not a regular file.
    """
    try:
        content = read_bytes(journal, MAX_JOURNAL_BYTES)
    except FileNotFoundError:
        return
    except OSError as error:
        raise IntegrityError(f"{journal}: {error.strerror}", "restore the file, or start a new search") from None
    if content and not content.endswith(b"\n"):
        complete = content.rpartition(b"\n")[0]
        messages.warning(f"{journal}: its last line is incomplete and is removed")
        files.write(journal, complete + b"\n" if complete else b"")


def read_result(sweep: Sweep, known: Plan) -> SearchResult | None:
    """Read a search for its report, without writing to the journal; None if it cannot be read."""
    try:
        open_regular(sweep.study).close()  # Optuna would wait for a pipe
        study = optuna.load_study(study_name=NAME, storage=JournalStorage(JournalFileBackend(str(sweep.study))))
        return _result(study, known)
    except Exception as error:  # noqa: BLE001  (an untrusted file may fail anywhere in Optuna; the report must not)
        log.warning("%s: cannot be read: %s", sweep.study, error or type(error).__name__)
        return None


def _result(study: optuna.Study, known: Plan) -> SearchResult:
    trials = [trial for trial in study.get_trials(deepcopy=False) if trial.state != TrialState.WAITING]
    runs = {job.number: job.directory for job in known.jobs}
    objectives = study.user_attrs.get(SPACE, {}).get("objectives", [])
    return SearchResult(
        objectives=[TITLES.get(name, str(name)) for name in objectives],
        parameters={key: distribution for trial in trials for key, distribution in trial.distributions.items()},
        trials=trials,
        runs={trial.number: runs[job] for trial in trials if (job := trial.user_attrs.get(JOB)) in runs},
        front={trial.number for trial in study.best_trials},
        importances=[
            {} if name == NOT_MEASURED else _importances(study, trials, index) for index, name in enumerate(objectives)
        ],
    )


def _importances(study: optuna.Study, trials: Sequence[FrozenTrial], objective: int) -> dict[str, float]:
    """Estimate the importance of each parameter for an objective, largest first; empty if there are too few trials.

    PED-ANOVA (Watanabe, Bansal & Hutter 2023, IJCAI): how the best trials differ from all trials, parameter by parameter.
    """
    completed = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    parameters = {key for trial in completed for key in trial.params}
    values = {trial.values[objective] for trial in completed}
    if len(completed) < MIN_TRIALS or len(parameters) < 2 or len(values) < 2:
        return {}

    def target(trial: FrozenTrial) -> float:
        return float(trial.values[objective])

    evaluator = PedAnovaImportanceEvaluator(target_quantile=0.1 if len(completed) >= MANY_TRIALS else 0.25)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns that low values count as good, which is meant
        shares: dict[str, Any] = optuna.importance.get_param_importances(study, evaluator=evaluator, target=target)
    return {key: float(share) for key, share in shares.items()}
