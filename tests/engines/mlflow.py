"""An MLflow server on this machine, for the duration of a test."""

import contextlib
import importlib.util
import socket
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator

from tests.engines import daemons

HOST = "127.0.0.1"


def missing() -> str | None:
    """The missing package, and how to install it; None if it is installed."""
    return None if importlib.util.find_spec("mlflow.server") else "no MLflow server: pip install mlflow"


@contextlib.contextmanager
def running() -> Iterator[str]:
    """Start a server with an SQLite database; yield its address."""
    with daemons.daemons("MLFLOW_TESTS_PLACE") as mlflow:
        quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
        mlflow.environment |= quiet | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}  # three processes that no test needs
        port = free_port()
        store = [
            f"--backend-store-uri=sqlite:///{mlflow.place}/store.db",
            f"--artifacts-destination={mlflow.place}/artifacts",
        ]
        mlflow.start(sys.executable, "-m", "mlflow", "server", f"--host={HOST}", f"--port={port}", "--workers=1", *store)
        address = f"http://{HOST}:{port}"
        mlflow.wait(lambda: _answers(f"{address}/health"))
        yield address


def free_port() -> int:
    """A free port."""
    with socket.socket() as found:
        found.bind((HOST, 0))
        return int(found.getsockname()[1])


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=5) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False
