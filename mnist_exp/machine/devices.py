"""The GPUs of this machine, counted without importing TensorFlow, so that a wrong `device=` is reported at once."""

import contextlib
import itertools
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

DEVICE_NODES = Path("/dev")
DRIVER = Path("/proc/driver/nvidia")
ORDER = "PCI_BUS_ID"  # that of nvidia-smi, as a value of CUDA_DEVICE_ORDER


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


def driver_description() -> list[str]:
    """Return the version of NVIDIA's driver and the models of the GPUs, each once, as far as it reports them."""
    lines = []
    for path in (DRIVER / "version", *sorted(DRIVER.glob("gpus/*/information"))):
        with contextlib.suppress(OSError):
            text = path.read_text(errors="replace")
            lines += [line.strip() for line in text.splitlines() if line.startswith(("NVRM", "Model"))]
    if not lines and (nvidia_smi := shutil.which("nvidia-smi")):  # WSL
        text = _output([nvidia_smi, "--query-gpu=driver_version,name", "--format=csv,noheader"])
        rows = [row.partition(", ") for row in text.splitlines() if ", " in row]
        lines = [f"NVRM version: {version}" for version, _, _ in rows] + [f"Model: {name}" for _, _, name in rows]
    return list(dict.fromkeys(lines))


def gpu_memory(index: int) -> tuple[int, int] | None:
    """Return the bytes of a GPU's memory, and those in use by all processes, as `nvidia-smi` reports them.

    None where it does not, and where a number means another GPU: the user has set another CUDA_DEVICE_ORDER.
    """
    visible = (os.environ.get("CUDA_VISIBLE_DEVICES") or "").split(",")
    name = visible[index].strip() if index < len(visible) and visible[index].strip() else str(index)
    is_known = os.environ.get("CUDA_DEVICE_ORDER", ORDER) == ORDER or not name.isdecimal()
    if not is_known or (nvidia_smi := shutil.which("nvidia-smi")) is None:
        return None
    text = _output([nvidia_smi, "--query-gpu=memory.total,memory.used", "--format=csv,noheader,nounits", "-i", name])
    found = re.fullmatch(r"(\d+), *(\d+)", text.strip())  # MiB
    return (int(found[1]) * 2**20, int(found[2]) * 2**20) if found else None


def device_names(gpus: int) -> list[str]:
    """Return the values of `device` for a machine with that many GPUs."""
    return ["cpu", *(f"gpu:{index}" for index in range(gpus))]


def _count_listed(nvidia_smi: str) -> int:
    return sum(1 for line in _output([nvidia_smi, "-L"]).splitlines() if line.startswith("GPU "))


def _output(command: list[str]) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=5, check=False).stdout  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return ""
