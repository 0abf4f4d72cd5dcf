"""The confusions of many classes: a heat map, and the most frequent ones with their images."""

import html
import re
from pathlib import Path

import numpy as np
import pytest

from mnist_exp.report import confusions
from mnist_exp.runs import evaluation
from tests import sample_pages, synthetic

LABELS = np.array([0, 0, 0, 0, 1, 1, 2, 2])
PREDICTED = np.array([0, 2, 2, 1, 1, 1, 0, 0])
CONFIDENCE = np.array([0.9, 0.6, 0.8, 0.7, 0.9, 0.9, 0.5, 0.6], np.float32)


def report(names: tuple[str, ...]) -> tuple[dict[str, object], np.ndarray]:
    probabilities = np.full((8, len(names)), 0.01, np.float32)
    probabilities[np.arange(8), PREDICTED] = CONFIDENCE
    return evaluation.error_report(probabilities, LABELS, names, None), probabilities


def test_the_most_frequent_confusions_come_first_with_the_surest_image() -> None:
    errors, probabilities = report(("a", "b", "c"))
    pairs = [(2, 0, 2), (0, 2, 2), (0, 1, 1)]
    assert {tuple(one.values()) for one in errors["confusions"][:2]} == set(pairs[:2])  # type: ignore[index]
    assert tuple(errors["confusions"][2].values()) == pairs[2]  # type: ignore[index]
    found = confusions.most_frequent(errors["confusions"], probabilities, LABELS)  # type: ignore[arg-type]
    assert {(one["label"], one["predicted"], one["index"], one["share"]) for one in found} == {
        (2, 0, 7, 100.0), (0, 2, 2, 50.0), (0, 1, 3, 25.0)
    }  # fmt: skip


@pytest.mark.parametrize(("classes", "named"), [(21, True), (47, True), (101, True), (300, False), (1000, False)])
def test_a_heat_map_fits_and_names_its_classes_while_they_can_be_read(classes: int, named: bool) -> None:
    names = [f"class {number} with a long name" for number in range(classes)]
    found = confusions.heat_map([{"label": 0, "predicted": classes - 1, "n": 7}], names)
    assert found["width"] <= confusions.WIDTH + 1
    assert len(found["names"]) == (classes if named else 0)
    assert found["font"] < found["cell"] or not named
    assert found["cells"] == [{"text": f"{names[0]} taken for {names[-1]}: 7", "x": classes - 1, "y": 0, "share": 1.0}]


def test_errors_json_stays_small_with_many_classes() -> None:
    """No number for each class and each of 50 mistakes, and none for each pair of classes."""
    data = synthetic.dataset((4, 4, 1), 1000, train=0, test=2000)
    probabilities = sample_pages.probabilities(data, 900)
    errors = evaluation.error_report(probabilities, data.test_labels, data.class_names, None)
    assert errors["confusion_matrix"] is None
    assert len(errors["confusions"]) == evaluation.MAX_CONFUSIONS
    assert [one["probabilities"] for one in errors["worst_mistakes"]] == [None] * 50
    assert errors["worst_mistakes"][0]["confidence"] == pytest.approx(1, abs=1e-3)
    few = evaluation.error_report(probabilities[:, :100], data.test_labels % 100, data.class_names[:100], None)
    assert len(few["confusion_matrix"]) == len(few["worst_mistakes"][0]["probabilities"]) == 100
    assert len(str(errors)) < 400_000


def test_a_page_of_many_classes_has_a_heat_map_instead_of_a_table(tmp_path: Path) -> None:
    data = sample_pages.photos(47)
    page = sample_pages.of_classes(tmp_path, 47).read_text()
    assert 'class="confusion' not in page
    assert 'id="samples"' not in page
    assert page.count("<script>") == 1
    assert len(re.findall(r"<rect [^>]+><title>[^<]+ taken for [^<]+: \d+</title></rect>", page)) > 50
    names = re.findall(r'<th scope="row">(?:<span title="([^"]+)">)?([^<]+)', page)
    assert {html.unescape(title or name).strip() for title, name in names} >= {name.strip() for name in data.class_names[:3]}
    assert "<b>&amp;</b>" not in page.replace("&lt;b&gt;", "")  # names are escaped
    assert len(page) < 2_000_000
