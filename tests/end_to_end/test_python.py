"""Runs from Python: the weights of the command, a process that used TensorFlow before, interruptions, and the notebook."""

import json
import re
import signal
import time
from pathlib import Path

from mnist_exp.machine.plain_data import read_json
from mnist_exp.runs import history
from mnist_exp.runs.run import Run
from tests.conftest import TINY
from tests.documents import MANUAL
from tests.end_to_end.conftest import Once
from tests.forks import Forks

NOTEBOOK = MANUAL / "tutorial.ipynb"
MODULE = "tests.notebook"
LESS = {
    "limit=6000": "limit=600",
    "training.epochs=3": "training.epochs=1",
    "seed=range(3)": "seed=range(2)",
    "model=mlp,cnn_large": "model=mlp,mlp_deep",
}
# A user's process that has already used TensorFlow, with other threads, another data type and other random numbers.
SCRIPT = f"""
import random
import keras, numpy as np, tensorflow as tf
tf.config.threading.set_intra_op_parallelism_threads(3)
keras.config.set_dtype_policy("mixed_bfloat16")
keras.utils.set_random_seed(5)
keras.layers.Dense(2)(np.ones((2, 3)))
import mnist_exp as mx
first = mx.run({list(TINY)})
mx.run([*{list(TINY)}, "progress=quiet", "threads.towers=1"])
again = mx.run([*{list(TINY)}, "progress=quiet"])
before = random.getstate(), np.random.get_state()[1].tolist(), keras.config.dtype_policy().name
model = first.model()
assert (random.getstate(), np.random.get_state()[1].tolist(), keras.config.dtype_policy().name) == before
images = mx.datasets.load("mnist").test_images[:50]
assert np.abs(np.asarray(model(images)) - first.predictions.probabilities[:50]).max() < 1e-6
print(first.directory, again.directory)
"""
INTERRUPTED = f"""
import mnist_exp as mx
try:
    mx.run([*{list(TINY)}, "training.epochs=150"])
except KeyboardInterrupt as error:
    print(type(error).__name__, error)
"""
RESUMED = """
import mnist_exp as mx
run = mx.load("latest").resume()
longer = run.resume(["training.epochs=151"])
print(run.status, longer.status, len(longer.history["epoch"]))
"""


def test_runs_of_one_process_are_those_of_the_command(trained: Path, tmp_path: Path, forks: Forks) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    done = forks.run("script.py", cwd=tmp_path, module=MODULE)
    assert done.returncode == 0, done.stderr
    assert [line[:9] for line in done.stderr.splitlines() if line.startswith("epoch")] == ["epoch 1/2", "epoch 2/2"]
    for directory in done.stdout.split():
        run = Run(Path(directory))
        assert run.predictions.read_bytes() == Run(trained).predictions.read_bytes()
        ours, theirs = (read_json(one.summary) for one in (run, Run(trained)))
        assert (ours["config_hash"], ours["test"]) == (theirs["config_hash"], theirs["test"])
        assert "warning" not in run.log.read_text().lower()


def test_an_interrupted_run_is_saved_and_resumed_and_trained_longer(tmp_path: Path, forks: Forks) -> None:
    (tmp_path / "script.py").write_text(INTERRUPTED)
    with forks.start("script.py", cwd=tmp_path, module=MODULE, stdout=-1, stderr=-1, text=True) as process:
        while not (found := list(tmp_path.glob("runs/*/history.csv"))):
            time.sleep(0.02)
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)
    run = Run(found[0].parent)
    assert process.returncode == 0
    assert out.startswith(f"RunInterrupted {run.directory}: interrupted\ncontinue: mx.load('{run.directory}').resume(), or ")
    epochs = len(history.read(run.history))
    assert epochs < 150
    (tmp_path / "resume.py").write_text(RESUMED)
    done = forks.run("resume.py", cwd=tmp_path, module=MODULE)
    assert done.stdout == "completed completed 151\n", done.stderr
    assert f"resumed after epoch {epochs}" in done.stderr


def test_the_notebook_runs(once: Once, forks: Forks) -> None:
    """With less data and fewer seeds: a teacher's own run takes a minute."""

    def execute(place: Path) -> None:
        text = NOTEBOOK.read_text()
        for long, short in LESS.items():
            assert text.count(long) == 1
            text = text.replace(long, short)
        (place / "tutorial.ipynb").write_text(text)
        done = forks.run("tutorial.ipynb", cwd=place, module=MODULE)
        assert done.returncode == 0, done.stderr
        (place / "shown").write_text(done.stdout)

    place = once("notebook", execute)
    shown = (place / "shown").read_text()
    assert len(list(place.glob("runs/*/summary.json"))) == 3
    assert len(list(place.glob("runs/*_sweep/*/summary.json"))) == 4
    assert shown.count("picture of") == 3
    assert shown.count("<table>") == 4
    assert "the network saw" in shown
    assert re.search(r"1\. \w+: test error [\d.]+ %: best\n2\. \w+: test error [\d.]+ %: \w+", shown)


def test_the_notebook_is_valid_and_has_no_outputs() -> None:
    text = NOTEBOOK.read_text()
    content = json.loads(text)
    assert text == json.dumps(content, indent=1, ensure_ascii=False) + "\n"  # as Jupyter writes it
    assert (content["nbformat"], content["nbformat_minor"]) == (4, 5)
    assert content["metadata"]["kernelspec"]["name"] == "python3"
    identifiers = [cell["id"] for cell in content["cells"]]
    assert len(set(identifiers)) == len(identifiers)
    for cell in content["cells"]:
        assert re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", cell["id"])
        keys = {"cell_type", "id", "metadata", "source"}
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            assert cell["execution_count"] is None
            keys |= {"outputs", "execution_count"}
        assert set(cell) == keys
