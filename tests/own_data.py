"""Writes a small data set of a user's own in each format."""

import gzip
import struct
from pathlib import Path

import numpy as np
from PIL import Image

from mnist_exp.datasets.sources import OwnSet

KINDS = ("folder", "idx", "npz", "csv")
Arrays = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def small(count: int = 24, side: int = 6, classes: int = 3, channels: int = 1) -> Arrays:
    """Random training and test images, sorted by class; those of a class are about as bright."""
    generator = np.random.default_rng(0)
    labels = np.sort(np.arange(count) % classes)
    images = generator.integers(0, 60, (2, count, side, side, channels)) + 60 * labels[:, None, None, None]
    train, test = images.astype(np.uint8)
    return train, labels, test[::2], labels[::2]


def settings(kind: str, path: Path, **changes: object) -> OwnSet:
    """The settings of a data set, those of the YAML files if not given."""
    return OwnSet(
        **{
            "kind": kind,
            "path": str(path),
            "size": None,
            "background": 255,
            "class_names": None,
            "test_share": 0.2,
            "test_seed": 0,
            "channels": None,
            "max_unreadable": 10,
        }
        | changes  # type: ignore[arg-type]
    )


def encode_idx(array: np.ndarray) -> bytes:
    """The content of an IDX file."""
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.astype(np.uint8).tobytes()


def write(kind: str, directory: Path, arrays: Arrays | None = None) -> Path:
    """Write training and test images in a format; return `dataset.path`."""
    train, train_labels, test, test_labels = small() if arrays is None else arrays
    parts = (("train", "train", train, train_labels), ("test", "t10k", test, test_labels))
    directory.mkdir(exist_ok=True)
    match kind:
        case "npz":
            names = dict(
                zip(("x_train", "y_train", "x_test", "y_test"), (train, train_labels, test, test_labels), strict=True)
            )
            np.savez(directory / "set.npz", **names)
            return directory / "set.npz"
        case "idx":
            for _, prefix, images, labels in parts:
                flat = images[..., 0] if images.shape[-1] == 1 else images
                (directory / f"{prefix}-images-idx3-ubyte.gz").write_bytes(gzip.compress(encode_idx(flat)))
                (directory / f"{prefix}-labels-idx1-ubyte").write_bytes(encode_idx(labels))
        case "csv":
            for role, _, images, labels in parts:
                rows = np.column_stack([labels, images.reshape(len(images), -1)])
                np.savetxt(directory / f"{role}.csv", rows, "%d", ",", header="label,pixels", comments="")
        case "folder":
            for role, _, images, labels in parts:
                for index, (image, label) in enumerate(zip(images, labels, strict=True)):
                    path = directory / role / str(label) / f"{index}.png"
                    path.parent.mkdir(parents=True, exist_ok=True)
                    Image.fromarray(image.squeeze()).save(path)
    return directory
