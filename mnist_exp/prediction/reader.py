"""Read pictures with a completed run: digits with their boxes, answers, probabilities and sets."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cached_property

import keras
import numpy as np

from mnist_exp.datasets import polarity
from mnist_exp.datasets.pictures import UnreadableError, quiet
from mnist_exp.ensemble.completed import CompletedRun
from mnist_exp.ensemble.network import PRECISION, rebuild_completed
from mnist_exp.errors import InputError
from mnist_exp.machine.cores import usable_cores
from mnist_exp.models.activations import activations_model
from mnist_exp.prediction import candidates
from mnist_exp.prediction.candidates import Candidates, Source
from mnist_exp.prediction.doubts import Doubts, learn
from mnist_exp.prediction.normalization import is_flat
from mnist_exp.prediction.reading import Digit, Reading, verdict_of
from mnist_exp.terminal import messages
from mnist_exp.terminal.messages import join_some
from mnist_exp.training.prediction import Predictor

MAX_NAMED = 3  # pictures in a warning
TOP = 3  # most probable classes of a digit
CONFIDENCE = 0.99  # of the sets
MAX_THREADS = 4  # that read pictures; each takes some 100 MB for a large photo
CLEAR = 0.9  # probability of a digit that is not cut, if the run is not calibrated


class Reader:
    """Reads pictures with the network of a run."""

    def __init__(
        self,
        completed: CompletedRun,
        model: keras.Model,
        doubts: Doubts | None,
        confidence: float,
        *,
        single: bool = False,
        keep: bool = False,
        towers: int = 1,
    ) -> None:
        """Set the parts; see `open_reader`.

        Args:
            completed: the run.
            model: its rebuilt network.
            doubts: from `learn`; None: the run is not calibrated.
            confidence: of the sets, such as 0.99.
            single: take each picture as one image of the data set.
            keep: keep the pictures in the readings, for a page.
            towers: parts of a batch that are computed in parallel.
        """
        self.model = model
        self.single = single
        self.keep = keep
        self.confidence = confidence
        self.data = completed.data
        self.doubts = doubts
        self._not_calibrated = completed.not_calibrated
        self.background = getattr(completed.runs[0].experiment.dataset, "background", 0)  # of a user's own images
        self.predictor = Predictor(model, towers, completed.passes)
        self._has_warned = False  # of inverted pictures

    @property
    def why_not_calibrated(self) -> str | None:
        """The reason why digits have no sets; None if they have."""
        if self.doubts is None:
            return self._not_calibrated
        needed = self.doubts.images_needed(self.confidence)
        if self.doubts.images < needed:
            stated = f"{100 * self.confidence:g} %"
            return f"a confidence of {stated} needs {needed:,} held-out images, but the run has {self.doubts.images:,}"
        return None

    @property
    def calibration_remedy(self) -> str:
        """What to do if digits have no sets."""
        if self.doubts is None:
            return "hold out images in every training, for example with dataset.validation=5000"
        needed = self.doubts.images_needed(self.confidence)
        return f"choose a lower confidence, or train with dataset.validation={needed} or more"

    @cached_property
    def _ground(self) -> str | None:
        """The ground of the training images."""
        return polarity.ground(self.data.train_images)

    @cached_property
    def _features(self) -> Predictor:
        return Predictor(activations_model(self.model), 1)

    def read(self, sources: Sequence[tuple[str, Source]]) -> list[Reading | UnreadableError]:
        """Read pictures, all in one batch.

        Args:
            sources: the name of each picture, and its path, the content of its file, or an array, uint8 (height, width),
                (height, width, 1) or (height, width, 3).

        Returns:
            For each picture what was read, or the reason why it cannot be used.
        """
        with quiet(), ThreadPoolExecutor(min(usable_cores(), MAX_THREADS)) as threads:
            found = list(threads.map(self._find, [source for _, source in sources]))
        usable = [one for one in found if not isinstance(one, UnreadableError)]
        names = [name for name, _ in sources]
        self._warn_of_inverted(
            [(name, one.ground) for name, one in zip(names, found, strict=True) if not isinstance(one, UnreadableError)]
        )
        images = [image for one in usable for line in one.lines for ways in line for way in ways for image, _ in way]
        digits = iter(self.answer_images(images))
        return [
            one if isinstance(one, UnreadableError) else self._reading(name, one, digits)
            for (name, _), one in zip(sources, found, strict=True)
        ]

    def _warn_of_inverted(self, pictures: Sequence[tuple[str, str | None]]) -> None:
        """Warn, once, of single pictures whose borders are light where those of the training images are dark, or reverse."""
        if self._has_warned or all(ground is None for _, ground in pictures):
            return
        if inverted := [name for name, ground in pictures if ground and {ground, self._ground} == {"dark", "light"}]:
            self._has_warned = True
            opposite = "light" if self._ground == "dark" else "dark"
            cause = f"{join_some(inverted, MAX_NAMED)}: {opposite} borders, but the training images have {self._ground} ones"
            messages.warning(f"{cause}: if they are inverted, the answers are wrong")

    def _reading(self, name: str, found: Candidates, digits: Iterator[Digit]) -> Reading:
        """Return what was read in a picture, from the answers for all its images."""
        lines = []
        for line in found.lines:
            answered = [[[replace(next(digits), box=box) for _, box in way] for way in ways] for ways in line]
            lines.append([digit for ways in answered for digit in _best(ways)])
        return Reading(name, lines, found.picture if self.keep else None)

    def _find(self, source: Source) -> Candidates | UnreadableError:
        try:
            if self.single:
                return candidates.whole(source, self.data.test_images.shape[1:], self.background)
            return candidates.find(source)
        except UnreadableError as error:
            return error

    def answer_images(self, images: Sequence[np.ndarray]) -> list[Digit]:
        """Return the answers for images in the form of the data set, uint8 (height, width, channels), without boxes."""
        if not images:
            return []
        batch = np.stack(images)
        probabilities = self.predictor(batch).astype(np.float64)
        sets: np.ndarray | None = None
        strange = np.zeros(len(batch), bool)
        if self.doubts is not None:
            probabilities = self.doubts.calibration.calibrate(probabilities)
        if self.doubts is not None and self.why_not_calibrated is None:
            features = None if self.doubts.strangeness is None else self._features(batch)
            sets, strange = self.doubts.decide(probabilities, features, self.confidence)
            if features is not None:
                flat = np.array([is_flat(image[..., 0]) for image in images])
                sets, strange = sets & ~flat[:, None], strange | flat
        names = self.data.class_names
        answers = []
        for index, row in enumerate(probabilities):
            order = np.argsort(-row, kind="stable")
            top = [(names[k], float(row[k])) for k in order[:TOP]]
            chosen = None if sets is None else [names[k] for k in order if sets[index, k]]
            answers.append(Digit((0, 0, 0, 0), images[index], top, chosen, verdict_of(chosen, bool(strange[index]))))
        return answers


def _best(ways: Sequence[Sequence[Digit]]) -> Sequence[Digit]:
    """Return the best way to cut a piece of ink: not at all if that is sure, else the one whose worst digit is the best."""
    whole = ways[0][0]
    if whole.verdict == "sure" or (whole.verdict == "not calibrated" and whole.probability >= CLEAR):
        return ways[0]
    return max(ways, key=lambda way: min(0.0 if digit.verdict == "not a digit" else digit.probability for digit in way))


def open_reader(
    completed: CompletedRun, confidence: float = CONFIDENCE, *, single: bool = False, keep: bool = False, towers: int = 1
) -> Reader:
    """Return a reader with the network of a run, which is calibrated if that is needed. TensorFlow must be started.

    Args:
        completed: the run.
        confidence, single, keep, towers: as for `Reader`.

    Raises:
        InputError: the data set is not handwriting in the form of MNIST's, and `single` is false.
        IntegrityError: the files of the run do not agree.
    """
    if not single and not completed.data.handwriting:
        cause = f"{completed.run.directory}: was trained on {completed.data.name}, not on digits in the form of MNIST's"
        raise InputError(
            cause, "add --single (in Python single=True): each picture is then taken as one image of the data set"
        )
    model = rebuild_completed(completed, PRECISION)
    return Reader(completed, model, learn(completed, model), confidence, single=single, keep=keep, towers=towers)
