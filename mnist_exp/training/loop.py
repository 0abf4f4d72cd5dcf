"""The training loop: epochs in chunks of steps, and a state to resume from after any chunk."""

import time
from collections.abc import Callable, Mapping

import keras
import numpy as np
import tensorflow as tf

from mnist_exp.config.schema import shift_count
from mnist_exp.errors import DivergenceError
from mnist_exp.models import averaging
from mnist_exp.runs import evaluation
from mnist_exp.runs.history import Epoch
from mnist_exp.training.average import assign, values
from mnist_exp.training.prediction import Predictor
from mnist_exp.training.schedules import steps_per_epoch
from mnist_exp.training.steps import Steps

# After each chunk of steps the graph returns to Python: often enough for a live display and for Ctrl-C within a second,
# seldom enough that the return costs nothing.
CHUNK_SECONDS = 0.25
MAX_CHUNK = 1000  # steps
BEST = "best/"  # prefix of the remembered weights in a state
DIVERGENCE_REMEDY = "lower optimizer.learning_rate, or warm up with schedule.warmup_epochs=1"

Progress = Callable[[int, int, float, float], None]  # epoch, images seen in it, their mean loss, their error in percent
Stop = Callable[[], bool]  # whether to stop after the current chunk of steps


class Trainer:
    """A model in training. Its state: all variables, the finished epochs, and the finished steps of the current epoch."""

    def __init__(self, steps: Steps, learning_rates: np.ndarray, batch_size: int, seed: int, key: str) -> None:
        """Start at the first step.

        Args:
            steps: the graph that trains the model.
            learning_rates: of each step, float32 (steps_per_epoch * epochs,).
            batch_size: the last batch of an epoch contains the remaining images.
            seed: determines, with the number of the epoch, the order of the images.
            key: of the graph that predicts; the same for runs with the same model.
        """
        self.model = self.final_model = steps.model  # `predict` returns the probabilities of the final one
        self.steps = steps
        self.learning_rates = learning_rates
        self.steps_per_epoch = steps_per_epoch(steps.image_count, batch_size)
        self.epoch = 0  # finished ones
        self.step = 0  # finished ones of the current epoch
        self._sums = np.zeros(4)  # of the current epoch: loss over images, errors, seconds of training, seconds of compiling
        self._best: list[tf.Tensor | np.ndarray] = []
        self._batch_size = batch_size
        self._seed = seed
        self._key = key
        self._chunk = 1
        self._predict = Predictor(self.model, steps.towers, key=key, use_xla=steps.use_xla)
        self._max_shift = 0  # of the images whose probabilities are averaged, if not by the graph of `final_model`

    def run_epoch(
        self, validation_images: np.ndarray, validation_labels: np.ndarray, progress: Progress, stop: Stop
    ) -> Epoch | None:
        """Train the remaining steps of an epoch and evaluate the model on the validation images, if there are any.

        Calls `progress` and `stop` after each chunk of steps. Returns None if stopped before the last step.

        Raises:
            DivergenceError: the loss or a weight is no longer finite.
        """
        if not self._train_epoch(progress, stop):
            return None
        validation = {}
        if len(validation_labels):
            self._compile(self._predict.compile)
            with self.steps.average.applied():
                validation = evaluation.score(self.predict(validation_images), validation_labels)
        count, (loss, errors, seconds, compile_seconds) = self.steps.image_count, self._sums
        return Epoch(
            epoch=self.epoch,
            learning_rate=float(self.learning_rates[self.epoch * self.steps_per_epoch - 1]),
            train_loss=float(loss / count),
            train_error_percent=float(100 * errors / count),
            validation_loss=validation.get("loss"),
            validation_error_percent=validation.get("error_percent"),
            seconds=float(seconds),
            images_per_second=float(count / seconds),
            compile_seconds=float(compile_seconds),
        )

    def _train_epoch(self, progress: Progress, stop: Stop) -> bool:
        """Train the remaining steps of an epoch; return False if stopped before the last."""
        count, size = self.steps.image_count, self._batch_size
        order = np.random.default_rng([self._seed, self.epoch]).permutation(count).astype(np.int32)
        full = count // size
        batches = order[: full * size].reshape(full, size)
        if self.step == 0:
            self._sums = np.zeros(4)
        while self.step < self.steps_per_epoch:
            if self.step < full:
                self._run_chunk(batches[self.step : self.step + self._chunk])
            else:  # the last batch, of the remaining images
                self._run_chunk(order[full * size :][np.newaxis])
            seen = min(self.step * size, count)
            progress(self.epoch + 1, seen, self._sums[0] / seen, 100 * self._sums[1] / seen)
            if stop() and self.step < self.steps_per_epoch:
                self._check_weights()
                return False
        self._check_weights()
        self.epoch, self.step = self.epoch + 1, 0
        return True

    def _run_chunk(self, batches: np.ndarray) -> None:
        """Do a step for each row of image indices, int32 (steps, batch_size)."""
        self._compile(lambda: self.steps.compile(batches.shape[1]))
        start = time.perf_counter()
        first = self.epoch * self.steps_per_epoch + self.step
        losses, errors = self.steps(batches, self.learning_rates[first : first + len(batches)], first)
        if not np.isfinite(losses).all():
            bad = int(np.argmin(np.isfinite(losses)))
            raise self._divergence(f"the loss is {losses[bad]} in", self.epoch + 1, self.step + bad + 1)
        seconds = time.perf_counter() - start
        for loss, wrong in zip(losses, errors, strict=True):  # one by one: the sum does not depend on the length of chunks
            self._sums[:2] += (loss, wrong)
        self._sums[2] += seconds
        self.step += len(batches)
        self._chunk = min(max(int(CHUNK_SECONDS * len(batches) / seconds), 1), MAX_CHUNK)

    def _compile(self, compile_graph: Callable[[], bool]) -> None:
        """Count the seconds of compiling, unless the graph was there."""
        start = time.perf_counter()
        if compile_graph():
            self._sums[3] += time.perf_counter() - start

    def _check_weights(self) -> None:
        """Check the last step's update, which no loss depends on yet."""
        weights = [*self.model.weights, *self.steps.average.variables]
        finite = tf.stack([tf.reduce_all(tf.math.is_finite(weight)) for weight in weights]).numpy()  # waits for a GPU once
        if not finite.all():
            raise self._divergence(f"{weights[np.argmin(finite)].path} is not finite in", self.epoch + 1, self.step)

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Return class probabilities, float32 (n, classes), of uint8 images (n, height, width, channels), n ≥ 1.

        Raises:
            DivergenceError: a probability is not finite, because the weights have grown too large.
        """
        probabilities = self._predict(images, self._max_shift)
        if not np.isfinite(probabilities).all():
            raise self._divergence("the model's output is not finite after", self.epoch, self.steps_per_epoch)
        return probabilities

    @staticmethod
    def _divergence(symptom: str, epoch: int, step: int) -> DivergenceError:
        return DivergenceError(f"training diverged: {symptom} epoch {epoch}, step {step}", DIVERGENCE_REMEDY)

    def remember_best(self) -> None:
        """Remember the weights as they would be evaluated now, for `select_weights`."""
        self._best = self.steps.average.weights()

    def select_weights(self, select: str) -> None:
        """Give the model the weights to evaluate and save: the remembered ones (`best`) or the current ones (`last`)."""
        if select == "best":
            assign(self.model.weights, self._best)
        else:
            self.steps.average.apply()

    def average_over_shifts(self, most: int) -> None:
        """Make `predict` return the mean over all shifts of an image by up to `most` pixels."""
        if most:
            self.final_model = averaging.over_shifts(self.model, most)
        if most and self.steps.use_xla:
            self._max_shift = most
        elif most:
            self._predict = Predictor(self.final_model, self.steps.towers, shift_count(most), self._key)

    def state(self) -> dict[str, tf.Tensor | np.ndarray]:
        """Return everything that the rest of the training depends on, by name; what is on the device stays there."""
        variables = self._variables()
        state = dict(zip(variables, values(variables.values()), strict=True))
        state |= {f"{BEST}{index:03d}": weight for index, weight in enumerate(self._best)}
        return state | {"position": np.array([self.epoch, self.step]), "sums": self._sums.copy()}

    def restore(self, state: Mapping[str, tf.Tensor | np.ndarray]) -> None:
        """Continue from a state, as returned by `state`, or from copies of its tensors.

        Raises:
            KeyError, ValueError: the state belongs to another model or optimizer.
        """
        state = dict(state)
        self._best = [state.pop(name) for name in list(state) if name.startswith(BEST)]
        position, sums = state.pop("position"), state.pop("sums")
        self._sums = np.pad(sums, (0, 4 - len(sums)))  # earlier versions had no seconds of compiling
        self.epoch, self.step = map(int, position)
        variables = self._variables()
        shapes = {name: tuple(variable.shape) for name, variable in variables.items()}
        if shapes != {name: tuple(array.shape) for name, array in state.items()}:
            raise ValueError("the state belongs to another model or optimizer")
        assign(variables.values(), [state[name] for name in variables])

    def _variables(self) -> dict[str, keras.Variable]:
        # `model.variables` includes the statistics of batch norm and the state of random layers, which files of Keras omit.
        # Paths repeat: the index makes the name unique.
        owners = {"model": self.model, "optimizer": self.steps.optimizer, "average": self.steps.average}
        return {
            f"{name}/{index:03d}/{variable.path}": variable
            for name, owner in owners.items()
            for index, variable in enumerate(owner.variables)
        }
