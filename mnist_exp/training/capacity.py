"""Whether a training fits into the memory, from its settings and facts of its data, before anything is loaded."""

import math

from mnist_exp import datasets
from mnist_exp.config.checks import validation_images
from mnist_exp.config.schema import Experiment
from mnist_exp.config.weight_shapes import weighted_layers
from mnist_exp.datasets.sources import DescribedSet
from mnist_exp.errors import EnvironmentFailure
from mnist_exp.machine import memory
from mnist_exp.machine.devices import gpu_memory
from mnist_exp.training.device import Device
from mnist_exp.training.memory import own_bytes

# Copies of the training images in memory at the same time: the selected ones and TensorFlow's own; on a CPU also an aligned
# one, with which it then computes. Measured on a CPU: 295 MB of images take 899 MB, then 309 MB.
GPU_COPIES, CPU_COPIES = 2, 3
REMEDY = "make its layers or training.batch_size smaller, or use a machine with more memory"


def check_memory(experiment: Experiment, device: Device) -> None:
    """Check that the images and the network of an experiment fit: its settings may be those of another machine.

    Raises:
        EnvironmentFailure: they need more memory than is available.
    """
    dataset = experiment.dataset
    facts = datasets.facts(dataset.source)
    count, image = (dataset.limit or facts.train_images) - validation_images(dataset), math.prod(facts.image_shape)
    layers = weighted_layers(experiment.model, facts.image_shape, facts.classes)
    weights = [math.prod(layer.weights[0]) for layer in layers]  # biases and the like are few
    trained = 4 * (sum(weights) + max(weights))  # in float32, with the largest gradient
    number = 4 if experiment.precision == "float32" else 2  # bytes of one in an output
    output = number * min(experiment.training.batch_size, count) * max(math.prod(layer.output) for layer in layers)
    # A user's own images may be read from a file while they are used, so the memory need not contain all of them.
    loaded = facts.train_images * image if isinstance(dataset.source, DescribedSet) else 0
    shape = "×".join(map(str, facts.image_shape))
    images = f"dataset={dataset.name}: {count:,} training images of {shape} pixels"

    available = memory.available_bytes()
    if available is not None:
        network = max(trained, output) if not device.uses_xla else 0
        _compare(f"model={experiment.model.name}:", network, available, "of memory", REMEDY)
        copies = GPU_COPIES if device.uses_xla else CPU_COPIES
        _compare(images, network + loaded + copies * count * image, available, "of memory")
    if device.uses_xla and (found := gpu_memory(int(device.name.rpartition(":")[2]))) is not None:
        # An earlier run of this process has freed its tensors, but TensorFlow has kept their memory.
        free = found[0] - found[1] + own_bytes(device.name)
        place = f"of the memory of GPU {device.name.rpartition(':')[2]}"
        _compare(f"model={experiment.model.name}:", trained, free, place, REMEDY)
        _compare(images, trained + count * image, free, place)


def _compare(subject: str, need: int, available: int, place: str, remedy: str | None = None) -> None:
    """Raise EnvironmentFailure unless that many bytes are available."""
    if need > available:
        cause = f"{subject} needs at least {need / 1e9:.1f} GB {place}, but {available / 1e9:.1f} GB are available"
        fewer = "use fewer images with dataset.limit=N, or smaller ones, or a machine with more memory"
        raise EnvironmentFailure(cause if remedy else cause.replace(" needs ", " need ", 1), remedy or fewer)
