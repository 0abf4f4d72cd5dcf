"""Photos, scans and screenshots are read upright, opaque and in 8 bits, and their ink is found whatever the paper."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mnist_exp import datasets
from mnist_exp.datasets.pictures import UnreadableError
from mnist_exp.prediction import pictures, segmentation
from mnist_exp.prediction.ink import extract_ink
from mnist_exp.prediction.normalization import normalize
from mnist_exp.prediction.segmentation import find_lines
from tests.sheets import draw_sheet

SEVEN = datasets.load("mnist").test_images[0, ..., 0]


def large() -> np.ndarray:
    """A seven of 168 × 140 pixels, ink from 0 to 255, not in the middle."""
    return np.pad(SEVEN, ((2, 0), (0, 7)))[:28, :28].repeat(5, axis=1).repeat(6, axis=0)


def read_one(path: Path) -> np.ndarray:
    """The only digit of a picture, normalised."""
    picture = pictures.read(str(path))
    ((piece,),) = find_lines(extract_ink(picture.pixels))
    return normalize(piece.ink)


def likeness(image: np.ndarray, other: np.ndarray) -> float:
    """The correlation of two images, of which one may be shifted by a pixel: the centre of mass is rounded."""
    shifts = [np.roll(image, (down, across), (0, 1)) for down in (-1, 0, 1) for across in (-1, 0, 1)]
    return max(float(np.corrcoef(shifted.ravel(), other.ravel())[0, 1]) for shifted in shifts)


def assert_seven(image: np.ndarray) -> None:
    assert likeness(image, normalize(large())) > 0.95


@pytest.mark.parametrize("form", ["png", "jpg", "webp", "tif", "bmp", "gif"])
def test_formats(tmp_path: Path, form: str) -> None:
    path = tmp_path / f"seven.{form}"
    Image.fromarray(255 - large()).save(path)
    assert_seven(read_one(path))


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("kind", ["grey", "colour", "16 bits", "transparent", "palette", "one bit"])
def test_kinds_of_pixels_on_light_and_dark_paper(tmp_path: Path, kind: str, dark: bool) -> None:
    path, drawn = tmp_path / "seven.png", large() if dark else 255 - large()
    ink = 255 if dark else 0
    if kind == "grey":
        image = Image.fromarray(drawn)
    elif kind == "colour":  # yellow on black, red on white
        share, paper, pen = large()[..., None] / 255, *((np.zeros(3), (250, 220, 40)) if dark else (255, (200, 30, 30)))
        image = Image.fromarray((paper * (1 - share) + np.array(pen) * share).astype(np.uint8))
    elif kind == "16 bits":
        image = Image.fromarray(drawn.astype(np.uint16) * 257)
    elif kind == "transparent":
        image = Image.fromarray(np.dstack([np.full_like(drawn, ink)] * 3 + [large()]), "RGBA")
    elif kind == "palette":
        image = Image.fromarray(drawn).convert("P")
    else:
        image = Image.fromarray(drawn).convert("1", dither=Image.Dither.NONE)
    image.save(path)
    assert_seven(read_one(path))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_of_exif(tmp_path: Path, orientation: int) -> None:
    """The pixels of a file are turned back by what EXIF says; the boxes are in the upright picture."""
    path, upright = tmp_path / "seven.jpg", Image.fromarray(255 - large())
    back = {
        2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }  # fmt: skip
    stored = upright.transpose(back[orientation]) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x112] = orientation
    stored.save(path, exif=exif, quality=95)
    assert pictures.read(str(path)).size == large().shape
    assert_seven(read_one(path))


def test_a_large_picture_is_reduced(tmp_path: Path) -> None:
    Image.fromarray(np.pad(255 - large(), ((0, 1000), (0, 2000)), constant_values=255)).save(tmp_path / "a.png")
    picture = pictures.read(str(tmp_path / "a.png"))
    assert max(picture.pixels.shape) == pictures.MAX_SIDE
    assert picture.size == (1168, 2140)
    assert_seven(read_one(tmp_path / "a.png"))


def test_transparent_pixels_of_a_large_picture_take_the_memory_of_a_small_one(tmp_path: Path) -> None:
    Image.new("L", (3000, 3000), 9).save(tmp_path / "large.png", transparency=9)
    tracemalloc.start()
    try:
        assert pictures.read(str(tmp_path / "large.png")).pixels.shape == (2000, 2000, 3)
        assert tracemalloc.get_traced_memory()[1] < 3000 * 3000 * 16
    finally:
        tracemalloc.stop()


def test_an_image_of_mnist_is_a_picture_too() -> None:
    for image in datasets.load("mnist").test_images[:20, ..., 0]:
        ((piece,),) = find_lines(extract_ink(pictures.from_array(image).pixels))
        assert likeness(normalize(piece.ink), image) > 0.97


@pytest.mark.parametrize(
    "pixels",
    [
        np.full((100, 200, 3), 255, np.uint8),
        np.full((1, 2, 3), 7, np.uint8),
        np.random.default_rng(1).normal(200, 6, (120, 160, 3)).astype(np.uint8),
        np.linspace(60, 255, 300).astype(np.uint8)[None, :, None] * np.ones((200, 1, 3), np.uint8),
    ],
    ids=["white", "two pixels", "noise", "shadow"],
)
def test_empty_paper_has_no_digits(pixels: np.ndarray) -> None:
    assert find_lines(extract_ink(pixels)) == []


def test_the_sharp_edge_of_a_shadow_is_not_ink_and_digits_on_it_are() -> None:
    rows, columns = np.mgrid[:600, :900]
    light = 230 * (1 - 0.4 / (1 + np.exp((500 - columns + 0.2 * rows) / 8)))
    for top, left in ((50, 40), (50, 430), (350, 420), (350, 700)):
        light[top : top + 168, left : left + 140] *= 1 - 0.6 * large() / 255
    pixels = (light + np.random.default_rng(2).normal(0, 3, light.shape)).astype(np.uint8)[..., None].repeat(3, axis=2)
    lines = find_lines(extract_ink(pixels))
    assert [len(line) for line in lines] == [2, 2]
    for piece in [*lines[0], *lines[1]]:
        assert likeness(normalize(piece.ink), normalize(large())) > 0.9


def test_an_empty_field_has_no_digits() -> None:
    pixels = np.full((120, 160, 3), 250, np.uint8)
    pixels[20:100, 30:130] = 40
    pixels[23:97, 33:127] = 250
    assert find_lines(extract_ink(pixels)) == []


@pytest.mark.parametrize("array", [np.zeros((4, 4), np.float32), np.zeros((0, 4), np.uint8), np.zeros((4, 4, 2), np.uint8)])
def test_other_arrays_are_refused(array: np.ndarray) -> None:
    with pytest.raises(UnreadableError, match="allowed: uint8"):
        pictures.from_array(array)


@pytest.mark.parametrize(
    ("paper", "rules"), [("white", ""), ("shaded", "lines"), ("recycled", "squares"), ("black", "lines")]
)
def test_all_digits_of_a_sheet_are_found_in_reading_order(paper: str, rules: str) -> None:
    images = datasets.load("mnist").test_images[..., 0]
    sheet = draw_sheet(images, np.random.default_rng(3), np.arange(100, 120), paper=paper, rules=rules)
    pieces = [piece for line in find_lines(extract_ink(sheet.pixels)) for piece in line]
    assert len(pieces) == len(sheet.indices)
    for piece, box, index in zip(pieces, sheet.boxes, sheet.indices, strict=True):
        found = np.array([piece.left, piece.top, piece.right, piece.bottom])
        assert np.abs(found - box).max() <= 6  # a faint end of a stroke
        assert likeness(normalize(piece.ink), images[index]) > (0.6 if rules else 0.8)


def test_the_crossings_of_pale_squares_are_removed() -> None:
    """They remained as dots, which were joined with the digits: their pixels are in a thin line in neither direction."""
    light = np.full((600, 900), 255, np.uint8)
    for position in range(32, 900, 32):
        light[position : position + 2] = light[:, position : position + 2] = 153
    for row, column in ((30, 40), (30, 180)):
        place = light[row : row + 168, column : column + 140]
        np.minimum(place, 255 - large(), out=place)
    ((first, second),) = find_lines(extract_ink(np.repeat(light[..., None], 3, axis=2)))
    assert min(likeness(normalize(piece.ink), normalize(large())) for piece in (first, second)) > 0.9


@pytest.mark.parametrize("degrees", [0, 4, 9])
def test_the_table_around_a_sheet_is_neither_paper_nor_ink(degrees: int) -> None:
    images = datasets.load("mnist").test_images[..., 0]
    sheet = draw_sheet(images, np.random.default_rng(4), np.arange(200, 212), paper="cream", rules="")
    photo = Image.new("RGB", (sheet.pixels.shape[1] + 160, sheet.pixels.shape[0] + 200), (60, 42, 30))
    photo.paste(Image.fromarray(sheet.pixels), (70, 120))
    photo = photo.rotate(degrees, Image.Resampling.BICUBIC, fillcolor=(60, 42, 30))
    shaded = (np.asarray(photo) * np.linspace(0.55, 1, photo.width)[:, None]).astype(np.uint8)
    pieces = [piece for line in find_lines(extract_ink(shaded)) for piece in line]
    assert len(pieces) == 12
    for piece, index in zip(pieces, sheet.indices, strict=True):
        assert degrees or likeness(normalize(piece.ink), images[index]) > 0.8


def test_each_part_of_a_grid_of_dots_is_compared_with_its_neighbours_only(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []
    original = segmentation._belongs
    monkeypatch.setattr(segmentation, "_belongs", lambda *parts: compared.append(parts) or original(*parts))
    dot = np.pad(np.ones((5, 5), np.float32), 8)
    assert sum(map(len, find_lines(np.tile(dot, (20, 20))))) == 0  # smaller than a digit
    assert len(compared) < 10 * 400
    assert sum(map(len, find_lines(np.tile(np.pad(dot, 4).repeat(2, 0).repeat(2, 1), (5, 5))))) == 25
