"""The formats of exports, and the interface of their modules."""

import difflib
import importlib
import importlib.util
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, cast

from mnist_exp.errors import EnvironmentFailure, InputError

if TYPE_CHECKING:
    import numpy as np

    from mnist_exp.export.network import ExportedNetwork

Quantization = Literal["dynamic", "int8"]
QUANTIZATIONS: tuple[Quantization, ...] = ("dynamic", "int8")
Predict = Callable[["np.ndarray"], "np.ndarray"]  # uint8 (n, height, width, channels) → float32 (n, classes), n ≥ 1


class FormatModule(Protocol):
    """What the module of a format has; it may import TensorFlow and the packages of its extra."""

    def write(self, network: "ExportedNetwork", path: Path, quantization: Quantization | None) -> None:
        """Write the artefact, a file or a directory, to a path that does not exist."""

    def load(self, path: Path) -> Predict:
        """Load the artefact in its own runtime."""


@dataclass(frozen=True)
class Format:
    """One format of exports."""

    name: str  # in `--format`, and of the module
    file: str  # name of the artefact
    runtime: str  # the distribution or the program that runs the artefact in the check
    packages: Sequence[str] = ()  # that must be installed, by the names under which they are imported
    extra: str | None = None  # of this program, which installs them
    quantizations: Sequence[Quantization] = ()
    program: bool = False  # whether the runtime is a program
    tolerance: float = (
        0.0  # difference of a probability, up to which an artefact without quantisation may change predictions
    )

    @property
    def runtime_version(self) -> str:
        """The version of the runtime."""
        if not self.program:
            return version(self.runtime)
        done = subprocess.run([self.runtime, "--version"], capture_output=True, text=True, check=True)  # noqa: S603
        return done.stdout.strip().removeprefix("v")

    @property
    def module(self) -> FormatModule:
        """The module of the format; importing it may take seconds."""
        return cast(FormatModule, importlib.import_module(f"mnist_exp.export.{self.name}"))

    def possible(self, quantization: Quantization | None) -> Quantization | None:
        """Return the quantisation of the artefact: None if the format does not have the wanted one."""
        return quantization if quantization in self.quantizations else None

    def file_name(self, quantization: Quantization | None) -> str:
        """Return the name of the artefact."""
        stem, dot, ending = self.file.partition(".")
        return self.file if quantization is None else f"{stem}_{quantization}{dot}{ending}"


FORMATS = {
    one.name: one
    for one in (
        Format("saved_model", "saved_model", "tensorflow"),
        Format("onnx", "model.onnx", "onnxruntime", ("onnx", "onnxruntime", "tf2onnx"), "onnx", quantizations=QUANTIZATIONS),
        Format("litert", "model.tflite", "ai-edge-litert", ("ai_edge_litert",), "litert", quantizations=QUANTIZATIONS),
        Format("html", "draw.html", "node", program=True, tolerance=0.01),  # its weights have 16 bits
    )
}


def select_formats(names: Sequence[str], quantization: Quantization | None) -> list[Format]:
    """Return the formats with these names, once each.

    Raises:
        InputError: a format is unknown, or none of them can be quantised in this way.
        EnvironmentFailure: a package is not installed.
    """
    for name in names:
        if name not in FORMATS:
            nearest = difflib.get_close_matches(name.lower(), FORMATS, n=1)
            suggestion = f"; did you mean {nearest[0]}?" if nearest else ""
            raise InputError(f"--format {name}: unknown format", f"allowed: {', '.join(FORMATS)}{suggestion}")
    formats = [FORMATS[name] for name in dict.fromkeys(names)]
    if quantization is not None and formats and not any(one.possible(quantization) for one in formats):
        able = " or ".join(one.name for one in FORMATS.values() if one.possible(quantization))
        listed = " and ".join(one.name for one in formats)
        cause = f"--quantize {quantization}: not possible for the format{'s' * (len(formats) > 1)} {listed}"
        raise InputError(cause, f"add one that can be quantised, {able}; or leave out --quantize")
    for one in formats:
        if missing := [package for package in one.packages if importlib.util.find_spec(package) is None]:
            cause = f"--format {one.name}: not installed: {', '.join(missing)}"
            raise EnvironmentFailure(cause, f"pip install 'mnist-exp[{one.extra}]'")
        if one.program and shutil.which(one.runtime) is None:
            cause = f"--format {one.name}: the program {one.runtime}, which checks the page, is not installed"
            raise EnvironmentFailure(cause, "install Node.js; or write the page without a check: mnist-exp draw RUN")
    return formats
