"""One batch in the graph of training: from indices of images to the losses, the errors and the gradients."""

import contextlib
from collections.abc import Iterator
from functools import cached_property
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from mnist_exp.config.schema import TrainingConfig
from mnist_exp.training.augmentation import Augmentation
from mnist_exp.training.device import Device
from mnist_exp.training.forward import Forward, dropout_rate
from mnist_exp.training.layers import Rate
from mnist_exp.training.transforms import Valid, mix, next_in_batch


class Inputs(NamedTuple):
    """The inputs of a graph that are the same for all steps of a run; runs that differ in them share the graph."""

    images: tf.Tensor  # uint8 (n, height, width, channels)
    labels: tf.Tensor  # int32 (n,)
    seed: tf.Tensor  # int64
    weight_decay: tf.Tensor  # float32; 0 for an optimizer without
    smoothing: tuple[tf.Tensor, tf.Tensor]  # float32: the factor of the targets, and what is added to each
    dropout: Rate
    class_weights: tuple[tf.Tensor, ...]  # float32 (classes,): factors of the losses; or none


class Gradients:
    """The gradients of the mean loss of a batch, computed in towers and added."""

    def __init__(
        self,
        model: keras.Model,
        optimizer: keras.Optimizer,
        images: np.ndarray,
        labels: np.ndarray,
        augmentation: Augmentation | None,
        training: TrainingConfig,
        seed: int,
        device: Device,
    ) -> None:
        """Copy the data to the current device.

        Args:
            model: from `models.build.build_model`.
            optimizer: from `optimizers.build`.
            images: training images, uint8 (n, height, width, channels).
            labels: uint8 or uint16 (n,).
            augmentation: changes the images at every step.
            training: the settings; label smoothing is that of Szegedy et al. 2015, arXiv:1512.00567, §7.
            seed: determines, with the number of the step, the random numbers of dropout and noise.
            device: computes each batch in its number of towers, whose gradients are added.

        Raises:
            ValueError: the model has statistics of whole batches, and there are several towers.
        """
        if device.towers > 1 and any(type(layer) is keras.layers.BatchNormalization for layer in model.layers):
            raise ValueError(f"{model.name} keeps statistics of whole batches: train it in one tower")
        self.towers, self.use_xla = device.towers, device.uses_xla
        self.model = model
        self.optimizer = optimizer
        self.image_count = len(images)
        self._augmentation = augmentation
        self._seed = seed
        self._masks = device.uses_xla and len(images) % min(training.batch_size, len(images)) != 0  # a batch is padded
        self._classes = model.output.shape[-1]
        self.inputs = Inputs(
            images=tf.constant(images),
            labels=tf.constant(labels.astype(np.int32)),
            seed=tf.constant(seed, tf.int64),
            weight_decay=tf.constant(_inner(optimizer).weight_decay or 0, tf.float32),
            smoothing=(
                tf.constant(1 - training.label_smoothing, tf.float32),
                tf.constant(training.label_smoothing / self._classes, tf.float32),
            ),
            dropout=dropout_rate(model),
            class_weights=(tf.constant(class_weights(labels, self._classes)),) if training.class_weights != "none" else (),
        )

    @cached_property
    def _forward(self) -> Forward:
        with tf.init_scope():  # it may be needed first while a graph is traced
            return Forward(self.model, self._seed, self.use_xla)

    @contextlib.contextmanager
    def using(self, inputs: Inputs) -> Iterator[None]:
        """Compute with the inputs of a graph in this block."""
        own, optimizer = self.inputs, _inner(self.optimizer)
        weight_decay = optimizer.weight_decay
        try:
            self._set(inputs)
            optimizer.weight_decay = None if weight_decay is None else inputs.weight_decay
            yield
        finally:
            self._set(own)
            optimizer.weight_decay = weight_decay

    def _set(self, inputs: Inputs) -> None:
        self.inputs = inputs
        self._forward.current.seed, self._forward.current.rate = inputs.seed, inputs.dropout
        if self._augmentation is not None:
            self._augmentation.seed = inputs.seed

    def __call__(
        self, batch: tf.Tensor, step: tf.Tensor, count: tf.Tensor | None = None
    ) -> tuple[tf.Tensor, tf.Tensor, list[tf.Tensor]]:
        """Return the sum of the losses, the number of errors, and the gradient of the mean loss, added over the towers.

        Args:
            batch: indices of images, int32 (size,).
            step: its number, an int64 scalar, which no other step of a training has.
            count: the number of valid images of a padded batch, an int32 scalar.
        """
        size, variables = batch.shape[0], self.model.trainable_variables
        towers = min(self.towers, size)
        parts = [slice(size * tower // towers, size * (tower + 1) // towers) for tower in range(towers)]
        valid = Valid(count, size) if self._masks and count is not None else None
        images, targets = self.examples(batch, step, parts, valid)
        losses, errors, gradients = [], [], []
        for tower, part in enumerate(parts):
            labels = tf.gather(self.inputs.labels, batch[part])
            with tf.GradientTape() as tape:
                logits = tf.cast(self._forward(images[tower], step * self.towers + tower, valid), tf.float32)
                each = self._losses(labels, None if targets is None else targets[part], logits)
                loss = tf.reduce_sum(each if valid is None else tf.where(valid.mask, each, 0))
                mean = loss / size if valid is None else loss / tf.cast(count, tf.float32)
                share = self.optimizer.scale_loss(mean)  # small gradients would vanish in float16
            gradients.append(tape.gradient(share, variables))
            losses.append(loss)
            wrong = tf.argmax(logits, axis=1, output_type=tf.int32) != labels
            errors.append(tf.math.count_nonzero(wrong if valid is None else wrong & valid.mask, dtype=tf.int32))
        return tf.add_n(losses), tf.add_n(errors), [tf.add_n(parts) for parts in zip(*gradients, strict=True)]

    def examples(
        self, batch: tf.Tensor, step: tf.Tensor, parts: list[slice], valid: Valid | None = None
    ) -> tuple[list[tf.Tensor], tf.Tensor | None]:
        """Return the images of each tower and, if images are mixed, the targets of the batch, float32 (n, classes)."""
        images = [tf.gather(self.inputs.images, batch[part]) for part in parts]
        if self._augmentation is None:
            return images, None
        draws = self._augmentation.draw(step, batch.shape[0], valid)
        images = [self._augmentation.transform(tower, draws.part(part)) for tower, part in zip(images, parts, strict=True)]
        if draws.shares is None:
            return images, None
        # With images of the whole batch, for any number of towers.
        mixed = mix(tf.concat(images, axis=0), draws.shares, valid)
        labels = tf.one_hot(tf.gather(self.inputs.labels, batch), self._classes)
        shares = draws.shares[:, tf.newaxis]
        return [mixed[part] for part in parts], labels * shares + next_in_batch(labels, valid) * (1 - shares)

    def _losses(self, labels: tf.Tensor, targets: tf.Tensor | None, logits: tf.Tensor) -> tf.Tensor:
        """Return the cross-entropy of each image, times the weight of its class if classes have weights, float32 (n,).

        The operation for integer labels has a scatter as gradient, which XLA computes in a loop on a GPU.
        """
        targets = tf.one_hot(labels, self._classes) if targets is None else targets
        factor, share = self.inputs.smoothing
        losses = tf.nn.softmax_cross_entropy_with_logits(targets * factor + share, logits)
        for weights in self.inputs.class_weights:
            losses *= tf.linalg.matvec(targets, weights)  # of a mixed image, the mean of both weights
        return losses


def class_weights(labels: np.ndarray, classes: int) -> np.ndarray:
    """Return the weight of each class, n / (classes · images of the class), so that all classes have the same sum.

    King & Zeng 2001, "Logistic Regression in Rare Events Data", §4; scikit-learn calls it "balanced". The mean over the
    images is 1. A class without images has the weight 0.

    Args:
        labels: of the training images, integers (n,).
        classes: their number.

    Returns:
        float32 (classes,).
    """
    counts = np.bincount(labels, minlength=classes)
    weights = np.where(counts > 0, len(labels) / (classes * np.maximum(counts, 1)), 0)
    return weights.astype(np.float32)


def _inner(optimizer: keras.Optimizer) -> keras.Optimizer:
    """Return the optimizer whose loss is scaled, or the optimizer itself."""
    return getattr(optimizer, "inner_optimizer", optimizer)
