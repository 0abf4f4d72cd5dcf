"""Configuration errors: each names the key, its value, what is allowed and the nearest name."""

import sys
import time
from importlib.resources import files
from pathlib import Path

import pytest

from mnist_exp.commands import train
from mnist_exp.config.command_line import parse_arguments
from mnist_exp.config.composition import Composition
from mnist_exp.config.conversions import format_value
from mnist_exp.config.problems import nearest
from mnist_exp.config.schema import Experiment
from mnist_exp.errors import ConfigError, InputError
from mnist_exp.machine import devices
from tests import advice
from tests.conftest import compose


def single(*overrides: str) -> Experiment:
    return Composition(parse_arguments(overrides)).single()


def problems(*overrides: str, multirun: bool = False) -> list[str]:
    arguments = [*(["-m"] if multirun else []), *overrides]
    with pytest.raises(ConfigError) as caught:
        advice.compositions(parse_arguments(arguments)).combinations()
    assert caught.value.exit_code == 2
    advice.solve(arguments, caught.value.problems)
    return [f"{problem.cause} | {problem.remedy}" for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("overrides", "key", "given", "expected"),
    [
        (["optimzer.learning_rate=1"], "optimzer.learning_rate", "1", "did you mean optimizer.learning_rate?"),
        (["optimzer.lr=1"], "optimzer.lr", "1", "did you mean optimizer.learning_rate?"),
        (["learning_rate=1"], "learning_rate", "1", "did you mean optimizer.learning_rate?"),
        (["+optimizer.lr=1"], "optimizer.lr", "1", "did you mean optimizer.learning_rate?"),
        (["model=cnn_large", "++model.filter=3"], "model.filter", "3", "did you mean model.filters?"),
        (["++model.widht=3"], "model.widht", "3", "allowed: name, units"),
        (["modle=mlp"], "modle", "mlp", "did you mean model?"),
        (["model=cnn_larg"], "model", "cnn_larg", "did you mean cnn_large?"),
        (["experiment=tutorial_mpl"], "experiment", "tutorial_mpl", "did you mean tutorial_mlp?"),
        (["training.epochs=0"], "training.epochs", "0", "allowed: an integer from 1 to 100000"),
        (["augmentation=affine", "augmentation.shift=29"], "augmentation.shift", "29", "allowed: a number from 0 to 28"),
        (["augmentation=flip", "augmentation.elastic_sigma=40"], "augmentation.elastic_sigma", "40", "from 0.1 to 28"),
        (["augmentation=flip", "augmentation.cutout_size=29"], "augmentation.cutout_size", "29", "an integer from 1 to 28"),
        (["training.epochs=2.5"], "training.epochs", "2.5", "an integer"),
        (["training.batch_size=1e9"], "training.batch_size", "1e+09", "an integer from 1 to 65536"),
        (["training.batch_size=60000"], "training.batch_size", "60000", "an integer from 1 to 55000"),
        (["optimizer.learning_rate=-1"], "optimizer.learning_rate", "-1", "a number > 0 and ≤ 100"),
        (["optimizer.learning_rate=0"], "optimizer.learning_rate", "0", "a number > 0 and ≤ 100"),
        (["optimizer.learning_rate=nan"], "optimizer.learning_rate", "nan", "a number > 0 and ≤ 100"),
        (["optimizer.learning_rate=inf"], "optimizer.learning_rate", "inf", "a number > 0 and ≤ 100"),
        (["optimizer.learning_rate=abc"], "optimizer.learning_rate", "abc", "a number > 0 and ≤ 100"),
        (["optimizer=sgd", "optimizer.nesterov=1"], "optimizer.nesterov", "1", "true or false"),
        (["model.dropout=1.5"], "model.dropout", "1.5", "a number ≥ 0 and < 1"),
        (["model.units=5"], "model.units", "5", "a list, each an integer from 1 to 65536"),
        (["model.units=[5,0]"], "model.units.1", "0", "an integer from 1 to 65536"),
        (["model=cnn_large", "model.filters=[0]"], "model.filters.0", "0", "an integer from 1 to 65536"),
        (["model=cnn_large", "model.filters=[]"], "model.filters", "[]", "a list of at least 1, each an integer"),
        (["model.units=[5.0]"], "model.units.0", "5.0", "an integer from 1 to 65536"),
        (["model.activation=rleu"], "model.activation", "rleu", "did you mean relu?"),
        (["model.name=cnn_large"], "model.name", "cnn_large", "write model=cnn_large"),
        (["seed=-1"], "seed", "-1", "an integer from 0 to 4294967295"),
        (["seed=null"], "seed", "null", "an integer"),
        ([f"runs_dir={'d/' * 600}"], "runs_dir", "d/" * 100 + "…", "a path of 1,000 characters at most"),
        (["schedule.warmup_epochs=10"], "schedule.warmup_epochs", "10", "a number ≥ 0 and < 10"),
        (
            ["experiment=cnn_best", "optimizer=adam"],
            "optimizer.weight_decay",
            "0.05",
            "leave it out with ~optimizer.weight_decay",
        ),
        (
            ["augmentation.rotation=3"],
            "augmentation.rotation",
            "3",
            "it belongs to augmentation=affine, cutout, elastic, flip, mixup: choose",
        ),
        (["epochs=3"], "epochs", "3", "did you mean training.epochs?"),
        (["name=a/b"], "name", "a/b", "letters, digits"),
        (["precision=float23"], "precision", "float23", "did you mean float32?"),
        (["name=42"], "name", "42", "did you mean 'name=\"42\"'?"),
        (["name=1e3"], "name", "1000.0", "did you mean 'name=\"1000.0\"'?"),
        (["name=4.0"], "name", "4.0", "did you mean 'name=\"4.0\"'?"),
        (["name=true"], "name", "true", "did you mean 'name=\"true\"'?"),
        (["name=-5"], "name", "-5", "a number, not text | allowed: letters, digits"),
        (["tracker=wandb", "tracker.project=42"], "tracker.project", "42", "did you mean 'tracker.project=\"42\"'?"),
        (["training.epochs=1.0"], "training.epochs", "1.0", "did you mean training.epochs=1?"),
        (["training.epochs=1e2"], "training.epochs", "100.0", "did you mean training.epochs=100?"),
        (['training.epochs="3"'], "training.epochs", '"3"', "did you mean training.epochs=3?"),
        (['optimizer.learning_rate="0.1"'], "optimizer.learning_rate", '"0.1"', "did you mean optimizer.learning_rate=0.1?"),
        (
            ["optimizer=sgd", 'optimizer.nesterov="true"'],
            "optimizer.nesterov",
            '"true"',
            "did you mean optimizer.nesterov=true?",
        ),
        (['model.units="5"'], "model.units", '"5"', "did you mean 'model.units=[5]'?"),
        (['dataset.limit="100"'], "dataset.limit", '"100"', "did you mean dataset.limit=100?"),
        (["model=cnn", "model.layers.0.name=cnv"], "model.layers.0.name", "cnv", "did you mean conv?"),
        (["hydra/launchr=joblib"], "hydra/launchr", "joblib", "did you mean hydra/launcher?"),
        (
            ["hydra.launcher={name:joblib}"],
            "hydra.launcher",
            "{name:joblib}",
            "choose an option, such as hydra/launcher=basic",
        ),
        (["training.gradient_clip_norm=1e308"], "training.gradient_clip_norm", "1e+308", "a number > 0 and ≤ 1e+30 or null"),
        (
            ["optimizer.epsilon=5e-324"],
            "optimizer.epsilon",
            "5e-324",
            "float32 | allowed: a number > 0 and ≤ 1; at least 1.2e-38",
        ),
        (["optimizer.beta_2=0.99999999999"], "optimizer.beta_2", "0.99999999999", "float32 rounds it to 1"),
        (["dataset.limit=5"], "dataset.limit", "5", "an integer from 10 to 60000 or null"),
        (
            ["dataset.limit=15", "training.batch_size=5"],
            "dataset.limit",
            "15",
            "an integer ≥ 20; or use no",
        ),
        (["dataset.limit=100", "dataset.validation=95"], "dataset.validation", "95", "null, 0, or an integer from 10 to 90"),
        (["dataset.validation=5"], "dataset.validation", "5", "null, 0, or an integer from 10 to 59990"),
        (["tracker.project=x"], "tracker.project", "x", "it belongs to tracker=wandb: choose it"),
        (["evaluation={foo:1}"], "evaluation.foo", "1", "allowed: tta"),
        (
            ["model=cnn", "+model.layers.20.name=flatten"],
            "model.layers.20.name",
            "flatten",
            "unknown key | allowed: 0 to 10",
        ),
        (["+model=cnn"], "model", "cnn", "write model=cnn"),
        (["++experiment=cnn_best"], "experiment", "cnn_best", "write experiment=cnn_best"),
        (["model.units=[64,32"], "model.units", "[64,32", "write 'model.units=[64,32]'"),
        (["model=mlp,"], "model", "mlp,", "write model=mlp"),
        (["runs_dir="], "runs_dir", "''", "a path of 1,000 characters at most"),
        (["hydra.launcher.name=joblib"], "hydra.launcher.name", "joblib", "write hydra/launcher=joblib"),
        (["+hydra.sweeper.params.seed=1,2"], "hydra.sweeper.params.seed", "1,2", "write seed=1,2; for several values"),
        (
            ["training.epochs=interval(1,3)"],
            "training.epochs",
            "interval(1,3)",
            "or search with: mnist-exp -m hydra/sweeper=optuna 'training.epochs=int(interval(1,3))'",
        ),
        (["training.epochs=glob(*)"], "training.epochs", "glob(*)", "no option has such a name"),
        (["dataset.validation=-1"], "dataset.validation", "-1", "an integer from 0 to 59999 or null"),
        (["dataset.validation=60000"], "dataset.validation", "60000", "an integer from 0 to 59999 or null"),
    ],
)
def test_one_error(overrides: list[str], key: str, given: str, expected: str) -> None:
    found = problems(*overrides)
    assert len(found) == 1
    assert found[0].lstrip("+").startswith(f"{key}={given}:")
    assert expected in found[0]


