"""What a run's numbers may depend on, beside its configuration: recorded in environment.json."""

import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import mnist_exp
from mnist_exp import runs

PACKAGES = ("tensorflow", "keras", "numpy", "hydra-core", "omegaconf", "pydantic", "rich", "matplotlib", "jinja2")
CPU_INFO = Path("/proc/cpuinfo")


def describe() -> dict[str, Any]:
    """The machine, the versions and the source, without TensorFlow."""
    return {
        "schema": 1,
        "started": runs.now(),
        "argv": sys.orig_argv,  # as typed; Hydra is given another sys.argv
        "versions": {"mnist_exp": mnist_exp.__version__, "python": platform.python_version()}
        | {name: metadata.version(name) for name in PACKAGES},
        "platform": platform.platform(),
        "cpu": {"model": _cpu_model(), "cores": os.cpu_count(), "usable_cores": _usable_cores()},
        "git": _git(Path(mnist_exp.__file__).parent),
    }


def _cpu_model() -> str:
    if CPU_INFO.exists():
        for line in CPU_INFO.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _usable_cores() -> int | None:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def _git(source: Path) -> dict[str, Any] | None:
    """The commit of the checkout that the program runs from, or None where it is installed."""
    if not (source.parent / ".git").exists():
        return None
    commit = _output(source, "rev-parse", "HEAD")
    changes = _output(source, "status", "--porcelain")
    return None if commit is None else {"commit": commit, "dirty": bool(changes)}


def _output(source: Path, *arguments: str) -> str | None:
    command = ["git", "-C", str(source), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
