"""The directory of `--config-dir`: mistakes in its layout and its files that Hydra would ignore or report without a name."""

from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

from mnist_exp.config.problems import nearest
from mnist_exp.errors import Problem

CONFIG_MODULE = "mnist_exp.conf"


def directory_problems(directory: Path, has_primary: bool) -> list[Problem]:
    """Return the problems of a directory of options.

    Args:
        directory: laid out like `conf/`.
        has_primary: whether it may contain a primary configuration (`--config-name`) and no options.
    """
    groups = sorted(entry.name for entry in files(CONFIG_MODULE).iterdir() if entry.is_dir() and entry.name[0] not in "._")
    options = [path for group in groups for path in sorted((directory / group).rglob("*")) if path.is_file()]
    return [*_file_problems(directory, options), *([] if has_primary or options else _layout_problems(directory, groups))]


def _file_problems(directory: Path, options: list[Path]) -> Iterator[Problem]:
    """Yield the problems of options: names that Hydra would ignore (those of shipped options, .yml), other encodings."""
    shipped = files(CONFIG_MODULE)
    for path in [*options, *directory.glob("*.yaml")]:
        key = str(path)
        if path.suffix == ".yaml" and shipped.joinpath(*path.relative_to(directory).parts).is_file():
            yield Problem(key, f"{path}: a shipped option has the same name", "rename the file")
        elif path.suffix == ".yml":
            yield Problem(key, f"{path}: the name of an option ends with .yaml", f"rename the file to {path.stem}.yaml")
    for path in options:
        if path.suffix == ".yaml":
            try:
                path.read_text(encoding="utf-8")
            except UnicodeDecodeError as error:
                yield Problem(str(path), f"{path}: not UTF-8 text (byte {error.start})", "save the file as UTF-8")


def _layout_problems(directory: Path, groups: list[str]) -> Iterator[Problem]:
    """Yield the problem of a directory without options."""
    cause = f"--config-dir {directory}: contains no options"
    instead = f"put each option into the directory of its group, such as {directory / 'model' / 'my_net.yaml'}"
    if directory.name in groups and any(directory.glob("*.y*ml")):
        instead = f"name the directory above it: --config-dir {directory.parent}"
    for entry in sorted(directory.iterdir()) if directory.is_dir() else ():
        if entry.is_dir() and any(entry.glob("*.y*ml")) and (group := nearest(entry.name, groups)):
            instead = f"rename the directory {entry.name} to {group}"
    yield Problem("--config-dir", cause, instead)
