"""How much memory this process has and had, where the system tells (Linux)."""

from pathlib import Path

CLEAR_REFS, STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")
FORGET_PEAK = "5"


def resident_bytes() -> int | None:
    """Bytes in memory now."""
    return _told("VmRSS")


def peak_bytes() -> int | None:
    """The most bytes in memory since the peak was last forgotten, or since the start."""
    return _told("VmHWM")


def reset_peak() -> bool:
    """Count the peak anew; whether that could be done."""
    try:
        CLEAR_REFS.write_text(FORGET_PEAK)
    except OSError:
        return False
    return True


def _told(name: str) -> int | None:
    try:
        lines = STATUS.read_text().splitlines()
    except OSError:
        return None
    kilobytes = next((line.split()[1] for line in lines if line.startswith(f"{name}:")), None)
    return None if kilobytes is None else int(kilobytes) * 1024
