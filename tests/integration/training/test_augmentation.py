"""Augmentation: each transform against NumPy and SciPy with the same random values, which only seed and step determine."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf
from scipy import ndimage, stats

from mnist_exp.config import shapes
from mnist_exp.config.schema import RandomAugmentationConfig
from mnist_exp.datasets.dataset import Dataset
from mnist_exp.machine.files import array_sha256
from mnist_exp.training import augmentation, transforms
from mnist_exp.training.augmentation import LEVELS, Augmentation, Draws
from mnist_exp.training.forward import Forward
from mnist_exp.training.layers import Pass
from mnist_exp.training.loop import Trainer
from tests import synthetic
from tests.conftest import ROOT, compose
from tests.integration.trainers import EVERY_AUGMENTATION, NO_IMAGES, losses, no_progress, trainer_for

OPTIONS = sorted(path.stem for path in (ROOT / "conf" / "augmentation").glob("*.yaml") if path.stem != "none")
MANY = 4000  # draws, to see their distribution
SIZE = (28, 28)
CENTER = np.array([13.5, 13.5])


def configured(*overrides: str) -> RandomAugmentationConfig:
    config = compose(*overrides).augmentation
    assert isinstance(config, RandomAugmentationConfig)
    return config


def augmentation_of(*overrides: str, seed: int = 7) -> Augmentation:
    return Augmentation(configured(*overrides), (*SIZE, 1), seed)


def drawn(augmentation: Augmentation, step: int = 0, count: int = 8) -> dict[str, np.ndarray]:
    """What is drawn, as arrays."""
    draws = augmentation.draw(tf.constant(step, tf.int64), count)
    return {name: values.numpy() for name, values in draws._asdict().items() if values is not None}


def columns(*numbers: float) -> tuple[tf.Tensor, ...]:
    return tuple(tf.constant([number], tf.float32) for number in numbers)


# The reference: the same transforms in float64, image by image, with NumPy and SciPy alone.


def composed(angle: float, shear: float, high: float, wide: float, down: float, right: float) -> np.ndarray:
    """From the old place to the new, both from the center: 3×3, of four matrices one after the other."""
    rotated, leaning, stretched, moved = np.eye(3), np.eye(3), np.eye(3), np.eye(3)
    rotated[:2, :2] = [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
    leaning[1, 0] = math.tan(shear)
    stretched[0, 0], stretched[1, 1] = high, wide
    moved[:2, 2] = down, right
    return moved @ rotated @ leaning @ stretched


def field(noise: np.ndarray, alpha: float, sigma: float) -> np.ndarray:
    """Simard's displacements of one image, (2, height, width)."""
    uniform = (noise.astype(np.float64) + 0.5) / 128
    return np.stack([alpha * ndimage.gaussian_filter(part, sigma, mode="reflect", truncate=4.0) for part in uniform])


def transformed(images: np.ndarray, draws: dict[str, np.ndarray], config: RandomAugmentationConfig) -> np.ndarray:
    """Grey levels before they are rounded, (n, height, width)."""
    found = []
    for number, original in enumerate(images[..., 0].astype(np.float64)):
        image = np.fliplr(original) if "flips" in draws and draws["flips"][number] else original
        places = np.indices(SIZE).astype(np.float64)
        if "matrices" in draws:
            matrix = draws["matrices"][number].astype(np.float64)
            from_center = places - CENTER[:, np.newaxis, np.newaxis]
            places = np.tensordot(matrix[:, :2], from_center, 1) + (matrix[:, 2] + CENTER)[:, np.newaxis, np.newaxis]
        if "noise" in draws:
            places = places + field(draws["noise"][number], config.elastic_alpha, config.elastic_sigma)
        changed = ndimage.map_coordinates(image, places, order=1, mode="grid-constant", cval=0)
        if "corners" in draws:
            top, left = draws["corners"][number]
            rows, across = np.ogrid[: SIZE[0], : SIZE[1]]
            inside = (
                (rows >= top) & (rows < top + config.cutout_size) & (across >= left) & (across < left + config.cutout_size)
            )
            changed[inside] = 0
        found.append(changed)
    whole = np.stack(found)
    if "shares" in draws:
        shares = draws["shares"].astype(np.float64)[:, np.newaxis, np.newaxis]
        whole = np.rint(whole)  # images are rounded before they are mixed
        whole = shares * whole + (1 - shares) * np.concatenate([whole[1:], whole[:1]])
    return whole


