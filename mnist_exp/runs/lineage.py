"""lineage.json: the run from which another run started, with its weights or with its whole state."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mnist_exp.errors import IntegrityError
from mnist_exp.machine import files
from mnist_exp.machine.plain_data import read_bytes
from mnist_exp.runs.run import Run

Count = Annotated[int, Field(ge=0, lt=2**53)]


class Part(BaseModel):
    """Base of every section: all keys present, none unknown, no number NaN."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Origin(Part):
    """The run from which another started."""

    run: str  # its directory, relative to that of the other
    name: str
    seed: Count | None
    config_hash: str

    @property
    def title(self) -> str:
        """Its label, its seed and its directory."""
        return f"{self.name}, seed {self.seed} ({self.run})"


class InitialWeights(Origin):
    """The run whose weights another started with."""

    sha256: str  # of the weights
    dataset: str
    network: str
    copied: list[str]  # layers
    initialized: dict[str, str]  # other layers of the network, and why they have random weights
    validation_seen: Count  # validation images of the run on which the weights were trained, as far as is known

    @property
    def text(self) -> str:
        """Which layers were copied, and which were not, in words."""
        others = "; ".join(f"{name} ({reason})" for name, reason in self.initialized.items())
        seen = f"; trained on {self.validation_seen:,} of the validation images" if self.validation_seen else ""
        return f"copied {', '.join(self.copied)}" + (f"; initialized {others}" if others else "") + seen


class Continued(Origin):
    """The completed run that another continues."""

    epochs: Count  # after which


class Lineage(Part):
    """Where the state of a run comes from, before its own training."""

    initial_weights: InitialWeights | None = None
    continued: Continued | None = None

    @property
    def rows(self) -> dict[str, str]:
        """Names and texts for a table of facts; they may contain untrusted text."""
        weights, continued = self.initial_weights, self.continued
        rows = {} if weights is None else {"started from": f"{weights.title}: {weights.text}"}
        return rows | ({} if continued is None else {"continues": f"{continued.title} after epoch {continued.epochs:,}"})


def write(run: Run, lineage: Lineage) -> None:
    """Write lineage.json."""
    files.write_json(run.lineage, lineage.model_dump(mode="json"))


def read(run: Run) -> Lineage | None:
    """Read lineage.json; None without one.

    Raises:
        IntegrityError: it is damaged.
    """
    try:
        return Lineage.model_validate_json(read_bytes(run.lineage))
    except FileNotFoundError:
        return None
    except (OSError, ValidationError):
        remedy = "it names the run from which this one started: restore the file, or train a new run"
        raise IntegrityError(f"{run.lineage}: is damaged", remedy) from None
