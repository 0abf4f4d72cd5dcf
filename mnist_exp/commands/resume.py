"""`mnist-exp resume RUN`: continue an interrupted run in its own directory."""

from mnist_exp import config, job, runs, terminal
from mnist_exp.commands import arguments as command_line
from mnist_exp.commands import results
from mnist_exp.errors import EXIT_FAILED, InputError, IntegrityError, Interrupted

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
    run = command_line.run_of(parsed.run, parsed.runs_dir)
    if runs.read(run.directory).summary is not None:
        raise InputError(f"{run.directory}: is completed already", f"see it with: mnist-exp show {run.directory}")
    try:
        tree = runs.read_config(run)
    except ValueError as error:
        raise IntegrityError(str(error), "the run cannot be resumed: train it again") from None
    experiment = config.validate(tree)
    if not any(run.checkpoints.glob("epoch_*")) and experiment.progress != "quiet":
        terminal.note(f"{run.directory}: ended before its first checkpoint: training begins at the start")
    try:
        code = job.carry_on(experiment, run)
    except (KeyboardInterrupt, Interrupted):
        results.of_run(run, EXIT_FAILED)
        raise
    return results.of_run(run, code)
