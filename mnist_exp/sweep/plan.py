"""A sweep's directory and its sweep.yaml, which assigns each configuration and seed a job number and a directory."""

import contextlib
import hashlib
import itertools
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mnist_exp.config.conversions import SWEPT_PATHS
from mnist_exp.config.identity import config_hash, config_hashes, short_key
from mnist_exp.config.schema import Experiment
from mnist_exp.config.search_space import Combination
from mnist_exp.errors import IntegrityError
from mnist_exp.machine import files, locks
from mnist_exp.machine.plain_data import LISTS, UNREADABLE, describe, read_yaml
from mnist_exp.runs.lock import exclusive
from mnist_exp.runs.run import FilePath, Run, refuse_special_files
from mnist_exp.runs.status import first_fault

MAX_NAME = 100  # characters of a directory
NUMBER_DIGITS = 3  # at least, so that names still sort when jobs are added
MAX_SEED = 2**32 - 1
UNSAFE = re.compile(r"[^A-Za-z0-9._=,+-]+")
DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # LibYAML is ten times as fast

Override = Annotated[str, Field(pattern=r"^[^-]")]  # not a flag
Strings = Annotated[tuple[Override, ...], Field(strict=False)]


class Stored(BaseModel):
    """The base of the sections of sweep.yaml: all keys present, none unknown."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, validate_by_name=True, validate_by_alias=True, serialize_by_alias=True
    )


class Job(Stored):
    """One run of a sweep."""

    number: Annotated[int, Field(ge=1)]
    directory: Annotated[str, Field(pattern=r"^\d+_[A-Za-z0-9._=,+-]*$", max_length=MAX_NAME)]
    overrides: Strings
    config_hash: str
    seed: int

    @property
    def configuration(self) -> str:
        """The name of its configuration: that of its directory, without number and seed."""
        return self.directory.partition("_")[2].removesuffix(f"_s{self.seed}")

    def is_planned_from(self, experiment: Experiment) -> bool:
        """Return whether an experiment is that of this job, which an earlier version may have planned."""
        return self.seed == experiment.seed and self.config_hash in config_hashes(experiment)


class Plan(Stored):
    """The content of sweep.yaml."""

    layout: Annotated[Literal[1], Field(alias="schema")]
    created: str
    version: str  # of mnist-exp
    config_dir: str | None  # as given with --config-dir, absolute
    config_name: str | None
    overrides: Strings  # as typed when it was started
    extensions: Annotated[tuple[Strings, ...], Field(strict=False)]  # as typed to add jobs; each is added to `overrides`
    jobs: Annotated[tuple[Job, ...], Field(strict=False)]

    @property
    def arguments(self) -> list[str]:
        """The command line that started the sweep, without the program's name."""
        flags = {"--config-dir": self.config_dir, "--config-name": self.config_name}
        return ["-m", *(f"{flag}={value}" for flag, value in flags.items() if value), *self.overrides]


@dataclass(frozen=True)
class Sweep:
    """One sweep directory."""

    directory: Path

    plan = FilePath("sweep.yaml")
    lock = FilePath(".lock")
    log = FilePath("sweep.log")
    study = FilePath("study.journal")  # of a search
    slurm = FilePath("slurm")  # the output of the jobs' processes
    looks = FilePath("looks.json")  # the planned looks of a sweep that continues until it is decided
    leaderboard = FilePath("leaderboard.json")  # .csv and .md are next to it
    report = FilePath("report.html")
    tracking = FilePath("tracking.json")  # the sweep's identifiers in trackers
    tracking_lock = FilePath("tracking.lock")

    @property
    def written_in_place(self) -> tuple[Path, ...]:
        """The files that are opened for writing, and the directory; other files are replaced, even if they are links."""
        return self.lock, self.log, self.study, self.slurm, self.tracking_lock

    def run(self, job: Job) -> Run:
        """Return the run of a job, which may not exist yet."""
        return Run(self.directory / job.directory)


def is_sweep(directory: Path) -> bool:
    """Return whether a directory is a sweep."""
    return files.exists(Sweep(directory).plan)


def extend_jobs(known: Sequence[Job], combinations: Sequence[Combination]) -> tuple[list[Job], dict[int, Experiment]]:
    """Add combinations to the jobs of a sweep.

    A combination with the configuration and seed of a job is that job; others get the next numbers.

    Returns:
        All jobs, and the experiments of the combinations by job number.
    """
    jobs = list(known)
    by_identity = {(job.config_hash, job.seed): job for job in known}
    width = max(NUMBER_DIGITS, len(str(len(known) + len(combinations))))
    experiments: dict[int, Experiment] = {}
    for combination in combinations:
        experiment = combination.experiment
        hashes = config_hashes(experiment) if known else [config_hash(experiment)]
        candidates = [(each, experiment.seed) for each in hashes]  # an earlier version may have planned the job
        identity = next((each for each in candidates if each in by_identity), candidates[0])
        if identity not in by_identity:
            number = len(jobs) + 1
            by_identity[identity] = Job(
                number=number,
                directory=f"{number:0{width}d}_{directory_name(combination)}"[:MAX_NAME],
                overrides=combination.job_overrides,
                config_hash=identity[0],
                seed=identity[1],
            )
            jobs.append(by_identity[identity])
        experiments.setdefault(by_identity[identity].number, experiment)
    return jobs, experiments


