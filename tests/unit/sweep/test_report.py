"""The report of a sweep, without a browser: complete, self-contained, and safe with untrusted text."""

import base64
import hashlib
import html
import json
import re
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from mnist_exp.commands import results
from mnist_exp.comparison.ranking import compare_each
from mnist_exp.comparison.rows import read_rows
from mnist_exp.errors import EnvironmentFailure
from mnist_exp.machine import files
from mnist_exp.machine.plain_data import read_json
from mnist_exp.report import comparison_page, search_charts, vega
from mnist_exp.report.encodings import UNFINISHED
from mnist_exp.runs.history import Epoch
from mnist_exp.runs.run import Run
from mnist_exp.runs.status import Status, write_status
from mnist_exp.sweep import report, study
from mnist_exp.sweep.plan import Job, Plan, Sweep
from tests.unit.run_directories import change_settings, make_run, plan_of

HOSTILE = "</script><script>alert(1)</script><!--"

pytestmark = pytest.mark.usefixtures("library")


@pytest.fixture
def sweep(tmp_path: Path) -> Sweep:
    directory = tmp_path / "sweep"
    directory.mkdir()
    return Sweep(directory)


def completed(sweep: Sweep, number: int, errors: int, *overrides: str, epochs: int = 3, validation: bool = True) -> Path:
    """A completed run whose validation error falls to `errors` of 10,000."""
    directory = make_run(
        sweep.directory / f"{number:03d}_mlp", errors, *overrides, validation_errors=errors if validation else None
    )
    write_history(
        directory, [errors / 100 + epochs - epoch for epoch in range(1, epochs + 1)] if validation else [None] * epochs
    )
    (directory / "report.html").touch()
    return directory


def ended(sweep: Sweep, number: int, status: Status, cause: str) -> Path:
    """A run without a result."""
    directory = sweep.directory / f"{number:03d}_mlp"
    directory.mkdir()
    write_status(Run(directory), status, 1, cause)
    write_history(directory, [50.0, 40.0])
    Run(directory).log.touch()
    return directory


def write_history(directory: Path, errors: list[Any]) -> None:
    rows = [Epoch(epoch, 0.001, 0.5, 9.0, error, error, 1.0, 1000.0) for epoch, error in enumerate(errors, 1)]
    files.write_table(Run(directory).history, rows, Epoch)


def planned(sweep: Sweep, *overrides: str) -> Plan:
    """The plan of the existing jobs."""
    jobs = [
        Job(number=number, directory=path.name, overrides=(f"seed={number}",), config_hash="0", seed=number)
        for number, path in enumerate(sorted(path for path in sweep.directory.iterdir() if path.is_dir()), 1)
    ]
    return plan_of(jobs, *overrides)


def written(sweep: Sweep, *overrides: str, total: int | None = None) -> str:
    known = planned(sweep, *overrides)
    rows = read_rows([sweep.directory]) if known.jobs else []
    report.write(sweep, known, rows, compare_each(rows), total or len(known.jobs))
    return sweep.report.read_text()


def embedded(page: str) -> dict[str, Any]:
    """The data of the charts."""
    (text,) = re.findall(r'<script type="application/json" id="charts">(.*?)</script>', page, re.DOTALL)
    content: dict[str, Any] = json.loads(text)
    return content


def texts(page: str) -> str:
    return html.unescape(re.sub(r"<[^>]+>", " ", page)).replace("\N{NO-BREAK SPACE}", " ")


