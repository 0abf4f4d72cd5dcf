"""The machine for one training: which device, which precision, how many threads, and the same numbers every time."""

import gc
from contextlib import AbstractContextManager
from dataclasses import asdict
from typing import Any

import keras
import tensorflow as tf

from mnist_exp.config.schema import ThreadsConfig
from mnist_exp.errors import EnvironmentFailure
from mnist_exp.machine.cores import usable_cores
from mnist_exp.machine.devices import device_names
from mnist_exp.training.threads import Pools, pools


def prepare(device: str, precision: str, threads: ThreadsConfig, batch_size: int, seed: int) -> str:
    """Set TensorFlow up for one run and return the name of the device to train on, as in "/CPU:0".

    Afterwards every random number of Keras derives from `seed`, and operations are deterministic.

    Raises:
        EnvironmentFailure: the device is not there, or cannot compute in that precision.
    """
    name = _choose(device)
    _set_threads(pools(threads, batch_size, on_cpu(name), usable_cores()))
    for gpu in tf.config.list_physical_devices("GPU"):
        _grow_on_demand(gpu)
    if precision == "float16" and on_cpu(name):
        raise EnvironmentFailure("precision=float16 needs a GPU, and there is none", "use precision=bfloat16")
    keras.utils.clear_session()  # no layer name, graph, random state or memory of an earlier run of this process
    gc.freeze()  # what is left was imported, and need not be looked at each time
    keras.config.set_dtype_policy("float32" if precision == "float32" else f"mixed_{precision}")
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
    return name


def _choose(device: str) -> str:
    gpus = len(tf.config.list_physical_devices("GPU"))
    if device == "cpu" or (device == "auto" and not gpus):
        return "/CPU:0"
    index = int(device.partition(":")[2] or 0)
    if index >= gpus:
        raise EnvironmentFailure(
            f"device={device}: TensorFlow sees only {', '.join(device_names(gpus))}",
            "choose one of them; for an NVIDIA GPU install the CUDA packages: pip install 'mnist-exp[gpu]'",
        )
    return f"/GPU:{index}"


def _set_threads(wanted: Pools) -> None:
    """TensorFlow takes the size of its thread pools once per process; a later run may only want the same."""
    if wanted == pools_now():
        return
    try:
        tf.config.threading.set_intra_op_parallelism_threads(wanted.intra_op)
        tf.config.threading.set_inter_op_parallelism_threads(wanted.inter_op)
    except RuntimeError:
        raise EnvironmentFailure(
            f"TensorFlow already runs with other thread pools in this process: {pools_now()}, not {wanted}",
            "train in a process of its own",
        ) from None


def on_cpu(name: str) -> bool:
    """Whether a device of TensorFlow's is the processor."""
    return name.startswith("/CPU")


def placed(name: str) -> AbstractContextManager[Any]:
    """Where everything built and computed in this context lives."""
    return tf.device(name)  # type: ignore[no-any-return]


def compiled(name: str) -> bool:
    """Whether XLA compiles the steps: on a GPU; on a CPU it makes convolutions several times slower."""
    return not on_cpu(name)


def describe(name: str, towers: int) -> dict[str, Any]:
    """What the numbers of a training may depend on: the device, how many threads it has, what TensorFlow was built for."""
    gpus = tf.config.list_physical_devices("GPU")
    build = tf.sysconfig.get_build_info()
    cores = usable_cores()
    return {
        "device": name,
        "gpus": [tf.config.experimental.get_device_details(gpu) for gpu in gpus],
        "cuda": build.get("cuda_version"),
        "cudnn": build.get("cudnn_version"),
        "threads": {pool: asked or cores for pool, asked in asdict(pools_now()).items()} | {"towers": towers},
    }


def pools_now() -> Pools:
    """The pools that TensorFlow has, or will have when it first computes."""
    return Pools(
        tf.config.threading.get_intra_op_parallelism_threads(), tf.config.threading.get_inter_op_parallelism_threads()
    )


def _grow_on_demand(gpu: tf.config.PhysicalDevice) -> None:
    if not tf.config.experimental.get_memory_growth(gpu):
        tf.config.experimental.set_memory_growth(gpu, True)