def repetitions(jobs: Sequence[Job], configurations: Collection[str], count: int) -> list[Job]:
    """Return the jobs that configurations lack to have the first seeds of a sweep.

    All configurations get the same seeds, so that they can be compared in pairs: the seeds of the jobs in their order, then
    integers that no job has.

    Args:
        jobs: of the sweep.
        configurations: the `config_hash` of each.
        count: of seeds.
    """
    known = list(dict.fromkeys(job.seed for job in jobs))
    unused = (seed for seed in itertools.chain(range(max(known) + 1, MAX_SEED + 1), range(MAX_SEED)) if seed not in known)
    examples: dict[str, Job] = {}
    for job in jobs:
        if job.config_hash in configurations:
            examples.setdefault(job.config_hash, job)
    present = {(job.config_hash, job.seed) for job in jobs}
    wanted = [
        (example, seed) for seed in [*known, *itertools.islice(unused, count)][:count] for example in examples.values()
    ]
    lacking = [(example, seed) for example, seed in wanted if (example.config_hash, seed) not in present]
    return [_repetition(example, seed, number) for number, (example, seed) in enumerate(lacking, len(jobs) + 1)]


def _repetition(example: Job, seed: int, number: int) -> Job:
    """Return the job that trains the configuration of another job with another seed."""
    overrides = [line for line in example.overrides if line.lstrip("+").partition("=")[0] != "seed"]
    return Job(
        number=number,
        directory=f"{number:0{NUMBER_DIGITS}d}_{example.configuration}_s{seed}"[:MAX_NAME],
        overrides=(*overrides, f"seed={seed}"),
        config_hash=example.config_hash,
        seed=seed,
    )


def directory_name(combination: Combination) -> str:
    """Return the name and the swept values of a combination as part of a file name: cnn_large_learning_rate=0.001_s3."""
    parts = [combination.experiment.name]
    for line in combination.swept:
        key, _, value = line.lstrip("+~").partition("=")
        value = Path(value.strip("'\"")).name if key in SWEPT_PATHS else value
        if "." in key or value.startswith("["):
            parts.append(f"{short_key(key)}={_short(value)}")
        elif key != "seed" and value not in parts:  # the name of an option needs no key
            parts.append(value)
    parts.append(f"s{combination.experiment.seed}")
    return "_".join(UNSAFE.sub("-", part).strip("-") for part in parts)


def _short(value: str) -> str:
    """Shorten a value: a number to four digits, a list without brackets, sections to a hash."""
    try:
        return f"{float(value):.4g}"
    except ValueError:
        return hashlib.sha256(value.encode()).hexdigest()[:6] if "{" in value else value.strip("[]")


def write(sweep: Sweep, plan: Plan) -> None:
    """Write sweep.yaml."""
    content = plan.model_dump(mode="json")
    files.write(sweep.plan, yaml.dump(content, Dumper=DUMPER, sort_keys=False, allow_unicode=True, width=120).encode())


def add_jobs(sweep: Sweep, known: Plan, jobs: Sequence[Job], typed: Sequence[str] = ()) -> Plan:
    """Write sweep.yaml with more jobs, and with the overrides that add them if they were typed; return the new plan."""
    if not jobs:
        return known
    extensions = (*known.extensions, *([tuple(typed)] if typed else []))
    extended = known.model_copy(update={"extensions": extensions, "jobs": (*known.jobs, *jobs)})
    write(sweep, extended)
    return extended


def read(sweep: Sweep) -> Plan:
    """Read sweep.yaml.

    Raises:
        IntegrityError: the file is missing, damaged or not a valid plan.
    """
    remedy = "the sweep cannot be resumed; resume its runs one by one: mnist-exp resume RUN"
    try:
        plan = Plan.model_validate(read_yaml(sweep.plan, LISTS))
    except ValidationError as error:
        raise IntegrityError(f"{sweep.plan}: {first_fault(error)}", remedy) from None
    except UNREADABLE as error:
        raise IntegrityError(f"{sweep.plan}: {describe(error)}", remedy) from None
    for expected, job in enumerate(plan.jobs, 1):
        if job.number != expected or int(job.directory.partition("_")[0]) != expected:
            raise IntegrityError(f"{sweep.plan}: job {expected} has another number or directory", remedy)
    return plan


@contextlib.contextmanager
def locked(sweep: Sweep) -> Iterator[None]:
    """Lock the sweep for this process, its driver.

    Raises:
        InputError: another process has locked it.
        IntegrityError: one of its files is a link.
        EnvironmentFailure: its lock cannot be opened.
    """
    refuse_special_files(*sweep.written_in_place)
    with exclusive(sweep.lock, sweep.log, "is being run by", {}), locks.also_locked(sweep.log):
        yield
