"""The settings of own data: paths, sizes, and which of them define a run."""

import os
from pathlib import Path

import numpy as np
import pytest

from mnist_exp import config, datasets
from mnist_exp.commands import train
from mnist_exp.config.command_line import parse_arguments
from mnist_exp.config.composition import Composition
from mnist_exp.config.identity import config_hash
from mnist_exp.config.schema import Experiment
from mnist_exp.config.search_space import Combination
from mnist_exp.errors import ConfigError, IntegrityError
from mnist_exp.sweep import plan
from tests.own_data import small, write


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def _forget() -> None:
    """Read data again, as another process would."""
    datasets._load.cache_clear()
    datasets.facts.cache_clear()


def compose(*overrides: str) -> Experiment:
    arguments = ["dataset=npz", "training.batch_size=8", *overrides]
    return Composition(parse_arguments(arguments)).combinations()[0].experiment


def test_paths_are_absolute_and_may_have_any_character(directory: Path) -> None:
    path = write("npz", directory / "a")
    for name in ("my set, (1)=2.npz", "~x.npz", "ünï.npz"):
        path = path.rename(path.with_name(name))
        assert compose(f"dataset.path=a/{name}").dataset.source.path == str(path)
    assert compose(f"dataset.path=~/a/{path.name}").dataset.source.path == str(path)
    assert compose(f"dataset.path={path}", "dataset.class_names=null").dataset.source.class_names is None
    (directory / "names").write_text("a\nb\nc\n")
    stored = compose(f"dataset.path={path}", "dataset.class_names=names").model_dump(mode="json")
    os.chdir("/")
    assert config.validate(stored).model_dump(mode="json") == stored  # as when it is resumed elsewhere


def test_one_number_is_height_and_width(directory: Path) -> None:
    path = write("npz", directory / "a")
    one = compose(f"dataset.path={path}", "dataset.size=9")
    assert one == compose(f"dataset.path={path}", "dataset.size=[9,9]")
    assert one.dataset.source.size == (9, 9)


def test_the_hash_depends_on_the_content_and_not_on_its_place(directory: Path) -> None:
    arrays = small()
    path = write("npz", directory / "a", arrays)
    first = compose(f"dataset.path={path}")
    assert config_hash(compose(f"dataset.path={write('npz', directory / 'b', arrays)}")) == config_hash(first)
    (directory / "names").write_text("0\n1\n2\n")
    assert config_hash(compose(f"dataset.path={path}", "dataset.class_names=names")) == config_hash(first)
    assert config_hash(compose(f"dataset.path={path}", "dataset.size=9")) != config_hash(first)
    arrays[0][0, 0, 0] ^= 1
    changed = write("npz", directory / "c", arrays)
    assert config_hash(compose(f"dataset.path={changed}")) != config_hash(first)


def test_a_run_whose_data_changed_is_not_resumed(directory: Path) -> None:
    path = write("npz", directory / "a")
    stored = compose(f"dataset.path={path}").model_dump(mode="json")
    train, labels, test, test_labels = small()
    np.savez(path, x_train=255 - train, y_train=labels, x_test=test, y_test=test_labels)
    _forget()
    with pytest.raises(ConfigError, match=r"dataset.fingerprint=[0-9a-f]{64}: the data have [0-9a-f]{64}"):
        config.validate(stored)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "dataset.size=0",
            "allowed: an integer from 1 to 256 for both sides, [height,width] or null",
        ),
        ("dataset.size=[8,8,3]", "dataset.size=[8,8,3]: not allowed\n  allowed: an integer from 1 to 256 for"),
        ("dataset.test_share=2", "allowed: a number from 0.001 to 0.9"),
        ("dataset.channels=1", "it belongs to dataset=folder"),
        ("dataset.path=nothing", "nothing: does not exist\n  set dataset.path to an NPZ file"),
        ("dataset.path=3", "does not exist"),
    ],
)
def test_wrong_settings_are_reported(directory: Path, override: str, message: str) -> None:
    path = write("npz", directory / "a")
    with pytest.raises(ConfigError) as caught:
        compose(f"dataset.path={path}", override)
    assert message in str(caught.value)


