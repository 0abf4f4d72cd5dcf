"""The run whose weights a training starts from: which runs and layers fit, and what the configuration records of it."""

import os
import shutil
from pathlib import Path

import pytest

from mnist_exp import config
from mnist_exp.commands.named_runs import find_weights, with_latest_found
from mnist_exp.comparison.fields import METRICS, TEST
from mnist_exp.comparison.groups import group_runs
from mnist_exp.comparison.ranking import compare
from mnist_exp.comparison.rows import differing_settings, read_rows
from mnist_exp.comparison.tables import caption
from mnist_exp.config.command_line import parse_arguments
from mnist_exp.config.identity import config_hash
from mnist_exp.config.initial_weights import match
from mnist_exp.config.schema import Experiment
from mnist_exp.errors import ConfigError, InputError, IntegrityError
from mnist_exp.machine import files, model_files
from mnist_exp.machine.plain_data import read_json
from mnist_exp.runs.lineage import InitialWeights, Lineage
from mnist_exp.runs.outcome import config_text
from mnist_exp.runs.run import Run
from mnist_exp.runs.status import write_status
from mnist_exp.sweep import plan
from tests.advice import compositions
from tests.conftest import compose
from tests.unit.run_directories import change_settings, complete_run, make_run, set_time, write_weights

SMALL = ("model=cnn_large", "model.filters=[4,3]", "model.units=[8]")


@pytest.fixture
def source() -> Path:
    """A completed run with weights."""
    return make_source("runs/a")


def make_source(place: str, *overrides: str, start: float = 0.0) -> Path:
    directory = make_run(Path(place), 100, *SMALL, *overrides)
    write_weights(directory, start)
    return directory


def experiments(*arguments: str) -> list[Experiment]:
    combinations = compositions(parse_arguments(arguments)).combinations()
    return [combination.experiment for combination in combinations]


def problem(*arguments: str) -> tuple[str, str]:
    with pytest.raises(ConfigError) as raised:
        experiments(*arguments)
    assert raised.value.exit_code == 2
    return raised.value.cause, raised.value.remedy


@pytest.mark.parametrize("name", ["runs/a", "a", "latest", "./runs/a/", "{absolute}"])
def test_whatever_names_a_completed_run_names_its_weights(name: str, source: Path) -> None:
    (experiment,) = experiments(*SMALL, f"initial_weights={name.format(absolute=source.resolve())}")
    assert experiment.initial_weights == str(source.resolve())
    assert experiment.initial_weights_sha256 == model_files.sha256(model_files.read_layers(Run(source).model))


def test_a_job_with_commas_in_its_name_and_several_runs_can_be_named() -> None:
    job, other = (make_source(f"runs/sweep/{name}") for name in ("001_mlp_units=8,4_s1", "002_é'x_s1"))
    (experiment,) = experiments(*SMALL, f"initial_weights={job}")
    assert experiment.initial_weights == str(job.resolve())
    both = experiments("-m", *SMALL, f'initial_weights="{job}",{other},null')
    assert [each.initial_weights for each in both] == [str(job.resolve()), str(other.resolve()), None]
    searched = compositions(
        parse_arguments(["-m", "hydra/sweeper=optuna", *SMALL, f"initial_weights=choice('{job}',latest)"])
    ).space()
    assert searched.example().initial_weights == str(job.resolve())


def test_the_weights_define_the_configuration_and_not_their_place(source: Path) -> None:
    (experiment,) = experiments(*SMALL, "initial_weights=a")
    source.rename("runs/b")
    (moved,) = experiments(*SMALL, "initial_weights=b")
    assert moved.initial_weights != experiment.initial_weights
    assert config_hash(moved) == config_hash(experiment) != config_hash(compose(*SMALL))
    write_weights(Path("runs/b"), start=1.0)
    (other,) = experiments(*SMALL, "initial_weights=b")
    assert config_hash(other) != config_hash(experiment)
    assert other.initial_weights == moved.initial_weights


def test_runs_from_different_weights_are_not_repetitions(source: Path) -> None:
    make_source("runs/b", start=1.0)
    for number, name in enumerate(("a", "a", "b")):
        run = Run(Path(f"tuned/{number}"))
        run.directory.mkdir(parents=True)
        (experiment,) = experiments(*SMALL, f"seed={number}", f"initial_weights={source.with_name(name)}")
        run.config.write_text(config_text(experiment))
        complete_run(run)
    assert sorted(group.n for group in group_runs(read_rows([Path("tuned")]), None)) == [1, 2]


