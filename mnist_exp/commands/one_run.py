"""Train one prepared run in this process, upload it meanwhile, and print its result."""

from mnist_exp.commands import results
from mnist_exp.config.schema import Experiment
from mnist_exp.errors import EXIT_FAILED, Interrupted
from mnist_exp.experiment import train_or_resume
from mnist_exp.runs.run import Run
from mnist_exp.tracking.uploader_process import upload_in_background


def train(experiment: Experiment, run: Run) -> int:
    """Train a prepared run, from its last checkpoint if it has one; return the exit code.

    Raises:
        KeyboardInterrupt, Interrupted: after the status has been printed.
    """
    with upload_in_background(run.directory, run.log, experiment.tracker):
        try:
            code = train_or_resume(experiment, run)
        except (KeyboardInterrupt, Interrupted):
            results.print_run_result(run, EXIT_FAILED)
            raise
        return results.print_run_result(run, code)
