"""The real command in forks of a process that has imported TensorFlow, which takes most of the time of a short run.

A fork has its own arguments, directory, environment, signals and exit code. TensorFlow starts its threads with its first
operation, so a fork loses none. Tests of the start of Python (options, environment variables, imports) need a new process.
"""

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

from mnist_exp.machine import backend

# In addition to TensorFlow.
IMPORTED = ("mnist_exp.commands.train", "mnist_exp.commands.sweep", "mnist_exp.experiment", "mnist_exp.training.build")
LIMIT = 1 << 20  # bytes of a request
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


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place, backend.tensorflow(Path(place) / "messages", quiet=True):
        for module in IMPORTED:
            importlib.import_module(module)
    serve(socket.socket(fileno=int(sys.argv[1])))
    runpy.run_module("mnist_exp", run_name="__main__", alter_sys=True)
