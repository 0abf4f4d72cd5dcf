"""`mnist-exp --help`: usage, examples, sub-commands, and all groups with their options, read from the YAML files."""

import textwrap
from collections.abc import Iterator, Sequence
from importlib.resources import files
from importlib.resources.abc import Traversable

from mnist_exp.commands.arguments import COMMANDS, primary_config

WIDTH = 100
USE = """\
mnist-exp: honest, repeatable image-classification experiments

usage: mnist-exp [key=value ...]       train one experiment
       mnist-exp -m key=value,value    train one for each combination (a sweep), or search among them
       mnist-exp COMMAND ...           one of the commands below
       mnist-exp help TOPIC            a page of the manual; mnist-exp help lists them

examples:
  mnist-exp                                                  the tutorial's MLP on the real digits
  mnist-exp model=cnn_large training.epochs=3                another model, another setting
  mnist-exp model=cnn_simple dataset.limit=2000              a quick trial on few images
  mnist-exp experiment=tutorial_cnn_simple seed=8            a whole recipe, with another seed
  mnist-exp -m model=mlp,cnn_simple 'seed=range(3)'          six jobs, and a leaderboard at the end
  mnist-exp -m hydra/sweeper=optuna 'model.dropout=interval(0,0.5)' hydra.sweeper.n_trials=4
  mnist-exp --cfg job model=mlp                              print the configuration, train nothing
  mnist-exp compare                                          all runs below runs/, best first
  mnist-exp show latest                                      the result of the latest run
"""

FLAGS = """\
flags:
  -m, --multirun     sweep over all combinations of the values
  --cfg job          print the composed configuration; --resolve fills in references
  --config-dir DIR   add a directory of your own options, laid out like the groups
  -sc                completion in bash (or zsh): eval "$(mnist-exp -sc install=bash)"
                     in fish: mnist-exp -sc install=fish | source
  --debug            a traceback with every error
  --version, --help  also: mnist-exp COMMAND --help, mnist-exp --hydra-help

exit codes: 0 done, 1 a run failed, 2 invalid configuration or input, 3 a damaged or unsafe file,
            4 training diverged, 5 disk, permissions, device or network, 130 / 143 interrupted
"""


def main() -> int:
    """Print the overview."""
    conf = files("mnist_exp.conf")
    print(USE)
    print("commands:")
    for name, purpose in COMMANDS.items():
        print(f"  {name:<12} {purpose}")
    print("\ngroups (choose an option with group=option, change a setting with group.key=value):")
    for group, options in sorted(_groups(conf, "")):
        print(f"  {group}")
        for option in sorted(options, key=lambda entry: entry.name):
            name = option.name.removesuffix(".yaml")
            print(textwrap.fill(description(option), WIDTH, initial_indent=f"    {name:<20} ", subsequent_indent=" " * 25))
    print("\nsettings outside the groups:")
    print("  " + ", ".join(_top_level(conf / "config.yaml")) + "\n")
    print(FLAGS, end="")
    return 0


def description(option: Traversable) -> str:
    """Return the first comment of a YAML file that is not a directive for Hydra."""
    for line in option.read_text(encoding="utf-8").splitlines():
        if line.startswith("# ") and not line.startswith("# @"):
            return line.removeprefix("# ")
    return ""


def _groups(directory: Traversable, prefix: str) -> Iterator[tuple[str, list[Traversable]]]:
    """Yield all directories that contain YAML files, with their name (such as hydra/launcher) and these files."""
    for entry in directory.iterdir():
        if entry.is_dir():
            options = [child for child in entry.iterdir() if child.name.endswith(".yaml")]
            if options:
                yield prefix + entry.name, options
            yield from _groups(entry, f"{prefix}{entry.name}/")


def _top_level(primary: Traversable) -> list[str]:
    """Return the top-level keys of a YAML file, without a YAML parser: its import takes longer than all of the overview."""
    lines = primary.read_text(encoding="utf-8").splitlines()
    keys = [line.partition(":")[0] for line in lines if line[:1].isalpha()]
    return [key for key in keys if key not in {"defaults", "hydra"}]


def setting_with_spaces(words: Sequence[str]) -> list[str]:
    """Return the setting that words such as `model cnn` or `seed = 3` mean."""
    from mnist_exp.config.user_directory import shipped_groups  # imports Hydra, which --help does not need

    key, *values = (word for word in words[:3] if word != "=")
    is_setting = "=" in words[1:2] or "." in key or key in {*shipped_groups(), *primary_config()}
    return [f"{key}={values[0]}"] if is_setting and values and "=" not in values[0] else []


def settings_with_option(name: str) -> list[str]:
    """Return the settings that choose an option of this name, such as dataset=kmnist."""
    from mnist_exp.config.user_directory import groups_with_option

    return [f"{group}={name}" for group in groups_with_option(name)]
