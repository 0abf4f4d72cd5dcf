"""The leaderboard of a sweep: its configurations, ranked over their seeds, as JSON, CSV and Markdown."""

from mnist_exp.comparison import columns, export, rows, tables
from mnist_exp.comparison.ranking import Comparison
from mnist_exp.comparison.rows import Row
from mnist_exp.machine import files
from mnist_exp.sweep.plan import Plan, Sweep


def job_rows(sweep: Sweep, known: Plan) -> list[Row]:
    """Read the runs of a sweep's jobs; other runs in its directory do not count."""
    jobs = {job.directory for job in known.jobs}
    return [row for row in rows.read_rows([sweep.directory]) if row.name in jobs]


def write(sweep: Sweep, board: Comparison) -> None:
    """Write leaderboard.json, .csv and .md from the comparison of a sweep's runs."""
    files.write(sweep.leaderboard, "".join(export.to_json(board, {"sweep": sweep.directory.name})).encode())
    files.write(sweep.leaderboard.with_suffix(".csv"), export.to_csv(board).encode())
    markdown = tables.to_markdown(board, columns.build(board))
    files.write(sweep.leaderboard.with_suffix(".md"), f"{markdown}\n".encode())
