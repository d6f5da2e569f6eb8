"""ONNX graphs written node by node.

A graph's maps are [B, C, H, W], as every ONNX runtime wants them; B, H and W are dynamic axes.
"""

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
"""The oldest that has all operations used here, so that the most runtimes take the files."""
IR_VERSION = 8  # that of the first release with opset 17
STORAGES = ("float32", "float16", "int8")
LEAST_STORED = 256  # numbers; smaller arrays are kept in float32 whatever the storage


class Graph:
    """A graph that grows; methods take and give names of values.

    Args:
      name: of the graph.
      storage: what weights are stored as. "float16" and "int8" are turned into float32 where the
        file is loaded, so that every runtime computes the same with them. "int8" has a scale for
        each output channel, w = scale * q with q in -127..127; convolutions of or to three
        channels have few numbers that each matter: float16. Depthwise ones have the fewest, and the
        batch norm of a nearly constant channel, folded in, makes them large (tens, in the
        included model): float32 whatever the storage.
    """

    def __init__(self, name: str, storage: str = "float32"):
        self.name, self.storage = name, storage
        self._nodes: list[onnx.NodeProto] = []
        self._stored: list[onnx.TensorProto] = []
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []
        self._known: dict[tuple, str] = {}
        self._weights: dict[tuple, str] = {}

    def input(self, name: str, shape: Sequence[int | str]) -> str:
        """Declares a float32 input; a text in `shape` names a dynamic axis."""
        self._inputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
        return name

    def output(self, value: str, name: str, shape: Sequence[int | str]) -> None:
        """Declares a value as a float32 output."""
        self._nodes.append(helper.make_node("Identity", [value], [name], name=name))
        self._outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))

    def add(self, operation: str, *inputs: str, **attributes) -> str:
        """A node; its one output."""
        name = f"{operation.lower()}{len(self._nodes)}"
        self._nodes.append(helper.make_node(operation, inputs, [name], name=name, **attributes))
        return name

    def constant(self, array: np.ndarray | Sequence[int]) -> str:
        """A stored array as it is; whole numbers are int64, as ONNX wants sizes and axes."""
        array = np.asarray(array)
        array = array.astype(np.int64 if array.dtype.kind == "i" else np.float32)
        key = (array.dtype.kind, array.shape, array.tobytes())
        if key not in self._known:
            self._known[key] = self._store(array)
        return self._known[key]

    def weight(self, array: np.ndarray, axis: int) -> str:
        """A stored array of weights, in this graph's storage; stored once however often used.

        Args:
          array: any float type.
          axis: of output channels, each of which has a scale of its own in int8.
        """
        array = np.ascontiguousarray(array, np.float64)
        key = (axis, array.shape, hashlib.sha256(array.data).digest())
        if key not in self._weights:
            self._weights[key] = self._stored_weight(array, axis)
        return self._weights[key]

    def _stored_weight(self, array: np.ndarray, axis: int) -> str:
        depthwise = array.ndim == 4 and array.shape[1] == 1
        if self.storage == "float32" or array.size < LEAST_STORED or depthwise:
            return self.constant(array)
        few = array.ndim == 4 and min(array.shape[:2]) <= 3
        if self.storage == "float16" or few:
            return self.add("Cast", self._store(array.astype(np.float16)), to=TensorProto.FLOAT)
        others = tuple(i for i in range(array.ndim) if i != axis)
        scale = np.abs(array).max(others) / 127
        scale = np.where(scale > 0, scale, 1.0).astype(np.float32)
        wide = np.expand_dims(scale, others)
        numbers = np.rint(array / wide).clip(-127, 127).astype(np.int8)
        zero = self._store(np.zeros(scale.shape, np.int8))
        parts = [self._store(numbers), self._store(scale), zero]
        return self.add("DequantizeLinear", *parts, axis=axis)

    def model(self, metadata: Mapping[str, str]) -> onnx.ModelProto:
        """The whole model, checked by ONNX's own checker."""
        graph = helper.make_graph(self._nodes, self.name, self._inputs, self._outputs, self._stored)
        opsets = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(
            graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="din_jax"
        )
        helper.set_model_props(model, dict(metadata))
        onnx.checker.check_model(model, full_check=True)
        return model

    def _store(self, array: np.ndarray) -> str:
        name = f"stored{len(self._stored)}"
        self._stored.append(numpy_helper.from_array(array, name))
        return name
