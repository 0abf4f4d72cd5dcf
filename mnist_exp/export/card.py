"""The model card of a run: README.md with the sections of Mitchell et al. 2019 and the metadata of the Hugging Face hub.

Mitchell et al. 2019, "Model Cards for Model Reporting", arXiv:1810.03993. Everything comes from the files of the run; what
they do not contain is left out, or named as not recorded.
"""

import hashlib
import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

import mnist_exp
from mnist_exp.comparison.rows import NOT_SETTINGS
from mnist_exp.comparison.significance import format_p_value
from mnist_exp.config.conversions import PATHS, format_value
from mnist_exp.config.dataset import DescribedDatasetConfig
from mnist_exp.ensemble.completed import CompletedRun
from mnist_exp.errors import InputError
from mnist_exp.export import markdown
from mnist_exp.export.drawing_page import FOLDER
from mnist_exp.export.markdown import Markdown, block, code
from mnist_exp.export.sidecars import Sidecar
from mnist_exp.machine import files
from mnist_exp.machine.plain_data import UNREADABLE, load_yaml, read_bytes, read_json, read_yaml
from mnist_exp.runs import evaluation
from mnist_exp.runs.evaluations import read_scores
from mnist_exp.runs.run import Run
from mnist_exp.runs.summary import Score
from mnist_exp.terminal.messages import pluralize, sanitize

FILE = "README.md"
START = "<!-- mnist-exp export --card: "
MARK = START + "{} -->\n"  # the last line, with the SHA-256 of those above: an edited card is kept
MODEL_INDEX = re.compile(rb"^model-index:\s*\n((- |  ).*\n?)+", re.MULTILINE)  # of the metadata; it names the run
MAX_BYTES = 2**20  # of a card; with 1,000 classes it has 100 kB
WIDE = 2**20  # characters of a line of the metadata: no text is wrapped
NOT_RECORDED = "not recorded"
PLACES = PATHS - {"runs_dir"}  # settings with places on the machine that trained; runs_dir is left out
PLACE = "PATH"  # instead of such a place
SPLITS = {"drawn": "drawn at random", "last": "the last ones of each class", "groups": "whole groups of images"}
# Of the file of MNIST's test images, about whose writers a publication found out something.
MNIST_TEST = "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"


def is_card(completed: CompletedRun, directory: Path) -> bool:
    """Return whether a directory has the model card of a run, edited or not; the card of another run is not."""
    try:
        content = read_bytes(directory / FILE, MAX_BYTES)
        name = load_yaml(MODEL_INDEX.search(content)[0])["model-index"][0]["name"]  # type: ignore[index]
    except UNREADABLE:  # also without the index
        return False
    return START.encode() in content and bool(name == sanitize(_name(completed.run)))


def refuse_other_file(directory: Path) -> None:
    """Check that a card replaces only a card that was not edited.

    Raises:
        InputError: there is another README.md.
    """
    path = directory / FILE
    try:
        content = read_bytes(path, MAX_BYTES)
    except FileNotFoundError:
        return
    except OSError:
        content = b""
    above, last = content[: -len(_mark(b""))], content[-len(_mark(b"")) :]
    if last != _mark(above):
        cause = f"{path}: exists, and is not a model card as mnist-exp export writes it, or was edited"
        raise InputError(cause, "remove or rename it, or choose another directory: --output DIR")


def write(completed: CompletedRun, directory: Path, artefacts: Sequence[Sidecar]) -> Path:
    """Write the card and return its path.

    Args:
        artefacts: those in the directory.

    Raises:
        EnvironmentFailure: it cannot be written.
    """
    path, content = directory / FILE, render(completed, artefacts).encode()
    files.write(path, content + _mark(content))
    return path