@pytest.mark.parametrize(
    ("file", "content", "expected"),
    [
        (
            "model/mine.yaml",
            'name: cnn_simple\nfilters: "8"\n',
            'model.filters="8": not allowed | allowed: a list of at least 1',
        ),
        ("model/mine.yaml", "units: [8]\n", "model.name: is missing | allowed: cnn, "),
        ("model/mine.yaml", "", "model.name: is missing | allowed: cnn, "),
        ("model/mine.yaml", "name: my_net\n", "model.name=my_net: unknown model | allowed: cnn, "),
        ("model/mine.yml", "name: mlp\n", "mine.yml: the name of an option ends with .yaml | rename the file to mine.yaml"),
        ("model/mine.yaml", "name: mlp\xff\n", "model/mine.yaml: not UTF-8 text (byte 9) | save the file as UTF-8"),
        ("model/mine.yaml", "name: [mlp\n", "model/mine.yaml: while parsing a flow sequence in line 1, column 7 "),
        ("modle/mine.yaml", "name: mlp\n", "contains no options | rename the directory modle to model"),
        ("other.txt", "", "contains no options | put each option into the directory of its group"),
    ],
)
def test_mistakes_in_a_users_options_are_named(tmp_path: Path, file: str, content: str, expected: str) -> None:
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text(content, encoding="latin-1")
    found = problems("--config-dir", str(tmp_path), "model=mine")
    assert any(expected in line for line in found), found
    assert not any("Interpolation" in line for line in found)


