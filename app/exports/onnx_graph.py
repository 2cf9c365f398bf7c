"""A graph of ONNX that is written node by node; names of its own never meet those of columns."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

IR_VERSION, OPSET = 10, 21
"""The newest that today's onnxruntime takes without a word."""

STRING, DOUBLE = TensorProto.STRING, TensorProto.DOUBLE
KINDS = {np.dtype(np.float32): TensorProto.FLOAT, np.dtype(np.float64): DOUBLE}


class Graph:
    """Nodes in order. Each method that adds one gives back the name of its result."""

    def __init__(self, dtype: np.dtype[Any], taken: Sequence[str]) -> None:
        self.dtype = dtype
        self._nodes: list[Any] = []
        self._constants: dict[str, Any] = {}
        self._known: dict[Any, str] = {}
        self._prefix = "_"
        while any(name.startswith(self._prefix) for name in taken):
            self._prefix += "_"

    def node(self, kind: str, *inputs: str, out: str | None = None, **attributes: Any) -> str:
        name = out or f"{self._prefix}{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def constant(self, array: Any, dtype: Any = None) -> str:
        """An array, in the network's dtype if no other is given; the same one twice is one."""
        values: NDArray[Any] = np.asarray(array, self.dtype if dtype is None else dtype)
        key: Any = (values.dtype.str, values.shape, values.tobytes() if values.size <= 64 else object())
        if key not in self._known:
            name = self._known[key] = f"{self._prefix}c{len(self._known)}"
            self._constants[name] = numpy_helper.from_array(values, name)
        return self._known[key]

    def words(self, words: Sequence[str]) -> str:
        """A row of strings."""
        key = ("words", tuple(words))
        if key not in self._known:
            name = self._known[key] = f"{self._prefix}c{len(self._known)}"
            spelled: Any = [word.encode() for word in words]
            self._constants[name] = helper.make_tensor(name, STRING, [1, len(words)], spelled)
        return self._known[key]

    def cast(self, value: str, kind: int, out: str | None = None) -> str:
        return self.node("Cast", value, to=kind, out=out)

    def model(
        self, inputs: dict[str, int], outputs: dict[str, tuple[int, int]], notes: dict[str, str]
    ) -> bytes:
        """By name the inputs' types, and the outputs' types and numbers of columns."""
        graph = helper.make_graph(
            self._nodes,
            "chainrule",
            [helper.make_tensor_value_info(name, kind, ["N", 1]) for name, kind in inputs.items()],
            [helper.make_tensor_value_info(name, kind, ["N", k]) for name, (kind, k) in outputs.items()],
            list(self._constants.values()),
        )
        opsets = [helper.make_opsetid("", OPSET)]
        made = helper.make_model(
            graph, ir_version=IR_VERSION, opset_imports=opsets, producer_name="chainrule"
        )
        helper.set_model_props(made, notes)
        written: bytes = made.SerializeToString()
        return written
