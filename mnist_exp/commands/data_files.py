"""`mnist-exp data list`, `fetch`, `verify` and `remove`: the files of described data sets."""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from rich.table import Table

from mnist_exp import datasets
from mnist_exp.commands import arguments as command_line
from mnist_exp.config.dataset import DescribedDatasetConfig
from mnist_exp.config.problems import nearest, remedy
from mnist_exp.datasets import finding, places
from mnist_exp.datasets.sources import DescribedSet
from mnist_exp.errors import EXIT_DONE, InputError, IntegrityError, Interrupted, UserError
from mnist_exp.machine.plain_data import UNREADABLE, describe, read_yaml
from mnist_exp.terminal import messages
from mnist_exp.terminal.messages import MISSING, pluralize

EXAMPLES = {
    "list": "  mnist-exp data list\n  mnist-exp data list --format json\n",
    "fetch": "  mnist-exp data fetch fashion_mnist\n  mnist-exp data fetch emnist_letters emnist_balanced\n",
    "verify": "  mnist-exp data verify\n  mnist-exp data verify fashion_mnist\n",
    "remove": "  mnist-exp data remove kmnist\n",
}
NOTES = {
    "list": "List the described data sets: their size, licence and place on this machine.",
    "fetch": "Download data sets into the user's data directory and verify them. An interrupted download continues.",
    "verify": "Read all files of data sets and compare their hashes with the published ones.",
    "remove": "Remove the files that `mnist-exp data fetch` has stored.",
}
Sets = dict[str, DescribedSet]


def main(arguments: list[str]) -> int:
    """Run one of the actions."""
    action, *others = arguments
    parser = command_line.parser(f"data {action}", EXAMPLES[action], runs_dir=False, purpose=NOTES[action])
    if action == "list":
        parser.add_argument("--format", choices=("table", "json"), default="table")
    else:
        text = "data sets" if action != "verify" else "data sets (default: all that are on this machine)"
        parser.add_argument("names", nargs="*" if action == "verify" else "+", metavar="NAME", help=text)
    command_line.add_config_dir(parser, "a directory with data sets of your own: dataset/NAME.yaml")
    parsed = parser.parse_args(others)
    known = datasets.shipped() | _own_sets(parsed.config_dir)
    names = [] if action == "list" else parsed.names
    for name in names:
        if name not in known:
            raise InputError(f"{name}: unknown data set", remedy(", ".join(known), nearest(name, known)))
    return ACTIONS[action](known, parsed)


def _own_sets(config_dir: str | None) -> Sets:
    """Read the described sets of a user's directory of options."""
    found: Sets = {}
    for path in sorted(Path(config_dir).glob("dataset/*.yaml")) if config_dir is not None else ():
        try:
            option = read_yaml(path)
            if isinstance(option, dict) and option.get("kind") == "files":
                source = DescribedDatasetConfig.model_validate(option).source
                found[source.name] = source
        except ValidationError as error:
            first = error.errors()[0]
            cause = f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}"
            raise InputError(cause, "correct the YAML file; see mnist-exp help datasets") from None
        except UNREADABLE as error:
            raise InputError(f"{path}: {describe(error)}", "correct the YAML file") from None
    if config_dir is not None and not Path(config_dir).is_dir():
        raise InputError(f"--config-dir {config_dir}: is not a directory", "name a directory with dataset/NAME.yaml")
    return found


def _list(known: Sets, parsed: argparse.Namespace) -> int:
    entries = {name: _entry(source) for name, source in known.items()}
    if parsed.format == "json":
        print(json.dumps({"schema": 1, "data_directory": str(places.data_directory()), "sets": entries}, indent=2))
        return EXIT_DONE
    out = messages.output()
    table = _table(entries, Table())
    out.print(table if messages.width_of(table) <= out.width else _table(entries, messages.table_without_lines()))
    for name, entry in entries.items():
        if entry["place"]:
            messages.print_line(f"{name}: {entry['place']}")
    if missing := [name for name, entry in entries.items() if not entry["place"]]:
        messages.print_line(f"not on this machine: {', '.join(missing)}; fetch one: mnist-exp data fetch {missing[0]}")
    return EXIT_DONE


