"""`mnist-exp resume RUN`: continue an interrupted run in its own directory."""

import yaml

from mnist_exp import config, runs
from mnist_exp.commands import arguments as command_line
from mnist_exp.commands import results, train
from mnist_exp.errors import EXIT_FAILED, InputError, IntegrityError
from mnist_exp.runs import Run

EXAMPLES = """\
  mnist-exp resume latest
  mnist-exp resume runs/2026-11-22T07-35-03_cnn_large_s7
"""


def main(arguments: list[str]) -> int:
    """Train what is left of a run, from its last whole checkpoint, to the result it would have had."""
    parser = command_line.parser("resume", "Continue an interrupted run from its last checkpoint.", EXAMPLES)
    parser.add_argument("run", metavar="RUN", help="a directory, its name, or latest")
    command_line.add_runs_dir(parser)
    parsed = parser.parse_args(arguments)
    run = Run(command_line.run_directory(parsed.run, parsed.runs_dir))
    record = runs.read(run.directory)
    if record.summary is not None:
        raise InputError(f"{run.directory}: is completed already", f"see it with: mnist-exp show {run.directory}")
    if not runs.is_run(run.directory):
        raise InputError(f"{run.directory}: is no run", "name a run directory, or latest")
    try:
        tree = yaml.safe_load(run.config.read_bytes())
    except (OSError, yaml.YAMLError) as error:
        raise IntegrityError(f"{run.config}: {error}", "the run cannot be resumed: train it again") from None
    train.attempt(config.validate(tree), run)
    return results.of_run(run, EXIT_FAILED)
