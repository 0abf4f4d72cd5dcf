"""The schema of `model`, and of the layers of a network."""

from collections.abc import Iterator, Sequence
from typing import Annotated, Literal

from pydantic import Field

from mnist_exp.config.settings import Activation, Fraction, Initializer, Rate, Settings, Size, Sizes


class ConvLayer(Settings):
    """A convolution, without activation."""

    name: Literal["conv"]
    filters: Size
    kernel_size: Size
    strides: Size
    padding: Literal["valid", "same"]


class DenseLayer(Settings):
    """A dense layer, without activation."""

    name: Literal["dense"]
    units: Size


class BatchNormLayer(Settings):
    """Batch normalization, Ioffe & Szegedy 2015, arXiv:1502.03167."""

    name: Literal["batch_norm"]
    momentum: Rate


class NoiseLayer(Settings):
    """Gaussian noise, only in training."""

    name: Literal["noise"]
    stddev: Fraction


class PoolLayer(Settings):
    """Pooling over windows that do not overlap."""

    name: Literal["max_pool", "average_pool"]
    pool_size: Size


class PlainLayer(Settings):
    """A layer without settings of its own.

    `logits` is a dense layer with one output for each class. `activation` and `dropout` use the model's settings.
    `global_average_pool` (the mean of each channel) and `flatten` turn an image into features.
    """

    name: Literal["logits", "activation", "dropout", "global_average_pool", "flatten"]


class ResidualLayer(Settings):
    """A residual connection: the input is added to the output of the layers (He et al. 2016, arXiv:1603.05027).

    If the layers change the shape, a 1×1 convolution changes the input to the same shape first.
    """

    name: Literal["residual"]
    layers: "Layers"


AnyLayer = ConvLayer | DenseLayer | BatchNormLayer | NoiseLayer | PoolLayer | PlainLayer | ResidualLayer
Layer = Annotated[AnyLayer, Field(discriminator="name")]
Layers = Annotated[tuple[Layer, ...], Field(strict=False, min_length=1, max_length=512)]


class MlpConfig(Settings):
    """A multilayer perceptron."""

    name: Literal["mlp"]
    units: Sizes
    activation: Activation
    dropout: Rate
    initializer: Initializer


class CnnConfig(Settings):
    """Convolutions with pooling, then dense layers; the YAML files differ only in their sizes."""

    name: Literal["cnn_simple", "cnn_large"]
    filters: Annotated[Sizes, Field(min_length=1)]
    kernel_sizes: Annotated[Sizes, Field(min_length=1)]
    pool_size: Size
    dropout: Rate
    units: Sizes
    activation: Activation
    initializer: Initializer


class NetworkConfig(Settings):
    """A network as a list of layers."""

    name: Literal["cnn", "cnn_5x5", "cnn_deep", "cnn_tiny", "mlp_deep", "resnet"]
    activation: Activation
    initializer: Initializer
    dropout: Rate
    layers: Layers


AnyModel = MlpConfig | CnnConfig | NetworkConfig
ModelConfig = Annotated[AnyModel, Field(discriminator="name")]


def all_layers(layers: Sequence[AnyLayer]) -> Iterator[AnyLayer]:
    """Yield layers in order, including those in residual layers."""
    for layer in layers:
        yield layer
        if isinstance(layer, ResidualLayer):
            yield from all_layers(layer.layers)


def has_batch_norm(model: AnyModel) -> bool:
    """Return whether a model has batch normalization, whose statistics need whole batches."""
    return isinstance(model, NetworkConfig) and any(isinstance(layer, BatchNormLayer) for layer in all_layers(model.layers))
