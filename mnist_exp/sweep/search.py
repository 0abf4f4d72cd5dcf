"""A search with Optuna: each trial is a job, whose settings are drawn when the launcher accepts it.

Only the driver uses the study; it reads the progress of the jobs from their files, wherever they run.
"""

import logging
import math
from operator import attrgetter

from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from mnist_exp.config.hydra_settings import OptunaSweeperConfig
from mnist_exp.config.schema import Experiment
from mnist_exp.config.search_space import SearchSpace
from mnist_exp.errors import ConfigError
from mnist_exp.machine import files
from mnist_exp.runs import history
from mnist_exp.runs.run import Run
from mnist_exp.runs.status import FINISHED, Record, read_record
from mnist_exp.sweep import plan
from mnist_exp.sweep.driver import JobSource
from mnist_exp.sweep.plan import Job, Sweep
from mnist_exp.sweep.progress import state_of
from mnist_exp.sweep.sampling import distribution, grid_values
from mnist_exp.sweep.study import JOB, open_study
from mnist_exp.terminal import messages

log = logging.getLogger(__name__)

RETRY = "again"  # attribute of a trial: it repeats one that failed


class Search(JobSource):
    """The jobs of a study's trials."""

    def __init__(self, sweep: Sweep, space: SearchSpace, settings: OptunaSweeperConfig, retry_failed: bool) -> None:
        """Open or create the study, store the overrides, and continue unfinished trials; `retry_failed` repeats failed ones.

        Raises:
            InputError: the study has other parameters or objectives.
            IntegrityError: the plan or the journal is damaged or missing.
            EnvironmentFailure: the sampler needs a package that is not installed.
        """
        self._sweep = sweep
        self.plan = plan.read(sweep).model_copy(update={"overrides": space.overrides})  # such as more trials
        self._space = space
        self._settings = settings
        self._distributions = {parameter.key: distribution(parameter) for parameter in space.parameters}
        self._study = open_study(sweep, self.plan, settings, self._distributions)
        plan.write(sweep, self.plan)  # the study accepts the overrides
        self._max_trials = settings.n_trials
        if settings.sampler == "grid":
            grid_size = math.prod(len(grid_values(each)) for each in self._distributions.values())
            self._max_trials = min(settings.n_trials, grid_size)
        self._trials: dict[int, list[Trial]] = {}  # unfinished trials by job number; equal trials share a job
        trials = self._frozen_trials()
        jobs = [self._start_stored(trial) for trial in trials if trial.state == TrialState.RUNNING]
        for trial in trials:
            if trial.state == TrialState.FAIL and self._is_repeated(trial.user_attrs.get(JOB), retry_failed):
                retry = create_trial(state=TrialState.RUNNING, params=trial.params, distributions=trial.distributions)
                retry.set_user_attr(RETRY, True)
                self._study.add_trial(retry)
                jobs.append(self._start_stored(self._frozen_trials()[-1]))
        records = {job.number: self._record(job) for job in self.plan.jobs if job.number not in self._trials}
        finished = {number: state_of(record) for number, record in records.items() if record.status in FINISHED}
        super().__init__(self.plan, [job for job in jobs if job is not None], finished)

    @property
    def total(self) -> int:
        """The number of jobs, with one for each new trial."""
        return len(self.plan.jobs) + self._new_trials()

    def take(self) -> tuple[Job, Experiment] | None:
        """Return the job of an unfinished trial or of a new one; None if no trials are left."""
        job = super().take()
        while job is None and self._new_trials():
            job = self._start(self._study.ask(self._distributions))
        return job

    def finish(self, job: Job, record: Record) -> None:
        """Report the result of a job to the study."""
        for trial in self._trials.pop(job.number):
            self._report_result(trial, record)

    def poll(self) -> None:
        """Report new epochs to the study, and request the end of jobs that the pruner rejects."""
        if self._settings.pruner == "none":
            return
        for number, trials in self._trials.items():
            run = self._sweep.run(self.plan.jobs[number - 1])
            if _report_epochs(trials[0], run) and trials[0].should_prune() and not run.prune_request.exists():
                cause = f"its validation error is behind that of other trials ({self._settings.pruner})"
                log.info("%s: %s", run.directory.name, cause)
                files.write_json(run.prune_request, {"schema": 1, "cause": cause})

    def _frozen_trials(self) -> list[FrozenTrial]:
        return self._study.get_trials(deepcopy=False)

    def _new_trials(self) -> int:
        """Return how many trials may still be drawn: new ones, and repetitions that an earlier version left waiting."""
        trials = [(trial.state == TrialState.WAITING, RETRY in trial.user_attrs) for trial in self._frozen_trials()]
        return max(self._max_trials - trials.count((False, False)), 0) + trials.count((True, True))

    def _is_repeated(self, number: int | None, retry_failed: bool) -> bool:
        """Return whether the job of a failed trial is trained again: if it has no result and no unfinished trial.

        A record that is not final means that the machine failed, not the job: for example, the disk was full.
        """
        if number is None or number in self._trials:
            return False
        record = self._record(self.plan.jobs[number - 1])
        return record.summary is None and (retry_failed or not record.is_final)

    def _start_stored(self, trial: FrozenTrial) -> tuple[Job, Experiment] | None:
        return self._start(Trial(self._study, trial._trial_id))

    def _start(self, trial: Trial) -> tuple[Job, Experiment] | None:
        """Assign a trial to a job, new or known; return the job if it must be trained."""
        for key, drawn_from in self._distributions.items():  # those that a driver had not drawn yet when it was killed
            trial._suggest(key, drawn_from)
        try:
            drawn = [trial.params[parameter.key] for parameter in self._space.parameters]
            values = [value if isinstance(value, str) else repr(value) for value in drawn]  # with every digit of a number
            combination = self._space.combination(values)
        except ConfigError as error:
            messages.warning(f"trial {trial.number}: skipped: {error.problems[0].cause}")
            self._study.tell(trial, state=TrialState.FAIL)
            return None
        jobs, experiments = plan.extend_jobs(self.plan.jobs, [combination])
        ((number, experiment),) = experiments.items()
        job = jobs[number - 1]
        trial.set_user_attr(JOB, number)
        if len(jobs) > len(self.plan.jobs):
            self.plan = self.plan.model_copy(update={"jobs": tuple(jobs)})
            plan.write(self._sweep, self.plan)
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
            self._study.tell(trial, [attrgetter(name)(record.summary) for name in self._settings.objectives])
        else:
            self._study.tell(trial, state=TrialState.PRUNED if record.status == "pruned" else TrialState.FAIL)


def _report_epochs(trial: Trial, run: Run) -> bool:
    """Report the run's new epochs to the study; return whether there were any."""
    known = trial.study.get_trials(deepcopy=False)[trial.number].intermediate_values
    new = [row for row in history.read(run.history) if row.epoch not in known]
    for row in new:
        if row.validation_error_percent is not None:  # every run of a search has validation images
            trial.report(row.validation_error_percent, row.epoch)
    return bool(new)
