"""The GPUs of this machine, counted without importing TensorFlow, so that a wrong `device=` is told at once."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

DEVICE_NODES = Path("/dev")


def gpu_count() -> int | None:
    """How many GPUs TensorFlow may see, or None where only TensorFlow itself can tell.

    Counts NVIDIA's device nodes on Linux, or what `nvidia-smi` lists where there are no nodes (WSL), less what
    CUDA_VISIBLE_DEVICES hides. Other systems, and AMD's driver, bring their own builds of TensorFlow: None.
    """
    if sys.platform != "linux" or (DEVICE_NODES / "kfd").exists():
        return None
    present = sum(1 for node in DEVICE_NODES.glob("nvidia*") if re.fullmatch(r"nvidia\d+", node.name))
    if present == 0 and (nvidia_smi := shutil.which("nvidia-smi")):
        present = _listed_by(nvidia_smi)
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return present if visible is None else min(present, _named_in(visible))


def device_names(gpus: int) -> list[str]:
    """What `device=` may name on a machine with that many GPUs."""
    return ["cpu", *(f"gpu:{index}" for index in range(gpus))]


def _listed_by(nvidia_smi: str) -> int:
    try:
        listing = subprocess.run([nvidia_smi, "-L"], capture_output=True, text=True, timeout=5, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return 0
    return sum(1 for line in listing.stdout.splitlines() if line.startswith("GPU "))


def _named_in(visible: str) -> int:
    """CUDA reads the list up to the first entry that is no device (-1, or nothing)."""
    named = 0
    for entry in visible.split(","):
        if not entry.strip() or entry.strip().startswith("-"):
            break
        named += 1
    return named
