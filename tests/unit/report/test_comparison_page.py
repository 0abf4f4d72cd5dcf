"""The page of a comparison without a browser: its content, its links, its size."""

import re
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

import pytest

from mnist_exp.comparison import columns
from mnist_exp.comparison.fields import METRICS
from mnist_exp.comparison.ranking import compare
from mnist_exp.comparison.rows import Row
from mnist_exp.comparison.significance import Question
from mnist_exp.comparison.tables import caption
from mnist_exp.report import comparison_page
from mnist_exp.report.comparison_view import ComparisonView
from mnist_exp.runs.status import Record
from tests import boards
from tests.unit.sweep.test_report import HOSTILE, embedded, texts

pytestmark = pytest.mark.usefixtures("library")

SETTINGS = {"model.name": ["mlp", "cnn_simple"], "optimizer.learning_rate": [1e-4, 1e-3, 1e-2]}


def hrefs(page: str) -> list[str]:
    return re.findall(r'<td class="seeds"><a href="([^"]*)"', page)


def test_the_page_has_its_charts_and_a_row_for_each_configuration(tmp_path: Path) -> None:
    view = boards.grid(tmp_path, SETTINGS, seeds=2)
    page = comparison_page.render(tmp_path / "page.html", "runs", [view])
    assert list(embedded(page)["charts"]) == ["learning_curves", "intervals", "spreads", "parallel", "grid0"]
    assert page.count("<figure") == page.count("<svg") == 5
    rows = re.findall(r'<tr><th scope="row".*?</tr>', page, re.DOTALL)
    assert len(rows) == 6
    assert re.search(r"1\s+2\s+1.00 ± 0.01\s+0.87 – 1.13.*mlp", texts(rows[0]))
    assert "comparison · 12 runs" in texts(page)
    assert re.findall(r"compared with the best, test error % on (\w+ images)</th>", page) == ["new images", "these images"]
    assert page.count('type="radio"') == page.count('aria-describedby="reading"') + 1 == 2
    verdict = (
        r'<td class="significance answer" data-question="([01])">(best|worse by \d.00 \(.*?\), p (?:&lt;|=) 0\.0\d+)</td>'
    )
    assert [question for question, _ in re.findall(verdict, page)] == ["0", "1"] * 6
    assert 'id="unranked"' not in page


def test_both_questions_have_the_words_of_the_table(tmp_path: Path) -> None:
    view = boards.grid(tmp_path, SETTINGS, seeds=3)
    questions: tuple[Question, Question] = ("new images", "these images")
    for answer, question in zip(view.answers, questions, strict=True):
        asked = compare([row for group in view.board.groups for row in group.rows], question=question)
        texts = {column.key: column.cells for column in columns.build(asked)}["significance"]
        assert answer.verdicts == texts
        assert "; ".join(answer.notes) in "; ".join(caption(asked, with_significance=True))
        assert answer.question in answer.notes[0]
    assert view.answers[0].verdicts != view.answers[1].verdicts


def test_a_page_with_one_question_has_no_switch(tmp_path: Path) -> None:
    networks = boards.grid(tmp_path / "networks", SETTINGS)
    repeated = [row for group in boards.grid(tmp_path / "repeated", SETTINGS, seeds=2).board.groups for row in group.rows]
    by_time = ComparisonView(compare(repeated, METRICS["images_per_second"]))
    for view, heading in ((networks, "best, test error %"), (by_time, "best, images/s")):
        assert [answer.heading for answer in view.answers] == [f"compared with the {heading}"]
        assert 'type="radio"' not in comparison_page.render(tmp_path / "page.html", "runs", [view])
    assert "the test compares two networks" in comparison_page.render(tmp_path / "page.html", "runs", [networks])


@pytest.mark.parametrize("place", [".", "elsewhere/below", "runs/0001_s0", "a b#c"])
def test_links_lead_to_the_reports_from_any_place_of_the_page(tmp_path: Path, place: str) -> None:
    view = boards.grid(tmp_path / "runs?&é", SETTINGS)
    groups = [line.group for line in view.board.lines]
    groups[1].rows[0].record.directory.joinpath("report.html").unlink()
    page = tmp_path / place / "page.html"
    found = hrefs(comparison_page.render(page, "runs", [view]))
    assert len(found) == 5
    for href, group in zip(found, [*groups[:1], *groups[2:]], strict=True):
        assert (page.parent / unquote(href)).resolve() == (group.rows[0].record.directory / "report.html").resolve()
        assert re.fullmatch(r"[\w./~%-]+", href)


