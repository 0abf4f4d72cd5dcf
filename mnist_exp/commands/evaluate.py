"""`mnist-exp evaluate RUN|SWEEP|GLOB … dataset=…`: the errors of completed runs on other images."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mnist_exp import datasets
from mnist_exp.commands import arguments as command_line
from mnist_exp.commands.computing import prepare_device
from mnist_exp.commands.named_runs import find_directories
from mnist_exp.comparison import columns, export, tables
from mnist_exp.comparison.fields import METRICS, TEST
from mnist_exp.comparison.ranking import compare
from mnist_exp.comparison.rows import Row, read_rows
from mnist_exp.config.dataset import AnyDataset
from mnist_exp.errors import EXIT_DONE, EXIT_FAILED, InputError, UserError
from mnist_exp.machine import backend
from mnist_exp.runs.evaluations import directory
from mnist_exp.runs.held_out import split_images
from mnist_exp.runs.run import Run
from mnist_exp.terminal import messages
from mnist_exp.terminal.messages import pluralize
from mnist_exp.trained import trained_run

if TYPE_CHECKING:
    from mnist_exp.trained.evaluate import Images, Part

EXAMPLES = """\
  mnist-exp evaluate latest dataset=qmnist_test50k
  mnist-exp evaluate runs/2026-11-22T07-40-12_sweep dataset=qmnist_test50k
  mnist-exp evaluate latest split=validation
  mnist-exp evaluate 'runs/*_cnn_large_s*' dataset=npz dataset.path=photos.npz --name photos --format json
"""
SPLITS: "dict[str, Part]" = {"test": "test", "validation": "validation", "train": "train"}
SMALL_BATCHES = "training.batch_size=1"  # nothing is trained: the data set may have fewer images than a batch


def main(arguments: list[str]) -> int:
    """Evaluate runs on images, write the results into their directories, and print a comparison."""
    parser = command_line.parser("evaluate", EXAMPLES)
    words = "RUN|SWEEP|GLOB|dataset=...|split=..."
    images = "runs or directories of runs; and the images: a data set, a split (default: test), or both"
    parser.add_argument("words", nargs="+", metavar=words, help=images)
    parser.add_argument("--name", metavar="NAME", help="of the evaluation (default: the data set and the split)")
    parser.add_argument("--format", choices=("table", "json"), default="table")
    command_line.add_config_dir(parser, "a directory with your own options")
    parsed = parser.parse_intermixed_args(arguments)
    overrides = [word for word in parsed.words if command_line.is_override(word)]
    places = [place for word in parsed.words if word not in overrides for place in find_directories(word, parsed.runs_dir)]
    if not places:
        raise InputError("evaluate: names no run", "for example: mnist-exp evaluate latest split=validation")
    part, settings = _compose(overrides, parsed.config_dir)
    if settings is not None:
        datasets.check_available(settings.source)
    rows = _select(places)
    evaluated = _evaluate(rows, part, settings, name := _name(parsed.name, part, settings, rows))
    if not evaluated:
        return EXIT_FAILED
    board = compare(evaluated, replace(METRICS[TEST], heading=f"{name} error %", of_test_images=part == "test"))
    if parsed.format == "json":
        print(*export.to_json(board, {"evaluation": name}), sep="", end="")
    else:
        tables.print_comparison(board, columns.build(board), messages.output())
        for row in evaluated if len(evaluated) == 1 else ():
            messages.print_address(Run(directory(Run(row.record.directory), name)).report)
    return EXIT_DONE if len(evaluated) == len(rows) else EXIT_FAILED


def _compose(overrides: Sequence[str], config_dir: str | None) -> "tuple[Part, AnyDataset | None]":
    """Return the part of the data set, and the settings of the data set; None for that of each run.

    Raises:
        ConfigError: the settings have problems.
        InputError: an override is neither of the data set nor `split`, or no images are named.
    """
    parts = [word.partition("=")[2] for word in overrides if word.startswith("split=")]
    of_dataset = [word for word in overrides if not word.startswith("split=")]
    if unknown := next((one for one in parts if one not in SPLITS), None):
        raise InputError(f"split={unknown}: unknown", f"allowed: {', '.join(SPLITS)}")
    for word in of_dataset:
        if not word.lstrip("+~").startswith(("dataset=", "dataset.")):
            raise InputError(
                f"{word}: has no effect on the images", "allowed: dataset=NAME, dataset.KEY=VALUE and split=NAME"
            )
        if parts[-1:] in ([], ["test"]) and word.lstrip("+").startswith("dataset.limit="):
            raise InputError(
                f"{word}: has no effect on the test images", "leave it out: all are evaluated; or add split=validation"
            )
    if not overrides:
        raise InputError("evaluate: names no images", "add a data set, such as dataset=NAME, or split=validation")
    part = SPLITS[parts[-1]] if parts else "test"
    if not of_dataset:
        return part, None
    return part, command_line.compose([*of_dataset, SMALL_BATCHES], config_dir).dataset


def _select(places: Sequence[Path]) -> list[Row]:
    """Return the completed runs; InputError if there are none."""
    rows = read_rows(places)
    selected = [row for row in rows if row.record.summary is not None and row.record.summary.members is None]
    if not selected and rows and all(row.record.summary is not None for row in rows):
        raise InputError(f"{rows[0].record.directory}: is an ensemble", "evaluate its members: name runs, or their sweep")
    if not selected:
        raise InputError(f"{', '.join(map(str, places))}: contains no completed run", "train one: mnist-exp")
    if skipped := len(rows) - len(selected):
        messages.note(f"skipped: {pluralize(skipped, 'run')} without a result, or ensembles")
    return selected


def _name(chosen: str | None, part: "Part", settings: AnyDataset | None, rows: Sequence[Row]) -> str:
    """Return the name of the evaluation, which is the name of a directory."""
    data = rows[0].summary.dataset.name if settings is None else settings.name
    return command_line.checked_label(f"{data}_{part}" if chosen is None else chosen)


def _evaluate(rows: Sequence[Row], part: "Part", settings: AnyDataset | None, name: str) -> list[Row]:
    """Evaluate the runs one after the other; an error of one is printed, and the others are evaluated."""
    evaluated: list[Row] = []
    device = command_line.primary_config()["device"]
    with backend.tensorflow(Path(os.devnull), quiet=False):
        from mnist_exp.runs import environment
        from mnist_exp.trained.evaluate import evaluate, select_images

        images: Images | None = None
        for number, row in enumerate(rows, 1):
            target = prepare_device(device)
            recorded = environment.describe() | target.describe()
            try:
                trained = trained_run.read(row)
                if settings is None:
                    images = select_images(trained.data, trained.split, part, trained.experiment.dataset)
                elif images is None:
                    data = datasets.load(settings.source)
                    messages.warn_all(data.warnings)
                    parts = split_images(data, settings)
                    images = select_images(data, parts, part, settings)
                with target.scope():
                    evaluated.append(evaluate(trained, images, name, target.towers, recorded))
            except UserError as error:
                if len(rows) == 1:
                    raise
                messages.error(error.cause, error.remedy)
            else:
                found, own = (METRICS[TEST].format(one.summary.test.error_percent) for one in (evaluated[-1], row))
                text = f"{found} % of {images.text} wrong; {own} % of the run's own test images"
                messages.note(f"{number:,}/{len(rows):,} {row.name}: {text}")
    return evaluated
