"""Trainings of images of any shape and any number of classes: statistics of channels, weights of classes, every model."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from mnist_exp.datasets import statistics
from mnist_exp.datasets.dataset import Dataset
from mnist_exp.models import preprocessing
from mnist_exp.training import gradients
from tests import synthetic
from tests.conftest import compose
from tests.integration.trainers import SMALL_CNN, losses, trainer_for

SMALL_MLP = ("model.units=[16]", "training.batch_size=32", "training.epochs=3", "threads.towers=1")


def test_standardize_uses_the_statistics_of_each_channel() -> None:
    images = synthetic.dataset(synthetic.COLOR, 3).train_images.copy()
    images[..., 1] //= 3
    images[..., 2] = 9  # one value: no deviation
    layer = preprocessing.build(compose("preprocessing=standardize").preprocessing, images)
    scaled = np.asarray(layer(images), np.float64)
    assert scaled.mean(axis=(0, 1, 2)) == pytest.approx(0, abs=1e-5)
    assert scaled.std(axis=(0, 1, 2)) == pytest.approx([1, 1, 0], abs=1e-5)
    copy = keras.layers.Rescaling.from_config(layer.get_config())  # as in a saved model
    assert np.array_equal(copy(images), layer(images))


@pytest.mark.parametrize("count", [2, 300, 7001])
def test_the_statistics_are_numpys(count: int, digits: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "CHUNK", 10**6)
    images = digits.train_images[:count]
    ((mean, deviation),) = statistics.channel_statistics(digits.train_images, np.arange(count))
    assert mean == images.mean()
    assert deviation == pytest.approx(images.std(), rel=1e-13)
    for ours, numpys in ((1 / deviation, 1 / images.std()), (mean / deviation, images.mean() / images.std())):
        assert np.float32(ours) == np.float32(numpys)  # the numbers that a model computes with


def test_balanced_weights_are_those_of_scikit_learn() -> None:
    """n / (classes · images of the class): 6 images of 3 classes; a class without images has no weight."""
    labels = np.array([0, 0, 0, 2, 2, 3], np.uint16)
    assert gradients.class_weights(labels, 4) == pytest.approx([6 / 12, 0, 6 / 8, 6 / 4])
    assert gradients.class_weights(labels, 4)[labels].sum() == pytest.approx(6 * 3 / 4)


def test_balanced_steps_equal_kerass_with_class_weights(digits: Dataset) -> None:
    experiment = compose(*SMALL_MLP, "training.class_weights=balanced", "training.label_smoothing=0.1", "optimizer=sgd")
    ours = trainer_for(experiment, digits)
    labels = digits.train_labels[:300]
    weights = 300 / (10 * np.bincount(labels))
    theirs = keras.models.clone_model(ours.model)
    theirs.set_weights(ours.model.get_weights())
    theirs.compile(
        optimizer=keras.optimizers.SGD(0.05, momentum=0.9, nesterov=True),
        loss=keras.losses.CategoricalCrossentropy(label_smoothing=0.1),
        jit_compile=False,
    )
    order = np.random.default_rng([7, 0]).permutation(300)
    for start in range(0, 300, 32):
        batch = order[start : start + 32]
        theirs.train_on_batch(
            digits.train_images[batch],
            np.eye(10, dtype=np.float32)[labels[batch]],
            class_weight=dict(enumerate(weights.tolist())),
        )
    losses(ours, 1)
    for mine, other in zip(ours.model.get_weights(), theirs.get_weights(), strict=True):
        assert mine == pytest.approx(other, rel=1e-4, abs=1e-5)


def test_the_weight_of_a_mixed_image_is_the_mixture_of_both_weights(digits: Dataset) -> None:
    overrides = (*SMALL_MLP, "augmentation=mixup", "training.class_weights=balanced")
    trainer = trainer_for(compose(*overrides), digits)
    batch, step = tf.constant([0, 5, 7, 8], tf.int32), tf.constant(0, tf.int64)
    steps = trainer.steps
    (images,), targets = steps._gradients.examples(batch, step, [slice(0, 4)])
    logs = np.log(trainer.predict(images.numpy()).astype(np.float64))
    weights = gradients.class_weights(digits.train_labels[:300], 10)
    expected = -(np.asarray(targets) * logs).sum(axis=1) * (np.asarray(targets) @ weights)
    assert float(steps._gradients(batch, step)[0]) == pytest.approx(expected.sum(), rel=1e-5)


CNN = (*SMALL_CNN, "model.kernel_sizes=[3,2]", "model.units=[32]", "model.dropout=0")


@pytest.mark.parametrize(("shape", "classes", "network"), [(synthetic.COLOR, 47, CNN), ((8, 8, 1), 2, SMALL_MLP)])
def test_images_of_any_shape_are_learned(shape: tuple[int, int, int], classes: int, network: tuple[str, ...]) -> None:
    data = synthetic.dataset(shape, classes)
    settings = ("preprocessing=standardize", "augmentation=flip", "training.class_weights=balanced", "threads.towers=1")
    trainer = trainer_for(compose(*network, *settings, "optimizer.learning_rate=0.02"), data)
    (first, _), (last, _) = losses(trainer, 2)
    assert last < first
    assert trainer.predict(data.test_images).shape == (len(data.test_images), classes)
