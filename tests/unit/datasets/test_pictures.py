"""Image files of every kind become the right pixels; sizes, channels and lines of CSV."""

import gzip
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mnist_exp.datasets import own, pictures, resizing
from tests.own_data import settings, small, write

pytestmark = pytest.mark.usefixtures("own_places")

GREY = np.array([[0, 50, 100], [150, 200, 255]], np.uint8)
COLOUR = np.stack([GREY, GREY[::-1], 255 - GREY], -1)


def read(path: Path, channels: int, size: tuple[int, int] = (2, 3)) -> np.ndarray:
    with pictures.quiet():
        pixels = pictures.decode(str(path), channels, size, background=200, resize=False)
    return pixels[..., 0] if channels == 1 else pixels


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".gif", ".tif", ".TIFF", ".webp", ".jpg"])
def test_every_format_gives_its_pixels(tmp_path: Path, suffix: str) -> None:
    path, exact = tmp_path / f"x{suffix}", suffix != ".jpg"
    options = {".webp": {"lossless": True}, ".jpg": {"quality": 100, "subsampling": 0}}.get(suffix, {})
    Image.fromarray(GREY).save(path, **options)
    assert np.allclose(read(path, 1), GREY, atol=0 if exact else 3)
    assert pictures.probe(str(path)).size == (2, 3)
    Image.fromarray(COLOUR).save(path, **options)
    assert not pictures.probe(str(path)).is_grey
    assert np.allclose(read(path, 3), COLOUR, atol=0 if exact else 6)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_16_bits_are_scaled_to_8(tmp_path: Path, suffix: str) -> None:
    values = np.array([[0, 128, 129, 257], [32_767, 65_406, 65_407, 65_535]], np.uint16)
    Image.fromarray(values).save(tmp_path / f"x{suffix}")
    assert pictures.probe(str(tmp_path / f"x{suffix}")).is_grey
    assert np.array_equal(read(tmp_path / f"x{suffix}", 1, (2, 4)), np.round(values / 257))


def test_transparent_pixels_show_the_background(tmp_path: Path) -> None:
    alpha = np.array([[0, 255, 255], [255, 128, 0]], np.uint8)
    expected = np.round(GREY * (alpha / 255) + 200 * (1 - alpha / 255))
    Image.fromarray(np.dstack([GREY, alpha]), "LA").save(tmp_path / "grey.png")
    assert pictures.probe(str(tmp_path / "grey.png")).is_grey
    assert np.allclose(read(tmp_path / "grey.png", 1), expected, atol=1)
    Image.fromarray(np.dstack([COLOUR, alpha])).save(tmp_path / "colour.webp", lossless=True, exact=True)
    over = COLOUR * (alpha[..., None] / 255) + 200 * (1 - alpha[..., None] / 255)
    assert np.allclose(read(tmp_path / "colour.webp", 3), over, atol=1)
    Image.fromarray(GREY).save(tmp_path / "key.png", transparency=150)  # one value is transparent
    assert np.array_equal(read(tmp_path / "key.png", 1), np.where(GREY == 150, 200, GREY))
    palette = Image.fromarray(COLOUR).quantize(8)
    palette.save(tmp_path / "palette.gif", transparency=palette.getpixel((0, 0)))
    assert read(tmp_path / "palette.gif", 3)[0, 0].tolist() == [200, 200, 200]


