"""The graph of training: chunks of steps, over images that are stored on the device as uint8."""

import contextlib
from collections.abc import Iterator
from functools import cached_property
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from mnist_exp.config.schema import TrainingConfig
from mnist_exp.training.augmentation import Augmentation, Valid, mix, next_in_batch
from mnist_exp.training.average import Average
from mnist_exp.training.device import Device
from mnist_exp.training.forward import Forward, Rate, dropout_rate
from mnist_exp.training.graphs import Graph, shared
from mnist_exp.training.schedules import steps_per_epoch


class Inputs(NamedTuple):
    """The inputs of a graph that are the same for all steps of a run; runs that differ in them share the graph."""

    images: tf.Tensor  # uint8 (n, height, width, channels)
    labels: tf.Tensor  # int32 (n,)
    seed: tf.Tensor  # int64
    weight_decay: tf.Tensor  # float32; 0 for an optimizer without
    smoothing: tuple[tf.Tensor, tf.Tensor]  # float32: the factor of the targets, and what is added to each
    dropout: Rate


class Steps:
    """Steps of an optimizer, each over one batch, any number in one call.

    On a GPU, one compilation serves a whole training: for any number of steps, and for the last, smaller batch of an epoch.
    """

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
        key: str,
    ) -> None:
        """Copy the data to the current device.

        Args:
            model: from `models.build.build_model`.
            optimizer: from `optimizers.build`.
            images: training images, uint8 (n, height, width, channels).
            labels: uint8 (n,).
            augmentation: changes the images at every step.
            training: the settings; label smoothing is that of Szegedy et al. 2015, arXiv:1512.00567, §7.
            seed: determines, with the number of the step, the random numbers of dropout and noise.
            device: computes each batch in its number of towers, whose gradients are added.
            key: of the graph; the same for runs that differ only in `Inputs`, learning rates and numbers of steps.

        Raises:
            ValueError: the model has statistics of whole batches, and there are several towers.
        """
        if device.towers > 1 and model.non_trainable_weights:
            raise ValueError(f"{model.name} keeps statistics of whole batches: train it in one tower")
        self.model = model
        self.optimizer = optimizer
        self.average = Average(model, training.ema_decay)
        self.image_count = len(images)
        self.towers = device.towers
        self.use_xla = device.uses_xla
        self._variables = model.trainable_variables
        self._seed = seed
        self._augmentation = augmentation
        self._classes = model.output.shape[-1]
        self._inputs = Inputs(
            images=tf.constant(images),
            labels=tf.constant(labels.astype(np.int32)),
            seed=tf.constant(seed, tf.int64),
            weight_decay=tf.constant(_inner(optimizer).weight_decay or 0, tf.float32),
            smoothing=(
                tf.constant(1 - training.label_smoothing, tf.float32),
                tf.constant(training.label_smoothing / self._classes, tf.float32),
            ),
            dropout=dropout_rate(model),
        )
        self._graphs: dict[int, Graph] = {}  # by batch size, each from `compile`
        # XLA compiles for shapes: all calls have those of an epoch, whose last batch is padded if it is smaller.
        self._batch_size = min(training.batch_size, len(images))
        self._rows = steps_per_epoch(len(images), self._batch_size)
        self._masks = self.use_xla and len(images) % self._batch_size != 0
        self._key = key, self.towers, len(images) if self.use_xla else None
        optimizer.build(self._variables)

    @cached_property
    def _forward(self) -> Forward:
        with tf.init_scope():  # it may be needed first while a graph is traced
            return Forward(self.model, self._seed, self.use_xla)

    @property
    def variables(self) -> list[keras.Variable]:
        """All variables that a step may change."""
        return [*self.model.variables, *self.optimizer.variables, *self.average.variables]

    def compile(self, size: int) -> bool:
        """Get the graph for batches of a size, and run it without a step; return False if that was done before."""
        size = self._batch_size if self.use_xla else size
        if size in self._graphs:
            return False
        rows = self._rows if self.use_xla else None
        self._graphs[size] = shared((self._key, rows, size), lambda: self._trace(rows, size), self.variables)
        self(np.empty((0, size), np.int32), np.empty(0, np.float32), 0)
        return True

    def _trace(self, rows: int | None, size: int) -> Any:
        """Build the graph for batches of a size, in calls of that many rows, or of any number."""
        own = self._inputs
        images = own.images.shape if self.use_xla else [None, *own.images.shape[1:]]
        inputs = tf.nest.map_structure(lambda tensor: tf.TensorSpec(tensor.shape, tensor.dtype), own)
        types = [
            inputs._replace(images=tf.TensorSpec(images, tf.uint8), labels=tf.TensorSpec(images[:1], tf.int32)),
            tf.TensorSpec([rows, size], tf.int32),
            tf.TensorSpec([rows], tf.float32),
            tf.TensorSpec([], tf.int64),
            tf.TensorSpec([], tf.int32),
            tf.TensorSpec([], tf.int32),
        ]
        return tf.function(self._chunk, input_signature=types, jit_compile=self.use_xla).get_concrete_function()

    def __call__(self, batches: np.ndarray, learning_rates: np.ndarray, first: int) -> tuple[np.ndarray, np.ndarray]:
        """Do one step for each batch, by a graph from `compile`.

        Args:
            batches: indices of images, int32 (steps, batch_size); the last batch of an epoch in a call of its own.
            learning_rates: float32 (steps,).
            first: the number of the first step, counted from the start of the training.

        Returns:
            The sum of the losses, float32 (steps,), and the number of errors, int32 (steps,), of each batch.
        """
        steps, count = batches.shape
        if self.use_xla:
            missing = self._rows - steps
            batches = np.pad(batches, ((0, missing), (0, self._batch_size - count)))
            learning_rates = np.pad(learning_rates, (0, missing))
        losses, errors = self._graphs[batches.shape[1]](
            self.variables,
            self._inputs,
            tf.constant(batches),
            tf.constant(learning_rates),
            tf.constant(first, tf.int64),
            tf.constant(steps, tf.int32),
            tf.constant(count, tf.int32),
        )
        return losses.numpy()[:steps], errors.numpy()[:steps]

    def _chunk(
        self,
        inputs: Inputs,
        batches: tf.Tensor,
        learning_rates: tf.Tensor,
        first: tf.Tensor,
        steps: tf.Tensor,
        count: tf.Tensor,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Do the given number of steps, each with the first `count` images of a row."""
        with self._using(inputs):
            return self._loop(batches, learning_rates, first, steps, count)

    @contextlib.contextmanager
    def _using(self, inputs: Inputs) -> Iterator[None]:
        """Compute with the inputs of a graph in this block."""
        own, optimizer = self._inputs, _inner(self.optimizer)
        weight_decay = optimizer.weight_decay
        try:
            self._set(inputs)
            optimizer.weight_decay = None if weight_decay is None else inputs.weight_decay
            yield
        finally:
            self._set(own)
            optimizer.weight_decay = weight_decay

    def _set(self, inputs: Inputs) -> None:
        self._inputs = inputs
        self._forward.seed, self._forward.rate = inputs.seed, inputs.dropout
        if self._augmentation is not None:
            self._augmentation.seed = inputs.seed

    def _loop(
        self, batches: tf.Tensor, learning_rates: tf.Tensor, first: tf.Tensor, steps: tf.Tensor, count: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        rows = tf.shape(batches)[0]
        losses, errors = tf.TensorArray(tf.float32, rows), tf.TensorArray(tf.int32, rows)
        # AutoGraph converts this loop only: converting Keras's calls would take as long as building their graph. `while`
        # instead of `for`: XLA compiles the end of a range again for each value.
        gradients_of = tf.autograph.experimental.do_not_convert(self._gradients)
        step = tf.constant(0)
        while step < steps:
            loss, wrong, gradients = gradients_of(batches[step], first + tf.cast(step, tf.int64), count)
            self.optimizer.learning_rate.assign(learning_rates[step])
            self.optimizer.apply(gradients, self._variables)
            self.average.update(self.optimizer.iterations)
            losses, errors = losses.write(step, loss), errors.write(step, wrong)
            step += 1
        return losses.stack(), errors.stack()

    def _gradients(
        self, batch: tf.Tensor, step: tf.Tensor, count: tf.Tensor | None = None
    ) -> tuple[tf.Tensor, tf.Tensor, list[tf.Tensor]]:
        """Return the sum of the losses, the number of errors, and the gradient of the mean loss, added over the towers."""
        size, variables = batch.shape[0], self._variables
        towers = min(self.towers, size)
        parts = [slice(size * tower // towers, size * (tower + 1) // towers) for tower in range(towers)]
        valid = Valid(count, size) if self._masks and count is not None else None
        images, targets = self._examples(batch, step, parts, valid)
        losses, errors, gradients = [], [], []
        for tower, part in enumerate(parts):
            labels = tf.gather(self._inputs.labels, batch[part])
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

    def _examples(
        self, batch: tf.Tensor, step: tf.Tensor, parts: list[slice], valid: Valid | None = None
    ) -> tuple[list[tf.Tensor], tf.Tensor | None]:
        """Return the images of each tower and, if images are mixed, the targets of the batch, float32 (n, classes)."""
        images = [tf.gather(self._inputs.images, batch[part]) for part in parts]
        if self._augmentation is None:
            return images, None
        draws = self._augmentation.draw(step, batch.shape[0], valid)
        images = [self._augmentation.transform(tower, draws.part(part)) for tower, part in zip(images, parts, strict=True)]
        if draws.shares is None:
            return images, None
        # With images of the whole batch, for any number of towers.
        mixed = mix(tf.concat(images, axis=0), draws.shares, valid)
        labels = tf.one_hot(tf.gather(self._inputs.labels, batch), self._classes)
        shares = draws.shares[:, tf.newaxis]
        return [mixed[part] for part in parts], labels * shares + next_in_batch(labels, valid) * (1 - shares)

    def _losses(self, labels: tf.Tensor, targets: tf.Tensor | None, logits: tf.Tensor) -> tf.Tensor:
        """Return the cross-entropy of each image, float32 (n,).

        The operation for integer labels has a scatter as gradient, which XLA computes in a loop on a GPU.
        """
        targets = tf.one_hot(labels, self._classes) if targets is None else targets
        factor, share = self._inputs.smoothing
        return tf.nn.softmax_cross_entropy_with_logits(targets * factor + share, logits)


def _inner(optimizer: keras.Optimizer) -> keras.Optimizer:
    """Return the optimizer whose loss is scaled, or the optimizer itself."""
    return getattr(optimizer, "inner_optimizer", optimizer)
