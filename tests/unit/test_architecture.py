"""The packages import only what the architecture page of the manual allows, in one direction, without a cycle."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from graphlib import TopologicalSorter
from importlib import metadata
from itertools import chain
from pathlib import Path

import pytest

from tests.conftest import ROOT

PROGRAM = ROOT / "mnist_exp"
PAGE = (PROGRAM / "docs" / "architecture.md").read_text()
# Distributions that a declared one pins or cannot do without.
DEPENDENCIES_OF = {"pydantic_core": "pydantic", "protobuf": "tensorboard", "MarkupSafe": "jinja2"}
ALL_ABOVE = re.compile(r"all above(?: but (\w+))?")


def allowed_imports() -> dict[str, set[str]]:
    """For each package of the page's table, the packages that it may import."""
    table = PAGE.partition("## The packages")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \|.*\|([^|]*)\|$", table, re.MULTILINE)
    allowed: dict[str, set[str]] = {}
    for package, cell in rows:
        if above := ALL_ABOVE.fullmatch(cell.strip()):
            allowed[package] = set(allowed) - {above[1]}
        else:
            allowed[package] = {name.strip() for name in cell.split(",") if name.strip()}
    return allowed


def modules() -> dict[str, Path]:
    """Every module of the program by its dotted name."""
    found = {}
    for path in sorted(PROGRAM.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def imports(path: Path) -> Iterator[str]:
    """The modules of the program that a module imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in MODULES)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                if full in MODULES or node.module in MODULES:
                    yield full if full in MODULES else node.module


def package(module: str) -> str:
    """The package, or the module of the top level, that a module belongs to."""
    return module.split(".")[1] if "." in module else module


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_what_the_page_allows_its_package(module: str) -> None:
    allowed = allowed_imports()
    own = package(module)
    used = {package(name) for name in imports(MODULES[module])} - {own, "mnist_exp"}  # mnist_exp itself has the version
    if own == "__main__":
        assert used == {"cli"}
    elif own == "mnist_exp":  # what it offers, imported when it is used: tests/unit/api/test_names.py
        assert used <= {"api", "datasets", "errors"}
    else:
        assert used <= allowed[own], f"{module} imports {used - allowed[own]}: see mnist_exp/docs/architecture.md"


def test_the_page_lists_every_package_once_and_forms_no_cycle() -> None:
    allowed = allowed_imports()
    present = {package(module) for module in MODULES} - {"mnist_exp", "__main__"}
    assert set(allowed) == present
    TopologicalSorter(allowed).prepare()  # raises CycleError
    assert {name for names in allowed.values() for name in names} <= present


def test_no_modules_import_each_other() -> None:
    # The version is in mnist_exp, which imports no module before a user uses its name.
    graph = {module: set(imports(path)) - {module, "mnist_exp"} for module, path in MODULES.items()}
    assert set(TopologicalSorter(graph).static_order()) == set(MODULES)  # a cycle raises CycleError


def test_the_packages_of_the_tests_are_those_of_the_program() -> None:
    present = {package(module) for module in MODULES}
    for kind in ("unit", "integration"):
        packages = {path.name for path in (ROOT / "tests" / kind).iterdir() if path.is_dir() and path.name != "__pycache__"}
        assert packages <= present


def test_private_parts_of_hydra_are_used_in_no_module() -> None:
    for path in MODULES.values():
        for node in ast.walk(ast.parse(path.read_text())):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            assert not any(name.startswith("hydra._internal") for name in names), path


def test_every_imported_distribution_is_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    requirements = [*project["dependencies"], *chain.from_iterable(project["optional-dependencies"].values())]
    declared = {re.split(r"[^\w.-]", requirement)[0].lower() for requirement in requirements}
    providers = metadata.packages_distributions()
    for path in MODULES.values():
        for node in ast.walk(ast.parse(path.read_text())):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            for name in {name.partition(".")[0] for name in names} - {"mnist_exp", *sys.stdlib_module_names}:
                found = {DEPENDENCIES_OF.get(provider, provider).lower() for provider in providers.get(name, ())}
                assert found & declared, f"{path}: {name} is not declared in pyproject.toml"
