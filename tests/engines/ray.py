"""A real Ray of one node on this machine, of our own and for as long as a test lasts.

`ray stop` would end every Ray of this machine, so the head stays in the foreground, where its end takes its own along.
"""

import contextlib
import importlib.util
import sys
from collections.abc import Iterator

from tests.engines import daemons

HOST = "127.0.0.2"  # for 127.0.0.1 Ray would take the address of a network card
OBJECTS = 100 * 2**20  # bytes of shared memory, of which Ray would take 30% of the machine's


def missing() -> str | None:
    """What is not installed, and how to install it; None if nothing is."""
    return None if importlib.util.find_spec("ray") else "no ray: pip install ray"


@contextlib.contextmanager
def running(cpus: int = 2) -> Iterator[str]:
    """A Ray of as many CPUs, which may be more than the machine has; its address, for `ray.init`."""
    with daemons.daemons("RAY_TMPDIR") as ray:
        ray.environment |= {"RAY_USAGE_STATS_ENABLED": "0"}
        head = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", "--include-dashboard=false"]
        options = [f"--node-ip-address={HOST}", "--port=0", f"--num-cpus={cpus}", f"--object-store-memory={OBJECTS}"]
        ray.start(*head, *options)
        address = ray.place / "ray" / "ray_current_cluster"
        ray.wait(lambda: address.exists() and bool(address.read_text()))
        yield address.read_text().strip()
