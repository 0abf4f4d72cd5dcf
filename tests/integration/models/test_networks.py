"""Networks from lists of layers, and their shapes, which are computed without Keras."""

from typing import Any

import hypothesis
import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies as st
from pydantic import TypeAdapter

from mnist_exp.config import shapes
from mnist_exp.config.networks import Layer, NetworkConfig
from mnist_exp.errors import ConfigError
from mnist_exp.models.build import build_model, logits_model
from mnist_exp.models.network import _Builder
from mnist_exp.training.forward import Forward
from tests.conftest import compose

IMAGE = (28, 28, 1)


def layers_of(listed: list[dict[str, Any]]) -> tuple[Any, ...]:
    adapter: TypeAdapter[Any] = TypeAdapter(tuple[Layer, ...])
    return tuple(adapter.validate_python(tuple(listed)))


def built(layers: str, *overrides: str) -> keras.Model:
    config = compose("model=cnn", f"model.layers={layers}", *overrides).model
    return build_model(config, keras.layers.Rescaling(1 / 255, name="unit"), IMAGE, 10)


def test_layers_are_named_by_kind_and_number_in_their_order() -> None:
    model = built(
        "[{name:noise,stddev:0.1},{name:conv,filters:4,kernel_size:3,strides:2,padding:same},{name:batch_norm,momentum:0.8},"
        "{name:activation},{name:conv,filters:5,kernel_size:3,strides:1,padding:valid},{name:activation},{name:dropout},"
        "{name:max_pool,pool_size:2},{name:average_pool,pool_size:2},{name:global_average_pool},{name:dense,units:6},"
        "{name:activation},{name:activation},{name:logits},{name:batch_norm,momentum:0.9}]",
        "model.dropout=0.3",
        "model.activation=elu",
        "model.initializer=he_uniform",
    )
    assert [layer.name for layer in model.layers] == [
        "pixels", "unit", "noise_1", "conv_1", "batch_norm_1", "activation_1", "conv_2", "dropout_1", "pool_1", "pool_2",
        "pool_3", "dense_1", "activation_2", "logits", "batch_norm_2", "probabilities",
    ]  # fmt: skip
    # An activation directly after a convolution or a dense layer is part of that layer.
    activations = {layer.name: layer.activation for layer in model.layers if hasattr(layer, "activation")}
    elu, linear, softmax = keras.activations.elu, keras.activations.linear, keras.activations.softmax
    assert activations == {
        "conv_1": linear, "activation_1": elu, "conv_2": elu, "dense_1": elu, "activation_2": elu, "logits": linear,
        "probabilities": softmax,
    }  # fmt: skip
    found = {layer.name: layer for layer in model.layers}
    assert (found["noise_1"].stddev, found["dropout_1"].rate) == (0.1, 0.3)
    assert [found[f"batch_norm_{number}"].momentum for number in (1, 2)] == [0.8, 0.9]
    assert (found["conv_1"].strides, found["conv_1"].padding) == ((2, 2), "same")
    assert [type(found[f"pool_{number}"]).__name__ for number in (1, 2, 3)] == [
        "MaxPooling2D",
        "AveragePooling2D",
        "GlobalAveragePooling2D",
    ]
    assert all(
        isinstance(layer.kernel_initializer, keras.initializers.HeUniform) for layer in (found["conv_1"], found["logits"])
    )
    assert model.output.shape == (None, 10)


@pytest.mark.parametrize(("filters", "strides", "projected"), [(1, 1, False), (3, 1, True), (1, 2, True), (3, 3, True)])
def test_a_residual_adds_its_input(filters: int, strides: int, projected: bool) -> None:
    model = built(
        "[{name:residual,layers:[{name:activation},"
        f"{{name:conv,filters:{filters},kernel_size:3,strides:{strides},padding:same}}]}},{{name:flatten}},{{name:logits}}]",
        "model.dropout=0",
    )
    names = [layer.name for layer in model.layers]
    assert ("projection_1" in names) == projected
    added = keras.Model(model.input, [model.get_layer(name).output for name in ("unit", "conv_1", "residual_1")])
    if projected:
        projection = model.get_layer("projection_1")
        assert (projection.kernel_size, projection.strides, projection.use_bias) == ((1, 1), (strides, strides), False)
        assert projection.input is model.get_layer("unit").output
    images = np.random.default_rng(0).integers(0, 256, (2, *IMAGE)).astype(np.uint8)
    before, changed, after = (np.asarray(part) for part in added(images))
    straight = np.asarray(model.get_layer("projection_1")(before)) if projected else before
    assert after == pytest.approx(straight + changed, abs=1e-6)


