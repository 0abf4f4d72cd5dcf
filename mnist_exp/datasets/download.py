"""Download a file over HTTP: into a part file, which a later download continues; its name appears when it is verified."""

import contextlib
import http.client
import os
import shutil
import time
from collections.abc import Callable, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib import error as urllib_error
from urllib import request as urllib_request

from mnist_exp.datasets.description import OfferedFile
from mnist_exp.datasets.http import LATER, TryLater, UnusableAddress, WrongFile, opener, retry_after
from mnist_exp.datasets.places import PART
from mnist_exp.errors import EnvironmentFailure, IntegrityError
from mnist_exp.machine import files
from mnist_exp.machine.plain_data import read_json
from mnist_exp.terminal import messages

TIMEOUT = 30.0  # seconds without any data
SLOW_SECONDS, SLOW_BYTES = 60.0, 60_000  # fewer bytes in this time are as bad as none
ROUNDS = 5  # how often each address is tried
FIRST_WAIT = 2.0  # seconds after the first round; doubled after each further one
MAX_WAIT = 120.0  # seconds, of those for which a server asks
CHUNK = 65_536

Progress = Callable[[int], None]  # bytes so far


def download(
    offered: OfferedFile,
    addresses: Sequence[str],
    target: Path,
    limit: int,
    check: Callable[[Path], None],
    progress: Progress,
) -> None:
    """Download a file, from the first address that has it. Interrupted, it leaves a part file and can be called again.

    Args:
        offered: the file.
        addresses: of directories, tried in order, several times if the faults may pass.
        target: where it is stored; replaced only by a verified file.
        limit: the most bytes that it may have.
        check: raises ValueError if a file is not the right one.
        progress: called with the number of bytes so far.

    Raises:
        IntegrityError: an address has another file, and no other address has the right one.
        EnvironmentFailure: no address can be reached or has the file, or the disk is full.
    """
    part = target.with_name(f"{target.name}{PART}")
    faults: dict[str, Exception] = {}
    remaining = [f"{address}{offered.path}" for address in addresses]
    for number in range(ROUNDS):
        wait = FIRST_WAIT * 2**number
        for url in list(remaining):
            try:
                _download_verified(url, offered, part, limit, check, progress)
            except UnusableAddress as error:
                faults[url] = error
                remaining.remove(url)
            except TryLater as error:
                faults[url] = error
                wait = max(wait, min(error.seconds, MAX_WAIT))
            else:
                _finish(part, target)
                return
        if not remaining or number == ROUNDS - 1:
            break
        reasons = "; ".join(str(faults[url]) for url in remaining)
        messages.note(f"{offered.name}: {reasons}; trying again in {wait:.0f} s")
        time.sleep(wait)
    raise _failure(offered, faults)


def _failure(offered: OfferedFile, faults: dict[str, Exception]) -> Exception:
    reasons = "; ".join(f"{url}: {error}" for url, error in faults.items()) or "its description has no address"
    cause = f"{offered.name}: cannot be downloaded: {reasons}"
    if any(isinstance(error, WrongFile) for error in faults.values()):
        return IntegrityError(
            cause, "nothing was stored: the file was changed, on its server or on the way; try again later"
        )
    return EnvironmentFailure(cause, "check the network and try again: a download continues where it stopped")


def _finish(part: Path, target: Path) -> None:
    with files.writing(target):
        with part.open("rb") as file:
            files.sync(file.fileno())
        part.replace(target)
        files.sync_directory(target.parent)
    _state_path(part).unlink(missing_ok=True)


def _download_verified(
    url: str, offered: OfferedFile, part: Path, limit: int, check: Callable[[Path], None], progress: Progress
) -> None:
    """Complete a part file and verify it; if one that was continued is wrong, download all of it."""
    for _ in range(2):
        was_continued = part.exists()
        _continue(url, offered, part, limit, progress)
        try:
            check(part)
        except ValueError as error:
            _discard(part)
            if not was_continued:
                raise WrongFile(str(error)) from None
        else:
            return
    raise WrongFile("sends different files")


