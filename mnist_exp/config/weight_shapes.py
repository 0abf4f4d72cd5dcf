"""The names of the layers that have weights, and the shapes of these, computed without Keras from the settings of a model.

`models/build.py` and `models/network.py` give the layers these names.
"""

import math
from collections import Counter
from collections.abc import Iterator, Sequence

from mnist_exp.config.networks import (
    AnyLayer,
    AnyModel,
    BatchNormLayer,
    CnnConfig,
    ConvLayer,
    DenseLayer,
    NetworkConfig,
    PlainLayer,
    ResidualLayer,
)
from mnist_exp.config.shapes import Shape, shape_after

HEAD = "logits"  # the first layer whose outputs are the classes

LayerShapes = dict[str, tuple[Shape, ...]]  # of the weights of each layer, in the order of Keras


def weight_shapes(model: AnyModel, image_shape: Shape, classes: int) -> LayerShapes:
    """Return the layers with weights, in the order of the network.

    Args:
        model: one that `shapes.check_model` accepts.
        image_shape: height, width and channels.
        classes: the number of outputs.
    """
    if isinstance(model, NetworkConfig):
        return dict(_of_layers(model.layers, image_shape, classes, Counter()))
    layers: LayerShapes = {}
    features = math.prod(image_shape)
    if isinstance(model, CnnConfig):
        height, width, channels = image_shape
        for number, (filters, size) in enumerate(zip(model.filters, model.kernel_sizes, strict=True), 1):
            layers[f"conv_{number}"] = (size, size, channels, filters), (filters,)
            height, width = ((side - size + 1) // model.pool_size for side in (height, width))
            channels = filters
        features = height * width * channels
    for number, units in enumerate(model.units, 1):
        layers[f"dense_{number}"] = (features, units), (units,)
        features = units
    return layers | {HEAD: ((features, classes), (classes,))}


def head_layers(layers: LayerShapes) -> list[str]:
    """Return the names of the layers whose outputs are the classes: the logits and what follows them."""
    names = list(layers)
    return names[names.index(HEAD) :]


def _of_layers(
    layers: Sequence[AnyLayer], shape: Shape, classes: int, counts: Counter[str]
) -> Iterator[tuple[str, tuple[Shape, ...]]]:
    def name(kind: str) -> str:
        counts[kind] += 1
        return f"{kind}_{counts[kind]}"

    for layer in layers:
        after = shape_after(layer, shape)
        match layer:
            case ConvLayer(filters=filters, kernel_size=size):
                yield name("conv"), ((size, size, shape[-1], filters), (filters,))
            case DenseLayer(units=units):
                yield name("dense"), ((shape[0], units), (units,))
            case PlainLayer(name="logits"):
                after = (classes,)
                yield HEAD, ((shape[0], classes), after)
            case BatchNormLayer():  # scale, offset, mean, variance
                yield name("batch_norm"), (shape[-1:],) * 4
            case ResidualLayer():
                yield from _of_layers(layer.layers, shape, classes, counts)
                if after != shape:
                    yield name("projection"), ((1, 1, shape[-1], after[-1]),)
        shape = after
