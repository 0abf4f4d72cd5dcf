"""Averages over shifts of the image and over members, against NumPy."""

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest

from mnist_exp import experiment
from mnist_exp.config.schema import shift_count
from mnist_exp.datasets.dataset import Dataset
from mnist_exp.models import averaging, preprocessing
from mnist_exp.models.build import build_model
from mnist_exp.runs import evaluation
from mnist_exp.runs.run import Run
from mnist_exp.training import device
from mnist_exp.training.loop import Trainer
from mnist_exp.training.prediction import Predictor
from tests.conftest import TINY, compose
from tests.integration.trainers import trainer_for

SAVES = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # by Keras, when it saves a model
SMALL = ("model.filters=[4,3]", "model.units=[8]")


def small(*overrides: str, name: str = "cnn_large", seed: int = 0) -> keras.Model:
    chosen = compose(f"model={name}", *overrides)
    device.prepare("cpu", chosen.precision, chosen.threads, 200, seed)
    scaling = preprocessing.build(chosen.preprocessing, np.arange(256, dtype=np.uint8).reshape(-1, 1, 1, 1))
    return build_model(chosen.model, scaling, (28, 28, 1), 10)


def mean_over_shifts(model: keras.Model, images: np.ndarray, max_shift: int) -> np.ndarray:
    """Compute `over_shifts` with np.pad and slices, in float64."""
    padded = np.pad(images, [(0, 0), (max_shift, max_shift), (max_shift, max_shift), (0, 0)])
    windows = [
        padded[:, top : top + 28, left : left + 28] for top in range(2 * max_shift + 1) for left in range(2 * max_shift + 1)
    ]
    return np.mean([np.asarray(model(window), np.float64) for window in windows], axis=0)


