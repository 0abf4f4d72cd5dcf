"""Parsers and options that sub-commands share; quick to import."""

import argparse
from importlib.resources import files
from typing import Any


def parser(name: str, purpose: str, examples: str) -> argparse.ArgumentParser:
    """Return an argument parser whose help ends with examples."""
    return argparse.ArgumentParser(
        prog=f"mnist-exp {name}",
        description=purpose,
        epilog="examples:\n" + examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def comma_separated(text: str) -> list[str]:
    """Split a comma-separated argument; for `type=`."""
    return [word.strip() for word in text.split(",") if word.strip()]


def primary_config() -> dict[str, Any]:
    """Return the content of conf/config.yaml, for commands that do not compose a configuration."""
    import yaml

    return dict(yaml.safe_load((files("mnist_exp.conf") / "config.yaml").read_text(encoding="utf-8")))


def add_runs_dir(to: argparse.ArgumentParser) -> None:
    """Add the option `--runs-dir`."""
    default = primary_config()["runs_dir"]
    to.add_argument("--runs-dir", default=default, metavar="DIR", help="the directory of the runs (default: %(default)s)")
