"""`watch` on runs and sweeps in training, and `diff` of two runs."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
from pathlib import Path

from tests.conftest import TINY, Command
from tests.end_to_end.sweeps import PATIENCE, until
from tests.forks import Forks


def in_a_terminal(*arguments: str, cwd: Path, interrupt_at: str | None = None) -> tuple[int, str]:
    """Run a command in a terminal of 80 columns; return its exit code and output. `interrupt_at` is a text for Ctrl-C."""
    environment = os.environ | {"COLUMNS": "80", "LINES": "40", "TERM": "xterm-256color"}
    ours, theirs = pty.openpty()
    running = subprocess.Popen(
        [sys.executable, "-m", "mnist_exp", *arguments],
        cwd=cwd, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    drawn = b""
    try:
        while chunk := os.read(ours, 65_536):
            drawn += chunk
            if interrupt_at is not None and interrupt_at in drawn.decode(errors="replace"):
                running.send_signal(signal.SIGINT)
                interrupt_at = None
    except OSError:  # the terminal's other end is closed
        pass
    os.close(ours)
    return running.wait(timeout=PATIENCE), drawn.decode(errors="replace")


def test_watch_shows_a_run_in_training_and_after_it_is_killed(tmp_path: Path, command: Command, forks: Forks) -> None:
    arguments = (*TINY, "training.epochs=20000", "progress=quiet")
    training = forks.start(*arguments, cwd=tmp_path, stdout=subprocess.DEVNULL)
    until(lambda: list(tmp_path.glob("runs/*/history.csv")))
    (run,) = (tmp_path / "runs").iterdir()
    watched = command("watch", "--once")
    assert (watched.returncode, watched.stderr) == (0, "")
    assert re.search(
        rf"{run.name} +running +[━╸]* +[1-9]\d*/20,000 +\d\.\d{{4}} +\d+\.\d\d +\d+\.\d\d +[\d,]+ +\d+ ", watched.stdout
    )
    code, drawn = in_a_terminal("watch", "--interval", "0.1", cwd=tmp_path, interrupt_at="/20,000")
    assert code == 130
    assert "Traceback" not in drawn
    assert training.poll() is None  # it is not affected
    training.kill()
    training.wait()
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    watched = command("watch")
    expected = f"{run.name}: its process exited without recording a status; continue: mnist-exp resume runs/{run.name}"
    assert expected in watched.stdout
    assert "nothing is running in runs" in watched.stdout
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_watch_shows_a_sweep_until_it_completes(tmp_path: Path, command: Command, forks: Forks) -> None:
    arguments = ("-m", *TINY, "seed=range(3)", "progress=quiet")
    with forks.start(*arguments, cwd=tmp_path, stdout=subprocess.DEVNULL) as training:
        until(lambda: list(tmp_path.glob("runs/*/sweep.yaml")))
        (sweep,) = (tmp_path / "runs").iterdir()
        code, drawn = in_a_terminal("watch", "--interval", "0.1", cwd=tmp_path)
        assert training.wait(timeout=PATIENCE) == 0
    assert code == 0
    assert re.search(r"001_mlp_s0 .*running.* [012]/2", drawn)
    last = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", drawn.rpartition("name ")[2])
    assert re.search(rf"{sweep.name} +completed .*3/3 jobs .*\d+\.\d\d", last)
    assert f"{sweep.name}: 3 completed" in last
    assert "nothing is running in runs" in last

    jobs = sorted(path.parent for path in sweep.glob("*/summary.json"))
    done = command("diff", *map(str, jobs[:2]), "--format", "json", "--output", "x.png")
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert found["settings"] == {"seed": {"a": 0, "b": 1}}
    assert found["environment"] == {}
    images, summaries = found["images"], [json.loads((job / "summary.json").read_text()) for job in jobs]
    assert images["only_a_wrong"] + images["both_wrong"] == summaries[0]["test"]["errors"]
    assert images["only_b_wrong"] + images["both_wrong"] == summaries[1]["test"]["errors"]
    assert len(found["history"]["a"]) == 2
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")
    code, drawn = in_a_terminal(
        "diff", *(job.name for job in jobs[:2]), "--runs-dir", str(sweep), "--output", "none", cwd=tmp_path
    )
    assert code == 0
    assert "only the seed differs: two repetitions of one configuration" in drawn
    assert drawn.count("▀") > 28 * 14
