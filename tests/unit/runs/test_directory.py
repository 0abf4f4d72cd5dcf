"""A run directory: created once, locked by one process, and always readable."""

import base64
import contextlib
import errno
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mnist_exp.errors import EnvironmentFailure, InputError
from mnist_exp.machine import files
from mnist_exp.machine.plain_data import read_json
from mnist_exp.runs import evaluation
from mnist_exp.runs.directory import create_directory, find_runs, is_run, read_config
from mnist_exp.runs.lock import lock_run
from mnist_exp.runs.run import Run
from mnist_exp.runs.status import read_record, write_status
from mnist_exp.runs.summary import Summary


def test_directories_created_in_one_second_are_different(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        directories = list(threads.map(lambda _: create_directory(tmp_path / "deep" / "runs", "mlp_s7"), range(24)))
    assert len(set(directories)) == 24
    assert all(directory.is_dir() and "_mlp_s7" in directory.name for directory in directories)


def test_an_invalid_place_for_runs_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EnvironmentFailure, match="cannot be written: Not a directory\ncheck the file") as caught:
        create_directory(tmp_path / "file" / "runs", "x")
    assert caught.value.exit_code == 5


def packed(*wrong: int) -> str:
    """These images as the wrong ones, packed without looking at the number of images."""
    bits = np.zeros(max((*wrong, 9)) + 1, np.uint8)
    bits[list(wrong)] = 1
    return base64.b64encode(np.packbits(bits).tobytes()).decode()


def summary(**changes: Any) -> dict[str, Any]:
    score = {"n": 10, "errors": 1, "error_percent": 10.0, "ci95": [1.0, 20.0], "loss": 0.1}
    return {
        "schema": 4, "name": "x", "status": "completed", "seed": 7, "config_hash": "0", "test": score, "validation": None,
        "wrong_images": packed(3),
        "dataset": {"name": "mnist", "sha256": "a", "labels_sha256": "b", "split_sha256": "c",
                    "train": 1, "validation": 0, "test": 10},
        "model": {"name": "mlp", "parameters": 1}, "epochs": 1, "best_epoch": None,
        "train_seconds": 1.0, "wall_seconds": 1.0, "images_per_second": 1.0, "compile_seconds": 0.5,
        "settings": {}, "members": None, "image_groups": None, "lineage": None,
    } | changes  # fmt: skip


def test_a_run_is_completed_if_it_has_a_summary(tmp_path: Path) -> None:
    run = Run(tmp_path)
    write_status(run, "running")
    assert read_record(tmp_path).status == "running"
    assert read_record(tmp_path).summary is None
    write_status(run, "failed", 1, "the cause", "the remedy")
    record = read_record(tmp_path)
    assert (record.status, record.cause, record.remedy) == ("failed", "the cause", "the remedy")
    files.write_json(run.summary, summary())
    found = read_record(tmp_path).summary
    assert found is not None
    assert found.model_dump(mode="json") == summary()


def test_a_summary_of_schema_2_has_no_members_and_no_seconds_of_compiling(tmp_path: Path) -> None:
    write_status(Run(tmp_path), "completed")
    missing = {"members", "compile_seconds", "wrong_images"}
    older = {key: value for key, value in summary(schema=2).items() if key not in missing}
    files.write_json(Run(tmp_path).summary, older)
    found = read_record(tmp_path).summary
    assert found is not None
    assert found.model_dump(mode="json") == summary(compile_seconds=None, wrong_images=None)
    assert found.wrong_bits is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (packed(9, 16), "is not a bit for each of 10 images"),
        (packed(10, 10), "is not a bit for each of 10 images"),
        (packed(7, 500), "is not a bit for each of 10 images"),
        ("", "is not a bit for each of 10 images"),
        (packed(), "0 images are wrong, but test.errors is 1"),
        (packed(3, 4), "2 images are wrong, but test.errors is 1"),
        ("AQ =", "is not base64"),
        ("é" * 4, "is not base64"),
        ("====", "is not base64"),
        (7, "Input should be a valid string"),
    ],
)
def test_wrong_images_that_do_not_fit_are_refused(tmp_path: Path, text: Any, reason: str) -> None:
    files.write_json(Run(tmp_path).summary, summary(wrong_images=text))
    record = read_record(tmp_path)
    assert (record.status, record.summary) == ("unreadable", None)
    assert record.cause in {f"summary.json: wrong_images: {prefix}{reason}" for prefix in ("", "Value error, ")}


def test_wrong_images_are_read_as_they_are_written() -> None:
    for n in (1, 8, 9, 10_000):
        labels = np.arange(n) % 10
        classes = np.where(np.arange(n) % 7 == 3, labels + 1, labels) % 10
        wrong = classes != labels
        score = {"n": n, "errors": int(wrong.sum()), "error_percent": 1.0, "ci95": [0.0, 100.0], "loss": 0.1}
        text = evaluation.pack_wrong_images(np.eye(10, dtype=np.float32)[classes], labels)
        bits = Summary.model_validate(summary(test=score, wrong_images=text)).wrong_bits
        assert bits is not None
        assert (np.unpackbits(bits, count=n) == wrong).all()


def test_a_run_whose_process_has_exited_is_interrupted(tmp_path: Path) -> None:
    run = Run(tmp_path)
    write_status(run, "running")
    gone = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True, check=True
    )
    files.write_json(run.status, read_json(run.status) | {"pid": int(gone.stdout)})
    assert read_record(tmp_path).status == "interrupted"
    assert "mnist-exp resume" in str(read_record(tmp_path).remedy)
    files.write_json(run.status, read_json(run.status) | {"host": "another machine"})
    assert read_record(tmp_path).status == "running"


