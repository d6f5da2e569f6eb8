"""Pictures of styles to codes, by one program or two."""

import functools

from flax import nnx
from jax import Array

from din_jax.config import ModelConfig
from din_jax.inference import programs
from din_jax.inference.batching import CompiledCache
from din_jax.layers.codes import StyleCode


class Reading:
    """Compiled `encode_style`, one program per shape of its argument.

    What a model reads as statistics has one shape for styles of every size. There it is two
    programs, and the second, with feedback four fifths of what there is to compile, is compiled
    once for all sizes.

    Args:
      graph: of the network.
      config: the model's settings.
      cache: how many shapes are kept, of each program.
    """

    def __init__(self, graph: nnx.GraphDef, config: ModelConfig, cache: int):
        apart = config.style_feature == "statistics"
        steps = (programs.read, programs.code) if apart else (programs.encode,)
        self._steps = [CompiledCache(functools.partial(step, graph), cache) for step in steps]

    @property
    def compilations(self) -> int:
        """How many programs have been compiled so far."""
        return sum(step.compilations for step in self._steps)

    def __call__(self, state: dict, styles: Array) -> StyleCode:
        """The code of styles of one size, uint8 [B, H, W, 3], or of the numbers [B] of known ones.

        Args:
          state: the network's arrays, nested dicts.
        """
        for step in self._steps:
            styles = step(state, styles)
        return styles
