"""Pixels found by optimization: L-BFGS over an image (Liu & Nocedal 1989), by Optax.

One step is one program, called from Python, so that a long run can be stopped and told of. Its line
search (Optax's zoom) is a loop inside that program; XLA runs the body of a loop on one core of a
CPU, so more cores do not make it faster there.
"""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import optax
from jax import Array

MEMORY = 10  # pairs of differences that L-BFGS keeps
LINE_SEARCH = 15  # most evaluations of the loss a step
# (networks and targets, image) -> loss
Loss = Callable[[Any, Array], Array]


def _step(loss: Loss, solver: optax.GradientTransformationExtraArgs, given: Any, image, state):
    def value(x: Array) -> Array:
        return loss(given, x)

    at, gradient = optax.value_and_grad_from_state(value)(image, state=state)
    # Optax's line search compares whole numbers with floats.
    with jax.numpy_dtype_promotion("standard"):
        change, state = solver.update(
            gradient, state, image, value=at, grad=gradient, value_fn=value
        )
    return optax.apply_updates(image, change), state, at


class Minimizer:
    """Minimizes a loss over images, compiled once for each shape.

    Args:
      loss: pure; a float32 number of (given, image).
      steps: of L-BFGS.
    """

    def __init__(self, loss: Loss, steps: int):
        search = optax.scale_by_zoom_linesearch(LINE_SEARCH)
        self._solver = optax.lbfgs(memory_size=MEMORY, linesearch=search)
        self._steps = steps
        self._step = jax.jit(lambda *rest: _step(loss, self._solver, *rest))

    def __call__(self, given: Any, start: Array) -> tuple[Array, np.ndarray]:
        """The image found from `start`, and the loss before each step."""
        image, state, losses = start, self._solver.init(start), []
        for _ in range(self._steps):
            image, state, loss = self._step(given, image, state)
            losses.append(loss)
        return image, np.asarray(losses)
