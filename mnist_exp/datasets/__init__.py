"""Data sets: described ones, whose files are verified by hash, and a user's own."""

import difflib
from dataclasses import replace
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from mnist_exp.datasets.description import Description
from mnist_exp.datasets.facts import Facts
from mnist_exp.datasets.sources import DescribedSet, OwnSet
from mnist_exp.errors import InputError, UserError
from mnist_exp.machine.plain_data import load_yaml

if TYPE_CHECKING:
    from mnist_exp.datasets.dataset import Dataset  # NumPy

Source = DescribedSet | OwnSet  # what defines a data set, and where its files are
OPTIONS = files("mnist_exp.conf").joinpath("dataset")
DEFAULT = "mnist"  # included in the package


@cache
def facts(source: Source) -> Facts:
    """Return what is known of a data set before its images are loaded, once in a process.

    Raises:
        InputError: a user's own data cannot be used.
    """
    if isinstance(source, DescribedSet):
        return source.facts
    from mnist_exp.datasets import own  # NumPy

    return own.facts(load(source))


def load(source: Source | str) -> "Dataset":
    """Load and verify a data set, once in a process.

    Args:
        source: or the name of a described set in `conf/dataset/`.

    Raises:
        InputError: the name is unknown, files are not on this machine, or a user's own data cannot be used.
        IntegrityError: a file is damaged.
    """
    return _load(_described(source) if isinstance(source, str) else source)


def _described(name: str) -> DescribedSet:
    if (known := shipped().get(name)) is not None:
        return known
    close = difflib.get_close_matches(name, shipped(), n=1)
    suggestion = f"; did you mean {close[0]}?" if close else ""
    raise InputError(f"{name}: unknown data set", f"allowed: {', '.join(shipped())}{suggestion}")


def read(source: Source) -> "Dataset":
    """Load and verify a data set as `load` does, but do not keep it in memory for the next call."""
    from mnist_exp.datasets import described, own  # NumPy

    if isinstance(source, OwnSet):
        return own.load(source)
    source = _with_handwriting(source)
    try:
        return described.load(source)
    except UserError:
        if not source.fetch:
            raise
    from mnist_exp.datasets import store  # the network

    store.fetch(source, shipped().values())
    return described.load(source)


_load = cache(read)


def check_available(source: Source) -> None:
    """Check, without reading them, that the files of a described set are on this machine, or may be downloaded.

    Raises:
        InputError: files are not on this machine.
    """
    from mnist_exp.datasets import finding

    if isinstance(source, DescribedSet) and not source.fetch and (error := finding.missing(source)) is not None:
        raise error


def _with_handwriting(source: DescribedSet) -> DescribedSet:
    """Return a described set, marked as handwriting if a shipped one with the same files is: older runs do not say it."""
    described = source.description
    known = (one.description for one in shipped().values())
    if described.handwriting or not any(one.handwriting and one.fingerprint == described.fingerprint for one in known):
        return source
    return replace(source, description=described.model_copy(update={"handwriting": True}))


@cache
def shipped() -> dict[str, DescribedSet]:
    """Return all described sets in `conf/dataset/` by name, as their YAML files define them."""
    options = [load_yaml(file.read_bytes()) for file in OPTIONS.iterdir() if file.name.endswith(".yaml")]
    described_sets = [option for option in options if option["kind"] == "files"]
    names = [DEFAULT, *sorted(option["name"] for option in described_sets if option["name"] != DEFAULT)]
    descriptions = {option["name"]: Description.model_validate(option["description"]) for option in described_sets}
    return {name: DescribedSet(name, descriptions[name]) for name in names}
