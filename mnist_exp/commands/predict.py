"""`mnist-exp predict RUN IMAGE|FOLDER|- …`: the digits in photos, scans and screenshots."""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnist_exp.commands import arguments as command_line
from mnist_exp.commands.computing import on_cpu
from mnist_exp.commands.named_runs import find_run
from mnist_exp.ensemble import completed
from mnist_exp.errors import EXIT_DONE, EXIT_FAILED, InputError, IntegrityError
from mnist_exp.machine import files
from mnist_exp.terminal import messages
from mnist_exp.terminal.messages import pluralize

if TYPE_CHECKING:
    from mnist_exp.prediction.reader import Reader
    from mnist_exp.prediction.reading import Reading

EXAMPLES = """\
  mnist-exp predict latest note.jpg
  mnist-exp predict latest scans/ --format csv > digits.csv
  mnist-exp predict latest form.png --confidence 0.999 --explain form.html
  mnist-exp predict runs/2026-11-22T07-35-03_fashion_s7 shoe.png --single
  scanimage --format=png | mnist-exp predict latest - --format json
"""
STDIN = "-"
BATCH = 16  # pictures at once
MAX_STDIN = 2**28  # bytes of a picture from standard input
CONFIDENCE = 0.99
MIN_CONFIDENCE = 0.5


def main(arguments: list[str]) -> int:
    """Read pictures in batches, and print what was read as soon as it is known."""
    parser = command_line.parser("predict", EXAMPLES)
    parser.add_argument("run", metavar="RUN", help="a completed run or ensemble: a directory, its name, or latest")
    pictures = "pictures, folders of pictures, or - for a picture from standard input"
    parser.add_argument("pictures", nargs="+", metavar="IMAGE|FOLDER|-", help=pictures)
    single = "take each picture as one image of the data set, without looking for digits"
    parser.add_argument("--single", action="store_true", help=single)
    confidence = "how often the set of a digit must contain the true one (default: %(default)s)"
    parser.add_argument("--confidence", type=float, default=CONFIDENCE, metavar="SHARE", help=confidence)
    parser.add_argument("--format", choices=("table", "json", "csv"), default="table")
    explain = "write a page with the boxes, what the network saw, and where it looked"
    parser.add_argument("--explain", type=command_line.path, metavar="FILE", help=explain)
    parsed = parser.parse_args(arguments)
    if not MIN_CONFIDENCE <= parsed.confidence < 1:
        raise InputError(
            f"--confidence {parsed.confidence:g}: not allowed", "allowed: 0.5 or more, and less than 1; 99 % is 0.99"
        )
    page = None if parsed.explain is None else command_line.output_file(parsed.explain, (".html",), "--explain")
    run = find_run(parsed.run, parsed.runs_dir)
    paths = _find_pictures(parsed.pictures)
    source = completed.read_directory(run.directory)
    with on_cpu() as target:
        from mnist_exp.prediction.reader import open_reader

        with target.scope():
            with messages.spinner("rebuilding and calibrating the network"):
                reader = open_reader(
                    source, parsed.confidence, single=parsed.single, keep=page is not None, towers=target.towers
                )
            warn_not_calibrated(reader)
            explained, failed = _print_all(reader, paths, parsed.format, page is not None)
            if page is not None:
                with messages.spinner("explaining"):
                    _write_page(page, reader, explained, source.row.name, len(paths) - failed - len(explained))
    return EXIT_FAILED if failed else EXIT_DONE


def warn_not_calibrated(reader: "Reader") -> None:
    """Print a warning if the digits have no sets."""
    if (reason := reader.why_not_calibrated) is not None:
        messages.warning(
            f"not calibrated: {reason}; so each digit gets an answer, also a letter; {reader.calibration_remedy}"
        )


def _find_pictures(names: Sequence[str]) -> list[str]:
    """Return the paths of all pictures, those of folders in the order of their names, and - for standard input.

    Raises:
        InputError: one does not exist, or a folder contains no picture.
    """
    from mnist_exp.datasets.pictures import SUFFIXES
    from mnist_exp.datasets.pictures import names as formats

    paths = []
    for name in names:
        if name == STDIN:
            if STDIN in paths:
                raise InputError("-: named twice", "name standard input once")
            paths.append(STDIN)
        elif (place := Path(command_line.path(name))).is_dir():
            walked = os.walk(place)
            found = [os.path.join(folder, file) for folder, _, below in walked for file in below]  # noqa: PTH118
            chosen = sorted(path for path in found if path.lower().endswith(SUFFIXES))
            if not chosen:
                raise InputError(f"{name}: contains no pictures", f"allowed: {formats()}")
            paths += chosen
        elif files.exists(place):
            paths.append(str(place))
        else:
            raise InputError(f"{name}: picture not found", f"name a picture ({formats()}), a folder, or -")
    return paths


def _print_all(reader: "Reader", paths: Sequence[str], form: str, keep: bool) -> "tuple[list[dict[str, Any]], int]":
    """Read and print all pictures; return the content of the page for the first ones, and the number that cannot be used.

    Raises:
        IntegrityError: the only picture cannot be used.
    """
    from mnist_exp.datasets.pictures import UnreadableError
    from mnist_exp.prediction import formats
    from mnist_exp.prediction.explanation import MAX_PICTURES, content

    explained: list[dict[str, Any]] = []
    failed = unsure = 0

    def readings(advance: Callable[[int], None]) -> "Iterator[Reading]":
        nonlocal failed, unsure
        remaining = iter(paths)
        while batch := list(islice(remaining, BATCH)):
            results = reader.read([(name, _content(name)) for name in batch])
            for name, result in zip(batch, results, strict=True):
                if isinstance(result, UnreadableError):
                    if len(paths) == 1:
                        raise IntegrityError(f"{_shown(name)}: {result}", "choose another picture, or repair this one")
                    messages.error(f"{_shown(name)}: {result}", "the other pictures are read")
                    failed += 1
                    continue
                if keep and len(explained) < MAX_PICTURES:
                    explained.append(content(result))
                unsure += sum(digit.verdict == "unsure" for digit in result.digits)
                yield result
            advance(len(batch))

    with messages.progress_bar("pictures", len(paths)) as advance:
        others = readings(advance)
        first = list(islice(others, 1))  # before a heading is printed: an error of the command prints nothing else
        for text in formats.texts(form, chain(first, others), messages.output().width, paths):
            print(text, end="", flush=True)
    if unsure and form == "table":
        messages.note(
            f"?: {pluralize(unsure, 'digit')} unsure at a confidence of {100 * reader.confidence:g} %; "
            "choose a lower --confidence, or a run with a lower error"
        )
    return explained, failed


def _shown(name: str) -> str:
    return "standard input" if name == STDIN else name


def _content(name: str) -> str | bytes:
    """Return the source of a picture: its path, or what standard input contains.

    Raises:
        InputError: standard input is too large.
    """
    if name != STDIN:
        return name
    content = sys.stdin.buffer.read(MAX_STDIN + 1)
    if len(content) > MAX_STDIN:
        raise InputError(f"standard input: is larger than {MAX_STDIN:,} bytes", "choose a smaller picture")
    return content


def _write_page(page: Path, reader: "Reader", contents: Sequence[dict[str, Any]], run: str, left_out: int) -> None:
    from mnist_exp.prediction import explanation

    files.write_output(page, explanation.render(reader, contents, run, left_out).encode())
    messages.note(f"page: {page.resolve().as_uri()}" if page.is_file() else f"page: {page}")
