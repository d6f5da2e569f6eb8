"""Many steps as one call: nothing is read from the device, and nobody waits, in between."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from din_jax.training.state import TrainState

Sums = dict[str, Array]
Result = tuple[TrainState, Sums, Array]
Carry = tuple[TrainState, Sums, Array, Array]  # steps done, and begun


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
        # Jitted, it is traced once for its metrics' shapes and for the program.
        self.step = jax.jit(step, inline=True)
        self.draw, self.whole = draw, whole
        self.loop = jax.default_backend() != "cpu" if loop is None else loop
        function = self._loop if self.loop else self._one
        places = (shardings, whole, whole) if self.loop else (shardings, whole, whole, whole)
        self._compiled = jax.jit(function, donate_argnums=0, out_shardings=places)
        self._zeros: Sums | None = None  # on the host; finding them traces the whole step

    @property
    def compilations(self) -> int:
        """How many programs have been compiled so far."""
        return self._compiled._cache_size()

    def __call__(self, state: TrainState, count: int, *rest) -> Result:
        # Numbers are put on the devices in so many words, so that `jax.transfer_guard` can tell
        # arrays that came unasked.
        if self.loop:
            return self._compiled(state, jax.device_put(np.int32(count), self.whole), *rest)
        if self._zeros is None:
            self._zeros = {k: np.zeros(x.shape, x.dtype) for k, x in self._sums(state, *rest)}
        carry = state, *jax.device_put((self._zeros, np.int32(0), np.int32(0)), self.whole)
        for _ in range(count):
            carry = self._compiled(carry, *rest)
        return carry[:3]

    def _one(self, carry: Carry, taken, arrays, vgg, frozen) -> Carry:
        state, sums, done, i = carry
        batch = self.draw(arrays, taken, i, state.step)
        new, metrics = self.step(state, batch, vgg, frozen, allowed=done == i)
        moved = new.step > state.step
        sums = {name: total + jnp.where(moved, metrics[name], 0) for name, total in sums.items()}
        return new, sums, done + moved.astype(done.dtype), i + 1

    def _loop(self, state: TrainState, count: Array, *rest) -> Result:
        zero = _zero(state)

        def unfinished(carry: Carry) -> Array:
            *_, done, i = carry
            return (i < count) & (done == i)

        sums = {name: jnp.zeros(x.shape, x.dtype) for name, x in self._sums(state, *rest)}
        start = (state, sums, zero, zero)
        return jax.lax.while_loop(unfinished, lambda carry: self._one(carry, *rest), start)[:3]

    def _sums(self, *arguments):
        """(name, shape and type) of each metric."""

        def metrics(state, taken, arrays, vgg, frozen):
            i = _zero(state)
            batch = self.draw(arrays, taken, i, state.step)
            return self.step(state, batch, vgg, frozen, allowed=i == i)[1]

        return jax.eval_shape(metrics, *arguments).items()


def _zero(state: TrainState) -> Array:
    """int32 0 on the state's mesh: with one on none the step would be traced a second time."""
    return state.step * 0
