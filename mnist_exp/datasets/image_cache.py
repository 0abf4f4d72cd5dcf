"""A user's own data sets as arrays, in the user's cache directory: memory-mapped, verified, safe to delete."""

import contextlib
import errno
import hashlib
import json
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np

from mnist_exp.datasets.dataset import Dataset
from mnist_exp.datasets.sources import OwnSet
from mnist_exp.machine import files
from mnist_exp.machine.plain_data import LISTS, read_json
from mnist_exp.terminal import messages

VERSION = 1  # of the files, and of how images are read: a new one ignores older entries
ARRAYS = ("train_images", "train_labels", "test_images", "test_labels")
GROUPS = ("train_groups", "test_groups")  # only of images in groups
FACTS = "facts.json"


def state(paths: Iterable[str]) -> str:
    """Return a hash of the paths, sizes and times of files, and of the paths of directories.

    Raises:
        InputError: a file cannot be read.
    """
    digest = hashlib.sha256()
    for path in paths:
        try:
            found = os.stat(path)  # noqa: PTH116  (of thousands of files)
            about = (found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)
            if stat.S_ISDIR(found.st_mode):  # its files are listed, and what is not used may change
                about = (0, 0, 0, 0)
        except OSError as error:  # such as of a broken link, which the reader lists
            about = (error.errno or 0, 0, 0, 0)
        digest.update(repr((path, about)).encode(errors="surrogateescape"))
    return digest.hexdigest()


def content_sha256(dataset: Dataset) -> str:
    """Return the hash of what is trained and tested on: shape, class names, pixels, labels and groups, each in order.

    Where the data come from, and in which format, does not count.
    """
    images = dataset.train_images
    shape = [list(images.shape[1:]), len(images), len(dataset.test_images), list(dataset.class_names)]
    digest = hashlib.sha256(json.dumps(shape).encode())
    for part, labels in ((images, dataset.train_labels), (dataset.test_images, dataset.test_labels)):
        digest.update(np.ascontiguousarray(part).data)
        digest.update(labels.astype("<u2").tobytes())
    for groups in (dataset.train_groups, dataset.test_groups):
        digest.update(b"" if groups is None else groups.astype("<i4").tobytes())
    return digest.hexdigest()


def load(source: OwnSet, current: str) -> Dataset | None:
    """Return the data set of an entry; None if there is none, its files have changed, or it is damaged.

    Args:
        source: the settings.
        current: the state of the files.
    """
    entry = _entry(source)
    facts = read_json(entry / FACTS, LISTS)
    if facts.get("state") != current:
        return None
    try:
        names = (*ARRAYS, *GROUPS) if source.groups is not None else ARRAYS
        arrays = {name: np.asarray(np.load(entry / f"{name}.npy", "r", allow_pickle=False)) for name in names}
        dataset = Dataset(
            name=source.kind,
            sha256=facts["sha256"],
            file_sha256={},
            class_names=tuple(facts["class_names"]),
            mislabelled=None,
            warnings=tuple(facts["warnings"]),
            ink=False,
            handwriting=False,
            **arrays,
        )
        return dataset if content_sha256(dataset) == dataset.sha256 else None
    except (OSError, ValueError, KeyError, TypeError, IndexError, EOFError):
        return None


def store(source: OwnSet, current: str, dataset: Dataset) -> None:
    """Write an entry instead of that of the same settings; without a place for it, warn."""
    try:
        with _replacing(_entry(source)) as directory:
            for name in (*ARRAYS, *GROUPS) if source.groups is not None else ARRAYS:
                np.save(directory / f"{name}.npy", getattr(dataset, name), allow_pickle=False)
            facts = {"state": current, "sha256": dataset.sha256, "class_names": dataset.class_names}
            (directory / FACTS).write_text(json.dumps(facts | {"warnings": dataset.warnings}))
    except OSError as error:
        messages.warning(
            f"{files.user_cache()}: {error.strerror or error}: the images of {source.path} are not cached, "
            "so that each start reads them again"
        )


def _entry(source: OwnSet) -> Path:
    settings = json.dumps([VERSION, asdict(source) | {"path": os.path.realpath(source.path)}])
    return files.user_cache() / "datasets" / hashlib.sha256(settings.encode(errors="surrogateescape")).hexdigest()[:32]


@contextlib.contextmanager
def _replacing(entry: Path) -> Iterator[Path]:
    """Yield a new directory that replaces an entry; a process that has mapped the files of the old one keeps them."""
    entry.parent.mkdir(parents=True, exist_ok=True)
    for abandoned in entry.parent.glob(f"{files.UNFINISHED}*"):  # by a process that was killed
        with contextlib.suppress(OSError):
            if time.time() - abandoned.stat().st_mtime > files.ABANDONED_SECONDS:
                shutil.rmtree(abandoned)
    directory = Path(tempfile.mkdtemp(prefix=files.UNFINISHED, dir=entry.parent))
    try:
        yield directory
        shutil.rmtree(entry, ignore_errors=True)
        try:
            directory.rename(entry)
        except OSError as error:  # another process may have stored an entry meanwhile
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
    finally:
        shutil.rmtree(directory, ignore_errors=True)
