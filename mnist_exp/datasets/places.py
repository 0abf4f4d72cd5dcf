"""The directories in which the files of a described data set are looked for, and which files they contain."""

import os
from collections.abc import Iterator
from pathlib import Path

from mnist_exp.datasets.description import Description

PACKAGE = Path(__file__).parent
SYSTEM = Path("/usr/share/datasets")  # of Debian's packages
PART = ".part"  # the end of the name of a file that is not downloaded completely
MAX_FILES, MAX_DEPTH = 1000, 3  # of a directory that is searched for files under other names


def data_directory() -> Path:
    """Return the user's directory of fetched data sets, an absolute path; it may not exist yet."""
    chosen = os.environ.get("MNIST_EXP_DATA")
    path = chosen or os.path.join(os.environ.get("XDG_DATA_HOME") or "~/.local/share", "mnist-exp")  # noqa: PTH118
    return Path(os.path.abspath(os.path.expanduser(path)))  # noqa: PTH100, PTH111  (Path's fails without a home)


def fetched(name: str, description: Description) -> Path:
    """Return the directory of a data set in the user's data directory."""
    return data_directory() / (description.directory or name)


def included(name: str) -> Path | None:
    """Return the directory of a data set that is included in the package, None for the others."""
    directory = PACKAGE / name
    return directory if name.isidentifier() and directory.is_dir() else None


def directories(name: str, description: Description, roots: tuple[str, ...]) -> list[Path]:
    """Return the directories in the order in which they are searched.

    Args:
        name: of the data set.
        description: of it.
        roots: chosen by the user; if there are any, others are not searched.
    """
    if roots:
        return [Path(root) for root in roots]
    if (directory := included(name)) is not None:
        return [directory]
    return [fetched(name, description), SYSTEM / (description.directory or name).replace("_", "-")]


def regular_files(directory: Path) -> Iterator[Path]:
    """Yield the files in a directory and in the directories in it, up to a limit; links to directories are not followed."""
    remaining, count = [(directory, 1)], 0
    while remaining:
        current, depth = remaining.pop(0)
        try:
            entries = sorted(os.scandir(current), key=lambda entry: entry.name)
        except OSError:
            continue
        for entry in entries:
            count += 1
            if count > MAX_FILES:
                return
            if entry.is_dir(follow_symlinks=False):
                remaining += [(Path(entry.path), depth + 1)] if depth < MAX_DEPTH else []
            elif entry.is_file() and not entry.name.endswith(PART):
                yield Path(entry.path)