def test_a_row_for_each_configuration_with_links_to_its_runs(sweep: Sweep) -> None:
    for number, (errors, rate, seed) in enumerate(
        ((300, "1e-3", 1), (340, "1e-3", 2), (200, "1e-2", 1), (220, "1e-2", 2)), 1
    ):
        completed(sweep, number, errors, f"optimizer.learning_rate={rate}", f"seed={seed}")
    page = written(sweep, "optimizer.learning_rate=1e-3,1e-2", "seed=1,2")
    first, second = re.findall(r'<tr><th scope="row".*?</tr>', page, re.DOTALL)
    assert re.search(r"1\s+mlp\s+2\s+2.10 ± 0.14\s+0.83 – 3.37\s+2.00\s+2.10 ± 0.14", texts(first))
    assert re.search(r"2\s+mlp\s+2\s+3.20 ± 0.28", texts(second))
    assert re.findall(r'href="([^"]+)">seed (\d)', first) == [("003_mlp/report.html", "1"), ("004_mlp/report.html", "2")]
    assert "mnist-exp -m optimizer.learning_rate=1e-3,1e-2 seed=1,2" in texts(page)
    assert "optimizer.<wbr>learning_<wbr>rate</th>" in page
    charts = embedded(page)["charts"]
    assert set(charts) == {
        "learning_curves",
        "intervals",
        "spreads",
        "parallel",
    }  # all have the same size, and took the same time
    assert [row["group"] for row in embedded(page)["data"]["runs"]] == ["2 · learning_rate=0.001"] * 2 + [
        "1 · learning_rate=0.01"
    ] * 2


