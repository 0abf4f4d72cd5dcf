"""The real command in forks of a process that has imported TensorFlow, which takes most of the time of a short run.

A fork has its own arguments, directory, environment, signals and exit code. TensorFlow starts its threads with its first
operation, so a fork loses none. The workers of a sweep are forks too. Tests of the start of Python (options, environment
variables, imports) need a new process.
"""

import atexit
import contextlib
import fcntl
import gc
import importlib
import inspect
import json
import os
import runpy
import select
import site
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from mnist_exp.machine import backend
from mnist_exp.sweep import supervisor

# In addition to TensorFlow: what the commands import.
IMPORTED = (
    "hydra.core.plugins", "jinja2", "PIL.Image", "mnist_exp.cli", "mnist_exp.commands.train",
    "mnist_exp.commands.resume_sweep", "mnist_exp.config.composition", "mnist_exp.experiment",
    "mnist_exp.report.run_page", "mnist_exp.training.build", "mnist_exp.training.epochs",
)  # fmt: skip
PROGRAM, WORKER = "mnist_exp", "mnist_exp.sweep.worker"
WORKER_NAME = "mnist_exp work"  # the system has room for 15 characters
LIMIT = 1 << 20  # bytes of a request
PIPES = ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")  # as `Popen` names them
STATUS_BYTES = 16  # of a process id, and of an exit code
SECONDS = 300  # limit of a command


class NewProcesses:
    """The real command, or another module, in new processes."""

    def start(self, *arguments: str, module: str = PROGRAM, **options: Any) -> subprocess.Popen[Any]:
        """Start `python -m mnist_exp`, with the options of `Popen`."""
        return subprocess.Popen([sys.executable, "-m", module, *arguments], stdin=subprocess.DEVNULL, **options)

    def run(
        self,
        *arguments: str,
        cwd: Path,
        env: dict[str, str] | None = None,
        timeout: float = SECONDS,
        streams: tuple[int, int] | None = None,
        module: str = PROGRAM,
    ) -> subprocess.CompletedProcess[str]:
        """Run `python -m mnist_exp`, if given with these descriptors as standard output and error.

        Raises:
            subprocess.TimeoutExpired: after `timeout` seconds; the command is killed.
        """
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            stdout, stderr = streams or (out.fileno(), err.fileno())
            with self.start(*arguments, module=module, cwd=cwd, env=env, stdout=stdout, stderr=stderr) as process:
                try:
                    code = process.wait(timeout)
                except subprocess.TimeoutExpired:
                    process.kill()
                    raise
            out.seek(0)
            err.seek(0)
            return subprocess.CompletedProcess(arguments, code, out.read().decode(), err.read().decode())


