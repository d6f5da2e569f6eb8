"""Many steps as one call: nothing is read from the device, and nobody waits, in between."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from din_jax.training.state import TrainState

Sums = dict[str, Array]
Result = tuple[TrainState, Sums, Array]


class Steps:
    """steps(state, count, taken, arrays, vgg, frozen) -> (state, sums, done), compiled.

    Runs `count` steps of a state, which is donated, each on the batch that
    `draw(arrays, taken, i, step)` makes, and adds their metrics up. A step that is not finite is
    the last: `done` < `count`, and the state is that before it.

    On GPU and TPU the steps are a loop on the device, one program for every count. XLA on CPU runs
    what stands in a loop on one core, so there each step is a program, started without waiting for
    the one before.

    Args:
      step: of `make_train_step`.
      draw: of a feed.
      shardings: where the state lies; None leaves it to the compiler.
      whole: where sums and numbers lie; likewise.
      loop: whether to loop on the device; None decides by the backend.
    """

    def __init__(
        self, step: Callable, draw: Callable, shardings=None, whole=None, loop: bool | None = None
    ):
        self.step, self.draw, self.whole = step, draw, whole
        self.loop = jax.default_backend() != "cpu" if loop is None else loop
        function = self._loop if self.loop else self._one
        self._compiled = jax.jit(
            function, donate_argnums=0, out_shardings=(shardings, whole, whole)
        )
        self._zeros: Sums | None = None  # on the host; finding them traces the whole step

    @property
    def compilations(self) -> int:
        """How many programs have been compiled so far."""
        return self._compiled._cache_size()

    def __call__(self, state: TrainState, count: int, *rest) -> Result:
        if self.loop:
            return self._compiled(state, np.int32(count), *rest)
        if self._zeros is None:
            self._zeros = {k: np.zeros(x.shape, x.dtype) for k, x in self._sums(state, *rest)}
        result = state, *jax.device_put((self._zeros, np.int32(0)), self.whole)
        for i in range(count):
            result = self._compiled(result, np.int32(i), *rest)
        return result

    def _one(self, result: Result, i: Array, taken, arrays, vgg, frozen) -> Result:
        state, sums, done = result
        batch = self.draw(arrays, taken, i, state.step)
        new, metrics = self.step(state, batch, vgg, frozen, allowed=done == i)
        moved = new.step > state.step
        sums = {name: total + jnp.where(moved, metrics[name], 0) for name, total in sums.items()}
        return new, sums, done + moved

    def _loop(self, state: TrainState, count: Array, *rest) -> Result:
        zero = jnp.zeros((), jnp.int32)

        def unfinished(carry):
            i, (_, _, done) = carry
            return (i < count) & (done == i)

        def body(carry):
            i, result = carry
            return i + 1, self._one(result, i, *rest)

        sums = {name: jnp.zeros(x.shape, x.dtype) for name, x in self._sums(state, *rest)}
        return jax.lax.while_loop(unfinished, body, (zero, (state, sums, zero)))[1]

    def _sums(self, *arguments):
        """(name, shape and type) of each metric."""

        def metrics(state, taken, arrays, vgg, frozen):
            batch = self.draw(arrays, taken, jnp.zeros((), jnp.int32), state.step)
            return self.step(state, batch, vgg, frozen)[1]

        return jax.eval_shape(metrics, *arguments).items()
