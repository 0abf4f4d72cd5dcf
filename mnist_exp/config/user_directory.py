"""The directory of `--config-dir`: reads its files with limits; names mistakes that Hydra would ignore or not explain."""

import io
import re
import shlex
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from pathlib import Path

from hydra.core.object_type import ObjectType
from hydra.plugins.config_source import ConfigResult, ConfigSource
from omegaconf import OmegaConf
from yaml import YAMLError

from mnist_exp.config.problems import nearest
from mnist_exp.errors import ConfigError, Problem
from mnist_exp.machine.plain_data import check_yaml, read_bytes

CONFIG_MODULE = "mnist_exp.conf"
UNNAMED = re.compile(r'"<[^>]*>", ')  # the name that YAML gives to a text


class Options(ConfigSource):
    """The options in a directory, read as untrusted files before OmegaConf, which has no limits, builds them."""

    @staticmethod
    def scheme() -> str:
        """Return the start of the directory's address in Hydra's search path."""
        return "options"

    def load_config(self, config_path: str) -> ConfigResult:
        """Load a file.

        Raises:
            ConfigError: it cannot be read, is not YAML in UTF-8, or would take too much.
        """
        path = self._file(config_path)
        remedy = "check the file and its permissions"
        try:
            content = read_bytes(path)
            text = content.decode()
            check_yaml(content)
            config = OmegaConf.load(io.StringIO(text))
        except UnicodeDecodeError as error:
            cause, remedy = f"not UTF-8 text (byte {error.start})", "save the file as UTF-8"
        except YAMLError as error:
            cause, remedy = " ".join(UNNAMED.sub("", str(error)).split()), "correct the YAML"
        except OSError as error:
            cause = error.strerror or str(error)
        except ValueError as error:
            cause, remedy = str(error), "an option has a few lines: check where the file is from"
        else:
            return ConfigResult(self.provider, self.full_path(), config, self._get_header_dict(text))
        raise ConfigError([Problem(str(path), f"{path}: {cause}", remedy)])

    def available(self) -> bool:
        """Return whether the directory exists."""
        return self.is_group("")

    def is_group(self, config_path: str) -> bool:
        """Return whether a path in the directory is a directory."""
        return is_inside(config_path) and Path(self.path, config_path).is_dir()

    def is_config(self, config_path: str) -> bool:
        """Return whether a path in the directory, with or without its ending, is a file."""
        return is_inside(config_path) and self._file(config_path).is_file()

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        """Return the names of the groups and options in a group."""
        names: list[str] = []
        for entry in Path(self.path, config_path).iterdir():
            self._list_add_result(names, str(Path(config_path, entry.name)), entry.name, results_filter)
        return sorted(names)

    def _file(self, config_path: str) -> Path:
        return Path(self.path, self._normalize_file_name(config_path))


def is_inside(config_path: str) -> bool:
    """Return whether a path of a group or an option stays in its directory."""
    return not config_path.startswith("/") and ".." not in config_path.split("/")


@cache
def shipped_groups() -> tuple[str, ...]:
    """Return the names of the groups in `conf/`, such as model and hydra/launcher."""
    directories = [entry for entry in files(CONFIG_MODULE).iterdir() if entry.is_dir() and entry.name[0] not in "._"]
    inside = {entry.name: [below.name for below in entry.iterdir() if below.is_dir()] for entry in directories}
    return tuple(sorted(f"{name}/{below}".rstrip("/") for name, groups in inside.items() for below in groups or [""]))


@cache
def shipped_options() -> tuple[str, ...]:
    """Return the names of all options in `conf/`."""
    below = (entry for group in shipped_groups() for entry in files(CONFIG_MODULE).joinpath(group).iterdir())
    return tuple(sorted({entry.name.removesuffix(".yaml") for entry in below if entry.name.endswith(".yaml")}))


def groups_with_option(name: str) -> list[str]:
    """Return the groups in `conf/` that have an option of this name; none for a text that is no name, such as a path."""
    if not name.isidentifier():
        return []
    return [group for group in shipped_groups() if files(CONFIG_MODULE).joinpath(group, f"{name}.yaml").is_file()]


def directory_problems(directory: Path, has_primary: bool) -> list[Problem]:
    """Return the problems of a directory of options.

    Args:
        directory: laid out like `conf/`.
        has_primary: whether it may contain a primary configuration (`--config-name`) and no options.
    """
    options = [path for group in shipped_groups() for path in sorted((directory / group).rglob("*")) if path.is_file()]
    return [*_file_problems(directory, options), *([] if has_primary or options else _layout_problems(directory))]


def _file_problems(directory: Path, options: list[Path]) -> Iterator[Problem]:
    """Yield the problems of names that Hydra would ignore: those of shipped options, and .yml."""
    shipped = files(CONFIG_MODULE)
    for path in [*options, *directory.glob("*.yaml")]:
        key = str(path)
        if path.suffix == ".yaml" and shipped.joinpath(*path.relative_to(directory).parts).is_file():
            yield Problem(key, f"{path}: a shipped option has the same name", "rename the file")
        elif path.suffix == ".yml":
            yield Problem(key, f"{path}: the name of an option ends with .yaml", f"rename the file to {path.stem}.yaml")


def _layout_problems(directory: Path) -> Iterator[Problem]:
    """Yield the problem of a directory without options."""
    groups = shipped_groups()
    cause = f"--config-dir {directory}: contains no options"
    instead = f"put each option into the directory of its group, such as {directory / 'model' / 'my_net.yaml'}"
    if directory.name in groups and any(directory.glob("*.y*ml")):
        instead = f"name the directory above it: --config-dir {shlex.quote(str(directory.parent))}"
    for entry in sorted(directory.iterdir()) if directory.is_dir() else ():
        if entry.is_dir() and any(entry.glob("*.y*ml")) and (group := nearest(entry.name, groups)):
            instead = f"rename the directory {entry.name} to {group}"
    yield Problem("--config-dir", cause, instead)
