"""Runs of one process share graphs: same weights, no data of an earlier run; and one run is compiled once."""

import gc
import weakref
from unittest import mock

import numpy as np
import pytest
import tensorflow as tf

from mnist_exp.datasets.dataset import Dataset
from mnist_exp.training import graphs
from mnist_exp.training.steps import Steps
from tests.conftest import compose
from tests.integration import trainers
from tests.integration.trainers import COUNT, losses, trainer_for

BASE = (
    "model=mlp",
    "model.units=[8]",
    "model.dropout=0.2",
    "training.batch_size=64",
    "training.epochs=2",
    "optimizer=adamw",
)
INPUTS = ("seed=8", "optimizer.learning_rate=0.01", "schedule=cosine", "optimizer.weight_decay=0.3",
          "training.label_smoothing=0.1", "model.dropout=0.5")  # fmt: skip
OTHERS = ("optimizer.beta_1=0.8", "model.dropout=0", "training.gradient_clip_norm=1", "precision=bfloat16",
          "preprocessing=standardize", "augmentation=cutout", "training.ema_decay=0.9")  # fmt: skip


@pytest.fixture(autouse=True)
def no_graphs() -> None:
    graphs._graphs.clear()


def trained(digits: Dataset, *overrides: str, chunk: int = 1, use_xla: bool = False) -> tuple[list[np.ndarray], int]:
    """Train two epochs; return the weights with the predictions, and how many graphs of steps that took."""
    with mock.patch.object(Steps, "_trace", autospec=True, side_effect=Steps._trace) as traced:
        trainer = trainer_for(compose(*overrides), digits, use_xla)
        trainer._chunk = chunk
        losses(trainer, 2)
        return [*trainer.model.get_weights(), trainer.predict(digits.test_images[:50])], traced.call_count


def test_runs_that_differ_in_inputs_share_a_graph_and_have_the_weights_of_their_own(digits: Dataset) -> None:
    base = (*BASE, "augmentation=mixup")
    first, traces = trained(digits, *base)
    assert traces == 2  # full batches, and the last one
    results = [first]
    for changed in range(1, len(INPUTS) + 1):
        shared, traces = trained(digits, *base, *INPUTS[:changed])
        assert traces == 0
        assert not np.array_equal(shared[0], results[-1][0]), INPUTS[:changed]
        results.append(shared)
    graphs._graphs.clear()
    own, traces = trained(digits, *base, *INPUTS)
    assert traces == 2
    for one, other in zip(results[-1], own, strict=True):
        assert np.array_equal(one, other)


def test_runs_that_differ_otherwise_do_not_share(digits: Dataset) -> None:
    keys = {trainer_for(compose(*BASE, *override), digits).steps._key for override in [(), *((one,) for one in OTHERS)]}
    assert len(keys) == len(OTHERS) + 1


@pytest.mark.parametrize("use_xla", [False, True])
def test_xla_compiles_for_a_number_of_images(use_xla: bool, digits: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = []
    for count in (300, 301):  # as many steps
        monkeypatch.setattr(trainers, "COUNT", count)
        steps = trainer_for(compose(*BASE), digits, use_xla).steps
        keys.append(steps._key)
    assert (keys[0] == keys[1]) == (not use_xla)


def test_two_trainers_at_a_time_do_not_disturb_each_other(digits: Dataset) -> None:
    alone = [trained(digits, *BASE, f"seed={seed}")[0] for seed in (1, 2)]
    trainers = [trainer_for(compose(*BASE, f"seed={seed}"), digits) for seed in (1, 2)]
    for _ in range(2):
        for trainer in trainers:
            losses(trainer, 1)
    for trainer, expected in zip(trainers, alone, strict=True):
        for weight, other in zip(trainer.model.get_weights(), expected[:-1], strict=True):
            assert np.array_equal(weight, other)


def test_a_graph_keeps_no_images_and_no_weights_of_a_run(digits: Dataset) -> None:
    trainer = trainer_for(compose(*BASE), digits)
    losses(trainer, 1)
    kept = [
        weakref.ref(trainer.steps._gradients.inputs.images),
        *(weakref.ref(variable.value) for variable in trainer.steps.variables),
    ]
    kept += [weakref.ref(variable.value.handle) for variable in trainer.steps.variables]
    assert graphs._graphs
    del trainer
    gc.collect()
    assert [reference() for reference in kept] == [None] * len(kept)


def test_the_graphs_used_last_are_kept() -> None:
    made = []
    with (
        mock.patch.object(graphs, "Graph"),
        mock.patch.object(gc, "unfreeze") as freed,
    ):
        for key in (*range(graphs.KEPT), 0, graphs.KEPT, 0, 1):
            graphs.shared(key, lambda key=key: made.append(key), [])  # type: ignore[misc]
    assert made == [*range(graphs.KEPT), graphs.KEPT, 1]  # 1 was used before all others when one more came
    assert len(graphs._graphs) == graphs.KEPT
    assert freed.call_count == 2


def test_xla_compiles_a_run_once(digits: Dataset) -> None:
    """XLA compiles for shapes and for values that it must know; no value of a call is one of these."""
    assert COUNT % 64
    assert trained(digits, *BASE, use_xla=True)[1] == 1
    steps = trainer_for(compose(*BASE), digits, use_xla=True).steps
    size, rows = steps._batch_size, steps._rows
    graph = tf.function(steps._chunk, jit_compile=True)
    compiled = set()
    for first, number, count in ((0, rows, size), (7, 1, size), (9, 3, 12)):
        batches, rates = tf.zeros((rows, size), tf.int32), tf.zeros(rows)
        calls = tf.constant(first, tf.int64), tf.constant(number), tf.constant(count)
        compiled.add(graph.experimental_get_compiler_ir(steps._gradients.inputs, batches, rates, *calls)(stage="hlo"))
    assert len(compiled) == 1
