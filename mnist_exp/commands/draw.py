"""`mnist-exp draw [RUN]`: writes the drawing page of a trained network and opens it in the browser."""

import os
import sys
import webbrowser
from pathlib import Path

from mnist_exp.commands import arguments as command_line
from mnist_exp.commands.computing import on_cpu
from mnist_exp.commands.named_runs import find_run
from mnist_exp.ensemble import completed
from mnist_exp.ensemble.completed import CompletedRun
from mnist_exp.errors import EXIT_DONE
from mnist_exp.export.formats import FORMATS
from mnist_exp.machine import files
from mnist_exp.runs.run import refuse_special_files
from mnist_exp.terminal import messages

EXAMPLES = """\
  mnist-exp draw                        the latest run
  mnist-exp draw runs/2026-11-22T07-35-03_cnn_large_s7
  mnist-exp draw latest --no-open --output digits.html
"""
SCREENS = ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")  # one of these variables is set where a browser can open a window


def main(arguments: list[str]) -> int:
    """Write the page, print its address and open it."""
    parser = command_line.parser("draw", EXAMPLES)
    run_help = "a completed run or ensemble: a directory, its name, or latest (default)"
    parser.add_argument("run", nargs="?", default="latest", metavar="RUN", help=run_help)
    output = "the page (default: exports/draw.html in the directory of the run)"
    parser.add_argument("--output", type=command_line.path, metavar="FILE", help=output)
    parser.add_argument("--no-open", action="store_true", help="only write the page and print its address")
    parsed = parser.parse_args(arguments)
    page = None if parsed.output is None else command_line.output_file(parsed.output, (".html",))
    source = completed.read_directory(find_run(parsed.run, parsed.runs_dir).directory)
    text = _render(source)
    if page is None:
        page = source.run.exports / FORMATS["html"].file
        _write_export(page, text)
    else:
        files.write_output(page, text.encode())
    messages.print_line(f"page: {page.resolve().as_uri()}")
    if not parsed.no_open and _has_screen():
        webbrowser.open(page.resolve().as_uri())
    return EXIT_DONE


def _render(source: CompletedRun) -> str:
    with on_cpu() as target:
        from mnist_exp.ensemble.network import PRECISION, rebuild_completed
        from mnist_exp.export import html
        from mnist_exp.export.network import ExportedNetwork

        with messages.spinner("rebuilding the network"), target.scope():
            model = rebuild_completed(source, PRECISION)
            return html.render(ExportedNetwork(source, model, source.probabilities))


def _write_export(page: Path, text: str) -> None:
    """Write the page among the exports of its run, without the results of a check."""
    from mnist_exp.export import artefact, sidecars

    refuse_special_files(page.parent, page)
    with artefact.prepared(page.parent):
        sidecars.path_of(page).unlink(missing_ok=True)
        files.write(page, text.encode())


def _has_screen() -> bool:
    return sys.platform in ("darwin", "win32") or any(os.environ.get(name) for name in SCREENS)
