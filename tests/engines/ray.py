"""A Ray cluster of one node on this machine, for the duration of a test.

`ray stop` would stop every cluster of this machine, so the head runs in the foreground and is killed.
"""

import contextlib
import importlib.util
import sys
from collections.abc import Iterator

from tests.engines import daemons

HOST = "127.0.0.2"  # Ray would replace 127.0.0.1 by the address of a network card
OBJECTS = 100 * 2**20  # bytes of shared memory; the default is 30 % of the machine's


def missing() -> str | None:
    """The missing package, and how to install it; None if it is installed."""
    return None if importlib.util.find_spec("ray") else "no ray: pip install ray"


@contextlib.contextmanager
def running(cpus: int = 2) -> Iterator[str]:
    """Start Ray with that many CPUs, which may be more than the machine has; yield its address for `ray.init`."""
    with daemons.daemons("RAY_TMPDIR") as ray:
        ray.environment |= {"RAY_USAGE_STATS_ENABLED": "0"}
        head = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", "--include-dashboard=false"]
        options = [f"--node-ip-address={HOST}", "--port=0", f"--num-cpus={cpus}", f"--object-store-memory={OBJECTS}"]
        ray.start(*head, *options)
        address = ray.place / "ray" / "ray_current_cluster"
        ray.wait(lambda: address.exists() and bool(address.read_text()))
        yield address.read_text().strip()
