"""A search with Optuna: each trial is a job, its settings asked of the study when there is room for it.

Only this process, which hands out the jobs, touches the study; the jobs, wherever they run, are followed through their
files. So a search runs on every launcher, and what is left of one that was killed is whole.
"""

import itertools
import logging
import math
from collections.abc import Mapping

import optuna
from optuna.distributions import BaseDistribution
from optuna.distributions import distribution_to_json as as_json
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import Trial, TrialState

from mnist_exp.config.composition import Space
from mnist_exp.config.execution import OptunaSweeperConfig
from mnist_exp.config.schema import Experiment
from mnist_exp.errors import ConfigError, InputError, IntegrityError
from mnist_exp.machine import files
from mnist_exp.run import history
from mnist_exp.run.names import Run
from mnist_exp.run.status import Record, read_record
from mnist_exp.run.summary import Summary
from mnist_exp.sweep import plan
from mnist_exp.sweep.plan import Job, Plan, Sweep
from mnist_exp.sweep.sampling import distribution, pruner, sampler, typed, values
from mnist_exp.terminal import messages

log = logging.getLogger(__name__)

NAME = "sweep"  # of the only study in its file
JOB = "job"  # attribute of a trial: the number of its job
AGAIN = "again"  # attribute of a trial: it repeats one that failed
SPACE = "space"  # attribute of the study: what it chooses from
START_ANEW = "start a new search; the runs of this one are whole, and mnist-exp compare shows them"
LOCK_SECONDS = 3  # after which the lock of a process that was killed is taken over


class Search:
    """The jobs that a study asks for; a source of jobs."""

    def __init__(
        self, sweep: Sweep, known: Plan, space: Space, settings: OptunaSweeperConfig, places: int, retry_failed: bool
    ) -> None:
        """Open the study, or make it, and see what is left of its trials.

        Args:
            sweep: where the study lies.
            known: the jobs of earlier trials.
            space: what to choose from.
            settings: how.
            places: how many jobs can be in training at once.
            retry_failed: whether to repeat the trials that failed.

        Raises:
            InputError: the study was made for another space or other objectives.
            EnvironmentFailure: the sampler needs a package that is not there.
        """
        self._sweep = sweep
        self._plan = known
        self._space = space
        self._settings = settings
        self._at_once = settings.n_jobs or places
        self._distributions = {parameter.key: distribution(parameter) for parameter in space.parameters}
        self._study = open_study(sweep, known, settings, self._distributions)
        self._trials: dict[int, list[Trial]] = {}  # those that a job in training is, by its number
        self._begun: list[int] = []  # jobs that an earlier process left in training
        self._failed: set[int] = set()  # jobs to be trained again
        for number, trial in enumerate(self._study.get_trials(deepcopy=False)):
            if trial.state == TrialState.RUNNING:
                self._take_up(number)
        if retry_failed:
            self._retry()
        again = self._failed | set(self._begun)
        self.finished_jobs = [job for job in self._plan.jobs if self._has_ended(job.number) and job.number not in again]

    @property
    def total(self) -> int:
        """How many jobs there are and may yet be."""
        trials = self._study.get_trials(deepcopy=False)
        asked = sum(AGAIN not in trial.user_attrs and trial.state != TrialState.WAITING for trial in trials)
        return len(self._plan.jobs) + max(self._most_trials() - asked, 0)

    def take(self, running: int) -> tuple[Job, Experiment] | None:
        """The next job; None if as many are running as may, or all trials have been asked for."""
        if running >= self._at_once:
            return None
        if self._begun:
            job = self._plan.jobs[self._begun.pop(0) - 1]
            return job, self._space.experiment(job.overrides)
        while self._left():
            if (taken := self._ask()) is not None:
                return taken
        return None

    def finish(self, job: Job, record: Record) -> None:
        """Tell the study what a job came to."""
        for trial in self._trials.pop(job.number):
            self._tell(trial, record)

    def poll(self) -> None:
        """Tell the study of the epochs that are new, and end the trials of which it has seen enough."""
        if self._settings.pruner == "none":
            return
        for number, trials in self._trials.items():
            run = self._sweep.run(self._plan.jobs[number - 1])
            if _report(trials[0], run) and trials[0].should_prune() and not run.prune_request.exists():
                cause = f"its validation error is behind that of other trials ({self._settings.pruner})"
                log.info("%s: %s", run.directory.name, cause)
                files.write_json(run.prune_request, {"schema": 1, "cause": cause})

    def _left(self) -> bool:
        """Whether there are trials to be asked for."""
        trials = self._study.get_trials(deepcopy=False)
        again = any(trial.state == TrialState.WAITING and AGAIN in trial.user_attrs for trial in trials)
        asked = sum(AGAIN not in trial.user_attrs and trial.state != TrialState.WAITING for trial in trials)
        return again or asked < self._most_trials()

    def _most_trials(self) -> int:
        """As many as are asked for; on a grid no more than it has points."""
        if self._settings.sampler != "grid":
            return self._settings.n_trials
        return min(self._settings.n_trials, math.prod(len(values(each)) for each in self._distributions.values()))

    def _ask(self) -> tuple[Job, Experiment] | None:
        """One trial more; None if it is a job already, or no experiment."""
        trial = self._study.ask(self._distributions)
        if (planned := self._planned(trial)) is None:
            return None
        job, experiment, new = planned
        if job.number in self._trials:  # the same settings again, while they are trained
            self._trials[job.number].append(trial)
        elif new or job.number in self._failed:
            self._failed.discard(job.number)
            self._trials[job.number] = [trial]
            return job, experiment
        else:
            self._tell(trial, read_record(self._sweep.run(job).directory))
        return None

    def _planned(self, trial: Trial) -> tuple[Job, Experiment, bool] | None:
        """The job of a trial, its experiment, and whether it is a new one; None if the settings do not go together."""
        drawn = [typed(trial.params[parameter.key]) for parameter in self._space.parameters]
        try:
            point = self._space.point(drawn)
        except ConfigError as error:
            messages.warning(f"trial {trial.number} is left out: {error.problems[0].cause}")
            self._study.tell(trial, state=TrialState.FAIL)
            return None
        jobs, experiments = plan.extended(self._plan.jobs, [point])
        ((number, experiment),) = experiments.items()
        trial.set_user_attr(JOB, number)
        if new := len(jobs) > len(self._plan.jobs):
            self._plan = self._plan.model_copy(update={"jobs": tuple(jobs)})
            plan.write(self._sweep, self._plan)
        return jobs[number - 1], experiment, new

    def _take_up(self, number: int) -> None:
        """A trial that an earlier process left, perhaps before it was planned: its job is trained to its end."""
        trial = Trial(self._study, self._study.get_trials(deepcopy=False)[number]._trial_id)
        if (planned := self._planned(trial)) is None:
            return
        job, _, _ = planned
        if self._has_ended(job.number):
            self._tell(trial, read_record(self._sweep.run(job).directory))
        elif job.number in self._trials:
            self._trials[job.number].append(trial)
        else:
            self._trials[job.number] = [trial]
            self._begun.append(job.number)

    def _retry(self) -> None:
        """Ask once more for every trial whose job has no result yet."""
        for trial in self._study.get_trials(deepcopy=False):
            number = trial.user_attrs.get(JOB)
            if trial.state != TrialState.FAIL or number is None or number in self._failed:
                continue
            if read_record(self._sweep.run(self._plan.jobs[number - 1]).directory).summary is None:
                self._failed.add(number)
                self._study.enqueue_trial(trial.params, user_attrs={AGAIN: True})

    def _has_ended(self, number: int) -> bool:
        record = read_record(self._sweep.run(self._plan.jobs[number - 1]).directory)
        return record.summary is not None or record.status in {"pruned", "failed", "diverged"}

    def _tell(self, trial: Trial, record: Record) -> None:
        """How a trial ended."""
        if record.summary is not None:
            if self._settings.pruner != "none":
                _report(trial, Run(record.directory))
            self._study.tell(trial, [objective(record.summary, name) for name in self._settings.objectives])
        else:
            self._study.tell(trial, state=TrialState.PRUNED if record.status == "pruned" else TrialState.FAIL)


