"""The log file of a run, and what TensorFlow's import leaves in it."""

import logging
from datetime import datetime
from pathlib import Path

from mnist_exp.machine import backend
from mnist_exp.machine.logs import log_to_file


def test_times_have_the_format_of_all_other_files(tmp_path: Path) -> None:
    with log_to_file(tmp_path / "train.log"):
        logging.getLogger("mnist_exp.x").info("a line")
    time, level, *_ = (tmp_path / "train.log").read_text().split()
    assert datetime.fromisoformat(time).utcoffset() is not None
    assert level == "INFO"


def test_a_file_that_is_already_logged_to_gets_each_line_once(tmp_path: Path) -> None:
    log = tmp_path / "train.log"
    with log_to_file(log):
        with log_to_file(log):
            logging.getLogger("mnist_exp.x").info("inside")
        logging.getLogger("mnist_exp.x").info("after")
    assert [line.split(": ")[1] for line in log.read_text().splitlines()] == ["inside", "after"]


def test_hints_of_an_import_are_removed_and_errors_stay(tmp_path: Path) -> None:
    log = tmp_path / "train.log"
    before = "I0000 of an earlier start\n"
    log.write_text(f"{before}WARNING: All log messages before absl::InitializeLog()\nI0000 oneDNN\nE0000 no memory\n")
    backend._remove_hints(log, len(before))
    assert log.read_text() == f"{before}E0000 no memory\n"
