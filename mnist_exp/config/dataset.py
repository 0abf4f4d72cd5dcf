"""The settings of a data set: described ones, and a user's own."""

import os
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from mnist_exp import datasets
from mnist_exp.config.settings import FLOAT32, Label, Seed, Settings
from mnist_exp.datasets.description import Description, Sha256
from mnist_exp.datasets.facts import Facts
from mnist_exp.datasets.sources import MAX_SIDE, DescribedSet, OwnSet

DEFAULT_SHARE = 12  # `validation: null` holds out a twelfth of all training images, one for each class at least
Side = Annotated[int, Field(ge=1, le=MAX_SIDE)]
SIDES = WithJsonSchema(  # Pydantic's own schema of a pair says nothing of its items as such
    {
        "type": "array",
        "items": {"type": "integer", "minimum": 1, "maximum": MAX_SIDE},
        "minItems": 2,
        "maxItems": 2,
        "description": f"an integer from 1 to {MAX_SIDE} for both sides, [height,width]",
    }
)
DataPath = Annotated[str, Field(pattern=r"^[^\x00]{1,1000}$", description="a path of 1,000 characters at most")]


class DatasetSettings(Settings):
    """The settings that all data sets share; `resolved` replaces null in `validation` and `fingerprint`."""

    name: str
    limit: int | None  # its bounds, and those of `validation`, depend on the data; see `checks.check_numbers`
    validation: int | None
    validation_of: Literal["used", "all"]
    split: Literal["drawn", "last", "groups"]
    split_seed: Seed | None  # None for `last`
    fingerprint: Sha256 | None

    @model_validator(mode="before")
    @classmethod
    def _split_without_a_seed(cls, settings: Any) -> Any:
        """Write the last images as earlier versions did, without a seed, and understand how these wrote it."""
        if isinstance(settings, dict) and settings.get("split") == "last":
            return settings | {"split_seed": None}
        if isinstance(settings, dict) and settings.get("split") == "drawn" and settings.get("split_seed", 0) is None:
            return settings | {"split": "last"}
        return settings


def _as_list(root: Any) -> Any:
    """Accept one path as a list of one."""
    return (root,) if isinstance(root, str) else root


class DescribedDatasetConfig(DatasetSettings):
    """A data set whose YAML file describes it; more of them need no code."""

    kind: Literal["files"]
    name: Label
    root: Annotated[tuple[DataPath, ...], Field(strict=False, min_length=1, max_length=64), BeforeValidator(_as_list)] | None
    fetch: bool
    description: Description

    @property
    def source(self) -> DescribedSet:
        """The data set for `mnist_exp.datasets`."""
        return DescribedSet(self.name, self.description, tuple(map(_absolute, self.root or ())), self.fetch)

    @model_validator(mode="before")
    @classmethod
    def _as_in_earlier_versions(cls, settings: Any) -> Any:
        """Describe the digits, which have no description in a configuration of an earlier version."""
        if isinstance(settings, dict) and settings.get("name") == datasets.DEFAULT and "description" not in settings:
            return settings | {"description": datasets.shipped()[datasets.DEFAULT].description.model_dump()}
        return settings


def _absolute_if_csv(rule: str) -> str:
    return _absolute(rule) if rule.lower().endswith(".csv") else rule


def _both_sides(size: Any) -> Any:
    """Use one number for height and width."""
    return (size, size) if type(size) is int and 1 <= size <= MAX_SIDE else size


class OwnDatasetSettings(DatasetSettings):
    """The settings that all kinds of own data share."""

    kind: str
    path: DataPath
    size: Annotated[tuple[Side, Side], Field(strict=False), BeforeValidator(_both_sides), SIDES] | None
    background: Annotated[int, Field(ge=0, le=255)]
    class_names: DataPath | None
    test_share: Annotated[float, Field(ge=0.001, le=0.9), FLOAT32]
    test_seed: Seed

    @property
    def source(self) -> OwnSet:
        """The data set for `mnist_exp.datasets`."""
        return OwnSet(
            kind=self.kind,
            path=_absolute(self.path),
            size=self.size,
            background=self.background,
            class_names=None if self.class_names is None else _absolute(self.class_names),
            test_share=self.test_share,
            test_seed=self.test_seed,
            channels=getattr(self, "channels", None),
            max_unreadable=getattr(self, "max_unreadable", 0),
            groups=None if (rule := getattr(self, "groups", None)) is None else _absolute_if_csv(rule),
        )


class FolderDatasetConfig(OwnDatasetSettings):
    """A folder for each class."""

    kind: Literal["folder"]
    name: Literal["folder"]
    channels: Literal[1, 3] | None
    max_unreadable: Annotated[int, Field(ge=0, le=1_000_000)]
    groups: DataPath | None  # a pattern with GROUP, or a CSV file


class IdxDatasetConfig(OwnDatasetSettings):
    """The four files of MNIST."""

    kind: Literal["idx"]
    name: Literal["idx"]


class NpzDatasetConfig(OwnDatasetSettings):
    """An NPZ file with x_train, y_train, x_test and y_test."""

    kind: Literal["npz"]
    name: Literal["npz"]


class CsvDatasetConfig(OwnDatasetSettings):
    """A CSV file with a label and pixels in each row."""

    kind: Literal["csv"]
    name: Literal["csv"]


AnyDataset = DescribedDatasetConfig | FolderDatasetConfig | IdxDatasetConfig | NpzDatasetConfig | CsvDatasetConfig
DatasetConfig = Annotated[AnyDataset, Field(discriminator="kind")]


def resolved(dataset: AnyDataset, known: Facts) -> AnyDataset:
    """Return settings without null in `validation` and `fingerprint`.

    The same validation images are written in the same way as by earlier versions, so that `config_hash` is the same.
    """
    changes: dict[str, Any] = {"fingerprint": dataset.fingerprint or known.fingerprint}
    if dataset.validation is None:
        changes |= {"validation": max(known.train_images // DEFAULT_SHARE, known.classes), "validation_of": "all"}
    elif dataset.validation == 0 or dataset.limit is None:
        changes["validation_of"] = "all"
    if isinstance(dataset, DescribedDatasetConfig):
        changes |= {"root": dataset.source.roots or None}
    else:
        changes |= {"path": dataset.source.path, "class_names": dataset.source.class_names}
        changes |= {"groups": dataset.source.groups} if isinstance(dataset, FolderDatasetConfig) else {}
    return dataset.model_copy(update=changes)


def _absolute(path: str) -> str:
    """Return a path that means the same in every working directory; a shell expands no ~ after "="."""
    return os.path.abspath(os.path.expanduser(path))  # noqa: PTH100, PTH111  (Path's fails without a home)
