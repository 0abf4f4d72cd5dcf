"""Variables of the trackers are defaults of their settings."""

import pytest

from mnist_exp.config.command_line import parse_arguments
from mnist_exp.config.composition import Composition
from mnist_exp.config.tracker_variables import used_variables
from mnist_exp.config.trackers import AnyTracker
from mnist_exp.errors import ConfigError


def compose_tracker(*overrides: str) -> AnyTracker:
    return Composition(parse_arguments(list(overrides))).single().tracker


@pytest.fixture(autouse=True)
def variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://server:5001")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "my digits: a, b")
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.setenv("WANDB_PROJECT", "digits")
    monkeypatch.delenv("WANDB_ENTITY", raising=False)


def test_variables_of_mlflow() -> None:
    tracker = compose_tracker("tracker=mlflow")
    assert tracker.model_dump() | {"timeout": 0} == {
        "name": "mlflow",
        "tracking_uri": "http://server:5001",
        "experiment": "my digits: a, b",
        "timeout": 0,
    }
    assert used_variables(tracker) == {
        "MLFLOW_TRACKING_URI": "http://server:5001",
        "MLFLOW_EXPERIMENT_NAME": "my digits: a, b",
    }


def test_variables_of_wandb() -> None:
    tracker = compose_tracker("tracker=wandb")
    values = tracker.model_dump()
    assert (values["mode"], values["project"], values["entity"]) == ("online", "digits", None)
    assert used_variables(tracker) == {"WANDB_MODE": "online", "WANDB_PROJECT": "digits"}


def test_a_setting_on_the_command_line_wins() -> None:
    tracker = compose_tracker("tracker=wandb", "tracker.mode=offline", "tracker.project=other")
    assert used_variables(tracker) == {}


def test_without_variables_the_defaults_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(name)
    values = compose_tracker("tracker=mlflow").model_dump()
    assert (values["tracking_uri"], values["experiment"]) == ("http://127.0.0.1:5000", "mnist-exp")


@pytest.mark.parametrize("value", ["", "sqlite:///x", "databricks"])
def test_a_wrong_value_names_its_variable(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", value)
    with pytest.raises(ConfigError, match=r"the environment variable MLFLOW_TRACKING_URI is set"):
        compose_tracker("tracker=mlflow")


def test_a_password_in_a_variable_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:hunter2@server")
    with pytest.raises(ConfigError, match="password") as error:
        compose_tracker("tracker=mlflow")
    assert "hunter2" not in str(error.value)