def test_residual_layers_can_be_nested() -> None:
    inner = "{name:residual,layers:[{name:conv,filters:2,kernel_size:3,strides:1,padding:same},{name:activation}]}"
    model = built(
        f"[{{name:residual,layers:[{inner},{{name:activation}}]}},{{name:flatten}},{{name:logits}}]", "model.dropout=0"
    )
    assert {layer.name for layer in model.layers} == {
        "pixels", "unit", "conv_1", "projection_1", "residual_1", "activation_1", "projection_2", "residual_2", "flatten_1",
        "logits", "probabilities",
    }  # fmt: skip
    assert model.get_layer("projection_1").input is model.get_layer("projection_2").input is model.get_layer("unit").output
    assert model.get_layer("activation_1").input is model.get_layer("residual_1").output


SIZES = st.integers(1, 9)
SIMPLE = st.one_of(
    st.fixed_dictionaries(
        {
            "name": st.just("conv"),
            "filters": st.integers(1, 3),
            "kernel_size": SIZES,
            "strides": st.integers(1, 4),
            "padding": st.sampled_from(["valid", "same"]),
        }
    ),
    st.fixed_dictionaries({"name": st.sampled_from(["max_pool", "average_pool"]), "pool_size": SIZES}),
    st.fixed_dictionaries({"name": st.sampled_from(["activation", "dropout"])}),
    st.fixed_dictionaries({"name": st.just("batch_norm"), "momentum": st.just(0.9)}),
)
IMAGES = st.recursive(
    SIMPLE,
    lambda inner: st.fixed_dictionaries({"name": st.just("residual"), "layers": st.lists(inner, min_size=1, max_size=3)}),
    max_leaves=4,
)
FEATURES = st.one_of(
    st.fixed_dictionaries({"name": st.sampled_from(["flatten", "activation", "dropout"])}),
    st.fixed_dictionaries({"name": st.just("dense"), "units": st.integers(1, 5)}),
)
LISTS = st.tuples(
    st.lists(IMAGES, min_size=1, max_size=5),
    st.sampled_from([[], [{"name": "flatten"}], [{"name": "global_average_pool"}]]),
    st.lists(FEATURES, max_size=2),
).map(lambda parts: [*parts[0], *parts[1], *parts[2]])


@hypothesis.settings(max_examples=60)
@hypothesis.given(listed=LISTS, image=st.tuples(st.integers(5, 28), st.integers(5, 28), st.integers(1, 3)))
def test_shapes_equal_those_of_keras(listed: list[dict[str, Any]], image: tuple[int, int, int]) -> None:
    """Accepted layers have these shapes in Keras; Keras cannot build those with too large a window either."""
    layers = layers_of(listed)
    config = compose("model=cnn").model
    assert isinstance(config, NetworkConfig)
    builder = _Builder(config, 10)
    try:
        expected = shapes._shape_after_all(layers, image, "model.layers")
    except shapes._TooLargeError:
        with pytest.raises(ValueError, match=r"[Nn]egative|zero|must be|dimension"):
            builder.chain(layers, keras.Input(image))
        return
    except ConfigError:
        return
    assert builder.chain(layers, keras.Input(image)).shape == (None, *expected)


def test_no_kernel_of_one_pixel_is_trained_with_strides() -> None:
    """Its gradient in TensorFlow may crash the process; the replacement computes the same function."""
    model = built(
        "[{name:conv,filters:4,kernel_size:1,strides:3,padding:same},{name:activation},{name:max_pool,pool_size:2},"
        "{name:residual,layers:[{name:conv,filters:3,kernel_size:3,strides:2,padding:same}]},"
        "{name:conv,filters:3,kernel_size:1,strides:2,padding:valid},{name:flatten},{name:logits}]",
        "model.dropout=0",
        "model.activation=tanh",
    )
    forward = Forward(model, 7, use_xla=False)
    strided = [
        layer.name
        for layer in forward._network.layers
        if isinstance(layer, keras.layers.Conv2D) and layer.kernel_size == (1, 1) and layer.strides != (1, 1)
    ]
    assert strided == []
    assert {"fast_conv_1", "fast_conv_3", "fast_projection_1"} <= {layer.name for layer in forward._network.layers}
    images = np.random.default_rng(0).integers(0, 256, (5, *IMAGE)).astype(np.uint8)
    found = np.asarray(forward(tf.constant(images), tf.constant(0, tf.int64)))
    assert found == pytest.approx(np.asarray(logits_model(model)(images)), abs=1e-5)
    assert found.std() > 0.01
