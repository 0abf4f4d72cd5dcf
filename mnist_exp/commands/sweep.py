"""`mnist-exp -m …`: plan the jobs of a sweep or a search, train them, report the results."""

import argparse
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from mnist_exp import __version__, datasets, tracking
from mnist_exp.commands import arguments as command_line
from mnist_exp.commands import results
from mnist_exp.comparison.looks import Looks
from mnist_exp.config.composition import Composition
from mnist_exp.config.hydra_settings import OptunaSweeperConfig
from mnist_exp.config.identity import config_hash, is_content_hash, is_execution_setting
from mnist_exp.config.schema import Experiment
from mnist_exp.config.search_space import Combination, SearchSpace
from mnist_exp.errors import EXIT_DONE, InputError, Interrupted
from mnist_exp.machine import logs
from mnist_exp.runs.directory import create_directory
from mnist_exp.runs.status import now
from mnist_exp.sweep import launchers, plan, until_decided
from mnist_exp.sweep.display import display
from mnist_exp.sweep.driver import Driver, JobSource
from mnist_exp.sweep.launchers.launcher import Launcher
from mnist_exp.sweep.plan import Job, Plan, Sweep
from mnist_exp.sweep.progress import State
from mnist_exp.sweep.until_decided import UNTIL_DECIDED, Compose, UntilDecided
from mnist_exp.terminal import messages
from mnist_exp.terminal.messages import pluralize
from mnist_exp.tracking.uploader_process import upload_in_background

log = logging.getLogger(__name__)

DRY_RUN = "sweep.dry_run=true"  # an override that the jobs of a dry run do not list


@dataclass(frozen=True)
class Prepared:
    """A sweep whose directory and plan exist, and the function that trains it and returns the exit code."""

    sweep: Sweep
    train: Callable[[], int]


def start(parsed: argparse.Namespace, composition: Composition) -> int:
    """Train all combinations of a command line with `-m`, or search among them; return the exit code.

    Raises:
        UserError: the command line cannot be used, or no directory can be created.
        KeyboardInterrupt, Interrupted: after the results so far have been printed.
    """
    prepared = prepare(parsed, composition)
    return EXIT_DONE if prepared is None else prepared.train()


def prepare(parsed: argparse.Namespace, composition: Composition) -> Prepared | None:
    """Check a command line with `-m` and create its sweep; a dry run only prints the jobs, and returns None.

    Raises:
        UserError: the command line cannot be used, or no directory can be created.
    """
    settings = composition.hydra_settings.sweeper
    if isinstance(settings, OptunaSweeperConfig):
        return _prepare_search(parsed, composition, settings)
    with messages.spinner("checking all jobs"):
        combinations = composition.combinations()
    jobs, experiments = plan.extend_jobs([], combinations)
    _note_repetitions(combinations, jobs)
    first = combinations[0].experiment
    compose = partial(experiments_of, composition, ())
    planned = until_decided.plan_looks(jobs, first.sweep, set(map(key_of, parsed.overrides)))
    if planned is not None:
        added = until_decided.first_jobs(jobs, planned)
        jobs, experiments = [*jobs, *added], experiments | compose(added)
    if first.sweep.dry_run:
        print_jobs(jobs, jobs, planned)
        return None
    for data in {combination.experiment.dataset.source for combination in combinations}:
        datasets.check_available(data)
    sweep, known = create(parsed, composition, first, jobs, planned)

    def train_jobs() -> int:
        with plan.locked(sweep):
            launcher = launchers.build(sweep, composition.hydra_settings.launcher, first)
            remaining = [(job, experiments[job.number]) for job in jobs]
            source = source_of(sweep, known, remaining, {}, planned, compose)
            return train(sweep, launcher, source, first, launcher.queue_limit)

    return Prepared(sweep, train_jobs)


def _note_repetitions(combinations: Sequence[Combination], jobs: Sequence[Job]) -> None:
    """Say that combinations have the configuration and seed of another, such as two paths with the same images."""
    if len(jobs) == len(combinations):
        return
    numbers = {(job.config_hash, job.seed): job.number for job in jobs}
    shared = [numbers[config_hash(one.experiment), one.experiment.seed] for one in combinations]
    first = {number: place for place, number in reversed(list(enumerate(shared)))}
    repeated = next(place for place, number in enumerate(shared) if first[number] != place)
    same = f"{' '.join(combinations[repeated].swept)} is job {shared[repeated]}"
    text = f"{pluralize(len(combinations), 'combination')}, {pluralize(len(jobs), 'job')}"
    messages.note(f"{text}: combinations with the same configuration and seed share one; for example, {same}")