# Each transform by itself.


@pytest.mark.parametrize(
    "numbers",
    [
        (0.3, 0, 1, 1, 0, 0),
        (0, 0.4, 1, 1, 0, 0),
        (0, 0, 1.2, 0.7, 0, 0),
        (0, 0, 1, 1, 2.5, -1.25),
        (-0.8, 0.5, 0.9, 1.3, -3, 2),
    ],
)
def test_the_matrix_is_the_inverse_of_rotation_shear_scale_and_shift(numbers: tuple[float, ...]) -> None:
    matrices = transforms.inverse_affine(*columns(*numbers))
    expected = np.linalg.inv(composed(*numbers))[:2]
    assert matrices.numpy()[0] == pytest.approx(expected, abs=1e-6)
    places = transforms.affine_positions(matrices, (4, 6)).numpy()[0]
    center = np.array([[1.5], [2.5]])
    new = np.indices((4, 6)).reshape(2, -1)
    assert places == pytest.approx(expected[:, :2] @ (new - center) + expected[:, 2:] + center, abs=1e-5)


def test_directions() -> None:
    """A dot above the center: a right angle brings it to the left, a shear leftwards, scaling further up."""
    image = np.zeros((1, 9, 9, 1), np.uint8)
    image[0, 1, 4] = 255  # three above the center of nine

    def lands(*numbers: float) -> tuple[int, ...]:
        places = transforms.affine_positions(transforms.inverse_affine(*columns(*numbers)), (9, 9))
        return tuple(map(int, np.argwhere(transforms.sample(tf.constant(image), places).numpy()[0, ..., 0] == 255)[0]))

    assert lands(math.pi / 2, 0, 1, 1, 0, 0) == (4, 1)
    assert lands(0, math.pi / 4, 1, 1, 0, 0) == (1, 1)
    assert lands(0, 0, 4 / 3, 1, 0, 0) == (0, 4)
    assert lands(0, 0, 1, 1, 2, 3) == (3, 7)


def test_sampling_is_linear_and_black_outside(digits: Dataset) -> None:
    images = digits.train_images[:6].copy()
    images[0] = 255  # up to its edges
    generator = np.random.default_rng(0)
    places = generator.uniform(-40, 70, (6, 2, 28 * 28))
    places[1] = np.indices(SIZE).reshape(2, -1) + generator.uniform(-1.5, 1.5, (2, 28 * 28))
    places[2] = np.indices(SIZE).reshape(2, -1)  # exactly on the pixels
    found = transforms.sample(tf.constant(images), tf.constant(places, tf.float32)).numpy()
    for number, image in enumerate(images[..., 0].astype(np.float64)):
        expected = ndimage.map_coordinates(image, places[number].astype(np.float32), order=1, mode="grid-constant")
        assert np.abs(found[number].ravel() - expected).max() < 0.5 + 1e-3
    assert np.array_equal(found[2], images[2])


@pytest.mark.parametrize(("alpha", "sigma"), [(34, 4), (8, 0.5), (8, 0.1), (100, 20)])
def test_displacements_are_simards(alpha: float, sigma: float) -> None:
    noise = np.random.default_rng(0).integers(-128, 128, (3, 2, 20, 28)).astype(np.int8)
    found = transforms.displacements(tf.constant(noise), alpha, sigma).numpy().reshape(noise.shape)
    for one, expected in zip(found, noise, strict=True):
        assert one == pytest.approx(field(expected, alpha, sigma), abs=1e-5 * alpha)


def test_only_the_cut_out_square_is_black() -> None:
    images = np.full((4, 6, 7, 1), 9, np.uint8)
    corners = np.array([[1, 2], [-2, 5], [4, -1], [-3, -3]], np.int32)
    found = transforms.cut_out(tf.constant(images), tf.constant(corners), 3).numpy()
    expected = images.copy()
    expected[0, 1:4, 2:5] = expected[1, :1, 5:] = expected[2, 4:, :2] = 0
    assert np.array_equal(found, expected)


