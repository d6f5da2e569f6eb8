"""Reflect padding of feature maps."""

import jax.numpy as jnp
from jax import Array


def reflect_pad(x: Array, rows: int, columns: int | None = None) -> Array:
    """Mirrors `rows` and `columns` at each border, the border itself not repeated.

    Reflection needs a map larger than the padding; a smaller one is refused at trace time, where
    PyTorch raises and NumPy folds several times.

    Args:
      x: [B, H, W, C] with H > rows and W > columns.
      rows: pixels added above and below.
      columns: pixels added left and right; None takes `rows`.

    Returns:
      [B, H + 2 rows, W + 2 columns, C].

    Raises:
      ValueError: the map is not larger than the padding.
    """
    columns = rows if columns is None else columns
    h, w = x.shape[1:3]
    if h <= rows or w <= columns:
        raise ValueError(
            f"Reflect padding by {rows} x {columns} needs a map larger than that, not {h} x {w}: "
            "give a larger image."
        )
    if rows:
        x = jnp.concatenate([x[:, rows:0:-1], x, x[:, -2 : -2 - rows : -1]], 1)
    if columns:
        x = jnp.concatenate([x[:, :, columns:0:-1], x, x[:, :, -2 : -2 - columns : -1]], 2)
    return x
