"""A network as a list of layers: valid lists, the messages for invalid lists, and overrides of single layers."""

from typing import Any

import pytest
from pydantic import TypeAdapter

from mnist_exp.config import checks
from mnist_exp.config.networks import ConvLayer, NetworkConfig, ResidualLayer, has_batch_norm
from mnist_exp.config.shapes import check_model, projection_stride
from mnist_exp.errors import ConfigError
from tests.conftest import compose

IMAGE = (28, 28, 1)
CONV = {"name": "conv", "filters": 4, "kernel_size": 3, "strides": 1, "padding": "valid"}
ACTIVATION, DROPOUT, FLATTEN, LOGITS = ({"name": name} for name in ("activation", "dropout", "flatten", "logits"))
GLOBAL, BATCH_NORM = {"name": "global_average_pool"}, {"name": "batch_norm", "momentum": 0.9}
DENSE = {"name": "dense", "units": 3}


def pool(size: int) -> dict[str, Any]:
    return {"name": "max_pool", "pool_size": size}


def residual(*layers: dict[str, Any]) -> dict[str, Any]:
    return {"name": "residual", "layers": list(layers)}


def network(*layers: dict[str, Any], dropout: float = 0.0) -> NetworkConfig:
    settings = {"name": "cnn", "activation": "relu", "initializer": "he_normal", "dropout": dropout}
    return TypeAdapter(NetworkConfig).validate_python(settings | {"layers": list(layers)})


@pytest.mark.parametrize(
    "layers",
    [
        [FLATTEN, LOGITS],
        [FLATTEN, LOGITS, BATCH_NORM],
        [CONV, ACTIVATION, pool(13), CONV | {"padding": "same", "kernel_size": 5}, GLOBAL, DENSE, LOGITS],
        [CONV | {"kernel_size": 28}, FLATTEN, FLATTEN, LOGITS],
        [residual(CONV | {"padding": "same", "strides": 2}, residual(ACTIVATION)), BATCH_NORM, GLOBAL, LOGITS],
        [residual(CONV | {"padding": "same", "strides": 9}), FLATTEN, LOGITS],  # 28 → 4, as a stride of 7 does too
    ],
)
def test_valid_lists_of_layers(layers: list[dict[str, Any]]) -> None:
    assert list(checks.check_layers(compose().dataset, network(*layers))) == []


@pytest.mark.parametrize(
    ("layers", "cause", "remedy"),
    [
        (
            [*[residual(*[ACTIVATION] * 400)] * 3, FLATTEN, LOGITS],
            "model.layers: 1,205 layers, including those",
            "1,000 at most",
        ),
        ([FLATTEN], "model.layers: the network must end with its logits", "- {name: logits} as the last"),
        ([FLATTEN, LOGITS, ACTIVATION], "model.layers: the network must end with its logits", "- {name: logits}"),
        ([FLATTEN, LOGITS, LOGITS], "model.layers: the network must end with its logits", "- {name: logits}"),
        ([LOGITS], "model.layers.0.name=logits: needs features, but its input is 28×28×1", "flatten or"),
        (
            [CONV, DENSE, LOGITS],
            "model.layers.1.name=dense: needs features, but its input is 26×26×4",
            "flatten or global",
        ),
        (
            [FLATTEN, CONV, LOGITS],
            "model.layers.1.name=conv: needs an image, but its input is 784 features",
            "such as dense",
        ),
        ([GLOBAL, pool(1), LOGITS], "model.layers.1.name=max_pool: needs an image, but its input is 1 features", "dense"),
        (
            [CONV | {"kernel_size": 29}, FLATTEN, LOGITS],
            "model.layers.0.kernel_size=29: conv is larger than",
            "from 1 to 28",
        ),
        (
            [pool(9), pool(4), FLATTEN, LOGITS],
            "model.layers.1.pool_size=4: max_pool is larger than its input of 3×",
            "from 1 to 3",
        ),
        (
            [pool(28), pool(2), FLATTEN, LOGITS],
            "model.layers.1.pool_size=2: max_pool is larger than its input of 1×",
            "allowed: 1",
        ),
        (
            [residual(FLATTEN), LOGITS],
            "model.layers.0.layers: the layers of a residual layer must turn an",
            "before the features",
        ),
        (
            [residual(FLATTEN, LOGITS), LOGITS],
            "model.layers.0.layers: the layers of a residual layer must turn an",
            "before",
        ),
        ([FLATTEN, residual(DENSE), LOGITS], "model.layers.1.name=residual: needs an image", "such as dense"),
        ([residual(residual(pool(29))), GLOBAL, LOGITS], "model.layers.0.layers.0.layers.0.pool_size=29:", "from 1 to 28"),
        (
            [residual(CONV), GLOBAL, LOGITS],
            "model.layers.0.layers: turn 28×28×1 into 26×26×4, which",
            "padding: same",
        ),
    ],
)
def test_invalid_lists_of_layers(layers: list[dict[str, Any]], cause: str, remedy: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_model(network(*layers), IMAGE)
    assert caught.value.problems[0].cause.startswith(cause)
    assert remedy in caught.value.problems[0].remedy


@pytest.mark.parametrize(
    ("model", "smallest"),
    [
        ("mlp", 1),
        ("mlp_deep", 1),
        ("resnet", 1),
        ("cnn_simple", 6),
        ("cnn", 10),
        ("cnn_large", 12),
        ("cnn_tiny", 24),
        ("cnn_5x5", 21),
        ("cnn_deep", 25),
    ],
)
def test_the_smallest_images_of_each_model(model: str, smallest: int) -> None:
    config = compose(f"model={model}").model
    for shape in ((smallest, smallest, 1), (smallest, 256, 3), (256, smallest, 3)):
        check_model(config, shape)
    if smallest > 1:
        with pytest.raises(ConfigError) as caught:
            check_model(config, (smallest - 1, 256, 3))
        (problem,) = caught.value.problems
        assert f", to which the layers before it reduce images of {smallest - 1}×256" in problem.cause
        assert problem.remedy.endswith("or choose a model for smaller images, such as resnet")


def test_a_model_that_does_not_fit_small_images_is_explained_in_words() -> None:
    with pytest.raises(ConfigError) as caught:
        check_model(compose("model=cnn_large").model, (8, 8, 1))
    cause = "layer conv_2 is larger than its input of 2×2, to which the layers before it reduce images of 8×8"
    assert caught.value.problems[0].cause == f"model.kernel_sizes.1=3: {cause}"


def test_a_dropout_rate_needs_a_dropout_layer() -> None:
    with pytest.raises(ConfigError, match=r"model\.dropout=0\.3: the model has no dropout layer"):
        check_model(network(FLATTEN, LOGITS, dropout=0.3), IMAGE)
    check_model(network(residual(DROPOUT), FLATTEN, LOGITS, dropout=0.3), IMAGE)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ((28, 28, 1), (28, 28, 8), 1),
        ((28, 28, 1), (14, 14, 1), 2),
        ((28, 28, 1), (4, 4, 1), 7),
        ((28, 28, 1), (26, 26, 1), None),
        ((9, 16, 1), (2, 2, 1), 8),  # the smallest stride that fits both nine rows and sixteen columns
        ((9, 16, 1), (2, 5, 1), None),
    ],
)
def test_the_stride_of_a_projection(before: tuple[int, ...], after: tuple[int, ...], expected: int | None) -> None:
    assert projection_stride(before, after) == expected


