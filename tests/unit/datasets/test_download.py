"""Downloads from a real server on loopback: what breaks is continued, what is wrong is never stored."""

import errno
import gzip
import hashlib
import os
import re
import socket
import time
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path

import pytest

from mnist_exp.datasets import download as module
from mnist_exp.datasets import members
from mnist_exp.datasets.description import OfferedFile
from mnist_exp.datasets.download import download
from mnist_exp.errors import EnvironmentFailure, IntegrityError, UserError
from tests.faults.disks import small_disk
from tests.unit.datasets.tiny import Handler, Server, breaks_off, serving, sha256, stalls, status

CONTENT = bytes(range(256)) * 40
OFFERED = OfferedFile(path="data.bin", bytes=len(CONTENT), sha256=sha256(CONTENT))


pytestmark = pytest.mark.usefixtures("impatient")


@pytest.fixture
def server() -> Iterator[Server]:
    with serving({"data.bin": CONTENT}) as started:
        yield started


def fetch(target: Path, *addresses: str, offered: OfferedFile = OFFERED, limit: int = 20_000) -> None:
    download(offered, addresses, target, limit, lambda part: members.check(part, offered), lambda _: None)


def refused(error: type[UserError], target: Path, *addresses: str, offered: OfferedFile = OFFERED) -> str:
    """The cause of the error; nothing has got the name of the file."""
    with pytest.raises(error) as caught:
        fetch(target, *addresses, offered=offered)
    assert not target.exists()
    return caught.value.cause


def test_a_file_is_downloaded_and_nothing_else_stays(server: Server, tmp_path: Path) -> None:
    sizes: list[int] = []
    download(OFFERED, [server.address], tmp_path / "x", 0, lambda part: members.check(part, OFFERED), sizes.append)
    assert (tmp_path / "x").read_bytes() == CONTENT
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
    assert sizes[-1] == len(CONTENT)


def test_a_broken_download_continues_where_it_stopped(server: Server, tmp_path: Path) -> None:
    server.script["data.bin"] = [breaks_off(3000), breaks_off(2000)]
    fetch(tmp_path / "x", server.address)
    assert (tmp_path / "x").read_bytes() == CONTENT
    asked = [headers.get("Range") for _, headers in server.requests]
    assert asked == [None, "bytes=3000-", "bytes=5000-"]
    assert server.requests[1][1]["If-Range"] == '"1"'


def test_a_later_process_continues_the_download(server: Server, tmp_path: Path) -> None:
    server.script["data.bin"] = [breaks_off(3000), *[status(503)] * 20]
    assert "503" in refused(EnvironmentFailure, tmp_path / "x", server.address)
    assert (tmp_path / "x.part").read_bytes() == CONTENT[:3000]
    server.script.clear()
    fetch(tmp_path / "x", server.address)
    assert server.requests[-1][1]["Range"] == "bytes=3000-"
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_a_server_that_ignores_ranges_sends_all(server: Server, tmp_path: Path) -> None:
    server.script["data.bin"] = [breaks_off(3000), lambda handler: handler.send_file(ranges=False)]
    fetch(tmp_path / "x", server.address)
    assert (tmp_path / "x").read_bytes() == CONTENT


def test_a_file_that_has_changed_meanwhile_is_sent_whole(server: Server, tmp_path: Path) -> None:
    server.script["data.bin"] = [breaks_off(3000), lambda handler: handler.send_file(etag='"2"')]
    fetch(tmp_path / "x", server.address)
    assert server.requests[-1][1]["If-Range"] == '"1"'
    assert (tmp_path / "x").read_bytes() == CONTENT


@pytest.mark.parametrize("part", [b"y" * 3000, b"y" * len(CONTENT), b"y" * 15_000])
def test_a_wrong_part_file_is_downloaded_again(server: Server, tmp_path: Path, part: bytes) -> None:
    (tmp_path / "x.part").write_bytes(part)
    fetch(tmp_path / "x", server.address)
    assert (tmp_path / "x").read_bytes() == CONTENT


def test_another_part_than_the_missing_one_is_not_appended(server: Server, tmp_path: Path) -> None:
    server.script["data.bin"] = [
        breaks_off(3000),
        lambda handler: handler.send(206, CONTENT[:100], {"Content-Range": f"bytes 0-99/{len(CONTENT)}"}),
        status(416),
    ]
    fetch(tmp_path / "x", server.address)
    assert (tmp_path / "x").read_bytes() == CONTENT


