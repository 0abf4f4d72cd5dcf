"""Training steps are those of Keras, for every optimizer, network, precision and number of towers."""

import keras
import numpy as np
import pytest

from mnist_exp.datasets.dataset import Dataset
from mnist_exp.training import schedules
from tests.conftest import compose
from tests.integration.trainers import COUNT, EVERY_AUGMENTATION, SMALL_CNN, losses, trainer_for

OPTIMIZERS = ("adam", "adamw", "sgd", "rmsprop", "lion")
# Batch norm of images, of features and of logits, an activation before its convolution, and a projection; that has 16
# channels, since Keras's own gradient for fewer writes past its memory (see `layers.Pointwise`).
SMALL_LAYERS = (
    "[{name:conv,filters:16,kernel_size:5,strides:2,padding:same},{name:batch_norm,momentum:0.9},"
    "{name:residual,layers:[{name:activation},{name:conv,filters:6,kernel_size:3,strides:2,padding:same}]},"
    "{name:average_pool,pool_size:2},{name:flatten},{name:dense,units:8},{name:batch_norm,momentum:0.8},{name:activation},"
    "{name:dropout},{name:logits},{name:batch_norm,momentum:0.9}]"
)
SMALL_MLP = ("model=mlp", "model.units=[16,8]", "training.batch_size=32", "training.epochs=3")
NETWORKS = (
    SMALL_MLP,
    SMALL_CNN,
    ("model=cnn_simple", "model.filters=[4]", "model.units=[8]", "training.batch_size=32", "training.epochs=3"),
    ("model=cnn_tiny", f"model.layers={SMALL_LAYERS}", "training.batch_size=32", "training.epochs=3"),
)
# Every optimizer and its settings on the network with the fastest graph, and every network with one optimizer: an optimizer
# treats every weight in the same way. Adam on the other networks is in bfloat16 below.
VARIANTS = [
    *((network, ("optimizer=sgd",)) for network in NETWORKS[1:]),
    *(
        (SMALL_MLP, variant)
        for variant in (
            ("optimizer=sgd", "optimizer.nesterov=false"),
            ("optimizer=rmsprop",),
            ("optimizer=rmsprop", "optimizer.momentum=0.9"),
            ("optimizer=lion", "optimizer.weight_decay=0.1"),
            ("optimizer=adamw", "optimizer.weight_decay=0.1"),
            ("optimizer=adam", "training.label_smoothing=0.1"),
            ("optimizer=sgd", "training.gradient_clip_norm=0.1"),
        )
    ),
    *(
        (SMALL_CNN, variant)
        for variant in (
            ("model.activation=gelu", "threads.towers=1"),  # it decreases somewhere, so it is applied before pooling
            ("model.activation=elu", "model.pool_size=3", "threads.towers=5"),
        )
    ),
]


@pytest.mark.parametrize(
    ("precision", "network", "variant"),
    [
        *(("float32", *case) for case in VARIANTS),
        *(("bfloat16", SMALL_MLP, (f"optimizer={name}",)) for name in OPTIMIZERS),
        *(("bfloat16", network, ("optimizer=adam",)) for network in NETWORKS[1:]),
    ],
    ids=lambda part: part if isinstance(part, str) else part[0] if part in NETWORKS else " ".join(part),
)
def test_steps_equal_kerass_train_on_batch(
    precision: str, network: tuple[str, ...], variant: tuple[str, ...], digits: Dataset
) -> None:
    """20 steps: the same batches through Keras's own, without dropout, whose masks depend on the number of draws."""
    overrides = (f"precision={precision}", "model.dropout=0", "schedule=cosine", *variant)
    experiment = compose(*network, *overrides)
    ours = trainer_for(experiment, digits)
    before = ours.model.get_weights()
    training = experiment.training

    theirs = keras.models.clone_model(ours.model)
    theirs.set_weights(before)
    settings = experiment.optimizer.model_dump(exclude={"name"}) | {"global_clipnorm": training.gradient_clip_norm}
    class_name = {"adam": "Adam", "adamw": "AdamW", "sgd": "SGD", "rmsprop": "RMSprop", "lion": "Lion"}[
        experiment.optimizer.name
    ]
    theirs.compile(
        optimizer=getattr(keras.optimizers, class_name)(**settings),
        loss=keras.losses.CategoricalCrossentropy(label_smoothing=training.label_smoothing),
        jit_compile=False,
    )
    rates = schedules.learning_rates(experiment.schedule, experiment.optimizer.learning_rate, 10, 3)
    targets = np.eye(10, dtype=np.float32)[digits.train_labels[:COUNT]]
    for step in range(20):
        order = np.random.default_rng([7, step // 10]).permutation(COUNT)
        batch = order[step % 10 * 32 : (step % 10 + 1) * 32]
        theirs.optimizer.learning_rate = rates[step]
        theirs.train_on_batch(digits.train_images[batch], targets[batch])

    losses(ours, 2)
    moved = max(np.abs(now - start).max() for start, now in zip(before, ours.model.get_weights(), strict=True))
    differences = [np.abs(mine - other) for mine, other in zip(ours.model.get_weights(), theirs.get_weights(), strict=True)]
    assert moved > 1e-3
    # Adam, RMSprop and Lion divide by or take the sign of gradients near zero, where the last bit decides: a few weights may
    # differ by whole steps (Lion's, in bfloat16, by several), the bulk may not.
    largest, mean = max(part.max() for part in differences), np.concatenate([part.ravel() for part in differences]).mean()
    assert mean < moved * (1e-5 if precision == "float32" else 2e-2)
    assert largest < moved * (0.02 if precision == "float32" else 1 if experiment.optimizer.name == "lion" else 0.5)


@pytest.mark.parametrize(
    ("network", "variant"),
    [
        *((network, ()) for network in NETWORKS[1:]),
        (SMALL_MLP, EVERY_AUGMENTATION),
    ],
    ids=lambda part: " ".join(part[:1]),
)
def test_steps_compiled_by_xla_are_the_same(network: tuple[str, ...], variant: tuple[str, ...], digits: Dataset) -> None:
    """As on a GPU, where one graph also trains the last, smaller batch of an epoch, padded."""
    found = []
    for compiled in (False, True):
        trainer = trainer_for(
            compose(*network, *variant, "model.dropout=0.3", "optimizer=sgd", "threads.towers=1"), digits, compiled
        )
        found.append((losses(trainer, 2), trainer.model.get_weights()))
    (plain_losses, plain), (compiled_losses, compiled_weights) = found
    assert compiled_losses == [pytest.approx(pair, rel=1e-4) for pair in plain_losses]
    for one, other in zip(plain, compiled_weights, strict=True):
        assert one == pytest.approx(other, rel=1e-4, abs=1e-4)
