"""The real command in forks of a process that has imported TensorFlow, which takes most of the time of a short run.

A fork has its own arguments, directory, environment, signals and exit code. TensorFlow starts its threads with its first
operation, so a fork loses none. The workers of a sweep are forks too. Tests of the start of Python (options, environment
variables, imports) need a new process.
"""

import contextlib
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any

from mnist_exp.machine import backend
from mnist_exp.sweep import supervisor

# In addition to TensorFlow.
IMPORTED = ("mnist_exp.commands.train", "mnist_exp.commands.sweep", "mnist_exp.experiment", "mnist_exp.training.build")
WORKER = "mnist_exp.sweep.worker"
LIMIT = 1 << 20  # bytes of a request
STATUS_BYTES = 16  # of a process id, and of an exit code
SECONDS = 300  # limit of a command


class Forks:
    """The parent process, started for the first command."""

    def __init__(self) -> None:
        self._channel: socket.socket | None = None
        self._parent: subprocess.Popen[bytes] | None = None

    def run(
        self, *arguments: str, cwd: Path, timeout: float = SECONDS, streams: tuple[int, int] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run `python -m mnist_exp`, if given with these descriptors as standard output and error.

        Raises:
            subprocess.TimeoutExpired: after `timeout` seconds; the command is killed.
        """
        channel = self._started()
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            request = {"arguments": arguments, "cwd": str(cwd), "environment": dict(os.environ)}
            socket.send_fds(channel, [json.dumps(request).encode()], streams or [out.fileno(), err.fileno()])
            process = int(channel.recv(LIMIT))
            finished = bool(select.select([channel], [], [], timeout)[0])
            if not finished:
                os.kill(process, signal.SIGKILL)
            code = int(channel.recv(LIMIT))
            if not finished:
                raise subprocess.TimeoutExpired(arguments, timeout)
            out.seek(0)
            err.seek(0)
            return subprocess.CompletedProcess(arguments, code, out.read().decode(), err.read().decode())

    def close(self) -> None:
        """Stop the parent process; a running command continues."""
        if self._channel is not None and self._parent is not None:
            self._channel.close()
            self._parent.wait(10)

    def _started(self) -> socket.socket:
        if self._channel is None:
            self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with theirs:
                arguments = [sys.executable, "-m", "tests.forks", str(theirs.fileno())]
                self._parent = subprocess.Popen(
                    arguments,
                    cwd=Path(__file__).parent.parent,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    pass_fds=[theirs.fileno()],
                )
        return self._channel


def serve(channel: socket.socket) -> None:
    """Fork for each request; send the process id and then the exit code. Return only in the fork."""
    while True:
        message, descriptors, _, _ = socket.recv_fds(channel, LIMIT, 2)
        if not message:
            sys.exit()
        process = os.fork()
        if process == 0:
            channel.close()
            become(**json.loads(message), descriptors=descriptors)
            fork_workers()
            return
        for descriptor in descriptors:
            os.close(descriptor)
        channel.send(str(process).encode())
        channel.send(str(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])).encode())


def become(arguments: list[str], cwd: str, environment: dict[str, str], descriptors: list[int]) -> None:
    """Set arguments, directory, environment and output as in a new process."""
    for descriptor, standard in zip(descriptors, (1, 2), strict=True):
        os.dup2(descriptor, standard)
        os.close(descriptor)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[0] = cwd
    sys.argv[1:] = arguments
    sys.orig_argv = [sys.executable, "-m", "mnist_exp", *arguments]


class ForkedWorker:
    """What `Popen` returns for a worker, of a process that is not a child of this one."""

    def __init__(self, channel: socket.socket, arguments: list[str], stderr: IO[bytes], env: dict[str, str]) -> None:
        requests, replies, self._status = os.pipe(), os.pipe(), os.pipe()
        message = json.dumps({"arguments": arguments[4:], "environment": dict(env)}).encode()
        theirs = [requests[0], replies[1], stderr.fileno(), self._status[1]]
        socket.send_fds(channel, [message], theirs)
        for descriptor in (requests[0], replies[1], self._status[1]):
            os.close(descriptor)
        self.stdin, self.stdout = os.fdopen(requests[1], "wb"), os.fdopen(replies[0], "rb")
        self.pid = int(os.read(self._status[0], STATUS_BYTES))
        self.returncode: int | None = None

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end of the process; return its exit code."""
        if self.returncode is None:
            if not select.select([self._status[0]], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
            self.returncode = int(os.read(self._status[0], STATUS_BYTES))
            os.close(self._status[0])
        return self.returncode

    def poll(self) -> int | None:
        """Return the exit code; None while the process runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def kill(self) -> None:
        """Kill the process."""
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)


def fork_workers() -> None:
    """Have the workers of this process's sweeps forked by another process, which has no threads."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    if os.fork() == 0:
        os.setsid()
        ours.close()
        serve_workers(theirs)
        return
    theirs.close()

    def start(arguments: list[str], stderr: IO[bytes], env: dict[str, str], **_: Any) -> ForkedWorker:
        return ForkedWorker(ours, arguments, stderr, env)

    names = {"Popen": start, "PIPE": subprocess.PIPE, "TimeoutExpired": subprocess.TimeoutExpired}
    supervisor.subprocess = SimpleNamespace(**names)  # type: ignore[assignment]


def serve_workers(channel: socket.socket) -> None:
    """Fork for each request, by a process that sends the process id and then the exit code. Return only in a worker."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        message, descriptors, _, _ = socket.recv_fds(channel, LIMIT, 4)
        if not message:
            os._exit(0)
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            channel.close()
            break
        for descriptor in descriptors:
            os.close(descriptor)
    *standard, status = descriptors
    process = os.fork()
    if process != 0:
        for descriptor in standard:
            os.close(descriptor)
        os.write(status, f"{process:<{STATUS_BYTES}}".encode())
        code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        with contextlib.suppress(BrokenPipeError):
            os.write(status, f"{code:<{STATUS_BYTES}}".encode())
        os._exit(0)
    os.setsid()
    os.close(status)
    for number, descriptor in enumerate(standard):
        os.dup2(descriptor, number)
        os.close(descriptor)
    request = json.loads(message)
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.argv[1:] = request["arguments"]
    sys.orig_argv = [sys.executable, "-P", "-m", WORKER, *request["arguments"]]
    runpy.run_module(WORKER, run_name="__main__", alter_sys=True)
    sys.exit()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place, backend.tensorflow(Path(place) / "messages", quiet=True):
        for module in IMPORTED:
            importlib.import_module(module)
    serve(socket.socket(fileno=int(sys.argv[1])))
    runpy.run_module("mnist_exp", run_name="__main__", alter_sys=True)
