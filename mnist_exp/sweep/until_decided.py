"""A sweep that trains further seeds of the configurations that are undecided against the best, until all are decided.

The results are compared at planned looks, which looks.json contains. All else follows from sweep.yaml and the runs: a job is
in sweep.yaml before it is trained, and the current look is that of the number of seeds there. So a killed sweep continues
where it was.
"""

import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

from mnist_exp.comparison import looks
from mnist_exp.comparison.looks import Looks
from mnist_exp.comparison.ranking import Comparison, compare_each
from mnist_exp.comparison.significance import format_p_value
from mnist_exp.config.schema import Experiment, SweepConfig
from mnist_exp.errors import InputError
from mnist_exp.machine import files
from mnist_exp.runs.status import Record
from mnist_exp.sweep import leaderboard, plan
from mnist_exp.sweep.driver import JobSource
from mnist_exp.sweep.plan import Job, Plan, Sweep
from mnist_exp.sweep.progress import State
from mnist_exp.terminal import messages
from mnist_exp.terminal.messages import pluralize

log = logging.getLogger(__name__)

UNTIL_DECIDED, MAX_SEEDS = "sweep.until_decided", "sweep.max_seeds"
MAX_LINES = 11  # that are printed at a look, for the best and for the undecided configurations

Compose = Callable[[Collection[Job]], dict[int, Experiment]]  # → experiments by the number of the job


def plan_looks(
    jobs: Sequence[Job], settings: SweepConfig, typed: Collection[str], stored: Looks | None = None
) -> Looks | None:
    """Return the looks of a sweep: stored ones, or new ones, of which the first has all its seeds and at least three.

    Args:
        jobs: of the sweep.
        settings: that its jobs share.
        typed: the keys of the overrides.
        stored: looks that were planned earlier.

    Returns:
        None if the sweep is not trained until it is decided.

    Raises:
        InputError: the settings do not fit the jobs or the stored looks, or have no effect.
    """
    max_seeds, seeds = f"{MAX_SEEDS}={settings.max_seeds}", _seeds(jobs)
    if not settings.until_decided:
        if MAX_SEEDS in typed and stored is None:
            raise InputError(f"{max_seeds}: has an effect only with {UNTIL_DECIDED}=true", "add it, or leave this out")
        return None
    if stored is not None:
        if settings.max_seeds != stored.max_seeds:
            cause = f"{max_seeds}: the looks of this sweep are planned up to {stored.max_seeds} seeds"
            raise InputError(cause, "leave it out, or start a new sweep: the levels of all looks depend on the last one")
        return stored
    if len(_configurations(jobs)) == 1:
        cause = f"{UNTIL_DECIDED}=true: the sweep has only one configuration, so there is nothing to decide"
        raise InputError(cause, "give a setting several values, such as model=mlp,cnn_simple")
    if seeds > settings.max_seeds:
        cause = f"{max_seeds}: the sweep has {seeds:,} different seeds, and each configuration gets all of them"
        raise InputError(cause, f"allowed: an integer from {seeds} to {looks.MAX_SEEDS}")
    return looks.plan(seeds, settings.max_seeds)


def describe(planned: Looks, jobs: Sequence[Job]) -> str:
    """Return the looks of a sweep, and the most jobs that it may have."""
    *sizes, last = map(str, planned.sizes)
    numbers = f"{', '.join(sizes)} and {last}" if sizes else last
    most = len(_configurations(jobs)) * planned.max_seeds
    return f"looks at {numbers} seeds; at most {pluralize(most, 'job')} in all"


def write(sweep: Sweep, planned: Looks) -> None:
    """Write looks.json, once for each sweep."""
    files.write_json(sweep.looks, planned.model_dump(mode="json", by_alias=True))


def first_jobs(jobs: Sequence[Job], planned: Looks) -> list[Job]:
    """Return the jobs that the first look needs and that the sweep does not have; none after the first look."""
    size = planned.sizes[0]
    return [] if _seeds(jobs) > size else plan.repetitions(jobs, _configurations(jobs), size)


