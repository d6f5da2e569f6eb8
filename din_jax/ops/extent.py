"""Maps that are larger than the pictures they hold, computed as if they were not.

Programs are compiled for a few sizes of map; pictures have any size, and a piece of a large one has
neighbors. Inside `within(extent)` whatever ends at a picture's border ends there and not where the
map does: convolutions mirror at it (`ops.padding`), statistics count what is the map's own
(`layers.measuring`). Outside of it nothing is different, nor is any program.

To be entered inside a function that is traced, around operations that no `jit` inside it has traced
before: the sizes are numbers of that trace.
"""

import contextlib
import contextvars
import dataclasses

import jax.numpy as jnp
from jax import Array


@dataclasses.dataclass(frozen=True, eq=False)
class Extent:
    """Where the pictures of a batch of maps end.

    Attributes:
      shape: rows and columns of the full-size map, which every smaller map divides.
      size: int [B, 2], rows and columns that each picture has from the upper left corner, at full
        size; beyond the map is at its end. A map of 1/s the size holds ceil(size / s).
      own: int [B, 2, 2], (first, stop) rows and columns that statistics count, at full size; None
        is all of the picture.
      pooled: whether the statistics are a share of those of a larger picture, to be pooled.
    """

    shape: tuple[int, int]
    size: Array
    own: Array | None = None
    pooled: bool = False

    def size_at(self, x: Array) -> Array:
        """Rows and columns of the pictures on a map [B, h, w, C], int [B, 2]."""
        return jnp.minimum(-(-self.size // self._scale(x)), jnp.asarray(x.shape[1:3])[None])

    def share(self, x: Array) -> Array:
        """1 where statistics of a map [B, h, w, C] count, else 0: float32 [B, h, w]."""
        if self.own is None:
            size = self.size_at(x)
            own = jnp.stack([jnp.zeros_like(size), size], -1)
        else:
            own = -(-self.own // self._scale(x))
        inside = [
            (jnp.arange(n)[None] >= own[:, axis, :1]) & (jnp.arange(n)[None] < own[:, axis, 1:])
            for axis, n in enumerate(x.shape[1:3])
        ]
        return (inside[0][:, :, None] & inside[1][:, None]).astype(jnp.float32)

    def _scale(self, x: Array) -> int:
        scale = self.shape[0] // x.shape[1]
        if self.shape != (scale * x.shape[1], scale * x.shape[2]):
            raise ValueError(
                f"A map of {x.shape[1]} x {x.shape[2]} does not divide one of {self.shape[0]} x "
                f"{self.shape[1]}: give pictures in maps of a multiple of 8 pixels."
            )
        return scale


_current: contextvars.ContextVar[Extent | None] = contextvars.ContextVar("extent", default=None)


def current() -> Extent | None:
    """The extent of the pictures that are being computed; None where maps are the pictures."""
    return _current.get()


@contextlib.contextmanager
def within(extent: Extent | None):
    """Computes with the given extent inside the block; None is that of the maps."""
    token = _current.set(extent)
    try:
        yield
    finally:
        _current.reset(token)


def outside_cleared(x: Array) -> Array:
    """A map [B, h, w, C] with zeros outside its pictures."""
    extent = current()
    if extent is None:
        return x
    size = extent.size_at(x)
    rows = jnp.arange(x.shape[1])[None] < size[:, :1]
    columns = jnp.arange(x.shape[2])[None] < size[:, 1:]
    return jnp.where((rows[:, :, None] & columns[:, None])[..., None], x, 0)
