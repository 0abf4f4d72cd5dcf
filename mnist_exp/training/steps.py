"""The graph of training: chunks of steps, over images that are stored on the device as uint8."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from mnist_exp.config.schema import TrainingConfig
from mnist_exp.training.augmentation import Augmentation, Valid, mix, next_in_batch
from mnist_exp.training.average import Average
from mnist_exp.training.device import Device
from mnist_exp.training.forward import Forward
from mnist_exp.training.schedules import steps_per_epoch


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
        self._images = tf.constant(images)
        self._labels = tf.constant(labels.astype(np.int32))
        self._augmentation = augmentation
        self._label_smoothing = training.label_smoothing
        self._classes = model.output.shape[-1]
        self._forward = Forward(model, seed, self.use_xla)
        self._graphs: dict[int, Any] = {}  # by batch size, each built by `compile`
        # XLA compiles for shapes: all calls have those of an epoch, whose last batch is padded if it is smaller.
        self._batch_size = min(training.batch_size, len(images))
        self._rows = steps_per_epoch(len(images), self._batch_size)
        self._masks = self.use_xla and len(images) % self._batch_size != 0
        optimizer.build(self._variables)

    def compile(self, size: int) -> bool:
        """Build the graph for batches of a size, and run it without a step; return False if it exists already."""
        size = self._batch_size if self.use_xla else size
        if size in self._graphs:
            return False
        rows = self._rows if self.use_xla else None
        types = [
            tf.TensorSpec([rows, size], tf.int32),
            tf.TensorSpec([rows], tf.float32),
            tf.TensorSpec([], tf.int64),
            tf.TensorSpec([], tf.int32),
            tf.TensorSpec([], tf.int32),
        ]
        traced = tf.function(self._chunk, input_signature=types, jit_compile=self.use_xla)
        self._graphs[size] = traced.get_concrete_function()
        self(np.empty((0, size), np.int32), np.empty(0, np.float32), 0)
        return True

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
            tf.constant(batches),
            tf.constant(learning_rates),
            tf.constant(first, tf.int64),
            tf.constant(steps, tf.int32),
            tf.constant(count, tf.int32),
        )
        return losses.numpy()[:steps], errors.numpy()[:steps]

    def _chunk(
        self, batches: tf.Tensor, learning_rates: tf.Tensor, first: tf.Tensor, steps: tf.Tensor, count: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Do the given number of steps, each with the first `count` images of a row."""
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
            labels = tf.gather(self._labels, batch[part])
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
        images = [tf.gather(self._images, batch[part]) for part in parts]
        if self._augmentation is None:
            return images, None
        draws = self._augmentation.draw(step, batch.shape[0], valid)
        images = [self._augmentation.transform(tower, draws.part(part)) for tower, part in zip(images, parts, strict=True)]
        if draws.shares is None:
            return images, None
        # With images of the whole batch, for any number of towers.
        mixed = mix(tf.concat(images, axis=0), draws.shares, valid)
        labels = tf.one_hot(tf.gather(self._labels, batch), self._classes)
        shares = draws.shares[:, tf.newaxis]
        return [mixed[part] for part in parts], labels * shares + next_in_batch(labels, valid) * (1 - shares)

    def _losses(self, labels: tf.Tensor, targets: tf.Tensor | None, logits: tf.Tensor) -> tf.Tensor:
        """Return the cross-entropy of each image, float32 (n,).

        The operation for integer labels has a scatter as gradient, which XLA computes in a loop on a GPU.
        """
        targets = tf.one_hot(labels, self._classes) if targets is None else targets
        if self._label_smoothing:
            targets = targets * (1 - self._label_smoothing) + self._label_smoothing / self._classes
        return tf.nn.softmax_cross_entropy_with_logits(targets, logits)
