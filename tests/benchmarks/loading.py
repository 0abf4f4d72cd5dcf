"""Measures a folder of 10,000 PNG files: seconds of the first start and of the cache, and the peak of memory.

Each number is that of a process of its own, after a first process has read the files into the memory of the system.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from mnist_exp.machine.cores import usable_cores
from tests.benchmarks.manual import spread

CLASSES = 10
SHAPES = ((28, 28, 1), (64, 64, 3), (128, 128, 3))


def main() -> None:
    """Print a table, of the sizes that are chosen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    parsed = parser.parse_args()
    if parsed.measure is not None:
        print(json.dumps(measure(parsed.measure)))
        return
    print(f"{parsed.images:,} PNG files, {usable_cores()} cores, median of {parsed.repetitions} (least – most)\n")
    print("| image | arrays | first start | its time on a core | from the cache | peak of memory ÷ arrays |")
    print("| --- | --- | --- | --- | --- | --- |")
    for shape in SHAPES:
        with tempfile.TemporaryDirectory() as directory:
            root = Path(directory)
            write(root / "images", parsed.images, shape)
            results = [start(root, fresh=True) for _ in range(parsed.repetitions + 1)][1:]
            cached = [start(root, fresh=False) for _ in range(parsed.repetitions)]
        size = parsed.images * int(np.prod(shape))
        first, core = (spread([result[key] for result in results]) for key in ("seconds", "cpu"))
        later = spread([result["seconds"] for result in cached])
        peak = max(result["peak"] for result in [*results, *cached]) / size
        name, arrays = "×".join(map(str, shape)), f"{size / 1e6:.0f} MB"
        print(f"| {name} | {arrays} | {first} s | {core} s | {later} s | {peak:.2f} |", flush=True)


def write(root: Path, count: int, shape: tuple[int, int, int]) -> None:
    """Write images of smooth shapes with some noise, as photographs are."""
    generator = np.random.default_rng(0)
    height, width, channels = shape
    for index in range(count):
        path = root / "train" / str(index % CLASSES) / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        small = generator.integers(0, 256, (4, 4, channels), np.uint8)
        picture = Image.fromarray(small.squeeze()).resize((width, height), Image.Resampling.BICUBIC)
        noise = generator.integers(0, 16, (height, width, channels), np.uint8).reshape(np.asarray(picture).shape)
        Image.fromarray(np.maximum(np.asarray(picture), noise)).save(path)


def start(root: Path, fresh: bool) -> dict[str, float]:
    """Load the images in a process, with an empty cache if `fresh`."""
    cache = root / "cache"
    if fresh and cache.exists():
        cache.rename(root / f"cache{time.time_ns()}")
    command = [sys.executable, "-m", "tests.benchmarks.loading", "--measure", str(root / "images")]
    environment = os.environ | {"XDG_CACHE_HOME": str(cache)}
    found = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return json.loads(found.stdout)


def measure(path: str) -> dict[str, float]:
    """Load a folder in this process; the peak is what it takes beyond the imported libraries."""
    from mnist_exp.datasets import own
    from mnist_exp.datasets.sources import OwnSet
    from mnist_exp.machine import memory

    before = memory.resident_bytes() or 0
    memory.reset_peak()
    begin, cpu = time.perf_counter(), time.process_time()
    data = own.load(
        OwnSet(
            "folder",
            path,
            size=None,
            background=255,
            class_names=None,
            test_share=0.2,
            test_seed=0,
            channels=None,
            max_unreadable=0,
        )
    )
    seconds, cpu = time.perf_counter() - begin, time.process_time() - cpu
    assert len(data.class_names) == CLASSES
    return {"seconds": seconds, "cpu": cpu, "peak": (memory.resident_bytes(peak=True) or 0) - before}


if __name__ == "__main__":
    main()
