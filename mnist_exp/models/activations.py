"""The activations of a network's dense layers, as features of its images."""

import keras

from mnist_exp.models.build import PROBABILITIES

MAX_FEATURES = 4096  # of one layer; larger ones are left out


def activations_model(model: keras.Model) -> keras.Model:
    """Return the part of a network that computes its layers with one value for each neuron, logits included.

    Args:
        model: from uint8 images (n, height, width, channels) to float32 probabilities (n, classes). An average over shifts
            or members gives the features of its networks, without shifts.

    Returns:
        A model from the same images to float32 features (n, features); it shares every weight.
    """
    pixels = keras.Input(model.input.shape[1:], dtype="uint8", name="pixels")
    features = []
    for network in networks(model):
        features += keras.Model(network.input, feature_outputs(network), name=f"{network.name}_features")(pixels)
    joined = keras.layers.Concatenate(dtype="float32", name="features")(features) if len(features) > 1 else features[0]
    return keras.Model(pixels, joined, name=f"{model.name}_activations")


def networks(model: keras.Model) -> list[keras.Model]:
    """Return the networks that an average contains, at any depth; the model itself if it is a network."""
    nested = [layer for layer in model.layers if isinstance(layer, keras.Model)]
    unique = list({id(layer): layer for layer in nested}.values())
    return [network for layer in unique for network in networks(layer)] or [model]


def feature_outputs(network: keras.Model) -> list[keras.KerasTensor]:
    """Return the outputs with one value for each neuron; dropout and softmax add nothing new."""
    skipped = (keras.layers.Dropout, keras.layers.InputLayer)
    return [
        layer.output
        for layer in network.layers
        if layer.name != PROBABILITIES
        and not isinstance(layer, skipped)
        and len(layer.output.shape) == 2
        and layer.output.shape[-1] <= MAX_FEATURES
    ]
