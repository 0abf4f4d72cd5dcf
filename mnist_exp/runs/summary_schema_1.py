"""Summaries of schema 1, without settings and without hashes of labels and split: completed from config.yaml."""

from functools import cache
from typing import Any

from mnist_exp import config, datasets
from mnist_exp.config.dataset import AnyDataset
from mnist_exp.config.identity import config_hash, recorded_settings
from mnist_exp.runs.held_out import split_images
from mnist_exp.runs.summary import Summary, dataset_summary


def upgrade(content: dict[str, Any], tree: dict[str, Any]) -> Summary:
    """Return the content of a summary of schema 1, and a configuration, as a `Summary`.

    Raises:
        ConfigError: the configuration is not valid.
        ValueError: the summary is not valid, or is of another seed or other images than the configuration.
    """
    experiment = config.validate(tree)
    dataset = _dataset(experiment.dataset)
    stored = content.get("dataset")
    if not isinstance(stored, dict) or content.get("seed") != experiment.seed or not stored.items() <= dataset.items():
        raise ValueError("does not belong to config.yaml: another seed, data set or number of images")
    settings = {"config_hash": config_hash(experiment), "settings": recorded_settings(experiment.model_dump(mode="json"))}
    return Summary.model_validate(content | settings | {"schema": 3, "dataset": dataset, "members": None})


@cache
def _dataset(settings: AnyDataset) -> dict[str, Any]:
    data = datasets.load(settings.source)
    parts = split_images(data, settings)
    return dataset_summary(data, parts).model_dump()
