"""The README and the manual: size, summaries, links, measured tables, and every option by its name."""

import re
from pathlib import Path

import pytest

from tests.benchmarks import manual
from tests.documents import DOCUMENTS, MANUAL, PAGES, README, ROOT, anchors, links

README_BYTES = 12_000
CONFIGURATION = (MANUAL / "configuration.md").read_text()
OPTIONS = sorted((ROOT / "conf").rglob("*/*.yaml"))


def name_of(path: Path) -> str:
    return path.name


def test_the_readme_is_short() -> None:
    assert len(README.read_bytes()) <= README_BYTES


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_page_begins_with_a_title_and_a_summary_of_one_sentence(page: Path) -> None:
    title, summary, _ = page.read_text().split("\n\n", 2)
    assert re.fullmatch(r"# [A-Z][^\n]+", title)
    assert summary.endswith(".")
    assert not re.search(r"[.!?] [A-Z]", summary), summary
    assert not re.search(r"[\[*]", summary), summary  # the list of topics prints it as plain text


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_links_lead_to_a_file_and_to_a_heading(document: Path) -> None:
    for link in links(document.read_text()):
        path, _, anchor = link.partition("#")
        target = (document.parent / path).resolve() if path else document
        assert target.exists(), link
        assert not anchor or anchor in anchors(target.read_text()), link


def test_the_readme_links_to_every_page() -> None:
    linked = {(ROOT / link.partition("#")[0]).resolve() for link in links(README.read_text())}
    assert set(PAGES) <= linked


@pytest.mark.parametrize("path", OPTIONS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_the_configuration_topic_names_every_option(path: Path) -> None:
    group = path.parent.relative_to(ROOT / "conf")
    assert re.search(rf"^\| `{group}` \|.*`{path.stem}`", CONFIGURATION, re.MULTILINE)


def test_the_readme_has_the_numbers_of_the_manual() -> None:
    measured = (MANUAL / "recipes.md").read_text() + (MANUAL / "tutorial.md").read_text()
    rows = re.findall(r"^\| `\w+`.*? \| ([\d.]+(?: ± [\d.]+)?) \| ", README.read_text(), re.MULTILINE)
    assert len(rows) == 8
    for error in rows:
        assert f"| {error} |" in measured


@pytest.mark.parametrize("marks", manual.TABLES.values(), ids=list(manual.TABLES))
def test_each_measured_table_is_on_one_page(marks: tuple[str, str]) -> None:
    assert manual.between(*marks).count("| --- |")


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_fence_is_closed(document: Path) -> None:
    assert document.read_text().count("```") % 2 == 0