class Forks(NewProcesses):
    """The parent process, started for the first command: one for all processes of the suite."""

    def __init__(self, directory: Path) -> None:
        """Use the parent process whose address is in a directory."""
        self._directory = directory
        self._channel: socket.socket | None = None
        self._started: list[Fork] = []

    def start(self, *arguments: str, module: str = PROGRAM, **options: Any) -> subprocess.Popen[Any]:
        """Start `python -m mnist_exp` in a fork, with the options of `Popen`."""
        if self._channel is None:
            self._channel = self._connect()
        fork = Fork(self._channel, module, arguments, stdin=subprocess.DEVNULL, **options)
        self._started.append(fork)
        return fork

    def kill_remaining(self) -> None:
        """Kill the processes that still run, as those of a test that failed."""
        for fork in self._started:
            if fork.poll() is None:
                fork.kill()
                fork.wait()
        self._started.clear()

    def close(self) -> None:
        """Leave the parent process, which ends without users; a running command continues."""
        if self._channel is not None:
            self._channel.close()

    def _connect(self) -> socket.socket:
        """Return a connection to the parent process, which is started if there is none."""
        address = str(self._directory / "forks.socket")
        channel = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with (self._directory / "forks.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            try:
                channel.connect(address)
            except (FileNotFoundError, ConnectionRefusedError):
                Path(address).unlink(missing_ok=True)
                with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
                    listener.bind(address)
                    listener.listen()
                    channel.connect(address)
                    subprocess.run(
                        [sys.executable, "-m", "tests.forks", str(listener.fileno())],
                        cwd=Path(__file__).parent.parent,
                        stdin=subprocess.DEVNULL,
                        stdout=subprocess.DEVNULL,
                        pass_fds=[listener.fileno()],
                        check=True,
                    )
        return channel


class Fork(subprocess.Popen[Any]):
    """A process that the process at the other end of a channel forks and waits for."""

    def __init__(self, channel: socket.socket, module: str, arguments: tuple[str, ...], **options: Any) -> None:
        self._channel, self._module = channel, module
        super().__init__(arguments, **options)

    def _execute_child(self, *values: Any) -> None:
        given = inspect.signature(super()._execute_child).bind(*values).arguments
        self._status, status = os.pipe()
        request = {
            "module": self._module,
            "arguments": given["args"],
            "directory": str(given["cwd"] or ""),
            "environment": dict(given["env"] or os.environ),
        }
        pipes = [given[name] for name in ("p2cread", "c2pwrite", "errwrite")]
        standard = [number if pipe == -1 else pipe for number, pipe in enumerate(pipes)]
        socket.send_fds(self._channel, [json.dumps(request).encode()], [*standard, status])
        os.close(status)
        self._close_pipe_fds(*(given[name] for name in PIPES))
        self.pid = int(os.read(self._status, STATUS_BYTES))
        self._child_created = True

    def _wait(self, timeout: float | None) -> int:
        if self.returncode is None:
            if not select.select([self._status], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
            self.returncode = int(os.read(self._status, STATUS_BYTES))
            os.close(self._status)
        return self.returncode

    def _internal_poll(self, *_: Any, **__: Any) -> int | None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._wait(0)
        return self.returncode


def accept(listener: socket.socket) -> socket.socket:
    """Fork for each connection; end when all of them are closed.

    Returns:
        Only in a fork: the connection that it must serve.
    """
    users: set[int] = set()
    while True:
        is_asked = select.select([listener], [], [], 1)[0]  # by the first of them from the start
        while users and (ended := os.waitpid(-1, os.WNOHANG)[0]):
            users.remove(ended)
        if is_asked:
            channel, _ = listener.accept()
            if (user := os.fork()) == 0:
                listener.close()
                return channel
            users.add(user)
            channel.close()
        elif not users:
            os._exit(0)


def serve(channel: socket.socket) -> str:
    """Fork for each request, by a process that sends the process id and then the exit code.

    Returns:
        Only in a fork: the module that it must run.
    """
    while True:
        message, descriptors, _, _ = socket.recv_fds(channel, LIMIT, 4)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        if not message:
            os._exit(0)
        if os.fork() == 0:
            break
        for descriptor in descriptors:
            os.close(descriptor)
    channel.close()
    *standard, status = descriptors
    process = os.fork()
    if process == 0:
        os.close(status)
        return become(**json.loads(message), standard=standard)
    for descriptor in standard:
        os.close(descriptor)
    os.write(status, f"{process:<{STATUS_BYTES}}".encode())
    code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    with contextlib.suppress(BrokenPipeError):
        os.write(status, f"{code:<{STATUS_BYTES}}".encode())
    os._exit(0)


def become(module: str, arguments: list[str], directory: str, environment: dict[str, str], standard: list[int]) -> str:
    """Set arguments, directory, environment and standard streams as in a new process; return the module that it runs."""
    for number, descriptor in enumerate(standard):
        os.dup2(descriptor, number)
        os.close(descriptor)
    if directory:
        os.chdir(directory)
        sys.path[0] = directory
    os.environ.clear()
    os.environ.update(environment)
    sys.argv[1:] = arguments
    sys.orig_argv = [sys.executable, "-m", module, *arguments]
    if module == WORKER:
        os.setsid()
        Path("/proc/self/comm").write_text(WORKER_NAME)  # its command line is that of the parent
    if "PYTHONPATH" in environment:
        sys.path[1:1] = environment["PYTHONPATH"].split(os.pathsep)
        sys.modules.pop("sitecustomize", None)
        site.execsitecustomize()
    return module


def fork_workers() -> bool:
    """Have the workers of this process's sweeps forked by another process, which has no threads.

    Returns:
        Whether this is such a worker.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    if os.fork() == 0:
        os.setsid()
        ours.close()
        for number in range(3):  # the reader of a killed command waits for no worker
            os.dup2(os.open(os.devnull, os.O_RDWR), number)
        serve(theirs)
        return True
    theirs.close()

    def start(arguments: list[str], **options: Any) -> Fork:
        options.pop("start_new_session")
        return Fork(ours, WORKER, tuple(arguments[4:]), **options)

    names = {"Popen": start, "PIPE": subprocess.PIPE, "TimeoutExpired": subprocess.TimeoutExpired}
    supervisor.subprocess = SimpleNamespace(**names)  # type: ignore[assignment]
    return False


def execute(module: str) -> None:
    """Run a module, and end the process as Python does, but without destroying its objects: that is half of a short run."""
    code: Any = None
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        code = end.code
    except BaseException:  # noqa: BLE001  (as Python does)
        sys.excepthook(*sys.exc_info())
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))


if __name__ == "__main__":
    if os.fork():
        os._exit(0)  # whoever starts the parent process does not wait for it
    os.setsid()
    with tempfile.TemporaryDirectory() as place, backend.tensorflow(Path(place) / "messages", quiet=True):
        for name in IMPORTED:
            importlib.import_module(name)
    os.fsync = os.fstat  # type: ignore[assignment]  # as in conftest.py
    gc.freeze()  # the forks share its objects, which their garbage collection would copy
    program = serve(accept(socket.socket(fileno=int(sys.argv[1]))))
    execute(WORKER if program != WORKER and fork_workers() else program)
