"""The drawing page as a file: its policy, names from untrusted files, and the test images that it has."""

import base64
import hashlib
import html
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mnist_exp.datasets.dataset import Dataset
from mnist_exp.export import drawing_page
from tests import sample_pages, synthetic

HOSTILE = '</script><script>alert("x")</script><!--\N{LINE SEPARATOR}'


def scripts(text: str) -> tuple[dict[str, Any], list[str]]:
    """Return the data of a page, and its scripts."""
    found = re.findall(r"<script([^>]*)>(.*?)</script>", text, re.DOTALL)
    (data,) = (json.loads(content) for attributes, content in found if attributes)
    return data, [content for attributes, content in found if not attributes]


def test_only_the_scripts_of_the_page_run_and_nothing_is_loaded(tmp_path: Path, digits: Dataset) -> None:
    text = sample_pages.drawing(tmp_path, digits, is_handwriting=True).read_text()
    _, programs = scripts(text)
    policy = html.unescape(re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1])  # type: ignore[index]
    hashes = {base64.b64encode(hashlib.sha256(one.encode()).digest()).decode() for one in programs}
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-")
    assert set(re.findall("'sha256-([^']*)'", policy)) == hashes
    assert len(hashes) == 2
    assert "unsafe" not in policy.replace("style-src 'unsafe-inline'", "")
    assert not re.search(r"https?:|\bon\w+=|javascript:|@import|url\((?!data:)", text.replace("data:,", ""))


@pytest.mark.parametrize("is_handwriting", [False, True])
def test_hostile_names_stay_text(tmp_path: Path, is_handwriting: bool) -> None:
    names = HOSTILE, "'\"><img src=x onerror=alert(1)>"
    data = synthetic.dataset((28, 28, 1), 2, train=0, test=60, names=names)
    page = sample_pages.drawing(tmp_path, data, is_handwriting=is_handwriting, run_name=HOSTILE)
    content, programs = scripts(text := page.read_text())
    assert content["names"] == list(names)
    assert len(programs) == 2
    assert "alert(" not in "".join(programs)
    assert "<img" not in text
    assert text.count("</script>") == 3


def test_a_data_set_without_handwriting_has_no_drawing_area(tmp_path: Path, digits: Dataset) -> None:
    for is_handwriting in (False, True):
        (place := tmp_path / str(is_handwriting)).mkdir()
        text = sample_pages.drawing(place, digits, is_handwriting=is_handwriting).read_text()
        assert ('id="pad"' in text) is is_handwriting
        assert 'id="photo"' in text


def test_the_most_confident_mistakes_and_each_class_are_on_the_page(digits: Dataset) -> None:
    probabilities = sample_pages.probabilities(digits, 163)
    predicted, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    is_wrong = predicted != digits.test_labels
    wrong, right = drawing_page.select_samples(probabilities, digits)
    assert is_wrong[wrong].all()
    assert confidence[wrong].min() >= np.sort(confidence[is_wrong])[-drawing_page.MAX_WRONG]
    assert not is_wrong[right].any()
    assert sorted(digits.test_labels[right].tolist()) == sorted([*range(10)] * 2)


def test_large_images_do_not_make_a_large_page(digits: Dataset) -> None:
    large = replace(digits, test_images=np.broadcast_to(np.uint8(0), (len(digits.test_labels), 256, 256, 3)))
    wrong, right = drawing_page.select_samples(sample_pages.probabilities(digits, 163), large)
    assert len(wrong) == len(right) == drawing_page.MAX_BYTES // (256 * 256 * 3)
