"""Build a Keras model from its settings: raw uint8 pixels in, class probabilities out."""

from typing import Any

import keras

from mnist_exp.config.networks import AnyModel, CnnConfig, MlpConfig, NetworkConfig
from mnist_exp.models.network import apply_layers

PROBABILITIES = "probabilities"  # the name of every model's last layer; the loss is computed from its input


def set_precision(precision: str) -> None:
    """Set the dtype policy of layers built from now on: float32, bfloat16 or float16; weights are float32 in each."""
    keras.config.set_dtype_policy("float32" if precision == "float32" else f"mixed_{precision}")


def build_model(config: AnyModel, preprocessing: keras.Layer, image_shape: tuple[int, ...], classes: int) -> keras.Model:
    """Build the network under Keras's current dtype policy, with initial weights from Keras's global seed.

    Args:
        config: the architecture and its sizes.
        preprocessing: the layer that scales the pixels.
        image_shape: (height, width, channels).
        classes: the number of outputs.

    Returns:
        A model from uint8 images (n, height, width, channels) to float32 probabilities (n, classes).
    """
    inputs = keras.Input(image_shape, dtype="uint8", name="pixels")
    features = preprocessing(inputs)
    if isinstance(config, NetworkConfig):
        logits = apply_layers(config, features, classes)
    else:
        features = _mlp(config, features) if isinstance(config, MlpConfig) else _cnn(config, features)
        logits = keras.layers.Dense(classes, kernel_initializer=config.initializer, name="logits")(features)
    # Probabilities are float32 in every precision: bfloat16 has three significant digits.
    probabilities = keras.layers.Activation("softmax", dtype="float32", name=PROBABILITIES)(logits)
    return keras.Model(inputs, probabilities, name=config.name)


def count_parameters(config: AnyModel, preprocessing: keras.Layer, image_shape: tuple[int, ...], classes: int) -> int:
    """Return the number of weights of what `build_model` builds without allocating them: settings may be untrusted."""
    with keras.StatelessScope(initialize_variables=False):
        return int(build_model(config, preprocessing, image_shape, classes).count_params())


def logits_model(model: keras.Model) -> keras.Model:
    """Return the part of a network up to its logits; it shares every weight."""
    return keras.Model(model.input, model.get_layer(PROBABILITIES).input, name=f"{model.name}_logits")


def _mlp(config: MlpConfig, features: keras.KerasTensor) -> keras.KerasTensor:
    features = keras.layers.Flatten(name="flatten")(features)
    for number, units in enumerate(config.units, start=1):
        features = keras.layers.Dense(units, **_trained(config), name=f"dense_{number}")(features)
        if config.dropout:
            features = keras.layers.Dropout(config.dropout, name=f"dropout_{number}")(features)
    return features


def _cnn(config: CnnConfig, features: keras.KerasTensor) -> keras.KerasTensor:
    for number, (filters, size) in enumerate(zip(config.filters, config.kernel_sizes, strict=True), start=1):
        features = keras.layers.Conv2D(filters, size, **_trained(config), name=f"conv_{number}")(features)
        features = keras.layers.MaxPooling2D(config.pool_size, name=f"pool_{number}")(features)
    if config.dropout:
        features = keras.layers.Dropout(config.dropout, name="dropout")(features)
    features = keras.layers.Flatten(name="flatten")(features)
    for number, units in enumerate(config.units, start=1):
        features = keras.layers.Dense(units, **_trained(config), name=f"dense_{number}")(features)
    return features


def _trained(config: MlpConfig | CnnConfig) -> dict[str, Any]:
    """Return the arguments that all layers with weights share."""
    return {"activation": config.activation, "kernel_initializer": config.initializer}
