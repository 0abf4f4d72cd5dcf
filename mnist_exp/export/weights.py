"""The weights of a network on a drawing page: 16 bits each for the kernels of layers, 32 for other numbers."""

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

LARGEST = 2**15 - 1  # of an integer with 16 bits
ALIGNMENT = 4  # bytes, which a Float32Array in the script needs


@dataclass(frozen=True)
class Weights:
    """Arrays of numbers, one after the other."""

    content: bytearray = field(default_factory=bytearray)

    def add(self, numbers: np.ndarray, kind: Literal["int16", "float32"] = "float32") -> dict[str, Any]:
        """Append numbers; return where they are."""
        self.content.extend(bytes(-len(self.content) % ALIGNMENT))
        entry = {"at": len(self.content), "length": numbers.size, "kind": kind}
        self.content.extend(np.ascontiguousarray(numbers, np.dtype(kind).newbyteorder("<")).tobytes())
        return entry

    def add_rows(self, rows: np.ndarray) -> dict[str, Any]:
        """Append the rows of a matrix as integers with 16 bits, times a step for each row; return where they are.

        The error is at most half a step, 1/65,534 of the largest number of the row. In float16 it would be four times as
        large for such a number.
        """
        largest = np.abs(rows).max(axis=1, keepdims=True)
        steps = np.where(largest > 0, largest / LARGEST, 1).astype(np.float32)
        return {"kernel": self.add(np.rint(rows / steps), "int16"), "steps": self.add(steps)}
