"""sweep.yaml: job numbers, directories and validation."""

import os
import re
import socket
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mnist_exp.config.command_line import parse_arguments
from mnist_exp.config.composition import Composition
from mnist_exp.config.search_space import Combination
from mnist_exp.errors import InputError, IntegrityError
from mnist_exp.sweep import plan
from mnist_exp.sweep.plan import Plan, Sweep
from tests.conftest import compose
from tests.unit.run_directories import plan_of

EXPERIMENT = compose()


def points(*overrides: str) -> list[Combination]:
    return Composition(parse_arguments(["-m", *overrides])).combinations()


def planned(*overrides: str) -> Plan:
    jobs, _ = plan.extend_jobs([], points(*overrides))
    return plan_of(jobs, *overrides)


def test_directories_contain_the_swept_values() -> None:
    names = [job.directory for job in planned("model=mlp,cnn_simple", "optimizer.learning_rate=1e-4,1e-3", "seed=3").jobs]
    assert names == [
        "001_mlp_learning_rate=0.0001_s3",
        "002_mlp_learning_rate=0.001_s3",
        "003_cnn_simple_learning_rate=0.0001_s3",
        "004_cnn_simple_learning_rate=0.001_s3",
    ]


@given(st.lists(st.tuples(st.text(min_size=1, max_size=40), st.text(max_size=200)), max_size=12))
def test_every_directory_name_is_a_short_safe_name(swept: list[tuple[str, str]]) -> None:
    lines = tuple(f"a.{key}={value}" for key, value in swept)
    (job,), _ = plan.extend_jobs([], [Combination(lines, lines, EXPERIMENT)])
    assert len(job.directory.encode()) <= 100
    assert re.fullmatch(r"001_[A-Za-z0-9._=,+-]*", job.directory)


def test_a_known_configuration_and_seed_keep_their_job() -> None:
    first = planned("seed=0,1").jobs
    jobs, experiments = plan.extend_jobs(first, points("seed=range(4)", "training.batch_size=200"))  # the default
    assert jobs[:2] == list(first)
    assert [(job.number, job.seed) for job in jobs] == [(1, 0), (2, 1), (3, 2), (4, 3)]
    assert sorted(experiments) == [1, 2, 3, 4]


def test_equal_points_share_a_job() -> None:
    assert len(planned("training.epochs=2", "optimizer.learning_rate=1e-3,0.001").jobs) == 1


def test_a_written_plan_can_be_read(tmp_path: Path) -> None:
    written = planned("seed=range(3)")
    plan.write(Sweep(tmp_path), written)
    assert plan.read(Sweep(tmp_path)) == written


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content["jobs"][0].update(directory="../elsewhere"),
        lambda content: content["jobs"][0].update(directory="/tmp/x"),
        lambda content: content["jobs"][0].update(directory="001_" + "x" * 100),
        lambda content: content["jobs"][1].update(number=1),
        lambda content: content["jobs"][1].update(directory=content["jobs"][0]["directory"]),
        lambda content: content["jobs"][1].pop("seed"),
        lambda content: content.update(more=1),
        lambda content: content.update(schema=2),
        lambda content: content.update(jobs="none"),
    ],
)
def test_an_invalid_plan_is_refused(damage, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    sweep = Sweep(tmp_path)
    plan.write(sweep, planned("seed=0,1"))
    content = yaml.safe_load(sweep.plan.read_text())
    damage(content)
    sweep.plan.write_text(yaml.safe_dump(content))
    with pytest.raises(IntegrityError, match=r"sweep\.yaml"):
        plan.read(sweep)


@pytest.mark.parametrize("text", ["", "[", "a: !!python/object/apply:os.getcwd []", "- 1", "[" * 100_000])
def test_a_plan_that_is_not_a_mapping_is_refused(text: str, tmp_path: Path) -> None:
    Sweep(tmp_path).plan.write_text(text)
    with pytest.raises(IntegrityError):
        plan.read(Sweep(tmp_path))


def test_a_sweep_has_one_driver(tmp_path: Path) -> None:
    holder = rf"is being run by process {os.getpid()} on {re.escape(socket.gethostname())}\n"
    with plan.locked(Sweep(tmp_path)), pytest.raises(InputError, match=holder), plan.locked(Sweep(tmp_path)):
        pass


@pytest.mark.parametrize("removed", [".lock", "sweep.log"])
def test_a_lock_that_was_removed_still_keeps_a_second_driver_out(removed: str, tmp_path: Path) -> None:
    with plan.locked(Sweep(tmp_path)):
        (tmp_path / removed).unlink()
        for _ in range(2):
            with pytest.raises(InputError, match="is being run by"), plan.locked(Sweep(tmp_path)):
                pass
    with plan.locked(Sweep(tmp_path)):
        pass
