"""The settings of the trackers."""

from typing import Annotated, Literal

from pydantic import Field

from mnist_exp.config.settings import Label, Settings

Timeout = Annotated[int, Field(ge=1, le=3600)]


class NoTrackerConfig(Settings):
    """No tracker, only the run directory."""

    name: Literal["none"]


class TensorboardTrackerConfig(Settings):
    """TensorBoard's files, in the run directory."""

    name: Literal["tensorboard"]
    timeout: Timeout


class MlflowTrackerConfig(Settings):
    """An MLflow server. The pattern allows an address with a password: a check refuses it without printing it."""

    name: Literal["mlflow"]
    tracking_uri: Annotated[
        str,
        Field(
            pattern=r"^https?://(.+@)?([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?(/[A-Za-z0-9._~/-]*)?$",
            description="the address of a server, such as http://127.0.0.1:5000",
        ),
    ]
    experiment: Annotated[
        str,
        Field(pattern=r"^[^\x00-\x1f\x7f-\x9f$]{1,200}$", description="text on one line without $, 200 characters at most"),
    ]
    timeout: Timeout


class WandbTrackerConfig(Settings):
    """Weights & Biases."""

    name: Literal["wandb"]
    mode: Literal["offline", "online"]
    project: Label
    entity: Label | None
    timeout: Timeout


RealTracker = TensorboardTrackerConfig | MlflowTrackerConfig | WandbTrackerConfig
AnyTracker = NoTrackerConfig | RealTracker
TrackerConfig = Annotated[AnyTracker, Field(discriminator="name")]