def test_the_directory_of_a_group_is_not_the_directory_of_options(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine.yaml").write_text("defaults: [mlp]\n")
    (found,) = problems("--config-dir", str(tmp_path / "model"))
    assert found.endswith(f"name the directory above it: --config-dir {tmp_path}")
    assert compose("--config-dir", str(tmp_path), "model=mine").model.name == "mlp"


def test_a_misspelt_group_is_named_where_a_directory_has_it(tmp_path: Path) -> None:
    for group in ("model", "modle"):
        (tmp_path / group).mkdir()
        (tmp_path / group / "mine.yaml").write_text("defaults: [mlp]\n")
    (found,) = problems("--config-dir", str(tmp_path), "modle=mine")
    assert found.startswith("modle: unknown group | allowed: ")
    assert found.endswith("did you mean model?")


def test_several_errors_at_once() -> None:
    found = problems(
        "optimzer.learning_rate=1", "+optimizer.lr=1", "model=cnn_larg", "training.epochs=0", "seed=-1", "device=gpu:7"
    )
    keys = [line.partition("=")[0] for line in found]
    assert sorted(keys) == sorted(["model", "optimzer.learning_rate", "optimizer.lr", "training.epochs", "seed", "device"])


def test_the_message_for_an_unknown_device_lists_the_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "gpu_count", lambda: 2)
    assert compose("device=gpu:1").device == "gpu:1"
    assert problems("device=gpu:7") == [
        "device=gpu:7: this machine has no such device | allowed: auto, cpu, gpu:0, gpu:1; did you mean gpu:1?"
    ]
    assert problems("device=tpu")[0].startswith("device=tpu: not allowed | allowed: auto, cpu, gpu or gpu:N")


