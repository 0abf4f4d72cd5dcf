"""The real command trains on own images: scikit-learn's digits in two formats, colour images of three sizes."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.conftest import Command
from tests.own_data import Arrays, write

QUICK = ("progress=quiet", "name=x")


@pytest.fixture(scope="module")
def scans() -> Arrays:
    """1,797 handwritten digits of 8×8 pixels, sorted by class; every fifth is a test image."""
    digits = pytest.importorskip("sklearn.datasets").load_digits()
    order = np.argsort(digits.target, kind="stable")
    images, labels = np.round(digits.images[order] * 255 / 16).astype(np.uint8)[..., None], digits.target[order]
    is_test = np.arange(len(labels)) % 5 == 0
    return images[~is_test], labels[~is_test], images[is_test], labels[is_test]


def train(command: Command, tmp_path: Path, kind: str, path: Path, *overrides: str) -> dict[str, Any]:
    before = set((tmp_path / "runs").glob("*"))
    settings = (f"dataset={kind}", f"dataset.path={path}", *QUICK, *overrides)
    done = command(*settings, cwd=tmp_path, env={"XDG_CACHE_HOME": str(tmp_path / "cache")})
    assert done.returncode == 0, done.stderr
    (run,) = set((tmp_path / "runs").glob("*")) - before
    content: dict[str, Any] = json.loads((run / "summary.json").read_text())
    return content


def test_digits_as_an_npz_file_and_as_a_folder_train_the_same(command: Command, tmp_path: Path, scans: Arrays) -> None:
    overrides = ("training.epochs=8", "training.batch_size=50", "model.units=[64]")
    results = [train(command, tmp_path, kind, write(kind, tmp_path / kind, scans), *overrides) for kind in ("npz", "folder")]
    assert [result["dataset"]["name"] for result in results] == ["npz", "folder"]
    assert len({result["dataset"]["sha256"] for result in results}) == 1
    assert results[0]["test"] == results[1]["test"]
    assert results[0]["test"]["n"] == 360
    assert results[0]["test"]["error_percent"] < 10


def test_colour_images_of_three_sizes(command: Command, tmp_path: Path) -> None:
    generator, root = np.random.default_rng(0), tmp_path / "balls"
    for channel, name in enumerate(("red ball", "green ball", "blue ball")):
        (root / name).mkdir(parents=True)
        for index in range(30):
            height, width = ((20, 20), (16, 30), (30, 12))[index % 3]
            picture = generator.integers(0, 150, (height, width, 3), np.uint8)
            picture[height // 4 : -height // 4, width // 4 : -width // 4, channel] = 255
            Image.fromarray(picture).save(root / name / f"{index}.{('png', 'jpg', 'webp')[index % 3]}")
    (root / "red ball" / "0.png").write_bytes(b"damaged")
    overrides = ("dataset.size=16", "model.units=[32]", "training.epochs=6", "training.batch_size=8")
    summary = train(command, tmp_path, "folder", root, *overrides)
    assert summary["test"]["n"] == 18
    assert summary["test"]["error_percent"] < 10
    (run,) = (tmp_path / "runs").glob("*")
    assert "not used, since they cannot be read: red ball/0.png" in (run / "train.log").read_text()
    refused = command("dataset=folder", f"dataset.path={root}", *QUICK, cwd=tmp_path)
    assert refused.returncode == 2
    assert "for example dataset.size=20\n" in refused.stderr  # the median of the sides
    assert len(list((tmp_path / "runs").glob("*"))) == 1