def open_study(
    sweep: Sweep, known: Plan, settings: OptunaSweeperConfig, distributions: Mapping[str, BaseDistribution]
) -> optuna.Study:
    """The study of a sweep, new if there is none.

    Raises:
        InputError: it was made for another space or other objectives.
        IntegrityError: it is damaged, or gone.
        EnvironmentFailure: the sampler needs a package that is not there.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    path = str(sweep.study)
    if known.jobs and not sweep.study.exists():
        raise IntegrityError(f"{path}: is not there, though the search has {len(known.jobs)} jobs", START_ANEW)
    directions = [optuna.study.StudyDirection.MINIMIZE] * len(settings.objectives)
    try:
        storage = JournalStorage(JournalFileBackend(path, JournalFileOpenLock(path, grace_period=LOCK_SECONDS)))
        study = optuna.create_study(storage=storage, study_name=NAME, directions=directions, load_if_exists=True)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        cause = f"{path}: {' '.join(str(error).split()) or type(error).__name__}"
        raise IntegrityError(cause, START_ANEW) from None
    wanted = {"objectives": list(settings.objectives)} | {key: as_json(value) for key, value in distributions.items()}
    if study.user_attrs.get(SPACE, wanted) != wanted or len(study.directions) != len(directions):
        cause = f"{sweep.directory}: the search chooses from something else"
        raise InputError(cause, "a search goes on with the parameters and objectives it began with; start a new one")
    if SPACE not in study.user_attrs:
        study.set_user_attr(SPACE, wanted)
        if settings.sampler == "grid":
            for point in itertools.product(*map(values, distributions.values())):
                study.enqueue_trial(dict(zip(distributions, point, strict=True)))
    study.sampler = sampler(settings, len(study.get_trials(deepcopy=False)))
    study.pruner = pruner(settings)
    return study


def objective(summary: Summary, name: str) -> float:
    """What a search makes small.

    Raises:
        ValueError: the run has no validation images.
    """
    if name == "validation.error_percent":
        if summary.validation is None:
            raise ValueError("a run without validation images cannot be an objective")
        return summary.validation.error_percent
    return float(summary.model.parameters if name == "model.parameters" else summary.train_seconds)


def _report(trial: Trial, run: Run) -> bool:
    """Tell the study of the epochs that it does not know of; whether there was one."""
    known = trial.study.get_trials(deepcopy=False)[trial.number].intermediate_values
    new = [row for row in history.read(run.history) if row.epoch not in known]
    for row in new:
        if row.validation_error_percent is not None:  # which every run of a search has
            trial.report(row.validation_error_percent, row.epoch)
    return bool(new)
