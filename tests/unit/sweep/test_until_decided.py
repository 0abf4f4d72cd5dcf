"""Sweeps that train further seeds until all is decided, with the real commands and a launcher that trains nothing."""

import json
import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import yaml

from mnist_exp import cli
from mnist_exp.commands import results
from mnist_exp.machine import files
from mnist_exp.runs.directory import read_config
from mnist_exp.runs.run import Run
from mnist_exp.runs.status import write_status
from mnist_exp.sweep import launchers, plan, report, until_decided
from mnist_exp.sweep.plan import Sweep
from tests.unit.run_directories import complete_run, set_wrong_images
from tests.unit.sweep.test_driver import FakeLauncher

UNTIL = ("sweep.until_decided=true", "sweep.max_seeds=8")  # looks at 3, 5 and 8 seeds
# Errors of a configuration: the first wrong image, and how many are wrong. `CLOSE` is undecided against `BEST`, `FAR` worse.
BEST, CLOSE, FAR = (0, 100), (80, 115), (80, 300)
Errors = Callable[[int, int], tuple[int, int]]  # of a configuration and a seed


class Killed(BaseException):
    """The process is killed: nothing more is written."""


class Trainer(FakeLauncher):
    """Runs whose errors a test chooses; the process may be killed before a job, and jobs may fail."""

    def __init__(self, errors: Errors, failing: Sequence[str], kill_at: int | None) -> None:
        super().__init__(self._train)
        self.errors, self.failing, self.kill_at = errors, failing, kill_at

    def _train(self, run: Run, _: int) -> None:
        if len(self.attempts) == self.kill_at:
            raise Killed
        config = read_config(run)
        first, count = self.errors(config["model"]["units"][0], config["seed"])
        if run.directory.name in self.failing:
            write_status(run, "failed", 1, "cause", "remedy")
        else:
            complete_run(run, count, validation_errors=count)
            set_wrong_images(run.directory, range(first + config["seed"] % 100, first + config["seed"] % 100 + count))


