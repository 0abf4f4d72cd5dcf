"""The environment variables of the trackers, which are defaults of settings (see conf/tracker)."""

import os
from dataclasses import replace

from mnist_exp.config.trackers import AnyTracker
from mnist_exp.errors import Problem

VARIABLES = {
    "tracking_uri": "MLFLOW_TRACKING_URI",
    "experiment": "MLFLOW_EXPERIMENT_NAME",
    "mode": "WANDB_MODE",
    "project": "WANDB_PROJECT",
    "entity": "WANDB_ENTITY",
}


def used_variables(tracker: AnyTracker) -> dict[str, str]:
    """Return the variables that are set and agree with the settings, with their values."""
    values = {variable: getattr(tracker, setting, None) for setting, variable in VARIABLES.items()}
    return {variable: value for variable, value in values.items() if value is not None and os.environ.get(variable) == value}


def with_variable(problem: Problem) -> Problem:
    """Return a problem of a setting with the variable from which the value may be."""
    section, _, setting = problem.key.partition(".")
    variable = VARIABLES.get(setting) if section == "tracker" else None
    if variable is None or variable not in os.environ:
        return problem
    return replace(problem, remedy=f"{problem.remedy} (the environment variable {variable} is set)")