def render(completed: CompletedRun, artefacts: Sequence[Sidecar] = ()) -> str:
    """Return the text of the card."""
    summary, data, runs = completed.row.summary, completed.data, completed.runs
    experiments, is_ensemble = [run.experiment for run in runs], completed.is_ensemble
    environment, images = read_json(completed.run.environment), experiments[0].dataset
    versions = environment.get("versions")
    report = evaluation.error_report(completed.probabilities, data.test_labels, data.class_names, data.mislabelled)
    lineages = [(_name(run.run), run.row.summary.lineage) for run in runs]
    return markdown.render(
        FOLDER / "card.md.j2",
        metadata=Markdown(yaml.safe_dump(front_matter(completed), sort_keys=False, allow_unicode=True, width=WIDE)),
        summary=summary,
        data=data,
        class_names=data.class_names,
        shape=data.test_images.shape[1:],
        is_ensemble=is_ensemble,
        runs=runs,
        name=_name(completed.run),
        names=[_name(run.run) for run in runs],
        shift=max(one.evaluation.tta for one in experiments),
        precisions=sorted({one.precision for one in experiments}),
        versions=_listed_versions(versions) if isinstance(versions, dict) else None,
        started=environment.get("started", NOT_RECORDED),
        artefacts=artefacts,
        mnist_test=MNIST_TEST,
        description=images.description if isinstance(images, DescribedDatasetConfig) else None,
        rejected=report["mislabelled"],
        splits=sorted({SPLITS[one.dataset.split] for one in experiments}),
        lineages=[(name, "; ".join(f"{key} {text}" for key, text in one.rows.items())) for name, one in lineages if one],
        augmentations=sorted({one.augmentation.name for one in experiments}),
        settings=block(f"{key}={format_value(value)}" for key, value in sorted(summary.settings.items()) if _is_shown(key)),
        scores=_scores(completed),
        report=report,
        selections={one.training.select for one in experiments},
        has_seen_validation=any(run.row.summary.has_seen_validation for run in runs),
        is_smoothed=any(one.training.label_smoothing for one in experiments),
        machines=sorted({_machine(read_json(run.run.environment)) for run in runs}),
        commands=block(_commands(completed), "console"),
        place=PLACE,
        version=mnist_exp.__version__,
        number="{:,}".format,
        p_value=lambda p: format_p_value(p).removeprefix("= "),
        pluralize=pluralize,
        code=code,
    )


def _mark(content: bytes) -> bytes:
    return MARK.format(hashlib.sha256(content).hexdigest()).encode()


def front_matter(completed: CompletedRun) -> dict[str, Any]:
    """Return the metadata that the hub reads. The licence of the weights is the user's choice, so there is none."""
    summary, data = completed.row.summary, completed.data
    result = {
        "task": {"type": "image-classification", "name": "Image classification"},
        "dataset": {"name": sanitize(data.name), "type": sanitize(data.name), "split": "test"},
        "metrics": [
            {"type": "accuracy", "name": "Accuracy", "value": (summary.test.n - summary.test.errors) / summary.test.n}
        ],
    }
    return {
        "pipeline_tag": "image-classification",
        "tags": ["image-classification", "mnist-exp"],
        "model-index": [{"name": sanitize(_name(completed.run)), "results": [result]}],
    }


def _name(run: Run) -> str:
    return run.directory.resolve().name


def _listed_versions(versions: dict[str, Any]) -> str:
    return ", ".join(f"{name} {versions[name]}" for name in ("mnist_exp", "tensorflow", "keras") if name in versions)


def _scores(completed: CompletedRun) -> list[tuple[str, Score, tuple[float, float]]]:
    """Return the rows of the table of errors: the images, the errors, and an interval."""
    summary = completed.row.summary
    rows = [("test", summary.test, summary.test.ci95)]
    if (groups := summary.image_groups) is not None:
        rows.append(("test, for new groups", summary.test, groups.ci95))
    others = {} if summary.validation is None else {"validation": summary.validation}
    others |= {f"evaluation {name}": score for name, score in read_scores(completed.run).items()}
    return rows + [(name, score, score.ci95) for name, score in others.items()]


def _commands(completed: CompletedRun) -> list[str]:
    """Return the commands that repeat the run."""
    commands = []
    for run in completed.runs:
        overrides = _overrides(run.run)
        arguments = f" # {NOT_RECORDED}" if overrides is None else shlex.join(overrides)
        commands.append(f"mnist-exp {arguments}".rstrip())
    if completed.is_ensemble:
        commands.append(f"mnist-exp ensemble {shlex.join(_name(run.run) for run in completed.runs)}")
    return commands


def _machine(environment: dict[str, Any]) -> str:
    """Return the processor and the GPUs in environment.json, an untrusted file."""
    cpu, gpus = environment.get("cpu"), environment.get("gpus")
    names = [cpu.get("model") if isinstance(cpu, dict) else None]
    names += [gpu.get("device_name") for gpu in gpus if isinstance(gpu, dict)] if isinstance(gpus, list) else []
    return f"{', '.join(str(name or NOT_RECORDED) for name in names)}; device {environment.get('device', NOT_RECORDED)}"


def _overrides(run: Run) -> list[str] | None:
    """Return the overrides of a run without those that only say where and how it was executed; None if unreadable."""
    try:
        typed = read_yaml(run.overrides)
    except UNREADABLE:
        return None
    if not isinstance(typed, list) or not all(isinstance(one, str) for one in typed):
        return None
    kept = []
    for override in typed:
        key, equals, _ = override.partition("=")
        if key.lstrip("+") in PLACES:
            kept.append(f"{key}={PLACE}")
        elif _is_shown(key.lstrip("+~")) or not equals:
            kept.append(override)
    return kept


def _is_shown(key: str) -> bool:
    """Return whether a setting is part of the protocol."""
    return key.partition(".")[0] not in NOT_SETTINGS | {"hydra"} and key not in PLACES
