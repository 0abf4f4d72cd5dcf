"""`mnist-exp resume SWEEP …`: train the remaining jobs of a sweep or search, and those that are added to it."""

import contextlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from mnist_exp.commands import results
from mnist_exp.commands.named_runs import find_weights
from mnist_exp.commands.sweep import (
    experiments_of,
    is_execution_override,
    key_of,
    print_jobs,
    print_space,
    search,
    source_of,
    train,
)
from mnist_exp.comparison import looks
from mnist_exp.comparison.looks import Looks
from mnist_exp.config.command_line import parse_arguments
from mnist_exp.config.composition import Composition
from mnist_exp.config.hydra_settings import OptunaSweeperConfig
from mnist_exp.config.schema import Experiment
from mnist_exp.errors import InputError, IntegrityError
from mnist_exp.machine import logs
from mnist_exp.runs.status import read_record
from mnist_exp.sweep import launchers, plan, until_decided
from mnist_exp.sweep.plan import Job, Plan, Sweep
from mnist_exp.sweep.progress import State, state_of
from mnist_exp.sweep.until_decided import MAX_SEEDS, UNTIL_DECIDED


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
        known, stored = plan.read(sweep), looks.read(sweep.looks)
        kept = [] if stored is None else [f"{UNTIL_DECIDED}=true", f"{MAX_SEEDS}={stored.max_seeds}"]
        composition = Composition(parse_arguments([*known.arguments, *kept, *overrides]), find=find_weights)
        settings = composition.hydra_settings.sweeper
        if not isinstance(settings, OptunaSweeperConfig):
            return _resume(sweep, known, stored, composition, [*kept, *overrides], retry_failed)
        if other := [line for line in overrides if not is_execution_override(line)]:
            cause = f"{' '.join(other)}: a search keeps its settings; start a new one"
            raise InputError(cause, "allowed: hydra.sweeper.n_trials=N, hydra/launcher=NAME, device=NAME and the like")
        space = composition.space(settings)
        if space.example().sweep.dry_run:
            return print_space(space, settings)
        return search(sweep, composition, space, settings, retry_failed)


def _resume(
    sweep: Sweep, known: Plan, stored: Looks | None, composition: Composition, overrides: Sequence[str], retry_failed: bool
) -> int:
    """Continue a sweep that is no search."""
    keys = {key_of(line) for line in overrides}
    other = [line for line in overrides if not is_execution_override(line)]
    compose = partial(experiments_of, composition, [line for line in overrides if line not in other])
    jobs, experiments = list(known.jobs), dict[int, Experiment]()
    if other:
        jobs, experiments = plan.extend_jobs(jobs, composition.combinations())
        # One of each other configuration: the options may have changed. Data that were moved may now have another path.
        same = {jobs[number - 1].config_hash for number in experiments}
        compose({job.config_hash: job for job in known.jobs if job.config_hash not in same}.values())
        if stored is not None and len(jobs) > len(known.jobs):
            cause = f"{' '.join(other)}: the looks of this sweep are planned for its configurations, and choose the seeds"
            raise InputError(cause, "leave it out, or start a new sweep")
    finished = _finished(sweep, jobs, retry_failed)
    remaining = [job for job in jobs if job.number not in finished]
    experiments |= compose([job for job in remaining if job.number not in experiments])
    first = next((experiments[job.number] for job in remaining), None)
    if first is None and UNTIL_DECIDED in {*keys, *map(key_of, known.overrides)}:
        first = compose(jobs[:1])[1]
    if first is None:
        return results.finish_sweep(sweep, known, len(jobs))
    planned, added = until_decided.plan_looks(jobs, first.sweep, keys, stored), list[Job]()
    if planned is not None:
        if UNTIL_DECIDED not in keys:  # neither stored nor typed now
            raise IntegrityError(f"{sweep.looks}: is missing", looks.RESTORE)
        added = until_decided.first_jobs(jobs, planned)
        if not remaining and not added:
            with contextlib.nullcontext() if first.sweep.dry_run else logs.log_to_file(sweep.log):
                added = until_decided.take_look(sweep, known, planned, first.progress == "quiet")
        experiments |= compose(added)
    remaining += added
    if first.sweep.dry_run:
        return print_jobs(remaining, [*jobs, *added], planned)
    known = plan.add_jobs(sweep, known, jobs[len(known.jobs) :], overrides)
    if planned is not None and stored is None:
        until_decided.write(sweep, planned)
    known = plan.add_jobs(sweep, known, added)
    if not remaining:
        return results.finish_sweep(sweep, known, len(known.jobs))
    launcher = launchers.build(sweep, composition.hydra_settings.launcher, first)
    pairs = [(job, experiments[job.number]) for job in remaining]
    source = source_of(sweep, known, pairs, finished, planned, compose)
    return train(sweep, launcher, source, first, launcher.queue_limit)


def _finished(sweep: Sweep, jobs: Sequence[Job], retry_failed: bool) -> dict[int, State]:
    """Return the states of the jobs that are not trained again, by number."""
    records = {job.number: read_record(sweep.run(job).directory) for job in jobs}
    is_final = {number: record.is_final and not retry_failed for number, record in records.items()}
    return {n: state_of(record) for n, record in records.items() if record.summary is not None or is_final[n]}
