"""The rows, groups and ranking of a comparison."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from mnist_exp.comparison import fields
from mnist_exp.comparison.fields import METRICS, TEST, VALIDATION
from mnist_exp.comparison.ranking import Comparison, compare
from mnist_exp.comparison.rows import Row, differing_settings, read_rows
from mnist_exp.comparison.significance import Question
from mnist_exp.comparison.tables import caption
from mnist_exp.errors import InputError
from mnist_exp.machine import files
from mnist_exp.machine.plain_data import read_json
from mnist_exp.runs import evaluation
from mnist_exp.runs.run import Run
from mnist_exp.runs.status import write_status
from tests.unit.run_directories import compare_directory, make_run, set_time


def names(rows: list[Row]) -> list[str]:
    return [row.name for row in rows]


def order(comparison: Comparison) -> list[str]:
    """The first run of each line."""
    return [line.group.rows[0].name for line in comparison.lines]


def not_ranked(comparison: Comparison) -> dict[str, list[str]]:
    """The names of the runs that are not ranked, by reason."""
    return {reason: names(list(rows)) for reason, rows in comparison.not_ranked.items()}


def test_the_best_group_is_first_and_runs_without_a_result_are_not_ranked(tmp_path: Path) -> None:
    make_run(tmp_path / "a", 180)
    make_run(tmp_path / "b", 90, "model=cnn_large")
    for name, status in (("c", "interrupted"), ("d", "diverged"), ("e", "failed"), ("f", "running")):
        (tmp_path / name).mkdir()
        write_status(Run(tmp_path / name), status, 1, f"because of {name}")  # type: ignore[arg-type]
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "summary.json").write_text("{")
    found = compare_directory(tmp_path)
    assert order(found) == ["b", "a"]
    assert [line.rank for line in found.lines] == [1, 2]
    assert not_ranked(found) == {"unreadable": ["broken"], "unfinished": ["c", "f"], "diverged": ["d"], "failed": ["e"]}
    assert found.metric.key == TEST  # there are no validation images


def test_a_comparison_of_failed_runs_has_no_lines(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    write_status(Run(tmp_path / "a"), "failed", 1, "x")
    found = compare_directory(tmp_path)
    assert (found.lines, found.reference, not_ranked(found)) == ([], None, {"failed": ["a"]})


def test_runs_without_validation_images_are_not_ranked_by_validation_error(tmp_path: Path) -> None:
    make_run(tmp_path / "a", 100, validation_errors=90)
    make_run(tmp_path / "b", 90, "seed=1", "model=cnn_large", validation_errors=100)
    found = compare_directory(tmp_path)
    assert (found.metric.key, order(found)) == (VALIDATION, ["a", "b"])
    make_run(tmp_path / "c", 95, "model=cnn_simple")
    found = compare_directory(tmp_path)
    assert order(found) == ["a", "b"]
    ((reason, left),) = not_ranked(found).items()
    assert reason.startswith("no validation images")
    assert left == ["c"]
    assert order(compare_directory(tmp_path, metric=METRICS[TEST])) == ["b", "c", "a"]


def change_data(directory: Path, **changes: str) -> None:
    content = read_json(Run(directory).summary)
    content["dataset"] |= changes
    files.write_json(Run(directory).summary, content)


@pytest.mark.parametrize(
    ("changes", "reason", "together_by_test"),
    [
        ({"sha256": "c" * 64}, "different data: mnist with SHA-256 cccccccccccc", False),
        ({"labels_sha256": "c"}, "different labels of the test images", False),
        ({"split_sha256": "c"}, "different validation images: different split", True),
    ],
)
def test_runs_on_different_images_are_not_ranked(
    tmp_path: Path, changes: dict[str, str], reason: str, together_by_test: bool
) -> None:
    for seed in range(2):
        make_run(tmp_path / f"a{seed}", 100, f"seed={seed}", validation_errors=90)
    other = make_run(tmp_path / "b", 10, "model=cnn_large", validation_errors=10)
    change_data(other, **changes)
    found = compare_directory(tmp_path)
    assert order(found) == ["a0"]
    ((found_reason, left),) = not_ranked(found).items()
    assert found_reason.startswith(reason)
    assert left == ["b"]
    assert (order(compare_directory(tmp_path, metric=METRICS[TEST])) == ["b", "a0"]) == together_by_test


def evaluate_on(directory: Path, images: int, is_earlier_version: bool) -> None:
    """Replace the test result of a run by that on fewer images, two of them wrong."""
    labels = (np.arange(images) % 10).astype(np.uint8)
    probabilities = np.eye(10, dtype=np.float32)[np.where(np.arange(images) < 2, labels + 1, labels)]
    content = read_json(Run(directory).summary)
    content["test"] = evaluation.score(probabilities, labels)
    content["wrong_images"] = None if is_earlier_version else evaluation.pack_wrong_images(probabilities, labels)
    files.write_json(Run(directory).summary, content)
    files.write_arrays(Run(directory).predictions, {"probabilities": probabilities, "labels": labels})


@pytest.mark.parametrize("is_earlier_version", [False, True])
def test_runs_with_another_number_of_test_images_are_not_ranked(tmp_path: Path, is_earlier_version: bool) -> None:
    for seed in range(2):
        for model in ("mlp", "cnn_large"):
            make_run(tmp_path / f"{model}{seed}", 100 + seed, f"model={model}", f"seed={seed}", validation_errors=90)
    for name, images in (("x0", 4_999), ("x1", 5_000), ("x2", 5_000)):
        few = make_run(tmp_path / name, 100, f"seed={name[1]}", "model=cnn_simple", validation_errors=9)
        evaluate_on(few, images, is_earlier_version)
    rows = read_rows([tmp_path])
    questions: tuple[Question, ...] = ("new images", "these images")
    for question, by in itertools.product(questions, (None, ["run"], ["model.name"])):
        found = compare(rows, by=by, question=question)
        assert sum(line.group.n for line in found.lines) == 4
        left = {"evaluated on 4,999 test images": ["x0"], "evaluated on 5,000 test images": ["x1", "x2"]}
        assert not_ranked(found) == left
        few_ranked = compare(rows, by=by, question=question, baseline=rows[-1])
        assert [row.name for line in few_ranked.lines for row in line.group.rows] == ["x1", "x2"]
        left = {"evaluated on 4,999 test images": ["x0"], "evaluated on 10,000 test images": names(rows[:4])}
        assert not_ranked(few_ranked) == left


@pytest.mark.parametrize("setting", ["dataset.split_seed=8", "dataset.split_seed=null"])
def test_the_reason_names_the_settings_of_a_different_split(tmp_path: Path, setting: str) -> None:
    for seed in range(2):
        make_run(tmp_path / f"a{seed}", 100, f"seed={seed}", validation_errors=90)
    make_run(tmp_path / "b", 10, setting, validation_errors=10)
    (reason,) = not_ranked(compare_directory(tmp_path))
    assert reason.startswith(f"different validation images: {setting};")


def test_runs_on_the_images_of_the_baseline_are_ranked(tmp_path: Path) -> None:
    for seed in range(2):
        make_run(tmp_path / f"a{seed}", 100, f"seed={seed}", validation_errors=90)
    make_run(tmp_path / "b", 10, "dataset.split_seed=8", validation_errors=10)
    rows = read_rows([tmp_path])
    found = compare(rows, baseline=rows[2])
    assert order(found) == ["b"]
    assert found.reference is not None
    assert found.reference.rows == [rows[2]]


def test_the_later_of_two_equally_large_sets_is_ranked(tmp_path: Path) -> None:
    old = make_run(tmp_path / "a", 10, validation_errors=9)
    make_run(tmp_path / "b", 100, "dataset.split_seed=8", validation_errors=90)
    set_time(old, "1970-01-01T00:00:00+00:00")
    assert order(compare_directory(tmp_path)) == ["b"]


def test_names_are_relative_to_the_directory(tmp_path: Path) -> None:
    make_run(tmp_path / "sweep" / "0_mlp", 100)
    assert names(read_rows([tmp_path])) == ["sweep/0_mlp"]
    assert names(read_rows([tmp_path / "sweep"])) == names(read_rows([tmp_path / "sweep" / "0_mlp"])) == ["0_mlp"]


def test_a_run_given_twice_is_read_once(tmp_path: Path) -> None:
    make_run(tmp_path / "a", 100)
    (tmp_path.parent / "link").symlink_to(tmp_path)
    assert len(read_rows([tmp_path, tmp_path / "a", Path("a"), Path(), tmp_path.parent / "link"])) == 1
    (tmp_path.parent / "link").unlink()


def test_differing_settings(tmp_path: Path) -> None:
    make_run(tmp_path / "a", 180, "seed=1")
    make_run(tmp_path / "b", 170, "seed=2", "optimizer.learning_rate=1e-2", "name=other", "progress=quiet")
    make_run(tmp_path / "c", 90, "seed=2", "model=cnn_large")
    rows = read_rows([tmp_path])
    # The models also differ in units and dropout, but `model.name` shows this.
    assert differing_settings(rows) == ["seed", "model.name", "optimizer.learning_rate"]
    assert compare_directory(tmp_path).settings == ["model.name", "optimizer.learning_rate"]
    make_run(tmp_path / "d", 95, "seed=2", "model=cnn_large", "model.dropout=0.5")
    rows = read_rows([tmp_path])
    assert "model.dropout" in differing_settings(rows)
    assert differing_settings(rows[:1]) == []


def test_runs_are_grouped_by_configuration(tmp_path: Path) -> None:
    errors = [180, 170, 190]
    for seed, wrong in enumerate(errors):
        make_run(tmp_path / f"mlp{seed}", wrong, f"seed={seed}")
    make_run(tmp_path / "cnn", 100, "model=cnn_large")
    earlier = make_run(tmp_path / "z_earlier_run_of_seed_0", 500, "seed=0")
    set_time(earlier, "1970-01-01T00:00:00+00:00")
    found = compare_directory(tmp_path)
    assert [(line.group.name, line.group.n) for line in found.lines] == [("cnn", 1), ("mlp", 3)]
    assert "1 run not counted: a later run has the same configuration and seed" in caption(found, with_significance=False)
    assert compare_directory(tmp_path, by=["run"]).superseded == 0
    statistics = found.lines[1].group.statistics(METRICS[TEST])
    assert statistics is not None
    assert statistics["mean"] == pytest.approx(np.mean(errors) / 100)
    assert statistics["std"] == pytest.approx(np.std(errors, ddof=1) / 100)
    assert statistics["best"] == 1.7
    single = found.lines[0].group.statistics(METRICS[TEST])
    assert single is not None
    assert (single["std"], single["ci95"]) == (None, None)


def test_runs_are_grouped_by_fields(tmp_path: Path) -> None:
    for seed in range(2):
        make_run(tmp_path / f"a{seed}", 100, f"seed={seed}")
        make_run(tmp_path / f"b{seed}", 120, f"seed={seed}", "optimizer.learning_rate=0.01")
        make_run(tmp_path / f"c{seed}", 90, f"seed={seed}", "model=cnn_large")
    found = compare_directory(tmp_path, by=["model.name"])
    assert [(dict(line.group.settings), line.group.n) for line in found.lines] == [
        ({"model.name": "cnn_large"}, 2),
        ({"model.name": "mlp"}, 4),
    ]
    assert [line.group.n for line in compare_directory(tmp_path, by=["run"]).lines] == [1] * 6
    assert compare_directory(tmp_path, by=["run"]).settings == ["seed", "model.name", "optimizer.learning_rate"]
    with pytest.raises(InputError, match=r"--by model.nam: unknown field\ndid you mean model.name\?"):
        compare_directory(tmp_path, by=["model.nam"])


def test_sorted_lines_keep_their_rank(tmp_path: Path) -> None:
    for name, errors, rate in (("a", 100, 0.3), ("b", 90, 0.1), ("c", 80, 0.2)):
        make_run(tmp_path / name, errors, f"optimizer.learning_rate={rate}")
    found = compare_directory(tmp_path, sort=["-optimizer.learning_rate"])
    assert order(found) == ["a", "c", "b"]
    assert [line.rank for line in found.lines] == [3, 1, 2]
    assert order(compare_directory(tmp_path, sort=["train_seconds", "run"])) == ["a", "b", "c"]
    assert order(compare_directory(tmp_path, sort=["-run"], top=2)) == ["c", "b"]
    assert len(compare_directory(tmp_path, sort=["-run"], top=2).groups) == 3
    with pytest.raises(InputError, match="--sort runn: unknown field"):
        compare_directory(tmp_path, sort=["runn"])


def test_a_higher_value_can_be_better(tmp_path: Path) -> None:
    for name, rate in (("slow", 10.0), ("fast", 1000.0)):
        directory = make_run(tmp_path / name, 100, f"optimizer.learning_rate={rate / 1e4}")
        content = read_json(Run(directory).summary) | {"images_per_second": rate}
        files.write_json(Run(directory).summary, content)
    assert order(compare_directory(tmp_path, metric=METRICS["images_per_second"])) == ["fast", "slow"]


def test_groups_without_the_metric_are_last(tmp_path: Path) -> None:
    make_run(tmp_path / "a", 10)
    make_run(tmp_path / "b", 100, "seed=1", "model=cnn_large", validation_errors=90)
    change_data(tmp_path / "a", split_sha256="7")
    change_data(tmp_path / "b", split_sha256="7")
    assert order(compare_directory(tmp_path, metric=METRICS[VALIDATION])) == ["b", "a"]


def test_a_baseline_needs_a_result_that_counts(tmp_path: Path) -> None:
    make_run(tmp_path / "a", 100)
    later = make_run(tmp_path / "b", 90)
    set_time(later, "2033-05-18T03:33:20+00:00")
    (tmp_path / "c").mkdir()
    write_status(Run(tmp_path / "c"), "failed", 1, "x")
    rows = read_rows([tmp_path])
    with pytest.raises(InputError, match=r"--baseline a: a later run has the same configuration and seed"):
        compare(rows, baseline=rows[0])
    with pytest.raises(InputError, match="--baseline c: has no result: failed"):
        compare(rows, baseline=rows[2])


def test_metrics_are_numbers_of_the_summary(tmp_path: Path) -> None:
    make_run(tmp_path / "a", 100, validation_errors=90)
    (row,) = read_rows([tmp_path])
    content = read_json(Run(tmp_path / "a").summary)
    for key in METRICS:
        expected = content
        for part in key.split("."):
            expected = expected[part]
        assert fields.field_value(row, key) == expected
    with pytest.raises(InputError, match=r"--metric test\.eror_percent: unknown metric"):
        fields.check_fields(["test.eror_percent"], [], "--metric", "metric", METRICS)


@pytest.mark.parametrize(
    "content", ["a: [", "!!python/object/apply:os.system ['touch /tmp/owned']", "3", "\0", "a: &a [*a]", "&a {b: *a}"]
)
def test_a_damaged_or_hostile_config_has_no_settings(tmp_path: Path, content: str) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "config.yaml").write_text(content)
    write_status(Run(tmp_path / "a"), "failed", 1, "x")
    (row,) = read_rows([tmp_path])
    assert row.settings == {}
    assert not Path("/tmp/owned").exists()
