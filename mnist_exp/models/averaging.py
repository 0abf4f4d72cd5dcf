"""Keras models that average the probabilities of one model over shifts of the image, or of several models."""

from collections.abc import Sequence

import keras

from mnist_exp.models.build import PROBABILITIES


def over_shifts(model: keras.Model, max_shift: int) -> keras.Model:
    """Average a model's probabilities over all shifts of the image (test-time augmentation).

    Krizhevsky et al. 2012, "ImageNet Classification with Deep Convolutional Neural Networks", §4.1, average over crops and
    reflections, which change the meaning of digits and letters. Pixels from outside the image are 0.

    Args:
        model: from uint8 images (n, height, width, channels) to float32 probabilities (n, classes); its weights are shared.
        max_shift: pixels by which the image is shifted at most, up, down, left and right.

    Returns:
        A model with the same inputs and outputs; `model` itself if `max_shift` is 0.
    """
    if max_shift == 0:
        return model
    pixels = keras.Input(model.input.shape[1:], dtype="uint8", name="pixels")
    padded = keras.layers.ZeroPadding2D(max_shift, name="border")(pixels)
    shifted = [
        keras.layers.Cropping2D(((top, 2 * max_shift - top), (left, 2 * max_shift - left)), name=f"window_{top}_{left}")(
            padded
        )
        for top, left in offsets(max_shift)
    ]
    return _mean(pixels, [model(images) for images in shifted], f"{model.name}_over_shifts")


def offsets(max_shift: int) -> list[tuple[int, int]]:
    """Return the upper left pixel (row, column) of each shifted image in an image with a border of `max_shift` pixels."""
    return [(top, left) for top in range(2 * max_shift + 1) for left in range(2 * max_shift + 1)]


def over_members(models: Sequence[keras.Model], name: str) -> keras.Model:
    """Average the probabilities of several models.

    Args:
        models: two or more, with inputs and outputs as in `over_shifts`; their weights are shared.
        name: name of the new model; its parts are named member_1, member_2, …
    """
    pixels = keras.Input(models[0].input.shape[1:], dtype="uint8", name="pixels")
    members = [keras.Model(model.input, model.output, name=f"member_{number}") for number, model in enumerate(models, 1)]
    return _mean(pixels, [member(pixels) for member in members], name)


def _mean(pixels: keras.KerasTensor, probabilities: Sequence[keras.KerasTensor], name: str) -> keras.Model:
    # In float32 in every precision, as the probabilities themselves.
    mean = keras.layers.Average(dtype="float32", name=PROBABILITIES)(list(probabilities))
    return keras.Model(pixels, mean, name=name)