def test_each_set_of_images_has_its_leaderboard_and_its_charts(sweep: Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    for number, (errors, name, seed) in enumerate(((300, "mnist", 1), (340, "mnist", 2), (200, "kmnist", 1)), 1):
        summary = Run(completed(sweep, number, errors, f"dataset={name}", f"seed={seed}")).summary
        content = read_json(summary)
        files.write_json(summary, content | {"dataset": content["dataset"] | {"sha256": name}})
    ended(sweep, 4, "failed", "out of memory")
    page = written(sweep)
    assert re.findall(r'<h2 id="leaderboard(.*?)">Leaderboard: (.*?)</h2>', page) == [
        ("", "dataset.name=mnist"),
        ("-2", "dataset.name=kmnist"),
    ]
    rows = re.findall(r'<tr><th scope="row.*?</tr>', page, re.DOTALL)
    assert [re.findall(r"\d{3}_mlp", row)[0] for row in rows] == ["001_mlp", "003_mlp", "004_mlp"]
    content = embedded(page)
    assert [name for name in content["charts"] if name.startswith("learning")] == ["learning_curves", "learning_curves-2"]
    assert [row["run"] for row in content["data"]["runs-2"]] == ["003_mlp"]
    identifiers = re.findall(r'\sid="([^"]+)"', page)
    assert len(identifiers) == len(set(identifiers))
    monkeypatch.setattr(comparison_page, "MAX_CHARTED", 1)
    page = written(sweep)
    assert list(embedded(page)["charts"]) == ["learning_curves", "spreads"]
    assert "Only the first 1 of 2 sets of images have charts." in page
    assert page.count("Leaderboard: ") >= 2


def test_runs_without_a_result_are_counted_and_explained(sweep: Sweep) -> None:
    completed(sweep, 1, 300)
    ended(sweep, 2, "failed", f"out of memory {HOSTILE}")
    ended(sweep, 3, "pruned", "is behind")
    ended(sweep, 4, "interrupted", "by the user")
    page = written(sweep, total=6)
    for text in ("1 of 6 completed", "1 pruned", "1 failed", "3 remaining"):
        assert text in " ".join(texts(page).split())
    rows = re.findall(r'<tr><th scope="row.*?</tr>', page.split('id="unranked"')[1], re.DOTALL)
    failed, pruned, interrupted = rows
    assert "out of memory &lt;/script&gt;" in failed
    assert 'href="002_mlp/train.log"' in failed
    assert "is behind" in pruned
    assert "by the user" in interrupted
    assert sorted(row["group"] for row in embedded(page)["data"]["runs"]) == ["1 · mlp", *[UNFINISHED.label] * 3]


def test_untrusted_text_is_escaped(sweep: Sweep) -> None:
    for number, rate in enumerate(("1e-3", "1e-2"), 1):
        directory = completed(sweep, number, 100 * number, f"optimizer.learning_rate={rate}")
        change_settings(directory, **{"optimizer.name": f"{HOSTILE}{number}"})
        summary = json.loads((directory / "summary.json").read_text())
        files.write_json(directory / "summary.json", summary | {"name": HOSTILE})
    page = written(sweep, f"name={HOSTILE}")
    assert "<script>alert" not in page
    assert page.count("</script") == page.count("<script") == 4
    assert page.count("&lt;/script&gt;") >= 6
    assert "<!--" not in page
    labels = [row["label"] for row in embedded(page)["data"]["configurations"]]
    assert labels == [f"{rank} · {HOSTILE}{rank}" for rank in (1, 2)]


def test_only_the_scripts_of_the_page_run_and_nothing_is_loaded(sweep: Sweep) -> None:
    completed(sweep, 1, 300)
    page = written(sweep)
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    allowed = set(re.findall(r"'sha256-([^']+)'", html.unescape(policy)))
    scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    assert len(scripts) == 3
    assert {base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts} == allowed
    assert html.unescape(policy).startswith("default-src 'none';")
    assert "unsafe-eval" not in policy
    assert "script-src 'unsafe-inline'" not in policy
    assert re.findall(r"""(?:src|href)=["'](?!data:|#|\d{3}_mlp/)""", page) == []
    assert "url(" not in page


def test_a_sweep_without_results_has_a_page(sweep: Sweep) -> None:
    page = written(sweep, total=3)
    assert "No run has a result." in page
    assert "<svg" not in page
    assert embedded(page)["charts"] == {}


def test_without_validation_images_the_page_warns_of_the_ranking_by_test_error(sweep: Sweep) -> None:
    completed(sweep, 1, 300, "optimizer.learning_rate=1e-3", validation=False)
    completed(sweep, 2, 200, "optimizer.learning_rate=1e-2", validation=False)
    page = written(sweep)
    assert "selecting on the test data" in page
    assert "validation error" not in texts(page)
    assert set(embedded(page)["charts"]) == {"intervals", "parallel"}


@pytest.mark.parametrize(
    "content", ["", "epoch\n1\n", "epoch,validation_error_percent\nx,y\n", "\0", "epoch,validation_error_percent\n1,nan\n"]
)
def test_an_unreadable_history_has_no_curve(sweep: Sweep, content: str) -> None:
    directory = completed(sweep, 1, 300)
    (directory / "history.csv").write_text(content)
    assert "learning_curves" not in embedded(written(sweep))["charts"]


@pytest.mark.parametrize(
    ("last", "ticks"), [(2, [1, 2]), (3, [1, 2, 3]), (10, [2, 4, 6, 8, 10]), (100, [20, 40, 60, 80, 100])]
)
def test_epoch_ticks_are_whole_numbers(sweep: Sweep, last: int, ticks: list[int]) -> None:
    completed(sweep, 1, 300, epochs=last)
    spec = embedded(written(sweep))["charts"]["learning_curves"]["spec"]
    assert spec["layer"][0]["encoding"]["x"]["axis"]["values"] == ticks


def test_runs_of_one_epoch_have_no_curve(sweep: Sweep) -> None:
    completed(sweep, 1, 300, epochs=1)
    assert "learning_curves" not in embedded(written(sweep))["charts"]


def test_many_long_curves_are_thinned(sweep: Sweep) -> None:
    for number in range(1, 4):
        completed(sweep, number, 300, f"seed={number}", epochs=1000)
    (row, *_) = rows = embedded(written(sweep))["data"]["runs"]
    assert all(100 < len(row["epoch"]) == len(row["error"]) <= 200 for row in rows)
    assert (row["epoch"][0], row["epoch"][-1]) == (1, 1000)


def write_journal(sweep: Sweep, values: list[list[float]], objectives: list[str]) -> None:
    """Write the journal of a search whose jobs are in the order of its trials."""
    storage = JournalStorage(JournalFileBackend(str(sweep.study)))
    made = optuna.create_study(storage=storage, study_name=study.NAME, directions=["minimize"] * len(objectives))
    made.set_user_attr(study.SPACE, {"objectives": objectives})
    drawn_from = {
        "optimizer.learning_rate": FloatDistribution(1e-4, 1e-1, log=True),
        "model.units": CategoricalDistribution(["[8]", HOSTILE]),
    }
    for number, value in enumerate(values, 1):
        parameters = {"optimizer.learning_rate": 10 ** -(1 + number % 3), "model.units": ["[8]", HOSTILE][number % 2]}
        trial = optuna.trial.create_trial(
            params=parameters, distributions=drawn_from, values=value, user_attrs={study.JOB: number}
        )
        made.add_trial(trial)
    made.add_trial(optuna.trial.create_trial(state=optuna.trial.TrialState.PRUNED))


def test_the_page_of_a_search_shows_its_trials(sweep: Sweep) -> None:
    for number in range(1, 6):
        completed(sweep, number, 100 * number, f"optimizer.learning_rate={number}e-3")
    write_journal(sweep, [[5.0], [3.0], [4.0], [2.0], [6.0]], ["validation.error_percent"])
    page = written(sweep)
    content = embedded(page)
    assert set(content["charts"]) >= {"history0", "importance0", "parameter0", "parameter1"}
    assert [row["lowest0"] for row in content["data"]["trials"]] == [5, 3, 3, 2, 2]
    assert [row["run"] for row in content["data"]["trials"]] == [f"{number:03d}_mlp" for number in range(1, 6)]
    assert sum(row["share"] for row in content["data"]["importance0"]) == pytest.approx(1, abs=1e-3)
    assert "0.0001 to 0.1, logarithmic" in page
    assert "6 trials as a table" in page
    assert "<script>alert" not in page


def test_trials_on_the_pareto_front(sweep: Sweep) -> None:
    write_journal(sweep, [[5.0, 10], [3.0, 20], [4.0, 30], [2.0, 40]], ["validation.error_percent", "model.parameters"])
    found = study.read_result(sweep, planned(sweep))
    assert found is not None
    assert [trial.number for trial in found.trials] == [0, 1, 2, 3, 4]
    assert found.front == {0, 1, 3}
    drawn = {chart.name: chart for chart in search_charts.charts(found, {})}
    assert {"front01", "history0", "history1"} <= set(drawn)
    assert "importance1" not in drawn  # the number of parameters follows from the settings
    assert all(vega.static_svg(chart).startswith("<svg") for chart in drawn.values())


@pytest.mark.parametrize("values", [[], [[1.0]], [[1.0], [2.0], [3.0]], [[1.0]] * 6])
def test_importances_need_enough_different_trials(sweep: Sweep, values: list[list[float]]) -> None:
    write_journal(sweep, values, ["validation.error_percent"])
    found = study.read_result(sweep, planned(sweep))
    assert found is not None
    assert list(found.importances) == [{}]
    assert bool(list(search_charts.charts(found, {}))) == (len(values) > 1)


@pytest.mark.parametrize("content", [b"", b"not JSON\n", b'{"op_code": 99}\n', b'{"op_code": 0}\n', b"\xff\n"])
def test_an_unreadable_journal_is_left_out(sweep: Sweep, content: bytes) -> None:
    completed(sweep, 1, 300)
    sweep.study.write_bytes(content)
    assert "search with Optuna" not in written(sweep)


def test_the_cached_library_is_replaced_if_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert vega.javascript() == "let vega = 'é';"
    (kept,) = (tmp_path / "cache" / "mnist-exp").iterdir()
    monkeypatch.setattr("vl_convert.javascript_bundle", lambda: "new")
    assert vega.javascript() == "let vega = 'é';"
    kept.write_text(kept.read_text()[:-1])
    assert vega.javascript() == "new"
    assert vega.javascript() == "new"


def test_without_a_cache_directory_the_library_is_built_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert vega.javascript() == "let vega = 'é';"


def test_files_are_written_first_and_a_full_disk_does_not_hide_the_result(
    sweep: Sweep, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    completed(sweep, 1, 100)

    def full(*_: object) -> None:
        assert capsys.readouterr().out == ""
        raise EnvironmentFailure("leaderboard.json: cannot be written: No space left on device", "free disk space")

    monkeypatch.setattr(results.leaderboard, "write", full)
    assert results.finish_sweep(sweep, planned(sweep), 1) == EnvironmentFailure.exit_code
    captured = capsys.readouterr()
    assert "1 of 1 job completed" in captured.out
    assert "error: leaderboard.json: cannot be written" in captured.err