def _prepare_search(parsed: argparse.Namespace, composition: Composition, settings: OptunaSweeperConfig) -> Prepared | None:
    from mnist_exp.sweep.sampling import sampler

    with messages.spinner("checking the search space"):
        space = composition.space(settings)
    if space.example().sweep.dry_run:
        print_space(space, settings)
        return None
    sampler(settings, 0)  # raises if it needs a package that is not installed
    datasets.check_available(space.example().dataset.source)
    sweep, _ = create(parsed, composition, space.example(), [], None)

    def train_jobs() -> int:
        with plan.locked(sweep):
            return search(sweep, composition, space, settings, retry_failed=False)

    return Prepared(sweep, train_jobs)


def create(
    parsed: argparse.Namespace, composition: Composition, experiment: Experiment, jobs: Sequence[Job], planned: Looks | None
) -> tuple[Sweep, Plan]:
    """Check that the launcher and the tracker can be used, create the sweep's directory and write its plan and looks."""
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
    if planned is not None:
        until_decided.write(sweep, planned)
    plan.write(sweep, known)
    return sweep, known


def search(
    sweep: Sweep, composition: Composition, space: SearchSpace, settings: OptunaSweeperConfig, retry_failed: bool
) -> int:
    """Run the trials of a search that this process has locked; return the exit code."""
    from mnist_exp.sweep.search import Search

    launcher = launchers.build(sweep, composition.hydra_settings.launcher, space.example())
    source = Search(sweep, space, settings, retry_failed)
    # No trial is drawn in advance: the results of the running ones would be unknown.
    queue_limit = min(launcher.queue_limit, settings.n_jobs or launcher.parallel_jobs)
    return train(sweep, launcher, source, space.example(), queue_limit)


def train(sweep: Sweep, launcher: Launcher, source: JobSource, experiment: Experiment, queue_limit: int) -> int:
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


def source_of(
    sweep: Sweep,
    known: Plan,
    jobs: Sequence[tuple[Job, Experiment]],
    finished: Mapping[int, State],
    planned: Looks | None,
    compose: Compose,
) -> JobSource:
    """Return the source of a sweep's remaining jobs and, if looks are planned, of those that they add."""
    if planned is None:
        return JobSource(known, jobs, finished)
    is_quiet = jobs[0][1].progress == "quiet"
    return UntilDecided(sweep, known, jobs, finished, planned, compose, is_quiet)


def experiments_of(
    composition: Composition, execution_overrides: Sequence[str], jobs: Collection[Job]
) -> dict[int, Experiment]:
    """Compose the experiments of planned jobs, by number; raise InputError if one is not the planned one."""
    experiments = composition.experiments([(*job.overrides, *execution_overrides) for job in jobs])
    for job, experiment in zip(jobs, experiments, strict=True):
        if not job.is_planned_from(experiment):
            cause = f"job {job.number}: its overrides now compose to another experiment"
            remedy = "restore the options in conf/ and --config-dir, or start a new sweep"
            raise InputError(cause, f"{remedy}; with {UNTIL_DECIDED}=true, only the seed may depend on the seed")
    return dict(zip((job.number for job in jobs), experiments, strict=True))


def key_of(override: str) -> str:
    """Return the key of an override."""
    return override.lstrip("+~").partition("=")[0]


def is_execution_override(line: str) -> bool:
    """Return whether an override only changes how jobs run, not their experiments."""
    key = key_of(line)
    return is_execution_setting(key) or (key.startswith("hydra") and not key.startswith("hydra.sweeper.params"))


def print_jobs(remaining: Sequence[Job], jobs: Sequence[Job], planned: Looks | None) -> int:
    """Print the remaining jobs of a dry run, and the looks at all `jobs` if some are planned."""
    for job in remaining:
        overrides = " ".join(line for line in job.overrides if not line.endswith(DRY_RUN) and not is_content_hash(line))
        print(messages.sanitize(f"{job.number:>4}  {overrides}"))
    count = pluralize(len(remaining), "job")
    print(count if planned is None else f"{count} until the next look; {until_decided.describe(planned, jobs)}")
    return EXIT_DONE


def print_space(space: SearchSpace, settings: OptunaSweeperConfig) -> int:
    """Print the search space of a dry run."""
    from mnist_exp.sweep.sampling import distribution, domain

    for parameter in space.parameters:
        print(messages.sanitize(f"{parameter.key}: {domain(distribution(parameter))}"))
    print(f"{pluralize(settings.n_trials, 'trial')}, sampler {settings.sampler}, pruner {settings.pruner}")
    return EXIT_DONE