def test_batch_norm_is_found_in_residual_layers() -> None:
    assert has_batch_norm(network(residual(residual(BATCH_NORM)), GLOBAL, LOGITS))
    assert not has_batch_norm(network(residual(ACTIVATION), GLOBAL, LOGITS))
    assert not has_batch_norm(compose("model=cnn_large").model)


def problems(*overrides: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        compose("model=cnn", *overrides)
    return [f"{problem.cause} | {problem.remedy}" for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("model.layers.0.filters=0", "model.layers.0.filters=0: not allowed | allowed: an integer from 1 to 65536"),
        ("model.layers.0.filter=8", "model.layers.0.filter=8: unknown key | allowed: name, filters, kernel_size"),
        ("model.layers.20.filters=8", "model.layers.20.filters=8: unknown key | allowed: 0 to 10"),
        ("model.layers[0].filters=8", "model.layers[0].filters=8: not a valid override | write model.layers.0.filters=8"),
        ("model.layers.0.name=covn", "model.layers.0.name=covn: unknown layer | allowed: activation, average_pool"),
        ("+model.layers.0.units=8", "model.layers.0.units=8: unknown key | allowed: name, filters"),
        ("~model.layers.0.filters", "model.layers.0.filters: is missing | allowed: an integer"),
        ("~model.layers.0", "~model.layers.0: an override cannot change the length of a list | write the whole list"),
        ("+model.layers.11={name:logits}", "+model.layers.11={name:logits}: an override cannot change the length of a list"),
        ("model.layers=[]", "model.layers=[]: not allowed | allowed: a list of at least 1"),
        ("model.layers=[{nam:flatten}]", "model.layers.0.name: is missing | allowed: activation"),
        ("model.layers=[flatten]", "model.layers.0=flatten: not allowed"),
        ("model.layers.2.pool_size=27", "model.layers.2.pool_size=27: max_pool is larger than its input of 26×26"),
    ],
)
def test_the_message_for_an_invalid_override_of_a_layer(override: str, expected: str) -> None:
    (found,) = problems(override)
    assert found.startswith(expected)


def test_a_misspelled_layer_gets_a_suggestion() -> None:
    assert problems("model.layers.0.name=covn")[0].endswith("did you mean conv?")
    assert problems("model.layers.0.filter=8")[0].endswith("did you mean model.layers.0.filters?")
    assert problems("model.layers=[{name:residual,layers:[{name:flaten}]}]")[0].endswith("did you mean flatten?")


def test_an_override_changes_only_one_layer() -> None:
    plain, changed = (compose("model=cnn", *more).model for more in ((), ("model.layers.0.filters=8",)))
    assert isinstance(plain, NetworkConfig)
    assert isinstance(changed, NetworkConfig)
    assert changed.layers[0] == ConvLayer(name="conv", filters=8, kernel_size=3, strides=1, padding="valid")
    assert changed.layers[1:] == plain.layers[1:]
    deep = compose("model=resnet", "model.layers.1.layers.2.kernel_size=5").model
    assert isinstance(deep, NetworkConfig)
    assert isinstance(deep.layers[1], ResidualLayer)
    assert deep.layers[1].layers[2] == ConvLayer(name="conv", filters=16, kernel_size=5, strides=1, padding="same")


def test_batch_norm_needs_one_tower() -> None:
    with pytest.raises(ConfigError, match="the model's batch_norm takes the mean of whole batches, not of parts"):
        compose("model=cnn_deep", "threads.towers=2")
    with pytest.raises(ConfigError, match=r"training\.batch_size=1: the model's batch_norm"):
        compose("model=cnn_deep", "training.batch_size=1")
    assert compose("model=cnn_deep", "training.batch_size=2").threads.towers is None
    assert compose("model=cnn_deep", "threads.towers=1").threads.towers == 1
