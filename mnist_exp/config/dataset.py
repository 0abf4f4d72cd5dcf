"""The settings of a data set: described ones, and a user's own."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from mnist_exp import datasets
from mnist_exp.config.settings import Label, Seed, Settings
from mnist_exp.datasets.description import Description, Sha256
from mnist_exp.datasets.facts import Facts
from mnist_exp.datasets.own import OwnSet
from mnist_exp.datasets.sources import DescribedSet

DEFAULT_SHARE = 12  # `validation: null` holds out a twelfth of all training images
DataPath = Annotated[str, Field(pattern=r"^[^\x00]{1,1000}$", description="a path of 1,000 characters at most")]


class DatasetSettings(Settings):
    """The settings that all data sets share; `resolved` replaces null in `validation` and `fingerprint`."""

    name: str
    limit: int | None  # its bounds, and those of `validation`, depend on the data; see `checks.check_numbers`
    validation: int | None
    validation_of: Literal["used", "all"]
    split_seed: Seed | None
    fingerprint: Sha256 | None


class DescribedDatasetConfig(DatasetSettings):
    """A data set whose YAML file describes it; more of them need no code."""

    kind: Literal["files"]
    name: Label
    root: DataPath | Annotated[tuple[DataPath, ...], Field(strict=False, min_length=1, max_length=64)] | None
    fetch: bool
    description: Description

    @property
    def source(self) -> DescribedSet:
        """The data set for `mnist_exp.datasets`."""
        roots = (self.root,) if isinstance(self.root, str) else self.root or ()
        return DescribedSet(self.name, self.description, roots, self.fetch)

    @model_validator(mode="before")
    @classmethod
    def _as_in_earlier_versions(cls, settings: Any) -> Any:
        """Describe the digits, which have no description in a configuration of an earlier version."""
        if isinstance(settings, dict) and settings.get("name") == datasets.DEFAULT and "description" not in settings:
            return settings | {"description": datasets.shipped()[datasets.DEFAULT].description.model_dump()}
        return settings


class OwnDatasetSettings(DatasetSettings):
    """The settings that all kinds of own data share."""

    path: DataPath


class FolderDatasetConfig(OwnDatasetSettings):
    """A folder for each class."""

    kind: Literal["folder"]
    name: Literal["folder"]

    @property
    def source(self) -> OwnSet:
        """The data set for `mnist_exp.datasets`."""
        return OwnSet(self.kind, self.path)


class IdxDatasetConfig(OwnDatasetSettings):
    """The four files of MNIST."""

    kind: Literal["idx"]
    name: Literal["idx"]

    @property
    def source(self) -> OwnSet:
        """The data set for `mnist_exp.datasets`."""
        return OwnSet(self.kind, self.path)


class NpzDatasetConfig(OwnDatasetSettings):
    """An NPZ file with x_train, y_train, x_test and y_test."""

    kind: Literal["npz"]
    name: Literal["npz"]

    @property
    def source(self) -> OwnSet:
        """The data set for `mnist_exp.datasets`."""
        return OwnSet(self.kind, self.path)


class CsvDatasetConfig(OwnDatasetSettings):
    """A CSV file with a label and pixels in each row."""

    kind: Literal["csv"]
    name: Literal["csv"]

    @property
    def source(self) -> OwnSet:
        """The data set for `mnist_exp.datasets`."""
        return OwnSet(self.kind, self.path)


AnyDataset = DescribedDatasetConfig | FolderDatasetConfig | IdxDatasetConfig | NpzDatasetConfig | CsvDatasetConfig
DatasetConfig = Annotated[AnyDataset, Field(discriminator="kind")]


def resolved(dataset: AnyDataset, known: Facts) -> AnyDataset:
    """Return settings without null in `validation` and `fingerprint`.

    The same validation images are written in the same way as by earlier versions, so that `config_hash` is the same.
    """
    changes: dict[str, Any] = {"fingerprint": dataset.fingerprint or known.fingerprint}
    if dataset.validation is None:
        changes |= {"validation": known.train_images // DEFAULT_SHARE, "validation_of": "all"}
    elif dataset.validation == 0 or dataset.limit is None:
        changes["validation_of"] = "all"
    return dataset.model_copy(update=changes)