def png(kind: int, values: list[int], extra: bytes = b"") -> bytes:
    """A PNG file of one row of 16 bits for each value, which Pillow cannot write in colour."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    width = len(values) // {0: 1, 2: 3, 4: 2}[kind]
    header, rows = struct.pack(">IIBBBBB", width, 1, 16, kind, 0, 0, 0), struct.pack(f">x{len(values)}H", *values)
    chunks = [(b"IHDR", header), *([(b"tRNS", extra)] if extra else []), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*each) for each in chunks)


def test_transparency_and_colours_of_16_bits(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(png(0, [1000, 65_535], struct.pack(">H", 1000)))  # the value 1000 is transparent
    assert read(path, 1, (1, 2)).tolist() == [[200, 255]]
    path.write_bytes(png(2, [257 * value for value in (0, 7, 255, 100, 200, 30)]))
    assert read(path, 3, (1, 2)).tolist() == [[[0, 7, 255], [100, 200, 30]]]
    path.write_bytes(png(4, [257 * value for value in (50, 255, 50, 0)]))
    assert read(path, 1, (1, 2)).tolist() == [[50, 200]]


def test_a_palette_is_grey_if_all_of_its_values_are(tmp_path: Path) -> None:
    for name, pixels in {"grey": GREY, "colour": COLOUR}.items():
        Image.fromarray(pixels).quantize(6).save(tmp_path / f"{name}.png")
        assert pictures.probe(str(tmp_path / f"{name}.png")).is_grey == (name == "grey")
    assert np.allclose(read(tmp_path / "grey.png", 1), GREY, atol=1)
    Image.fromarray(GREY > 100).save(tmp_path / "bits.png")
    assert np.array_equal(read(tmp_path / "bits.png", 1), 255 * (GREY > 100))


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_images_are_upright(tmp_path: Path, suffix: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[pictures.ORIENTATION] = orientation
    block = np.kron(GREY, np.ones((8, 8), np.uint8))
    stored = np.rot90(block, {1: 0, 3: 2, 6: 1, 8: 3}[orientation])  # as a camera held on its side
    Image.fromarray(stored).save(tmp_path / f"x{suffix}", exif=exif, quality=100)
    assert pictures.probe(str(tmp_path / f"x{suffix}")).size == (16, 24)
    assert np.allclose(read(tmp_path / f"x{suffix}", 1, (16, 24)), block, atol=6)


def test_the_first_frame_is_used(tmp_path: Path) -> None:
    Image.fromarray(GREY).save(tmp_path / "x.gif", save_all=True, append_images=[Image.fromarray(255 - GREY)])
    assert np.array_equal(read(tmp_path / "x.gif", 1), GREY)


def test_a_cmyk_image_becomes_rgb(tmp_path: Path) -> None:
    Image.new("CMYK", (3, 2), (255, 0, 0, 0)).save(tmp_path / "x.jpg", quality=100)
    assert np.allclose(read(tmp_path / "x.jpg", 3), [0, 255, 255], atol=3)


def test_images_are_reduced_by_area_enlarged_by_lanczos_and_padded() -> None:
    checks = np.kron(GREY, np.ones((4, 4), np.uint8))
    assert np.array_equal(resizing.resize(checks[..., None], (2, 3), 0)[..., 0], GREY)
    enlarged = resizing.resize(GREY[..., None], (8, 12), 0)[..., 0]
    assert np.array_equal(enlarged, Image.fromarray(GREY).resize((12, 8), Image.Resampling.LANCZOS))
    padded = resizing.resize(COLOUR, (6, 3), 77)
    assert np.array_equal(padded[2:4], COLOUR)
    assert (np.delete(padded, [2, 3], 0) == 77).all()
    assert resizing.resize(np.zeros((1, 1000, 1), np.uint8), (4, 4), 9)[..., 0].tolist() == [
        [9] * 4,
        [0] * 4,
        [9] * 4,
        [9] * 4,
    ]


@pytest.mark.parametrize("orientation", [1, 6])
def test_a_photograph_is_reduced_as_by_area(tmp_path: Path, orientation: int, monkeypatch: pytest.MonkeyPatch) -> None:
    generator, exif = np.random.default_rng(0), Image.Exif()
    exif[pictures.ORIENTATION] = orientation
    blocks = Image.fromarray(generator.integers(0, 256, (15, 20, 3), np.uint8)).resize((800, 600), Image.Resampling.BICUBIC)
    blocks.save(tmp_path / "x.jpg", quality=95, exif=exif)
    loaded = []
    fit = resizing.fit
    monkeypatch.setattr(pictures, "fit", lambda image, *more: loaded.append(image.size) or fit(image, *more))
    reduced = pictures.decode(str(tmp_path / "x.jpg"), 3, (30, 40), 0, resize=True)
    assert max(loaded.pop()) == 200  # a quarter of the sides is decoded
    expected = np.asarray(fit(blocks if orientation == 1 else blocks.transpose(Image.Transpose.ROTATE_270), (30, 40), 0))
    assert np.abs(reduced.astype(int) - expected).mean() < 3


def test_images_of_three_sizes_get_one(tmp_path: Path) -> None:
    for part in ("train", "test"):
        for label, name in enumerate(("cat", "dog")):
            (tmp_path / "set" / part / name).mkdir(parents=True)
            for index, (width, height) in enumerate([(20, 30), (40, 40), (300, 12)]):
                colour = (200 * label, index, 30 if part == "train" else 60)
                Image.new("RGB", (width, height), colour).save(tmp_path / "set" / part / name / f"{index}.png")
    data = own.load(settings("folder", tmp_path / "set", size=(16, 24), background=7))
    assert data.train_images.shape == data.test_images.shape == (6, 16, 24, 3)
    assert data.class_names == ("cat", "dog")
    middle = data.train_images[:, 7, 12].tolist()
    assert middle == [[0, 0, 30], [0, 1, 30], [0, 2, 30], [200, 0, 30], [200, 1, 30], [200, 2, 30]]
    assert (data.train_images[:, 0, 0] == 7).all()  # each has another aspect
    assert data.warnings == ()


def test_one_colour_image_makes_all_rgb_and_is_reported(tmp_path: Path) -> None:
    path = write("folder", tmp_path / "x")
    Image.new("RGB", (6, 6), (255, 0, 0)).save(path / "train" / "0" / "0.png")
    data = own.load(settings("folder", path))
    assert data.train_images.shape == (24, 6, 6, 3)
    (warning,) = data.warnings
    assert warning == "1 image in colour, 35 grey; all are used as RGB (3 channels), see dataset.channels: train/0/0.png"
    data = own.load(settings("folder", path, channels=1))
    assert data.train_images.shape == (24, 6, 6, 1)
    assert (data.train_images[0] == 76).all()  # the luma of red


def test_names_of_files_may_have_any_character(tmp_path: Path) -> None:
    path = write("folder", tmp_path / "x")
    for index, name in enumerate(["a\nb.png", "\u202egnp.png", "\udcff.png", "é.PNG"]):
        (path / "train" / "0" / f"{index}.png").rename(path / "train" / "0" / name)
    data = own.load(settings("folder", path))
    assert sorted(image.tobytes() for image in data.train_images) == sorted(image.tobytes() for image in small()[0])
    assert own.load(settings("folder", path)).sha256 == data.sha256


def test_damaged_images_of_all_formats_raise_one_class_of_error(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (20, 20, 3), np.uint8)
    readable = 0
    with pictures.quiet():
        for suffix in (".png", ".jpg", ".bmp", ".gif", ".tif", ".webp"):
            path = tmp_path / f"x{suffix}"
            Image.fromarray(pixels).save(path)
            content = path.read_bytes()
            for _ in range(40):
                damaged = bytearray(content[: generator.integers(1, len(content))] if generator.random() < 0.3 else content)
                damaged[generator.integers(len(damaged))] = generator.integers(256)
                path.write_bytes(damaged)
                try:
                    size = pictures.probe(str(path)).size
                    readable += pictures.decode(str(path), 3, size, 0, resize=False).shape == (*size, 3)
                except pictures.UnreadableError:
                    continue
    assert 0 < readable < 240


@pytest.mark.parametrize("header", ["", "label,p0\n", "\ufeff", '\ufeff"label","p0"\r\n'])
@pytest.mark.parametrize("compressed", [False, True])
def test_csv_files_with_and_without_a_header(tmp_path: Path, header: str, compressed: bool) -> None:
    train, labels, *_ = small()
    lines = [f"{label}, " + ",".join(map(str, image.ravel())) for image, label in zip(train, labels, strict=True)]
    content = (header + "\n\n".join(lines)).encode()
    (tmp_path / "x").write_bytes(gzip.compress(content) if compressed else content)
    data = own.load(settings("csv", tmp_path / "x", test_share=0.5))
    assert len(data.train_labels) == len(data.test_labels) == 12
    assert {image.tobytes() for image in data.train_images} < {image.tobytes() for image in train}
    wide = own.load(settings("csv", tmp_path / "x", size=(4, 9)))
    assert wide.train_images.shape[1:] == (4, 9, 1)
    assert {image.tobytes() for image in wide.train_images} < {image.tobytes() for image in train}
    larger = own.load(settings("csv", tmp_path / "x", size=(12, 12)))
    assert larger.train_images.shape[1:] == (12, 12, 1)


@pytest.mark.parametrize(
    ("dtype", "factor"), [(np.int64, 1), (np.float32, 1), (np.float64, 1 / 255), (np.float16, 1 / 255), (np.uint16, 1)]
)
def test_numbers_of_an_npz_file_become_pixels(tmp_path: Path, dtype: type, factor: float) -> None:
    train, labels, test, test_labels = small()
    train[0, 0, 0, 0] = 255
    arrays = (np.asfortranarray((train * factor).astype(dtype)), labels[:, None], (test * factor).astype(dtype), test_labels)
    data = own.load(settings("npz", write("npz", tmp_path / "x", arrays)))
    assert np.array_equal(data.train_images, train)
    assert np.array_equal(data.test_labels, test_labels)


def test_true_and_false_are_white_and_black(tmp_path: Path) -> None:
    train, labels, test, test_labels = small()
    data = own.load(settings("npz", write("npz", tmp_path / "x", (train > 99, labels, test > 99, test_labels))))
    assert np.array_equal(data.train_images, 255 * (train > 99))


def test_warnings_of_pillow_are_not_printed(tmp_path: Path) -> None:
    Image.fromarray(GREY).save(tmp_path / "x.tif")
    content = (tmp_path / "x.tif").read_bytes()
    (tmp_path / "x.tif").write_bytes(content[:-1])
    with warnings.catch_warnings(record=True) as caught, pictures.quiet():
        for work in (lambda: pictures.probe(str(tmp_path / "x.tif")), lambda: read(tmp_path / "x.tif", 1)):
            try:
                work()
            except pictures.UnreadableError:
                continue
    assert not caught
