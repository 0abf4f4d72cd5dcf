"""TensorFlow set up for one training: device, precision, thread pools, and deterministic operations."""

import contextlib
import gc
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

import keras
import tensorflow as tf

from mnist_exp.config.schema import ThreadsConfig
from mnist_exp.errors import EnvironmentFailure
from mnist_exp.machine.cores import usable_cores
from mnist_exp.machine.devices import device_names, gpu_count
from mnist_exp.models.build import set_precision
from mnist_exp.terminal import messages
from mnist_exp.training import memory, threads
from mnist_exp.training.threads import Pools


@dataclass(frozen=True)
class Device:
    """The device to train on, by TensorFlow's name ("/CPU:0"), and the number of towers that a batch is split into."""

    name: str
    towers: int

    @property
    def uses_xla(self) -> bool:
        """Whether XLA compiles the steps: only on a GPU. On a CPU it makes convolutions several times slower."""
        return not self.name.startswith("/CPU")

    def scope(self) -> AbstractContextManager[Any]:
        """Build and compute everything in this context on the device."""
        return memory.explained(self.name)

    def describe(self) -> dict[str, Any]:
        """Return what the weights may depend on, for environment.json: device, its GPU, CUDA, cuDNN, threads."""
        build, cores = tf.sysconfig.get_build_info(), usable_cores()
        gpus = [gpu for gpu in tf.config.list_physical_devices("GPU") if gpu.name.endswith(self.name.removeprefix("/"))]
        return {
            "device": self.name,
            "gpus": [tf.config.experimental.get_device_details(gpu) for gpu in gpus],
            "cuda": build.get("cuda_version"),
            "cudnn": build.get("cudnn_version"),
            "tf32": self.uses_xla and tf.config.experimental.tensor_float_32_execution_enabled(),
            "threads": {pool: size or cores for pool, size in asdict(_current_pools()).items()} | {"towers": self.towers},
        }


def prepare(
    device: str, precision: str, threads_config: ThreadsConfig, batch_size: int, seed: int, tf32: bool = False
) -> Device:
    """Set TensorFlow up for one run with these settings; None in `threads_config` chooses by the number of cores.

    Afterwards operations are deterministic, and Keras's random numbers derive from `seed`.

    Raises:
        EnvironmentFailure: the device does not exist or does not support the precision, or TensorFlow already runs in this
            process with other thread pools.
    """
    name, cores = _choose(device), usable_cores()
    is_cpu = name.startswith("/CPU")
    _set_pools(threads.pools(threads_config, batch_size, is_cpu, cores))
    for gpu in tf.config.list_physical_devices("GPU"):
        with contextlib.suppress(RuntimeError):  # TensorFlow already runs in this process, and has the memory that it takes
            tf.config.experimental.set_memory_growth(gpu, True)
    if precision == "float16" and is_cpu:
        raise EnvironmentFailure("precision=float16: needs a GPU", "use precision=bfloat16")
    keras.utils.clear_session()  # no layer name, graph, random state or memory of an earlier run of this process
    gc.freeze()  # the imported objects stay: the garbage collector need not visit them
    set_precision(precision)
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
    tf.config.experimental.enable_tensor_float_32_execution(tf32 or is_cpu)  # a CPU: as TensorFlow starts
    return Device(name, threads.towers(threads_config, batch_size, is_cpu, cores))


def _choose(device: str) -> str:
    """Return TensorFlow's name of the device for the setting `device`."""
    gpus = len(tf.config.list_physical_devices("GPU"))
    if device == "auto" and not gpus:
        _explain_cpu()
    if device == "cpu" or (device == "auto" and not gpus):
        return "/CPU:0"
    index = int(device.partition(":")[2] or 0)
    if index >= gpus:
        raise EnvironmentFailure(
            f"device={device}: TensorFlow sees only {', '.join(device_names(gpus))}",
            "choose one of them; for an NVIDIA GPU install the CUDA packages: pip install 'mnist-exp[gpu]'",
        )
    return f"/GPU:{index}"


@cache  # once in a process
def _explain_cpu() -> None:
    if present := gpu_count():
        messages.warning(
            f"device=auto: this machine has {messages.pluralize(present, 'NVIDIA GPU')}, but TensorFlow does not find its"
            " libraries: the training uses the CPU; install the CUDA packages (pip install 'mnist-exp[gpu]'), or choose"
            " device=cpu"
        )


def _set_pools(pools: Pools) -> None:
    """Set the sizes of TensorFlow's thread pools, which it accepts once per process; later runs must use the same."""
    if pools == _current_pools():
        return
    try:
        tf.config.threading.set_intra_op_parallelism_threads(pools.intra_op)
        tf.config.threading.set_inter_op_parallelism_threads(pools.inter_op)
    except RuntimeError:
        raise EnvironmentFailure(
            f"TensorFlow already runs with other thread pools in this process: {_current_pools()}, not {pools}",
            "train in a new process",
        ) from None


def _current_pools() -> Pools:
    threading = tf.config.threading
    return Pools(threading.get_intra_op_parallelism_threads(), threading.get_inter_op_parallelism_threads())