def test_images_are_mixed_with_the_next(digits: Dataset) -> None:
    images, shares = digits.train_images[:5], np.array([0.5, 0.6, 0.75, 0.999, 1], np.float32)
    found = transforms.mix(tf.constant(images), tf.constant(shares)).numpy()
    weights = shares[:, np.newaxis, np.newaxis, np.newaxis].astype(np.float64)
    expected = weights * images + (1 - weights) * images[[1, 2, 3, 4, 0]]
    assert np.abs(found - expected).max() < 0.5 + 1e-3
    assert np.array_equal(found[4], images[4])


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("more", [(), ("augmentation.elastic_alpha=20", "augmentation.cutout_probability=0.5")])
def test_every_option_equals_the_reference(option: str, more: tuple[str, ...], digits: Dataset) -> None:
    overrides = (f"augmentation={option}", *more)
    images, own = digits.train_images[:12], augmentation_of(*overrides)
    draws = own.draw(tf.constant(3, tf.int64), len(images))
    found = own.transform(tf.constant(images), draws)
    if draws.shares is not None:
        found = transforms.mix(found, draws.shares)
    expected = transformed(images, drawn(own, 3, len(images)), configured(*overrides))
    assert found.dtype == tf.uint8
    # The last bit of a coordinate may turn a rounding, of one image and of what it is mixed with.
    assert np.abs(found.numpy()[..., 0] - expected).max() < (0.51 if draws.shares is None else 1.51)
    assert np.abs(found.numpy().astype(int) - images).max() > 100


@pytest.mark.parametrize("option", ["affine", "elastic", "cutout", "mixup", "flip"])
def test_each_channel_of_a_colour_image_is_changed_as_a_grey_image_is(option: str) -> None:
    """In images that are not square."""
    images, own = synthetic.dataset(synthetic.COLOR, 5).train_images[:6], configured(f"augmentation={option}")
    height, width, channels = synthetic.COLOR

    def changed(images: np.ndarray) -> np.ndarray:
        augmented = Augmentation(own, images.shape[1:], 7)
        draws = augmented.draw(tf.constant(3, tf.int64), len(images))
        found = augmented.transform(tf.constant(images), draws)
        return np.asarray(found if draws.shares is None else transforms.mix(found, draws.shares))

    found = changed(images)
    assert found.shape == (6, height, width, channels)
    assert np.array_equal(found, np.concatenate([changed(images[..., [channel]]) for channel in range(channels)], axis=-1))
    assert not np.array_equal(found, images)


# The random values.


def test_an_option_draws_what_it_needs() -> None:
    needs = {option: set(drawn(augmentation_of(f"augmentation={option}"))) for option in OPTIONS}
    own = {"affine": "matrices", "elastic": "noise", "cutout": "corners", "mixup": "shares", "flip": "flips"}
    assert needs == {option: {name} for option, name in own.items()}
    assert set(drawn(augmentation_of(*EVERY_AUGMENTATION))) == set(own.values())
    assert augmentation.build(compose().augmentation, (*SIZE, 1), 7) is None


@pytest.mark.parametrize(
    ("setting", "of"),
    [
        ("rotation=40", lambda matrix: math.degrees(math.atan2(matrix[0, 1], matrix[0, 0]))),
        ("shear=30", lambda matrix: math.degrees(math.atan(-matrix[1, 0]))),
        ("scale=0.3", lambda matrix: 1 / matrix[0, 0] - 1),
        ("scale=0.3", lambda matrix: 1 / matrix[1, 1] - 1),
        ("shift=3", lambda matrix: -matrix[0, 2]),
        ("shift=3", lambda matrix: -matrix[1, 2]),
    ],
)
def test_draws_are_uniform_up_to_the_setting_either_way(setting: str, of: Callable[[np.ndarray], float]) -> None:
    nothing = [f"augmentation.{name}=0" for name in ("rotation", "shear", "scale", "shift")]
    matrices = drawn(augmentation_of("augmentation=affine", *nothing, f"augmentation.{setting}"), count=MANY)["matrices"]
    most = float(setting.partition("=")[2])
    values = np.array([of(matrix) for matrix in matrices]) / most
    assert np.abs(values).max() <= 1 + 1e-5
    assert stats.kstest(values, stats.uniform(-1, 2).cdf).pvalue > 1e-3


