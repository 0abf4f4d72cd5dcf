"""The public names: which they are, their signatures, their types, and what importing them costs."""

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import mnist_exp as mx
from tests.documents import MANUAL, README, blocks

SIGNATURES = {
    "run": "(overrides: collections.abc.Sequence[str] = ()) -> mnist_exp.api.results.Run",
    "run_sweep": "(overrides: collections.abc.Sequence[str]) -> mnist_exp.api.results.Sweep",
    "load": "(run: str | os.PathLike[str] = 'latest', *, runs_dir: str | os.PathLike[str] | None = None)"
    " -> mnist_exp.api.results.Run",
    "load_sweep": "(sweep: str | os.PathLike[str] = 'latest', *, runs_dir: str | os.PathLike[str] | None = None)"
    " -> mnist_exp.api.results.Sweep",
    "datasets.load": "(source: mnist_exp.datasets.sources.DescribedSet | mnist_exp.datasets.sources.OwnSet | str)"
    " -> 'Dataset'",
    "Run.model": "(self) -> 'keras.Model'",
    "Run.resume": "(self, overrides: collections.abc.Sequence[str] = ()) -> 'Run'",
    "Sweep.resume": "(self, overrides: collections.abc.Sequence[str] = (), retry_failed: bool = False) -> 'Sweep'",
    "Comparison.to_pandas": "(self) -> 'pd.DataFrame'",
}
COMPARE = ["runs", "by", "where", "metric", "baseline", "on", "equivalence", "sort", "top", "runs_dir"]
OBJECTS = {"run": "Run", "sweep": "Sweep", "comparison": "Comparison", "reading": "Reading"}  # of the examples
PREDICT = ["run", "image", "confidence", "single", "runs_dir"]
MEMBERS = {
    "Reading": {"digits", "text"},
    "Run": {"directory", "errors", "history", "model", "name", "predictions", "report", "resume", "status", "summary"},
    "Sweep": {"comparison", "comparisons", "directory", "report", "resume", "runs"},
    "Comparison": {"notes", "rows", "to_pandas", "verdicts"},
    "Predictions": {"classes", "labels", "probabilities", "wrong"},
}


def test_the_public_names_are_these() -> None:
    names = "Comparison Predictions Reading Run Sweep compare datasets errors load load_sweep predict run run_sweep"
    assert mx.__all__ == names.split()
    assert dir(mx) == sorted([*mx.__all__, "__version__"])
    for name in mx.__all__:
        assert getattr(mx, name) is getattr(mx, name)
        assert f"`mx.{name}" in (MANUAL / "python.md").read_text()
    with pytest.raises(AttributeError, match="has no attribute 'trian'"):
        mx.trian  # type: ignore[attr-defined]  # noqa: B018


@pytest.mark.parametrize("name", SIGNATURES)
def test_a_signature_is_stable(name: str) -> None:
    value: object = mx
    for part in name.split("."):
        value = getattr(value, part)
    assert str(inspect.signature(value)) == SIGNATURES[name]  # type: ignore[arg-type]


@pytest.mark.parametrize(("name", "expected", "positional"), [("compare", COMPARE, 1), ("predict", PREDICT, 2)])
def test_the_arguments_are_stable(name: str, expected: list[str], positional: int) -> None:
    parameters = list(inspect.signature(getattr(mx, name)).parameters.values())
    assert [parameter.name for parameter in parameters] == expected
    assert all(parameter.kind is inspect.Parameter.KEYWORD_ONLY for parameter in parameters[positional:])


@pytest.mark.parametrize("name", MEMBERS)
def test_the_attributes_of_a_class_are_stable(name: str) -> None:
    members = {member for member in dir(getattr(mx, name)) if not member.startswith("_")}
    own = {"directory"} if name in {"Run", "Sweep"} else {"labels", "probabilities"} if name == "Predictions" else set()
    assert members | own == MEMBERS[name]


@pytest.mark.parametrize("document", [README, MANUAL / "python.md"], ids=lambda path: path.name)
def test_the_examples_of_the_manual_use_names_that_exist(document: Path) -> None:
    examples = blocks(document.read_text(), "python")
    assert examples
    for node in ast.walk(ast.parse("\n".join(examples))):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if node.value.id == "mx":
                assert hasattr(mx, node.attr), node.attr
            elif node.value.id in OBJECTS:
                assert node.attr in MEMBERS[OBJECTS[node.value.id]], node.attr


def modules_after(code: str) -> set[str]:
    """Return the modules that are imported after some code, and were not before."""
    code = f"import sys; before = set(sys.modules)\n{code}\nprint(*set(sys.modules) - before)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_the_package_imports_no_other_package() -> None:
    imported = modules_after("import mnist_exp as mx; dir(mx), mx.__all__, mx.__version__")
    assert {name.partition(".")[0] for name in imported} - sys.stdlib_module_names == {"mnist_exp"}
    assert not any(name.startswith("mnist_exp.") for name in imported)


def test_the_functions_are_there_without_tensorflow() -> None:
    imported = modules_after("import mnist_exp as mx; mx.run, mx.load, mx.compare, mx.predict, mx.datasets.load")
    assert "numpy" in imported
    assert not {"tensorflow", "keras", "PIL", "pandas"} & imported
