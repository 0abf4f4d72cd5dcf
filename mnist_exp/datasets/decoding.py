"""Many image files → one array, in several threads: Pillow decodes outside the interpreter's lock."""

import os
import statistics
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np

from mnist_exp.datasets import pictures
from mnist_exp.datasets.classes import SHOWN
from mnist_exp.datasets.pictures import Picture, UnreadableError
from mnist_exp.datasets.resizing import allocate, take_in_place
from mnist_exp.datasets.sources import MAX_SIDE, OwnSet
from mnist_exp.errors import InputError, IntegrityError
from mnist_exp.machine.cores import usable_cores
from mnist_exp.terminal.messages import join_some, pluralize

MAX_THREADS = 8
BATCH = 64  # images that a thread reads at a time
LISTED = 20  # unreadable files in a message
SUGGESTED_SIDE = 64  # at most, for images of many sizes
Result = TypeVar("Result")


def read(source: OwnSet, files: Sequence[str]) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Read all images: their headers first, for the shape that all of them get, then their pixels.

    Returns:
        uint8 (n, height, width, channels); the indices of their files, ascending; warnings.

    Raises:
        InputError: the sizes differ, or the images cannot be used.
        IntegrityError: more of them cannot be read than the settings allow.
    """
    headers, unreadable = _each(lambda index: pictures.probe(files[index]), range(len(files)))
    _check_unreadable(source, files, unreadable)
    if not headers:
        raise InputError(f"{source.path}: contains no images", f"allowed: {pictures.names()}")
    if source.size is None:
        _check_sizes(source, files, headers)
    channels, warnings = _channels(source, files, headers)
    height, width = next(iter(headers.values())).size
    images = allocate(source, len(headers), (height, width, channels))
    size = source.size or (height, width)
    rows = {index: row for row, index in enumerate(headers)}

    def decode(index: int) -> None:
        images[rows[index]] = pictures.decode(files[index], channels, size, source.background, source.size is not None)

    decoded, damaged = _each(decode, list(headers))
    unreadable |= damaged
    _check_unreadable(source, files, unreadable)
    if unreadable:
        warnings.append(f"not used, since they cannot be read: {_describe(source, files, unreadable)}")
    return take_in_place(images, np.array([rows[index] for index in decoded])), np.array(list(decoded)), warnings


def _each(work: Callable[[int], Result], indices: Sequence[int]) -> tuple[dict[int, Result], dict[int, UnreadableError]]:
    """Return the result for each index, and the reason for each index without a result."""

    def batch(start: int) -> list[tuple[int, Result | UnreadableError]]:
        return [(index, _attempt(work, index)) for index in indices[start : start + BATCH]]

    with pictures.quiet(), ThreadPoolExecutor(min(usable_cores(), MAX_THREADS)) as threads:
        results = [result for results in threads.map(batch, range(0, len(indices), BATCH)) for result in results]
    done = {index: result for index, result in results if not isinstance(result, UnreadableError)}
    return done, {index: result for index, result in results if isinstance(result, UnreadableError)}


def _attempt(work: Callable[[int], Result], index: int) -> Result | UnreadableError:
    try:
        return work(index)
    except UnreadableError as error:
        return error


def _check_unreadable(source: OwnSet, files: Sequence[str], unreadable: Mapping[int, UnreadableError]) -> None:
    if len(unreadable) > source.max_unreadable:
        raise IntegrityError(
            f"{source.path}: {pluralize(len(unreadable), 'image')} cannot be read, more than the "
            f"{source.max_unreadable} of dataset.max_unreadable: {_describe(source, files, unreadable)}",
            "repair or remove these files, or allow more: dataset.max_unreadable=N",
        )


def _describe(source: OwnSet, files: Sequence[str], unreadable: Mapping[int, UnreadableError]) -> str:
    return join_some(
        [f"{os.path.relpath(files[index], source.path)} {unreadable[index]}" for index in sorted(unreadable)], LISTED
    )


def _check_sizes(source: OwnSet, files: Sequence[str], headers: Mapping[int, Picture]) -> None:
    counts = Counter(header.size for header in headers.values())
    if len(counts) > 1:
        example = {header.size: files[index] for index, header in reversed(list(headers.items()))}
        sizes = [
            f"{pluralize(count, 'image')} of {size[0]}×{size[1]} ({os.path.relpath(example[size], source.path)})"
            for size, count in counts.most_common()
        ]
        (size, count), *_ = counts.most_common(1)
        fits_most = 2 * count > len(headers) and max(size) <= MAX_SIDE
        median = statistics.median_low(side for header in headers.values() for side in header.size)
        suggestion = f"[{size[0]},{size[1]}]" if fits_most else min(median, SUGGESTED_SIDE)
        raise InputError(
            f"{source.path}: the images have {len(counts)} sizes: {join_some(sizes, SHOWN)}",
            f"give them one size (height, width): for example dataset.size={suggestion}",
        )


def _channels(source: OwnSet, files: Sequence[str], headers: Mapping[int, Picture]) -> tuple[int, list[str]]:
    """Return the number of channels of all images, and a warning if some are grey and some are not."""
    fewer, more = sorted(
        ([index for index, header in headers.items() if header.is_grey is is_grey] for is_grey in (True, False)), key=len
    )
    channels = source.channels or (1 if all(header.is_grey for header in headers.values()) else 3)
    if not fewer:
        return channels, []
    kinds = ("grey", "in colour") if headers[fewer[0]].is_grey else ("in colour", "grey")
    examples = join_some([os.path.relpath(files[index], source.path) for index in fewer], SHOWN)
    used = "grey (1 channel)" if channels == 1 else "RGB (3 channels)"
    return channels, [
        f"{pluralize(len(fewer), 'image')} {kinds[0]}, {len(more):,} {kinds[1]}; all are used as {used}, "
        f"see dataset.channels: {examples}"
    ]