def test_both_sides_are_stretched_independently() -> None:
    nothing = [f"augmentation.{name}=0" for name in ("rotation", "shear", "shift")]
    matrices = drawn(augmentation_of("augmentation=affine", *nothing), count=MANY)["matrices"]
    assert abs(np.corrcoef(matrices[:, 0, 0], matrices[:, 1, 1])[0, 1]) < 0.06


def test_half_of_the_images_are_mirrored(digits: Dataset) -> None:
    flips = drawn(augmentation_of("augmentation=flip"), count=MANY)["flips"]
    assert flips.mean() == pytest.approx(0.5, abs=4 * math.sqrt(0.25 / MANY))
    found = transforms.flip(tf.constant(digits.train_images[:8]), tf.constant(flips[:8])).numpy()
    assert 0 < flips[:8].sum() < 8
    for image, original, is_mirrored in zip(found, digits.train_images, flips, strict=False):
        assert np.array_equal(image, original[:, ::-1] if is_mirrored else original)


def test_noise_is_uniform() -> None:
    noise = drawn(augmentation_of("augmentation=elastic"), count=50)["noise"]
    counts = np.bincount(noise.astype(int).ravel() + 128, minlength=256)
    assert stats.chisquare(counts).pvalue > 1e-3
    assert abs(np.corrcoef(noise[:, 0].ravel(), noise[:, 1].ravel())[0, 1]) < 0.03  # down and right


@pytest.mark.parametrize("probability", [0.25, 1.0])
@pytest.mark.parametrize("size", [1, 7, 8])
def test_cutout_has_its_probability_and_uniform_centers(probability: float, size: int) -> None:
    overrides = (f"augmentation.cutout_probability={probability}", f"augmentation.cutout_size={size}")
    corners = drawn(augmentation_of("augmentation=cutout", *overrides), count=MANY)["corners"]
    cut = corners[:, 0] > -size
    assert cut.mean() == pytest.approx(probability, abs=4 * math.sqrt(probability * (1 - probability) / MANY))
    centers = corners[cut] + size // 2
    assert (centers.min(), centers.max()) == (0, 27)
    for axis in (0, 1):
        assert stats.chisquare(np.bincount(centers[:, axis], minlength=28)).pvalue > 1e-3
    images = np.full((MANY, 28, 28, 1), 1, np.uint8)
    black = transforms.cut_out(tf.constant(images), tf.constant(corners), size).numpy().min(axis=(1, 2, 3)) == 0
    assert np.array_equal(black, cut)


@pytest.mark.parametrize("alpha", [0.05, 0.2, 1.0, 8.0])
def test_shares_are_those_of_the_beta_distribution(alpha: float) -> None:
    shares = drawn(augmentation_of("augmentation=mixup", f"augmentation.mixup={alpha}"), count=MANY)["shares"]
    assert shares.min() >= 0.5
    assert shares.max() <= 1
    larger = stats.beta(alpha, alpha).ppf((1 + (np.arange(LEVELS) + 0.5) / LEVELS) / 2)
    known = np.sort(larger.astype(np.float32))
    nearest = known[np.clip(np.searchsorted(known, shares), 0, LEVELS - 1)]
    assert nearest == pytest.approx(shares, abs=1e-6)  # of the table of SciPy's quantiles
    ranks = stats.beta(alpha, alpha).cdf(shares.astype(np.float64)) * 2 - 1
    inner = ranks[shares < 1 - 1e-6]  # float32 cannot distinguish values nearer to 1
    assert stats.kstest(inner / ranks[shares < 1 - 1e-6].max(), "uniform").pvalue > 1e-3


@pytest.mark.parametrize("alpha", [1e-9, 1e-3, 100.0])
def test_shares_are_finite_at_the_limits(alpha: float) -> None:
    shares = drawn(augmentation_of("augmentation=mixup", f"augmentation.mixup={alpha}"), count=MANY)["shares"]
    assert np.isfinite(shares).all()
    assert shares.mean() == pytest.approx(1 if alpha < 1 else 0.5 + math.sqrt(1 / (402 * math.pi)), abs=0.002)


