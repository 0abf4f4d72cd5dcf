"""What `import mnist_exp as mx` offers: see the topic `python` of the manual. `mnist_exp` imports a name when it is used."""

from mnist_exp.api.comparisons import Comparison, compare
from mnist_exp.api.readings import Reading, predict
from mnist_exp.api.results import Predictions, Run, Sweep, load, load_sweep
from mnist_exp.api.training import run, run_sweep

__all__ = [
    "Comparison", "Predictions", "Reading", "Run", "Sweep", "compare", "load", "load_sweep", "predict", "run", "run_sweep",
]  # fmt: skip