def _continue(url: str, offered: OfferedFile, part: Path, limit: int, progress: Progress) -> None:
    """Download what a part file lacks.

    Raises:
        UnusableAddress: the address does not have the file.
        TryLater: the transfer failed.
        EnvironmentFailure: the file cannot be written.
    """
    limit = offered.bytes or limit
    size = part.stat().st_size if part.exists() else 0
    if size > limit:
        _discard(part)
        size = 0
    if size == offered.bytes:
        return
    headers = {"User-Agent": "mnist-exp", "Accept-Encoding": "identity"}
    if size:
        headers["Range"] = f"bytes={size}-"
        known = read_json(_state_path(part))
        if known.get("url") == url and isinstance(known.get("validator"), str):
            headers["If-Range"] = known["validator"]  # a file that has changed is sent whole; otherwise the hash decides
    try:
        with opener().open(urllib_request.Request(url, headers=headers), timeout=TIMEOUT) as response:  # noqa: S310
            _receive(response, url, part, size, limit, progress)
    except urllib_error.HTTPError as error:
        error.close()
        if error.code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            _discard(part)
            raise TryLater("the server has a shorter file than the part file") from None
        reason = f"{error.code} {error.reason}"
        if error.code in LATER or error.code >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise TryLater(reason, retry_after(error.headers)) from None
        raise UnusableAddress(reason) from None
    except urllib_error.URLError as error:
        reason = error.reason.strerror or str(error.reason) if isinstance(error.reason, OSError) else str(error.reason)
        raise TryLater(_stalled() if isinstance(error.reason, TimeoutError) else reason) from None
    except TimeoutError:
        raise TryLater(_stalled()) from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise TryLater(str(getattr(error, "strerror", None) or error or type(error).__name__)) from None


def _receive(response: Any, url: str, part: Path, size: int, limit: int, progress: Progress) -> None:
    """Append the content of an answer to a part file, or replace it where the server sends all."""
    if response.status == HTTPStatus.PARTIAL_CONTENT:
        if not str(response.headers.get("Content-Range", "")).startswith(f"bytes {size}-"):
            _discard(part)
            raise TryLater("the server sent another part than the missing one")
    else:
        size = 0
    length = response.headers.get("Content-Length", "")
    total = size + int(length) if length.isdecimal() else None
    if total is not None and total > limit:
        raise WrongFile(f"offers {total:,} bytes, expected {limit:,} at most")
    with files.writing(part):
        if total is not None:
            _check_space(part.parent, total - size)
        validator = response.headers.get("ETag") or response.headers.get("Last-Modified")
        files.write_json(_state_path(part), {"url": url, "validator": None if str(validator)[:2] == "W/" else validator})
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o666)
    try:
        with files.writing(part):
            os.truncate(descriptor, size)
            os.lseek(descriptor, size, os.SEEK_SET)
        start, size_at_start = time.monotonic(), size
        while chunk := response.read1(CHUNK):
            if size + len(chunk) > limit:
                raise WrongFile(f"sends more than the expected {limit:,} bytes")
            with files.writing(part):
                _write_all(descriptor, chunk)
            size += len(chunk)
            progress(size)
            if time.monotonic() - start > SLOW_SECONDS:
                if size - size_at_start < SLOW_BYTES:
                    raise TryLater(f"only {size - size_at_start:,} bytes in {SLOW_SECONDS:g} s")
                start, size_at_start = time.monotonic(), size
    finally:
        os.close(descriptor)
    if total is not None and size < total:
        raise TryLater(f"the connection ended after {size:,} of {total:,} bytes")


def _write_all(descriptor: int, content: bytes) -> None:
    remaining = memoryview(content)
    while remaining:
        remaining = remaining[os.write(descriptor, remaining) :]


def _check_space(directory: Path, needed: int) -> None:
    free = shutil.disk_usage(directory).free
    if needed > free:
        cause = f"{directory}: {needed / 1e6:,.0f} MB are needed, {free / 1e6:,.0f} MB are free"
        raise EnvironmentFailure(cause, "free disk space, or choose another directory: MNIST_EXP_DATA=DIR")


def _discard(part: Path) -> None:
    for path in (part, _state_path(part)):
        with contextlib.suppress(FileNotFoundError):
            path.unlink()


def _state_path(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _stalled() -> str:
    return f"no data for {TIMEOUT:g} s"