# What the random values depend on.


def test_only_seed_and_step_determine_the_draws() -> None:
    first, again = drawn(augmentation_of(*EVERY_AUGMENTATION), 5), drawn(augmentation_of(*EVERY_AUGMENTATION), 5)
    for name, values in first.items():
        assert np.array_equal(values, again[name])
    for other in (drawn(augmentation_of(*EVERY_AUGMENTATION), 6), drawn(augmentation_of(*EVERY_AUGMENTATION, seed=8), 5)):
        for name, values in first.items():
            assert not np.array_equal(values, other[name]), name


def test_the_draws_of_an_option_do_not_depend_on_others() -> None:
    everything = drawn(augmentation_of(*EVERY_AUGMENTATION), 2)
    assert np.array_equal(drawn(augmentation_of("augmentation=affine"), 2)["matrices"], everything["matrices"])
    assert np.array_equal(drawn(augmentation_of("augmentation=elastic"), 2)["noise"], everything["noise"])


def test_no_two_streams_share_a_key(monkeypatch: pytest.MonkeyPatch, digits: Dataset) -> None:
    """Of dropout, noise, and everything that is drawn for the images, over steps and towers, at both ends of the seeds."""
    layers = "[{name:noise,stddev:0.1},{name:dropout},{name:flatten},{name:dropout},{name:logits}]"
    experiment = compose("model=cnn", f"model.layers={layers}", "model.dropout=0.5", *EVERY_AUGMENTATION)
    model = trainer_for(experiment, digits).model
    seeds, steps, towers = (0, 1, 2**32 - 1), (0, 1, 1023, 1024, 10**6), (0, 1)
    pairs = [
        (Forward(model, seed, use_xla=True), Augmentation(configured(*EVERY_AUGMENTATION), (*SIZE, 1), seed))
        for seed in seeds
    ]
    keys = []

    def kept(own: Callable[..., tf.Tensor]) -> Callable[..., tf.Tensor]:
        def key(*arguments: object) -> tf.Tensor:
            found = own(*arguments)
            keys.append(tuple(found.numpy().tolist()))
            return found

        return key

    monkeypatch.setattr(Pass, "key", kept(Pass.key))
    monkeypatch.setattr(Augmentation, "_key", kept(Augmentation._key))
    for forward, augmented in pairs:
        for step in steps:
            augmented.draw(tf.constant(step, tf.int64), 2)
            for tower in towers:
                forward(tf.constant(digits.train_images[:2]), tf.constant(step * len(towers) + tower, tf.int64))
    assert len(keys) == len(seeds) * len(steps) * (6 + 3 * len(towers))
    assert len(set(keys)) == len(keys)
    assert shapes.MAX_LAYERS < augmentation.FLIP  # those of a network, each with a stream, counted from 1


# Within training.


