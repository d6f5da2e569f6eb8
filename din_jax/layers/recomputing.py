"""Activations that a gradient computes anew, block by block, where it would have kept them.

`jax.checkpoint` (Chen et al. 2016) as a question of the trace: blocks are called by `block`, which
inside `recomputing` keeps nothing of one but its inputs.
"""

import contextlib
import contextvars
from collections.abc import Callable, Iterator
from typing import Any

from flax import nnx

_anew = contextvars.ContextVar("recomputing", default=False)


@contextlib.contextmanager
def recomputing(anew: bool) -> Iterator[None]:
    """Whether the blocks that are traced inside are computed anew on the way back."""
    token = _anew.set(anew)
    try:
        yield
    finally:
        _anew.reset(token)


def block(function: Callable, module: nnx.Module, *inputs: Any) -> Any:
    """function(module, *inputs), computed anew by a gradient where that is asked for.

    Args:
      function: pure but for running statistics that `module` holds.
      module: whose arrays `function` reads.
      inputs: trees of arrays.
    """
    if not _anew.get():
        return function(module, *inputs)
    return nnx.remat(function)(module, *inputs)