@pytest.mark.parametrize("overrides", [SMALL, (*SMALL, "precision=bfloat16")], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("max_shift", [1, 2, 3])
def test_the_mean_over_shifts_equals_numpy(max_shift: int, overrides: tuple[str, ...], digits: Dataset) -> None:
    model = small(*overrides)
    images = digits.test_images[:7]
    averaged = averaging.over_shifts(model, max_shift)
    found = np.asarray(averaged(images))
    assert found.dtype == np.float32
    assert found == pytest.approx(mean_over_shifts(model, images, max_shift), abs=1e-6)
    assert np.abs(found - np.asarray(model(images))).max() > 1e-4


def test_no_shift_is_the_model_itself() -> None:
    model = small(*SMALL)
    assert averaging.over_shifts(model, 0) is model
    assert [shift_count(max_shift) for max_shift in range(4)] == [1, 9, 25, 49]


def test_the_border_is_filled_with_black() -> None:
    """A white pixel in a corner is outside the image after some of the shifts."""
    image = np.zeros((1, 28, 28, 1), np.uint8)
    image[0, 0, 0] = 255
    pixels = keras.Input((28, 28, 1), dtype="uint8")
    lit = keras.layers.Rescaling(1 / 255)(pixels)
    share = keras.Model(pixels, keras.layers.GlobalAveragePooling2D()(lit), name="lit")
    # Of nine shifts, those upwards or to the left lose the pixel: five of them.
    assert np.asarray(averaging.over_shifts(share, 1)(image)).item() == pytest.approx(4 / 9 / 784)


def test_shared_weights_are_counted_once() -> None:
    model = small(*SMALL)
    averaged = averaging.over_shifts(model, 2)
    assert averaged.count_params() == model.count_params()
    assert [id(weight) for weight in averaged.weights] == [id(weight) for weight in model.weights]
    others = [small("model.units=[8]", name="mlp"), averaged, model]
    together = averaging.over_members(others, "ensemble")
    assert together.count_params() == others[0].count_params() + model.count_params()


@SAVES
@pytest.mark.parametrize("max_shift", [0, 1])
def test_the_mean_over_members_equals_numpy_also_after_saving(max_shift: int, digits: Dataset, tmp_path: Path) -> None:
    members = [small(*SMALL), small(*SMALL, "precision=bfloat16"), small("model.units=[8]", name="mlp")]
    members = [averaging.over_shifts(member, max_shift) for member in members]
    images = digits.test_images[:5]
    expected = np.mean([np.asarray(member(images), np.float64) for member in members], axis=0)
    together = averaging.over_members(members, "ensemble")
    assert np.asarray(together(images)) == pytest.approx(expected, abs=1e-6)
    together.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", compile=False, safe_mode=True)
    assert np.array_equal(np.asarray(loaded(images)), np.asarray(together(images)))
    assert loaded.input.dtype == "uint8"
    assert loaded.count_params() == sum(member.count_params() for member in members)


def test_a_trainer_predicts_the_mean_in_small_batches(
    make_trainer: Callable[..., Trainer], digits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = make_trainer("threads.towers=2")
    sizes = []
    images = digits.test_images[:43]
    built.average_over_shifts(3)
    assert built.final_model is not built.model
    expected = mean_over_shifts(built.model, images, 3)
    one_tower = Predictor(built.final_model, towers=1, passes=49)
    computed = built._predict._graph
    monkeypatch.setattr(
        built._predict, "_graph", lambda variables, batch: sizes.append(len(batch)) or computed(variables, batch)
    )
    for count in (1, 20, 43):
        sizes.clear()
        predicted = built.predict(images[:count])
        assert sizes
        assert max(sizes) * shift_count(3) <= 1000
        assert np.array_equal(predicted, built.predict(images[:count]))
        assert predicted == pytest.approx(expected[:count], abs=1e-6)
        assert predicted == pytest.approx(one_tower(images[:count]), abs=1e-6)


@pytest.mark.parametrize("overrides", [SMALL, (*SMALL, "precision=bfloat16")], ids=["float32", "bfloat16"])
def test_xla_compiles_one_program_for_all_predictions(overrides: tuple[str, ...], digits: Dataset) -> None:
    """For validation images, any number of test images, and their shifts."""
    built = trainer_for(compose("model=cnn_large", *overrides, "seed=8231"), digits, use_xla=True)
    images = digits.test_images[:43]
    assert built.predict(images) == pytest.approx(np.asarray(built.model(images)), abs=1e-3)
    graph, predict = built._predict._graph, built._predict
    built.average_over_shifts(1)
    assert built.predict(images[:5]) == pytest.approx(mean_over_shifts(built.model, images[:5], 1), abs=1e-3)
    assert built._predict is predict
    assert predict._graph is graph
    assert graph._traced.structured_input_signature[0][0].shape == (1000, 28, 28, 1)
    assert "_XlaMustCompile" in graph._traced.function_def.attr


@pytest.mark.parametrize("passes", [1, 490, 5000])
def test_every_tower_has_an_image_for_any_number_of_passes(passes: int, digits: Dataset) -> None:
    """Ten members over shifts by up to three pixels would leave two images to a batch."""
    model, images = small(*SMALL), digits.test_images[:11]
    found = Predictor(model, towers=4, passes=passes)(images)
    assert found == pytest.approx(np.asarray(model(images)), abs=1e-6)


def test_a_trainer_without_shifts_keeps_its_graph(make_trainer: Callable[..., Trainer]) -> None:
    built = make_trainer()
    before = built._predict
    built.average_over_shifts(0)
    assert built._predict is before
    assert built.final_model is built.model


@SAVES
def test_all_files_of_a_run_use_the_mean(digits: Dataset, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("")
    chosen = compose(*TINY, "training.epochs=1", "evaluation.tta=1", "progress=quiet")
    summary = experiment.train(chosen, Run(tmp_path))
    images = digits.test_images[:200]
    stored = np.load(tmp_path / "predictions.npz")["probabilities"]
    saved = keras.saving.load_model(tmp_path / "model.keras", compile=False, safe_mode=True)
    trained = saved.get_layer("mlp")
    assert np.asarray(saved(images)) == pytest.approx(stored[:200], abs=1e-6)
    assert stored[:200] == pytest.approx(mean_over_shifts(trained, images, 1), abs=1e-6)
    assert summary.test.loss == evaluation.score(stored, digits.test_labels)["loss"]
    assert summary.test.loss != pytest.approx(
        evaluation.score(np.asarray(trained(digits.test_images)), digits.test_labels)["loss"]
    )
    assert summary.model.parameters == trained.count_params() == saved.count_params()
    # The epochs were validated without.
    row = (tmp_path / "history.csv").read_text().splitlines()[-1].split(",")
    assert summary.validation is not None
    assert float(row[4]) != summary.validation.loss