@pytest.mark.parametrize("channels", [0, 2])
def test_channels_are_one_or_three(directory: Path, channels: int) -> None:
    path = write("folder", directory / "a")
    with pytest.raises(ConfigError, match=r"allowed: 1, 3 or null$"):
        compose("dataset=folder", f"dataset.path={path}", f"dataset.channels={channels}")


def test_a_split_by_groups_needs_the_groups_of_a_folder(directory: Path) -> None:
    path = write("folder", directory / "a")
    with pytest.raises(ConfigError, match=r"allowed: drawn, last; or set dataset.groups\b"):
        compose("dataset=folder", f"dataset.path={path}", "dataset.split=groups")


def test_a_missing_path_is_reported() -> None:
    with pytest.raises(ConfigError, match=r"^dataset.path: is missing\n  write dataset.path=…; mnist-exp help datasets"):
        compose()


def test_a_damaged_file_is_no_problem_of_the_settings(directory: Path) -> None:
    (directory / "a.npz").write_text("no archive")
    with pytest.raises(IntegrityError, match=r"a\.npz: is not an NPZ file, or is damaged"):  # exit code 3
        compose("dataset.path=a.npz")


def test_without_a_number_each_class_is_held_out(directory: Path) -> None:
    path = write("npz", directory / "a", small(12))
    assert compose(f"dataset.path={path}").dataset.validation == 3


def sweep(*overrides: str) -> list[Combination]:
    return Composition(parse_arguments(["-m", "dataset=npz", "training.batch_size=8", *overrides])).combinations()


def test_two_paths_are_two_jobs_wherever_the_sweep_is_resumed(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, count in (("a", 24), ("b", 27), ("same", 24)):
        write("npz", directory / name, small(count)).rename(f"{name}.npz")
    jobs, planned = plan.extend_jobs([], sweep("dataset.path=a.npz,b.npz,same.npz", "seed=1,2"))
    assert [job.directory for job in jobs] == [
        f"00{n}_mlp_path={name}.npz_s{seed}" for n, name, seed in zip("1234", "aabb", "1212", strict=True)
    ]
    (directory / "elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    resumed = Composition(parse_arguments(["-m"]))
    assert resumed.experiments([job.overrides for job in jobs]) == list(planned.values())
    _forget()
    (directory / "b.npz").replace(directory / "a.npz")
    with pytest.raises(ConfigError, match="the data have"):
        resumed.experiments([jobs[0].overrides])


def test_the_first_combination_that_shares_a_job_is_named(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, count in (("a", 24), ("b", 27), ("same", 24)):
        write("npz", directory / name, small(count)).rename(f"{name}.npz")
    paths = "dataset.path=b.npz,a.npz,same.npz"
    assert train.main(["-m", "dataset=npz", "training.batch_size=8", paths, "seed=1,2", "sweep.dry_run=true"]) == 0
    shown = capsys.readouterr()
    assert "6 combinations, 4 jobs: " in shown.err
    assert "for example, dataset.path=same.npz seed=1 is job 3" in shown.err
    assert "dataset.fingerprint" not in shown.out


def test_names_of_classes_and_of_groups_may_be_swept(directory: Path) -> None:
    path = write("folder", directory / "a")
    (directory / "names").write_text("a\nb\nc\n")
    jobs = sweep("dataset=folder", f"dataset.path={path}", "dataset.class_names=null, names")
    assert [job.experiment.dataset.source.class_names for job in jobs] == [None, str(directory / "names")]
    assert len({config_hash(job.experiment) for job in jobs}) == 2
    (directory / "groups.csv").write_text("".join(f"{file.relative_to(path)},1\n" for file in path.rglob("*.png")))
    grouped = compose("dataset=folder", f"dataset.path={path}", "dataset.groups=groups.csv").dataset
    assert grouped.groups == str(directory / "groups.csv")  # it is resumed anywhere


def test_several_paths_without_a_sweep_are_one_problem() -> None:
    with pytest.raises(ConfigError) as caught:
        Composition(parse_arguments(["dataset=npz", "dataset.path=a.npz,b.npz"])).combinations()
    assert [problem.cause for problem in caught.value.problems] == [
        "dataset.path=a.npz,b.npz: several values, but the command is not a sweep"
    ]