def _table(entries: dict[str, dict[str, Any]], table: Table) -> Table:
    for heading in ("name", "training", "test", "classes", "image", "MB", "licence"):
        is_number = heading in ("training", "test", "classes", "MB")
        table.add_column(heading, justify="right" if is_number else "left", overflow="fold")
    for name, entry in entries.items():
        size = MISSING if entry["bytes"] is None else f"{entry['bytes'] / 1e6:,.1f}"
        numbers = f"{entry['train_images']:,}", f"{entry['test_images']:,}", str(len(entry["class_names"]))
        shape = "×".join(map(str, entry["image_shape"]))
        table.add_row(*map(messages.cell, (name, *numbers, shape, size, entry["licence"])))
    return table


def _entry(source: DescribedSet) -> dict[str, Any]:
    described = source.description
    offered = described.files if described.archive is None else (described.archive,)
    sizes = [file.bytes for file in offered]
    place = _place(source)
    return {
        "train_images": described.train.used_count,
        "test_images": described.test.used_count,
        "image_shape": list(described.image_shape),
        "class_names": list(described.class_names),
        "bytes": None if None in sizes else sum(size for size in sizes if size is not None),
        "licence": described.licence,
        "attribution": described.attribution,
        "fingerprint": described.fingerprint,
        "place": None if place is None else str(place),
    }


def _place(source: DescribedSet) -> Path | None:
    """Return the directory in which the files were found, None unless all of them are there; they are not read."""
    found = [finding.locate(source, file) for file in source.description.files]
    first = found[0]
    if first is None or None in found:
        return None
    return next(directory for directory in source.directories if directory in first.parents)


def _is_right(source: DescribedSet) -> bool:
    """Return whether all files of a data set are on this machine and undamaged."""
    try:
        for file in source.description.files:
            finding.read(source, file)
    except UserError:
        return False
    return True


def _fetch(known: Sets, parsed: argparse.Namespace) -> int:
    from mnist_exp.datasets import store  # the network

    for name in parsed.names:
        source = known[name]
        place, directory = _place(source), places.fetched(name, source.description)
        if place not in (None, directory) and (places.included(name) is not None or _is_right(source)):
            print(messages.sanitize(f"{name}: is on this machine already: {place}"))
            continue
        try:
            stored = store.fetch(source, known.values())
        except (KeyboardInterrupt, Interrupted):
            messages.note(f"continue: mnist-exp data fetch {name}")
            raise
        size = sum(path.stat().st_size for path in stored) / 1e6
        done = f"fetched and verified {pluralize(len(stored), 'file')} ({size:,.1f} MB)" if stored else "is complete"
        print(messages.sanitize(f"{name}: {done}: {directory}"))
        print(messages.sanitize(f"  licence: {source.description.licence}; {source.description.attribution}"))
    return EXIT_DONE


def _verify(known: Sets, parsed: argparse.Namespace) -> int:
    """Verify each file; print all results, then raise the worst error."""
    errors: list[UserError] = []
    for name in parsed.names or known:
        source = known[name]
        if (missing := finding.missing(source)) is not None:
            print(f"{name}: not on this machine")
            errors += [missing] if parsed.names else []
            continue
        for file in source.description.files:
            try:
                path = finding.read(source, file).path
                print(messages.sanitize(f"{name}: {file.content_path}: verified: {path}"))
            except UserError as error:
                print(messages.sanitize(f"{name}: {file.content_path}: not verified: {error.cause}"))
                errors.append(error)
    if errors:
        raise max(errors, key=lambda error: isinstance(error, IntegrityError))
    return EXIT_DONE


def _remove(known: Sets, parsed: argparse.Namespace) -> int:
    from mnist_exp.datasets import store

    for name in parsed.names:
        removed = store.remove(known[name])
        for path in removed:
            print(messages.sanitize(f"{name}: removed {path}"))
        lost = {path.name for path in removed}
        directory = places.fetched(name, known[name].description)
        for other, source in known.items():
            shares = places.fetched(other, source.description) == directory
            if other != name and shares and lost & {file.name for file in source.description.files}:
                messages.note(f"{other}: shared these files, and must be fetched again")
    return EXIT_DONE


ACTIONS: dict[str, Callable[[Sets, argparse.Namespace], int]] = {
    "list": _list,
    "fetch": _fetch,
    "verify": _verify,
    "remove": _remove,
}
