"""A described data set of a few images, as a user describes one, and a real server that offers its files."""

import gzip
import hashlib
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from mnist_exp.datasets.description import Description
from mnist_exp.datasets.sources import DescribedSet
from tests.conftest import ROOT

NAMES = ("train-images.gz", "train-labels.gz", "test-images.gz", "test-labels.gz")
SHAPE = (5, 4)
GENERATOR = np.random.default_rng(3)
ARRAYS = (
    GENERATOR.integers(0, 256, (36, *SHAPE), np.uint8),
    np.arange(36, dtype=np.uint8) % 3,
    GENERATOR.integers(0, 256, (6, *SHAPE), np.uint8),
    np.arange(6, dtype=np.uint8) % 3,
)


def encode(array: np.ndarray) -> bytes:
    """The IDX file of an array of unsigned bytes or 32-bit integers."""
    code, array = (8, array) if array.dtype == np.uint8 else (12, array.astype(">i4"))
    return struct.pack(f">HBB{array.ndim}I", 0, code, array.ndim, *array.shape) + array.tobytes()


CONTENTS = tuple(map(encode, ARRAYS))
STORED = {name: gzip.compress(content, mtime=0) for name, content in zip(NAMES, CONTENTS, strict=True)}


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def described(address: str = "http://127.0.0.1:1/", **changes: Any) -> dict[str, Any]:
    """The section `description`."""
    files = [
        {"path": name, "bytes": len(stored), "sha256": sha256(stored), "content_sha256": sha256(content)}
        for (name, stored), content in zip(STORED.items(), CONTENTS, strict=True)
    ]
    return {
        "licence": "CC0",
        "attribution": "nobody",
        "addresses": [address],
        "image_shape": [*SHAPE, 1],
        "transposed": False,
        "labels_from": 0,
        "label_column": None,
        "class_names": ["a", "b", "c"],
        "train": {"count": 36, "images": files[0], "labels": files[1]},
        "test": {"count": 6, "images": files[2], "labels": files[3]},
    } | changes


def source(description: dict[str, Any], *roots: Path, fetch: bool = False) -> DescribedSet:
    return DescribedSet("tiny", Description.model_validate(description), tuple(map(str, roots)), fetch)


def write_option(directory: Path, description: dict[str, Any]) -> Path:
    """Write dataset/tiny.yaml into a directory of options."""
    option = yaml.safe_load((ROOT / "conf" / "dataset" / "mnist.yaml").read_text())
    path = directory / "dataset" / "tiny.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(option | {"name": "tiny", "description": description}, sort_keys=False))
    return directory


def write_files(directory: Path, files: dict[str, bytes] = STORED) -> Path:
    for name, content in files.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_bytes(content)
    return directory


Answer = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """Answers with a scripted answer, or with a file, and ranges of it."""

    protocol_version = "HTTP/1.1"
    server: "Server"

    def do_GET(self) -> None:
        self.server.requests.append((self.path, dict(self.headers)))
        name = self.path.rpartition("/")[2]
        script = self.server.script.get(name, [])
        answer = script.pop(0) if script else Handler.send_file
        answer(self)

    def send_file(self, ranges: bool = True, etag: str = '"1"') -> None:
        content = self.server.files.get(self.path.rpartition("/")[2])
        if content is None:
            self.send(404, b"")
            return
        start = int(self.headers.get("Range", "bytes=0-")[6:-1])
        changed = self.headers.get("If-Range") not in (None, etag)
        if ranges and start and not changed:
            self.send(
                206, content[start:], {"ETag": etag, "Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"}
            )
        else:
            self.send(200, content, {"ETag": etag})

    def send(self, code: int, content: bytes, headers: dict[str, str] | None = None, length: int | None = None) -> None:
        self.send_response(code)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content) if length is None else length))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(content)
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    """Offers files; `script` has answers for the next requests of a file."""

    daemon_threads = False  # `server_close` waits for them

    def __init__(self, files: dict[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = dict(files)
        self.script: dict[str, list[Answer]] = {}
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.closing = threading.Event()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/"

    def handle_error(self, *_: object) -> None:
        pass  # a client that gives up


@contextmanager
def serving(files: dict[str, bytes] = STORED) -> Iterator[Server]:
    server = Server(files)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield server
    finally:
        server.closing.set()
        server.shutdown()
        server.server_close()


def breaks_off(after: int) -> Answer:
    """Declare the whole file and close the connection after some bytes."""

    def answer(handler: Handler) -> None:
        content = handler.server.files[handler.path.rpartition("/")[2]]
        start = int(handler.headers.get("Range", "bytes=0-")[6:-1])
        if start:
            headers = {"ETag": '"1"', "Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"}
            handler.send(206, content[start : start + after], headers, len(content) - start)
        else:
            handler.send(200, content[:after], {"ETag": '"1"'}, len(content))

    return answer


def status(code: int, **headers: str) -> Answer:
    return lambda handler: handler.send(code, b"no", {name.replace("_", "-"): value for name, value in headers.items()})


def stalls(after: int) -> Answer:
    """Send the first bytes of a file, then nothing."""

    def answer(handler: Handler) -> None:
        content = handler.server.files[handler.path.rpartition("/")[2]]
        handler.send(200, content[:after], {"ETag": '"1"'}, len(content))
        handler.wfile.flush()
        handler.server.closing.wait(20)

    return answer
