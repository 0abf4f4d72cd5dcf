"""environment.json: what a run's numbers may depend on besides its configuration."""

import json
import os
import platform
import subprocess
import sys
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import mnist_exp
from mnist_exp.machine import files, xla
from mnist_exp.machine.cores import usable_cores
from mnist_exp.machine.plain_data import read_json
from mnist_exp.runs.run import Run
from mnist_exp.runs.status import now
from mnist_exp.runs.variables import NUMERICAL, storable

TRAINING_PACKAGES = ("tensorflow", "keras", "numpy", "hydra-core", "omegaconf", "pydantic")
OUTPUT_PACKAGES = ("rich", "vl-convert-python", "pillow", "jinja2")  # of tables, charts, images, pages
# The keys that must not change for a resumed run to have bit-identical weights.
REPRODUCIBILITY_KEYS = ("versions", "platform", "cpu", "variables", "device", "gpus", "cuda", "cudnn", "threads")
INSTRUCTIONS = ("avx", "amx", "fma", "asimd", "sve", "bf16")  # of the processor: kernels are chosen by them


def record(run: Run, device: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Add this process to the run's environment.json: the first at the top level, later ones under `resumed`.

    What is missing there, because the file was damaged or removed, is taken from this process.

    Returns:
        The content of environment.json, and the keys that determine the weights and have changed since the run started.
    """
    current = json.loads(json.dumps(describe() | device))  # as it is read when the run is resumed: a tuple is a list
    earlier = read_json(run.environment)
    if isinstance(earlier.get("variables"), dict):  # earlier versions stored others too
        earlier["variables"] = {name: text for name, text in earlier["variables"].items() if name in NUMERICAL}
    plausible = {key: value for key, value in earlier.items() if _is_plausible(value, current.get(key))}
    sessions = earlier.get("resumed") if isinstance(earlier.get("resumed"), list) else []
    resumed = [session for session in sessions or [] if isinstance(session, dict) and "started" in session]
    content = current | plausible | {"resumed": [*resumed, current] if earlier else []}
    files.write_json(run.environment, content)
    return content, [key for key in REPRODUCIBILITY_KEYS if earlier and earlier.get(key) != current[key]]


def _is_plausible(value: Any, expected: Any) -> bool:
    """Return whether a stored value has the type that this version would write, as far as that is known."""
    return expected is None or value is None or type(value) is type(expected)


def describe() -> dict[str, Any]:
    """Return the machine, the versions and the source, without TensorFlow."""
    return {
        "schema": 1,
        "started": now(),
        "argv": [storable(argument) for argument in sys.orig_argv],  # as typed: Hydra gets another sys.argv
        "versions": _versions(),
        "platform": platform.platform(),
        "cpu": {
            "model": _cpu("model name") or platform.processor() or platform.machine(),
            "instructions": [name for name in _cpu("flags").split() if name.startswith(INSTRUCTIONS)],
        },
        "cores": {"present": os.cpu_count(), "usable": usable_cores()},
        "variables": _variables(),
        "git": _git(Path(mnist_exp.__file__).parent),
    }


def _variables() -> dict[str, str]:
    """Return the variables that may change numbers, without the flags that this program adds."""
    given = {name: os.environ[name] for name in sorted(NUMERICAL & os.environ.keys())}
    for name in {xla.VARIABLE, "XLA_FLAGS"} & given.keys():
        if (flags := xla.user_flags(given[name])) or not given[name]:
            given[name] = flags
        else:
            del given[name]
    return {name: storable(text) for name, text in given.items()}


@cache
def _versions() -> dict[str, str]:
    own = {"mnist_exp": mnist_exp.__version__, "python": platform.python_version()}
    return own | {name: metadata.version(name) for name in TRAINING_PACKAGES + OUTPUT_PACKAGES}


def _cpu(field: str) -> str:
    """Return a field of the first processor, as reported by Linux."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(field)), "")


@cache  # later commits do not change the running program
def _git(source: Path) -> dict[str, Any] | None:
    """Return the commit of the checkout that the program runs from, or why it is unknown; None if it is installed."""
    if not (source.parent / ".git").exists():
        return None
    try:
        commit, changes = _output(source, "rev-parse", "HEAD"), _output(source, "status", "--porcelain")
    except subprocess.CalledProcessError as error:
        return {"commit": None, "dirty": None, "cause": error.stderr.decode(errors="replace").strip().partition("\n")[0]}
    except (OSError, subprocess.SubprocessError) as error:
        return {"commit": None, "dirty": None, "cause": str(error)}
    return {"commit": commit, "dirty": bool(changes)}


def _output(source: Path, *arguments: str) -> str:
    """Run Git in the checkout, whatever GIT_DIR names, and whoever owns it: its code already runs."""
    command = ["git", "-C", str(source), "-c", f"safe.directory={source.parent}", *arguments]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")} | {"LC_ALL": "C"}
    result = subprocess.run(command, capture_output=True, timeout=10, check=True, env=environment)  # noqa: S603
    return result.stdout.decode(errors="replace").strip()
