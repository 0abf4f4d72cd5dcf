"""Runs and sweeps that really train, watched; two of them compared image by image."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.conftest import TINY, Command

PROGRAM = [sys.executable, "-m", "mnist_exp"]
PATIENCE = 120  # seconds until what is waited for must have come


def until(condition: Callable[[], bool]) -> None:
    """Wait until something has come about."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def in_a_terminal(*arguments: str, cwd: Path, interrupt_at: str | None = None) -> tuple[int, str]:
    """Run a command in a terminal of 80 columns: its exit code and all it drew; Ctrl-C once a text has come."""
    environment = os.environ | {"COLUMNS": "80", "LINES": "40", "TERM": "xterm-256color"}
    us, them = pty.openpty()
    running = subprocess.Popen(
        [*PROGRAM, *arguments], cwd=cwd, stdin=them, stdout=them, stderr=them, env=environment, start_new_session=True
    )
    os.close(them)
    drawn = b""
    try:
        while chunk := os.read(us, 65_536):
            drawn += chunk
            if interrupt_at is not None and interrupt_at in drawn.decode(errors="replace"):
                running.send_signal(signal.SIGINT)
                interrupt_at = None
    except OSError:  # the terminal's other end is closed
        pass
    os.close(us)
    return running.wait(timeout=PATIENCE), drawn.decode(errors="replace")


def test_a_run_is_watched_until_it_is_killed(tmp_path: Path, command: Command) -> None:
    training = subprocess.Popen(
        [*PROGRAM, *TINY, "training.epochs=20000", "progress=quiet"], cwd=tmp_path, stdout=subprocess.DEVNULL
    )
    until(lambda: bool(list(tmp_path.glob("runs/*/history.csv"))))
    (run,) = (tmp_path / "runs").iterdir()
    looked = command("watch", "--once")
    assert (looked.returncode, looked.stderr) == (0, "")
    assert re.search(
        rf"{run.name} +running +[━╸]* +[1-9]\d*/20,000 +\d\.\d{{4}} +\d+\.\d\d +\d+\.\d\d +[\d,]+ +\d+ ", looked.stdout
    )
    code, drawn = in_a_terminal("watch", "--interval", "0.1", cwd=tmp_path, interrupt_at="/20,000")
    assert code == 130
    assert "Traceback" not in drawn
    assert training.poll() is None  # it has not noticed
    training.kill()
    training.wait()
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    looked = command("watch")
    expected = f"{run.name}: its process exited without recording a status; continue: mnist-exp resume runs/{run.name}"
    assert expected in looked.stdout
    assert "nothing is running in runs" in looked.stdout
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_a_sweep_is_watched_to_its_end_and_its_runs_compared(tmp_path: Path, command: Command) -> None:
    arguments = [*PROGRAM, "-m", *TINY, "seed=range(3)", "progress=quiet"]
    with subprocess.Popen(arguments, cwd=tmp_path, stdout=subprocess.DEVNULL) as training:
        until(lambda: bool(list(tmp_path.glob("runs/*/sweep.yaml"))))
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
    assert "only the seed: two repetitions of one experiment" in drawn
    assert drawn.count("▀") > 28 * 14
