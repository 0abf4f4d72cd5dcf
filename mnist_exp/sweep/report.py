"""report.html of a sweep: its command, the swept settings, the comparison of its jobs, and the charts of a search."""

import shlex
from collections.abc import Sequence

from mnist_exp.comparison.ranking import Comparison
from mnist_exp.comparison.rows import Row
from mnist_exp.config.identity import is_content_hash
from mnist_exp.machine import files
from mnist_exp.report import comparison_page, search_charts
from mnist_exp.report.comparison_view import ComparisonView
from mnist_exp.report.search_charts import SearchResult
from mnist_exp.runs.run import Run
from mnist_exp.sweep.plan import Plan, Sweep
from mnist_exp.sweep.progress import count_outcomes
from mnist_exp.terminal.messages import join_some

MAX_VALUES = 8  # of a setting, listed in the header


def write(sweep: Sweep, known: Plan, rows: Sequence[Row], boards: Sequence[Comparison], total: int) -> None:
    """Write report.html from a sweep's plan, runs and comparisons; `total` includes the trials that are not drawn yet."""
    views = [ComparisonView(board) for board in boards]
    study = None
    if sweep.study.exists():  # Optuna is imported only for a search
        from mnist_exp.sweep.study import read_result

        study = read_result(sweep, known)
    styles = {name: style for view in views for name, style in view.styles.items()}
    searched = list(search_charts.charts(study, styles)) if study else []
    text = comparison_page.render(
        sweep.report,
        sweep.directory.name,
        views,
        "sweep.html.j2",
        more=searched,
        plan=known,
        command=shlex.join(["mnist-exp", *known.arguments]),
        swept=_swept(known, study),
        counts=count_outcomes((row.record for row in rows), total),
        study=study,
        searched=searched,
        links={row.name: comparison_page.relative_url(sweep.report, Run(row.record.directory).report) for row in rows},
    )
    files.write(sweep.report, text.encode())


def _swept(known: Plan, study: SearchResult | None) -> dict[str, str]:
    """Return the swept settings and their values; for a search, its parameters and their domains."""
    if study is not None:
        from mnist_exp.sweep.sampling import domain

        return {key: domain(distribution) for key, distribution in study.parameters.items()}
    values: dict[str, dict[str, None]] = {}
    for job in known.jobs:
        for line in (line for line in job.overrides if not is_content_hash(line)):
            key, _, value = line.lstrip("+~").partition("=")
            values.setdefault(key, {})[value] = None
    values["seed"] = dict.fromkeys(str(job.seed) for job in known.jobs)  # the first may be the default, without an override
    return {key: join_some(list(tried), MAX_VALUES) for key, tried in values.items() if len(tried) > 1}
