"""The memory of this process, as reported by Linux; None elsewhere."""

from pathlib import Path

CLEAR_REFS, STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")
RESET_PEAK = "5"  # see proc(5)


def resident_bytes() -> int | None:
    """Return the bytes in memory now."""
    return _read("VmRSS")


def peak_bytes() -> int | None:
    """Return the most bytes in memory since the last `reset_peak`, or since the start."""
    return _read("VmHWM")


def reset_peak() -> bool:
    """Reset the peak; return whether the system allows it."""
    try:
        CLEAR_REFS.write_text(RESET_PEAK)
    except OSError:
        return False
    return True


def _read(field: str) -> int | None:
    try:
        lines = STATUS.read_text().splitlines()
    except OSError:
        return None
    kilobytes = next((line.split()[1] for line in lines if line.startswith(f"{field}:")), None)
    return None if kilobytes is None else int(kilobytes) * 1024
