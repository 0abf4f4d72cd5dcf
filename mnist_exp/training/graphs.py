"""Graphs that the runs of one process share: a graph is built once, and then computes with the variables of any run.

Building the graph of a step takes longer than training a small model, and XLA compiles each graph. So settings that only
change numbers (seed, learning rate, weight decay, label smoothing, dropout rate) are inputs of a graph, as the images are.
"""

import gc
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import keras

KEPT = 8  # graphs; each takes a few megabytes, and none contains images or weights


class Graph:
    """A traced function with the variables of one run as inputs."""

    def __init__(self, traced: Any, variables: Sequence[keras.Variable]) -> None:
        """Replace the variables of the run that a concrete function of TensorFlow was traced with by inputs.

        Raises:
            ValueError: the function depends on a tensor that is neither an argument nor one of the variables.
        """
        indices = {id(variable.value.handle): index for index, variable in enumerate(variables)}
        captured = traced.captured_inputs
        if unknown := [tensor for tensor in captured if id(tensor) not in indices]:
            raise ValueError(f"{traced.name}: depends on {unknown}")
        self._traced = traced
        self._indices = [indices[id(tensor)] for tensor in captured]
        traced.set_external_captures([])
        _release(traced.graph)

    def __call__(self, variables: Sequence[keras.Variable], *arguments: Any) -> Any:
        """Call the function over other variables, in the order of those that it was traced with."""
        self._traced.set_external_captures([variables[index].value.handle for index in self._indices])
        try:
            return self._traced(*arguments)
        finally:
            self._traced.set_external_captures([])


def _release(graph: Any) -> None:
    """Remove the references of a graph, also of its loops and conditions, to the weights of the run that traced it."""
    graph.function_captures.clear()
    graph.function_captures.by_val_capture_tuples  # noqa: B018  (a copy of them, which this access renews)
    for function in graph._functions.values():
        if function.graph is not None:
            _release(function.graph)


_graphs: OrderedDict[Hashable, Graph] = OrderedDict()  # the one used last is the last


def shared(key: Hashable, trace: Callable[[], Any], variables: Sequence[keras.Variable]) -> Graph:
    """Return the graph of a key; trace it if no run of this process has done so, or seven others were used since.

    Args:
        key: everything that the graph depends on, except arguments and variables.
        trace: returns a concrete function of TensorFlow.
        variables: all that the function may use.
    """
    if key not in _graphs:
        _graphs[key] = Graph(trace(), variables)
        if len(_graphs) > KEPT:
            _graphs.popitem(last=False)
            gc.unfreeze()  # see `device.prepare`: the reference cycles of a graph are collected
    _graphs.move_to_end(key)
    return _graphs[key]
