"""The weights in an untrusted model.keras, read without Keras. Its config.json, which could name any code, is never read."""

import hashlib
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

from mnist_exp.machine.plain_data import describe

WEIGHTS = "model.weights.h5"  # the part of a .keras archive with the weights

Layers = dict[str, list[np.ndarray]]  # the weights of each layer that has any, in the order of Keras


@contextmanager
def weights_file(path: Path, limit: int) -> Iterator[Path]:
    """Extract the checked file with the weights; the bytes that are checked are those that are read.

    Args:
        path: a model.keras.
        limit: bytes of the file, and of every array in it.

    Raises:
        ValueError, and many classes of zipfile and HDF5: it is damaged, or takes more.
    """
    with tempfile.TemporaryDirectory() as directory:
        copy = Path(directory) / WEIGHTS
        _extract(path, copy, limit)
        with h5py.File(copy) as file:
            file.visititems(lambda name, item: _check_array(name, item, limit))
        yield copy


def read_layers(path: Path) -> Layers:
    """Return the weights of all layers by the names of the layers, also of a model within a model.

    Raises:
        ValueError: the file is damaged, or does not contain the names of its layers.
    """
    try:
        limit = path.stat().st_size  # weights are stored uncompressed
        with weights_file(path, limit) as copy, h5py.File(copy) as file:
            stored: dict[str, list[h5py.Dataset]] = {}
            file.visititems(lambda name, item: _add_layer(stored, name, item))
            size = sum(weight.nbytes for weights in stored.values() for weight in weights)
            if size > limit:  # an array has several names, or its numbers are not in the file
                raise ValueError(f"its layers take {size:,} bytes, more than {limit:,}")
            layers = {name: [np.asarray(weight) for weight in weights] for name, weights in stored.items()}
    except Exception as error:  # noqa: BLE001  (zipfile and HDF5 raise many classes for a damaged file)
        raise ValueError(f"{path}: {describe(error)}") from None
    if not layers:
        raise ValueError(f"{path}: contains no weights")
    return layers


def sha256(layers: Layers) -> str:
    """Return the SHA-256 of the names, shapes, types and values of weights, in hexadecimal digits."""
    digest = hashlib.sha256()
    for name, weights in sorted(layers.items()):
        for weight in weights:
            digest.update(repr((name, weight.shape, weight.dtype.str)).encode())
            digest.update(np.ascontiguousarray(weight).tobytes())
    return digest.hexdigest()


def _add_layer(layers: dict[str, list[h5py.Dataset]], path: str, item: h5py.Group | h5py.Dataset) -> None:
    """Add the weights of a group `…/vars`, whose members are numbered."""
    if not isinstance(item, h5py.Group) or path.rpartition("/")[2] != "vars" or not len(item):
        return
    name = item.attrs.get("name")
    if not isinstance(name, str) or name in layers:
        raise ValueError("the layers have no names of their own: another version of Keras wrote them")
    layers[name] = [_weight(item, str(number)) for number in range(len(item))]


def _weight(group: h5py.Group, key: str) -> h5py.Dataset:
    if not isinstance(group.get(key, getlink=True), h5py.HardLink):
        raise ValueError(f"{group.name}/{key} is in another file")
    weight = group[key]
    if not isinstance(weight, h5py.Dataset) or weight.dtype.kind != "f":
        raise ValueError(f"{group.name}/{key} is not an array of numbers")
    return weight


def _extract(path: Path, copy: Path, limit: int) -> None:
    size = path.stat().st_size
    if size <= limit:
        with zipfile.ZipFile(path) as archive:
            size = archive.getinfo(WEIGHTS).file_size
            if size <= limit:
                with archive.open(WEIGHTS) as part, copy.open("wb") as file:
                    shutil.copyfileobj(part, file)
                return
    raise ValueError(f"it takes {size:,} bytes, more than {limit:,}")


def _check_array(name: str, item: h5py.Group | h5py.Dataset, limit: int) -> None:
    """Raise ValueError for an array that would take too much memory or is in another file; a chunk may be larger."""
    if isinstance(item, h5py.Dataset):
        if item.nbytes > limit or item.chunks is not None:
            raise ValueError(f"{name} takes {item.nbytes:,} bytes or is compressed")
        if item.external or item.is_virtual:
            raise ValueError(f"{name} is in another file")
