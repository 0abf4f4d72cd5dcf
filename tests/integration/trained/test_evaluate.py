"""Evaluations of a network with random weights on other images than its test images, against NumPy."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mnist_exp.commands import results
from mnist_exp.comparison.predictions import read_probabilities
from mnist_exp.comparison.rows import read_rows
from mnist_exp.datasets.dataset import Dataset, split
from mnist_exp.errors import InputError, IntegrityError
from mnist_exp.machine.plain_data import read_json
from mnist_exp.runs.evaluations import directory, read_scores
from mnist_exp.runs.run import Run
from mnist_exp.trained import trained_run
from mnist_exp.trained.evaluate import Images, evaluate, in_classes_of, select_images
from mnist_exp.trained.trained_run import TrainedRun
from tests.conftest import compose
from tests.integration.ensemble.test_ensemble import SPLIT, untrained
from tests.integration.models.test_averaging import SAVES

pytestmark = SAVES


@pytest.fixture(scope="module")
def run_once(tmp_path_factory: pytest.TempPathFactory, digits: Dataset) -> Path:
    overrides = ("model=mlp", "model.units=[8]", "seed=3", "preprocessing=standardize")
    return untrained(tmp_path_factory.mktemp("evaluate") / "a", digits, *overrides)


@pytest.fixture
def trained(run_once: Path, tmp_path: Path) -> TrainedRun:
    shutil.copytree(run_once, tmp_path / "a")
    (row,) = read_rows([tmp_path / "a"])
    return trained_run.read(row)


def images_of(trained: TrainedRun, data: Dataset, part: str = "test") -> Images:
    return select_images(data, trained.split, part, trained.experiment.dataset)  # type: ignore[arg-type]


def few(data: Dataset, count: int = 200) -> Dataset:
    """The data with its last test images only, as another data set."""
    return replace(
        data,
        name="other",
        sha256="0" * 64,
        test_images=data.test_images[-count:],
        test_labels=data.test_labels[-count:],
        mislabelled=None,
    )


def test_the_errors_are_those_of_the_same_network_on_these_images(trained: TrainedRun, digits: Dataset) -> None:
    before = trained.run.summary.read_bytes()
    row = evaluate(trained, images_of(trained, few(digits)), "other_test", towers=2, environment={})
    result = Run(directory(trained.run, "other_test"))
    probabilities, labels = read_probabilities(result)
    np.testing.assert_allclose(probabilities, trained.probabilities[-200:], atol=1e-5)
    assert np.array_equal(labels, digits.test_labels[-200:])
    errors = int(np.sum(probabilities.argmax(1) != labels))
    content = read_json(result.directory / "evaluation.json")
    assert content["result"]["errors"] == row.summary.test.errors == errors > 0
    assert content["own_test"]["errors"] == trained.row.summary.test.errors
    assert (content["split"], content["dataset"]["name"], content["trained_on"]) == ("test", "other", 0)
    assert row.summary.wrong_bits is not None
    assert int(np.bitwise_count(row.summary.wrong_bits).sum()) == errors
    assert sum(one["n"] for one in read_json(result.errors)["per_class"]) == 200
    assert "on 200 test images of other" in result.report.read_text()
    assert read_scores(trained.run) == {"other_test": row.summary.test}
    assert trained.run.summary.read_bytes() == before
    assert [found.name for found in read_rows([trained.run.directory])] == ["a"]  # an evaluation is not a run


def test_images_of_the_training_are_counted(
    trained: TrainedRun, digits: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    own = images_of(trained, digits, "validation")
    assert (len(own.data.test_labels), own.trained_on(trained)) == (100, 0)
    assert np.array_equal(own.data.test_labels, digits.train_labels[trained.split.validation])
    training = images_of(trained, digits, "train")
    assert training.trained_on(trained) == len(training.data.test_labels) == 1900
    assert training.text == "1,900 training images of mnist"
    others = split(digits.train_labels, 2000, 150, 5)
    mixed = Images(select_images(digits, others, "validation", own.settings).data, others, "validation", own.settings)
    overlap = len(set(others.validation) & set(trained.split.train))
    evaluate(trained, mixed, "mixed", towers=1, environment={})
    assert f"{overlap} of the 150 images are training images of the run" in " ".join(capsys.readouterr().err.split())
    assert read_json(directory(trained.run, "mixed") / "evaluation.json")["trained_on"] == overlap > 0


def test_images_of_another_data_set_are_compared_by_their_pixels(trained: TrainedRun, digits: Dataset) -> None:
    chosen = np.concatenate([trained.split.train[:7], trained.split.validation[:5]])
    data = replace(digits, sha256="other", test_images=digits.train_images[chosen], test_labels=digits.train_labels[chosen])
    assert images_of(trained, data).trained_on(trained) == 7


def test_classes_are_matched_by_name(trained: TrainedRun, digits: Dataset) -> None:
    reordered = replace(few(digits), class_names=tuple("9876543210"))
    assert np.array_equal(in_classes_of(trained, reordered).test_labels, 9 - reordered.test_labels)
    even = digits.test_labels % 2 == 0
    some = replace(
        digits, class_names=tuple("02468"), test_images=digits.test_images[even], test_labels=digits.test_labels[even] // 2
    )
    assert np.array_equal(in_classes_of(trained, some).test_labels, digits.test_labels[even])
    assert in_classes_of(trained, digits) is digits


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"class_names": tuple("012345678a")}, "does not know the classes a of other"),
        (
            {"test_images": np.zeros((200, 32, 32, 3), np.uint8)},
            "was trained on images of 28×28×1 pixels, but",
        ),
    ],
)
def test_what_does_not_fit_is_refused(trained: TrainedRun, digits: Dataset, change: dict[str, object], message: str) -> None:
    images = images_of(trained, replace(few(digits), **change))  # type: ignore[arg-type]
    with pytest.raises(InputError, match=message):
        evaluate(trained, images, "x", towers=1, environment={})
    assert not directory(trained.run, "x").exists()


def test_a_part_without_images_is_refused(digits: Dataset) -> None:
    parts = split(digits.train_labels, 2000, 0, 0)
    with pytest.raises(InputError, match="split=validation: mnist has no validation images"):
        select_images(digits, parts, "validation", compose(*SPLIT).dataset)


def test_a_damaged_result_is_left_out(trained: TrainedRun) -> None:
    for name, text in (("a", ""), ("b", "[]"), ("c", '{"result": {"n": 0}}'), ("d", None)):
        directory(trained.run, name).mkdir(parents=True)
        if text is not None:
            (directory(trained.run, name) / "evaluation.json").write_text(text)
    assert read_scores(trained.run) == {}


def test_a_link_in_place_of_the_directory_is_refused(trained: TrainedRun, digits: Dataset, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (trained.run.directory / "evaluations").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(IntegrityError, match="evaluations"):
        evaluate(trained, images_of(trained, few(digits)), "x", towers=1, environment={})
    assert not list((tmp_path / "elsewhere").iterdir())


def test_groups_of_the_images_are_units(trained: TrainedRun, digits: Dataset, capsys: pytest.CaptureFixture[str]) -> None:
    writers = (np.arange(60_000) // 40).astype(np.int32)
    data = replace(few(digits), train_groups=writers, test_groups=writers[:200])
    row = evaluate(trained, images_of(trained, data), "writers", towers=1, environment={})
    groups = row.summary.image_groups
    assert groups is not None
    assert groups.n == 5
    assert groups.ci95[1] > row.summary.test.ci95[1]
    assert "for new groups such as the 5" in Run(directory(trained.run, "writers")).report.read_text()
    assert read_json(directory(trained.run, "writers") / "evaluation.json")["image_groups"]["n"] == 5
    results.print_summary(trained.run.directory, row.summary)
    assert f"{groups.ci95[0]:.2f} – {groups.ci95[1]:.2f}, for new groups such as the 5 tested" in capsys.readouterr().out
    held_out = images_of(trained, data, "validation").data
    assert held_out.test_groups is not None
    assert np.array_equal(held_out.test_groups, writers[trained.split.validation])
