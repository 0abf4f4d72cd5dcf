"""`mnist-exp export RUN --format …`: a trained model as files for other runtimes, checked on all test images."""

from pathlib import Path

from mnist_exp.commands import arguments as command_line
from mnist_exp.commands.computing import on_cpu
from mnist_exp.commands.named_runs import find_run
from mnist_exp.ensemble import completed
from mnist_exp.ensemble.completed import CompletedRun
from mnist_exp.errors import EXIT_DONE, InputError, UserError
from mnist_exp.export import card, formats, sidecars
from mnist_exp.export.formats import Format, Quantization
from mnist_exp.machine import files
from mnist_exp.runs.run import refuse_special_files
from mnist_exp.terminal import messages
from mnist_exp.terminal.messages import pluralize

EXAMPLES = """\
  mnist-exp export latest --format onnx
  mnist-exp export latest --format saved_model,onnx,litert
  mnist-exp export latest --format onnx,litert --quantize int8
  mnist-exp export latest --format onnx --card --output digits
"""


def main(arguments: list[str]) -> int:
    """Write the artefacts, check each in its own runtime, and print a table."""
    parser = command_line.parser("export", EXAMPLES)
    parser.add_argument("run", metavar="RUN", help="a completed run or ensemble: a directory, its name, or latest")
    listed = ",".join(formats.FORMATS)
    parser.add_argument("--format", type=command_line.comma_separated, default=[], metavar=listed, help="one or several")
    quantize = "weights of 8 bits for onnx and litert: dynamic; int8: also activations, by training images"
    parser.add_argument("--quantize", choices=formats.QUANTIZATIONS, help=quantize)
    parser.add_argument("--card", action="store_true", help="also write a model card, README.md, from the files of the run")
    output = "a directory (default: exports in the directory of the run)"
    parser.add_argument("--output", type=command_line.path, metavar="DIR", help=output)
    parsed = parser.parse_args(arguments)
    if not parsed.format and not parsed.card:
        raise InputError("export: names no format", f"add --format, with one or several of {listed}; or --card")
    if parsed.quantize and not parsed.format:
        raise InputError(f"--quantize {parsed.quantize}: without --format", "add --format onnx, litert or both")
    chosen = formats.select_formats(parsed.format, parsed.quantize)
    run = find_run(parsed.run, parsed.runs_dir)
    directory = run.exports if parsed.output is None else Path(parsed.output)
    if parsed.output is None:
        refuse_special_files(directory)
    elif files.exists(directory) and not directory.is_dir():
        raise InputError(f"--output {directory}: is not a directory", "name a directory, such as a new one")
    source = completed.read_directory(run.directory)
    if parsed.output is not None:  # exports/ of a run contains nothing else
        sidecars.refuse_other_files(directory, [one.file_name(one.possible(parsed.quantize)) for one in chosen])
    if parsed.card:
        card.refuse_other_file(directory)
    if parsed.quantize and (whole := [one.name for one in chosen if not one.possible(parsed.quantize)]):
        messages.note(f"{', '.join(whole)}: cannot be quantised; written without --quantize")
    code = _export(source, chosen, parsed.quantize, directory) if chosen else EXIT_DONE
    if parsed.card:
        _write_card(source, directory)
    elif card.is_card(source, directory):
        _update_card(source, directory)
    return code


def _export(source: CompletedRun, chosen: list[Format], quantization: Quantization | None, directory: Path) -> int:
    """Export into a directory; an error of one format is printed, and the others are exported."""
    with on_cpu() as target:
        from mnist_exp.export import artefact, network, table

        written, code, images = [], EXIT_DONE, len(source.data.test_labels)
        with artefact.prepared(directory):
            with messages.spinner("rebuilding the network"):
                exported = network.build(source, target)
            for one in chosen:
                try:
                    with messages.progress_bar(
                        f"exporting and checking {one.name}", images, prints_results=False
                    ) as advance:
                        written.append(artefact.write(exported, one, one.possible(quantization), directory, advance))
                except UserError as error:
                    if len(chosen) == 1:
                        raise
                    messages.error(error.cause, error.remedy)
                    code = error.exit_code
        if written:
            precisions = [run.experiment.precision for run in source.runs]
            messages.output().print(table.build(written, messages.output().width))
            caption = table.caption(artefact.reference(exported), precisions)
            messages.output().print(messages.cell(caption))
            text = f"{pluralize(len(written), 'artefact')} in {directory}"
            messages.print_line(text)
        return code


def _write_card(source: CompletedRun, directory: Path) -> None:
    """Write the model card, with the artefacts of the run that are in the directory."""
    with files.writing(directory):
        directory.mkdir(parents=True, exist_ok=True)
    artefacts = sidecars.read_all(directory, files.file_sha256(source.run.model)) if source.run.model.is_file() else []
    path = card.write(source, directory, artefacts)
    messages.print_line(f"model card: {path}")


def _update_card(source: CompletedRun, directory: Path) -> None:
    """Write the card of an earlier export again, with the new artefacts; a card that was edited is kept, and named."""
    try:
        card.refuse_other_file(directory)
    except InputError:
        messages.warning(f"{directory / card.FILE}: was edited, so it is kept: its table of files may be out of date")
    else:
        _write_card(source, directory)
