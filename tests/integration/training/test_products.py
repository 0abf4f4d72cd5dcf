"""Products in parts and convolutions over patches equal TensorFlow's own, with their gradients."""

import numpy as np
import pytest
import tensorflow as tf

from mnist_exp.training import products


def value_and_gradients(function, *arguments: np.ndarray) -> list[np.ndarray]:  # type: ignore[no-untyped-def]
    tensors = [tf.constant(argument) for argument in arguments]
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        value = function(*tensors)
        weights = np.random.default_rng(1).normal(size=value.shape).astype(np.float32)
        loss = tf.reduce_sum(value * weights)
    return [np.asarray(found) for found in (value, *tape.gradient(loss, tensors))]


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize(
    ("rows", "terms", "columns"), [(200, 784, 10), (7, 375, 128), (3, 131, 5), (4, 16, 8), (500, 256, 400)]
)
def test_a_dense_product(rows: int, terms: int, columns: int) -> None:
    arguments = normal(rows, terms), normal(terms, columns)
    for found, expected in zip(
        value_and_gradients(products.dense, *arguments), value_and_gradients(tf.matmul, *arguments), strict=True
    ):
        assert found == pytest.approx(expected, abs=1e-3)


def test_few_results_are_computed_in_parts() -> None:
    def operations(rows: int, terms: int, columns: int) -> set[str]:
        graph = tf.function(products.product).get_concrete_function(tf.ones((rows, terms)), tf.ones((terms, columns))).graph
        return {operation.type for operation in graph.get_operations()}

    assert {"BatchMatMulV2", "Sum"} <= operations(200, 784, 784)
    assert "BatchMatMulV2" not in operations(784, 200, 784)  # many results
    assert "BatchMatMulV2" not in operations(200, 127, 10)  # a short sum
    assert "BatchMatMulV2" not in operations(200, 131, 10)  # a prime number of terms


@pytest.mark.parametrize(
    ("size", "shape"), [((9, 8, 1), (5, 5, 1, 4)), ((7, 9, 3), (3, 2, 3, 5)), ((4, 4, 2), (1, 1, 2, 3))]
)
def test_a_convolution(size: tuple[int, ...], shape: tuple[int, ...]) -> None:
    arguments = normal(6, *size), normal(*shape)
    own = value_and_gradients(lambda images, kernel: tf.nn.conv2d(images, kernel, 1, "VALID"), *arguments)
    for found, expected in zip(value_and_gradients(products.convolution, *arguments), own, strict=True):
        assert found == pytest.approx(expected, abs=1e-4)


def test_patches_have_a_limit() -> None:
    kernel = tf.TensorSpec([5, 5, 30, 15], tf.float32)
    assert products.fits(tf.TensorSpec([200, 12, 12, 30], tf.float32), kernel)
    assert not products.fits(tf.TensorSpec([2000, 12, 12, 30], tf.float32), kernel)
    assert not products.fits(tf.TensorSpec([None, 12, 12, 30], tf.float32), kernel)
