"""Which shape each layer of a network leaves behind, told without Keras: whether an image can pass through it."""

import math
from collections.abc import Sequence

from mnist_exp.config.networks import (
    AnyLayer,
    AveragePoolLayer,
    CnnConfig,
    ConvLayer,
    DenseLayer,
    FlattenLayer,
    GlobalAveragePoolLayer,
    LogitsLayer,
    MaxPoolLayer,
    NetworkConfig,
    ResidualLayer,
    every,
)
from mnist_exp.config.problems import remedy, show
from mnist_exp.errors import Problem

Shape = tuple[int, ...]  # (height, width, channels), or (features,)

MOST_LAYERS = 1000  # those within residual ones too: each may draw from a stream of random numbers of its own, of 1024
IMAGES_ALONE = (ConvLayer, MaxPoolLayer, AveragePoolLayer, GlobalAveragePoolLayer, ResidualLayer)
FEATURES_ALONE = (DenseLayer, LogitsLayer)


class Unfit(Exception):  # noqa: N818  (it becomes a Problem, as any other of a setting)
    """A layer that cannot be given what comes before it."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.cause)
        self.problem = problem


def unfit(key: str, cause: str, allowed: str) -> Unfit:
    """The layer's setting, why it does not fit, and what would."""
    return Unfit(Problem(key, f"{key}{cause}", remedy(allowed, None)))


def pools_fit(model: CnnConfig, image_shape: Shape) -> None:
    """Follow an image through convolutions and pools.

    Raises:
        Unfit: the first layer that it is too small for, or a convolution without a size.
    """
    if len(model.filters) != len(model.kernel_sizes):
        key = "model.kernel_sizes"
        cause = f"={show(model.kernel_sizes)}: filters need {len(model.filters)} kernel sizes"
        raise unfit(key, cause, "as many as model.filters")
    side = min(image_shape[:2])
    for number, kernel_size in enumerate(model.kernel_sizes, start=1):
        side = _windows(side, kernel_size, 1, f"model.kernel_sizes.{number - 1}", f"layer conv_{number}")
        side = _windows(side, model.pool_size, model.pool_size, "model.pool_size", f"layer pool_{number}")


def layers_fit(model: NetworkConfig, image_shape: Shape) -> None:
    """Follow an image through a list of layers to the logits.

    Raises:
        Unfit: the first layer that cannot be given what comes before it; or that there are no logits, or too many layers.
    """
    if (count := sum(1 for _ in every(model.layers))) > MOST_LAYERS:
        raise unfit("model.layers", f": {count:,} layers, with those within residual ones", f"{MOST_LAYERS:,} at most")
    names = [layer.name for layer in model.layers]
    behind = names[names.index("logits") + 1 :] if "logits" in names else []
    if "logits" not in names or set(behind) - {"batch_norm"}:
        cause = ": the network must end with its logits, which a batch_norm alone may follow"
        raise unfit("model.layers", cause, "- {name: logits} as the last of the list")
    if model.dropout and not any(layer.name == "dropout" for layer in every(model.layers)):
        cause = f"={show(model.dropout)}: no layer of the model is a dropout"
        raise unfit("model.dropout", cause, "0, or - {name: dropout} in model.layers")
    _follow(model.layers, image_shape, "model.layers")


def _follow(layers: Sequence[AnyLayer], shape: Shape, place: str) -> Shape:
    for number, layer in enumerate(layers):
        shape = _after(layer, shape, f"{place}.{number}")
    return shape


def _after(layer: AnyLayer, shape: Shape, place: str) -> Shape:
    if isinstance(layer, IMAGES_ALONE) and len(shape) != 3:
        cause = f"={layer.name}: needs an image, and there are {shape[0]} features"
        raise unfit(f"{place}.name", cause, "a layer of features, such as dense")
    if isinstance(layer, FEATURES_ALONE) and len(shape) == 3:
        given = "×".join(map(str, shape))
        cause = f"={layer.name}: needs features, and there are {given}"
        raise unfit(f"{place}.name", cause, "flatten or global_average_pool before it")
    match layer:
        case ConvLayer() if layer.padding == "same":
            return *(-(-side // layer.strides) for side in shape[:2]), layer.filters
        case ConvLayer():
            size, strides, key = layer.kernel_size, layer.strides, f"{place}.kernel_size"
            return *(_windows(side, size, strides, key, "conv") for side in shape[:2]), layer.filters
        case MaxPoolLayer() | AveragePoolLayer():
            size, key = layer.pool_size, f"{place}.pool_size"
            return *(_windows(side, size, size, key, layer.name) for side in shape[:2]), shape[2]
        case GlobalAveragePoolLayer():
            return shape[2:]
        case FlattenLayer():
            return (math.prod(shape),)
        case DenseLayer():
            return (layer.units,)
        case ResidualLayer():
            return _after_residual(layer, shape, place)
    return shape


def _after_residual(layer: ResidualLayer, shape: Shape, place: str) -> Shape:
    inner = _follow(layer.layers, shape, f"{place}.layers")
    names = {part.name for part in every(layer.layers)}
    if "logits" in names or len(inner) != 3:
        raise unfit(f"{place}.layers", ": a residual's layers must make an image of an image", "layers before the features")
    if stride(shape, inner) is None:
        given, left = ("×".join(map(str, size)) for size in (shape, inner))
        cause = f": make {left} of {given}, to which the image itself cannot be added, as it is or by a stride"
        raise unfit(f"{place}.layers", cause, "padding: same, or a residual that begins smaller")
    return inner


def stride(before: Shape, after: Shape) -> int | None:
    """The stride by which a convolution of 1×1 brings an image to the size of another; None if there is none."""
    sides = list(zip(before[:2], after[:2], strict=True))
    strides = max(-(-side // wanted) for side, wanted in sides)
    return strides if all(-(-side // strides) == wanted for side, wanted in sides) else None


def _windows(side: int, size: int, strides: int, key: str, layer: str) -> int:
    """How many windows lie along one side."""
    if size > side:
        allowed = f"an integer from 1 to {side}" if side > 1 else "1"
        raise unfit(key, f"={size}: {layer} is larger than the {side}×{side} left of the image", allowed)
    return (side - size) // strides + 1
