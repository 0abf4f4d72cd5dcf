"""summary.json, schema 3: the result of a completed run, with its settings: all that a comparison reads of it."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationInfo, field_validator, model_validator

Count = Annotated[int, Field(ge=0)]
Percent = Annotated[float, Field(ge=0, le=100)]


class Part(BaseModel):
    """The base of every section: all keys present, none unknown, no number NaN."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Score(Part):
    """Errors among n images, with the 95 % interval of the error in percent, and the mean loss in nats."""

    n: Annotated[int, Field(ge=1)]
    errors: Count
    error_percent: Percent
    ci95: Annotated[tuple[Percent, Percent], Field(strict=False)]
    loss: float


class DatasetSummary(Part):
    """The data, how many of its images went where, and by what hashes those can be told that results are about."""

    name: str
    sha256: str
    labels_sha256: str  # of the test labels as they were compared with predictions
    split_sha256: str  # of which training images were held out for validation
    train: Count
    validation: Count
    test: Count


class ModelSummary(Part):
    """The network."""

    name: str
    parameters: Count


class MemberSummary(Part):
    """A run whose probabilities an ensemble averages."""

    run: str  # its directory, from that of the ensemble
    name: str
    seed: Count | None
    config_hash: str


class Summary(Part):
    """One completed run; of an ensemble, parameters, epochs and seconds are those of all members together."""

    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True, serialize_by_alias=True)

    version: Annotated[Literal[3], Field(alias="schema")]
    name: str
    status: Literal["completed"]
    seed: Count | None  # an ensemble has none
    config_hash: str
    dataset: DatasetSummary
    model: ModelSummary
    test: Score
    validation: Score | None
    epochs: Annotated[int, Field(ge=1)]
    best_epoch: int | None
    train_seconds: float
    wall_seconds: float
    images_per_second: float
    settings: dict[str, JsonValue]  # the configuration by dotted key; of an ensemble, in what its members agree
    members: Annotated[list[MemberSummary], Field(min_length=2)] | None  # of an ensemble

    @model_validator(mode="before")
    @classmethod
    def _of_before_ensembles(cls, content: Any) -> Any:
        """Schema 2 is schema 3 without members."""
        if isinstance(content, dict) and content.get("schema") == 2 and "members" not in content:
            return content | {"schema": 3, "members": None}
        return content

    @field_validator("members")
    @classmethod
    def _either(cls, members: list[MemberSummary] | None, others: ValidationInfo) -> list[MemberSummary] | None:
        if (members is None) == (others.data.get("seed") is None):
            raise ValueError("a run has a seed, and an ensemble members")
        return members
