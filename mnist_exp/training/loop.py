"""The training loop: images resident as uint8 tensors, whole stretches of steps inside one TensorFlow graph."""

import contextlib
import time
from collections.abc import Callable, Iterator

import keras
import numpy as np
import tensorflow as tf

from mnist_exp import evaluation, models
from mnist_exp.errors import DivergenceError
from mnist_exp.training.history import Epoch
from mnist_exp.training.schedules import steps_per_epoch

# Steps between two returns from the graph to Python: often enough for a live display and Ctrl-C to answer within a
# second, seldom enough that the return costs nothing.
STRETCH = 25
BEST = "best/"  # prefix of the kept weights in a state
PREDICTION_BATCH = 1000
CALM = "lower optimizer.learning_rate, or warm up with schedule.warmup_epochs=1"

Progress = Callable[[int, float, float], None]  # images seen in this epoch, their mean loss, their error in percent


class Trainer:
    """A model in training; its state is the model's and optimizer's variables and the number of epochs done."""

    def __init__(
        self,
        model: keras.Model,
        optimizer: keras.Optimizer,
        learning_rates: np.ndarray,
        images: np.ndarray,
        labels: np.ndarray,
        batch_size: int,
        label_smoothing: float,
        ema_decay: float | None,
        seed: int,
    ) -> None:
        """Move the data to the current device.

        Args:
            model: from `models.build`.
            optimizer: from `optimizers.build`.
            learning_rates: of each step, float32 (steps_per_epoch * epochs,).
            images: uint8 (n, height, width, channels), to train on.
            labels: uint8 (n,).
            batch_size: the last batch of an epoch holds what is left.
            label_smoothing: share of the target spread evenly over all classes (Szegedy et al. 2015, arXiv:1512.00567, §7).
            ema_decay: of the moving average of the weights, which is evaluated in their place; None for the weights.
            seed: with the number of the epoch, decides the order of the images.
        """
        self.model = model
        self.optimizer = optimizer
        self.epoch = 0
        self.learning_rates = learning_rates
        self._batch_size = batch_size
        self._label_smoothing = label_smoothing
        self._ema_decay = ema_decay
        averaged = model.weights if ema_decay is not None else []
        self._averages = [keras.Variable(weight, trainable=False, name=f"average_of_{weight.name}") for weight in averaged]
        self._best: list[np.ndarray] = []
        self._seed = seed
        self._steps = steps_per_epoch(len(labels), batch_size)
        self._images = tf.constant(images)
        self._labels = tf.constant(labels.astype(np.int32))
        self._logits = models.logits_of(model)
        optimizer.build(model.trainable_variables)
        self._train = tf.function(
            self._stretch, input_signature=[tf.TensorSpec([None], tf.int32), tf.TensorSpec([None], tf.float32)]
        )
        self._predict = tf.function(lambda pixels: model(pixels, training=False))

    def train_epoch(self, progress: Progress) -> tuple[float, float, float]:
        """Train on every image once, in an order that depends on the seed and the epoch alone.

        Returns:
            The mean loss and the error in percent over the epoch's batches, and the seconds it took.

        Raises:
            DivergenceError: the loss is not finite any more.
        """
        count = len(self._labels)
        order = np.random.default_rng([self._seed, self.epoch]).permutation(count).astype(np.int32)
        first = self.epoch * self._steps
        loss_sum, errors, seen = 0.0, 0, 0
        began = time.perf_counter()
        for step in range(0, self._steps, STRETCH):
            end = min(step + STRETCH, self._steps)
            stretch = order[step * self._batch_size : end * self._batch_size]
            rates = self.learning_rates[first + step : first + end]
            stretch_loss, stretch_errors = self._train(stretch, rates)
            loss_sum += float(stretch_loss)
            errors += int(stretch_errors)
            seen += len(stretch)
            if not np.isfinite(loss_sum):
                raise DivergenceError(
                    f"training diverged: the loss is {loss_sum} in epoch {self.epoch + 1}, steps {step + 1} to {end}",
                    CALM,
                )
            progress(seen, loss_sum / seen, 100 * errors / seen)
        self.epoch += 1
        return loss_sum / count, 100 * errors / count, time.perf_counter() - began

    def run_epoch(self, validation_images: np.ndarray, validation_labels: np.ndarray, progress: Progress) -> Epoch:
        """Train one epoch and measure it on the validation images, if there are any.

        Raises:
            DivergenceError: the loss or a weight is not finite any more.
        """
        loss, error_percent, seconds = self.train_epoch(progress)
        for weight in self.model.trainable_variables:
            if not tf.reduce_all(tf.math.is_finite(weight)):  # the last step's update, which no loss has seen yet
                raise DivergenceError(f"training diverged: {weight.path} is not finite after epoch {self.epoch}", CALM)
        validation = None
        if len(validation_labels):
            with self._averaged():
                validation = evaluation.score(self.predict(validation_images), validation_labels)
        return Epoch(
            epoch=self.epoch,
            learning_rate=float(self.learning_rates[self.epoch * self._steps - 1]),
            train_loss=loss,
            train_error_percent=error_percent,
            validation_loss=None if validation is None else validation["loss"],
            validation_error_percent=None if validation is None else validation["error_percent"],
            seconds=seconds,
            images_per_second=len(self._labels) / seconds,
        )

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Class probabilities, float32 (n, classes), of uint8 images (n, height, width, channels), n ≥ 1.

        Raises:
            DivergenceError: one of them is not finite: the weights have grown too large.
        """
        starts = range(0, len(images), PREDICTION_BATCH)
        found = np.concatenate([self._predict(images[start : start + PREDICTION_BATCH]).numpy() for start in starts])
        if not np.isfinite(found).all():
            raise DivergenceError(f"training diverged: the model's output is not finite after epoch {self.epoch}", CALM)
        return found

    def keep(self) -> None:
        """Remember the weights as they are evaluated now; `finish` can return to them."""
        with self._averaged():
            self._best = self.model.get_weights()

    def finish(self, select: str) -> None:
        """Give the model the weights to evaluate and save: those kept last (`best`), or the present ones (`last`)."""
        if select == "best":
            self.model.set_weights(self._best)
        elif self._averages:
            self.model.set_weights([average.numpy() for average in self._averages])

    def state(self) -> dict[str, np.ndarray]:
        """Everything that decides how training goes on, the state of the random generators included."""
        state = {name: np.asarray(variable) for name, variable in self._variables().items()}
        return state | {f"{BEST}{index:03d}": weight for index, weight in enumerate(self._best)}

    def restore(self, state: dict[str, np.ndarray], epoch: int) -> None:
        """Continue behind `epoch` from what `state` returned there.

        Raises:
            ValueError: the state is not one of this model and optimizer.
        """
        self._best = [array for name, array in state.items() if name.startswith(BEST)]
        state = {name: array for name, array in state.items() if not name.startswith(BEST)}
        variables = self._variables()
        shapes = {name: tuple(variable.shape) for name, variable in variables.items()}
        if shapes != {name: array.shape for name, array in state.items()}:
            raise ValueError("the state belongs to another model or optimizer")
        for name, variable in variables.items():
            variable.assign(state[name])
        self.epoch = epoch

    def _variables(self) -> dict[str, keras.Variable]:
        # `model.variables` holds the weights, the statistics of batch norm, and the state of dropout's random generators,
        # which files of Keras omit. Paths repeat, so the position makes the name unique.
        listed = [
            ("model", self.model.variables),
            ("optimizer", self.optimizer.variables),
            ("average", self._averages),
        ]
        return {
            f"{owner}/{index:03d}/{variable.path}": variable
            for owner, variables in listed
            for index, variable in enumerate(variables)
        }

    def _stretch(self, order: tf.Tensor, learning_rates: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """One step for each learning rate; returns the sum of the losses and the number of errors."""
        loss_sum, errors = tf.constant(0.0), tf.constant(0)
        for step in tf.range(tf.size(learning_rates)):
            batch = order[step * self._batch_size : (step + 1) * self._batch_size]
            labels = tf.gather(self._labels, batch)
            with tf.GradientTape() as tape:
                logits = tf.cast(self._logits(tf.gather(self._images, batch), training=True), tf.float32)
                losses = self._losses(labels, logits)
                loss = self.optimizer.scale_loss(tf.reduce_mean(losses))  # float16 would lose small gradients
            gradients = tape.gradient(loss, self.model.trainable_variables)
            self.optimizer.learning_rate.assign(learning_rates[step])
            self.optimizer.apply(gradients, self.model.trainable_variables)
            self._average()
            loss_sum += tf.reduce_sum(losses)
            errors += tf.math.count_nonzero(tf.argmax(logits, axis=1, output_type=tf.int32) != labels, dtype=tf.int32)
        return loss_sum, errors

    def _average(self) -> None:
        """Move the averages towards the weights, faster at first, as TensorFlow's ExponentialMovingAverage does."""
        if not self._averages:
            return
        steps = tf.cast(self.optimizer.iterations, tf.float32)
        decay = tf.minimum(self._ema_decay, (1 + steps) / (10 + steps))
        for average, weight in zip(self._averages, self.model.weights, strict=True):
            average.assign(average + (1 - decay) * (weight - average))

    @contextlib.contextmanager
    def _averaged(self) -> Iterator[None]:
        """The model with its averaged weights, if there are any, and afterwards with its own again."""
        own = self.model.get_weights() if self._averages else []
        self.finish("last")
        try:
            yield
        finally:
            if own:
                self.model.set_weights(own)

    def _losses(self, labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        """The cross-entropy of each image, float32 (n,)."""
        if not self._label_smoothing:
            return tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
        classes = logits.shape[-1]
        targets = tf.one_hot(labels, classes) * (1 - self._label_smoothing) + self._label_smoothing / classes
        return tf.nn.softmax_cross_entropy_with_logits(targets, logits)
