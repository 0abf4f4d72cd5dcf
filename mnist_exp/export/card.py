"""The model card of a run: README.md with the sections of Mitchell et al. 2019 and the metadata of the Hugging Face hub.

Mitchell et al. 2019, "Model Cards for Model Reporting", arXiv:1810.03993. Everything comes from the files of the run; what
they do not contain is left out, or named as not recorded.
"""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

import mnist_exp
from mnist_exp.comparison.significance import format_p_value
from mnist_exp.ensemble.completed import CompletedRun
from mnist_exp.errors import InputError
from mnist_exp.export import card_facts as facts
from mnist_exp.export.markdown import bullets, code, table, text
from mnist_exp.export.sidecars import Sidecar
from mnist_exp.machine import files
from mnist_exp.machine.plain_data import read_bytes
from mnist_exp.runs import evaluation
from mnist_exp.terminal.messages import pluralize, sanitize

FILE = "README.md"
MARK = "<!-- mnist-exp export --card: {} -->\n"  # the last line, with the SHA-256 of those above: an edited card is kept
MAX_BYTES = 2**20  # of a card; with 1,000 classes it has 100 kB
MAX_CONFUSIONS = 10  # that are listed
WIDE = 2**20  # characters of a line of the metadata: no text is wrapped


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
    metadata = yaml.safe_dump(front_matter(completed), sort_keys=False, allow_unicode=True, width=WIDE)
    return f"---\n{metadata}---\n\n" + "\n\n".join(_parts(completed, artefacts)) + "\n\n"


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
        "model-index": [{"name": facts.run_name(completed), "results": [result]}],
    }


def _parts(completed: CompletedRun, artefacts: Sequence[Sidecar]) -> Iterator[str]:
    """Yield the headings, paragraphs, lists and tables of the card."""
    summary = completed.row.summary
    data, network = completed.data, "An ensemble of networks" if completed.is_ensemble else "A neural network"
    yield f"# {text(summary.name)}"
    yield (
        f"{network} that assigns images to the {len(data.class_names):,} classes of the data set {text(data.name)}. "
        f"Written by `mnist-exp export --card` {mnist_exp.__version__} from the files of the run "
        f"{code(facts.run_name(completed))}; what they do not contain is left out, or named as not recorded."
    )
    yield "## Model details"
    yield bullets(facts.model_details(completed))
    if artefacts:
        yield _artefacts(artefacts)
    yield "## Intended use"
    yield bullets(facts.intended_use(completed))
    yield "## Factors"
    yield bullets(facts.factors(completed))
    yield "## Metrics"
    yield bullets(facts.metrics(completed))
    yield "## Evaluation data"
    yield bullets(facts.evaluation_data(completed))
    yield "## Training data"
    yield bullets(facts.training_data(completed))
    yield "## Training procedure"
    yield from facts.procedure(completed)
    yield "## Quantitative analyses"
    yield from _analyses(completed)
    yield "## Ethical considerations"
    yield (
        "Not assessed. The run records nothing about the people who made the images or are in them, nor whether they agreed "
        "to this use."
    )
    yield "## Caveats and recommendations"
    yield bullets(facts.caveats(completed))
    yield "## Time and energy"
    yield bullets(facts.time(completed))
    yield "## How to reproduce"
    yield from facts.reproduction(completed)


def _artefacts(artefacts: Sequence[Sidecar]) -> str:
    """Return the table of the exported files; every one was checked on all test images."""
    headings = ("file", "bytes", "largest difference of a probability", "changed predictions", "test error %", "McNemar p")
    rows = [
        (
            text(one.file),
            f"{one.bytes:,}",
            f"{one.check.largest_difference:.1e}",
            f"{one.check.changed:,}",
            f"{one.check.error.error_percent:.2f}",
            format_p_value(one.check.mcnemar.p).removeprefix("= "),
        )
        for one in artefacts
    ]
    return table(headings, rows) + "\n\nEach file was run on all test images, and compared with the network in float32."


def _analyses(completed: CompletedRun) -> Iterator[str]:
    """Yield the errors: of all images, of each class, the confusions, and the calibration."""
    data = completed.data
    report = evaluation.error_report(completed.probabilities, data.test_labels, data.class_names, data.mislabelled)
    yield table(("images", "number", "wrong", "error %", "95 % interval"), facts.errors(completed))
    yield "By class:"
    rows = [
        (
            text(one["class"]),
            f"{one['n']:,}",
            f"{one['errors']:,}",
            f"{one['error_percent']:.2f}",
            facts.interval(one["ci95"]),
        )
        for one in report["per_class"]
    ]
    yield table(("class", "test images", "wrong", "error %", "95 % interval"), rows)
    if confusions := report["confusions"][:MAX_CONFUSIONS]:
        names = data.class_names
        listed = (
            f"{text(names[one['label']])} as {text(names[one['predicted']])}: {pluralize(one['n'], 'image')}"
            for one in confusions
        )
        yield f"The most frequent confusions: {'; '.join(listed)}."
    ece = report["calibration"]["ece"]
    yield (
        f"Expected calibration error (Guo et al. 2017, {evaluation.CALIBRATION_BINS} bins): {ece:.4f}. Mean "
        f"negative log-likelihood: {report['negative_log_likelihood']:.4f} nats."
    )
