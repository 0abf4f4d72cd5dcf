"""The leaderboard of a sweep: its configurations, ranked over their seeds, as JSON, CSV and Markdown."""

import json
from collections.abc import Sequence

from mnist_exp.comparison import columns, export, rows, tables
from mnist_exp.comparison.ranking import Comparison
from mnist_exp.comparison.rows import Row
from mnist_exp.machine import files
from mnist_exp.sweep.plan import Plan, Sweep


def job_rows(sweep: Sweep, known: Plan) -> list[Row]:
    """Read the runs of a sweep's jobs; other runs in its directory do not count."""
    jobs = {job.directory for job in known.jobs}
    return [row for row in rows.read_rows([sweep.directory]) if row.name in jobs]


def write(sweep: Sweep, boards: Sequence[Comparison]) -> None:
    """Write leaderboard.json, .csv and .md.

    Args:
        sweep: whose runs are compared.
        boards: the comparison of each set of runs that can be ranked together; in JSON, the further ones are in `others`.
    """
    board, *others = boards
    first = {"sweep": sweep.directory.name, "others": [json.loads("".join(export.to_json(other))) for other in others]}
    files.write(sweep.leaderboard, "".join(export.to_json(board, first)).encode())
    files.write(sweep.leaderboard.with_suffix(".csv"), export.to_csv(boards).encode())
    parts = [
        (f"**{tables.escape_markdown(one.title)}**\n\n" if one.title else "") + tables.to_markdown(one, columns.build(one))
        for one in boards
    ]
    files.write(sweep.leaderboard.with_suffix(".md"), ("\n\n".join(parts) + "\n").encode())
