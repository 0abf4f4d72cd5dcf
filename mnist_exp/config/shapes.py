"""The shape after each layer of a network, computed without Keras, to report layers that an image cannot pass through."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from mnist_exp.config.conversions import format_value
from mnist_exp.config.networks import (
    AnyLayer,
    AnyModel,
    CnnConfig,
    ConvLayer,
    DenseLayer,
    NetworkConfig,
    PlainLayer,
    PoolLayer,
    ResidualLayer,
    all_layers,
)
from mnist_exp.config.problems import remedy
from mnist_exp.errors import ConfigError, Problem

Shape = tuple[int, ...]  # (height, width, channels), or (features,)

MAX_LAYERS = 1000  # each may need its own stream of random numbers; training has 1024 streams
IMAGE_LAYERS = {"conv", "max_pool", "average_pool", "global_average_pool", "residual"}
FEATURE_LAYERS = {"dense", "logits"}


def check_model(model: AnyModel, image_shape: Shape) -> None:
    """Check that an image can pass through all layers of a model.

    Raises:
        ConfigError: the first problem that was found.
    """
    try:
        if isinstance(model, CnnConfig):
            _check_cnn(model, image_shape)
        elif isinstance(model, NetworkConfig):
            _check_network(model, image_shape)
    except _TooLargeError as error:
        size = _product(image_shape[:2])
        cause = f"={error.size}: {error.layer} is larger than its input of {_product(error.input)}"
        allowed = f"an integer from 1 to {min(error.input)}" if min(error.input) > 1 else "1"
        if error.input != image_shape[:2]:
            cause += f", to which the layers before it reduce images of {size}"
            allowed += "; or leave out layers before it, or choose a model for smaller images, such as resnet"
        raise _error(error.key, cause, allowed) from None


def projection_stride(before: Shape, after: Shape) -> int | None:
    """Return the stride of a 1×1 convolution from one image size to another; None if no stride fits.

    Args:
        before: height and width of the input; further dimensions are ignored.
        after: height and width of the output.
    """
    sides = list(zip(before[:2], after[:2], strict=True))
    strides = max(-(-side // wanted) for side, wanted in sides)
    return strides if all(-(-side // strides) == wanted for side, wanted in sides) else None


def _check_cnn(model: CnnConfig, image_shape: Shape) -> None:
    if len(model.filters) != len(model.kernel_sizes):
        cause = f"={format_value(model.kernel_sizes)}: filters need {len(model.filters)} kernel sizes"
        raise _error("model.kernel_sizes", cause, "as many as model.filters")
    size = image_shape[:2]
    for number, kernel_size in enumerate(model.kernel_sizes, start=1):
        size = _windows(size, kernel_size, 1, f"model.kernel_sizes.{number - 1}", f"layer conv_{number}")
        size = _windows(size, model.pool_size, model.pool_size, "model.pool_size", f"layer pool_{number}")


def _check_network(model: NetworkConfig, image_shape: Shape) -> None:
    layers = list(all_layers(model.layers))
    if len(layers) > MAX_LAYERS:
        cause = f": {len(layers):,} layers, including those in residual layers"
        raise _error("model.layers", cause, f"{MAX_LAYERS:,} at most")
    names = [layer.name for layer in model.layers]
    if "logits" not in names or set(names[names.index("logits") + 1 :]) - {"batch_norm"}:
        cause = ": the network must end with its logits; only batch_norm may follow them"
        raise _error("model.layers", cause, "- {name: logits} as the last of the list")
    if model.dropout and not any(layer.name == "dropout" for layer in layers):
        cause = f"={format_value(model.dropout)}: the model has no dropout layer"
        raise _error("model.dropout", cause, "0, or - {name: dropout} in model.layers")
    _shape_after_all(model.layers, image_shape, "model.layers")


def _shape_after_all(layers: Sequence[AnyLayer], shape: Shape, key: str) -> Shape:
    for number, layer in enumerate(layers):
        shape = shape_after(layer, shape, f"{key}.{number}")
    return shape


def shape_after(layer: AnyLayer, shape: Shape, key: str = "") -> Shape:
    """Return the shape after a layer, whose key is named if it does not fit.

    Raises:
        ConfigError: the layer does not fit.
    """
    if layer.name in IMAGE_LAYERS and len(shape) != 3:
        cause = f"={layer.name}: needs an image, but its input is {shape[0]} features"
        raise _error(f"{key}.name", cause, "a layer of features, such as dense")
    if layer.name in FEATURE_LAYERS and len(shape) == 3:
        cause = f"={layer.name}: needs features, but its input is {_product(shape)}"
        raise _error(f"{key}.name", cause, "flatten or global_average_pool before it")
    match layer:
        case ConvLayer(filters=filters, strides=strides, padding="same"):
            return *(-(-side // strides) for side in shape[:2]), filters
        case ConvLayer(filters=filters, kernel_size=size, strides=strides):
            return *_windows(shape[:2], size, strides, f"{key}.kernel_size", "conv"), filters
        case PoolLayer(pool_size=size):
            return *_windows(shape[:2], size, size, f"{key}.pool_size", layer.name), shape[2]
        case PlainLayer(name="global_average_pool"):
            return shape[2:]
        case PlainLayer(name="flatten"):
            return (math.prod(shape),)
        case DenseLayer(units=units):
            return (units,)
        case ResidualLayer():
            return _shape_after_residual(layer, shape, f"{key}.layers")
    return shape


def _shape_after_residual(residual: ResidualLayer, shape: Shape, key: str) -> Shape:
    output = _shape_after_all(residual.layers, shape, key)
    if len(output) != 3 or any(layer.name == "logits" for layer in all_layers(residual.layers)):
        raise _error(key, ": the layers of a residual layer must turn an image into an image", "layers before the features")
    if projection_stride(shape, output) is None:
        cause = f": turn {_product(shape)} into {_product(output)}, which no strided 1×1 convolution can do"
        raise _error(key, cause, "padding: same, or a residual layer that gets a smaller image")
    return output


def _product(shape: Shape) -> str:
    return "×".join(map(str, shape))


@dataclass
class _TooLargeError(Exception):
    """A window is larger than its input."""

    key: str
    size: int
    layer: str
    input: Shape  # height and width


def _windows(sides: Shape, size: int, strides: int, key: str, layer: str) -> Shape:
    """Return the number of windows along each side of an image."""
    if size > min(sides):
        raise _TooLargeError(key, size, layer, sides)
    return tuple((side - size) // strides + 1 for side in sides)


def _error(key: str, cause: str, allowed: str) -> ConfigError:
    return ConfigError([Problem(key, f"{key}{cause}", remedy(allowed))])
