"""A search with Optuna: each trial is a job, and its settings are drawn when there is room for it.

Only this process, the driver, uses the study. It reads the progress of the jobs from their files, wherever they run. So a
search runs on every launcher, and can be resumed after its driver is killed.
"""

import logging
import math
from collections import deque

from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from mnist_exp.config.composition import SearchSpace
from mnist_exp.config.execution import OptunaSweeperConfig
from mnist_exp.config.schema import Experiment
from mnist_exp.errors import ConfigError
from mnist_exp.machine import files
from mnist_exp.run import history
from mnist_exp.run.names import Run
from mnist_exp.run.status import Record, read_record
from mnist_exp.run.summary import Summary
from mnist_exp.sweep import plan
from mnist_exp.sweep.plan import Job, Plan, Sweep
from mnist_exp.sweep.progress import FINISHED
from mnist_exp.sweep.sampling import distribution, grid_values
from mnist_exp.sweep.study import JOB, open_study
from mnist_exp.terminal import messages

log = logging.getLogger(__name__)

RETRY = "again"  # attribute of a trial: it repeats one that failed


class Search:
    """A source of jobs: the trials of a study."""

    def __init__(
        self,
        sweep: Sweep,
        known: Plan,
        space: SearchSpace,
        settings: OptunaSweeperConfig,
        parallel_jobs: int,
        retry_failed: bool,
    ) -> None:
        """Open or create the study, and continue its unfinished trials.

        Args:
            sweep: the directory of the search.
            known: the jobs of earlier trials.
            space: the parameters.
            settings: of the search.
            parallel_jobs: jobs in training at once, at most.
            retry_failed: whether to repeat failed trials.

        Raises:
            InputError: the study has other parameters or objectives.
            IntegrityError: the journal is damaged or missing.
            EnvironmentFailure: the sampler needs a package that is not installed.
        """
        self._sweep = sweep
        self._plan = known
        self._space = space
        self._settings = settings
        self._parallel_jobs = settings.n_jobs or parallel_jobs
        self._distributions = {parameter.key: distribution(parameter) for parameter in space.parameters}
        self._study = open_study(sweep, known, settings, self._distributions)
        self._max_trials = settings.n_trials
        if settings.sampler == "grid":
            grid_size = math.prod(len(grid_values(each)) for each in self._distributions.values())
            self._max_trials = min(settings.n_trials, grid_size)
        self._trials: dict[int, list[Trial]] = {}  # unfinished trials by job number; equal trials share a job
        self._resumed: deque[tuple[Job, Experiment]] = deque()
        for trial in self._frozen_trials():
            if trial.state == TrialState.RUNNING:
                self._resume(trial)
            elif retry_failed and trial.state == TrialState.FAIL and self._has_failed(trial.user_attrs.get(JOB)):
                self._retry(trial)
        self.finished_jobs = [
            job for job in self._plan.jobs if job.number not in self._trials and self._record(job).status in FINISHED
        ]

    @property
    def total(self) -> int:
        """The number of jobs, with one for each new trial."""
        return len(self._plan.jobs) + self._new_trials()

    def take(self, running: int) -> tuple[Job, Experiment] | None:
        """Return the next job; None if enough jobs are running, or no trials are left."""
        if running >= self._parallel_jobs:
            return None
        if self._resumed:
            return self._resumed.popleft()
        while self._new_trials():
            if (started := self._start(self._study.ask(self._distributions))) is not None:
                return started
        return None

    def finish(self, job: Job, record: Record) -> None:
        """Report the result of a job to the study."""
        for trial in self._trials.pop(job.number):
            self._report_result(trial, record)

    def poll(self) -> None:
        """Report new epochs to the study, and request the end of jobs that the pruner rejects."""
        if self._settings.pruner == "none":
            return
        for number, trials in self._trials.items():
            run = self._sweep.run(self._plan.jobs[number - 1])
            if _report_epochs(trials[0], run) and trials[0].should_prune() and not run.prune_request.exists():
                cause = f"its validation error is behind that of other trials ({self._settings.pruner})"
                log.info("%s: %s", run.directory.name, cause)
                files.write_json(run.prune_request, {"schema": 1, "cause": cause})

    def _frozen_trials(self) -> list[FrozenTrial]:
        return self._study.get_trials(deepcopy=False)

    def _new_trials(self) -> int:
        """How many new trials may still be drawn; repetitions of failed trials do not count."""
        drawn = [trial for trial in self._frozen_trials() if trial.state != TrialState.WAITING]
        return max(self._max_trials - sum(RETRY not in trial.user_attrs for trial in drawn), 0)

    def _has_failed(self, number: int | None) -> bool:
        """Whether a job has no result, and no unfinished trial."""
        if number is None or number in self._trials:
            return False
        return self._record(self._plan.jobs[number - 1]).summary is None

    def _retry(self, trial: FrozenTrial) -> None:
        """Add a trial with the settings of a failed one, and train its job again."""
        running, attributes = TrialState.RUNNING, {RETRY: True}
        self._study.add_trial(
            create_trial(state=running, params=trial.params, distributions=trial.distributions, user_attrs=attributes)
        )
        self._resume(self._frozen_trials()[-1])

    def _resume(self, trial: FrozenTrial) -> None:
        if (started := self._start(Trial(self._study, trial._trial_id))) is not None:
            self._resumed.append(started)

    def _start(self, trial: Trial) -> tuple[Job, Experiment] | None:
        """Assign a trial to a job, new or known.

        Returns:
            The job and its experiment if it must be trained; None if the job is in training or finished, or if the
            settings are not allowed together.
        """
        try:
            point = self._space.combination([_as_typed(trial.params[parameter.key]) for parameter in self._space.parameters])
        except KeyError:  # the driver was killed while the trial was drawn
            self._study.tell(trial, state=TrialState.FAIL)
            return None
        except ConfigError as error:
            messages.warning(f"trial {trial.number}: skipped: {error.problems[0].cause}")
            self._study.tell(trial, state=TrialState.FAIL)
            return None
        jobs, experiments = plan.extend_jobs(self._plan.jobs, [point])
        ((number, experiment),) = experiments.items()
        job = jobs[number - 1]
        trial.set_user_attr(JOB, number)
        if len(jobs) > len(self._plan.jobs):
            self._plan = self._plan.model_copy(update={"jobs": tuple(jobs)})
            plan.write(self._sweep, self._plan)
        record = self._record(job)
        if number in self._trials:
            self._trials[number].append(trial)
        elif record.summary is not None or (record.status in FINISHED and RETRY not in trial.user_attrs):
            self._report_result(trial, record)
        else:
            self._trials[number] = [trial]
            return job, experiment
        return None

    def _record(self, job: Job) -> Record:
        return read_record(self._sweep.run(job).directory)

    def _report_result(self, trial: Trial, record: Record) -> None:
        if record.summary is not None:
            if self._settings.pruner != "none":
                _report_epochs(trial, Run(record.directory))
            self._study.tell(trial, [objective(record.summary, name) for name in self._settings.objectives])
        else:
            self._study.tell(trial, state=TrialState.PRUNED if record.status == "pruned" else TrialState.FAIL)


def objective(summary: Summary, name: str) -> float:
    """The value of an objective, which the search minimizes.

    Raises:
        ValueError: the run has no validation images.
    """
    if name == "validation.error_percent":
        if summary.validation is None:
            raise ValueError("a run without validation images cannot be an objective")
        return summary.validation.error_percent
    return float(summary.model.parameters if name == "model.parameters" else summary.train_seconds)


def _as_typed(value: object) -> str:
    """Format a drawn value as in an override, with every digit of a number."""
    return value if isinstance(value, str) else repr(value)


def _report_epochs(trial: Trial, run: Run) -> bool:
    """Report the run's new epochs to the study; return whether there were any."""
    known = trial.study.get_trials(deepcopy=False)[trial.number].intermediate_values
    new = [row for row in history.read(run.history) if row.epoch not in known]
    for row in new:
        if row.validation_error_percent is not None:  # every run of a search has validation images
            trial.report(row.validation_error_percent, row.epoch)
    return bool(new)
