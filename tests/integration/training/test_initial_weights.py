"""A training that starts from weights, and layers that do not change."""

from pathlib import Path

import keras
import numpy as np
import pytest

from mnist_exp.config.weight_shapes import head_layers, weight_shapes, weighted_layers
from mnist_exp.datasets.dataset import Dataset
from mnist_exp.machine.model_files import Layers, read_layers
from mnist_exp.models import averaging
from mnist_exp.models.build import build_model
from mnist_exp.training.loop import Trainer
from tests.conftest import compose
from tests.integration.models.test_averaging import SAVES
from tests.integration.models.test_models import MODELS
from tests.integration.trainers import SMALL_CNN, losses, trainer_for

REGULARIZED = ("optimizer=adamw", "optimizer.weight_decay=0.1", "training.ema_decay=0.9", "model.dropout=0.3")
LAYERS = "{name: dense, units: 8}, {name: batch_norm, momentum: 0.5}, {name: activation}, {name: dropout}, {name: logits}"
NORMALIZED = ("model=mlp_deep", f"model.layers=[{{name: flatten}}, {LAYERS}]", "training.batch_size=64", "training.epochs=3")


def layers_in(trainer: Trainer) -> Layers:
    """Copies of the weights of each layer that has any."""
    return {layer.name: layer.get_weights() for layer in trainer.model.layers if layer.weights}


def same(layers: Layers, others: Layers, name: str) -> bool:
    return all(np.array_equal(*pair) for pair in zip(layers[name], others[name], strict=True))


@pytest.mark.parametrize("name", MODELS)
def test_layers_have_the_names_and_shapes_that_the_configuration_knows(name: str) -> None:
    experiment = compose(f"model={name}")
    shape = (37, 33, 3)
    with keras.StatelessScope(initialize_variables=False):
        model = build_model(experiment.model, keras.layers.Rescaling(1 / 255, name="unit"), shape, 26)
    expected = {layer.name: tuple(tuple(one.shape) for one in layer.weights) for layer in model.layers if layer.weights}
    assert weight_shapes(experiment.model, shape, 26) == expected
    outputs = [tuple(layer.output.shape[1:]) for layer in model.layers if layer.weights]
    assert [layer.output for layer in weighted_layers(experiment.model, shape, 26)] == outputs
    head = head_layers(weight_shapes(experiment.model, shape, 26))
    assert head == list(expected)[list(expected).index("logits") :]


@pytest.mark.parametrize("max_shift", [0, 1])
@SAVES
def test_the_weights_in_a_model_file_are_read_by_layer(max_shift: int, digits: Dataset, tmp_path: Path) -> None:
    trainer = trainer_for(compose(*NORMALIZED), digits)
    averaging.over_shifts(trainer.model, max_shift).save(tmp_path / "model.keras")
    found, expected = read_layers(tmp_path / "model.keras"), layers_in(trainer)
    assert found.keys() == expected.keys()
    assert all(same(found, expected, name) for name in expected)


def test_the_layers_that_fit_are_copied_and_no_other_number_changes(digits: Dataset) -> None:
    weights = layers_in(trainer_for(compose(*SMALL_CNN, "seed=1"), digits))
    del weights["logits"]
    random, started = (layers_in(trainer_for(compose(*SMALL_CNN), digits, weights=each)) for each in (None, weights))
    assert [name for name in random if same(started, weights | {"logits": random["logits"]}, name)] == list(random)
    assert not any(same(started, random, name) for name in ("conv_1", "conv_2", "dense_1"))


@pytest.mark.parametrize(
    ("overrides", "frozen"),
    [(NORMALIZED, ["dense_1", "batch_norm_1"]), ((*SMALL_CNN, "threads.towers=2"), ["conv_1", "dense_1"])],
    ids=["batch norm", "towers"],
)
def test_frozen_layers_and_their_averages_do_not_change(
    overrides: tuple[str, ...], frozen: list[str], digits: Dataset
) -> None:
    trainer = trainer_for(compose(*overrides, *REGULARIZED, f"freeze=[{','.join(frozen)}]"), digits)
    before = layers_in(trainer)
    losses(trainer, 2)
    after = layers_in(trainer)
    trainer.select_weights("last")
    averaged = layers_in(trainer)
    for name in before:
        assert same(before, after, name) == same(before, averaged, name) == (name in frozen), name


def test_a_run_with_frozen_layers_shares_no_graph_with_one_without(digits: Dataset) -> None:
    """Both are trained in one process, in either order, and each gives the same as alone."""
    settings = [compose(*NORMALIZED, *REGULARIZED, *more) for more in ((), ("freeze=[dense_1,batch_norm_1]",))]
    first = [losses(trainer_for(one, digits), 1) for one in settings]
    again = [losses(trainer_for(one, digits), 1) for one in reversed(settings)]
    assert first == again[::-1]
    assert first[0] != first[1]


def test_a_resumed_training_with_initial_weights_and_frozen_layers_is_bit_identical(digits: Dataset) -> None:
    weights = layers_in(trainer_for(compose(*NORMALIZED, "seed=1"), digits))
    experiment = compose(*NORMALIZED, *REGULARIZED, "freeze=[batch_norm_1]")
    whole = trainer_for(experiment, digits, weights=weights)
    losses(whole, 1)
    state, rest = whole.state(), losses(whole, 2)
    resumed = trainer_for(experiment, digits)  # the source has gone
    resumed.restore(state)
    assert losses(resumed, 2) == rest
    assert all(np.array_equal(*pair) for pair in zip(resumed.model.get_weights(), whole.model.get_weights(), strict=True))
