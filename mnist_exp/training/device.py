"""The machine for one training: which device, which precision, how many threads, and the same numbers every time."""

from contextlib import AbstractContextManager
from typing import Any

import keras
import tensorflow as tf

from mnist_exp.config.schema import ThreadsConfig
from mnist_exp.devices import device_names
from mnist_exp.environment import usable_cores
from mnist_exp.errors import EnvironmentFailure

MOST_TOWERS = 4  # every tower adds a gradient of the whole model


def prepare(device: str, precision: str, threads: ThreadsConfig, batch_size: int, seed: int) -> str:
    """Set TensorFlow up for one run and return the name of the device to train on, as in "/CPU:0".

    Afterwards every random number of Keras derives from `seed`, and operations are deterministic.

    Raises:
        EnvironmentFailure: the device is not there, or cannot compute in that precision.
    """
    name = _choose(device)
    _set_threads(name, threads, batch_size)
    for gpu in tf.config.list_physical_devices("GPU"):
        _grow_on_demand(gpu)
    if precision == "float16" and name.startswith("/CPU"):
        raise EnvironmentFailure("precision=float16 needs a GPU, and there is none", "use precision=bfloat16")
    keras.utils.clear_session()  # no layer name, graph or random state of an earlier run of this process
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


def _set_threads(name: str, threads: ThreadsConfig, batch_size: int) -> None:
    """TensorFlow takes the size of its thread pools once per process; a later run may only want the same."""
    alone = name.startswith("/CPU") and towers(name, threads, batch_size) >= usable_cores()  # a core for each tower
    wanted = {"intra_op": threads.intra_op or int(alone), "inter_op": threads.inter_op or 0}
    if wanted == thread_settings():
        return
    try:
        tf.config.threading.set_intra_op_parallelism_threads(wanted["intra_op"])
        tf.config.threading.set_inter_op_parallelism_threads(wanted["inter_op"])
    except RuntimeError:
        raise EnvironmentFailure(
            f"threads={wanted}: TensorFlow already runs with {thread_settings()} in this process (0: its own choice)",
            "give every job of a sweep in one process the same threads",
        ) from None


def towers(name: str, threads: ThreadsConfig, batch_size: int) -> int:
    """Into how many parts each batch is split, to be computed side by side."""
    if not name.startswith("/CPU"):
        return 1
    return threads.towers or min(usable_cores(), MOST_TOWERS, batch_size)


def placed(name: str) -> AbstractContextManager[Any]:
    """Where everything built and computed in this context lives."""
    return tf.device(name)  # type: ignore[no-any-return]


def compiled(name: str) -> bool:
    """Whether XLA compiles the steps: on a GPU; on a CPU it makes convolutions several times slower."""
    return name.startswith("/GPU")


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
        "threads": {pool: asked or cores for pool, asked in thread_settings().items()} | {"towers": towers},
    }


def thread_settings() -> dict[str, int]:
    """The sizes asked of TensorFlow's thread pools; 0 is its own choice."""
    return {
        "intra_op": tf.config.threading.get_intra_op_parallelism_threads(),
        "inter_op": tf.config.threading.get_inter_op_parallelism_threads(),
    }


def _grow_on_demand(gpu: tf.config.PhysicalDevice) -> None:
    if not tf.config.experimental.get_memory_growth(gpu):
        tf.config.experimental.set_memory_growth(gpu, True)
