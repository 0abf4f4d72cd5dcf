"""`mnist-exp [overrides]`: flags that print something, and what is checked before a training."""

import time
from pathlib import Path

import pytest

from mnist_exp import experiment
from mnist_exp.commands import train
from mnist_exp.config.command_line import parse_arguments
from mnist_exp.errors import EnvironmentFailure, InputError
from mnist_exp.run.run import Run
from tests import advice
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
def test_a_sweep_prints_no_configuration_but_names_the_first(arguments: list[str], one: str) -> None:
    with pytest.raises(InputError) as caught:
        train.main(arguments)
    assert caught.value.remedy == f"print the first: mnist-exp {one}"
    assert advice.compositions(parse_arguments(one.split())).first().experiment.model.name == "mlp"


@pytest.mark.parametrize("year", [1970, 1979, 2108])
def test_a_clock_that_a_model_file_cannot_record_is_reported(
    year: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(time, "localtime", lambda *_: time.struct_time((year, 1, 1, 0, 0, 0, 0, 1, 0)))
    with pytest.raises(EnvironmentFailure, match=f"shows the year {year}"):
        experiment.train(compose(), Run(tmp_path))