def test_float16_needs_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "gpu_count", lambda: 0)
    assert "needs a GPU" in problems("precision=float16")[0]
    monkeypatch.setattr(devices, "gpu_count", lambda: 1)
    assert compose("precision=float16").precision == "float16"
    assert "needs a GPU" in problems("precision=float16", "device=cpu")[0]


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["model=cnn_simple", "model.kernel_sizes=[29]"], "layer conv_1 is larger than its input of 28×28"),
        (["model=cnn_large", "model.kernel_sizes=[5,13]"], "layer conv_2 is larger than its input of 12×12"),
        (["model=cnn_large", "model.pool_size=13"], "layer conv_2 is larger than its input of 1×1"),
        (["model=cnn_large", "model.pool_size=6"], "layer pool_2 is larger than its input of 2×2"),
        (["model=cnn_large", "model.kernel_sizes=[28,1]"], "layer pool_1 is larger than its input of 1×1"),
        (["model=cnn_large", "model.filters=[4]"], "filters need 1 kernel sizes"),
    ],
)
def test_layers_that_are_too_large_are_named(overrides: list[str], expected: str) -> None:
    found = problems(*overrides)
    assert len(found) == 1
    assert expected in found[0]


def test_all_jobs_of_a_sweep_are_checked_before_it_starts() -> None:
    found = problems("model=mlp,cnn_larg", "seed=1,-1", "training.epochs=0,1,2", multirun=True)
    assert sorted(line.partition(":")[0] for line in found) == ["model=cnn_larg", "seed=-1", "training.epochs=0"]


@pytest.mark.parametrize(
    "line", ["name=a,b", "device=cpu,gpu", "threads.towers=1,2", "sweep.retries=1,2", "hydra/launcher=basic,joblib"]
)
def test_execution_settings_cannot_be_swept(line: str) -> None:
    assert "all jobs of a sweep share one value" in problems(line, multirun=True)[0]
    assert problems(line)[0].endswith("give one value")


def test_a_sweep_has_at_least_one_job() -> None:
    assert "contains no value" in problems("seed=range(1,1)", multirun=True)[0]


def test_suggestions_stay_in_their_section() -> None:
    assert "did you mean" not in problems("optimizer=sgd", "optimizer.beta_1=0.3")[0]


