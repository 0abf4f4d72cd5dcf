"""A model.keras that anyone may have written: looked at before Keras sees it, since to load a model is to run what it names.

Keras's own `safe_mode` refuses lambdas alone, and builds whatever layers a file asks for, with callables among their
settings. Here a file may name nothing but the classes that the models of this program are made of.
"""

import hashlib
import io
import json
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mnist_exp.errors import InputError, IntegrityError

WEIGHTS = "model.weights.h5"  # Keras itself refuses links out of it, and data that it only describes
MOST_BYTES = {"config.json": 2**24, "metadata.json": 2**12, WEIGHTS: 2**32}  # of each part; there are no others
LAYERS = (
    "Activation", "Add", "Average", "AveragePooling2D", "BatchNormalization", "Conv2D", "Cropping2D", "Dense", "Dropout",
    "Flatten", "GaussianNoise", "GlobalAveragePooling2D", "InputLayer", "MaxPooling2D", "Rescaling", "ZeroPadding2D",
)  # fmt: skip
INITIALIZERS = (
    "GlorotNormal", "GlorotUniform", "HeNormal", "HeUniform", "LecunNormal", "Ones", "RandomNormal", "Zeros",
)  # fmt: skip
CLASSES = {
    *(("keras.layers", name) for name in LAYERS),
    *(("keras.initializers", name) for name in INITIALIZERS),
    ("keras", "DTypePolicy"),
    ("keras.src.models.functional", "Functional"),
    (None, "__keras_tensor__"),  # what a layer is called on; it has neither weights nor code
}
# What makes a mapping an object to be built, and what else it may have.
MARKS = frozenset({"class_name", "module", "registered_name", "spec_name", "shared_object_id"})
KEYS = frozenset(
    {"build_config", "class_name", "compile_config", "config", "inbound_nodes", "module", "name", "registered_name"}
)
SHARED = ("keras", "DTypePolicy")  # the only objects that several layers share
LONGEST = 200  # characters of what a library says is wrong
TRAIN_AGAIN = "nothing of it was run; train the run again"


def load(path: Path, sha256: str, image_shape: tuple[int, ...], classes: int) -> Any:
    """The Keras model in a file, not compiled.

    Args:
        path: the file.
        sha256: that it had when it was checked.
        image_shape: (height, width, channels) that the model must take.
        classes: of which it must give probabilities.

    Raises:
        InputError, IntegrityError: as `checked` does; or it has changed since, cannot be loaded, or is for another task.
    """
    import keras

    content = checked(path)
    if hashlib.sha256(content).hexdigest() != sha256:
        raise IntegrityError(f"{path}: was changed meanwhile", "begin again when nobody writes to it")
    try:
        # A copy of one's own: what was looked at is what is loaded.
        with tempfile.TemporaryDirectory() as place:
            copy = Path(place) / "model.keras"
            copy.write_bytes(content)
            model = keras.saving.load_model(copy, compile=False, safe_mode=True)
        found = model.input.dtype, tuple(model.input.shape), tuple(model.output.shape)
    except Exception as error:  # noqa: BLE001  (whatever layers raise that were given nonsense)
        raise IntegrityError(f"{path}: cannot be loaded: {_cause(error)}", "train the run again") from None
    if found != ("uint8", (None, *image_shape), (None, classes)):
        raise IntegrityError(f"{path}: takes and gives {found}, which is another task", "train the run again")
    return model


def checked(path: Path) -> bytes:
    """The content of a model file that names only what the models of this program are made of.

    Raises:
        InputError: there is no such file.
        IntegrityError: it is anything else; the message names what.
    """
    if not path.is_file():
        raise InputError(f"{path}: there is no such file", "only a run that completed has a model")
    try:
        if path.stat().st_size > sum(MOST_BYTES.values()):
            raise ValueError(f"it has {path.stat().st_size:,} bytes")
        content = path.read_bytes()
        config = json.loads(_config(content))
        for found in _objects(config):
            _check(found)
        _check_shared(config)
    except Exception as error:  # noqa: BLE001  (what zipfile raises for a damaged archive is no short list)
        raise IntegrityError(f"{path}: may not be loaded: {_cause(error)}", TRAIN_AGAIN) from None
    return content


def _config(content: bytes) -> bytes:
    """The config.json of an archive that is as Keras writes it: three parts, stored as they are."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        parts = archive.infolist()
        if sorted(part.filename for part in parts) != sorted(MOST_BYTES):
            strange = next((part.filename for part in parts if part.filename not in MOST_BYTES), None)
            raise ValueError("it does not hold each of its parts once" if strange is None else f"it holds {strange!r}")
        for part in parts:
            if part.file_size > MOST_BYTES[part.filename]:
                raise ValueError(f"its {part.filename} would take {part.file_size:,} bytes")
            if part.compress_type != zipfile.ZIP_STORED or part.file_size != part.compress_size or part.flag_bits & 1:
                raise ValueError(f"its {part.filename} is packed, which Keras does not do")
        damaged = archive.testzip()
        if damaged is not None:
            raise ValueError(f"its {damaged} is damaged")
        return archive.read("config.json")


def _objects(config: Any) -> Iterator[dict[str, Any]]:
    """Every mapping in a configuration that Keras could take for an object to build, the whole first."""
    if not isinstance(config, dict) or "class_name" not in config:
        raise ValueError("its config.json is no model")
    left = [config]
    while left:
        value = left.pop()
        if isinstance(value, dict):
            if not MARKS.isdisjoint(value):
                yield value
            left += value.values()
        elif isinstance(value, list):
            left += value


def _check(found: dict[str, Any]) -> None:
    """Refuse an object that is not one of those that models are made of, in the form in which Keras writes it."""
    kind = _kind(found)
    told = ".".join(str(part) for part in kind if part is not None)
    if kind not in CLASSES:
        raise ValueError(f"it names {told}, of which no model of this program is made")
    if found.get("registered_name") not in (None, kind[1]):
        raise ValueError(f"it names {told} by the name {found['registered_name']!r} of another package")
    if found.get("compile_config"):
        raise ValueError(f"it has a compiled {told}")
    strange = set(found) - KEYS - ({"shared_object_id"} if kind == SHARED else set())
    if strange or not isinstance(found.get("config"), dict):
        raise ValueError(f"it has a {told} with {', '.join(sorted(strange)) or 'no settings'}")


def _check_shared(config: Any) -> None:
    """Refuse objects that are said to be the same and are not: Keras would take the first for all."""
    first: dict[Any, Any] = {}
    for found in _objects(config):
        if "shared_object_id" in found and first.setdefault(found["shared_object_id"], found) != found:
            raise ValueError(f"it shares one {'.'.join(SHARED)} under different settings")


def _kind(found: dict[str, Any]) -> tuple[Any, Any]:
    """Module and class; not as mappings or lists, in which anything could hide."""
    module, name = found.get("module"), found.get("class_name")
    return (module if isinstance(module, str | None) else repr(module)), (name if isinstance(name, str) else repr(name))


def _cause(error: Exception) -> str:
    return " ".join(str(error).split())[:LONGEST] or type(error).__name__
