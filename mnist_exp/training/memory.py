"""A device that runs out of memory: what was needed, who uses the memory, and what helps."""

import contextlib
import re
from collections.abc import Iterator

import tensorflow as tf

from mnist_exp.errors import EnvironmentFailure
from mnist_exp.machine import files
from mnist_exp.machine.devices import gpu_memory

# TensorFlow's allocators, CUDA, and libraries that get no memory for their handles.
OUT_OF_MEMORY = re.compile(
    r"out of memory|OOM when allocating|OUT_OF_MEMORY|failed to allocate|(create|initialize).{0,20}(cublas|cudnn|cusolver)"
    r"|(cublas|cudnn|dnn library).{0,40}(alloc_failed|not_initialized|initialization failed|initialize)",
    re.IGNORECASE,
)
NEEDED = re.compile(r"allocat\w* (\d+ bytes|[\d.]+ ?[KMGT]i?B)|shape(\[[\d,]*\] and type \w+)", re.IGNORECASE)
CONTEXT = 2**30  # bytes of a GPU that the libraries of this process use at most, outside of TensorFlow's allocator
SHARE = 0.1  # of a GPU, from which the memory of other processes is reported


@contextlib.contextmanager
def explained(device: str) -> Iterator[None]:
    """Compute everything in this block on a device, by TensorFlow's name ("/GPU:0").

    Raises:
        EnvironmentFailure: the device is out of memory, or the disk of the compiled programs is full.
    """
    try:
        with tf.device(device):
            yield
    except (tf.errors.OpError, RuntimeError) as error:
        if files.FULL_DISK in str(error):  # for TensorFlow, that is an exhausted resource too
            raise EnvironmentFailure(f"a compiled program cannot be stored: {files.FULL_DISK}", "free disk space") from error
        if not isinstance(error, tf.errors.ResourceExhaustedError) and not OUT_OF_MEMORY.search(str(error)):
            raise
        raise _failure(device, str(error)) from error


def _failure(device: str, text: str) -> EnvironmentFailure:
    found = NEEDED.search(text)
    needed = f"; it needs {found[1] or 'a tensor of shape ' + found[2]} more" if found else ""
    remedy = "lower training.batch_size, or the sizes of the model"
    kind, _, index = device.strip("/").partition(":")
    if kind != "GPU":
        return EnvironmentFailure(f"the training is out of memory{needed}", remedy)
    usage, remedy = "", f"{remedy}; in a sweep lower sweep.jobs_per_gpu; or choose another GPU with device=gpu:N"
    if memory := gpu_memory(int(index)):
        total, used = memory
        own = own_bytes(device)
        usage = f"; {used / 1e9:.1f} GB of its {total / 1e9:.1f} GB are in use"
        if (others := used - own - CONTEXT) > SHARE * total:
            usage += f", about {others / 1e9:.1f} GB by other processes"
            remedy = f"wait for the other processes, which nvidia-smi lists; or {remedy}"
    return EnvironmentFailure(f"GPU {index} is out of memory{needed}{usage}", remedy)


def own_bytes(device: str) -> int:
    """Return the most bytes of a GPU that TensorFlow has used in this process: it keeps them, for its next tensors."""
    try:
        return int(tf.config.experimental.get_memory_info(device.strip("/"))["peak"])
    except (ValueError, RuntimeError, tf.errors.OpError):
        return 0
