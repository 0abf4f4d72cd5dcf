"""The words for the verdicts of a comparison: each result, the question that they answer, and how they are tested.

Every table, page and file takes them from here.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

from mnist_exp.comparison.fields import METRICS, TEST
from mnist_exp.comparison.predictions import PairedErrors
from mnist_exp.comparison.ranking import Comparison, Line
from mnist_exp.comparison.significance import Question, Significance
from mnist_exp.comparison.statistics import Difference, Test

Subject = Question | Literal["two networks"]

TESTS: Mapping[Test, str] = {
    "McNemar": "McNemar's exact test",
    "McNemar, groups": "McNemar's test for groups of images",
    "seeds and images, paired": "variance over seeds (paired) and images",
    "seeds and images": "variance over seeds and images",
    "paired t": "paired t-test",
    "Welch": "Welch's t-test",
}
QUESTIONS: Mapping[Question, str] = {
    "new images": "would other seeds and other test images of this kind give the same order?",
    "these images": "would other seeds give the same order on these images?",
    "seeds": "would other seeds give the same order?",
}
OF_NETWORKS: frozenset[Test] = frozenset({"McNemar", "McNemar, groups"})
TWO_NETWORKS = "one run each: the test compares two networks, not two configurations"


def heading(comparison: Comparison) -> str:
    """Return the heading of the verdicts: the reference, the metric that is tested, and on which images."""
    about = subject(comparison)
    on = f" on {about}" if about in {"new images", "these images"} else ""
    return f"compared with the {comparison.reference_name}, {comparison.shown_metrics[-1].heading}{on}"


def results(comparison: Comparison) -> list[str]:
    """Return the verdict of each line of a comparison in words; for the reference, its name."""
    return [line.significance.text if line.significance else comparison.reference_name for line in comparison.lines]


def compare_networks(errors: PairedErrors) -> Significance:
    """Return the result of the test of network A against network B, as a comparison of only these two has it."""
    return Significance(METRICS[TEST], errors.difference, errors.difference.p)


def subject(comparison: Comparison, line: Line | None = None) -> Subject | None:
    """Return what the tests of all shown lines, or of one line, are about; None if there are no tests."""
    kinds = _tests(comparison.lines if line is None else [line])
    if comparison.tests is None or not kinds:
        return None
    return "two networks" if set(kinds) <= OF_NETWORKS else comparison.tests.question


def notes(comparison: Comparison) -> list[str]:
    """Return the question that the shown tests answer, their names and their correction; nothing if there are no tests."""
    kinds, tests, about = _tests(comparison.lines), comparison.tests, subject(comparison)
    if tests is None or about is None:
        return []
    correction = ""
    if tests.comparisons > 1:
        family = "" if comparison.reference_name == "baseline" else ", all pairs, since the best was chosen by its results"
        correction = f", {tests.correction}'s correction for {tests.comparisons:,} comparisons{family}"
    if comparison.looks is not None and tests.look is not None:
        sizes = comparison.looks.sizes
        correction += f", and for look {tests.look} of {len(sizes)} planned ones ({', '.join(map(str, sizes))} seeds)"
    return [
        *([] if about == "two networks" else [f"the question: {QUESTIONS[about]}"]),
        f"p: {', or '.join(TESTS[kind] for kind in kinds)}{correction}",
        *([TWO_NETWORKS] if OF_NETWORKS & set(kinds) else []),
    ]


def _tests(lines: Sequence[Line]) -> Sequence[Test]:
    """Return the kinds of the tests of some lines, each once."""
    found = [line.significance.result for line in lines if line.significance is not None]
    return list(dict.fromkeys(result.test for result in found if isinstance(result, Difference)))
