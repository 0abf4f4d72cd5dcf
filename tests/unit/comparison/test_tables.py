"""A comparison as text, JSON and CSV."""

import csv
import io
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from mnist_exp.comparison import columns, export, tables
from mnist_exp.comparison.fields import METRICS, TEST
from mnist_exp.comparison.ranking import Comparison, compare
from mnist_exp.comparison.rows import read_rows
from mnist_exp.errors import InputError
from mnist_exp.runs.run import Run
from mnist_exp.runs.status import write_status
from tests.unit.run_directories import change_settings, compare_directory, make_run, write_predictions

HOSTILE = "<script>alert(1)</script>"


def print_to_text(comparison: Comparison, width: int = 1000) -> str:
    console = Console(file=io.StringIO(), width=width, emoji=False)
    with console.capture() as captured:
        tables.print_comparison(comparison, columns.build(comparison), console)
    return captured.get()


@pytest.fixture
def two(tmp_path: Path) -> Path:
    make_run(tmp_path / "2026-11-22T07-35-03_mlp_s7", 180, validation_errors=90)
    make_run(tmp_path / "2026-11-22T07-35-03_cnn_large_s7", 90, "model=cnn_large", "training.epochs=3", validation_errors=80)
    return tmp_path


def test_caption_and_runs_that_are_not_ranked(two: Path) -> None:
    (two / "x").mkdir()
    write_status(Run(two / "x"), "failed", 1, "out of luck")
    text = print_to_text(compare_directory(two))
    assert "ranked by lowest validation error %" in text
    assert "not ranked, failed: x (out of luck)" in text
    assert "0.64 – 0.99" in text  # Wilson's interval for 80 of 10,000, since there are no repetitions


def test_caption_warns_about_ranking_by_test_error(tmp_path: Path) -> None:
    make_run(tmp_path / "a", 180)
    assert "choosing a model from this ranking is selecting on the test data" in print_to_text(compare_directory(tmp_path))


def test_an_evaluation_on_validation_images_is_no_selection_on_the_test_data(tmp_path: Path) -> None:
    rows = read_rows([make_run(tmp_path / "a", 180)])
    board = compare(rows, replace(METRICS[TEST], heading="mnist_validation error %", of_test_images=False))
    assert tables.caption(board, with_significance=False) == ["ranked by lowest mnist_validation error %"]


@pytest.mark.parametrize(
    ("width", "is_table"), [(40, False), (60, False), (80, True), (120, True), (160, True), (1000, True)]
)
def test_a_table_fits_the_terminal_or_is_a_record_for_each_row(two: Path, width: int, is_table: bool) -> None:
    text = print_to_text(compare_directory(two), width)
    table, _, notes = text.partition("ranked by")
    assert max(map(len, table.splitlines())) <= width
    assert any({"rank", "name"} <= set(re.split(r"[┃│\s]+", line)) for line in table.splitlines()) == is_table
    hidden = " ".join(notes.split()).partition("the terminal is too narrow: ")[2].split("not ranked")[0].split(", ")
    written = re.sub(r"[│┃\s]", "", table)
    for column in columns.build(compare_directory(two)):
        assert not (column.is_needed and column.heading in hidden)
        if column.heading not in hidden and width > 40:  # at 40 columns, words are folded
            for word in [word for cell in column.cells for word in cell.split()]:
                assert word in written or column.wraps, (width, column.key)
    assert is_table or hidden == [""]  # a record has all columns


def test_repetitions_at_80_columns_keep_what_distinguishes_them(tmp_path: Path) -> None:
    for number, rate in enumerate((0.001, 0.01)):
        for seed in range(3):
            make_run(
                tmp_path / f"{number}{seed}", 100 + 9 * number + seed, f"optimizer.learning_rate={rate}", f"seed={seed}",
                validation_errors=90 + number,
            )  # fmt: skip
    table = print_to_text(compare_directory(tmp_path), 80).split("ranked by")[0].splitlines()
    assert max(map(len, table)) <= 80
    first, second = (line.split() for line in table if line.split()[:1] in (["1"], ["2"]))
    assert first == ["1", "mlp", "3", "0.90", "±", "0.00", "1.01", "±", "0.01", "best", "0.001"]
    assert (second[:3], second[-1]) == (["2", "mlp", "3"], "0.01")


def test_a_narrow_terminal_hides_settings_that_the_names_contain(tmp_path: Path) -> None:
    for number, rate in enumerate((0.001, 0.01, 0.1)):
        name = f"00{number}_mlp_learning_rate={rate}_units=16_batch_size=256_s7"
        make_run(tmp_path / name, 100 + 99 * number, f"optimizer.learning_rate={rate}", validation_errors=90 + number)
    text = print_to_text(compare_directory(tmp_path), 80)
    assert "rank  name" in text
    assert "optimizer.learning_rate" in " ".join(text.partition("too narrow:")[2].split())
    change_settings(tmp_path / "000_mlp_learning_rate=0.001_units=16_batch_size=256_s7", **{"model.dropout": 0.5})
    assert "dropout" in print_to_text(compare_directory(tmp_path), 80).split("ranked by")[0]


