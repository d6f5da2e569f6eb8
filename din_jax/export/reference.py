"""The engine's network on pictures of numbers, which every exported file is compared with."""

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array

from din_jax.inference.codes import code_shapes
from din_jax.inference.fold import for_inference
from din_jax.layers.codes import LayerCode, StyleCode
from din_jax.weights.models import LoadedModel

FlatCode = Mapping[str, Array]
"""A style code by the names that exported files have for its parts: LEVEL.kernel and LEVEL.bias."""


def flat_code(code: StyleCode) -> dict[str, Array]:
    """A style code with one name for each array."""
    return {
        f"{level}.{field}": value
        for level, part in code.items()
        for field, value in part._asdict().items()
    }


def nested_code(flat: FlatCode) -> StyleCode:
    """The style code of dynamic convolutions that `flat_code` came from."""
    levels = sorted({name.partition(".")[0] for name in flat})
    return {x: LayerCode(flat[f"{x}.kernel"], flat[f"{x}.bias"]) for x in levels}


# Compiled in a sixth of the time, before it runs a moment: what compares is run once. These are
# tests' flags too (tests/conftest.py); they change no meaning.
HURRIED = {
    "xla_backend_optimization_level": 0,
    "xla_cpu_use_fusion_emitters": False,
    "xla_cpu_parallel_codegen_split_count": 1,
}


class Reference:
    """A model's two halves as functions of arrays, batch norms folded as the engine folds them.

    Pictures are float32 [B, H, W, 3], RGB in [0, 1], of any size from 32 pixels; each size is
    compiled once.

    Args:
      loaded: the model.
      hurried: whether little time goes into compiling, on CPU; not for what is timed.

    Attributes:
      network: that of the engine.
      shapes: of one style's code, `code.LEVEL.kernel` and so on.
    """

    def __init__(self, loaded: LoadedModel, *, hurried: bool = True):
        self.network = for_inference(loaded.model)
        self.shapes = code_shapes(self.network)
        self._graph, state = nnx.split(self.network)
        self._state = nnx.to_pure_dict(state)
        self._options = HURRIED if hurried and jax.default_backend() == "cpu" else None
        self._encode = jax.jit(self.encoding, compiler_options=self._options)
        self._paint = jax.jit(self.painting, compiler_options=self._options)

    def encoding(self, state: dict, style: Array) -> FlatCode:
        """What `encode` compiles; `state` is `arrays`."""
        return flat_code(nnx.merge(self._graph, state).encode_style(style))

    def painting(self, state: dict, content: Array, code: FlatCode) -> Array:
        """What `paint` compiles."""
        network = nnx.merge(self._graph, state)
        return jnp.clip(network.stylize(content, nested_code(code)), 0, 1)

    @property
    def arrays(self) -> dict:
        """The network's, nested by path."""
        return self._state

    def encode(self, style: np.ndarray) -> dict[str, np.ndarray]:
        """Style pictures to their codes."""
        return jax.device_get(self._encode(self._state, style))

    def paint(self, content: np.ndarray, code: FlatCode) -> np.ndarray:
        """Contents painted in a code of each, or of one for all; clipped to [0, 1]."""
        return np.asarray(self._paint(self._state, content, _for_each(code, len(content))))

    def encode_exactly(self, style: np.ndarray) -> dict[str, np.ndarray]:
        """`encode` in float64, of the same float32 weights."""
        return self._exactly(self.encoding, style)

    def paint_exactly(self, content: np.ndarray, code: FlatCode) -> np.ndarray:
        """`paint` in float64, of the same float32 weights and code."""
        return self._exactly(self.painting, content, _for_each(code, len(content)))

    def _exactly(self, compute: Callable, *inputs):
        with jax.enable_x64(True):
            wide = jax.tree.map(_wide, (self._state, *inputs))
            return jax.device_get(jax.jit(compute, compiler_options=self._options)(*wide))


def _for_each(code: FlatCode, count: int) -> FlatCode:
    return {name: np.broadcast_to(x, (count, *np.shape(x)[1:])) for name, x in code.items()}


def _wide(x) -> np.ndarray:
    x = np.asarray(x)
    return x.astype(np.float64) if x.dtype == np.float32 else x