def test_a_shipped_option_cannot_be_shadowed(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mlp.yaml").write_text("name: mlp\n")
    (tmp_path / "config.yaml").write_text("seed: 4\n")
    found = problems("--config-dir", str(tmp_path))
    assert len(found) == 2
    assert all("a shipped option has the same name" in line for line in found)


@pytest.mark.parametrize("setting", ["training.select=best", "training.early_stopping_patience=2"])
def test_selecting_an_epoch_needs_validation_images(setting: str) -> None:
    for limit in ((), ("dataset.limit=600",)):
        found = problems("experiment=tutorial_mlp", setting, *limit)
        assert found[0].startswith(f"{setting}: there are no validation images")
    assert compose(setting).dataset.validation == 5000


def test_a_sweep_needs_its_flag() -> None:
    assert "mnist-exp -m seed=1,2" in problems("seed=1,2")[0]
    assert "mnist-exp -m 'seed=range(3)' training.epochs=2" in problems("seed=range(3)", "training.epochs=2")[0]
    assert "'model.units=[64,32]'" in problems("model.units=64,32")[0]


def test_malformed_overrides() -> None:
    assert "not a valid override" in problems("=")[0]
    assert "not a valid override" in problems('name="a')[0]
    assert problems("fashion_mnist") == ["fashion_mnist: not a valid override | write dataset=fashion_mnist"]
    assert problems("none")[0].endswith("| write augmentation=none or tracker=none")


def test_interpolations_are_resolved_or_refused() -> None:
    assert compose("name=x_${model.name}").name == "x_mlp"
    assert "training.epochs" in problems("training.epochs=${nowhere}")[0]


@pytest.mark.parametrize(
    "overrides",
    [
        ["+model._target_=os.system"],
        ["model={_target_:os.system}"],
        ["+anything.deep._target_=x"],
        ["hydra.job_logging=x"],
        ["hydra/job_logging=default"],
        ["+hydra.job_logging.handlers.x.class=os.system"],
        ["+hydra.callbacks.mine._target_=x"],
        ["+hydra.callbacks.mine=x"],
        ["hydra.run.dir=/tmp/elsewhere"],
        ["hydra.searchpath=[pkg://os]"],
        ["hydra.launcher._target_=os.system"],
        ["hydra.mode=MULTIRUN"],
    ],
)
def test_code_in_an_override_is_refused(overrides: list[str]) -> None:
    found = problems(*overrides)
    assert any("refused" in line or "cannot be set" in line for line in found)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("_target_: os.system\n", "_target_ is refused"),
        ("model:\n  deep: [{_target_: os.system}]\n", "_target_ is refused"),
        ("hydra:\n  callbacks:\n    mine:\n      x: 1\n", "hydra.callbacks.mine.x: this part"),
        (
            "hydra:\n  job_logging:\n    handlers: {x: {class: logging.NullHandler}}\n",
            "hydra.job_logging.handlers.x.class: this part",
        ),
        ("hydra:\n  hydra_logging:\n    root: {level: INFO}\n", "hydra.hydra_logging.root.level: this part"),
        ("hydra:\n  launcher:\n    _target_: os.system\n", "_target_ is refused"),
        ('hydra:\n  job:\n    env_set: {PATH: "."}\n', "hydra.job.env_set.PATH: this part"),
        ("hydra:\n  mode: MULTIRUN\n", "hydra.mode: this part"),
        ("hydra:\n  sweep:\n    subdir: ../..\n", "hydra.sweep.subdir: this part"),
        ("hydra:\n  sweeper:\n    params:\n      seed: ${oc.create:{_target_:x}}\n", "hydra.sweeper.params.seed="),
        ("a: [\n", "did not find expected node content"),
        ("- a\n", "Cannot merge DictConfig with ListConfig"),
    ],
)
def test_code_in_a_users_yaml_file_is_refused(tmp_path: Path, content: str, expected: str) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text("# @package _global_\n" + content)
    assert any(expected in line for line in problems("--config-dir", str(tmp_path), "experiment=mine"))


