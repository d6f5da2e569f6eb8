"""Bilinear reading of a map at any points, its transpose and its slope.

Convention, torchvision's `deform_conv2d` and `roi_align`: a point is (y, x) in pixels, y downward,
and (0, 0) is the center of the first pixel. Outside the map lie zeros, so a value fades out over
the last pixel: points with y <= -1 or y >= H (x alike) give 0, between them the corners inside the
map count with their bilinear weights (Dai et al. 2017, eq. 3 and 4):

    value(y, x) = sum_q max(0, 1 - |y - q_y|) max(0, 1 - |x - q_x|) x[q],     q in the map.

The slope is that to the right and below where it jumps, at whole coordinates, as in torchvision.
A point is written as a whole-pixel origin plus an offset, because their float32 sum would lose the
offset's digits: at column 500 of a map, 3e-5 of a pixel.

All reads are of whole rows of channels from the map seen as a table [B, H * W * groups,
C / groups]. XLA on CPU fuses four such reads and their weighted sum into one loop (2 ms for
256 x 256 points of 32 channels); stacked reads, or two results from the same reads, are written
out first and take 10 times as long.
"""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import Array, lax

from din_jax.ops.widening import wide_type

# Rows of the table and the weight of each: int32 and float32, [B, M] with M = points x groups.
Corners = list[tuple[Array, Array]]


def bilinear_sample(x: Array, positions: Array, groups: int = 1) -> Array:
    """The map's values at float points, zero outside the map; see the module for the convention.

    Reverse mode only, to `x` and to `positions`.

    Args:
      x: [B, H, W, C].
      positions: [B, ..., 2], (y, x) in pixels; [B, ..., groups, 2] with groups > 1, where every
        C / groups consecutive channels are read at points of their own. Float32 or wider: a type
        with fewer digits is refused, since bfloat16 cannot tell pixels apart beyond 256.
      groups: divides C.

    Returns:
      [B, ..., C] of the type of x; the interpolation is in float32.

    Raises:
      ValueError: shapes or types that do not fit, at trace time.
    """
    if x.ndim != 4 or positions.ndim < 2 or positions.shape[-1] != 2:
        raise ValueError(
            "Bilinear sampling takes x [B, H, W, C] and positions [B, ..., 2], "
            f"not shapes {x.shape} and {positions.shape}."
        )
    if positions.shape[0] != x.shape[0]:
        raise ValueError(
            f"The batch has {x.shape[0]} maps but positions for {positions.shape[0]}: "
            "give positions for every map."
        )
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise ValueError(f"Maps are of a float type, not {x.dtype}: convert them first.")
    if not jnp.issubdtype(positions.dtype, jnp.floating) or positions.dtype.itemsize < 4:
        raise ValueError(
            f"Positions are float32 or wider, not {positions.dtype}: convert them before sampling."
        )
    if groups < 1 or x.shape[-1] % groups:
        raise ValueError(
            f"{groups} groups do not divide the {x.shape[-1]} channels: choose a divisor."
        )
    points = positions.shape[:-1]
    if groups > 1:
        if positions.ndim < 3 or positions.shape[-2] != groups:
            raise ValueError(
                f"With {groups} groups the positions are [B, ..., {groups}, 2], "
                f"not {positions.shape}: give every group its own."
            )
        points = positions.shape[:-2]
    y = _sample(x, positions.reshape(x.shape[0], math.prod(points[1:]), groups, 2))
    return y.reshape(*points, x.shape[-1])


@jax.custom_vjp
def _sample(x: Array, positions: Array) -> Array:
    """[B, H, W, C] at [B, N, G, 2] -> [B, N * G, C / G].

    The gradient is written out because XLA's own materializes the four reads and their products:
    170 ms against 16, and 11 maps of memory against 2.3, at 256 x 256 points of 32 channels.
    """
    pixels = corners(x.shape, positions)
    return read(as_table(x, positions.shape[-2]), pixels).astype(x.dtype)


def _sample_forward(x, positions):
    return _sample(x, positions), (x, positions)


def _sample_backward(saved, gradient):
    x, positions = saved
    total = jnp.zeros(as_table(x, positions.shape[-2]).shape, wide_type(x, positions))
    total = add(total, corners(x.shape, positions), gradient)
    to_positions, _ = slopes(x, positions, gradient)
    return total.reshape(x.shape).astype(x.dtype), to_positions.astype(positions.dtype)


_sample.defvjp(_sample_forward, _sample_backward)