class Command:
    """The real command, with a trainer."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.trained: list[str] = []
        self.errors: Errors = constant({16: BEST, 24: CLOSE, 32: FAR})
        self.failing: Sequence[str] = ()
        self._monkeypatch = monkeypatch

    def run(self, *arguments: str, kill_at: int | None = None) -> int:
        """Run it, and remember which jobs were trained."""
        trainer = Trainer(self.errors, self.failing, kill_at)
        self._monkeypatch.setattr(launchers, "build", lambda *_: trainer)
        try:
            return cli.main(list(arguments))
        finally:
            self.trained = trainer.attempts

    def start(self, *arguments: str, units: str = "[16],[24],[32]", kill_at: int | None = None) -> int:
        """Start a sweep over models."""
        return self.run("-m", f"model.units={units}", "seed=7", *arguments, kill_at=kill_at)


def constant(errors: dict[int, tuple[int, int]]) -> Errors:
    """The same error with each seed."""
    return lambda units, _: errors[units]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Command:
    monkeypatch.setattr(results, "_write_report", lambda *_: False)
    return Command(monkeypatch)


def sweep() -> Path:
    (directory,) = Path("runs").iterdir()
    return directory


def jobs() -> list[tuple[str, int]]:
    """The model and the seed of each job of the sweep."""
    planned = yaml.safe_load((sweep() / "sweep.yaml").read_text())["jobs"]
    return [
        (job["directory"].partition("_")[2].rpartition("_s")[0].removeprefix("mlp_units="), job["seed"]) for job in planned
    ]


def seeds_of(model: str) -> list[int]:
    return [seed for one, seed in jobs() if one == model]


def test_only_undecided_configurations_and_the_best_get_further_seeds(
    command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.start(*UNTIL) == 0
    assert jobs()[:3] == [("16", 7), ("24", 7), ("32", 7)]
    assert seeds_of("16") == seeds_of("24") == list(range(7, 15))
    assert seeds_of("32") == [7, 8, 9]
    assert len(command.trained) == len(set(command.trained)) == 19
    assert json.loads((sweep() / "looks.json").read_text()) == {"schema": 1, "sizes": [3, 5, 8]}
    printed = capsys.readouterr()
    looks = [line for line in printed.err.splitlines() if line.startswith(("look", "  "))]
    assert looks[:2] == ["look 1 of 3, 3 seeds: 1 of 3 configurations undecided; 4 jobs to train", "  best: mlp_units=16"]
    assert looks[2].startswith("  mlp_units=24: p = ")
    assert looks[-3:-1] == ["look 3 of 3, 8 seeds: 1 of 3 configurations undecided", "  best: mlp_units=16"]
    assert looks[-1].startswith("  mlp_units=24: p = ")
    assert "look 2 of 3, 5 seeds" in (sweep() / "sweep.log").read_text()
    assert "look 3 of 3 planned ones (3, 5, 8 seeds)" in printed.out
    board = json.loads((sweep() / "leaderboard.json").read_text())
    assert board["looks"] == {"seeds": [3, 5, 8], "look": 3}


def test_each_set_of_images_is_decided(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.start(*UNTIL, "dataset.split_seed=0,1", units="[16],[24],[32]") == 0
    seeds = {one: sorted(seed for other, seed in jobs() if other == one) for one, _ in jobs()}
    assert {name: len(found) for name, found in seeds.items()} == {
        f"{units}_split_seed={split}": 3 if units == 32 else 8 for units in (16, 24, 32) for split in (0, 1)
    }
    printed = capsys.readouterr().err
    assert "look 1 of 3, 3 seeds: 2 of 6 configurations undecided; 8 jobs to train\n" in printed
    assert Counter(re.findall("best: (.*)", printed)) == {f"mlp_units=16_split_seed={split}": 3 for split in (0, 1)}


def test_it_ends_when_all_is_decided(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.start(*UNTIL, units="[16],[32]") == 0
    assert len(jobs()) == 6
    end = "look 1 of 3, 3 seeds: decided: all others differ significantly from the best\n  best: mlp_units=16\n"
    assert end in capsys.readouterr().err
    assert command.run("resume", "latest") == 0
    assert command.trained == []
    assert len(jobs()) == 6


def test_nothing_is_printed_with_progress_quiet(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.start(*UNTIL, "progress=quiet", units="[16],[32]") == 0
    assert capsys.readouterr().err == ""
    assert "look 1 of 3" in (sweep() / "sweep.log").read_text()


@pytest.mark.parametrize("kill_at", [1, 10, 19])
def test_a_killed_sweep_continues_with_the_same_jobs(kill_at: int, command: Command) -> None:
    with pytest.raises(Killed):
        command.start(*UNTIL, kill_at=kill_at)
    trained = command.trained[:-1]
    assert command.run("resume", "latest") == 0
    assert len(trained + command.trained) == len({*trained, *command.trained}) == 19
    assert seeds_of("16") == seeds_of("24") == list(range(7, 15))
    assert seeds_of("32") == [7, 8, 9]


@pytest.mark.parametrize("writes", [0, 1, 2])
def test_a_kill_between_two_files_loses_nothing(writes: int, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """looks.json and sweep.yaml are written in an order in which each state is continued by a plain resume."""
    assert command.start(units="[16],[32]") == 0
    write = files.write
    count = 0

    def write_some(path: Path, content: bytes) -> None:
        nonlocal count
        if path.name in {"looks.json", "sweep.yaml"}:
            count += 1
            if count > writes:
                raise Killed
        write(path, content)

    command.errors = constant({16: BEST, 32: CLOSE})
    with monkeypatch.context() as patched:
        patched.setattr(files, "write", write_some)
        with pytest.raises(Killed):
            command.run("resume", "latest", "--until-decided", "--max-seeds", "5")
    until = ["--until-decided", "--max-seeds", "5"] if writes == 0 else []  # before the first file nothing is known
    assert command.run("resume", "latest", *until) == 0
    assert seeds_of("16") == seeds_of("32") == list(range(7, 12))


def test_a_sweep_with_some_seeds_gets_the_same_for_all(command: Command) -> None:
    assert command.run("-m", "model.units=[16],[24]", "seed=3,1") == 0
    assert command.run("resume", "latest", "seed=5", "model.units=[32]") == 0
    assert command.run("resume", "latest", "--until-decided", "--max-seeds=5") == 0
    assert jobs()[5:] == [("mlp", 3), ("mlp", 1), ("16", 5), ("24", 5), ("16", 6), ("24", 6), ("16", 7), ("24", 7)]


def test_failed_jobs_count_as_finished(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    """A configuration is compared with the seeds that it has; without a result, it gets no further ones."""
    command.failing = ["001_mlp_units=16_s7", "003_mlp_units=32_s7", "006_mlp_units=32_s8", "009_mlp_units=32_s9"]
    assert command.start(*UNTIL) == 1
    assert seeds_of("16") == seeds_of("24") == list(range(7, 15))
    assert seeds_of("32") == [7, 8, 9]
    assert "1 of 2 configurations undecided; 1 not ranked" in capsys.readouterr().err
    command.failing = ()
    assert command.run("resume", "latest", "--retry-failed") == 0
    assert len(command.trained) == 4


def test_no_result_at_all_ends_the_sweep(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    command.failing = [f"{number:03d}_mlp_units={units}_s{seed}" for number, (seed, units) in enumerate(
        [(seed, units) for seed in (7, 8, 9) for units in (16, 24, 32)], 1)]  # fmt: skip
    assert command.start(*UNTIL) == 1
    assert len(jobs()) == 9
    assert "look 1 of 3, 3 seeds: no configuration has a result\n" in capsys.readouterr().err


def test_a_configuration_that_a_new_best_makes_undecided_catches_up(command: Command) -> None:
    """With three seeds 16 is the best and 32 is worse; with five, 24 is the best and 32 is undecided."""
    first = constant({16: (0, 100), 24: (80, 115), 32: (150, 190)})
    later = constant({16: (0, 400), 24: (80, 250), 32: (150, 200)})
    command.errors = lambda units, seed: (first if seed < 10 else later)(units, seed)
    assert command.start(*UNTIL) == 0
    assert jobs()[9:13] == [("16", 10), ("24", 10), ("16", 11), ("24", 11)]
    assert sorted(seed for model, seed in jobs()[13:] if model == "32") == [10, 11, 12, 13, 14]
    assert seeds_of("24") == list(range(7, 15))


def test_seeds_do_not_exceed_the_allowed_ones(command: Command) -> None:
    largest = 2**32 - 1
    assert command.run("-m", "model.units=[16],[32]", f"seed={largest}", *UNTIL) == 0
    assert seeds_of("16") == [largest, 0, 1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["seed=range(9)", *UNTIL], "sweep.max_seeds=8: the sweep has 9 different seeds"),
        (["seed=1", "model.units=[16]", *UNTIL], "sweep.until_decided=true: the sweep has only one configuration"),
        (["sweep.max_seeds=8"], "sweep.max_seeds=8: has an effect only with sweep.until_decided=true"),
        (["sweep.until_decided=true", "sweep.max_seeds=2"], "sweep.max_seeds=2: not allowed"),
        (["dataset.split_seed=${seed}", *UNTIL], "only the seed may depend on the seed"),
        (
            ["hydra/sweeper=optuna", "model.dropout=choice(0.1,0.2)", *UNTIL],
            "a search trains each configuration with one seed",
        ),
    ],
)
def test_what_cannot_be_decided_is_refused(
    arguments: list[str], message: str, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    swept = [] if any(line.startswith(("model", "hydra")) for line in arguments) else ["model.units=[16],[24]"]
    assert command.run("-m", *swept, *arguments) == 2
    assert message in capsys.readouterr().err
    assert not Path("runs").exists()


def test_the_plan_of_a_sweep_does_not_change(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Killed):
        command.start(*UNTIL, kill_at=1)
    before = {path.name: path.read_bytes() for path in sweep().iterdir() if path.is_file()}
    for arguments, message in (
        (["--max-seeds", "20"], "sweep.max_seeds=20: the looks of this sweep are planned up to 8 seeds"),
        (["--until-decided", "--max-seeds=5"], "sweep.max_seeds=5: the looks of this sweep are planned up to 8 seeds"),
        (["seed=range(20)"], "seed=range(20): the looks of this sweep are planned for its configurations"),
    ):
        assert command.run("resume", "latest", *arguments) == 2
        assert message in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in sweep().iterdir() if path.is_file()} == before
    (sweep() / "looks.json").write_text("{")
    assert command.run("resume", "latest") == 3
    (sweep() / "looks.json").unlink()
    assert command.run("resume", "latest") == 3
    assert "looks.json: is missing" in capsys.readouterr().err


def test_looks_that_were_removed_meanwhile_are_written_again(command: Command) -> None:
    def errors(units: int, _: int) -> tuple[int, int]:
        (sweep() / "looks.json").unlink(missing_ok=True)
        return {16: BEST, 32: FAR}[units]

    command.errors = errors
    assert command.start(*UNTIL, units="[16],[32]") == 0
    assert json.loads((sweep() / "looks.json").read_text())["sizes"] == [3, 5, 8]
    assert json.loads((sweep() / "leaderboard.json").read_text())["looks"]["look"] == 1


def test_until_decided_false_trains_only_what_is_planned(command: Command) -> None:
    with pytest.raises(Killed):
        command.start(*UNTIL, kill_at=4)
    assert command.run("resume", "latest", "sweep.until_decided=false") == 0
    assert len(jobs()) == 9


def test_a_dry_run_lists_the_jobs_until_the_next_look(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.start(*UNTIL, "sweep.dry_run=true") == 0
    last = "9 jobs until the next look; looks at 3, 5 and 8 seeds; at most 24 jobs in all\n"
    assert capsys.readouterr().out.endswith(last)
    assert not Path("runs").exists()
    assert command.start(units="[16],[24]") == 0
    before = {path.name: path.read_bytes() for path in sweep().iterdir() if path.is_file()}
    capsys.readouterr()
    assert command.run("resume", "latest", "--until-decided", "--max-seeds=3", "sweep.dry_run=true") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[-1] for line in lines[:4]] == ["seed=8", "seed=8", "seed=9", "seed=9"]
    assert lines[4] == "4 jobs until the next look; looks at 3 seeds; at most 6 jobs in all"
    assert {path.name: path.read_bytes() for path in sweep().iterdir() if path.is_file()} == before


def test_a_dry_run_after_a_look_lists_what_the_next_one_needs(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Killed):  # while the second look's jobs are trained
        command.start(*UNTIL, units="[16],[24]", kill_at=7)
    content = yaml.safe_load((sweep() / "sweep.yaml").read_text())
    content["jobs"] = content["jobs"][:6]  # as if it had been killed before they were planned
    (sweep() / "sweep.yaml").write_text(yaml.safe_dump(content))
    capsys.readouterr()
    assert command.run("resume", "latest", "sweep.dry_run=true") == 0
    printed = capsys.readouterr()
    assert printed.out.splitlines()[-1].startswith("4 jobs until the next look")
    assert printed.err.startswith("look 1 of 3, 3 seeds: ")
    assert yaml.safe_load((sweep() / "sweep.yaml").read_text()) == content


def test_a_run_has_no_looks(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.start(units="[16]") == 0
    assert command.run("resume", str(next(sweep().glob("001_*"))), "--until-decided") == 2
    assert "not a sweep" in capsys.readouterr().err


def test_what_more_seeds_could_decide_says_that_none_are_planned(
    command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    command.errors = lambda units, seed: (0, 100) if units == 16 else (60, 120 + 60 * (seed % 2))
    assert command.start("sweep.until_decided=true", "sweep.max_seeds=4", units="[16],[24]") == 0
    last = [line for line in capsys.readouterr().err.splitlines() if "mlp_units=24: p" in line][-1]
    assert "about " in last
    assert last.endswith(" more seeds of each; no more are planned")


def test_the_report_lists_every_seed(command: Command) -> None:
    assert command.run("-m", "model.units=[16],[32]", *UNTIL) == 0
    swept = report._swept(plan.read(Sweep(sweep())), None)
    assert swept == {"model.units": "[16], [32]", "seed": "7, 8, 9"}


def test_a_look_prints_a_limited_number_of_lines(capsys: pytest.CaptureFixture[str]) -> None:
    until_decided._show(["look", *map(str, range(20))], is_quiet=False)
    lines = capsys.readouterr().err.splitlines()
    assert [lines[0], lines[1], *lines[-2:]] == ["look", "  0", "  10", "  and 9 more"]
