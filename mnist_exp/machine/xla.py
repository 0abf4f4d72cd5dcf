"""XLA on a GPU: its flags, and its compiled programs, kept in the user's cache. Does not import TensorFlow.

TensorFlow reads both from variables when it starts, and CUDA the order of the GPUs. It finds a program by the hash of its
source. The directory belongs to one combination of everything else that compilation depends on, so a cached program is the
one that would be compiled. It is safe to delete.
"""

import contextlib
import hashlib
import json
import os
import re
import shutil
import stat
from functools import cache
from importlib import metadata
from pathlib import Path

import mnist_exp
from mnist_exp.machine import devices, files

VARIABLE, FLAG = "TF_XLA_FLAGS", "--tf_xla_persistent_cache_directory="
COMPILERS = re.compile(r"tensorflow|keras|nvidia-")  # packages that compilation depends on
# Variables that compilation depends on. Those of visible devices only select a GPU.
VARIABLES = re.compile(r"TF_(?!CPP_)|XLA_|(CUDA|NVIDIA)_(?!VISIBLE_DEVICES)|CUBLAS|CUDNN|LD_LIBRARY_PATH")
FLAGS = (
    # All kernels of a step, and the loop over steps, are started as one: 5 to 10 % faster, same weights.
    "--xla_gpu_enable_command_buffer=FUSION,CUBLAS,CUBLASLT,CUSTOM_CALL,CUDNN,CONDITIONAL,WHILE",
    "--xla_gpu_graph_min_graph_size=2",
    # cuBLAS computes matrix products. With deterministic operations, XLA compiles a kernel for the first tiling.
    # It fails if the sizes do not fit, such as 200 units in bfloat16, and compiling takes up to 45 % longer.
    "--xla_gpu_enable_triton_gemm=false",
)
LIMIT = 512 * 2**20  # bytes of all programs
CHECKSUM = ".sha256"  # suffix of the file beside a program
UNFINISHED = ".tmp"  # suffix of a program that TensorFlow is writing, to be renamed


@cache
def enable() -> Path | None:
    """Have a TensorFlow that starts later use the flags and the cache; return its directory, or None without a cache.

    Programs that were not completely written, or changed afterwards, are removed. A directory that another user could have
    written to is not used: a compiled program is code. A program that cannot be stored or loaded ends the training: so there
    is no cache on a full or read-only disk, and none for GPUs of different models: TensorFlow would mix up their programs.
    """
    if not devices.gpu_count():
        return None
    os.environ.setdefault("CUDA_DEVICE_ORDER", devices.ORDER)
    flags = os.environ.get("XLA_FLAGS", "")
    if not _is_file(flags):
        missing = (flag for flag in FLAGS if flag.partition("=")[0] not in flags)
        os.environ["XLA_FLAGS"] = " ".join([flags, *missing]).strip()
    given = os.environ.get(VARIABLE, "")
    driver = devices.driver_description()
    if FLAG in given or _is_file(given) or not hasattr(os, "getuid") or sum(line.startswith("Model") for line in driver) > 1:
        return None
    parent = files.user_cache() / "xla"
    directory = parent / _key(driver)
    with contextlib.suppress(OSError):
        for path in (parent, directory):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not (_is_private(parent) and _is_private(directory) and _is_usable(directory)):
            return None
        _remove_damaged(directory)
        _remove_oldest(parent, directory)
        os.environ[VARIABLE] = f"{given} {FLAG}{directory}".strip()
        return directory
    return None


def complete(directory: Path) -> None:
    """Store the checksums of the programs that this process has compiled."""
    with contextlib.suppress(OSError):
        for program in _programs(directory):
            checksum = program.with_name(program.name + CHECKSUM)
            if not checksum.exists():
                files.write(checksum, files.file_sha256(program).encode())


def user_flags(text: str) -> str:
    """Return a value of TF_XLA_FLAGS or XLA_FLAGS without the flags of this module, which all trainings have."""
    return " ".join(flag for flag in text.split() if not flag.startswith(FLAG) and flag not in FLAGS)


def _is_file(value: str) -> bool:
    """Return whether a variable names a file with flags, to which no flag can be added, rather than flags."""
    return value.strip()[:1] not in ("", "-")


def _key(driver: list[str]) -> str:
    """Return a hash of everything that a compiled program depends on, besides its source."""
    packages = {(found.metadata["Name"], found.version) for found in metadata.distributions()}
    used = {
        "program": mnist_exp.__version__,
        "packages": sorted(package for package in packages if COMPILERS.match(package[0].lower())),
        "variables": {name: os.environ[name] for name in sorted(os.environ) if VARIABLES.match(name)},
        "driver": driver,
    }
    return hashlib.sha256(json.dumps(used).encode()).hexdigest()[:16]


def _is_private(directory: Path) -> bool:
    """Return whether only this user can have written to a directory, which is not a link."""
    found = directory.lstat()
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o022


def _is_usable(directory: Path) -> bool:
    """Return whether TensorFlow can write programs to a directory, and read its name, which ends at a space or a quote."""
    is_plain = re.search(r"[\s'\"]", str(directory)) is None
    return is_plain and os.access(directory, os.W_OK) and shutil.disk_usage(directory).free > LIMIT


def _programs(directory: Path) -> list[Path]:
    return [path for path in directory.iterdir() if path.suffix not in {CHECKSUM, UNFINISHED}]


def _remove_damaged(directory: Path) -> None:
    for program in _programs(directory):
        checksum = program.with_name(program.name + CHECKSUM)
        try:
            sound = checksum.read_text() == files.file_sha256(program)
        except (OSError, ValueError):
            sound = False
        if not sound:
            _remove(program)


def _remove_oldest(parent: Path, current: Path) -> None:
    """Remove the oldest programs, first those of other versions, until the rest is within the limit."""
    sizes = {path: path.lstat() for path in parent.glob("*/*")}
    total = sum(found.st_size for found in sizes.values())
    for program in sorted(sizes, key=lambda path: (path.parent == current, sizes[path].st_mtime)):
        if total <= LIMIT:
            return
        total -= sizes[program].st_size
        _remove(program)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    for file in (path, path.with_name(path.name + CHECKSUM)):
        file.unlink(missing_ok=True)
