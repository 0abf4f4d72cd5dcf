"""`mnist-exp [overrides]`: flags that print something, and what is checked before a training."""

import pytest

from mnist_exp.commands import train
from mnist_exp.config.command_line import parse_arguments
from mnist_exp.errors import InputError
from tests import advice


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
