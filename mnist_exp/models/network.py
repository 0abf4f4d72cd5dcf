"""Build a network from a list of Keras layers; layers of one kind are numbered, as in conv_3."""

from collections import Counter, deque
from collections.abc import Sequence

import keras

from mnist_exp.config.networks import (
    AnyLayer,
    BatchNormLayer,
    ConvLayer,
    DenseLayer,
    NetworkConfig,
    NoiseLayer,
    PlainLayer,
    PoolLayer,
    ResidualLayer,
)
from mnist_exp.config.shapes import projection_stride


def apply_layers(config: NetworkConfig, features: keras.KerasTensor, classes: int) -> keras.KerasTensor:
    """Apply the layers to scaled pixels and return the logits, (n, classes)."""
    return _Builder(config, classes).chain(config.layers, features)


class _Builder:
    """Builds layers and numbers them."""

    def __init__(self, config: NetworkConfig, classes: int) -> None:
        self._config = config
        self._classes = classes
        self._counts: Counter[str] = Counter()

    def chain(self, layers: Sequence[AnyLayer], features: keras.KerasTensor) -> keras.KerasTensor:
        """Apply layers in order; an activation directly after a convolution or dense layer becomes part of that layer."""
        remaining = deque(layers)
        while remaining:
            layer = remaining.popleft()
            if isinstance(layer, ResidualLayer):
                features = self._residual(layer, features)
            elif isinstance(layer, ConvLayer | DenseLayer) and remaining and remaining[0].name == "activation":
                remaining.popleft()
                features = self._keras(layer, self._config.activation)(features)
            elif layer.name != "dropout" or self._config.dropout:
                features = self._keras(layer, "linear")(features)
        return features

    def _keras(self, layer: AnyLayer, activation: str) -> keras.Layer:
        trained = {"activation": activation, "kernel_initializer": self._config.initializer}
        match layer:
            case ConvLayer(filters=filters, kernel_size=size, strides=strides, padding=padding):
                return keras.layers.Conv2D(filters, size, strides, padding, **trained, name=self._name("conv"))
            case DenseLayer(units=units):
                return keras.layers.Dense(units, **trained, name=self._name("dense"))
            case PlainLayer(name="logits"):
                return keras.layers.Dense(self._classes, **trained, name="logits")
            case BatchNormLayer(momentum=momentum):
                return keras.layers.BatchNormalization(momentum=momentum, name=self._name("batch_norm"))
            case PlainLayer(name="activation"):
                return keras.layers.Activation(self._config.activation, name=self._name("activation"))
            case PlainLayer(name="dropout"):
                return keras.layers.Dropout(self._config.dropout, name=self._name("dropout"))
            case NoiseLayer(stddev=stddev):
                return keras.layers.GaussianNoise(stddev, name=self._name("noise"))
            case PoolLayer(name="max_pool", pool_size=size):
                return keras.layers.MaxPooling2D(size, name=self._name("pool"))
            case PoolLayer(name="average_pool", pool_size=size):
                return keras.layers.AveragePooling2D(size, name=self._name("pool"))
            case PlainLayer(name="global_average_pool"):
                return keras.layers.GlobalAveragePooling2D(name=self._name("pool"))
            case PlainLayer(name="flatten"):
                return keras.layers.Flatten(name=self._name("flatten"))
        raise TypeError(f"{layer.name}: is not a single layer")

    def _residual(self, residual: ResidualLayer, features: keras.KerasTensor) -> keras.KerasTensor:
        changed = self.chain(residual.layers, features)
        if changed.shape != features.shape:
            strides = projection_stride(features.shape[1:3], changed.shape[1:3])
            settings = {"use_bias": False, "kernel_initializer": self._config.initializer}
            projection = keras.layers.Conv2D(changed.shape[-1], 1, strides, **settings, name=self._name("projection"))
            features = projection(features)
        return keras.layers.Add(name=self._name("residual"))([features, changed])

    def _name(self, kind: str) -> str:
        self._counts[kind] += 1
        return f"{kind}_{self._counts[kind]}"
