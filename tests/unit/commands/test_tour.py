"""The tour of `compare` in the topic comparing: its commands print what the manual shows, on runs with its results."""

import json
import re
import shlex
from pathlib import Path

import pytest

from mnist_exp import cli
from mnist_exp.machine import files
from mnist_exp.machine.plain_data import read_json
from mnist_exp.runs.run import Run
from tests.conftest import ROOT
from tests.documents import MANUAL
from tests.unit.run_directories import make_run, pack

# For each configuration: parameters, and for each seed the errors in 10,000 test and 5,000 validation images, and seconds.
TRAINED = {
    ("mlp", "0.001"): (623_290, [(267, 124, 3.7), (253, 121, 3.8), (225, 124, 3.4), (241, 119, 3.4), (244, 122, 3.6)]),
    ("mlp", "0.002"): (623_290, [(222, 108, 3.6), (259, 109, 3.5), (203, 119, 3.6), (223, 100, 3.6), (218, 108, 3.6)]),
    ("cnn_large", "0.001"): (59_933, [(112, 77, 12.1), (140, 71, 12.2), (111, 63, 12.4), (130, 68, 12.7), (133, 70, 13.3)]),
    ("cnn_large", "0.002"): (59_933, [(108, 61, 13.4), (125, 61, 12.5), (101, 69, 12.8), (134, 68, 12.5), (99, 61, 12.6)]),
}
WRONG_IMAGES = json.loads((ROOT / "tests" / "data" / "tour.json").read_text())  # the test images that each has wrong
(TOUR,) = re.findall(r"<!-- tour of compare -->\n```text\n(.*?)```", (MANUAL / "comparing.md").read_text(), re.DOTALL)
STEPS = [step.partition("\n")[::2] for step in re.split(r"^\$ ", TOUR, flags=re.MULTILINE)[1:]]


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory whose runs/ contains the sweep."""
    place = tmp_path_factory.mktemp("tour")
    number = 0
    for (model, rate), (parameters, seeds) in TRAINED.items():
        for seed, (test_errors, validation_errors, seconds) in enumerate(seeds):
            number += 1
            directory = make_run(
                place / "runs" / "2026-11-24T07-40-32_sweep" / f"{number:03d}_{model}_learning_rate={rate}_s{seed}",
                test_errors,
                f"model={model}", f"optimizer.learning_rate={rate}", f"seed={seed}", "training.epochs=3",
                validation_errors=2 * validation_errors,
            )  # fmt: skip
            content = read_json(Run(directory).summary)
            content["model"]["parameters"] = parameters
            content["wrong_images"] = pack(WRONG_IMAGES[f"{model} {rate} {seed}"])
            files.write_json(Run(directory).summary, content | {"train_seconds": seconds})
    return place


def test_there_is_a_tour() -> None:
    assert len(STEPS) == 4


@pytest.mark.parametrize(("command", "output"), STEPS, ids=[command for command, _ in STEPS])
def test_a_step_of_the_tour_prints_what_the_manual_shows(
    command: str, output: str, swept: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(swept)
    program, *arguments = shlex.split(command)
    assert program == "mnist-exp"
    assert cli.main(arguments) == 0
    printed = "\n".join(line.rstrip() for line in capfd.readouterr().out.splitlines())
    assert printed.strip() == output.strip()
