"""The graph of training: chunks of steps, over images that are stored on the device as uint8."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from mnist_exp.config.schema import TrainingConfig
from mnist_exp.training.augmentation import Augmentation, mix, next_in_batch
from mnist_exp.training.average import Average
from mnist_exp.training.device import Device
from mnist_exp.training.forward import Forward


class Steps:
    """Steps of an optimizer, each over one batch, any number in one call."""

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
        self.graphs: dict[int, Any] = {}  # by batch size, each built at the first call
        optimizer.build(self._variables)

    def __call__(self, batches: np.ndarray, learning_rates: np.ndarray, first: int) -> tuple[np.ndarray, np.ndarray]:
        """Do one step for each batch.

        Args:
            batches: indices of images, int32 (steps, batch_size).
            learning_rates: float32 (steps,).
            first: the number of the first step, counted from the start of the training.

        Returns:
            The sum of the losses, float32 (steps,), and the number of errors, int32 (steps,), of each batch.
        """
        size = batches.shape[1]
        if size not in self.graphs:
            types = [tf.TensorSpec([None, size], tf.int32), tf.TensorSpec([None], tf.float32), tf.TensorSpec([], tf.int64)]
            traced = tf.function(self._chunk, input_signature=types, jit_compile=self.use_xla)
            self.graphs[size] = traced.get_concrete_function()
        arguments = tf.constant(batches), tf.constant(learning_rates), tf.constant(first, tf.int64)
        losses, errors = self.graphs[size](*arguments)
        return losses.numpy(), errors.numpy()

    def _chunk(self, batches: tf.Tensor, learning_rates: tf.Tensor, first: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        steps = tf.shape(batches)[0]
        losses, errors = tf.TensorArray(tf.float32, steps), tf.TensorArray(tf.int32, steps)
        # AutoGraph converts this loop only: converting Keras's calls would take as long as building their graph.
        gradients_of = tf.autograph.experimental.do_not_convert(self._gradients)
        for step in tf.range(steps):
            loss, wrong, gradients = gradients_of(batches[step], first + tf.cast(step, tf.int64))
            self.optimizer.learning_rate.assign(learning_rates[step])
            self.optimizer.apply(gradients, self._variables)
            self.average.update(self.optimizer.iterations)
            losses, errors = losses.write(step, loss), errors.write(step, wrong)
        return losses.stack(), errors.stack()

    def _gradients(self, batch: tf.Tensor, step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, list[tf.Tensor]]:
        """Return the sum of the losses, the number of errors, and the gradient of the mean loss, added over the towers."""
        count, variables = batch.shape[0], self._variables
        towers = min(self.towers, count)
        parts = [slice(count * tower // towers, count * (tower + 1) // towers) for tower in range(towers)]
        images, targets = self._examples(batch, step, parts)
        losses, errors, gradients = [], [], []
        for tower, part in enumerate(parts):
            labels = tf.gather(self._labels, batch[part])
            with tf.GradientTape() as tape:
                logits = tf.cast(self._forward(images[tower], step * self.towers + tower), tf.float32)
                loss = tf.reduce_sum(self._losses(labels, None if targets is None else targets[part], logits))
                share = self.optimizer.scale_loss(loss / count)  # small gradients would vanish in float16
            gradients.append(tape.gradient(share, variables))
            losses.append(loss)
            errors.append(tf.math.count_nonzero(tf.argmax(logits, axis=1, output_type=tf.int32) != labels, dtype=tf.int32))
        return tf.add_n(losses), tf.add_n(errors), [tf.add_n(parts) for parts in zip(*gradients, strict=True)]

    def _examples(self, batch: tf.Tensor, step: tf.Tensor, parts: list[slice]) -> tuple[list[tf.Tensor], tf.Tensor | None]:
        """Return the images of each tower and, if images are mixed, the targets of the batch, float32 (n, classes)."""
        images = [tf.gather(self._images, batch[part]) for part in parts]
        if self._augmentation is None:
            return images, None
        draws = self._augmentation.draw(step, batch.shape[0])
        images = [self._augmentation.transform(tower, draws.part(part)) for tower, part in zip(images, parts, strict=True)]
        if draws.shares is None:
            return images, None
        mixed = mix(tf.concat(images, axis=0), draws.shares)  # with images of the whole batch, for any number of towers
        labels = tf.one_hot(tf.gather(self._labels, batch), self._classes)
        shares = draws.shares[:, tf.newaxis]
        return [mixed[part] for part in parts], labels * shares + next_in_batch(labels) * (1 - shares)

    def _losses(self, labels: tf.Tensor, targets: tf.Tensor | None, logits: tf.Tensor) -> tf.Tensor:
        """Return the cross-entropy of each image, float32 (n,)."""
        if targets is None and not self._label_smoothing:
            return tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
        targets = tf.one_hot(labels, self._classes) if targets is None else targets
        smooth = targets * (1 - self._label_smoothing) + self._label_smoothing / self._classes
        return tf.nn.softmax_cross_entropy_with_logits(smooth, logits)
