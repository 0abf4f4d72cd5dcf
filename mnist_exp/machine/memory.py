"""The memory of this process and of its machine, as reported by Linux; None elsewhere."""

import re
from pathlib import Path

from mnist_exp.machine import cgroups

SELF = Path("/proc/self")  # see proc(5)
MACHINE = Path("/proc/meminfo")


def available_bytes() -> int | None:
    """Return the bytes that new processes can use: what the machine has available, within the limit of the control group."""
    kilobytes = re.search(r"MemAvailable: *(\d+)", MACHINE.read_text()) if MACHINE.exists() else None
    limits = [int(kilobytes[1]) * 1024 if kilobytes else None, cgroups.free_memory()]
    return min((limit for limit in limits if limit is not None), default=None)


def resident_bytes(peak: bool = False) -> int | None:
    """Return the bytes in memory now; with `peak`, the most since the last `reset_peak`, or since the start."""
    try:
        lines = (SELF / "status").read_text().splitlines()
    except OSError:
        return None
    field = "VmHWM:" if peak else "VmRSS:"
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(field)), None)


def reset_peak() -> bool:
    """Reset the peak; return whether the system allows it."""
    try:
        (SELF / "clear_refs").write_text("5")
    except OSError:
        return False
    return True