def take_look(sweep: Sweep, known: Plan, planned: Looks, is_quiet: bool) -> list[Job]:
    """Compare the runs of a sweep whose jobs are all finished, and log and show the result.

    A configuration whose runs failed is compared with the seeds that it has; without any result, it gets no further seeds.

    Returns:
        The jobs that the next look needs; none after the last.
    """
    boards = compare_each(leaderboard.job_rows(sweep, known), planned)
    of_directory = {job.directory: job for job in known.jobs}
    are_open = {of_directory[row.name].config_hash for board in boards for group in board.open_groups for row in group.rows}
    number, looks_in_all = planned.look(_seeds(known.jobs)), len(planned.sizes)
    # After the last look: only the seeds that others have; a change of the best may have made a configuration undecided.
    jobs = plan.repetitions(known.jobs, are_open, planned.sizes[min(number, looks_in_all - 1)])
    text = f"look {number} of {looks_in_all}, {planned.sizes[number - 1]} seeds: "
    text += _summary(boards, len(_configurations(known.jobs)))
    text += f"; {pluralize(len(jobs), 'job')} to train" if jobs else ""
    names = [_names([of_directory[group.rows[0].name] for group in board.groups]) for board in boards]
    lines = [line for board, of_board in zip(boards, names, strict=True) for line in _lines(board, of_board, not jobs)]
    _show([text, *lines], is_quiet)
    return jobs


def _names(jobs: Sequence[Job]) -> list[str]:
    """Return a name for the configuration of each job; where a name is not unique, the job's directory."""
    count = Counter(job.configuration for job in jobs)
    return [job.configuration if count[job.configuration] == 1 else job.directory for job in jobs]


def _summary(boards: Sequence[Comparison], configurations: int) -> str:
    """Return how many configurations of a sweep are undecided against the best on the same images."""
    lines = [line for board in boards for line in board.lines]
    if not lines:
        return "no configuration has a result"
    text = "decided: all others differ significantly from the best"
    if undecided := sum(line.significance is not None and not line.significance.significant for line in lines):
        text = f"{undecided:,} of {pluralize(len(lines), 'configuration')} undecided"
    without = configurations - len(lines)
    return text + (f"; {without:,} not ranked" if without else "")


def _lines(board: Comparison, names: Sequence[str], is_last: bool) -> Iterator[str]:
    """Yield a line for the best and one for each undecided configuration, with its test and why it stays undecided."""
    yield from (f"best: {name}" for name in names[:1])
    for line, name in zip(board.lines, names, strict=True):
        significance = line.significance
        if significance is None or significance.significant:
            continue
        p, advice, is_open = significance.p_corrected, significance.plan, significance.can_be_decided
        parts = [str(significance.result) if p is None else f"p {format_p_value(p)}"]
        if advice is not None:
            parts.append(advice.short_text + (", if the difference seen is real" if advice.reason and is_open else ""))
        if is_last and is_open and not (advice and advice.reason):
            parts.append("no more are planned")
        yield f"{name}: {'; '.join(parts)}"


class UntilDecided(JobSource):
    """The jobs of a sweep, and when all of them are finished, those of its next look."""

    def __init__(
        self,
        sweep: Sweep,
        known: Plan,
        jobs: Sequence[tuple[Job, Experiment]],
        finished: Mapping[int, State],
        planned: Looks,
        compose: Compose,
        is_quiet: bool,
    ) -> None:
        """Set the parts; `jobs` are those that remain until the current look. `is_quiet`: looks are only logged."""
        super().__init__(known, jobs, finished)
        self._sweep = sweep
        self._planned = planned
        self._compose = compose
        self._is_quiet = is_quiet
        self._unfinished = {job.number for job, _ in jobs}

    @property
    def total(self) -> int:
        """The number of jobs until the next look."""
        return len(self.plan.jobs)

    def take(self) -> tuple[Job, Experiment] | None:
        """Return the next job; if all are finished, look at the results first."""
        if not self._unfinished:
            if not files.exists(self._sweep.looks):  # it was removed; every later comparison needs it
                write(self._sweep, self._planned)
            jobs = take_look(self._sweep, self.plan, self._planned, self._is_quiet)
            experiments = self._compose(jobs)
            self.plan = plan.add_jobs(self._sweep, self.plan, jobs)
            self._jobs.extend((job, experiments[job.number]) for job in jobs)
            self._unfinished |= set(experiments)
        return super().take()

    def finish(self, job: Job, record: Record) -> None:  # noqa: ARG002
        """Take note of a job that completed or failed for good."""
        self._unfinished.discard(job.number)


def _show(lines: Sequence[str], is_quiet: bool) -> None:
    """Log the summary of a look and its lines; unless the display is quiet, print the first of them."""
    for line in lines:
        log.info("%s", line)
    if not is_quiet:
        summary, *shown = lines
        more = [f"and {len(shown) - MAX_LINES:,} more"] if len(shown) > MAX_LINES else []
        for line in [summary, *(f"  {line}" for line in [*shown[:MAX_LINES], *more])]:
            messages.note(line)


def _configurations(jobs: Sequence[Job]) -> set[str]:
    return {job.config_hash for job in jobs}


def _seeds(jobs: Sequence[Job]) -> int:
    return len({job.seed for job in jobs})
