"""The memory of this process, as reported by Linux; None elsewhere."""

from pathlib import Path

SELF = Path("/proc/self")  # see proc(5)


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
