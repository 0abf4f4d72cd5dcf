"""`mnist-exp [overrides]`: flags that print something, and what is checked before a training."""

import sys
import time
from pathlib import Path

import pytest

from mnist_exp import experiment
from mnist_exp.commands import train
from mnist_exp.errors import EnvironmentFailure, InputError
from mnist_exp.run.run import Run
from tests.conftest import compose


@pytest.mark.parametrize(
    ("arguments", "one"),
    [
        (["-m", "seed=1,2", "--cfg", "job"], "seed=1 --cfg job"),
        (["--multirun", "seed=range(3,5)", "--info"], "seed=3 --info"),
        (["-m", "hydra/sweeper=optuna", "model.dropout=interval(0,0.5)", "--cfg=job"],
         "hydra/sweeper=optuna model.dropout=0.0 --cfg=job"),
    ],
)  # fmt: skip
def test_a_sweep_prints_no_configuration_but_names_the_first(
    arguments: list[str], one: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(InputError) as caught:
        train.main(arguments)
    assert caught.value.remedy == f"print the first: mnist-exp {one}"
    assert train.main(one.split()) == 0
    assert "dropout" in capsys.readouterr().out


@pytest.mark.parametrize("year", [1970, 1979, 2108])
def test_a_clock_that_a_model_file_cannot_record_is_reported(
    year: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(time, "localtime", lambda *_: time.struct_time((year, 1, 1, 0, 0, 0, 0, 1, 0)))
    with pytest.raises(EnvironmentFailure, match=f"shows the year {year}"):
        experiment.train(compose(), Run(tmp_path))


SEARCH_PATH = "hydra.searchpath=[pkg://evil_package]"


@pytest.mark.parametrize("line", ["mnist-exp optim", f"mnist-exp {SEARCH_PATH} optim", f"mnist-exp -cn mine {SEARCH_PATH} "])
def test_shell_completion_imports_no_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], line: str
) -> None:
    (tmp_path / "evil_package").mkdir()
    (tmp_path / "evil_package" / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "mine.yaml").write_text("defaults: [config, _self_]\nhydra:\n  searchpath: [pkg://evil_package]\n")
    monkeypatch.setenv("COMP_LINE", line)
    assert train.main(["-sc", "query=bash", "--config-dir", str(tmp_path), "--config-name", "mine"]) == 0
    assert capsys.readouterr().out.split() == ([] if "searchpath" in line else ["optimizer.", "optimizer="])
    assert "evil_package" not in sys.modules


def test_shell_completion_knows_the_options_of_a_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine.yaml").write_text("defaults: [mlp]\n")
    monkeypatch.setenv("COMP_LINE", "mnist-exp model=mi")
    assert train.main(["-sc", "query=bash", "--config-dir", str(tmp_path)]) == 0
    assert capsys.readouterr().out.split() == ["model=mine"]
