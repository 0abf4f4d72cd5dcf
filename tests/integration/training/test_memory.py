"""Errors of a device: out of memory, a GPU that others fill, a GPU that TensorFlow cannot use."""

import pytest
import tensorflow as tf

from mnist_exp.errors import EnvironmentFailure
from mnist_exp.training import device, memory
from tests.conftest import compose

CUDA = "failed to allocate 14.13GiB (15174598656 bytes) from device: CUDA_ERROR_OUT_OF_MEMORY: out of memory"
TENSOR = (
    "OOM when allocating tensor with shape[9,65536] and type float on /job:localhost/device:GPU:0 by allocator GPU_0_bfc"
)
XLA = "Out of memory while trying to allocate 1073741824 bytes."


@pytest.mark.parametrize(
    ("error", "needed"),
    [
        (tf.errors.ResourceExhaustedError(None, None, XLA), "; it needs 1073741824 bytes more"),
        (
            tf.errors.ResourceExhaustedError(None, None, TENSOR),
            "; it needs a tensor of shape [9,65536] and type float more",
        ),
        (tf.errors.InternalError(None, None, CUDA), "; it needs 14.13GiB more"),
        (tf.errors.InternalError(None, None, "Failed to create cuBLAS handle: CUBLAS_STATUS_ALLOC_FAILED"), ""),
        (tf.errors.FailedPreconditionError(None, None, "DNN library initialization failed."), ""),
    ],
)
@pytest.mark.parametrize(
    ("usage", "reported", "advised"),
    [
        (None, "", "lower training.batch_size"),
        ((80 * 10**9, 50 * 10**9), "; 50.0 GB of its 80.0 GB are in use", "lower training.batch_size"),
        (
            (80 * 10**9, 79 * 10**9),
            "; 79.0 GB of its 80.0 GB are in use, about 28.9 GB by other processes",
            "wait for the other processes",
        ),
    ],
)
def test_a_gpu_out_of_memory_is_an_error_of_the_environment(
    error: Exception,
    needed: str,
    usage: tuple[int, int] | None,
    reported: str,
    advised: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(memory, "gpu_memory", lambda index: usage if index == 1 else None)
    monkeypatch.setattr(memory, "own_bytes", lambda _: 49 * 10**9)
    monkeypatch.setattr(tf, "device", lambda _: memory.contextlib.nullcontext())
    with pytest.raises(EnvironmentFailure) as caught, memory.explained("/GPU:1"):
        raise error
    assert caught.value.cause == f"GPU 1 is out of memory{needed}{reported}"
    assert caught.value.remedy.startswith(advised)
    assert caught.value.exit_code == 5


def test_a_cpu_out_of_memory_is_one_too() -> None:
    expected = pytest.raises(EnvironmentFailure, match="the training is out of memory; it needs a tensor of shape")
    with expected as caught, memory.explained("/CPU:0"):
        tf.zeros([2**24, 2**24])
    assert caught.value.exit_code == 5


def test_a_full_disk_is_not_a_full_gpu() -> None:
    error = tf.errors.ResourceExhaustedError(None, None, "/cache/xla/1.pb.tmp; No space left on device")
    with pytest.raises(EnvironmentFailure, match="a compiled program cannot be stored"), memory.explained("/CPU:0"):
        raise error


def test_other_errors_are_left_alone() -> None:
    for error in (tf.errors.InvalidArgumentError(None, None, "shapes"), RuntimeError("other"), ValueError("out of memory")):
        with pytest.raises(type(error)), memory.explained("/CPU:0"):
            raise error


@pytest.mark.parametrize(("present", "warnings"), [(0, 0), (None, 0), (1, 1), (2, 1)])
def test_auto_says_once_why_a_gpu_is_not_used(
    present: int | None, warnings: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(device, "gpu_count", lambda: present)
    device._explain_cpu.cache_clear()
    for _ in range(2):
        assert device._choose("auto") == "/CPU:0"
        assert device._choose("cpu") == "/CPU:0"
    err = capsys.readouterr().err
    assert err.count("TensorFlow does not find its libraries") == warnings
    assert (len(err.splitlines()), "\N{REPLACEMENT CHARACTER}" in err) == (warnings, False)


@pytest.mark.parametrize("running", [False, True])
def test_tensorflow_takes_only_the_memory_of_a_gpu_that_it_needs_unless_it_already_runs(
    running: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    growing = []

    def set_memory_growth(gpu: object, value: bool) -> None:
        if running:
            raise RuntimeError("Physical devices cannot be modified after being initialized")
        growing.append((gpu, value))

    physical = tf.config.list_physical_devices
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["A", "B"] if kind == "GPU" else physical(kind))
    monkeypatch.setattr(tf.config.experimental, "set_memory_growth", set_memory_growth)
    monkeypatch.setattr(device, "_set_pools", lambda _: None)
    experiment = compose()
    device.prepare("cpu", "float32", experiment.threads, 200, 7)
    assert growing == ([] if running else [("A", True), ("B", True)])