def test_links_lead_through_no_other_directory_than_needed(tmp_path: Path) -> None:
    view = boards.grid(tmp_path / "runs", SETTINGS)
    (tmp_path / "link").symlink_to(tmp_path / "runs")
    assert hrefs(comparison_page.render(tmp_path / "link" / "page.html", "runs", [view]))[0] == "0000_s0/report.html"
    assert hrefs(comparison_page.render(tmp_path / "page.html", "runs", [view]))[0] == "runs/0000_s0/report.html"


def test_an_unranked_run_has_its_reason(tmp_path: Path) -> None:
    rows = [
        row
        for line in boards.grid(tmp_path, {"model.name": ["mlp", "cnn", "resnet"]}).board.lines
        for row in line.group.rows
    ]
    directory = rows[0].record.directory
    (directory / "train.log").touch()
    failed = Row(rows[0].name, Record(directory, "failed", HOSTILE, "fix it", None))
    summary = rows[1].record.summary
    assert summary is not None
    other = summary.model_copy(update={"dataset": summary.dataset.model_copy(update={"sha256": "f" * 64})})
    foreign = Row(rows[1].name, replace(rows[1].record, summary=other))
    later = boards.row(tmp_path / "later", {"model.name": "resnet"}, 10, seed=8)
    page = comparison_page.render(tmp_path / "page.html", "runs", [boards.view([failed, foreign, rows[2], later])])
    failed_row, foreign_row = re.findall(r'<tr><th scope="row".*?</tr>', page.partition('id="unranked"')[2], re.DOTALL)
    assert 'href="0000_s0/train.log"' in failed_row
    assert "&lt;/script&gt;" in failed_row
    assert "fix it" in failed_row
    assert "different data: mnist with SHA-256 ffffffffffff" in foreign_row
    assert "2.00" in foreign_row
    assert "href" not in foreign_row
    assert "<script>alert" not in page
    assert [row["repetition"] for row in embedded(page)["data"]["runs"]] == ["failed, seed ?", "seed 8", "seed 0"]


def test_a_comparison_without_runs_has_a_page(tmp_path: Path) -> None:
    page = comparison_page.render(tmp_path / "page.html", "runs", [boards.view([])])
    assert "No run has a result." in page
    assert embedded(page)["charts"] == {}


def test_hostile_settings_are_text_in_every_chart(tmp_path: Path) -> None:
    settings = {HOSTILE: [HOSTILE, "${jndi:x}", 1e300], "b": [None, 2**62, [HOSTILE, {"a": None}]]}
    view = boards.grid(tmp_path, settings)
    page = comparison_page.render(tmp_path / "page.html", "runs", [view])
    assert "<script>alert" not in page
    assert "grid0" in embedded(page)["charts"]
    assert page.count("</script") == page.count("<script") == 4


def test_a_thousand_runs_are_a_page_of_limited_size(tmp_path: Path) -> None:
    view = boards.many(tmp_path, configurations=200, seeds=5)
    comparison_page.write(tmp_path / "page.html", "runs", view)
    page = (tmp_path / "page.html").read_text()
    assert len(hrefs(page)) == 200
    assert page.count("report.html") == 1000
    data = embedded(page)["data"]
    assert len(data["runs"]) == 1000
    assert len(data["parallel"]) == 200
    assert max(len(run["epoch"]) for run in data["runs"]) <= 12
    assert (tmp_path / "page.html").stat().st_size < 7_000_000  # to which Vega adds less than a million


def test_each_chart_has_a_description_and_is_svg_without_a_script(tmp_path: Path) -> None:
    view = boards.grid(tmp_path, SETTINGS, seeds=2)
    page = comparison_page.render(tmp_path / "page.html", "runs", [view])
    figures = re.findall(r'<figure class="(\w+).*?aria-label="([^"]+)".*?id="chart-(\w+)"><svg', page, re.DOTALL)
    assert [(name, still) for name, _, still in figures] == [(name, name) for name in embedded(page)["charts"]]
    descriptions = {name: description for name, description, _ in figures}
    assert "the lowest is 1.00 at optimizer.learning_rate 0.0001 and model.name mlp" in descriptions["grid0"]
