"""Lists of layers in comparisons, differences, names of directories, trackers and checkpoints."""

from pathlib import Path

import pytest
import yaml

from mnist_exp import cli
from mnist_exp.comparison import difference
from mnist_exp.comparison.rows import differing_settings, read_rows
from mnist_exp.config.identity import changes, expand_layers, identity, same_layer_list, short_key, unmatched_layers
from mnist_exp.config.search_space import Combination
from mnist_exp.runs.run import Run
from mnist_exp.sweep.plan import directory_name
from mnist_exp.tracking import snapshot
from tests.conftest import compose
from tests.unit.run_directories import make_run

SHORT = "{name:flatten},{name:dense,units:%d},{name:activation},{name:logits}"
OWN = ("model=cnn", "model.dropout=0")


def settings(*overrides: str) -> dict[str, object]:
    return expand_layers(identity(compose(*overrides)))


def test_a_list_of_layers_becomes_a_label_and_the_settings_of_its_layers() -> None:
    plain, wider = settings("model=cnn"), settings("model=cnn", "model.layers.0.filters=8")
    assert plain["model.layers"] == wider["model.layers"]
    assert str(plain["model.layers"]).startswith("11 layers ")
    assert (plain["model.layers.0.filters"], wider["model.layers.0.filters"]) == (16, 8)
    assert settings("model=resnet")["model.layers.1.layers.2.kernel_size"] == 3
    assert plain["model.layers.0.name"] == "conv"
    assert len({settings(f"model={name}")["model.layers"] for name in ("cnn", "cnn_deep", "mlp_deep", "resnet")}) == 4
    assert settings("model=mlp") == identity(compose("model=mlp"))
    assert expand_layers({"a.b": [], "a.c": [1, {"d": 2}]}) == {"a.b": [], "a.c": [1, {"d": 2}]}


def test_layers_of_different_lists_are_not_compared() -> None:
    cnn, deep, mlp = settings("model=cnn"), settings("model=cnn_deep"), settings("model=mlp")
    assert same_layer_list("model.layers.0.filters", cnn, settings("model=cnn", "model.layers.0.filters=8"))
    assert not same_layer_list("model.layers.0.filters", cnn, deep)
    assert not same_layer_list("model.layers.0.filters", cnn, mlp)
    assert same_layer_list("model.layers", cnn, deep)
    assert short_key("model.layers.0.filters") == "layers.0.filters"
    assert [short_key(key) for key in ("optimizer.learning_rate", "model.units.0", "seed")] == [
        "learning_rate",
        "units.0",
        "seed",
    ]


def test_a_changed_layer_is_reported_by_its_key() -> None:
    before, now, other = (identity(compose("model=cnn", *more)) for more in ((), ("model.layers.0.filters=8",), ("seed=8",)))
    assert changes(before, now) == ["model.layers.0.filters: 16 → 8"]
    assert changes(before, other) == ["seed: 7 → 8"]
    (line,) = (change for change in changes(before, identity(compose("model=cnn_deep"))) if "layers" in change)
    assert len(line) < 80


def test_unmatched_layers() -> None:
    assert unmatched_layers([1, 2, 3], [1, 3]) == [2]
    assert unmatched_layers([1, 3], [1, 2, 3]) == []
    assert unmatched_layers([1, 2], [3]) == [1, 2]


