"""Node.js, which runs the script of a drawing page without a browser."""

import struct
import subprocess
import weakref
from pathlib import Path
from typing import IO, cast

import numpy as np

from mnist_exp.errors import UserError
from mnist_exp.export.drawing_page import FOLDER
from mnist_exp.export.formats import Predict

PROGRAM = "node"
MAX_MESSAGE = 300  # characters of an error message of the script
UINT32 = struct.Struct("<I")


def load(page: Path) -> Predict:
    """Start a process that runs the script of a page. It ends when the returned function is no longer used.

    Raises:
        UserError: the script fails; also from the returned function.
    """
    command = [PROGRAM, str(FOLDER / "run.js"), str(page)]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe)  # noqa: S603  (our script)
    (classes,) = UINT32.unpack(_read(process, UINT32.size))

    def predict(images: np.ndarray) -> np.ndarray:
        stdin = cast(IO[bytes], process.stdin)
        stdin.write(UINT32.pack(len(images)) + images.tobytes())
        stdin.flush()
        return np.frombuffer(_read(process, 4 * len(images) * classes), "<f4").reshape(len(images), classes)

    weakref.finalize(predict, _stop, process)
    return predict


def _read(process: subprocess.Popen[bytes], count: int) -> bytes:
    content = cast(IO[bytes], process.stdout).read(count)
    if len(content) == count:
        return content
    lines = process.communicate()[1].decode(errors="replace").splitlines()
    cause = next((line for line in lines if "Error" in line), "it exits without a message")
    raise UserError(f"the page's script fails in {PROGRAM}: {cause[:MAX_MESSAGE]}", "use Node.js 18 or newer")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.communicate()
