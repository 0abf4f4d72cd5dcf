"""The directories in which the files of a described data set are looked for."""

import os
from pathlib import Path

PACKAGE = Path(__file__).parent
SYSTEM = Path("/usr/share/datasets")  # of Debian's packages


def data_directory() -> Path:
    """Return the user's directory of fetched data sets; it may not exist yet."""
    if chosen := os.environ.get("MNIST_EXP_DATA"):
        return Path(chosen)
    data = os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")  # noqa: PTH111  (Path's fails without a home)
    return Path(data) / "mnist-exp"


def included(name: str) -> Path | None:
    """Return the directory of a data set that is included in the package, None for the others."""
    directory = PACKAGE / name
    return directory if directory.is_dir() and name.isidentifier() else None


def directories(name: str, roots: tuple[str, ...]) -> list[Path]:
    """Return the directories in the order in which they are searched.

    Args:
        name: of the data set.
        roots: chosen by the user; others are searched only if this is empty.
    """
    if roots:
        return [Path(root) for root in roots]
    if (directory := included(name)) is not None:
        return [directory]
    return [data_directory() / name, SYSTEM / name.replace("_", "-")]
