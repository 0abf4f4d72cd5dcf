"""The base class of all sections of a configuration, and the types that they share."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]
Size = Annotated[int, Field(strict=True, ge=1, le=65_536)]
Sizes = Annotated[tuple[Size, ...], Field(strict=False, max_length=64)]  # accepts lists, as in YAML
Rate = Annotated[float, Field(ge=0, lt=1)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Activation = Literal["relu", "elu", "gelu", "leaky_relu", "selu", "sigmoid", "silu", "tanh"]
Initializer = Literal["random_normal", "glorot_normal", "glorot_uniform", "he_normal", "he_uniform", "lecun_normal"]
Label = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,59}$",
        description="letters, digits, '.', '_' and '-', 60 at most, the first a letter or digit",
    ),
]


class Settings(BaseModel):
    """The base class of all sections: no conversion of types, no changes, no unknown keys, no NaN or infinity."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)