def as_table(x: Array, groups: int) -> Array:
    """[B, H, W, C] -> [B, H * W * groups, C / groups], no copy."""
    b, h, w, c = x.shape
    return x.reshape(b, h * w * groups, c // groups)


def corners(
    shape: Sequence[int],
    offsets: Array,
    origin: Array | None = None,
    scale: Array | None = None,
    slope: str | None = None,
) -> Corners:
    """The four pixels around each point, as rows of the table and the weight of each.

    Args:
      shape: of the map, (B, H, W, C).
      offsets: [B, ..., G, 2], in pixels from the origin.
      origin: int32, of as many axes as `offsets`; None is the map's first pixel.
      scale: [B, ..., G], multiplies the weights; None is 1.
      slope: "y" or "x" gives the weights of the derivative along it instead of the value.

    Returns:
      Four pairs. Pixels outside the map have weight 0 and the row of one inside; a point that is
      not a number keeps weights that are none.
    """
    ends = []
    for axis, name in enumerate("yx"):
        size = shape[1 + axis]
        start = jnp.int32(0) if origin is None else origin[..., axis]
        # Beyond this range both pixels lie outside in any case; larger numbers are no int32.
        ends_at = [(end - start).astype(offsets.dtype) for end in (-2, size)]
        near = jnp.clip(offsets[..., axis], *ends_at)
        whole = jnp.floor(near)
        after = near - whole
        first = start + whole.astype(jnp.int32)
        one = jnp.ones_like(after)
        weights = (-one, one) if slope == name else (one - after, after)
        ends.append(
            [
                (jnp.clip(pixel, 0, size - 1), weight * _inside(pixel, size, weight.dtype))
                for pixel, weight in zip((first, first + 1), weights, strict=True)
            ]
        )
    groups = offsets.shape[-2]
    table_rows = (offsets.shape[0], math.prod(offsets.shape[1:-1]))
    group = jnp.arange(groups, dtype=jnp.int32).reshape((1,) * (offsets.ndim - 2) + (groups,))
    pixels = []
    for y, weight_y in ends[0]:
        for x, weight_x in ends[1]:
            weight = weight_y * weight_x if scale is None else weight_y * weight_x * scale
            row = (y * shape[2] + x) * groups + group
            pixels.append((row.reshape(table_rows), weight.reshape(table_rows)))
    return pixels


def _inside(pixel: Array, size: int, dtype: jnp.dtype) -> Array:
    return ((pixel >= 0) & (pixel < size)).astype(dtype)


def read(table: Array, pixels: Corners) -> Array:
    """sum over the corners of weight * row: [B, M, C / G], float32 or wider.

    A row of weight 0 gives 0 whatever it holds: the one that stands for a pixel outside the map may
    hold what is no number. The choice becomes part of the loop and costs no time.
    """
    take = jax.vmap(lambda rows, index: rows.at[index].get(mode="promise_in_bounds"))
    kept = wide_type(table, pixels[0][1])

    def term(row: Array, weight: Array) -> Array:
        weight = weight[..., None].astype(kept)
        return jnp.where(weight == 0, 0, take(table, row).astype(kept) * weight)

    return sum(term(*pixel) for pixel in pixels)


def slopes(
    x: Array,
    offsets: Array,
    values: Array,
    origin: Array | None = None,
    scale: Array | None = None,
) -> tuple[Array, Array | None]:
    """The gradients of sum(values * read(x)) to the offsets and to the scale of `corners`.

    Args:
      x: [B, H, W, C].
      offsets, origin, scale: see `corners`.
      values: [B, M, C / G].

    Returns:
      The shape of `offsets` and that of `scale`, None without one; float32 or wider.
    """
    table = as_table(x, offsets.shape[-2])
    ones = jnp.ones((table.shape[-1], 1), wide_type(x, offsets))
    kinds = [(scale, "y"), (scale, "x")] + ([] if scale is None else [(None, None)])
    results = []
    for weight, slope in kinds:
        # The compiler would share the reads of one kind with the next, and so write them out.
        offsets, values = lax.optimization_barrier((offsets, values))
        terms = read(table, corners(x.shape, offsets, origin, weight, slope))
        terms = terms * values.astype(terms.dtype)
        # A sum as a product: XLA on CPU does not vectorize a sum over reads (40 ms against 2).
        dot = jnp.matmul(terms, ones, precision=lax.Precision.HIGHEST)
        results.append(dot.reshape(offsets.shape[:-1]))
    return jnp.stack(results[:2], -1), results[2] if len(results) > 2 else None


def add(total: Array, pixels: Corners, values: Array) -> Array:
    """The transpose of `read`: adds weight * values [B, M, C / G] to the rows of a table.

    One corner after the other, so that one copy of the weighted values exists at a time.
    """

    def add_corner(total, pixel):
        row, weight = pixel
        terms = values.astype(total.dtype) * weight[..., None].astype(total.dtype)
        put = jax.vmap(lambda t, index, v: t.at[index].add(v, mode="promise_in_bounds"))
        return put(total, row, terms), None

    rows, weights = zip(*pixels, strict=True)
    return lax.scan(add_corner, total, (jnp.stack(rows), jnp.stack(weights)))[0]