def test_a_comparison_by_validation_error_says_which_errors_are_too_low() -> None:
    origin = InitialWeights(
        run="../x", name="x", seed=1, config_hash="0", sha256="1", dataset="mnist", network="mlp", copied=["dense_1"],
        initialized={}, validation_seen=3,
    )  # fmt: skip
    for number, seen in enumerate((0, 3)):
        run = Run(make_run(Path(f"runs/{number}"), 100, f"model.units=[{number + 1}]", validation_errors=50))
        lineage = Lineage(initial_weights=origin.model_copy(update={"validation_seen": seen}))
        files.write_json(run.summary, read_json(run.summary) | {"lineage": lineage.model_dump()})
    note = "1 run began with weights that had been trained on validation images: that validation error is too low"
    rows = read_rows([Path("runs")])
    assert note in caption(compare(rows), with_significance=False)
    assert note not in caption(compare(rows, METRICS[TEST]), with_significance=False)


@pytest.mark.parametrize(
    ("places", "hashes", "columns"),
    [
        (("a", "b"), ("1", "2"), ["initial_weights"]),
        (("a", "a"), ("1", "2"), ["initial_weights_sha256"]),  # trained again in between
        (("a", "b", "b"), ("1", "2", "3"), ["initial_weights", "initial_weights_sha256"]),
        (("a", "moved"), ("1", "1"), []),
    ],
)
def test_a_comparison_lists_what_a_reader_needs(
    places: tuple[str, ...], hashes: tuple[str, ...], columns: list[str]
) -> None:
    for number, (place, sha256) in enumerate(zip(places, hashes, strict=True)):
        directory = make_run(Path(f"runs/{number}"), 100)
        change_settings(directory, initial_weights=place, initial_weights_sha256=sha256)
    assert differing_settings(read_rows([Path("runs")])) == columns


def test_a_stored_configuration_needs_the_source_no_more(source: Path) -> None:
    (experiment,) = experiments(*SMALL, "initial_weights=a", "freeze=[conv_*]")
    source.rename("gone")
    assert config.validate(experiment.model_dump(mode="json")) == experiment
    assert problem(*SMALL, "initial_weights=a") == ("initial_weights=a: run not found", "name a run directory, or latest")


def test_layers_match_by_name_and_shape_and_the_head_by_its_classes(source: Path) -> None:
    weights = find_weights(str(source), "runs")
    assert weights.class_names == tuple("0123456789")
    all_layers = ("conv_1", "conv_2", "dense_1", "logits")
    assert match(compose(*SMALL), weights).copied == all_layers
    letters = match(compose(*SMALL, "dataset=emnist_letters"), weights)
    assert letters.copied == all_layers[:-1]
    assert letters.initialized == {"logits": "other classes"}
    clothes = match(compose(*SMALL, "dataset=fashion_mnist"), weights)  # as many classes, but other ones
    assert (clothes.copied, clothes.initialized) == (all_layers[:-1], {"logits": "other classes"})
    wider = match(compose(*SMALL, "model.filters=[4,5]", "model.units=[8,6]"), weights)
    assert wider.copied == ("conv_1",)
    assert wider.initialized == {
        "conv_2": "3×3×4×3 in the source, 3×3×4×5 here",
        "dense_1": "75×8 in the source, 125×8 here",
        "dense_2": "not in the source",
        "logits": "8×10 in the source, 6×10 here",
    }


def test_the_classes_of_a_run_of_an_earlier_version_are_those_of_its_data_set(source: Path) -> None:
    files.write_json(Run(source).errors, {})
    assert find_weights(str(source), "runs").class_names == tuple("0123456789")
    summary = read_json(Run(source).summary)
    summary["dataset"]["name"] = "own"
    files.write_json(Run(source).summary, summary)
    assert match(compose(*SMALL), find_weights(str(source), "runs")).initialized == {
        "logits": "unknown classes in the source"
    }


def test_if_no_layer_fits_both_networks_are_named(source: Path) -> None:
    cause, remedy = problem("model=mlp", "initial_weights=a")
    assert cause == (
        f"initial_weights={source.resolve()}: no layer of its network cnn_large fits one of model=mlp by name and shape"
    )
    assert remedy.startswith("allowed: model=cnn_large, or a run with the same first layers")


@pytest.mark.usefixtures("source")
def test_weights_for_other_pixels_are_refused() -> None:
    cause, remedy = problem(*SMALL, "initial_weights=a", "preprocessing=standardize")
    assert cause.endswith("its layers expect pixels scaled by preprocessing=unit, not standardize")
    assert remedy == "write preprocessing=unit"


def test_weights_other_than_expected_are_refused(source: Path) -> None:
    (experiment,) = experiments(*SMALL, "initial_weights=a")
    expected = f"initial_weights_sha256={experiment.initial_weights_sha256}"
    assert experiments(*SMALL, "initial_weights=a", expected) == [experiment]
    write_weights(source, start=1.0)
    cause, remedy = problem(*SMALL, "initial_weights=a", expected)
    assert cause.startswith(f"{expected}: the weights have ")
    assert remedy.endswith("write initial_weights_sha256=null")
    assert "needs initial_weights" in problem(*SMALL, expected)[0]


