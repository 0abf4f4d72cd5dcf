"""Overrides with one value each → checked experiments. Experiments with the same options are composed once."""

import copy
from collections.abc import Mapping, Sequence
from functools import cache

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

from mnist_exp import config
from mnist_exp.config import overrides
from mnist_exp.config.checks import check_device
from mnist_exp.config.composer import COMPOSITION_ERRORS, Composed, Composer
from mnist_exp.config.conversions import walk
from mnist_exp.config.initial_weights import Find
from mnist_exp.config.problems import composition_problems, raise_problems
from mnist_exp.config.schema import Experiment
from mnist_exp.config.security import OPEN_TO_USERS, code_problems, expansion_problems, override_problems
from mnist_exp.config.user_directory import shipped_groups
from mnist_exp.errors import ConfigError, Problem
from mnist_exp.machine.cores import assigned_cores


class Assembler:
    """Assembles experiments."""

    def __init__(self, composer: Composer, find: Find | None) -> None:
        self._composer = composer
        self._find = None if find is None else cache(find)  # jobs that start from the same run read it once
        self._check_device = cache(check_device)

    def experiments(self, combinations: Sequence[Sequence[Override]]) -> tuple[list[Experiment], list[Problem]]:
        """Assemble and check experiments.

        Args:
            combinations: the overrides of each experiment, in the order in which they are applied.

        Returns:
            The experiments in order, without those that have a problem, and all problems.

        Raises:
            InputError: MNIST_EXP_CORES is not a number of cores.
        """
        assigned_cores()  # a wrong value is an error before anything is trained
        experiments, problems = [], []
        for combination in combinations:
            experiment, found = self._experiment(combination)
            problems += found
            if experiment is not None and not found:
                experiments.append(experiment)
        return experiments, problems

    def with_hydra(self, combination: Sequence[Override]) -> tuple[DictConfig, list[Problem]]:
        """Return the composed configuration including Hydra's own section, without settings that have a problem.

        Returns:
            The configuration, and the problems of the launcher and the sweeper.

        Raises:
            ConfigError: these settings name code.
            ConfigError, COMPOSITION_ERRORS: the options cannot be composed.
        """
        options, settings, found = self._divide(combination)
        composed = self._compose(options, settings)
        tree = copy.deepcopy(composed.whole)
        _apply([override for override in settings if not override.is_hydra_override()], tree, composed.keys)
        of_hydra = [override for override in settings if override.is_hydra_override()]
        parts = {part: OmegaConf.to_container(tree.hydra[part], resolve=False) for part in sorted(OPEN_TO_USERS)}
        problems = [problem for problem in found if problem.key.startswith("hydra")]
        problems += _apply(of_hydra, tree, dict.fromkeys(key for key, _ in walk({"hydra": parts})))
        if of_hydra:
            raise_problems(code_problems(tree))
        return tree, problems

    def _experiment(self, combination: Sequence[Override]) -> tuple[Experiment | None, list[Problem]]:
        options, settings, problems = self._divide(combination)
        try:
            composed = self._compose(options, settings)
            settings = [override for override in settings if not override.is_hydra_override()]
            tree = _tree_for(settings, composed)
            problems += _apply(settings, tree, composed.keys)
        except (ConfigError, *COMPOSITION_ERRORS) as error:
            return None, problems + composition_problems(error, shipped_groups())
        experiment, found = None, []
        try:
            experiment = config.validate(tree, self._find)
        except ConfigError as error:
            found = error.problems
        if not {"device", "precision"} & {problem.key for problem in found}:
            found = found + self._check_device(tree.device, tree.precision)
        return experiment, problems + found

    def _compose(self, options: Sequence[Override], settings: Sequence[Override]) -> Composed:
        """Compose options, and check what they and the settings expand to before anything is resolved."""
        composed = self._composer.compose(options)
        raise_problems(expansion_problems(composed.text + "".join(str(override.input_line) for override in settings)))
        return composed

    def _divide(self, combination: Sequence[Override]) -> tuple[list[Override], list[Override], list[Problem]]:
        """Return the options, which Hydra composes, the settings, and the problems of unsafe and unknown options."""
        options: list[Override] = []
        settings: list[Override] = []
        problems: list[Problem] = []
        for override in combination:
            section, _, name = override.key_or_group.rpartition(".")
            if unsafe := override_problems(override):
                problems += unsafe
            elif section and name == "name" and self._composer.options(section.replace(".", "/")):
                problems.append(overrides.option_set_by_name(override))
            elif known := self._composer.options(override.key_or_group):
                found = overrides.option_problems(override, known, self._composer.filled_groups)
                problems += found
                options += [] if found else [override]
            else:
                settings.append(override)
        return options, settings, problems


def _tree_for(settings: Sequence[Override], composed: Composed) -> DictConfig:
    """Return a tree to apply settings to.

    A copy takes longer than all the rest of an experiment. So experiments that set the same keys share a tree, and each
    replaces all values of the one before it. Other overrides (`+key`, `~key`, mappings, interpolations) need a copy.
    """
    lines = [str(override.input_line) for override in settings]
    if any(line.startswith(("+", "~")) or "{" in line for line in lines):
        return copy.deepcopy(composed.experiment)
    keys = tuple(override.get_key_element() for override in settings)
    if keys not in composed.shared_trees:
        composed.shared_trees[keys] = copy.deepcopy(composed.experiment)
    return composed.shared_trees[keys]


def _apply(settings: Sequence[Override], tree: DictConfig, keys: Mapping[str, None]) -> list[Problem]:
    """Apply the settings that have no problem; return the problems of the others."""
    problems = []
    for override in settings:
        problems += overrides.key_problems(override, keys) or overrides.apply(override, tree)
    return problems
