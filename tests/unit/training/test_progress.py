"""The display of a training."""

import dataclasses
import io
import re

import pytest
from rich.console import Console

from mnist_exp.runs.history import Epoch
from mnist_exp.training import progress

ROW = Epoch(2, 1e-3, 0.25, 7.5, 0.3, 8.25, 1.5, 41_234.4)
CONTROL = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


def drawn_lines(width: int) -> list[str]:
    """The lines that a live display of the second of three epochs draws."""
    file = io.StringIO()
    display = progress.Live(Console(file=file, force_terminal=True, width=width), epochs=3, images=1000)
    with display:
        display.epoch_done(ROW)
        display.steps_done(3, 250, 0.3, 7.0)
        display.steps_done(3, 500, 0.2, 6.0)
    return re.split(r"[\r\n]+", CONTROL.sub("", file.getvalue()))


def test_a_wide_terminal_shows_everything() -> None:
    lines = drawn_lines(140)
    assert progress.epoch_line(ROW, 3) in lines
    assert any(
        re.fullmatch(
            r"epoch 3/3 ━+.*83 %  +[\d,]+ images/s loss 0.2000  accuracy 94.00 %  validation error 8.25 % left \S+ *", line
        )
        for line in lines
    )


@pytest.mark.parametrize("width", [60, 80, 110])
def test_a_narrow_terminal_cuts_no_words(width: int) -> None:
    bars = [line for line in drawn_lines(width) if "left" in line]
    assert any("images/s" in line for line in bars)
    assert all(len(line) <= width and "…" not in line for line in bars)
    (finished,) = (line for line in drawn_lines(width) if "loss 0.2500" in line)
    assert width < 80 or len(finished) <= width
    assert finished.startswith("epoch 2/3  loss 0.2500  accuracy  92.50 %  validation error 8.25 %")
    assert finished.endswith({60: "8.25 %", 80: "8.25 %  1.5 s", 110: "41,234 images/s  1.5 s"}[width])


def test_a_line_for_an_epoch() -> None:
    expected = "epoch  2/10  loss 0.2500  accuracy  92.50 %  validation error 8.25 %  41,234 images/s  1.5 s"
    assert progress.epoch_line(ROW, 10) == expected
    without = Epoch(2, 1e-3, 0.25, 7.5, None, None, 1.5, 41_234.4)
    assert "validation" not in progress.epoch_line(without, 10)
    for seconds, end in ((4.2, "1.5 s  compiled in 4.2 s"), (0.0, "1.5 s"), (None, "1.5 s")):
        assert progress.epoch_line(dataclasses.replace(ROW, compile_seconds=seconds), 10).endswith(f"images/s  {end}")


def test_plain_prints_a_line_and_quiet_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    for setting in ("plain", "auto", "quiet"):
        with progress.display(setting, 3, 1000) as display:  # type: ignore[arg-type]
            display.steps_done(2, 500, 0.2, 6.0)
            display.epoch_done(ROW)
    captured = capsys.readouterr()
    assert captured.err == 2 * (progress.epoch_line(ROW, 3) + "\n")  # no terminal here: auto is plain
    assert captured.out == ""


def test_live_is_live_even_in_a_pipe() -> None:
    assert isinstance(progress.display("live", 3, 1000), progress.Live)
