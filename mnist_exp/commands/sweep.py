"""`mnist-exp -m …` and `mnist-exp resume SWEEP …`: plan the jobs of a sweep or a search, train them, report the results."""

import argparse
import logging
from collections.abc import Collection, Sequence
from pathlib import Path

from mnist_exp import __version__, datasets, tracking
from mnist_exp.commands import arguments as command_line
from mnist_exp.commands import results
from mnist_exp.config.command_line import parse_arguments
from mnist_exp.config.composition import Composition
from mnist_exp.config.hydra_settings import OptunaSweeperConfig
from mnist_exp.config.identity import is_execution_setting
from mnist_exp.config.schema import Experiment
from mnist_exp.config.search_space import SearchSpace
from mnist_exp.errors import EXIT_DONE, InputError, Interrupted
from mnist_exp.machine import logs
from mnist_exp.run.directory import create_directory
from mnist_exp.run.status import now, read_record
from mnist_exp.sweep import launchers, plan
from mnist_exp.sweep.display import display
from mnist_exp.sweep.driver import Driver, JobSource
from mnist_exp.sweep.launchers.launcher import Launcher
from mnist_exp.sweep.plan import Job, Plan, Sweep
from mnist_exp.sweep.progress import State, state_of
from mnist_exp.terminal import messages
from mnist_exp.terminal.messages import pluralize
from mnist_exp.tracking.uploader_process import upload_in_background

log = logging.getLogger(__name__)

DRY_RUN = "sweep.dry_run=true"  # an override that the jobs of a dry run do not list


def start(parsed: argparse.Namespace, composition: Composition) -> int:
    """Train all combinations of a command line with `-m`, or search among them; return the exit code.

    Raises:
        UserError: the command line cannot be used, or no directory can be created.
        KeyboardInterrupt, Interrupted: after the results so far have been printed.
    """
    settings = composition.hydra_settings.sweeper
    if isinstance(settings, OptunaSweeperConfig):
        return _start_search(parsed, composition, settings)
    with messages.spinner("checking all jobs"):
        combinations = composition.combinations()
    jobs, experiments = plan.extend_jobs([], combinations)
    first = combinations[0].experiment
    if first.sweep.dry_run:
        return _print_jobs(jobs)
    for data in {combination.experiment.dataset.source for combination in combinations}:
        datasets.check_available(data)
    sweep, known = _create(parsed, composition, first, jobs)
    with plan.locked(sweep):
        launcher = launchers.build(sweep, composition.hydra_settings.launcher, first)
        source = JobSource(known, [(job, experiments[job.number]) for job in jobs], {})
        return _train(sweep, launcher, source, first, launcher.queue_limit)


def _start_search(parsed: argparse.Namespace, composition: Composition, settings: OptunaSweeperConfig) -> int:
    from mnist_exp.sweep.sampling import sampler

    with messages.spinner("checking the search space"):
        space = composition.space(settings)
    if space.example().sweep.dry_run:
        return _print_space(space, settings)
    sampler(settings, 0)  # raises if it needs a package that is not installed
    datasets.check_available(space.example().dataset.source)
    sweep, _ = _create(parsed, composition, space.example(), [])
    with plan.locked(sweep):
        return _search(sweep, composition, space, settings, retry_failed=False)


def resume(directory: Path, overrides: Sequence[str], retry_failed: bool) -> int:
    """Train the remaining jobs of a sweep or search, and the jobs that the overrides add to it; return the exit code.

    Args:
        directory: the directory of the sweep.
        overrides: they replace overrides of the sweep with the same key, such as seed=range(10) or hydra/launcher=joblib.
        retry_failed: whether to train failed jobs again.

    Raises:
        UserError: the sweep cannot be read, the overrides cannot be used, or another process runs the sweep.
        KeyboardInterrupt, Interrupted: after the results so far have been printed.
    """
    sweep = Sweep(directory)
    with plan.locked(sweep):
        known = plan.read(sweep)
        parsed = parse_arguments([*known.arguments, *overrides])
        composition = Composition(parsed)
        settings = composition.hydra_settings.sweeper
        execution_overrides = [line for line in overrides if _is_execution_override(line)]
        if isinstance(settings, OptunaSweeperConfig):
            if other := [line for line in overrides if line not in execution_overrides]:
                cause = f"{' '.join(other)}: a search keeps its settings; start a new one"
                raise InputError(cause, "allowed: hydra.sweeper.n_trials=N, hydra/launcher=NAME, device=NAME and the like")
            space = composition.space(settings)
            if space.example().sweep.dry_run:
                return _print_space(space, settings)
            return _search(sweep, composition, space, settings, retry_failed)
        jobs, new = list(known.jobs), dict[int, Experiment]()
        if len(execution_overrides) < len(overrides):
            job_of_each_configuration = {job.config_hash: job for job in jobs}.values()
            _experiments(sweep, job_of_each_configuration, composition, execution_overrides)
            jobs, new = plan.extend_jobs(jobs, composition.combinations())
        remaining, finished = list[Job](), dict[int, State]()
        for job in jobs:
            record = read_record(sweep.run(job).directory)
            if record.summary is not None or (record.is_final and not retry_failed):
                finished[job.number] = state_of(record)
            else:
                remaining.append(job)
        old = [job for job in remaining if job.number not in new]
        experiments = new | _experiments(sweep, old, composition, execution_overrides)
        first = experiments[remaining[0].number] if remaining else None
        if first is not None and first.sweep.dry_run:
            return _print_jobs(remaining)
        if len(jobs) > len(known.jobs):
            extensions = (*known.extensions, tuple(overrides))
            known = known.model_copy(update={"extensions": extensions, "jobs": tuple(jobs)})
            plan.write(sweep, known)
        if first is None:
            return results.finish_sweep(sweep, known, len(jobs))
        launcher = launchers.build(sweep, composition.hydra_settings.launcher, first)
        source = JobSource(known, [(job, experiments[job.number]) for job in remaining], finished)
        return _train(sweep, launcher, source, first, launcher.queue_limit)


