"""A Keras model → the networks and weights that the script of the drawing page reads (page/network.js)."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from mnist_exp.errors import InputError
from mnist_exp.export.drawing_page import ScriptNetwork
from mnist_exp.export.weights import Weights
from mnist_exp.models import activations
from mnist_exp.prediction.outliers import Detector

Node = dict[str, Any]  # kind, name, inputs (places of nodes; 0 is the image), and settings and weights of a layer

PLAIN = {  # layers without settings
    keras.layers.GlobalAveragePooling2D: "global_pool",
    keras.layers.Flatten: "flatten",
    keras.layers.Add: "sum",
    keras.layers.Average: "mean",
}
LOGITS = "logits"  # the last layer, whose result the page shows as bars
TITLES = {"conv": "convolution", "dense": "dense layer", "pool": "pooling", "global_pool": "pooling", "sum": "residual"}


def convert(model: keras.Model, detector: Detector | None = None) -> ScriptNetwork:
    """Convert a model.

    The kernels of convolutions and dense layers have 16 bits for each weight, other numbers 32. A batch normalization
    directly after a convolution becomes a part of it.

    Args:
        model: from uint8 images to probabilities: a network, or the mean of networks (`mnist_exp.models.averaging`).
        detector: of images that are not digits, from the features of the model; None without.

    Raises:
        InputError: a layer is unknown to the script.
    """
    networks: list[dict[str, Any]] = []
    places: dict[int, int] = {}
    weights = Weights()
    output = _add_network(model, networks, places, weights)
    detecting = None
    if detector is not None:
        networks.append({"nodes": _finish(_detector_nodes(detector), weights), "shown": [], "features": []})
        detecting = {"network": len(networks) - 1, "from": [places[id(one)] for one in activations.networks(model)]}
    return ScriptNetwork(networks, output, detecting, bytes(weights.content), _shown_part(model))


def _add_network(model: keras.Model, networks: list[dict[str, Any]], known: dict[int, int], weights: Weights) -> int:
    """Append a network after those that it uses; return its place. One that is used several times is there once."""
    if id(model) in known:
        return known[id(model)]
    nodes: list[Node] = []
    places: dict[int, int] = {id(model.input): 0}
    for layer, inputs, output in _calls(model):
        sources = [places[id(tensor)] for tensor in inputs]
        if isinstance(layer, keras.Model):
            node: Node | None = {"kind": "network", "network": _add_network(layer, networks, known, weights)}
        else:
            node = describe(layer)
        if node is None:
            places[id(output)] = sources[0]
        else:
            nodes.append(node | {"name": layer.name, "inputs": sources})
            places[id(output)] = len(nodes)
    nodes, moved = fold(nodes)
    _choose_recorded(nodes)
    features = [] if any(node["kind"] == "network" for node in nodes) else activations.feature_outputs(model)
    shown = _shown(nodes)
    networks.append(
        {
            "nodes": _finish(nodes, weights),
            "shown": shown,
            "features": [moved[places[id(tensor)]] for tensor in features],
        }
    )
    known[id(model)] = len(networks) - 1
    return len(networks) - 1


def _finish(nodes: Sequence[Node], weights: Weights) -> list[Node]:
    """Move the arrays of nodes to the weights."""
    finished = []
    for node in nodes:
        arrays = {key: weights.add(node[key]) for key in node.keys() & {"bias", "factors", "offsets"}}
        kernel = weights.add_rows(node["kernel"]) if "kernel" in node else {}
        finished.append({key: value for key, value in node.items() if key != "name"} | arrays | kernel)
    return finished


def _detector_nodes(detector: Detector) -> list[Node]:
    """Return the detector as layers: standardised features, hidden neurons, and the score."""
    kernels = {"hidden": detector.hidden[:-1].T, "output": detector.output[None, :-1]}
    biases = {"hidden": detector.hidden[-1], "output": detector.output[-1:]}
    hidden, output = ({"kind": "dense", "kernel": kernels[name], "bias": biases[name]} for name in kernels)
    return [
        {"kind": "scale", "inputs": [0], "factors": detector.scale, "offsets": -detector.mean * detector.scale},
        hidden | {"inputs": [1], "units": len(biases["hidden"]), "activation": "relu"},
        output | {"inputs": [2], "units": 1, "activation": "linear"},
    ]


def _calls(model: keras.Model) -> list[tuple[keras.Layer, list[keras.KerasTensor], keras.KerasTensor]]:
    """Return the calls of layers in the order of computation, each with its inputs and its output."""
    calls, finished, stack = [], {id(model.input)}, [model.output]
    while stack:
        tensor = stack[-1]
        layer, node_index, _ = tensor._keras_history
        inputs = layer._inbound_nodes[node_index].input_tensors
        waiting = [one for one in inputs if id(one) not in finished]
        if waiting:
            stack.extend(reversed(waiting))
            continue
        stack.pop()
        if id(tensor) not in finished:
            finished.add(id(tensor))
            calls.append((layer, inputs, tensor))
    return calls


def describe(layer: keras.Layer) -> Node | None:
    """Return a layer as a function of page/layers.js needs it; None if it changes nothing in a prediction.

    A kernel has a row for each output, (outputs, inputs).

    Raises:
        InputError: the layer is unknown.
    """
    if type(layer) in PLAIN:
        return {"kind": PLAIN[type(layer)]}
    match layer:
        case keras.layers.Dropout() | keras.layers.GaussianNoise():
            return None
        case keras.layers.Rescaling():
            scales, offsets = np.broadcast_arrays(np.ravel(layer.scale), np.ravel(layer.offset))
            return {"kind": "scale", "factors": scales, "offsets": offsets}
        case keras.layers.BatchNormalization():
            gamma, beta, mean, variance = (np.asarray(one, np.float64) for one in layer.get_weights())
            factors = gamma / np.sqrt(variance + layer.epsilon)
            return {"kind": "scale", "factors": factors, "offsets": beta - mean * factors}
        case keras.layers.Conv2D():
            rows, columns = layer.kernel_size
            settings = {"size": [rows, columns], "strides": list(layer.strides), "same": layer.padding == "same"}
            return {"kind": "conv", "filters": layer.filters} | settings | _trained(layer)
        case keras.layers.Dense():
            return {"kind": "dense", "units": layer.units} | _trained(layer)
        case keras.layers.Activation():
            return {"kind": "activation", "activation": _activation(layer)}
        case keras.layers.MaxPooling2D() | keras.layers.AveragePooling2D():
            takes = "max" if isinstance(layer, keras.layers.MaxPooling2D) else "mean"
            return {"kind": "pool", "size": list(layer.pool_size), "takes": takes}
        case keras.layers.ZeroPadding2D():
            (top, bottom), (left, right) = layer.padding
            return {"kind": "frame", "top": -top, "bottom": -bottom, "left": -left, "right": -right}
        case keras.layers.Cropping2D():
            (top, bottom), (left, right) = layer.cropping
            return {"kind": "frame", "top": top, "bottom": bottom, "left": left, "right": right}
    raise InputError(f"{layer.name}: {type(layer).__name__} is unknown to the page's script", "choose another format")


def _trained(layer: keras.Layer) -> Node:
    """Return kernel, bias and activation of a convolution or a dense layer."""
    kernel = np.asarray(layer.kernel, np.float64)
    rows = kernel.reshape(-1, kernel.shape[-1]).T
    bias = np.asarray(layer.bias, np.float64) if layer.use_bias else np.zeros(len(rows))
    return {"kernel": rows, "bias": bias, "activation": _activation(layer)}


def _activation(layer: keras.Layer) -> str:
    return str(keras.activations.serialize(layer.activation))


def fold(nodes: Sequence[Node]) -> tuple[list[Node], dict[int, int]]:
    """Make each scaling a part of the convolution directly before it, if that is linear and nothing else uses its output.

    Returns:
        The other nodes, and the new place of each node. Results of dense layers stay, since they are features.
    """
    uses = [0] * (len(nodes) + 1)
    for node in nodes:
        for place in node["inputs"]:
            uses[place] += 1
    folded: list[Node] = []
    places = {0: 0}
    for place, node in enumerate(nodes, 1):
        inputs = [places[one] for one in node["inputs"]]
        before = folded[inputs[0] - 1] if inputs[0] else {}
        is_alone = before.get("activation") == "linear" and uses[node["inputs"][0]] == 1
        if node["kind"] == "scale" and before.get("kind") == "conv" and is_alone:
            before["kernel"] = before["kernel"] * node["factors"][:, None]
            before["bias"] = before["bias"] * node["factors"] + node["offsets"]
            places[place] = inputs[0]
        else:
            folded.append(node | {"inputs": inputs})
            places[place] = len(folded)
    return folded, places


def _choose_recorded(nodes: Sequence[Node]) -> None:
    """Mark one call of each network, whose results the page uses: of the shifts of an image the one in the middle."""
    calls: dict[int, list[Node]] = {}
    for node in nodes:
        if node["kind"] == "network":
            calls.setdefault(node["network"], []).append(node)
    for same in calls.values():
        same[len(same) // 2]["recorded"] = True


def _shown(nodes: Sequence[Node]) -> list[dict[str, Any]]:
    """Return the layers that the page shows, each with the place of its result after its activation, and a name."""
    shown: list[dict[str, Any]] = []
    for place, node in enumerate(nodes, 1):
        follows = bool(shown) and node["inputs"] == [shown[-1]["node"]]
        if node["kind"] in TITLES and node["name"] != LOGITS:
            shown.append({"node": place, "name": TITLES[node["kind"]]})
        elif follows and node["kind"] in ("activation", "scale"):
            shown[-1]["node"] = place
    return shown


def _shown_part(model: keras.Model) -> str | None:
    """Return which of several networks the page shows, in words."""
    networks = [layer for layer in model.layers if isinstance(layer, keras.Model)]
    if not networks:
        return None
    return f"the first of {len(networks)} networks" if len(networks) > 1 else "the image without a shift"
