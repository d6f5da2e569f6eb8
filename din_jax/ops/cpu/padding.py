"""Borders written into the padded map in place, by a loop.

As a concatenation of the map with small strips of it, or as `.at[].set`, XLA makes a border part of
whatever loop reads it, where LLVM turns the choice between map and strip into masked loads that
point far outside the strip, and the processor takes up to a hundred times as long over each where
that memory is not mapped (docs/SLOW_STATE.md). A loop is what XLA on CPU does not fuse;
`lax.optimization_barrier` is taken out before it fuses.
"""

import functools

import jax
import jax.numpy as jnp
from jax import Array, lax

from din_jax.ops import extent


def reflect_in_place(x: Array, rows: int, columns: int) -> Array:
    """`ops.reflect_pad` of a map that is large enough. Reverse mode only."""
    if extent.current() is not None:
        return _pictures_in_place(x, rows, columns, True)
    return _pad_in_place(x, rows, columns, True) if rows or columns else x


def repeat_in_place(x: Array) -> Array:
    """`ops.padding.repeat_border`. Reverse mode only."""
    if extent.current() is not None:
        return _pictures_in_place(x, 1, 1, False)
    return _pad_in_place(x, 1, 1, False)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2, 3))
def _pad_in_place(x: Array, rows: int, columns: int, between: bool) -> Array:
    """The map mirrored at its border pixels or, not `between`, at its edge."""
    padded = jnp.pad(x, ((0, 0), (rows, rows), (columns, columns), (0, 0)))
    for axis, width in ((1, rows), (2, columns)):
        padded = _each_border_line(padded, axis, width, between, _copy_outside)
    return padded


def _pad_forward(x: Array, rows: int, columns: int, between: bool) -> tuple[Array, None]:
    return _pad_in_place(x, rows, columns, between), None


def _pad_backward(rows: int, columns: int, between: bool, _: None, gradient: Array):
    for axis, width in ((2, columns), (1, rows)):
        gradient = _each_border_line(gradient, axis, width, between, _add_inside)
    h, w = gradient.shape[1:3]
    return (gradient[:, rows : h - rows, columns : w - columns],)


_pad_in_place.defvjp(_pad_forward, _pad_backward)


def _each_border_line(padded: Array, axis: int, width: int, between: bool, change) -> Array:
    """`change`(padded, axis, line outside, its mirror) for the `width` lines of both ends."""
    last = padded.shape[axis] - 1

    def one(i, padded):
        outside = width - 1 - i // 2
        inside = width + i // 2 + int(between)
        first_end = i % 2 == 0
        lines = [jnp.where(first_end, line, last - line) for line in (outside, inside)]
        return change(padded, axis, *lines)

    return lax.fori_loop(0, 2 * width, one, padded) if width else padded


def _copy_outside(padded: Array, axis: int, outside: Array, inside: Array) -> Array:
    line = lax.dynamic_slice_in_dim(padded, inside, 1, axis)
    return lax.dynamic_update_slice_in_dim(padded, line, outside, axis)


def _add_inside(padded: Array, axis: int, outside: Array, inside: Array) -> Array:
    lines = (lax.dynamic_slice_in_dim(padded, line, 1, axis) for line in (inside, outside))
    return lax.dynamic_update_slice_in_dim(padded, sum(lines), inside, axis)


def _pictures_in_place(x: Array, rows: int, columns: int, between: bool) -> Array:
    """As `_pad_in_place`, each picture of `ops.extent` at its own border; the rest is anything."""
    sizes = extent.current().size_at(x)
    padded = jnp.pad(x, ((0, 0), (rows, rows), (columns, columns), (0, 0)))
    for axis, width in ((1, rows), (2, columns)):
        padded = _each_picture_s_line(padded, axis, width, between, sizes[:, axis - 1])
    return padded


def _each_picture_s_line(
    padded: Array, axis: int, width: int, between: bool, sizes: Array
) -> Array:
    """`width` lines copied outside both ends of each picture of `sizes` [B] along an axis."""
    lasts = sizes + 2 * width - 1

    def one(i, padded):
        image, i = i // (2 * width), i % (2 * width)
        lines = jnp.stack([width - 1 - i // 2, width + i // 2 + int(between)])
        outside, inside = jnp.where(i % 2 == 0, lines, lasts[image] - lines)
        start, size = [image, 0, 0, 0], [1, *padded.shape[1:]]
        start[axis], size[axis] = inside, 1
        line = lax.dynamic_slice(padded, start, size)
        start[axis] = outside
        return lax.dynamic_update_slice(padded, line, start)

    return lax.fori_loop(0, 2 * width * len(padded), one, padded) if width else padded
