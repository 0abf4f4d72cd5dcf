"""What a sweep came to: its configurations, each over its seeds, as JSON, CSV and Markdown."""

from mnist_exp.comparison import columns, records, tables
from mnist_exp.comparison.board import Board
from mnist_exp.machine import files
from mnist_exp.sweep.plan import Sweep


def write(sweep: Sweep, board: Board) -> None:
    """Write leaderboard.json, .csv and .md.

    Args:
        sweep: where to.
        board: of its runs.

    Raises:
        EnvironmentFailure: a file cannot be written.
    """
    files.write_json(sweep.leaderboard, {"sweep": sweep.directory.name} | records.content(board))
    files.write(sweep.leaderboard.with_suffix(".csv"), records.csv_text(board).encode())
    markdown = tables.markdown(board, columns.of(board) if board.lines else [])
    files.write(sweep.leaderboard.with_suffix(".md"), f"{markdown}\n".encode())
