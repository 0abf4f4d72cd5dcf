"""The base class of all sections of a configuration, and the types that they share."""

import struct
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

SMALLEST = 1.2e-38  # of float32; smaller numbers lose digits, or a processor takes them as 0


def _is_large_enough(value: float) -> float:
    """Refuse a number that vanishes in float32, in which the training computes."""
    if value and abs(value) < SMALLEST:
        raise PydanticCustomError(
            "float32", "{reason}", {"reason": "too close to 0 for float32", "hint": f"at least {SMALLEST}"}
        )
    return value


def _is_below_1(value: float) -> float:
    """Refuse a number that float32 rounds to 1."""
    if struct.unpack("f", struct.pack("f", value))[0] >= 1:
        raise PydanticCustomError("float32", "{reason}", {"reason": "float32 rounds it to 1", "hint": "at most 0.9999999"})
    return value


FLOAT32 = AfterValidator(_is_large_enough)  # of every float; the maximum of its field is in the range of float32
Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]
Size = Annotated[int, Field(strict=True, ge=1, le=65_536)]
Sizes = Annotated[tuple[Size, ...], Field(strict=False, max_length=64)]  # accepts lists, as in YAML
Rate = Annotated[float, Field(ge=0, lt=1), FLOAT32, AfterValidator(_is_below_1)]
Fraction = Annotated[float, Field(ge=0, le=1), FLOAT32]
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
