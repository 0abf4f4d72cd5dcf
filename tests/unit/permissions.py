"""Permissions that also stop root, who runs the tests in a container."""

import contextlib
import ctypes
import os
from collections.abc import Iterator

VERSION = 0x20080522  # of the structures of capget(2)
OVERRIDE = 0b110  # CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH: root may read and write any file


@contextlib.contextmanager
def enforced() -> Iterator[None]:
    """Take from this thread, in this block, the privilege to ignore permissions."""
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(VERSION, 0)
    sets = (ctypes.c_uint32 * 6)()  # effective, permitted and inheritable capabilities, 32 bits each, twice

    def call(function: str) -> None:
        if getattr(libc, function)(header, sets):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

    call("capget")
    effective = sets[0]
    sets[0] = effective & ~OVERRIDE
    call("capset")
    try:
        yield
    finally:
        sets[0] = effective
        call("capset")
