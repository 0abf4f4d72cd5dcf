"""Keras models whose probabilities are the mean of other models': of one over shifts of the image, or of several."""

from collections.abc import Sequence

import keras

from mnist_exp.models.build import PROBABILITIES


def shift_count(most: int) -> int:
    """How many there are of an image by up to so many pixels in each direction, that by none among them."""
    return (2 * most + 1) ** 2


def over_shifts(model: keras.Model, most: int) -> keras.Model:
    """The mean of a model's probabilities over all shifts of the image, what comes in from outside being 0.

    Test-time averaging, elsewhere called test-time augmentation, as in Krizhevsky et al. 2012, "ImageNet Classification with
    Deep Convolutional Neural Networks", §4.1, which averages over crops and reflections; a digit reflected is none.

    Args:
        model: from uint8 images (n, height, width, channels) to float32 probabilities (n, classes); its weights are shared.
        most: pixels by which the image is shifted at most, up, down, left and right.

    Returns:
        A model of the same inputs and outputs; of no shift, the model itself.
    """
    if most == 0:
        return model
    pixels = keras.Input(model.input.shape[1:], dtype="uint8", name="pixels")
    padded = keras.layers.ZeroPadding2D(most, name="border")(pixels)
    windows = [(top, left) for top in range(2 * most + 1) for left in range(2 * most + 1)]
    shifted = [
        keras.layers.Cropping2D(((top, 2 * most - top), (left, 2 * most - left)), name=f"window_{top}_{left}")(padded)
        for top, left in windows
    ]
    return _mean(pixels, [model(images) for images in shifted], f"{model.name}_over_shifts")


def over_members(models: Sequence[keras.Model], name: str) -> keras.Model:
    """The mean of several models' probabilities.

    Args:
        models: two or more, of the same inputs and outputs as in `over_shifts`; their weights are shared.
        name: of the whole; its parts are called member_1, member_2, …
    """
    pixels = keras.Input(models[0].input.shape[1:], dtype="uint8", name="pixels")
    members = [keras.Model(model.input, model.output, name=f"member_{place}") for place, model in enumerate(models, 1)]
    return _mean(pixels, [member(pixels) for member in members], name)


def _mean(pixels: keras.KerasTensor, probabilities: Sequence[keras.KerasTensor], name: str) -> keras.Model:
    # In float32 whatever the precision of the layers, as the probabilities themselves.
    mean = keras.layers.Average(dtype="float32", name=PROBABILITIES)(list(probabilities))
    return keras.Model(pixels, mean, name=name)
