"""Run directories that others wrote: whatever is in place of a file, and whatever text is in it, commands print one line."""

import csv
import io
import json
import os
import re
import shutil
import signal
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from itertools import repeat
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from mnist_exp import cli, experiment
from mnist_exp.errors import EnvironmentFailure
from mnist_exp.machine import files
from mnist_exp.runs.run import FilePath, Run
from mnist_exp.runs.status import read_record, write_status
from mnist_exp.sweep import plan
from mnist_exp.sweep.plan import Sweep
from tests.unit import permissions
from tests.unit.comparison.test_hostile_text import CONTROL, HOSTILE, active_markdown
from tests.unit.members import ensemble_of, member
from tests.unit.run_directories import make_run
from tests.unit.sweep.test_plan import planned

# What the commands read first, and then what they read or write only after it.
FILES = {
    "run": (
        ["summary.json"],
        ["status.json", "summary.json"],
        ["config.yaml"],
        ["train.log"],
        [".lock", "checkpoints", "tracking.lock", "model.keras"],
        ["environment.json", "errors.json", "history.csv", "overrides.yaml", "predictions.npz", "pruned.json"],
        [
            "calibration.json",
            "evaluations",
            "exports",
            "lineage.json",
            "outliers.npz",
            "figures",
            "report.html",
            "tensorboard",
            "tracking.json",
            "wandb",
        ],
    ),
    "sweep": (
        ["sweep.yaml"],
        ["sweep.log"],
        [
            ".lock",
            "leaderboard.json",
            "looks.json",
            "report.html",
            "slurm",
            "study.journal",
            "sweep.log",
            "tracking.json",
            "tracking.lock",
        ],
    ),
}
COMMANDS = {
    "run": (
        ["show", "run"], ["compare", "--format=json"], ["diff", "run", "b"], ["watch", "--once"], ["resume", "run"],
        ["track", "run", "tracker=tensorboard"], ["ensemble", "run", "b"], ["export", "run", "--card"],
    ),
    "sweep": (["show", "sweep"], ["compare", "sweep"], ["watch", "sweep"], ["resume", "sweep"]),
}  # fmt: skip
SECONDS = 20  # of a command, which would otherwise wait for ever


def to_pipe(path: Path) -> None:
    os.mkfifo(path)


def to_endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


def to_unreadable(path: Path) -> None:
    path.touch(0)


