"""Borders of feature maps: reflected, repeated, or zero; of the pictures in them (`ops.extent`)."""

import functools

import jax
import jax.numpy as jnp
from jax import Array

from din_jax.ops import extent
from din_jax.ops.cpu.padding import reflect_in_place, repeat_in_place
from din_jax.ops.forms import by_platform
from din_jax.ops.shapes import check_map


def reflect_pad(x: Array, rows: int, columns: int | None = None) -> Array:
    """Mirrors `rows` and `columns` at each border, the border itself not repeated.

    Reflection needs a map larger than the padding; a smaller one is refused at trace time, where
    PyTorch raises and NumPy folds several times. Reverse mode only, but inside
    `default_form("conv")`.

    Args:
      x: [B, H, W, C] with H > rows and W > columns.
      rows: pixels added above and below.
      columns: pixels added left and right; None takes `rows`.

    Returns:
      [B, H + 2 rows, W + 2 columns, C].

    Raises:
      ValueError: the map is not larger than the padding.
    """
    check_map(x, floats=False)
    columns = rows if columns is None else columns
    check_reflection(x, rows, columns)
    if not rows and not columns:
        return x
    return by_platform(reflect_in_place, concatenate_reflection, x, rows=rows, columns=columns)


def check_reflection(x: Array, rows: int, columns: int):
    """Raises ValueError where `reflect_pad` does."""
    h, w = x.shape[1:3]
    if h <= rows or w <= columns:
        raise ValueError(
            f"Reflect padding by {rows} x {columns} needs a map larger than that, not {h} x {w}: "
            "give a larger image."
        )


def check_border(x: Array, width: int, halo: bool):
    """Raises ValueError for a map that has no room for the border, reflected or its own halo."""
    if not halo:
        check_reflection(x, width, width)
    elif min(x.shape[1:3]) <= 2 * width:
        raise ValueError(
            f"A map with a halo of {width} on each side is larger than {2 * width} x {2 * width}, "
            f"not {x.shape[1]} x {x.shape[2]}: cut the tile out with the pixels around it."
        )


def concatenate_reflection(x: Array, rows: int, columns: int) -> Array:
    """`reflect_pad` of a map that is large enough, for other platforms than the CPU."""
    if extent.current() is not None:
        return _gathered(x, rows, columns, True)
    if rows:
        x = jnp.concatenate([x[:, rows:0:-1], x, x[:, -2 : -2 - rows : -1]], 1)
    if columns:
        x = jnp.concatenate([x[:, :, columns:0:-1], x, x[:, :, -2 : -2 - columns : -1]], 2)
    return x


def repeat_border(x: Array) -> Array:
    """[B, H, W, C] to [B, H + 2, W + 2, C]: the outer rows and columns once more.

    Reverse mode only, but inside `default_form("conv")`.
    """
    return by_platform(repeat_in_place, _repeat_elsewhere, x)


def _repeat_elsewhere(x: Array) -> Array:
    if extent.current() is not None:
        return _gathered(x, 1, 1, False)
    return jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")


def _gathered(x: Array, rows: int, columns: int, between: bool) -> Array:
    """The border of each picture of `ops.extent`, mirrored at its pixels or, not `between`, at its
    edge; the rest is anything.
    """
    sizes = extent.current().size_at(x)
    for axis, width in ((1, rows), (2, columns)):
        last = sizes[:, axis - 1, None] - 1
        lines = jnp.arange(-width, x.shape[axis] + width)[None]
        if between:
            lines = jnp.where(lines > last, 2 * last - lines, jnp.abs(lines))
        else:
            lines = jnp.minimum(lines, last)
        lines = jnp.clip(lines, 0, x.shape[axis] - 1)
        take = functools.partial(jnp.take, axis=axis - 1)
        x = jax.vmap(take)(x, lines) if width else x
    return x


def zero_border(x: Array, width: int) -> Array:
    """[B, H, W, C] to [B, H + 2 width, W + 2 width, C], zeros around it."""
    return jnp.pad(x, ((0, 0), (width, width), (width, width), (0, 0)))