def _create(
    parsed: argparse.Namespace, composition: Composition, experiment: Experiment, jobs: Sequence[Job]
) -> tuple[Sweep, Plan]:
    """Check that the launcher and the tracker can be used, create the sweep's directory and write its plan."""
    launchers.check(composition.hydra_settings.launcher)
    tracking.check_installed(experiment.tracker)
    sweep = Sweep(create_directory(Path(command_line.path(experiment.runs_dir)), experiment.sweep.name))
    known = Plan(
        layout=1,
        created=now(),
        version=__version__,
        config_dir=None if parsed.config_dir is None else str(Path(parsed.config_dir).resolve()),
        config_name=parsed.config_name,
        overrides=tuple(parsed.overrides),
        extensions=(),
        jobs=tuple(jobs),
    )
    plan.write(sweep, known)
    return sweep, known


def _search(
    sweep: Sweep, composition: Composition, space: SearchSpace, settings: OptunaSweeperConfig, retry_failed: bool
) -> int:
    """Run the trials of a search that this process has locked; return the exit code."""
    from mnist_exp.sweep.search import Search

    launcher = launchers.build(sweep, composition.hydra_settings.launcher, space.example())
    source = Search(sweep, space, settings, retry_failed)
    # No trial is drawn in advance: the results of the running ones would be unknown.
    queue_limit = min(launcher.queue_limit, settings.n_jobs or launcher.parallel_jobs)
    return _train(sweep, launcher, source, space.example(), queue_limit)


def _train(sweep: Sweep, launcher: Launcher, source: JobSource, experiment: Experiment, queue_limit: int) -> int:
    """Train the jobs of a source and print the results of the whole sweep; `experiment` has the settings of all jobs."""
    with logs.log_to_file(sweep.log), upload_in_background(sweep.directory, sweep.log, experiment.tracker):
        finished = len(source.finished)
        remaining = pluralize(source.total - finished, "job")
        text = f"{sweep.directory}: {remaining} to train, {launcher.parallel_jobs} at once"
        text += f"; {finished:,} already done" if finished else ""
        log.info("%s", text)
        if experiment.progress != "quiet":
            messages.note(text)
        try:
            view = display(experiment.progress, sweep)
            Driver(sweep, experiment.sweep, source, launcher, view, queue_limit).run()
        except (KeyboardInterrupt, Interrupted):
            results.finish_sweep(sweep, source.plan, source.total, interrupted=True)
            raise
        return results.finish_sweep(sweep, source.plan, source.total, launcher.peak_memory)


def _experiments(
    sweep: Sweep, jobs: Collection[Job], composition: Composition, execution_overrides: Sequence[str]
) -> dict[int, Experiment]:
    """Compose the experiments of planned jobs, by number; raise InputError if one is not the planned one."""
    experiments = composition.experiments([(*job.overrides, *execution_overrides) for job in jobs])
    for job, experiment in zip(jobs, experiments, strict=True):
        if not job.is_planned_from(experiment):
            cause = f"job {job.number} of {sweep.directory}: its overrides now compose to another experiment"
            raise InputError(cause, "restore the options in conf/ and --config-dir, or start a new sweep")
    return dict(zip((job.number for job in jobs), experiments, strict=True))


def _is_execution_override(line: str) -> bool:
    """Return whether an override only changes how jobs run, not their experiments."""
    key = line.lstrip("+~").partition("=")[0]
    return is_execution_setting(key) or (key.startswith("hydra") and not key.startswith("hydra.sweeper.params"))


def _print_jobs(jobs: Sequence[Job]) -> int:
    """Print the jobs of a dry run."""
    for job in jobs:
        overrides = " ".join(line for line in job.overrides if not line.endswith(DRY_RUN))
        print(messages.sanitize(f"{job.number:>4}  {overrides}"))
    print(pluralize(len(jobs), "job"))
    return EXIT_DONE


def _print_space(space: SearchSpace, settings: OptunaSweeperConfig) -> int:
    """Print the search space of a dry run."""
    from mnist_exp.sweep.sampling import distribution, domain

    for parameter in space.parameters:
        print(messages.sanitize(f"{parameter.key}: {domain(distribution(parameter))}"))
    print(f"{pluralize(settings.n_trials, 'trial')}, sampler {settings.sampler}, pruner {settings.pruner}")
    return EXIT_DONE
