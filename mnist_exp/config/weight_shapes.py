"""The layers of a network that have weights, computed without Keras from the settings of a model.

`models/build.py` and `models/network.py` give the layers these names.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from mnist_exp.config.networks import (
    AnyLayer,
    AnyModel,
    BatchNormLayer,
    CnnConfig,
    ConvLayer,
    DenseLayer,
    NetworkConfig,
    PlainLayer,
    PoolLayer,
    ResidualLayer,
)
from mnist_exp.config.shapes import Shape, shape_after

HEAD: Final = "logits"  # the first layer whose outputs are the classes

LayerShapes = dict[str, tuple[Shape, ...]]  # of the weights of each layer, in the order of Keras


class WeightedLayer(NamedTuple):
    """A layer with weights."""

    name: str
    weights: tuple[Shape, ...]  # the first is the kernel, if it has one
    output: Shape  # for one image


def weighted_layers(model: AnyModel, image_shape: Shape, classes: int) -> list[WeightedLayer]:
    """Return the layers with weights, in the order of the network.

    Args:
        model: one that `shapes.check_model` accepts.
        image_shape: height, width and channels.
        classes: the number of outputs.
    """
    return list(_weighted(_layers_of(model), image_shape, classes, Counter()))


def weight_shapes(model: AnyModel, image_shape: Shape, classes: int) -> LayerShapes:
    """Return the shapes of the weights of each layer of `weighted_layers`."""
    return {layer.name: layer.weights for layer in weighted_layers(model, image_shape, classes)}


def head_layers(layers: LayerShapes) -> list[str]:
    """Return the names of the layers whose outputs are the classes: the logits and what follows them."""
    names = list(layers)
    return names[names.index(HEAD) :]


def _layers_of(model: AnyModel) -> list[AnyLayer]:
    """Return the layers that change the shape; those of a model without a list of layers, too."""
    if isinstance(model, NetworkConfig):
        return list(model.layers)
    layers: list[AnyLayer] = []
    if isinstance(model, CnnConfig):
        for filters, size in zip(model.filters, model.kernel_sizes, strict=True):
            layers.append(ConvLayer(name="conv", filters=filters, kernel_size=size, strides=1, padding="valid"))
            layers.append(PoolLayer(name="max_pool", pool_size=model.pool_size))
    hidden = [DenseLayer(name="dense", units=units) for units in model.units]
    return [*layers, PlainLayer(name="flatten"), *hidden, PlainLayer(name=HEAD)]


def _weighted(layers: Sequence[AnyLayer], shape: Shape, classes: int, counts: Counter[str]) -> Iterator[WeightedLayer]:
    def name(kind: str) -> str:
        counts[kind] += 1
        return f"{kind}_{counts[kind]}"

    for layer in layers:
        after = (classes,) if layer.name == HEAD else shape_after(layer, shape)
        match layer:
            case ConvLayer(kernel_size=size):
                yield WeightedLayer(name("conv"), ((size, size, shape[-1], after[-1]), after[-1:]), after)
            case DenseLayer():
                yield WeightedLayer(name("dense"), (shape + after, after), after)
            case PlainLayer(name="logits"):
                yield WeightedLayer(HEAD, (shape + after, after), after)
            case BatchNormLayer():  # scale, offset, mean, variance
                yield WeightedLayer(name("batch_norm"), (shape[-1:],) * 4, shape)
            case ResidualLayer():
                yield from _weighted(layer.layers, shape, classes, counts)
                if after != shape:
                    yield WeightedLayer(name("projection"), ((1, 1, shape[-1], after[-1]),), after)
        shape = after
