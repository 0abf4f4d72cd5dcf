"""Test and validation results from class probabilities and labels.

In all functions: probabilities are float32 (n, classes), labels integers (n,); the predicted class is the most probable one.
"""

import base64
import math
from typing import Any

import numpy as np

from mnist_exp.datasets.dataset import Dataset, Mislabelled
from mnist_exp.machine import files
from mnist_exp.runs.run import Run

Z_95 = 1.959963984540054  # the standard normal's 97.5 % quantile
CALIBRATION_BINS = 15  # as in Guo et al. 2017
MAX_MISTAKES = 50  # the most confident ones that are listed
MANY_CLASSES = 100  # with more, errors.json has no list with a number for each class, or for each pair of classes
MAX_CONFUSIONS = 500  # pairs of classes that are listed


def wilson_interval(errors: float, n: float) -> tuple[float, float]:
    """Return the 95 % confidence interval of an error rate, in percent.

    Wilson 1927, "Probable inference, the law of succession, and statistical inference", JASA 22:209.
    """
    rate = errors / n
    center = (rate + Z_95**2 / (2 * n)) / (1 + Z_95**2 / n)
    half = Z_95 / (1 + Z_95**2 / n) * math.sqrt(rate * (1 - rate) / n + Z_95**2 / (4 * n**2))
    # Exact ends: rounding could exclude the observed rate when nothing or everything is wrong.
    low = 0.0 if errors == 0 else center - half
    high = 1.0 if errors == n else center + half
    return 100 * low, 100 * high


def grouped_error(wrong: np.ndarray, groups: np.ndarray) -> dict[str, Any]:
    """Return n, the number of groups of images; ci95, the interval in percent with groups as units; and design_effect.

    The images of one group, such as a writer, are more alike than others, so n images say as much as n / `design_effect`
    independent ones: Wilson's interval with this number, smaller still for few groups (Korn & Graubard 1998, "Confidence
    intervals for proportions with small expected number of positive counts estimated from survey data", Survey Methodology
    24:193).

    Args:
        wrong: whether each image is classified wrongly, bool (n,).
        groups: the group of each image, int (n,); two groups at least.
    """
    from scipy.special import stdtrit  # only data sets with groups need it

    units, group_of = np.unique(groups, return_inverse=True)
    n, rate, count = len(wrong), float(wrong.mean()), len(units)
    sums = np.bincount(group_of, wrong - rate)
    variance, independent = float(np.square(sums).sum()) * count / (count - 1) / n**2, rate * (1 - rate) / n
    effect = max(variance / independent, 1.0) if independent else 1.0
    size = n / effect * (Z_95 / float(stdtrit(count - 1, 0.975))) ** 2
    return {"n": count, "design_effect": effect, "ci95": list(wilson_interval(rate * size, size))}


def error_rate(errors: int, n: int) -> dict[str, Any]:
    """Return n, errors, error_percent and ci95, the 95 % confidence interval in percent."""
    return {"n": n, "errors": errors, "error_percent": 100 * errors / n, "ci95": list(wilson_interval(errors, n))}


