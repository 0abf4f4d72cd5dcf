"""The limits of this process's control groups (Linux, v1 and v2): CPU time and memory, as set by containers."""

import math
from collections.abc import Iterator
from pathlib import Path

PROCESS = Path("/proc/self/cgroup")  # a line "ID:CONTROLLERS:PATH" for each hierarchy; see cgroups(7)
MOUNT = Path("/sys/fs/cgroup")


def cpu_limit() -> int | None:
    """Return the number of cores whose time this process may use, rounded up; None without a limit."""
    cores = []
    for group in _groups("cpu"):
        numbers = _numbers(group / "cpu.max") or _numbers(group / "cpu.cfs_quota_us") + _numbers(group / "cpu.cfs_period_us")
        if len(numbers) == 2 and min(numbers) > 0:  # v1 writes a quota of -1 for no limit, v2 "max"
            cores.append(numbers[0] / numbers[1])
    return max(1, math.ceil(min(cores))) if cores else None


def free_memory() -> int | None:
    """Return the bytes until the memory limit, counting the file cache as free; None without a limit."""
    free = []
    for group in _groups("memory"):
        for limit_file, usage_file, cache in (
            ("memory.max", "memory.current", "inactive_file"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        ):
            limit, usage = _numbers(group / limit_file), _numbers(group / usage_file)
            if limit and usage:
                free.append(max(0, int(limit[0] - usage[0]) + _statistic(group / "memory.stat", cache)))
    return min(free) if free else None


def _groups(controller: str) -> Iterator[Path]:
    """Yield the directories of this process's group and of all groups around it, whose limits also apply."""
    try:
        lines = PROCESS.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        for mount in (MOUNT / controllers, MOUNT / controller) if controllers else (MOUNT, MOUNT / "unified"):
            group = mount / path.strip("/")
            yield from (group, *(parent for parent in group.parents if parent.is_relative_to(mount)))


def _numbers(file: Path) -> tuple[float, ...]:
    """Return the numbers in a file; empty if it does not exist or says "max"."""
    try:
        return tuple(float(word) for word in file.read_text().split())
    except (OSError, ValueError):
        return ()


def _statistic(file: Path, name: str) -> int:
    try:
        lines = file.read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(f"{name} ")), 0)
