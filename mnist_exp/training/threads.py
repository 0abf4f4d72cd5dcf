"""How training uses the cores there are, told without TensorFlow, which takes the sizes of its pools only once."""

import os
from dataclasses import dataclass

from pydantic import ValidationError

from mnist_exp.config.networks import has_batch_norm
from mnist_exp.config.schema import Experiment, ThreadsConfig
from mnist_exp.machine.cores import CORES
from mnist_exp.machine.plain_data import read_json
from mnist_exp.run.names import Run

MOST_TOWERS = 4  # every tower adds a gradient of the whole model


@dataclass(frozen=True)
class Pools:
    """The sizes of TensorFlow's thread pools; 0 is its own choice."""

    intra_op: int
    inter_op: int


def towers(threads: ThreadsConfig, batch_size: int, on_cpu: bool, cores: int) -> int:
    """Into how many parts each batch is split, to be computed side by side."""
    if not on_cpu:
        return 1
    return threads.towers or min(cores, MOST_TOWERS, batch_size)


def pools(threads: ThreadsConfig, batch_size: int, on_cpu: bool, cores: int) -> Pools:
    """The pools for a training: where each tower has a core of its own, an operation has one thread."""
    alone = on_cpu and towers(threads, batch_size, on_cpu, cores) >= cores
    own = cores if CORES in os.environ else 0  # TensorFlow itself would take all it can see
    return Pools(threads.intra_op or (1 if alone else own), threads.inter_op or own)


def of(experiment: Experiment) -> ThreadsConfig:
    """What was asked for; one tower where statistics are taken of whole batches, which no part of a batch has."""
    asked = experiment.threads
    return asked.model_copy(update={"towers": 1}) if has_batch_norm(experiment.model) else asked


def of_run(experiment: Experiment, run: Run) -> ThreadsConfig:
    """What was asked for; where nothing was, what the run began with, on however many cores it goes on.

    The number of towers decides in which order gradients are added, and so the last bits of the weights.
    """
    asked = of(experiment)
    recorded = read_json(run.environment).get("threads")
    try:
        began = ThreadsConfig.model_validate(recorded)
    except ValidationError:  # it has not begun
        return asked
    return began.model_copy(update=asked.model_dump(exclude_none=True))
