"""A sweep's directory and its sweep.yaml: which point is which job, by a number and a directory that stay."""

import contextlib
import hashlib
import os
import re
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mnist_exp.config.execution import Point
from mnist_exp.config.identity import brief, config_hash
from mnist_exp.config.schema import Experiment
from mnist_exp.errors import InputError, IntegrityError
from mnist_exp.machine import files
from mnist_exp.machine.plain_data import UNREADABLE, load_yaml
from mnist_exp.run.names import Run
from mnist_exp.run.status import now

SLUG_BYTES = 100
NUMBER_DIGITS = 3  # at least, so that a sweep that is extended still sorts
UNSAFE = re.compile(r"[^A-Za-z0-9._=,+-]+")
HELD = re.compile(r"held by (process \d+ on \S+)$", re.MULTILINE)  # in a sweep's log
# LibYAML is ten times as fast on thousands of points.
DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)

Override = Annotated[str, Field(pattern=r"^[^-]")]  # and no flag
Strings = Annotated[tuple[Override, ...], Field(strict=False)]


class Stored(BaseModel):
    """What stands in sweep.yaml: all keys present, none unknown."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, validate_by_name=True, validate_by_alias=True, serialize_by_alias=True
    )


class Job(Stored):
    """One point of a sweep, and the run directory it is trained in."""

    number: Annotated[int, Field(ge=1)]
    directory: Annotated[str, Field(pattern=r"^\d+_[A-Za-z0-9._=,+-]*$", max_length=SLUG_BYTES)]
    overrides: Strings
    config_hash: str
    seed: int


class Plan(Stored):
    """The content of sweep.yaml."""

    layout: Annotated[Literal[1], Field(alias="schema")]
    created: str
    version: str  # of mnist-exp
    config_dir: str | None  # as given with --config-dir, absolute
    config_name: str | None
    overrides: Strings  # as typed when it was started
    extensions: Annotated[tuple[Strings, ...], Field(strict=False)]  # as typed to add points; each to those above
    jobs: Annotated[tuple[Job, ...], Field(strict=False)]


@dataclass(frozen=True)
class Sweep:
    """The files of one sweep."""

    directory: Path

    @property
    def plan(self) -> Path:
        return self.directory / "sweep.yaml"

    @property
    def log(self) -> Path:
        return self.directory / "sweep.log"

    @property
    def study(self) -> Path:
        """The journal of a search."""
        return self.directory / "study.journal"

    @property
    def leaderboard(self) -> Path:
        """Its name with .json; .csv and .md stand beside it."""
        return self.directory / "leaderboard.json"

    @property
    def report(self) -> Path:
        return self.directory / "report.html"

    @property
    def tracking(self) -> Path:
        """Under which name trackers know the sweep."""
        return self.directory / "tracking.json"

    @property
    def tracking_lock(self) -> Path:
        return self.directory / "tracking.lock"

    def run(self, job: Job) -> Run:
        """The run directory of a job, whether it is there yet or not."""
        return Run(self.directory / job.directory)


def is_sweep(directory: Path) -> bool:
    """Whether a directory calls itself a sweep."""
    return Sweep(directory).plan.exists()


def extended(known: Sequence[Job], points: Sequence[Point]) -> tuple[list[Job], dict[int, Experiment]]:
    """The jobs of a sweep that is to have these points too, and the experiments of the points by the job's number.

    A point is one of the known jobs if its configuration and its seed are; the others get the numbers that follow. Points
    that are the same share a job.
    """
    jobs = list(known)
    by_identity = {(job.config_hash, job.seed): job for job in known}
    width = max(NUMBER_DIGITS, len(str(len(known) + len(points))))
    experiments: dict[int, Experiment] = {}
    for point in points:
        experiment = point.experiment
        identity = config_hash(experiment), experiment.seed
        if identity not in by_identity:
            number = len(jobs) + 1
            by_identity[identity] = Job(
                number=number,
                directory=f"{number:0{width}d}_{slug(point)}"[:SLUG_BYTES],
                overrides=tuple(line for line in point.overrides if not line.lstrip("+~").startswith("hydra")),
                config_hash=identity[0],
                seed=identity[1],
            )
            jobs.append(by_identity[identity])
        experiments.setdefault(by_identity[identity].number, experiment)
    return jobs, experiments


def slug(point: Point) -> str:
    """What the sweep chose for a point, short and safe in a file name: cnn_large_learning_rate=0.001_s3."""
    parts = [point.experiment.name]
    for line in point.swept:
        key, _, value = line.lstrip("+~").partition("=")
        if key == "seed":
            continue
        if "." in key:
            parts.append(f"{brief(key)}={_short(value)}")
        elif value not in parts:  # the option of a group speaks for itself
            parts.append(value)
    parts.append(f"s{point.experiment.seed}")
    return "_".join(UNSAFE.sub("-", part).strip("-") for part in parts)


def _short(value: str) -> str:
    """A number to four digits, a list without its brackets, of sections a hash."""
    try:
        return f"{float(value):.4g}"
    except ValueError:
        return hashlib.sha256(value.encode()).hexdigest()[:6] if "{" in value else value.strip("[]")


def write(sweep: Sweep, plan: Plan) -> None:
    """Write sweep.yaml.

    Raises:
        EnvironmentFailure: it cannot be written.
    """
    content = plan.model_dump(mode="json")
    files.write(sweep.plan, yaml.dump(content, Dumper=DUMPER, sort_keys=False, allow_unicode=True, width=120).encode())


def read(sweep: Sweep) -> Plan:
    """Read sweep.yaml.

    Raises:
        IntegrityError: it is not what a sweep writes.
    """
    again = "the sweep cannot be resumed: its runs can, each by itself with mnist-exp resume RUN"
    try:
        plan = Plan.model_validate(load_yaml(sweep.plan.read_bytes()))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise IntegrityError(f"{sweep.plan}: {where}: {first['msg']}", again) from None
    except UNREADABLE as error:
        raise IntegrityError(f"{sweep.plan}: {' '.join(str(error).split()) or type(error).__name__}", again) from None
    for expected, job in enumerate(plan.jobs, 1):
        if job.number != expected or int(job.directory.partition("_")[0]) != expected:
            raise IntegrityError(f"{sweep.plan}: job {expected} has another number or directory", again)
    return plan


@contextlib.contextmanager
def locked(sweep: Sweep) -> Iterator[None]:
    """Hold the sweep for this process alone, which hands out its jobs.

    Raises:
        InputError: another process holds it.
        EnvironmentFailure: its log cannot be opened.
    """
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(files.locked(sweep.log))
        except BlockingIOError:
            holder = (HELD.findall(sweep.log.read_text(errors="replace")) or ["another process"])[-1]
            raise InputError(f"{sweep.directory}: is being run by {holder}", "wait for it, or end it first") from None
        with files.writing(sweep.log), sweep.log.open("a") as log:
            log.write(f"{now()} INFO {__name__}: held by process {os.getpid()} on {socket.gethostname()}\n")
        yield