def test_columns_are_chosen_by_key(two: Path) -> None:
    found = columns.build(compare_directory(two), ["name", "test.loss", "training.epochs", "model.units", "n"])
    assert [column.key for column in found] == ["name", "test.loss", "training.epochs", "model.units", "n"]
    assert found[2].cells == ["3", "10"]
    assert found[1].cells == ["0.1000", "0.1000"]
    with pytest.raises(InputError, match=r"--columns trainin.epochs: unknown column\ndid you mean training.epochs\?"):
        columns.build(compare_directory(two), ["trainin.epochs"])


def test_a_column_shows_all_values_of_a_group(tmp_path: Path) -> None:
    for seed in range(2):
        make_run(tmp_path / f"{seed}", 100, f"seed={seed}")
    (column,) = columns.build(compare_directory(tmp_path), ["seed"])
    assert column.cells == ["0, 1"]


def test_markup_in_names_is_harmless(tmp_path: Path) -> None:
    make_run(tmp_path / "[red]a", 180, "optimizer=sgd")
    make_run(tmp_path / "\x1b[31mred\x1b]0;title\x07", 170)
    make_run(tmp_path / "b|c", 190, "model=cnn_large")
    change_settings(tmp_path / "[red]a", **{"optimizer.name": f"[bold]{HOSTILE}"})
    found = compare_directory(tmp_path)
    text = print_to_text(found)
    assert "[red]a" in text
    assert "[bold]" in text
    assert "\x1b" not in text
    assert "\x07" not in text
    markdown = tables.to_markdown(found, columns.build(found))
    assert "<script" not in markdown
    assert "b\\|c" in markdown
    assert "\x1b" not in markdown
    latex = tables.to_latex(found, columns.build(found))
    assert "optimizer.name" in latex
    assert "[red]a" in latex
    assert "<" not in latex.partition("\\toprule")[2]


def test_latex_is_escaped(tmp_path: Path) -> None:
    make_run(tmp_path / "a", 180)
    change_settings(tmp_path / "a", **{"optimizer.name": r"\input{/etc/passwd} 5% #$&_^~{}"})
    make_run(tmp_path / "b", 190)
    found = compare_directory(tmp_path)
    text = tables.to_latex(found, columns.build(found))
    assert r"\textbackslash{}input\{/etc/passwd\} 5\% \#\$\&\_\textasciicircum{}\textasciitilde{}\{\}" in text
    assert text.count(r"\begin{tabular}") == text.count(r"\end{tabular}") == 1


def test_formulas_in_csv_are_text(tmp_path: Path) -> None:
    for index, value in enumerate(("=cmd()", "@x", "-1+1", "-0.5")):
        make_run(tmp_path / str(index), 100, f"seed={index}")
        change_settings(tmp_path / str(index), **{"optimizer.learning_rate": value})
    rows = list(csv.DictReader(io.StringIO(export.to_csv([compare_directory(tmp_path)]))))
    assert {row["optimizer.learning_rate"] for row in rows} == {"'=cmd()", "'@x", "'-1+1", "-0.5"}


def test_json_and_csv(tmp_path: Path) -> None:
    for name, errors in (("a", 100), ("b", 180)):
        make_run(tmp_path / name, errors, f"model={'mlp' if name == 'b' else 'cnn_large'}")
        write_predictions(tmp_path / name, range(errors))
    (tmp_path / "x").mkdir()
    write_status(Run(tmp_path / "x"), "diverged", 4, "the loss is nan", "fix it")
    text = "".join(export.to_json(compare_directory(tmp_path), {"first": "é"}))
    content = json.loads(text)
    lines = text.partition('"configurations": [\n')[2].splitlines()
    assert [json.loads(line.rstrip(",")) for line in lines[:-2]] == content["configurations"]  # one on each line
    assert text.isascii()
    assert next(iter(content)) == "first"
    assert (content["schema"], content["ranked_by"]) == (3, "test.error_percent")
    assert content["against"] == {"run": "a", "is": "best"}
    best, other = content["configurations"]
    assert (best["significance"], best["validation"], best["runs"], best["seeds"]) == (None, None, ["a"], [7])
    assert other["settings"] == {"model.name": "mlp"}
    assert other["significance"]["test"] == "McNemar"
    assert other["significance"]["difference"] == pytest.approx(0.8)
    assert other["significance"]["p"] < 1e-20
    assert content["not_ranked"] == [
        {
            "reason": "diverged",
            "runs": [{"run": "x", "status": "diverged", "cause": "the loss is nan", "remedy": "fix it"}],
        }
    ]
    rows = list(csv.DictReader(io.StringIO(export.to_csv([compare_directory(tmp_path)]))))
    assert [(row["test_mean"], row["validation_mean"], row["seeds"]) for row in rows] == [("1.0", "", "7"), ("1.8", "", "7")]
    assert rows[1]["significance_words"].startswith("worse by 0.80 (")


def test_a_comparison_without_lines_is_exported() -> None:
    empty = compare([])
    assert export.to_csv([empty]) == "rank\n"
    assert json.loads("".join(export.to_json(empty)))["configurations"] == []
    assert tables.to_markdown(empty, []) == ""
