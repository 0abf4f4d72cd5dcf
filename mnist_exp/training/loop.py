"""The training loop: epoch after epoch, each in stretches of steps, and a state to go on from behind any of them."""

import time
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from mnist_exp.errors import DivergenceError
from mnist_exp.models import averaging
from mnist_exp.run import evaluation
from mnist_exp.run.history import Epoch
from mnist_exp.training.augmentation import Augmentation
from mnist_exp.training.average import Average
from mnist_exp.training.prediction import Predictor
from mnist_exp.training.schedules import steps_per_epoch
from mnist_exp.training.steps import Steps

# A stretch is the steps between two returns from the graph to Python: short enough for a live display and Ctrl-C to answer
# within a second, long enough that the return costs nothing.
CHUNK_SECONDS = 0.25
LONGEST_CHUNK = 64  # steps
COMPILED_CHUNK = 32  # steps, always: XLA compiles each length anew
BEST = "best/"  # prefix of the kept weights in a state
DIVERGENCE_REMEDY = "lower optimizer.learning_rate, or warm up with schedule.warmup_epochs=1"

Progress = Callable[[int, int, float, float], None]  # epoch, images seen in it, their mean loss, their error in percent
Stop = Callable[[], bool]  # whether to stop behind the present stretch


class Trainer:
    """A model in training; its state is that of its variables and how far in which epoch it is."""

    def __init__(
        self,
        model: keras.Model,
        optimizer: keras.Optimizer,
        learning_rates: np.ndarray,
        images: np.ndarray,
        labels: np.ndarray,
        batch_size: int,
        augmentation: Augmentation | None,
        label_smoothing: float,
        ema_decay: float | None,
        seed: int,
        towers: int,
        use_xla: bool,
    ) -> None:
        """Move the data to the current device.

        Args:
            model: from `models.build.build_model`.
            optimizer: from `optimizers.build`.
            learning_rates: of each step, float32 (steps_per_epoch * epochs,).
            images: uint8 (n, height, width, channels), to train on.
            labels: uint8 (n,).
            batch_size: the last batch of an epoch holds what is left.
            augmentation: of the images at every step; None for none.
            label_smoothing: share of the target spread evenly over all classes (Szegedy et al. 2015, arXiv:1512.00567, §7).
            ema_decay: of the moving average of the weights, which is evaluated in their place; None for the weights.
            seed: decides, with the number of the epoch, the order of the images, and with that of the step, dropout.
            towers: parts of each batch that are computed side by side, their gradients summed.
            use_xla: whether XLA compiles the steps.

        Raises:
            ValueError: the model has statistics of whole batches, and there are several towers.
        """
        if towers > 1 and model.non_trainable_weights:
            raise ValueError(f"{model.name} keeps statistics of whole batches: train it in one tower")
        self.model = model
        self.optimizer = optimizer
        self.learning_rates = learning_rates
        self.epoch = 0  # how many are done
        self.step = 0  # how many are done in the present epoch
        self._sums = np.zeros(3)  # of the present epoch: loss over images, errors, seconds
        self._batch_size = batch_size
        self._average = Average(model, ema_decay)
        self._best: list[np.ndarray] = []
        self._seed = seed
        self._towers = towers
        self.steps = steps_per_epoch(len(labels), batch_size)
        self._chunk = COMPILED_CHUNK if use_xla else 1
        self._use_xla = use_xla
        self._count = len(labels)
        self._graph = Steps(
            model, optimizer, self._average, images, labels, augmentation, label_smoothing, seed, towers, use_xla
        )
        self.final_model = model  # what `predict` is of
        self._predict = Predictor(model, towers)

    def run_epoch(
        self, validation_images: np.ndarray, validation_labels: np.ndarray, progress: Progress, stop: Stop
    ) -> Epoch | None:
        """Train what is left of an epoch and measure the model on the validation images, if there are any.

        Returns:
            The epoch, or None if it was stopped within.

        Raises:
            DivergenceError: the loss or a weight is not finite any more.
        """
        if not self.train_epoch(progress, stop):
            return None
        validation = None
        if len(validation_labels):
            with self._average.applied():
                validation = evaluation.score(self.predict(validation_images), validation_labels)
        count, (loss, errors, seconds) = self._count, self._sums
        return Epoch(
            epoch=self.epoch,
            learning_rate=float(self.learning_rates[self.epoch * self.steps - 1]),
            train_loss=float(loss / count),
            train_error_percent=float(100 * errors / count),
            validation_loss=None if validation is None else validation["loss"],
            validation_error_percent=None if validation is None else validation["error_percent"],
            seconds=float(seconds),
            images_per_second=float(count / seconds),
        )

    def train_epoch(self, progress: Progress, stop: Stop) -> bool:
        """Train on every image once, or on what is left of an epoch, in an order that the seed and the epoch alone decide.

        Returns:
            Whether the epoch is done; False if it was stopped.

        Raises:
            DivergenceError: the loss or a weight is not finite any more.
        """
        order = np.random.default_rng([self._seed, self.epoch]).permutation(self._count).astype(np.int32)
        full = len(order) // self._batch_size
        batches = order[: full * self._batch_size].reshape(full, self._batch_size)
        if self.step == 0:
            self._sums = np.zeros(3)
        while self.step < self.steps:
            if self.step < full:
                self._run(batches[self.step : self.step + self._chunk])
            else:  # the last batch holds what is left
                self._run(order[full * self._batch_size :][np.newaxis])
            seen = min(self.step * self._batch_size, len(order))
            progress(self.epoch + 1, seen, self._sums[0] / seen, 100 * self._sums[1] / seen)
            if stop() and self.step < self.steps:
                self._check_weights()
                return False
        self._check_weights()
        self.epoch, self.step = self.epoch + 1, 0
        return True

    def _check_weights(self) -> None:
        """The last step's update, which no loss has seen yet."""
        for weight in [*self.model.weights, *self._average.variables]:
            if not tf.reduce_all(tf.math.is_finite(weight)):
                where = f"in epoch {self.epoch + 1}, step {self.step}"
                raise DivergenceError(f"training diverged: {weight.path} is not finite {where}", DIVERGENCE_REMEDY)

    def _run(self, batches: np.ndarray) -> None:
        """One stretch: a step for each row of indices."""
        began = time.perf_counter()
        first = self.epoch * self.steps + self.step
        rates = self.learning_rates[first : first + len(batches)]
        traced = self._graph.knows(batches.shape[1])
        losses, errors = self._graph(batches, rates, first)
        if not np.isfinite(losses).all():
            bad = int(np.argmin(np.isfinite(losses)))
            where = f"in epoch {self.epoch + 1}, step {self.step + bad + 1}"
            raise DivergenceError(f"training diverged: the loss is {losses[bad]} {where}", DIVERGENCE_REMEDY)
        seconds = time.perf_counter() - began
        for loss, wrong in zip(losses, errors, strict=True):  # one by one: a sum that no length of stretches changes
            self._sums += (loss, wrong, 0)
        self._sums[2] += seconds
        self.step += len(batches)
        if traced and not self._use_xla:  # the first call builds the graph, which says nothing of the next
            self._chunk = min(max(int(CHUNK_SECONDS * len(batches) / seconds), 1), LONGEST_CHUNK)

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Class probabilities, float32 (n, classes), of uint8 images (n, height, width, channels), n ≥ 1.

        Raises:
            DivergenceError: one of them is not finite: the weights have grown too large.
        """
        found = self._predict(images)
        if not np.isfinite(found).all():
            where = f"after epoch {self.epoch}, step {self.steps}"
            raise DivergenceError(f"training diverged: the model's output is not finite {where}", DIVERGENCE_REMEDY)
        return found

    def remember_best(self) -> None:
        """Remember the weights as they are evaluated now; `finish` can return to them."""
        with self._average.applied():
            self._best = self.model.get_weights()

    def select_weights(self, select: str) -> None:
        """Give the model the weights to evaluate and save: those kept last (`best`), or the present ones (`last`)."""
        if select == "best":
            self.model.set_weights(self._best)
        else:
            self._average.apply()

    def average_over_shifts(self, most: int) -> None:
        """From now on `predict` the mean over all shifts of an image by up to so many pixels."""
        if most:
            self.final_model = averaging.over_shifts(self.model, most)
            self._predict = Predictor(self.final_model, self._towers, averaging.shift_count(most))

    def state(self) -> dict[str, np.ndarray]:
        """Everything that decides how training goes on, in memory of its own."""
        state = {name: variable.numpy() for name, variable in self._variables().items()}
        state |= {_best_name(index): weight for index, weight in enumerate(self._best)}
        return state | {"position": np.array([self.epoch, self.step]), "sums": self._sums.copy()}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Go on from where `state` was called.

        Raises:
            ValueError: the state is not one of this model and optimizer.
        """
        state = dict(state)
        kept = sum(name.startswith(BEST) for name in state)
        self._best = [state.pop(_best_name(index)) for index in range(kept)]
        position, self._sums = state.pop("position"), state.pop("sums")
        self.epoch, self.step = map(int, position)
        variables = self._variables()
        shapes = {name: tuple(variable.shape) for name, variable in variables.items()}
        if shapes != {name: array.shape for name, array in state.items()}:
            raise ValueError("the state belongs to another model or optimizer")
        for name, variable in variables.items():
            variable.assign(state[name])

    def _variables(self) -> dict[str, keras.Variable]:
        # `model.variables` holds the weights, the statistics of batch norm, and the state of random layers, which files of
        # Keras omit. Paths repeat, so the position makes the name unique.
        listed = [
            ("model", self.model.variables),
            ("optimizer", self.optimizer.variables),
            ("average", self._average.variables),
        ]
        return {
            f"{owner}/{index:03d}/{variable.path}": variable
            for owner, variables in listed
            for index, variable in enumerate(variables)
        }


def _best_name(index: int) -> str:
    """Of a kept weight in a state."""
    return f"{BEST}{index:03d}"
