"""Standard output and error never fail; what was lost becomes an exit code or a warning."""

import math
import os
import pty
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mnist_exp.terminal import streams
from mnist_exp.terminal.streams import Stream
from tests.unit.run_directories import make_run


@pytest.fixture(autouse=True)
def _no_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Stream, "deadline", math.inf)  # tests of signals have set it


def test_every_byte_reaches_a_slow_reader() -> None:
    read, write = os.pipe()
    found: list[bytes] = []

    def reader() -> None:
        while content := os.read(read, 5000):
            found.append(content)

    thread = threading.Thread(target=reader)
    thread.start()
    content = os.urandom(300_000)  # more than a pipe takes
    stream = Stream(write)
    assert stream.write(content) == len(content)
    os.close(write)
    thread.join()
    os.close(read)
    assert b"".join(found) == content
    assert stream.error is None


def closed_pipe() -> int:
    read, write = os.pipe()
    os.close(read)
    return write


def closed_terminal() -> int:
    master, terminal = pty.openpty()
    os.close(master)
    return terminal


@pytest.mark.parametrize("opened", [closed_pipe, closed_terminal, lambda: os.open("/dev/full", os.O_WRONLY)])
def test_a_stream_that_fails_drops_the_rest(opened: Callable[[], int]) -> None:
    descriptor = opened()
    stream = Stream(descriptor)
    assert [stream.write(b"first"), stream.write(b"second")] == [5, 6]
    assert stream.error is not None
    assert not stream.isatty()
    os.close(descriptor)


def test_a_non_blocking_pipe_loses_nothing() -> None:
    read, write = os.pipe()
    os.set_blocking(write, False)
    thread = threading.Thread(target=Stream(write).write, args=(b"x" * 200_000,))
    thread.start()
    received = 0
    while received < 200_000:
        received += len(os.read(read, 100_000))
    thread.join()
    assert received == 200_000
    os.close(read)
    os.close(write)


def test_after_a_signal_no_write_waits_for_a_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "GRACE_SECONDS", 0.05)
    read, write = os.pipe()
    stream = Stream(write)
    thread = threading.Thread(target=stream.write, args=(b"x" * 200_000,))
    thread.start()
    time.sleep(0.1)
    assert thread.is_alive()
    streams.hurry()
    thread.join(5)
    assert not thread.is_alive()
    assert isinstance(stream.error, TimeoutError)
    os.close(read)
    os.close(write)


def shell(command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command line of Bash, in which M is the program."""
    script = f"M='{sys.executable} -m mnist_exp'; {command}"
    return subprocess.run(
        ["bash", "-c", script], env=os.environ | environment, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize(
    ("redirection", "code", "cause"),
    [
        ("2>err | true; code=${PIPESTATUS[0]}", 141, ""),
        (">/dev/full 2>err; code=$?", 5, "error: standard output: cannot be written: No space left on device\n"),
        (">&- 2>err; code=$?", 5, "error: standard output: cannot be written: it is closed\n"),
        ("2>/dev/full >out; code=$?; touch err", 0, ""),
        (">&- 2>&- <&-; code=$?; touch err", 5, ""),
    ],
)
def test_a_lost_result_is_an_exit_code(redirection: str, code: int, cause: str) -> None:
    make_run(Path("runs/a"), 100)
    done = shell(f"$M show {redirection}; cat err >&2; exit $code")
    assert done.returncode == code
    assert done.stderr.startswith(cause)
    assert bool(done.stderr) == bool(cause)


def test_characters_that_the_encoding_lacks_are_replaced() -> None:
    make_run(Path("runs/a"), 100)
    done = shell("$M show && $M show nothing", PYTHONIOENCODING="ascii")
    assert done.returncode == 2
    assert "0.82 ? 1.21" in done.stdout  # an en dash
    assert done.stdout.isascii()
    assert "error: nothing: run not found" in done.stderr


def test_the_help_of_a_command_ends_with_141_too() -> None:
    assert shell("{ sleep 0.3; $M show --help; } | true; exit ${PIPESTATUS[0]}").returncode == 141


UNREAD = """
import os, sys, time, fcntl
from mnist_exp import cli
from mnist_exp.machine import signals
from mnist_exp.terminal import messages
from mnist_exp.training.background import Background

def work(_):
    with signals.deferred() as stopped, Background() as background:
        background.do(lambda: messages.note('x' * 200_000))
        print('ready', flush=True)
        while not stopped():
            time.sleep(0.01)
    return 0

cli._dispatch = work
sys.exit(cli.main())
"""


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_process_whose_standard_error_nobody_reads(number: signal.Signals) -> None:
    read, write = os.pipe()
    with subprocess.Popen([sys.executable, "-c", UNREAD], stdout=subprocess.PIPE, stderr=write, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        assert process.wait(20) == 128 + number
    os.close(read)
    os.close(write)
