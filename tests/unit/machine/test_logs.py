"""The log file of a run, and what TensorFlow's import leaves in it."""

import contextlib
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


def test_hints_of_tensorflow_are_removed_and_errors_stay(tmp_path: Path) -> None:
    log = tmp_path / "train.log"
    before = "I0000 of an earlier start\n"
    log.write_text(before)
    cu_init = (
        "E0000 00:00:1795790672.915327 892 cuda_platform.cc:52] failed call to cuInit: INTERNAL: CUDA error: Failed call"
    )
    hints = (
        f"WARNING: All log messages before absl::InitializeLog()\nI0000 oneDNN\n{cu_init} to cuInit: UNKNOWN ERROR (303)\n"
    )
    cached = (
        "E0000 text_format.cc:378] Error parsing text-format tensorflow.XlaSerializedCacheEntry: 2:1: Expected identifier\n"
    )
    errors = f"E0000 no memory\n{cu_init} to cuInit: CUDA_ERROR_SYSTEM_DRIVER_MISMATCH (803)\n"
    with contextlib.suppress(KeyboardInterrupt), backend.without_hints(log):
        with log.open("a") as file:
            file.write(f"{hints}{errors}{cached}")
        raise KeyboardInterrupt
    assert log.read_text() == f"{before}{errors}"
