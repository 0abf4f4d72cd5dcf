"""What a network may be: `model`, and the layers of which it is made."""

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


class LogitsLayer(Settings):
    """The dense layer with one output for each class."""

    name: Literal["logits"]


class BatchNormLayer(Settings):
    """Batch normalization, Ioffe & Szegedy 2015, arXiv:1502.03167."""

    name: Literal["batch_norm"]
    momentum: Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)]


class ActivationLayer(Settings):
    """The model's activation."""

    name: Literal["activation"]


class DropoutLayer(Settings):
    """Dropout at the model's rate."""

    name: Literal["dropout"]


class NoiseLayer(Settings):
    """Gaussian noise, in training alone."""

    name: Literal["noise"]
    stddev: Fraction


class MaxPoolLayer(Settings):
    """The largest of each window."""

    name: Literal["max_pool"]
    pool_size: Size


class AveragePoolLayer(Settings):
    """The mean of each window."""

    name: Literal["average_pool"]
    pool_size: Size


class GlobalAveragePoolLayer(Settings):
    """The mean of each channel."""

    name: Literal["global_average_pool"]


class FlattenLayer(Settings):
    """Rows, columns and channels one behind the other."""

    name: Literal["flatten"]


class ResidualLayer(Settings):
    """What goes in, added to what the layers make of it (He et al. 2016, arXiv:1603.05027).

    Where they change its shape, what goes in passes through a convolution of 1×1 first.
    """

    name: Literal["residual"]
    layers: "Layers"


AnyLayer = (
    ConvLayer
    | DenseLayer
    | LogitsLayer
    | BatchNormLayer
    | ActivationLayer
    | DropoutLayer
    | NoiseLayer
    | MaxPoolLayer
    | AveragePoolLayer
    | GlobalAveragePoolLayer
    | FlattenLayer
    | ResidualLayer
)
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
    """Layers one after the other, each of them a setting."""

    name: Literal["cnn", "cnn_5x5", "cnn_deep", "cnn_tiny", "mlp_deep", "resnet"]
    activation: Activation
    initializer: Initializer
    dropout: Rate
    layers: Layers


AnyModel = MlpConfig | CnnConfig | NetworkConfig
ModelConfig = Annotated[AnyModel, Field(discriminator="name")]


def every(layers: Sequence[AnyLayer]) -> Iterator[AnyLayer]:
    """All layers, those within residual ones too, in order."""
    for layer in layers:
        yield layer
        if isinstance(layer, ResidualLayer):
            yield from every(layer.layers)


def has_batch_norm(model: AnyModel) -> bool:
    """Whether training takes statistics of whole batches, which cannot be computed in parts."""
    return isinstance(model, NetworkConfig) and any(isinstance(layer, BatchNormLayer) for layer in every(model.layers))