@pytest.mark.parametrize("code", [404, 403, 410])
def test_the_next_address_is_tried(server: Server, tmp_path: Path, code: int) -> None:
    server.script["data.bin"] = [status(code)]
    fetch(tmp_path / "x", f"{server.address}first/", f"{server.address}second/")
    assert [path for path, _ in server.requests] == ["/first/data.bin", "/second/data.bin"]


def test_an_address_without_the_file_is_not_tried_again(server: Server, tmp_path: Path) -> None:
    server.files.clear()
    assert f"{server.address}data.bin: 404 Not Found" in refused(EnvironmentFailure, tmp_path / "x", server.address)
    assert len(server.requests) == 1


def test_errors_that_may_pass_are_retried(server: Server, tmp_path: Path) -> None:
    server.script["data.bin"] = [status(503), status(429, Retry_After="0"), status(500), status(408)]
    fetch(tmp_path / "x", server.address)
    assert len(server.requests) == 5


@pytest.mark.parametrize("wait", ["1", formatdate(time.time() + 100_000)], ids=["seconds", "date"])
def test_a_server_may_ask_to_wait(server: Server, tmp_path: Path, wait: str, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(module.time, "sleep", waits.append)
    server.script["data.bin"] = [status(429, Retry_After=wait)]
    monkeypatch.setattr(module, "MAX_WAIT", 30.0)
    fetch(tmp_path / "x", server.address)
    assert waits == [1.0 if wait == "1" else 30.0]


def test_a_stalled_connection_is_given_up(server: Server, tmp_path: Path) -> None:
    server.script["data.bin"] = [stalls(100)]
    fetch(tmp_path / "x", server.address)
    assert [headers.get("Range") for _, headers in server.requests] == [None, "bytes=100-"]


def test_a_server_that_never_answers(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ROUNDS", 1)
    monkeypatch.setattr(module, "TIMEOUT", 0.05)
    server.script["data.bin"] = [lambda handler: handler.server.closing.wait(20) and None]
    assert "no data for 0.05 s" in refused(EnvironmentFailure, tmp_path / "x", server.address)


def test_no_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ROUNDS", 2)
    assert "Connection refused" in refused(EnvironmentFailure, tmp_path / "x", "http://127.0.0.1:1/")
    assert "no address" in refused(EnvironmentFailure, tmp_path / "x")


@pytest.mark.parametrize(
    "fault", [OSError(errno.ENETUNREACH, os.strerror(errno.ENETUNREACH)), socket.gaierror(-2, "Name or service not known")]
)
def test_no_route_and_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: OSError) -> None:
    def connect(*_: object, **__: object) -> None:
        raise fault

    monkeypatch.setattr("socket.create_connection", connect)
    cause = refused(EnvironmentFailure, tmp_path / "x", "http://data.invalid/", "https://data.invalid/")
    assert cause.count(str(fault.strerror)) == 2


def test_a_wrong_file_is_refused_with_both_hashes(server: Server, tmp_path: Path) -> None:
    wrong = CONTENT[:-1] + b"x"
    server.files["data.bin"] = wrong
    cause = refused(IntegrityError, tmp_path / "x", server.address)
    assert sha256(CONTENT) in cause
    assert sha256(wrong) in cause
    assert list(tmp_path.iterdir()) == []
    assert len(server.requests) == 1


def test_a_wrong_md5_is_refused(server: Server, tmp_path: Path) -> None:
    offered = OfferedFile(path="data.bin", md5="0" * 32)
    found = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()
    assert f"MD5 is {found}, expected {'0' * 32}" in refused(IntegrityError, tmp_path / "x", server.address, offered=offered)


def test_the_right_file_of_another_address_is_used(server: Server, tmp_path: Path) -> None:
    server.script["data.bin"] = [lambda handler: handler.send(200, b"z" * len(CONTENT))]
    fetch(tmp_path / "x", f"{server.address}a/", f"{server.address}b/")
    assert (tmp_path / "x").read_bytes() == CONTENT


def test_a_larger_answer_than_declared_is_not_downloaded(server: Server, tmp_path: Path) -> None:
    server.files["data.bin"] = bytes(5_000_000)
    assert "offers 5,000,000 bytes" in refused(IntegrityError, tmp_path / "x", server.address)
    assert list(tmp_path.iterdir()) == []


def test_an_endless_answer_is_given_up(server: Server, tmp_path: Path) -> None:
    def endless(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for _ in range(1000):
            handler.wfile.write(b"10000\r\n" + bytes(0x10000) + b"\r\n")

    server.script["data.bin"] = [endless]
    offered = OfferedFile(path="data.bin", sha256="0" * 64)  # of unknown size
    assert "more than the expected 20,000 bytes" in refused(IntegrityError, tmp_path / "x", server.address, offered=offered)
    assert not (tmp_path / "x.part").exists() or (tmp_path / "x.part").stat().st_size <= 20_000


def test_a_smaller_file_is_refused(server: Server, tmp_path: Path) -> None:
    server.files["data.bin"] = gzip.compress(b"an error page")
    assert "bytes, expected 10,240" in refused(IntegrityError, tmp_path / "x", server.address)


@pytest.mark.parametrize("place", ["file:///etc/passwd", "ftp://127.0.0.1/x", "data:text/plain,x", "gopher://127.0.0.1/x"])
def test_redirects_to_other_schemes_are_refused(server: Server, tmp_path: Path, place: str) -> None:
    server.script["data.bin"] = [status(302, Location=place)]
    assert "not allowed" in refused(EnvironmentFailure, tmp_path / "x", server.address)


def test_a_redirect_over_http_is_followed_and_a_circle_is_not(server: Server, tmp_path: Path) -> None:
    server.script["data.bin"] = [status(302, Location=f"{server.address}other/data.bin")]
    fetch(tmp_path / "x", server.address)
    server.script["data.bin"] = [status(302, Location=f"{server.address}data.bin")] * 20
    assert "infinite loop" in refused(EnvironmentFailure, tmp_path / "y", server.address)


def test_a_proxy_of_the_environment_is_used(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", server.address)
    fetch(tmp_path / "x", "http://data.invalid/sets/")
    assert [path for path, _ in server.requests] == ["http://data.invalid/sets/data.bin"]


def test_a_full_disk(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(module.os, "write", write)
        with pytest.raises(EnvironmentFailure, match="No space left") as caught:
            fetch(tmp_path / "x", server.address)
    assert caught.value.remedy.startswith("free disk space")
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 100}))
    with pytest.raises(EnvironmentFailure, match="are needed, 0 MB are free"):
        fetch(tmp_path / "x", server.address)


def test_a_disk_that_fills_keeps_the_part_file(server: Server, tmp_path: Path) -> None:
    """A real small disk, and a file whose size the server does not say."""

    def chunked(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for _ in range(300):
            handler.wfile.write(b"10000\r\n" + bytes(0x10000) + b"\r\n")
        handler.wfile.write(b"0\r\n\r\n")

    server.script["data.bin"] = [chunked]
    offered = OfferedFile(path="data.bin", sha256="0" * 64)
    with small_disk(tmp_path / "disk") as disk:
        if disk is None:
            pytest.skip("this user may not mount a disk")
        with pytest.raises(EnvironmentFailure, match="No space left on device"):
            download(offered, [server.address], disk / "x", 100_000_000, lambda _: None, lambda _: None)
        assert [path.name for path in sorted(disk.iterdir())] == ["x.part", "x.part.json"]


def test_a_connection_that_hardly_moves_is_given_up(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def drips(handler: Handler) -> None:
        handler.send(200, CONTENT[:10], {"ETag": '"1"'}, len(CONTENT))
        for byte in CONTENT[10:30]:
            handler.server.closing.wait(0.02)
            handler.wfile.write(bytes([byte]))
            handler.wfile.flush()
        handler.server.closing.wait(20)

    monkeypatch.setattr(module, "SLOW_SECONDS", 0.1)
    monkeypatch.setattr(module, "ROUNDS", 1)
    server.script["data.bin"] = [drips]
    assert re.search(r"only \d+ bytes in 0.1 s", refused(EnvironmentFailure, tmp_path / "x", server.address))
    fetch(tmp_path / "x", server.address)
    assert (tmp_path / "x").read_bytes() == CONTENT
