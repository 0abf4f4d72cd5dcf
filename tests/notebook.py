"""`python -m tests.notebook FILE`: runs a script, or the cells of a notebook, and prints what a notebook would show."""

import ast
import json
import sys
from pathlib import Path
from typing import Any


def code_cells(path: Path) -> list[str]:
    """Return the code of the cells; a script has one."""
    if path.suffix == ".py":
        return [path.read_text()]
    return ["".join(cell["source"]) for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]


def run(code: str, namespace: dict[str, Any]) -> None:
    """Run a cell, and print the value of its last expression as HTML or text, and whether it has a picture."""
    tree = ast.parse(code)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "<cell>", "exec"), namespace)
    if last is None or (value := eval(compile(ast.Expression(last.value), "<cell>", "eval"), namespace)) is None:
        return
    if hasattr(value, "_repr_png_"):
        print("picture of", len(value._repr_png_()), "bytes")
    print(value._repr_html_() if hasattr(value, "_repr_html_") else repr(value))


if __name__ == "__main__":
    names: dict[str, Any] = {"__name__": "__main__"}
    for cell in code_cells(Path(sys.argv[1])):
        run(cell, names)
