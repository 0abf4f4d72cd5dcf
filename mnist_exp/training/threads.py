"""How a training uses the CPU cores: sizes of thread pools and number of towers. Does not import TensorFlow."""

from dataclasses import dataclass

from pydantic import ValidationError

from mnist_exp.config.networks import has_batch_norm
from mnist_exp.config.schema import Experiment, ThreadsConfig
from mnist_exp.machine import cgroups
from mnist_exp.machine.cores import assigned_cores
from mnist_exp.machine.plain_data import read_json
from mnist_exp.runs.run import Run

MAX_TOWERS = 4  # each tower needs memory for one more gradient of the whole model


@dataclass(frozen=True)
class Pools:
    """The sizes of TensorFlow's thread pools; 0 lets TensorFlow choose."""

    intra_op: int
    inter_op: int


def towers(threads: ThreadsConfig, batch_size: int, is_cpu: bool, cores: int) -> int:
    """Return the number of towers: parts of each batch that are computed in parallel."""
    if not is_cpu:
        return 1
    return threads.towers or min(cores, MAX_TOWERS, batch_size)


def pools(threads: ThreadsConfig, batch_size: int, is_cpu: bool, cores: int) -> Pools:
    """Return the sizes of the thread pools: where there is a tower for each core, an operation has one thread."""
    tower_per_core = is_cpu and towers(threads, batch_size, is_cpu, cores) >= cores
    # TensorFlow's own choice is all cores that it can see.
    assigned = cores if assigned_cores() or cgroups.cpu_limit() else 0
    return Pools(threads.intra_op or (1 if tower_per_core else assigned), threads.inter_op or assigned)


def requested(experiment: Experiment) -> ThreadsConfig:
    """Return the settings; one tower for a model with batch norm, whose statistics are those of whole batches."""
    threads = experiment.threads
    return threads.model_copy(update={"towers": 1}) if has_batch_norm(experiment.model) else threads


def for_run(experiment: Experiment, run: Run) -> ThreadsConfig:
    """Return the settings; those left open are as when the run started, even if it is resumed on other cores.

    The number of towers determines the order in which gradients are added, and so the last bits of the weights.
    """
    threads = requested(experiment)
    try:
        recorded = ThreadsConfig.model_validate(read_json(run.environment).get("threads"))
    except ValidationError:  # the run is new
        return threads
    return recorded.model_copy(update=threads.model_dump(exclude_none=True))