KINDS: tuple[Callable[[Path], None], ...] = (to_pipe, to_endless, Path.mkdir, to_unreadable)


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A completed run, another one, and a sweep, as they are before anything is replaced."""
    place = tmp_path_factory.mktemp("origin") / "runs"
    member(place / "run", range(100))
    member(place / "b", range(90), "seed=2")
    known = planned("seed=1,2")
    sweep = Sweep(place / "sweep")
    sweep.directory.mkdir()
    plan.write(sweep, known)
    for job in known.jobs:
        make_run(sweep.run(job).directory, 100, f"seed={job.seed}", validation_errors=90)
    return place


@pytest.fixture
def _no_training(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Commands that read files, but train nothing; and a limit of their time."""

    def train(*_: Any) -> None:
        raise EnvironmentFailure("no training", "in this test")

    monkeypatch.setattr(experiment, "train", train)
    monkeypatch.setattr("mnist_exp.commands.ensemble._average", train)
    monkeypatch.setattr("mnist_exp.commands.resume_sweep.train", train)
    before = signal.signal(signal.SIGALRM, lambda *_: pytest.fail("the command waits"))
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.usefixtures("_no_training")
@pytest.mark.parametrize("replace", KINDS)
@pytest.mark.parametrize("owner", ["run", "sweep"])
def test_whatever_is_in_place_of_a_file_costs_a_line(
    owner: str, replace: Callable[[Path], None], origin: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """Every file with a pipe, and those that every command reads with other kinds: the same check refuses them."""
    for names in FILES[owner] if replace is to_pipe else FILES[owner][:1]:
        shutil.rmtree("runs", ignore_errors=True)
        shutil.copytree(origin, "runs")
        for path in (Path("runs", owner, name) for name in names):
            shutil.rmtree(path, ignore_errors=True)
            path.unlink(missing_ok=True)
            replace(path)
        for command in COMMANDS[owner]:
            signal.alarm(SECONDS)
            with permissions.enforced():
                code = cli.main(command)
            printed = capsys.readouterr()
            assert code in (0, 1, 2, 3, 5), (command, names)
            assert "Traceback" not in printed.err
            assert "defect" not in printed.err, (command, names)
            assert code == 0 or printed.err, (command, names)


def test_every_file_of_a_run_and_a_sweep_is_tried() -> None:
    for kind, owner in ((Run, "run"), (Sweep, "sweep")):
        names = {each._name for each in vars(kind).values() if isinstance(each, FilePath)}
        assert names - {"ensemble.yaml"} == {name for names in FILES[owner] for name in names}


def with_texts(value: Any, texts: Iterator[str]) -> Any:
    """Return a plain value whose texts are replaced by others."""
    if isinstance(value, dict):
        return {key: with_texts(item, texts) for key, item in value.items()}
    if isinstance(value, list):
        return [with_texts(item, texts) for item in value]
    return next(texts) if isinstance(value, str) else value


def write_texts(run: Run, texts: Iterator[str], data: str) -> None:
    """Replace the texts of a completed run with others, as far as its summary remains readable, and add settings."""
    summary = json.loads(run.summary.read_bytes())
    fixed = {
        "status": "completed",
        "wrong_images": summary["wrong_images"],
        "dataset": with_texts(summary["dataset"], repeat(data)),
        "settings": with_texts(summary["settings"], texts) | {next(texts): next(texts)},
    }
    files.write_json(run.summary, with_texts(summary, texts) | fixed)
    environment = {key: next(texts) for key in ("platform", "device", "started")}
    groups = {key: {next(texts): next(texts)} for key in ("versions", "variables", "cpu", "git")}
    files.write_json(run.environment, environment | groups | {"argv": [next(texts)]})
    run.config.write_text(yaml.safe_dump({next(texts): next(texts), "name": next(texts)}))


class Structure(HTMLParser):
    """What of a page is not text: its elements with their attributes, without the lines of a text, and its links."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.kinds: set[tuple[str, ...]] = set()
        self.links: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """Note an element."""
        self.kinds |= {(tag, *(name for name, _ in attributes))} if tag != "tspan" else set()
        self.links |= {str(value) for name, value in attributes if name in {"href", "src"}}


def check(command: list[str], text: str, benign: str) -> None:
    """Check that hostile text in the output of a command is nothing but text."""
    kind = next((part.partition("=")[2] for part in command if part.startswith("--format=")), "table")
    assert not CONTROL.search(text), command
    if kind == "csv":
        for cell in (cell for line in csv.reader(io.StringIO(text)) for cell in line):
            assert not cell.startswith(("=", "@")), cell
            assert not re.match(r"[+-](?!\d)", cell), cell
    elif kind == "json":
        assert text.isascii()
        json.loads(text)
    elif kind == "markdown":
        assert not active_markdown(re.sub(r"\\\\", "", text))
    elif kind == "latex":
        names = set(re.findall(r"\\([A-Za-z]+)", text)) - set(re.findall(r"\\([A-Za-z]+)", benign))
        assert names <= {"textbackslash", "textasciitilde", "textasciicircum", "textless", "textgreater"}
        assert not re.search(r"(?<!\\)[#$_^~]", re.sub(r"^%.*$", "", text, flags=re.MULTILINE))
    elif kind == "html":
        found, expected = Structure(text), Structure(benign)
        assert found.kinds <= expected.kinds, found.kinds - expected.kinds
        assert {link for link in found.links if "report.html" not in link} <= expected.links


FORMATS = ("table", "csv", "json", "markdown", "latex", "html")
SHOWN = [
    *(["compare", f"--format={kind}"] for kind in FORMATS),
    *(["compare", "--by=run", f"--format={kind}"] for kind in FORMATS[:-1]),
    *(["show", name] for name in ("run", "failed", "averaged")),
    ["diff", "run", "b"],
    ["diff", "run", "b", "--format=json"],
    ["watch", "--once"],
]


def outputs(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Return what the commands print and write."""
    texts = []
    for command in SHOWN:
        html = [f"--output={Path('page.html')}"] if "--format=html" in command else []
        cli.main([*command, *html])
        printed = capsys.readouterr()
        texts.append(printed.out + printed.err if not html else Path("page.html").read_text())
    return texts


@pytest.mark.usefixtures("library")
def test_text_of_any_file_is_inert_in_every_format(origin: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(origin, "runs")
    shutil.rmtree("runs/sweep")
    runs = [Run(Path("runs", name)) for name in ("run", "b")]
    averaged = Run(ensemble_of(Path("runs/averaged"), *(run.directory for run in runs)))
    failed = Run(Path("runs/failed"))
    failed.directory.mkdir()
    write_texts(runs[0], iter("abcdefghijklmnopqrstuvwxyz" * 20), "mnist")
    write_status(failed, "failed", 1, "cause", "remedy")
    kept = {run.summary: run.summary.read_bytes() for run in (*runs, averaged)}
    benign = outputs(capsys)

    @given(st.lists(HOSTILE.filter(bool), min_size=1, max_size=9))
    @settings(max_examples=4, deadline=None, phases=[Phase.generate], suppress_health_check=[HealthCheck.too_slow])
    def try_texts(texts: list[str]) -> None:
        for path, content in kept.items():
            path.write_bytes(content)
        texts = [text.replace("\ud800", "") for text in texts]  # which the JSON of a summary cannot contain
        endless = (f"{texts[number % len(texts)]}{number}" for number in range(10**9))
        for run in (*runs, averaged):
            write_texts(run, endless, texts[0])
            assert read_record(run.directory).summary is not None
        write_status(failed, "failed", 1, next(endless), next(endless))
        files.write_json(failed.status, json.loads(failed.status.read_bytes()) | {"status": next(endless)})
        for command, text, expected in zip(SHOWN, outputs(capsys), benign, strict=True):
            check(command, text, expected)

    try_texts()