def test_a_completed_run_without_its_summary_is_incomplete(tmp_path: Path) -> None:
    write_status(Run(tmp_path), "completed", 0)
    assert read_record(tmp_path).status == "incomplete"


def test_one_process_locks_a_run(tmp_path: Path) -> None:
    run = Run(tmp_path)
    write_status(run, "running")
    with (
        lock_run(run),
        pytest.raises(InputError, match=rf"is being written by process {os.getpid()} on "),
        lock_run(run),
    ):
        pass
    with lock_run(run):
        assert run.lock.exists()


def mutations(content: Any) -> list[Any]:
    """The same with each key removed, and each value replaced by something of another type, in turn."""
    found = []
    for key, value in content.items():
        if key not in {"compile_seconds", "image_groups", "lineage"}:  # earlier versions did not write it
            found.append({name: kept for name, kept in content.items() if name != key})
        found += [content | {key: other} for other in (None, [], "x", -1, float("nan")) if repr((key, other)) not in ALLOWED]
        if isinstance(value, dict) and value:
            found += [content | {key: changed} for changed in mutations(value)]
    return [*found, content | {"unknown": 1}]


# Valid replacements: optional values, and any text where text is expected.
ALLOWED = {
    repr(pair)
    for pair in [
        ("validation", None),
        ("best_epoch", None),
        ("best_epoch", -1),
        ("members", None),
        ("compile_seconds", None),
        ("image_groups", None),
        ("lineage", None),
        ("wrong_images", None),
        *((key, "x") for key in ("name", "config_hash", "sha256", "labels_sha256", "split_sha256")),
        *((key, -1) for key in ("loss", "train_seconds", "wall_seconds", "images_per_second")),
    ]
}


def test_a_damaged_summary_is_reported_not_raised(tmp_path: Path) -> None:
    damaged = mutations(summary())
    assert len(damaged) > 100
    for content in damaged:
        (tmp_path / "summary.json").write_text(json.dumps(content))
        record = read_record(tmp_path)
        assert record.summary is None, content
        assert record.status == "unreadable"
        assert str(record.cause).startswith("summary.json: ")


def test_a_run_has_a_seed_and_an_ensemble_has_members(tmp_path: Path) -> None:
    member = {"run": "../a", "name": "a", "seed": 1, "config_hash": "0"}
    for seed, members, sound in [
        (7, None, True),
        (None, [member, member], True),
        (7, [member, member], False),
        (None, None, False),
        (None, [member], False),
        (None, [member, member | {"seed": "1"}], False),
        (None, [member, {}], False),
    ]:
        files.write_json(Run(tmp_path).summary, summary(seed=seed, members=members))
        record = read_record(tmp_path)
        assert (record.summary is not None) == sound
        assert sound or str(record.cause).startswith(("summary.json: members", "summary.json: seed")), record.cause


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b"{}", b'{"schema": 1}', b"\xff\xfe", b"[" * 100_000, b'{"status": 3}'],
    ids=lambda content: content[:20].decode(errors="replace"),
)
@pytest.mark.parametrize("name", ["summary.json", "status.json"])
def test_an_invalid_file_is_reported_not_raised(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    record = read_record(tmp_path)
    assert record.summary is None
    assert record.status == "unreadable"
    assert record.cause


@given(st.binary(max_size=40) | st.text().map(str.encode))
@example(b"a: &a {b: *a}")
@example(b"a: 2026-13-45")
@example(b"[" * 100_000)
@example(b"- " * 100_000)
@example(b"[" * 50_000 + b"]" * 50_000)
@example(b"!!python/object/apply:os.system [ls]")
def test_any_config_is_read_or_a_value_error(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    run = Run(tmp_path_factory.mktemp("run"))
    run.config.write_bytes(content)
    with contextlib.suppress(ValueError):  # any other exception fails the test
        assert isinstance(read_config(run), dict)


def test_a_foreign_directory_is_not_a_run(tmp_path: Path) -> None:
    assert read_record(tmp_path).status == "not a run"
    assert not is_run(tmp_path)


def test_runs_are_found_at_any_depth(tmp_path: Path) -> None:
    for name in ("b_run", "a_sweep/0_x", "a_sweep/1_x"):
        (tmp_path / name).mkdir(parents=True)
        write_status(Run(tmp_path / name), "running")
    (tmp_path / "deep" / "foreign").mkdir(parents=True)
    (tmp_path / "deep" / "er" / "sweep" / "0_x").mkdir(parents=True)
    write_status(Run(tmp_path / "deep" / "er" / "sweep" / "0_x"), "running")
    (tmp_path / "foreign").mkdir()
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "README.md").write_text("")
    found = [str(path.relative_to(tmp_path)) for path in find_runs(tmp_path)]
    assert found == ["a_sweep/0_x", "a_sweep/1_x", "b_run", "deep/er/sweep/0_x"]
    assert find_runs(tmp_path / "b_run") == [tmp_path / "b_run"]
    with pytest.raises(InputError, match="directory does not exist"):
        find_runs(tmp_path / "nowhere")


def test_a_read_only_place_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, *_: Any, **__: Any) -> None:  # permissions do not stop root, who runs the tests in a container
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(EnvironmentFailure, match="Permission denied\ncheck the file and its permissions"):
        create_directory(tmp_path / "runs", "x")
