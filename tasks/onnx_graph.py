"""ONNX graphs, node by node."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


class Graph:
    """Nodes and constants of a graph, in the order of evaluation."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[TensorProto] = []

    def constant(self, name: str, values: Any) -> str:
        """Adds a float32 constant."""
        self.constants.append(numpy_helper.from_array(np.array(values, np.float32), name))
        return name

    def add(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        """Adds a node, named after its only output."""
        node = helper.make_node(operator, inputs, [output], name=output, **attributes)
        self.nodes.append(node)
        return output

    def slice(self, x: str, start: int, end: int, output: str) -> str:
        """Adds a node that takes columns ``start`` to ``end`` of x (B, D)."""
        names = [f"{output}_{end_of}" for end_of in ("from", "to", "axis")]
        for name, value in zip(names, (start, end, 1), strict=True):
            self.constants.append(numpy_helper.from_array(np.array([value], np.int64), name))
        return self.add("Slice", [x, *names], output)

    def mlp(self, name: str, params: Mapping[str, Any], x: str, output: str) -> str:
        """Adds what ``networks.Mlp`` computes: dense layers with ELU between them."""
        for layer in range(len(params)):
            weights = params[f"Dense_{layer}"]
            kernel = self.constant(f"{name}_kernel_{layer}", weights["kernel"])
            bias = self.constant(f"{name}_bias_{layer}", weights["bias"])
            last = layer == len(params) - 1
            y = output if last else f"{name}_dense_{layer}"
            x = self.add("Gemm", [x, kernel, bias], y)
            if not last:
                x = self.add("Elu", [x], f"{name}_elu_{layer}")
        return x
