"""What XLA compiles for a GPU: no scatter, sort or loop within a step, since each is slow there if it is deterministic."""

import re

import numpy as np
import pytest
import tensorflow as tf

from mnist_exp.datasets.dataset import Dataset
from tests.conftest import compose
from tests.integration.trainers import SMALL_CNN, trainer_for

SMALL_MLP = ("model=mlp", "model.units=[8]", "training.batch_size=32")
LAYERS = (
    "[{name:conv,filters:16,kernel_size:5,strides:2,padding:same},{name:batch_norm,momentum:0.9},"
    "{name:residual,layers:[{name:activation},{name:conv,filters:6,kernel_size:3,strides:2,padding:same}]},{name:max_pool,"
    "pool_size:2},{name:noise,stddev:0.1},{name:flatten},{name:dense,units:8},{name:activation},{name:dropout},{name:logits}]"
)
SLOW = re.compile(
    r" = .* (?P<operation>scatter|sort|while|select-and-scatter)\(.*?(?:op_name=\"(?P<origin>[^\"]*)\")?$", re.M
)


@pytest.mark.parametrize(
    "overrides",
    [
        *(
            (*SMALL_MLP, f"augmentation={augmentation}", f"optimizer={optimizer}")
            for augmentation, optimizer in (
                ("affine", "adam"),
                ("elastic", "adamw"),
                ("cutout", "sgd"),
                ("mixup", "rmsprop"),
                ("flip", "lion"),
            )
        ),
        (*SMALL_MLP, "augmentation=mixup", "training.class_weights=balanced"),
        (*SMALL_MLP, "training.label_smoothing=0.1", "training.ema_decay=0.9", "training.gradient_clip_norm=1"),
        (*SMALL_CNN, "model.dropout=0.2"),
        ("model=cnn_simple", "model.filters=[4]", "model.units=[8]", "precision=bfloat16"),
        ("model=cnn_tiny", f"model.layers={LAYERS}", "model.dropout=0.2", "training.batch_size=32"),
    ],
    ids=lambda overrides: " ".join(overrides[:1] + overrides[-1:])[:60],
)
def test_a_step_has_no_slow_operation(overrides: tuple[str, ...], digits: Dataset) -> None:
    """The message says which operation brought it in. The only loop is that over the steps."""
    found = [(match["operation"], match["origin"]) for match in map(SLOW.search, hlo(overrides, digits)) if match]
    assert len(found) == 1, found
    assert found[0][0] == "while", found


def test_a_step_of_cnn_best_stays_small(digits: Dataset) -> None:
    """The seconds of compiling grow with the instructions, and most with those that become kernels, such as sums."""
    lines = hlo(("experiment=cnn_best", "precision=bfloat16"), digits)
    assert sum(" = " in line for line in lines) < 5750
    assert sum(" reduce(" in line for line in lines) < 75


def hlo(overrides: tuple[str, ...], digits: Dataset) -> list[str]:
    """Return the lines of the program that XLA gets: a chunk of steps before any optimization."""
    steps = trainer_for(compose(*overrides, "threads.towers=1"), digits, use_xla=True).steps
    size, rows = steps._batch_size, steps._rows
    chunk = np.zeros((rows, size), np.int32), np.zeros(rows, np.float32), np.int64(0), np.int32(rows), np.int32(size)
    graph = tf.function(steps._chunk, jit_compile=True)
    text: str = graph.experimental_get_compiler_ir(steps._gradients.inputs, *map(tf.constant, chunk))(stage="hlo")
    return text.splitlines()
