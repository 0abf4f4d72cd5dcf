"""summary.json, schema 4: the result and the settings of a completed run, as comparisons read them."""

import base64
import binascii
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import ConfigDict, Field, JsonValue, ValidationInfo, field_validator, model_validator

from mnist_exp.config.additions import may_lack_additions
from mnist_exp.config.identity import complete, config_hash, hash_of_settings, recorded_settings
from mnist_exp.config.schema import Experiment
from mnist_exp.datasets.dataset import Dataset, Split
from mnist_exp.machine.files import array_sha256
from mnist_exp.machine.plain_data import is_in_range
from mnist_exp.runs.evaluation import grouped_error, pack_wrong_images, score
from mnist_exp.runs.history import Epoch, best_epoch
from mnist_exp.runs.lineage import Count, Lineage, Part

Amount = Annotated[float, Field(ge=0, lt=1e15)]  # sums over many runs stay finite
Percent = Annotated[float, Field(ge=0, le=100)]


class Score(Part):
    """Errors among n images, the 95 % confidence interval of the error in percent, and the mean loss in nats."""

    n: Annotated[int, Field(ge=1)]
    errors: Count
    error_percent: Percent
    ci95: Annotated[tuple[Percent, Percent], Field(strict=False)]
    loss: Amount


class DatasetSummary(Part):
    """The data set, the number of images of each part, and hashes that identify them."""

    name: str
    sha256: str
    labels_sha256: str  # of the test labels
    split_sha256: str  # of the indices of the validation images
    train: Count
    validation: Count
    test: Count


class ImageGroups(Part):
    """The groups of the test images, such as their writers, and the interval of the test error with groups as units."""

    n: Annotated[int, Field(ge=2)]
    sha256: str  # of the group of each image
    design_effect: Amount
    ci95: Annotated[tuple[Percent, Percent], Field(strict=False)]


class ModelSummary(Part):
    """The network."""

    name: str
    parameters: Count


class MemberSummary(Part):
    """A member of an ensemble."""

    run: str  # its directory, relative to that of the ensemble
    name: str
    seed: Count | None
    config_hash: str


