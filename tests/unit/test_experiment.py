"""The pipeline of one run, without training."""

import contextlib
from pathlib import Path

import pytest

from mnist_exp import experiment
from mnist_exp.errors import Interrupted
from mnist_exp.machine import backend
from mnist_exp.runs.outcome import prepare_run
from mnist_exp.runs.run import Run
from tests.conftest import compose


@pytest.mark.parametrize("interrupted", [False, True])
def test_a_configuration_that_was_removed_during_training_is_written_again(
    interrupted: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, settings = Run(tmp_path), compose()
    prepare_run(settings, run, (), "waiting")
    before = run.config.read_bytes()

    def remove(_: object, run: Run, config: str) -> None:
        run.config.unlink()
        assert config.encode() == before
        if interrupted:
            raise Interrupted(15)

    monkeypatch.setattr(experiment, "_train", remove)
    monkeypatch.setattr(backend, "tensorflow", lambda *_: contextlib.nullcontext())
    if interrupted:
        with pytest.raises(Interrupted):
            experiment.train(settings.model_copy(update={"progress": "quiet"}), run)
    else:
        experiment.train(settings.model_copy(update={"progress": "quiet"}), run)
    assert run.config.read_bytes() == before