def test_a_directory_without_weights_to_start_from_is_refused(source: Path) -> None:
    write_status(Run(source), "interrupted", 130, "stopped", "continue: mnist-exp resume a")
    Run(source).summary.rename("summary")
    cause, remedy = problem(*SMALL, "initial_weights=a")
    assert cause == "initial_weights=runs/a: interrupted: only a completed run has weights to start from"
    assert remedy == "continue: mnist-exp resume a"
    Path("summary").rename(Run(source).summary)

    assert problem(*SMALL, "initial_weights=runs")[0] == "initial_weights=runs: contains 1 run; choose one"
    content = read_json(Run(source).summary)
    member = {"name": "x", "seed": 1, "config_hash": "0"}
    members = [member | {"run": "../b"}, member | {"run": "../c"}]
    files.write_json(Run(source).summary, content | {"seed": None, "members": members})
    assert problem(*SMALL, "initial_weights=a") == (
        "initial_weights=runs/a: is an ensemble",
        "choose one of its members, such as runs/b",
    )
    files.write_json(Run(source).summary, content)

    Run(source).model.write_bytes(b"damaged")
    with pytest.raises(IntegrityError, match="zip"):
        experiments(*SMALL, "initial_weights=a")
    Run(source).model.unlink()
    assert problem(*SMALL, "initial_weights=a")[0] == "initial_weights=runs/a/model.keras: does not exist"


def test_the_latest_run_is_the_one_when_the_command_starts(source: Path) -> None:
    set_time(make_source("runs/old"), "2020-01-01T00:00:00+00:00")
    assert with_latest_found("initial_weights=latest,old", "runs") == f"initial_weights='{source.resolve()}',old"
    for line in ("initial_weights=latest_but_one", "name=latest", "initial_weights=runs/latest"):
        assert with_latest_found(line, "runs") == line
    with pytest.raises(InputError, match="contains no run"):
        with_latest_found("initial_weights=latest", "nowhere")


def test_layers_to_freeze_are_named_in_any_way() -> None:
    expected = ("conv_1", "conv_2")
    for value in ("[conv_2,conv_1]", "[conv_*]", "conv_*", "[conv_1,conv_?]"):
        assert compose(*SMALL, f"freeze={value}").freeze == expected
    assert config_hash(compose(*SMALL, "freeze=[conv_*]")) != config_hash(compose(*SMALL))
    jobs = compositions(parse_arguments(["-m", *SMALL, "freeze=[],[conv_1],[conv_1,dense_1]"])).combinations()
    assert [job.experiment.freeze for job in jobs] == [(), ("conv_1",), ("conv_1", "dense_1")]
    assert [plan.directory_name(job) for job in jobs] == [
        f"cnn_large_freeze={names}_s7" for names in ("", "conv_1", "conv_1,dense_1")
    ]


def test_a_layer_that_does_not_exist_lists_those_that_do() -> None:
    cause, remedy = problem(*SMALL, "freeze=[conv1]")
    assert cause == "freeze=[conv1]: conv1 is not a layer"
    assert remedy == "allowed: layers with weights: conv_1, conv_2, dense_1, logits; did you mean conv_1?"
    assert "leaves no layer to train" in problem(*SMALL, "freeze=[*]")[0]


def test_a_job_keeps_its_weights_wherever_it_is_resumed(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    combinations = compositions(parse_arguments(["-m", *SMALL, "initial_weights=a,null", "seed=1,2"])).combinations()
    jobs, planned = plan.extend_jobs([], combinations)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    for _ in ("the source is there", "the source has gone"):
        composed = compositions(parse_arguments(["-m"])).experiments([job.overrides for job in jobs])
        assert composed == list(planned.values())
        shutil.rmtree(tmp_path / "runs" / "a", ignore_errors=True)
    make_source(str(tmp_path / source), start=1.0)
    with pytest.raises(ConfigError, match="the weights have"):
        compositions(parse_arguments(["-m"])).experiments([jobs[0].overrides])


def test_the_directory_of_a_job_has_the_name_of_its_source(source: Path) -> None:
    other = make_source("runs/sweep/002_cnn_s1")
    arguments = ["-m", *SMALL, f"initial_weights={source},{os.path.abspath(other)}"]  # noqa: PTH100
    jobs = compositions(parse_arguments(arguments)).combinations()
    assert [plan.directory_name(job) for job in jobs] == ["cnn_large_a_s7", "cnn_large_002_cnn_s1_s7"]