def score(probabilities: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """Return the numbers of summary.json: those of `error_rate`, and `loss`, the mean of −ln p(label), in nats."""
    errors = int(np.count_nonzero(probabilities.argmax(axis=1) != labels))
    chosen = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    smallest = np.finfo(np.float32).tiny  # a probability of 0 would make the loss infinite
    return error_rate(errors, len(labels)) | {"loss": float(-np.log(np.maximum(chosen, smallest)).mean())}


def pack_wrong_images(probabilities: np.ndarray, labels: np.ndarray) -> str:
    """Return which images are classified wrongly: a bit for each, packed by `np.packbits`, in base64."""
    return base64.b64encode(np.packbits(probabilities.argmax(axis=1) != labels).tobytes()).decode()


def confusion_matrix(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return counts, int64 (classes, classes): rows are true classes, columns predicted ones."""
    classes = probabilities.shape[1]
    pairs = labels.astype(np.int64) * classes + probabilities.argmax(axis=1)
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def confusions(matrix: np.ndarray) -> list[dict[str, int]]:
    """Return the pairs of a true and a predicted class that are confused, the most frequent first.

    Args:
        matrix: from `confusion_matrix`.
    """
    wrong = matrix - np.diag(matrix.diagonal())
    order = np.argsort(-wrong, axis=None, kind="stable")[: min(np.count_nonzero(wrong), MAX_CONFUSIONS)]
    pairs = zip(*(places.tolist() for places in np.unravel_index(order, wrong.shape)), strict=True)
    return [{"label": label, "predicted": predicted, "n": int(wrong[label, predicted])} for label, predicted in pairs]


def calibration(probabilities: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """Return the expected calibration error over 15 bins of equal width, and the bins.

    Guo et al. 2017, "On Calibration of Modern Neural Networks", arXiv:1706.04599, eq. 3. A bin contains the images with
    low < confidence ≤ high.
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    correct = probabilities.argmax(axis=1) == labels
    index = np.clip(np.ceil(confidence * CALIBRATION_BINS).astype(int) - 1, 0, CALIBRATION_BINS - 1)
    bins: list[dict[str, Any]] = []
    ece = 0.0
    for number in range(CALIBRATION_BINS):
        inside = index == number
        n, low, high = int(inside.sum()), number / CALIBRATION_BINS, (number + 1) / CALIBRATION_BINS
        means: dict[str, Any] = {"confidence": None, "accuracy": None}
        if n:
            means = {"confidence": float(confidence[inside].mean()), "accuracy": float(correct[inside].mean())}
            ece += n / len(labels) * abs(means["accuracy"] - means["confidence"])
        bins.append({"low": low, "high": high, "n": n} | means)
    return {"ece": ece, "bins": bins}


def worst_mistakes(probabilities: np.ndarray, labels: np.ndarray, mislabelled: Mislabelled | None) -> list[dict[str, Any]]:
    """Return the wrong predictions with the highest confidence, at most 50, the most confident first.

    With many classes, `probabilities` of all classes is None. The key `mislabelled` contains the votes of people who
    rejected the label, the most votes first; otherwise None.
    """
    predicted, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    wrong = np.flatnonzero(predicted != labels)
    worst = []
    for index in map(int, wrong[np.argsort(-confidence[wrong], kind="stable")][:MAX_MISTAKES]):
        votes = None if mislabelled is None else mislabelled.votes.get(index)
        rounded = [round(probability, 6) for probability in probabilities[index].tolist()]
        mistake = {
            "index": index,
            "label": int(labels[index]),
            "predicted": int(predicted[index]),
            "confidence": rounded[predicted[index]],
            "label_probability": rounded[labels[index]],
            "probabilities": rounded if len(rounded) <= MANY_CLASSES else None,
            "mislabelled": None if votes is None else [{"label": label, "votes": n} for label, n in votes.items()],
        }
        worst.append(mistake)
    return worst


def error_report(
    probabilities: np.ndarray, labels: np.ndarray, class_names: tuple[str, ...], mislabelled: Mislabelled | None
) -> dict[str, Any]:
    """Return the content of errors.json."""
    matrix = confusion_matrix(probabilities, labels)
    per_class = [
        {"class": name} | error_rate(int(row.sum() - row[position]), int(row.sum()))
        for position, (name, row) in enumerate(zip(class_names, matrix, strict=True))
        if row.sum()
    ]
    overall, rejected = score(probabilities, labels), None
    if mislabelled is not None:
        images = np.fromiter(mislabelled.votes, np.int64)
        errors = int(np.count_nonzero(probabilities[images].argmax(axis=1) != labels[images]))
        rejected = {"n": len(images), "errors": errors, "source": mislabelled.source}
    return {
        "schema": 1,
        "overall": {key: overall[key] for key in ("n", "errors", "error_percent", "ci95")},
        "negative_log_likelihood": overall["loss"],
        "per_class": per_class,
        "class_names": list(class_names),
        "confusion_matrix": matrix.tolist() if len(matrix) <= MANY_CLASSES else None,
        "confusions": confusions(matrix),
        "calibration": calibration(probabilities, labels),
        "mislabelled": rejected,
        "worst_mistakes": worst_mistakes(probabilities, labels, mislabelled),
    }


def write_results(run: Run, model: Any, data: Dataset, probabilities: np.ndarray) -> dict[str, Any]:
    """Write model.keras, predictions.npz and errors.json, from a Keras model's probabilities of the test images.

    Returns:
        The content of errors.json.

    Raises:
        EnvironmentFailure: a file cannot be written.
    """
    with files.replacing(run.model) as temporary:
        model.save(temporary)
    return write_predictions(run, data, probabilities)


def write_predictions(run: Run, data: Dataset, probabilities: np.ndarray) -> dict[str, Any]:
    """Write predictions.npz and errors.json from probabilities of the test images, and return the content of errors.json.

    Raises:
        EnvironmentFailure: a file cannot be written.
    """
    arrays = {"probabilities": probabilities, "labels": data.test_labels}
    if data.test_groups is not None:
        arrays["image_groups"] = data.test_groups
    files.write_arrays(run.predictions, arrays)
    errors = error_report(probabilities, data.test_labels, data.class_names, data.mislabelled)
    files.write_json(run.errors, errors)
    return errors
