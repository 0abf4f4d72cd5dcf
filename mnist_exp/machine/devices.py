"""The GPUs of this machine, counted without importing TensorFlow, so that a wrong `device=` is reported at once."""

import itertools
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

DEVICE_NODES = Path("/dev")


def gpu_count() -> int | None:
    """Return the number of GPUs that TensorFlow may see, or None where only TensorFlow can count them.

    Counts NVIDIA's device nodes on Linux, or the GPUs listed by `nvidia-smi` where there are no nodes (WSL), without those
    hidden by CUDA_VISIBLE_DEVICES. Other systems and AMD's driver have their own builds of TensorFlow: None.
    """
    if sys.platform != "linux" or (DEVICE_NODES / "kfd").exists():
        return None
    present = sum(1 for node in DEVICE_NODES.glob("nvidia*") if re.fullmatch(r"nvidia\d+", node.name))
    if present == 0 and (nvidia_smi := shutil.which("nvidia-smi")):
        present = _count_listed(nvidia_smi)
    if (visible := os.environ.get("CUDA_VISIBLE_DEVICES")) is None:
        return present
    # CUDA reads the list up to the first invalid entry (negative or empty).
    valid = itertools.takewhile(lambda entry: entry and not entry.startswith("-"), map(str.strip, visible.split(",")))
    return min(present, len(list(valid)))


def device_names(gpus: int) -> list[str]:
    """Return the values of `device` for a machine with that many GPUs."""
    return ["cpu", *(f"gpu:{index}" for index in range(gpus))]


def _count_listed(nvidia_smi: str) -> int:
    try:
        listing = subprocess.run([nvidia_smi, "-L"], capture_output=True, text=True, timeout=5, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return 0
    return sum(1 for line in listing.stdout.splitlines() if line.startswith("GPU "))