def test_unresolved_interpolations_are_reported_together() -> None:
    found = problems("name=${a}", "device=${b}", "training.epochs=0")
    assert [line.partition(":")[0] for line in found] == ["name=${a}", "device=${b}", "training.epochs=0"]


@pytest.mark.parametrize("group", ["model", "dataset", "experiment"])
def test_a_group_cannot_be_null(group: str) -> None:
    assert problems(f"{group}=null")[0].startswith(f"{group}=null: unknown {group}")


def test_a_grid_refuses_an_interval() -> None:
    assert "a sweep needs a list of values" in problems("optimizer.learning_rate=interval(0.1,1)", multirun=True)[0]


def test_the_sweep_of_a_recipe_is_checked(tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    recipe = "# @package _global_\nhydra:\n  sweeper:\n    params:\n      seed: 1,-1\n"
    (tmp_path / "experiment" / "mine.yaml").write_text(recipe)
    assert problems("--config-dir", str(tmp_path), "experiment=mine", multirun=True)[0].startswith("seed=-1: not allowed")


def test_a_recipe_that_is_a_sweep_needs_the_sweep_flag() -> None:
    with pytest.raises(ConfigError) as caught:
        single("experiment=record", "training.epochs=4")
    assert "model=cnn_deep,cnn_5x5 seed=range(1,4)" in caught.value.problems[0].cause
    values = "give one value for each, such as model=cnn_deep seed=1"
    assert caught.value.problems[0].remedy == f"sweep with: mnist-exp -m experiment=record training.epochs=4; or {values}"
    with pytest.raises(ConfigError) as caught:
        single("experiment=record", "seed=3")
    assert caught.value.problems[0].remedy == (
        "sweep with: mnist-exp -m experiment=record seed=3; or give one value, such as model=cnn_deep"
    )
    single("experiment=record", "model=cnn_5x5", "seed=3")
    single("experiment=cnn_best")


@pytest.mark.parametrize(
    ("overrides", "key"),
    [
        (["+hydra.launcher.typo=1"], "hydra.launcher.typo"),
        (["hydra/launcher=joblib", "hydra.launcher.n_jobs=x"], "hydra.launcher.n_jobs"),
        (["hydra/sweeper=optuna", "hydra.sweeper.n_trials=0"], "hydra.sweeper.n_trials"),
    ],
)
@pytest.mark.parametrize("flags", [[], ["--cfg", "job"], ["--info", "defaults"]], ids=["train", "cfg", "info"])
def test_the_launcher_and_the_sweeper_are_checked_without_a_sweep(flags: list[str], overrides: list[str], key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        train.main([*flags, *overrides, "training.epochs=0"])
    assert [problem.key for problem in caught.value.problems] == [key, "training.epochs"]


@pytest.mark.parametrize("line", ["sweep.dry_run=true", "sweep.retries=2", "hydra/launcher=joblib", "hydra/sweeper=optuna"])
def test_a_setting_of_a_sweep_without_its_flag_is_refused(line: str) -> None:
    with pytest.raises(ConfigError) as caught:
        single(line)
    assert [problem.cause for problem in caught.value.problems] == [f"{line}: has an effect only in a sweep"]


def test_a_recipe_with_a_dry_run_does_not_train(tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text("# @package _global_\nsweep:\n  dry_run: true\n")
    with pytest.raises(ConfigError, match="dry_run=true: has an effect only in a sweep"):
        single("--config-dir", str(tmp_path), "experiment=mine")


def test_a_misspelt_sweeper_is_the_only_problem_of_a_search() -> None:
    (found,) = advice.remaining(["-m", "hydra/sweeper=optun", "model.dropout=interval(0,0.5)"])
    assert found.remedy == "allowed: basic, optuna; did you mean optuna?"


def test_a_key_of_another_launcher_has_one_remedy() -> None:
    (found,) = advice.remaining(["-m", "hydra.launcher.n_jobs=2", "seed=1,2"])
    assert found.remedy == "allowed: name; it belongs to hydra/launcher=joblib: choose it"


@pytest.mark.parametrize("part", ["hydra.launcher", "hydra.sweeper", "hydra/launcher"])
def test_the_launcher_and_the_sweeper_cannot_be_deleted(part: str) -> None:
    (found,) = advice.remaining(["-m", f"~{part}", "seed=1,2"])
    assert found.cause.startswith(f"~{part}: the {part[6:]} is an option")


def test_resolvers_of_the_launcher_are_refused_unresolved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "hidden")
    with pytest.raises(ConfigError) as caught:
        _ = Composition(
            parse_arguments(["-m", "hydra/launcher=joblib", "hydra.launcher.n_jobs=${oc.env:SECRET}", "seed=1,2"])
        ).hydra_settings
    assert "resolvers and _target_ are refused here" in str(caught.value)
    assert "hidden" not in str(caught.value)


def test_a_reference_to_a_missing_section_is_not_reported_again() -> None:
    assert [line.partition(" |")[0] for line in problems("~model")] == ["model: is missing"]
    found = problems("~model", "training.epochs=${model.width}", "seed=-1")
    assert [line.partition(" |")[0] for line in found] == ["seed=-1: not allowed", "model: is missing"]


def test_a_recipe_without_its_package_directive_is_reported(tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text("seed: 3\n")
    assert "# @package _global_" in problems("--config-dir", str(tmp_path), "experiment=mine")[0]


SEARCH_PATH = "searchpath: [pkg://evil_package]"


@pytest.mark.parametrize(
    "content",
    [
        f"hydra:\n  {SEARCH_PATH}\n",
        f"hydra: ${{foo}}\nfoo:\n  {SEARCH_PATH}\n",
        f"hydra: ${{foo.${{now:%Y}}}}\nfoo:\n  x:\n    {SEARCH_PATH}\n",
        "hydra:\n  searchpath: ${foo.${now:%Y}}\nfoo:\n  x: [pkg://evil_package]\n",
        f"foo: &anchor\n  {SEARCH_PATH}\nhydra: *anchor\n",
        f"hydra:\n  {SEARCH_PATH}\nfoo: {'[' * 110}{']' * 110}\n",
    ],
    ids=["plain", "interpolation", "resolver", "resolved value", "anchor", "deep"],
)
@pytest.mark.parametrize("place", ["directory", "absolute", "relative", "with suffix"])
def test_a_users_primary_configuration_may_not_import_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, place: str
) -> None:
    (tmp_path / "evil_package").mkdir()
    (tmp_path / "evil_package" / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "mine.yaml").write_text(f"defaults:\n  - config\n  - _self_\n{content}")
    shipped = Path(str(files("mnist_exp.conf"))).resolve()
    flags = {
        "directory": ["--config-dir", str(tmp_path), "--config-name", "mine"],
        "absolute": ["--config-name", str(tmp_path / "mine")],
        "relative": ["--config-name", f"{'../' * len(shipped.parts)}{tmp_path.relative_to('/')}/mine"],
        "with suffix": ["--config-dir", str(tmp_path), "--config-name", "mine.yaml"],
    }
    refusals = (
        "--config-name ",
        "hydra.searchpath: not allowed in YAML |",
        f"{tmp_path / 'mine.yaml'}: is nested more than 100 deep |",
    )
    assert problems(*flags[place])[0].startswith(refusals)
    assert "evil_package" not in sys.modules


def test_a_primary_configuration_that_is_a_list_is_reported(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("- config\n")
    assert "must be a DictConfig" in problems("--config-dir", str(tmp_path), "--config-name", "mine")[0]


def test_a_users_primary_configuration_may_leave_groups_to_the_command_line(tmp_path: Path) -> None:
    primary = Path(str(files("mnist_exp.conf"))).joinpath("config.yaml").read_text().replace("  - model: mlp\n", "")
    (tmp_path / "mine.yaml").write_text(primary)
    assert compose("--config-dir", str(tmp_path), "--config-name", "mine", "+model=cnn_simple").model.name == "cnn_simple"


def test_a_users_own_options_work(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "small.yaml").write_text("defaults: [mlp]\nunits: [10]\n")
    assert compose("--config-dir", str(tmp_path), "model=small").model.units == (10,)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--experimental-rerun", "x.pickle"],
        ["--experimental", "x"],
        ["--config-path", "x"],
        ["-cp", "x"],
        ["-cd", "nowhere"],
        ["--resolve"],
        ["-p", "hydra"],
    ],
)
def test_unsafe_or_unknown_flags_are_refused(arguments: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        compose(*arguments)
    assert caught.value.exit_code == 2


def test_nearest() -> None:
    assert nearest("learning_rat", ["learning_rate", "name"]) == "learning_rate"
    assert nearest("bs", ["epochs", "batch_size"]) == "batch_size"
    assert nearest("zzz", ["epochs"]) is None


def test_format_value() -> None:
    assert [format_value(value) for value in (None, True, 1e-3, float("nan"), [1, "a"], "", {"a": 1})] == [
        "null",
        "true",
        "0.001",
        "nan",
        "[1,a]",
        "''",
        "{a:1}",
    ]


def test_deep_nesting_is_a_configuration_error(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    layers = "[{name: activation}]"
    for _ in range(300):
        layers = f"[{{name: residual, layers: {layers}}}]"
    (tmp_path / "model" / "deep.yaml").write_text(f"name: cnn\nlayers: {layers}\n")
    assert problems("--config-dir", str(tmp_path), "model=deep")[0].startswith(
        f"{tmp_path}/model/deep.yaml: is nested more than 100 deep | "
    )


BOMB = "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12))
REFERENCES = "".join(f"a{n}: {f'${{.a{n - 1}}}' * 9}\n" for n in range(1, 12))


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (f"a0: &a0 [x]\n{BOMB}", "model/mine.yaml: its aliases repeat more than 100,000 values"),
        (f"a: [{'1,' * 20_000}]", "model/mine.yaml: contains more than 20,000 values"),
        ("#" * 2**20 + "\n", "model/mine.yaml: is larger than 1,048,576 bytes"),
        (f"a0: x\n{REFERENCES}", "the configuration has 100 references (${…}); allowed: at most 20"),
        (f"a: {'x ' * 60_000}", "the configuration has 120,"),
    ],
    ids=["aliases", "values", "size", "references", "text"],
)
def test_a_users_file_that_expands_to_too_much_is_refused_before_hydra_builds_it(
    tmp_path: Path, content: str, cause: str
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "mine.yaml").write_text(f"defaults: [/model/mlp]\n{content}")
    (tmp_path / "options").mkdir()
    (tmp_path / "options" / "model").symlink_to("../elsewhere")
    start = time.process_time()
    assert any(cause in line for line in problems("--config-dir", str(tmp_path / "options"), "model=mine"))
    assert time.process_time() - start < 5


def test_references_on_the_command_line_have_a_limit_too() -> None:
    many = "${runs_dir}" * 11
    assert problems(f"name={many}", f"progress={many}")[0].startswith("the configuration has 23 references")
    assert len(problems("progress=${name}", f"name={'x' * 5000}")[0]) < 500  # a long value is not repeated whole


@pytest.mark.parametrize("up", ["{up}", "/{up}", "/", "/model/{up}"])
def test_a_users_file_does_not_load_files_elsewhere(tmp_path: Path, up: str) -> None:
    (tmp_path / "other.yaml").write_text("units: [5]\n")
    (tmp_path / "options" / "model").mkdir(parents=True)
    place = f"{up.format(up='../' * 30)}{tmp_path}"
    (tmp_path / "options" / "model" / "mine.yaml").write_text(f"defaults: [mlp, {place}/other@_here_]\n")
    assert "Could not" in problems("--config-dir", str(tmp_path / "options"), "model=mine")[0]