def test_a_comparison_has_no_long_cell(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("mlp", "cnn_deep", "resnet"):
        make_run(Path("runs") / name, 100, f"model={name}")
    assert cli.main(["compare"]) == 0
    table = [line for line in capsys.readouterr().out.splitlines() if line.startswith("│")]
    assert len(table) == 3
    assert max(map(len, table)) < 220
    assert not [
        key for key in differing_settings(read_rows([Path("runs")])) if "layers" in key
    ]  # the models' names say it all
    assert cli.main(["compare", "--columns", "name,model.layers", "--format", "csv"]) == 0
    assert max(len(cell) for line in capsys.readouterr().out.splitlines() for cell in line.split(",")) < 100


def test_a_comparison_of_one_architecture_shows_the_settings_that_differ(capsys: pytest.CaptureFixture[str]) -> None:
    for filters in (8, 16):
        make_run(Path("runs") / str(filters), filters, "model=cnn", f"model.layers.0.filters={filters}")
    make_run(Path("runs/other"), 30, *OWN, f"model.layers=[{SHORT % 5}]")
    assert differing_settings(read_rows([Path("runs/8"), Path("runs/16")])) == ["model.layers.0.filters"]
    keys = differing_settings(read_rows([Path("runs")]))
    assert keys == ["model.dropout", "model.layers", "model.layers.0.filters"]
    assert cli.main(["compare", "--where", "model.layers.0.filters<10", "--columns", "name,model.layers.0.filters"]) == 0
    assert "│ 8    │ 8 " in capsys.readouterr().out


def test_a_comparison_shows_the_names_of_a_few_layers(capsys: pytest.CaptureFixture[str]) -> None:
    for kind in ("max_pool", "average_pool"):
        make_run(Path("runs") / kind, len(kind), "model=cnn", f"model.layers.2.name={kind}")
    assert differing_settings(read_rows([Path("runs")])) == ["model.layers.2.name"]
    assert cli.main(["compare", "--where", "model.layers.2.name=max_pool", "--columns", "name,model.layers.2.name"]) == 0
    assert "│ max_pool │ max_pool " in capsys.readouterr().out
    make_run(Path("runs/shorter"), 30, *OWN, f"model.layers=[{SHORT % 5}]")
    assert differing_settings(read_rows([Path("runs")])) == ["model.dropout", "model.layers", "model.layers.2.name"]
    for name, within in (("a", "{name:dropout},{name:dense,units:4}"), ("b", "{name:dense,units:4},{name:dropout}")):
        make_run(Path("many") / name, 30, *OWN, f"model.layers=[{{name:flatten}},{within},{within},{{name:logits}}]")
    assert differing_settings(read_rows([Path("many")])) == ["model.layers"]  # four kinds


def test_diff_shows_the_layers_that_differ(capsys: pytest.CaptureFixture[str]) -> None:
    units, others = (f"model.layers=[{SHORT % number}]" for number in (5, 6))
    longer = units.replace("{name:activation}", "{name:activation},{name:batch_norm,momentum:0.5}")
    for name, layers in (("a", units), ("b", others), ("c", longer)):
        make_run(Path("runs") / name, 100, *OWN, layers)
    make_run(Path("runs/deep"), 100, "model=cnn_deep", "model.dropout=0")
    a, b, c, deep = (Run(Path("runs") / name) for name in ("a", "b", "c", "deep"))
    assert difference.compare_runs(a, b).settings == {"model.layers.1.units": {"a": 5, "b": 6}}
    (key, values), *rest = difference.compare_runs(a, c).settings.items()
    assert (key, rest) == ("model.layers", [])
    assert values["a"].startswith("4 layers ")
    assert "only here" not in values["a"]
    assert values["b"].endswith(", only here: {name:batch_norm,momentum:0.5}")
    assert cli.main(["diff", "a", "deep"]) == 0
    assert max(map(len, capsys.readouterr().out.splitlines())) < 220
    assert "only here" not in difference.compare_runs(deep, a).settings["model.layers"]["a"]


def test_a_sweep_names_its_directories_after_the_layer() -> None:
    def named(*swept: str) -> str:
        return directory_name(Combination(swept, swept, compose("model=cnn", *swept)))

    assert named("model.layers.0.filters=8", "model.layers.3.filters=4") == "cnn_layers.0.filters=8_layers.3.filters=4_s7"
    one, other = (named(f"model.layers=[{SHORT % units}]", "model.dropout=0") for units in (3, 4))
    assert one != other
    assert len(one) < 40


def test_a_tracker_gets_each_layer_setting_as_a_parameter() -> None:
    run = Run(make_run(Path("runs/a"), 100, "model=cnn_deep"))
    parameters = snapshot.read_run(run).parameters
    assert parameters["model.layers.0.filters"] == 32
    assert max(len(str(value)) for value in parameters.values()) < 100
    assert yaml.safe_load(run.config.read_text())["model"]["layers"][0]["filters"] == 32
