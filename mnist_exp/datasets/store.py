"""The data sets in the user's data directory: fetch, verify, remove. One process at a time changes a directory."""

import contextlib
import functools
import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.progress import Progress as Bars

from mnist_exp.datasets import finding, idx, members, places
from mnist_exp.datasets.description import DataFile, Description, OfferedFile
from mnist_exp.datasets.download import download
from mnist_exp.datasets.sources import DescribedSet
from mnist_exp.errors import EnvironmentFailure, InputError, IntegrityError, UserError
from mnist_exp.machine import files, locks
from mnist_exp.terminal import messages

LOCK = ".lock"
LOCK_SECONDS = 3600.0  # to wait for another process that fetches the same data set


def fetch(source: DescribedSet, others: Iterable[DescribedSet] = ()) -> list[Path]:
    """Download the files of a data set that are not in the user's data directory, verified.

    Args:
        source: the data set.
        others: further ones; if they share its archive, their files are taken from it too, before it is removed.

    Returns:
        The new files.

    Raises:
        IntegrityError: a downloaded file is wrong.
        EnvironmentFailure: a file cannot be downloaded or stored.
    """
    directory = places.fetched(source.name, source.description)
    with files.writing(directory):
        directory.mkdir(parents=True, exist_ok=True)
    with _locked(directory):
        absent = [file for file in source.description.files if not _is_stored(source, file, directory)]
        if source.description.archive is None:
            for file in absent:
                _download(source.description, file, directory, functools.partial(_check, source.description, file))
            return [directory / file.path for file in absent]
        return _from_archive(source, others, directory) if absent else []


def remove(source: DescribedSet) -> list[Path]:
    """Remove the files of a data set, whole or in part, from the user's data directory; nothing else.

    Returns:
        The removed files.

    Raises:
        InputError: none was fetched.
        EnvironmentFailure: a file cannot be removed.
    """
    directory, described = places.fetched(source.name, source.description), source.description
    names = [file.path for file in described.files] + ([described.archive.path] if described.archive else [])
    paths = [directory / f"{name}{suffix}" for name in names for suffix in ("", places.PART, f"{places.PART}.json")]
    paths = [path for path in paths if path.is_file()]
    if not paths:
        raise InputError(f"{source.name}: was not fetched: {directory} has none of its files", "see mnist-exp data list")
    with _locked(directory), files.writing(directory):
        for path in paths:
            path.unlink(missing_ok=True)
            for parent in path.relative_to(directory).parents[:-1]:
                with contextlib.suppress(OSError):  # it is not empty
                    (directory / parent).rmdir()
        if {path.name for path in directory.iterdir()} <= {LOCK, members.RECORD}:
            for name in (members.RECORD, LOCK):
                (directory / name).unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                directory.rmdir()
    return paths


@contextlib.contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Lock a directory; wait for another process."""
    lock = directory / LOCK
    if locks.is_locked(lock):
        messages.note(f"{directory}: waiting for another process that fetches or removes a data set")
    cause = f"{directory}: another process has locked it"
    with locks.locked(lock, LOCK_SECONDS, lambda: EnvironmentFailure(cause, "wait until it has finished")):
        yield


def _is_stored(source: DescribedSet, file: DataFile, directory: Path) -> bool:
    try:
        found = finding.read(replace(source, roots=(str(directory),), fetch=False), file)
    except UserError:
        return False
    return found.path == directory / file.path


def _from_archive(source: DescribedSet, others: Iterable[DescribedSet], directory: Path) -> list[Path]:
    """Download an archive, store the files of all data sets that share it, and remove it."""
    archive = source.description.archive
    if archive is None:
        return []
    sharing = {source.name: source} | {
        other.name: other
        for other in others
        if other.description.archive == archive and places.fetched(other.name, other.description) == directory
    }
    path = directory / archive.path
    try:
        members.check(path, archive)
    except (OSError, ValueError):
        _download(source.description, archive, directory, lambda part: members.check(part, archive))
    stored: list[Path] = []
    hashes: dict[str, str] = {}
    for described in (one.description for one in sharing.values()):
        for file in described.files:
            try:
                content = members.read_member(path, file.path, finding.stored_limit(described, file))
                idx.decompress(content, finding.size_limit(described, file))
            except ValueError as error:
                raise IntegrityError(f"{path}: {error}", "correct the description of the data set") from None
            target = directory / file.path
            with files.writing(target):
                target.parent.mkdir(parents=True, exist_ok=True)
            files.write(target, content)
            stored.append(target)
            hashes[file.path] = hashlib.sha256(content).hexdigest()
    members.record(archive, hashes, directory)
    path.unlink()
    return stored


def _check(described: Description, file: DataFile, path: Path) -> None:
    """Check the size and both hashes of a file; ValueError if one is wrong."""
    members.check(path, file)
    finding.verified(described, file, path)


def _download(described: Description, offered: OfferedFile, directory: Path, check: Callable[[Path], None]) -> None:
    """Download a file, with a progress bar in a terminal, and with a line elsewhere."""
    limit = finding.stored_limit(described, offered) if isinstance(offered, DataFile) else offered.bytes or 0
    console = messages.console(stderr=True)
    target = directory / offered.path
    with files.writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
    if not console.is_terminal:
        size = f" ({offered.bytes / 1e6:,.1f} MB)" if offered.bytes else ""
        messages.note(f"downloading {offered.name}{size} to {directory}")
        download(offered, described.addresses, target, limit, check, lambda _: None)
        return
    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn()
    with Bars(*columns, console=console) as bars:
        task = bars.add_task(offered.name, total=offered.bytes)
        download(offered, described.addresses, target, limit, check, lambda size: bars.update(task, completed=size))
