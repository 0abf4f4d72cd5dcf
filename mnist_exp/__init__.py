"""Honest, repeatable image-classification experiments from YAML: train, sweep, compare.

`import mnist_exp as mx` offers the names in `__all__`, as the topic `python` of the manual describes them. They are
imported when they are used. Everything else in this package is internal, and may change in any version.
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from mnist_exp import datasets, errors
    from mnist_exp.api import (
        Comparison,
        Predictions,
        Reading,
        Run,
        Sweep,
        compare,
        load,
        load_sweep,
        predict,
        run,
        run_sweep,
    )

__all__ = [
    "Comparison", "Predictions", "Reading", "Run", "Sweep", "compare", "datasets", "errors", "load", "load_sweep", "predict",
    "run", "run_sweep",
]  # fmt: skip


if not TYPE_CHECKING:  # for a type checker, other names than the imported ones are mistakes

    def __getattr__(name: str) -> Any:
        """Import a public name at its first use: `import mnist_exp` must not import NumPy."""
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        import importlib

        if name in {"datasets", "errors"}:
            return importlib.import_module(f"{__name__}.{name}")
        value = getattr(importlib.import_module(f"{__name__}.api"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
