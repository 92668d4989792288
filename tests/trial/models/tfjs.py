"""The operations of a graph of TensorFlow.js's format that MobileNetV1 needs, computed one by one."""

import base64
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


def evaluate(graph: Mapping[str, Any], values: Mapping[str, Tensor], images: np.ndarray, wanted: str):
    """The output of the node `wanted` for `images` (B, height, width, 3), channels last as all there."""
    nodes = {node["name"]: node for node in graph["modelTopology"]["node"]}
    known: dict[str, Tensor] = dict(values)

    for name, node in nodes.items():  # each after its inputs
        if node["op"] == "Placeholder":
            known[name] = torch.from_numpy(images)
        elif node["op"] != "Const" and all(one in known for one in node["input"]):
            known[name] = OPERATIONS[node["op"]](node, *(known[one] for one in node["input"]))
            if name == wanted:
                return known[name].numpy()
    raise KeyError(wanted)


def _convolution(node: Mapping[str, Any], images: Tensor, kernel: Tensor) -> Tensor:
    depthwise = node["op"] == "DepthwiseConv2dNative"
    stride = int(node["attr"]["strides"]["list"]["i"][1])
    assert base64.b64decode(node["attr"]["padding"]["s"]) == b"SAME"
    size = kernel.shape[0]
    padding = []
    for side in (images.shape[2], images.shape[1]):  # torch's order: the last axis first
        total = max((-(-side // stride) - 1) * stride + size - side, 0)
        padding += [total // 2, total - total // 2]
    padded = F.pad(images.permute(0, 3, 1, 2), padding)
    weight = kernel.permute(2, 3, 0, 1) if depthwise else kernel.permute(3, 2, 0, 1)
    found = F.conv2d(padded, weight, stride=stride, groups=images.shape[3] if depthwise else 1)
    return found.permute(0, 2, 3, 1)


OPERATIONS = {
    "Conv2D": _convolution,
    "DepthwiseConv2dNative": _convolution,
    "Add": lambda node, one, other: one + other,
    "Mul": lambda node, one, other: one * other,
    "Relu": lambda node, one: one.relu(),
    "Minimum": lambda node, one, other: torch.minimum(one, other),
    "Maximum": lambda node, one, other: torch.maximum(one, other),
    "Mean": lambda node, one, axes: one.mean(axes.tolist()),
}