class Summary(Part):
    """One completed run. For an ensemble: parameters, epochs and seconds are sums over the members."""

    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True, serialize_by_alias=True)

    version: Annotated[Literal[4], Field(alias="schema")]
    name: str
    status: Literal["completed"]
    seed: Count | None  # None for an ensemble
    config_hash: str
    dataset: DatasetSummary
    model: ModelSummary
    test: Score
    wrong_images: str | None  # of the test images, a bit for each: see `wrong_bits`; None for runs of earlier versions
    image_groups: ImageGroups | None = None  # of the test images; None without groups
    validation: Score | None
    epochs: Annotated[Count, Field(ge=1)]
    best_epoch: Count | None
    train_seconds: Amount
    wall_seconds: Amount
    images_per_second: Amount
    compile_seconds: Amount | None = None  # not part of the training; None for runs of earlier versions
    settings: dict[str, JsonValue]  # the configuration by dotted key; for an ensemble, the settings that its members share
    members: Annotated[list[MemberSummary], Field(min_length=2)] | None  # for an ensemble
    lineage: Lineage | None = None  # None for a run that started with random weights

    @model_validator(mode="before")
    @classmethod
    def _upgrade(cls, content: Any) -> Any:
        """Add what earlier versions did not have: members (schema 2), wrong images (schema 3), and settings.

        Settings are not added to those that members share.
        """
        if not isinstance(content, dict):
            return content
        if content.get("schema") == 2 and "members" not in content:
            content = content | {"schema": 3, "members": None}
        if content.get("schema") == 3 and "wrong_images" not in content:
            content = content | {"schema": 4, "wrong_images": None}
        settings = content.get("settings")
        if content.get("members") is None and settings and isinstance(settings, dict) and may_lack_additions(settings):
            try:
                settings = complete(settings)
                return content | {"settings": settings, "config_hash": hash_of_settings(settings)}
            except (AttributeError, TypeError, RecursionError) as error:
                raise ValueError(f"settings: {error}") from None
        return content

    @property
    def wrong_bits(self) -> np.ndarray | None:
        """The test images that are classified wrongly, uint8 (⌈n / 8⌉,), a bit for each as `np.packbits` stores them."""
        return None if self.wrong_images is None else np.frombuffer(base64.b64decode(self.wrong_images), np.uint8)

    @property
    def origin(self) -> dict[str, str]:
        """What the weights of the run come from besides its own training: names and texts, which may be untrusted."""
        rows = {} if self.lineage is None else self.lineage.rows
        frozen = self.settings.get("freeze")
        return rows | ({"frozen layers": ", ".join(map(str, frozen))} if isinstance(frozen, list) and frozen else {})

    @property
    def has_seen_validation(self) -> bool:
        """Whether the run started from weights that had been trained on some of its validation images."""
        origin = None if self.lineage is None else self.lineage.initial_weights
        return origin is not None and origin.validation_seen > 0

    @field_validator("wrong_images")
    @classmethod
    def _check_wrong_images(cls, text: str | None, others: ValidationInfo) -> str | None:
        test = others.data.get("test")
        if text is None or test is None:  # the latter is a fault of its own
            return text
        size, unused = (test.n + 7) // 8, -test.n % 8
        if len(text) != 4 * ((size + 2) // 3):
            raise ValueError(f"is not a bit for each of {test.n:,} images")
        try:
            bits = binascii.a2b_base64(text, strict_mode=True)
        except ValueError:
            raise ValueError("is not base64") from None
        if len(bits) != size or bits[-1] & ((1 << unused) - 1):
            raise ValueError(f"is not a bit for each of {test.n:,} images")
        if (wrong := int.from_bytes(bits).bit_count()) != test.errors:
            raise ValueError(f"{wrong:,} images are wrong, but test.errors is {test.errors:,}")
        return text

    @field_validator("settings")
    @classmethod
    def _check_settings(cls, settings: dict[str, JsonValue]) -> dict[str, JsonValue]:
        numbers = [value for value in settings.values() if value is not None and not isinstance(value, (str, bool))]
        if not all(map(is_in_range, numbers)):
            raise ValueError("a number has more than 64 bits")
        return settings

    @field_validator("members")
    @classmethod
    def _check_members(cls, members: list[MemberSummary] | None, others: ValidationInfo) -> list[MemberSummary] | None:
        if (members is None) == (others.data.get("seed") is None):
            raise ValueError("a run has a seed, an ensemble has members")
        return members


def dataset_summary(data: Dataset, split: Split) -> DatasetSummary:
    """Return the section `dataset`."""
    return DatasetSummary(
        name=data.name,
        sha256=data.sha256,
        labels_sha256=array_sha256(data.test_labels),
        split_sha256=split.sha256,
        train=len(split.train),
        validation=len(split.validation),
        test=len(data.test_labels),
    )


def summarize_groups(data: Dataset, probabilities: np.ndarray) -> ImageGroups | None:
    """Return the section `image_groups`, from the probabilities of the test images, float32 (n, classes).

    None without groups; and for a single group, which says nothing about others.
    """
    if data.test_groups is None or np.ptp(data.test_groups) == 0:
        return None
    wrong = probabilities.argmax(axis=1) != data.test_labels
    return ImageGroups(**grouped_error(wrong, data.test_groups), sha256=array_sha256(data.test_groups))


def summarize_images(data: Dataset, split: Split, probabilities: np.ndarray) -> dict[str, Any]:
    """Return the sections about the images, from the probabilities of the test images, float32 (n, classes)."""
    return {
        "dataset": dataset_summary(data, split),
        "test": Score(**score(probabilities, data.test_labels)),
        "wrong_images": pack_wrong_images(probabilities, data.test_labels),
        "image_groups": summarize_groups(data, probabilities),
    }


def summarize(
    experiment: Experiment,
    data: Dataset,
    split: Split,
    parameters: int,
    probabilities: np.ndarray,
    validation_probabilities: np.ndarray | None,
    history: Sequence[Epoch],
    wall_seconds: float,
    lineage: Lineage | None,
) -> Summary:
    """Return the summary of a run that has been trained and evaluated.

    Args:
        experiment: the content of config.yaml.
        data: the data set.
        split: of its training images.
        parameters: number of weights of the model.
        probabilities: of the test images, float32 (n, classes).
        validation_probabilities: as `probabilities`; None without validation images.
        history: a row for each epoch.
        wall_seconds: spent on the run so far, by all processes that trained it.
        lineage: the run that it started from.
    """
    train_seconds = sum(row.seconds for row in history)
    compile_seconds = [row.compile_seconds for row in history if row.compile_seconds is not None]
    validation_labels = data.train_labels[split.validation]
    return Summary(
        version=4,
        name=experiment.name,
        status="completed",
        seed=experiment.seed,
        config_hash=config_hash(experiment),
        model=ModelSummary(name=experiment.model.name, parameters=parameters),
        **summarize_images(data, split, probabilities),
        validation=None if validation_probabilities is None else Score(**score(validation_probabilities, validation_labels)),
        epochs=len(history),
        best_epoch=best_epoch(history),
        train_seconds=train_seconds,
        wall_seconds=wall_seconds,
        images_per_second=len(split.train) * len(history) / train_seconds,
        compile_seconds=sum(compile_seconds) if compile_seconds else None,
        settings=recorded_settings(experiment.model_dump(mode="json")),
        members=None,
        lineage=lineage,
    )
