"""Images that are not digits: letters, scribbles, empty fields, parts of digits.

A network that was trained on digits assigns each image to one of them, often with a high probability. So a small second
network is trained to distinguish digits from other images (outlier exposure: Hendrycks, Mazeika and Dietterich 2019, "Deep
Anomaly Detection with Outlier Exposure", arXiv:1812.04606). Its inputs are the activations of the run's own network, and its
other images are made of digits, strokes and blots: no letters are among them.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from mnist_exp.prediction.normalization import SIDE, normalize

HIDDEN = 64  # neurons
EPOCHS, BATCH, LEARNING_RATE, DECAY = 5, 400, 3e-3, 1e-4
UPRIGHT_ONLY = (2, 3, 4, 5, 6, 7, 9)  # digits that are none when they are mirrored; turned, only a 0 is still one


@dataclass(frozen=True, eq=False)
class Detector:
    """A network of one hidden layer; the score is larger for images that are not digits."""

    mean: np.ndarray  # float32 (features,)
    scale: np.ndarray  # float32 (features,)
    hidden: np.ndarray  # float32 (features + 1, HIDDEN), the last row is the bias
    output: np.ndarray  # float32 (HIDDEN + 1,)

    def scores(self, features: np.ndarray) -> np.ndarray:
        """Return the score of each image, float64 (n,), from the activations of the run's network (n, features)."""
        activations = _forward(_with_one((features - self.mean) * self.scale), self.hidden)
        return np.asarray(_with_one(activations) @ self.output, np.float64)


def train_detector(digits: np.ndarray, others: np.ndarray, seed: int) -> Detector:
    """Train on features of digits and of other images, float32 (n, features), with Adam and the logistic loss."""
    mean, scale = digits.mean(axis=0), 1 / (digits.std(axis=0) + 1e-2)
    inputs = _with_one((np.concatenate([digits, others]) - mean) * scale)
    targets = np.repeat(np.array([0, 1], np.float32), [len(digits), len(others)])
    rng = np.random.default_rng(seed)
    deviation = np.sqrt(2 / inputs.shape[1])
    weights = [
        rng.normal(scale=deviation, size=(inputs.shape[1], HIDDEN)).astype(np.float32),
        np.zeros(HIDDEN + 1, np.float32),
    ]
    first = [np.zeros_like(one) for one in weights]
    second = [np.zeros_like(one) for one in weights]
    step = 0
    for _ in range(EPOCHS):
        order = rng.permutation(len(inputs))
        for start in range(0, len(order), BATCH):
            batch = order[start : start + BATCH]
            step += 1
            gradients = _gradients(inputs[batch], targets[batch], *weights)
            for index, gradient in enumerate(gradients):
                first[index] += 0.1 * (gradient - first[index])
                second[index] += 0.001 * (gradient**2 - second[index])
                change = first[index] / (1 - 0.9**step) / (np.sqrt(second[index] / (1 - 0.999**step)) + 1e-7)
                weights[index] -= LEARNING_RATE * (change + DECAY * weights[index])
    return Detector(mean.astype(np.float32), scale.astype(np.float32), *weights)


def _with_one(values: np.ndarray) -> np.ndarray:
    return np.concatenate([values, np.ones((len(values), 1), values.dtype)], axis=1)


def _forward(inputs: np.ndarray, hidden: np.ndarray) -> np.ndarray:
    return np.asarray(np.maximum(inputs @ hidden, 0))


def _gradients(
    inputs: np.ndarray, targets: np.ndarray, hidden: np.ndarray, output: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    activations = _forward(inputs, hidden)
    extended = _with_one(activations)
    error = (1 / (1 + np.exp(-(extended @ output).clip(-30, 30))) - targets) / len(targets)
    back = np.outer(error, output[:-1]) * (activations > 0)
    return inputs.T @ back, extended.T @ error


def other_images(images: np.ndarray, labels: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Make images that are not digits, but have the form of MNIST's.

    Args:
        images: uint8 (n, 28, 28) of digits.
        labels: integers (n,).

    Returns:
        uint8 (count, 28, 28): mirrored and turned digits, halves of two digits, one digit over another, parts of digits,
        strokes, blots and noise.
    """
    rng = np.random.default_rng(seed)
    turned = np.flatnonzero(np.isin(labels, UPRIGHT_ONLY))
    makers = (_mirrored, _turned, _halves, _overlaid, _part, _strokes, _strokes, _blot)
    made = np.zeros((count, SIDE, SIDE), np.uint8)
    for index in range(count):
        maker = makers[index % len(makers)]
        chosen = turned if maker in (_mirrored, _turned) else np.arange(len(images))
        first, second = images[rng.choice(chosen, 2)]
        made[index] = normalize(maker(first, second, rng))
    return made


def _mirrored(first: np.ndarray, _: np.ndarray, __: np.random.Generator) -> np.ndarray:
    return first[:, ::-1]


def _turned(first: np.ndarray, _: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.rot90(first, rng.choice((1, 3)))


def _halves(first: np.ndarray, second: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    cut = rng.integers(11, 18)
    if rng.random() < 0.5:
        return np.concatenate([first[:cut], second[cut:]])
    return np.concatenate([first[:, :cut], second[:, cut:]], axis=1)


def _overlaid(first: np.ndarray, second: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.asarray(np.maximum(first, np.roll(second, rng.integers(-6, 7, 2), (0, 1))))


def _part(first: np.ndarray, _: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    start, axis = rng.integers(10, 18), rng.integers(2)
    rest = np.moveaxis(first.copy(), axis, 0)
    rest[: start if rng.random() < 0.5 else -start] = 0
    return np.moveaxis(rest, 0, axis)


def _strokes(_: np.ndarray, __: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return two to four lines, corners and arcs, as letters and signs have them."""
    image = Image.new("L", (80, 80))
    pen, width = ImageDraw.Draw(image), int(rng.integers(5, 13))
    for _stroke in range(rng.integers(2, 5)):
        if rng.random() < 0.6:
            corners = [tuple(corner) for corner in rng.integers(10, 70, (rng.integers(2, 4), 2)).tolist()]
            pen.line(corners, fill=255, width=width, joint="curve")
        else:
            left, top = rng.integers(8, 40, 2).tolist()
            right, bottom = (np.array([left, top]) + rng.integers(15, 32, 2)).tolist()
            start = int(rng.integers(360))
            pen.arc((left, top, right, bottom), start, start + int(rng.integers(90, 360)), fill=255, width=width)
    return np.asarray(image)


def _blot(_: np.ndarray, __: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return blots of any size, down to noise."""
    smooth = ndimage.gaussian_filter(rng.normal(size=(40, 40)), rng.uniform(0.3, 5))
    return np.asarray(smooth > np.quantile(smooth, rng.uniform(0.5, 0.95)))