def test_images_of_a_step_do_not_depend_on_the_number_of_towers(digits: Dataset) -> None:
    """And the same targets: those of the batch in its order."""
    batch = tf.constant([3, 1, 4, 15, 9, 2, 6], tf.int32)
    found = []
    for towers in (1, 2, 3):
        steps = trainer_for(compose("model.units=[8]", *EVERY_AUGMENTATION, f"threads.towers={towers}"), digits).steps
        parts = [slice(7 * tower // towers, 7 * (tower + 1) // towers) for tower in range(towers)]
        images, targets = steps._gradients.examples(batch, tf.constant(9, tf.int64), parts)
        assert len(images) == towers
        found.append((np.concatenate(images), np.asarray(targets)))
    for images, targets in found[1:]:
        assert np.array_equal(images, found[0][0])
        assert np.array_equal(targets, found[0][1])

    images, targets = found[0]
    draws, config = drawn(augmentation_of(*EVERY_AUGMENTATION), 9, 7), configured(*EVERY_AUGMENTATION)
    expected = transformed(digits.train_images[batch.numpy()], draws, config)
    assert np.abs(images[..., 0] - expected).max() < 1.51
    own = np.eye(10)[digits.train_labels[batch.numpy()]]
    shares = draws["shares"][:, np.newaxis]
    assert targets == pytest.approx(shares * own + (1 - shares) * np.roll(own, -1, axis=0), abs=1e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_of_mixed_images_is_the_mixture_of_both_losses(smoothing: float, digits: Dataset) -> None:
    overrides = ("model.units=[8]", "augmentation=mixup", "threads.towers=1", f"training.label_smoothing={smoothing}")
    own = trainer_for(compose(*overrides), digits)
    batch, step = tf.constant([0, 5, 7, 8], tf.int32), tf.constant(0, tf.int64)
    (images,), _ = own.steps._gradients.examples(batch, step, [slice(0, 4)])
    logs = np.log(own.predict(images.numpy()).astype(np.float64))
    labels, shares = digits.train_labels[batch.numpy()], drawn(augmentation_of("augmentation=mixup"), 0, 4)["shares"]

    def cross_entropy(of: np.ndarray) -> np.ndarray:
        return -(1 - smoothing) * logs[np.arange(4), of] - smoothing * logs.mean(axis=1)

    expected = shares * cross_entropy(labels) + (1 - shares) * cross_entropy(np.roll(labels, -1))
    loss, errors, _ = own.steps._gradients(batch, step)
    assert float(loss) == pytest.approx(expected.sum(), rel=1e-5)
    assert int(errors) == np.count_nonzero(logs.argmax(axis=1) != labels)  # against the label of the larger share


# Random layers, statistics of batches, and everything that can be drawn.
STATEFUL = (
    *EVERY_AUGMENTATION,
    "model=mlp_deep",
    "model.layers=[{name:noise,stddev:0.1},{name:flatten},{name:dense,units:12},{name:batch_norm,momentum:0.9},"
    "{name:activation},{name:dropout},{name:logits},{name:batch_norm,momentum:0.9}]",
    "training.batch_size=32",
    "training.epochs=3",
    "training.ema_decay=0.9",
)
TOWERS = (
    *EVERY_AUGMENTATION,
    "model=mlp",
    "model.units=[12]",
    "model.dropout=0.3",
    "training.batch_size=32",
    "training.epochs=3",
)


@pytest.mark.parametrize("overrides", [STATEFUL, TOWERS], ids=["batch norm and noise", "towers"])
def test_a_resumed_augmented_training_is_bit_identical(overrides: tuple[str, ...], digits: Dataset) -> None:
    def trainer() -> Trainer:
        return trainer_for(compose(*overrides), digits)

    whole = trainer()
    expected = losses(whole, 2)
    stopped = trainer()
    stopped._chunk = 4
    assert stopped.run_epoch(*NO_IMAGES, no_progress, lambda: True) is None
    assert (stopped.epoch, stopped.step) == (0, 4)
    resumed = trainer()
    resumed.restore(stopped.state())
    assert losses(resumed, 2) == expected
    assert array_sha256(*resumed.model.get_weights()) == array_sha256(*whole.model.get_weights())


def test_augmentation_changes_the_training(digits: Dataset) -> None:
    assert losses(trainer_for(compose(*TOWERS), digits), 1) != losses(
        trainer_for(compose(*TOWERS[len(EVERY_AUGMENTATION) :]), digits), 1
    )


def test_draws_and_transforms_compiled_by_xla_are_the_same(digits: Dataset) -> None:
    """As on a GPU, for steps in both halves of a key."""
    own, images = Augmentation(configured(*EVERY_AUGMENTATION), (*SIZE, 1), 7), tf.constant(digits.train_images[:6])

    def changed(step: tf.Tensor) -> tuple[Draws, tf.Tensor]:
        draws = own.draw(step, 6)
        return draws, transforms.mix(own.transform(images, draws), draws.shares)

    as_written, by_xla = (tf.function(changed, jit_compile=jit) for jit in (False, True))
    for step in (4, 2**40):
        (plain, mixed), (compiled, others) = (graph(tf.constant(step, tf.int64)) for graph in (as_written, by_xla))
        for name, values in plain._asdict().items():
            assert getattr(compiled, name).numpy() == pytest.approx(values.numpy(), abs=1e-6), name
        differences = mixed.numpy().astype(int) - others.numpy()
        assert np.abs(differences).max() <= 1  # where the last bit of a coordinate turns a rounding
        assert np.count_nonzero(differences) < 0.01 * differences.size
