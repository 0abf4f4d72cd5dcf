"""The journal of a search → what its report shows of it; nothing is written, and a journal that cannot be read is none."""

import logging
import warnings
from collections.abc import Mapping
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.importance import PedAnovaImportanceEvaluator
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from mnist_exp.report.search_charts import Parameter, SearchResult, State, Trial
from mnist_exp.sweep.plan import Plan, Sweep
from mnist_exp.sweep.search import JOB, NAME, SPACE

log = logging.getLogger(__name__)

FEWEST_TRIALS = 4  # that completed, before anything is said of the parameters
MANY_TRIALS = 40  # of which a tenth are enough to compare with the rest
COUNTED = "model.parameters"  # an objective that is no measurement: nothing is to be learnt of it
STATES: dict[TrialState, State] = {
    TrialState.COMPLETE: "completed", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed",
}  # fmt: skip
TITLES = {
    "validation.error_percent": "validation error %",
    "model.parameters": "parameters",
    "train_seconds": "training s",
}


def read(sweep: Sweep, known: Plan, labels: Mapping[str, str]) -> SearchResult | None:
    """What is known of a search; None if there is none, or it cannot be read.

    Args:
        sweep: where its journal lies.
        known: its jobs.
        labels: of the configurations, by the directory of a run.
    """
    if not sweep.study.exists():
        return None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        study = optuna.load_study(study_name=NAME, storage=JournalStorage(JournalFileBackend(str(sweep.study))))
        return _read(study, known, labels)
    except Exception as error:  # noqa: BLE001  (a foreign file may break Optuna anywhere, and a report must not fail for it)
        log.warning("%s: cannot be read: %s", sweep.study, error or type(error).__name__)
        return None


def _read(study: optuna.Study, known: Plan, labels: Mapping[str, str]) -> SearchResult:
    trials = [trial for trial in study.get_trials(deepcopy=False) if trial.state != TrialState.WAITING]
    space: dict[str, BaseDistribution] = {}
    for trial in trials:
        space |= trial.distributions
    runs = {job.number: job.directory for job in known.jobs}
    best = {trial.number for trial in study.best_trials}
    objectives = study.user_attrs.get(SPACE, {}).get("objectives", [])
    return SearchResult(
        objectives=[TITLES.get(name, str(name)) for name in objectives],
        parameters=[_parameter(key, drawn_from) for key, drawn_from in space.items()],
        trials=[_trial(trial, runs.get(trial.user_attrs.get(JOB, 0)), labels, trial.number in best) for trial in trials],
        importances=[{} if name == COUNTED else _importances(study, trials, place) for place, name in enumerate(objectives)],
    )


def _trial(trial: FrozenTrial, run: str | None, labels: Mapping[str, str], front: bool) -> Trial:
    return Trial(
        number=trial.number,
        state=STATES.get(trial.state, "unfinished"),
        values=trial.values or (),
        parameters=trial.params,
        run=run,
        label=labels.get(run or ""),
        on_front=front,
    )


def _parameter(key: str, drawn_from: BaseDistribution) -> Parameter:
    if isinstance(drawn_from, CategoricalDistribution):
        choices = [str(choice) for choice in drawn_from.choices]
        return Parameter(key, choices, False, ", ".join(choices))
    low, high, step, log_scale = (getattr(drawn_from, name) for name in ("low", "high", "step", "log"))
    told = f"{low:g} to {high:g}" + (f" in steps of {step:g}" if step and step != 1 else "")
    return Parameter(key, (), log_scale, told + (", logarithmic" if log_scale else ""))


def _importances(study: optuna.Study, trials: list[FrozenTrial], objective: int) -> dict[str, float]:
    """How much each parameter decides about an objective, most first; empty where nothing can be said.

    Watanabe, Bansal & Hutter 2023, "PED-ANOVA", IJCAI: of the trials with low values, which are they that differ from all.
    """
    completed = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    varied = {key for trial in completed for key in trial.params}
    values = {trial.values[objective] for trial in completed}
    if len(completed) < FEWEST_TRIALS or len(varied) < 2 or len(values) < 2:
        return {}

    def value(trial: FrozenTrial) -> float:
        return float(trial.values[objective])

    evaluator = PedAnovaImportanceEvaluator(target_quantile=0.1 if len(completed) >= MANY_TRIALS else 0.25)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that low values are meant, which is so
        shares: dict[str, Any] = optuna.importance.get_param_importances(study, evaluator=evaluator, target=value)
    return {key: float(share) for key, share in shares.items()}
