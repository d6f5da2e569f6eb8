"""ONNX files of a model, compared with the engine before anybody gets them."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from din_jax.export.checks import Difference, Expected
from din_jax.export.content import content_graph
from din_jax.export.reference import Reference
from din_jax.export.style import style_graph, why_not
from din_jax.lite.sessions import ContentNetwork, StyleEncoder

STORED = {"float32": "", "float16": ".float16", "int8": ".int8"}
"""Storages of weights, to what the names of files have for them."""


@dataclasses.dataclass(frozen=True)
class OnnxFile:
    """A file that has been compared.

    Attributes:
      name: of the file.
      part: "content" or "style".
      storage: of its weights.
      data: what is in it.
      difference: of pictures painted with it, and otherwise with the engine.
      painted: these pictures, float32 [B, H, W, 3].
    """

    name: str
    part: str
    storage: str
    data: bytes
    difference: Difference
    painted: np.ndarray


def onnx_files(
    reference: Reference,
    expected: Expected,
    storages: Sequence[str],
    metadata: Mapping[str, str],
) -> list[OnnxFile]:
    """Both halves in every storage; the content network alone where no style encoder exports.

    A float32 file equals the engine at every size of `expected`; one of rounded weights, of which
    the graph is the same, is as near as its storage allows.

    Raises:
      UserError: a network that is not exported, or a file that is not equal.
    """
    makers = {"content": content_graph, "style": style_graph}
    if why_not(reference.network):
        del makers["style"]
    # Compared in any case, so that one of rounded weights is not all that speaks for the graph.
    found = []
    for part, make in makers.items():
        for storage in sorted({"float32", *storages}, key=list(STORED).index):
            graph = make(reference.network, reference.shapes, storage)
            data = graph.model(metadata).SerializeToString()
            name = f"{part}{STORED[storage]}.onnx"
            if part == "content":
                encode, paint = None, ContentNetwork(data)
                if storage == "float32":
                    expected.require_equal(paint, name)
            else:
                encode, paint = StyleEncoder(data), reference.paint
                if storage == "float32":
                    expected.require_equal_codes(encode, name)
            painted = expected.largest_painted(encode, paint)
            difference = expected.difference(painted)
            if storage != "float32":
                expected.require_near(difference, storage, name)
            if storage in storages:
                found.append(OnnxFile(name, part, storage, data, difference, painted))
    return found
