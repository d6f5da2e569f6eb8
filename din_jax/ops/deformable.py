"""Deformable convolution: every tap of the kernel reads the map where an offset moves it.

    y[p] = sum_q kernel[q] mask[p, q] x(stride * p + dilation * q + offset[p, q]) + bias

with q over the K x K taps around 0 and x(.) bilinear, zero outside the map (`ops/sampling.py`).
Dai et al. 2017, eq. 2; with the mask, a modulation scalar per tap, Zhu et al. 2019, eq. 1. Kernel
and bias are shared by the batch or one for every image (dynamic convolution).

Layout: that of torchvision's `deform_conv2d` with the channels last. Offsets are in pixels, (y, x)
in this order, channel ((group * K + i) * K + j) * 2 + {0: y, 1: x}; the mask's channel is
(group * K + i) * K + j. So `transpose(0, 2, 3, 1)` converts its offsets, mask and maps, and
`transpose(2, 3, 1, 0)` its weight [O, I / groups, K, K]. Its padding is here always
dilation * (K // 2): with stride 1 the size is kept.

There is no halo as in the other convolutions: a point reads as far as its offset reaches, so a tile
is exact only where the offsets are known to stay within the pixels cut out around it.

`form` chooses how the points of a block of rows are computed; both agree to 1e-5 (float32):
  "taps"    one tap after the other: one sampled copy of the block at a time, and its product;
  "im2col"  all taps at once and one product: K * K copies of the block.
`rows_at_a_time` is the size of the blocks; one block of all rows with "im2col" is the K * K copy
of the whole map. The gradient keeps nothing but the inputs and samples again.

Memory beyond arguments and results, in maps of [1, 512, 512, 32] float32, to 32 channels, K = 3,
as XLA on CPU states it, for the result and for result and all gradients:
  "taps", default blocks      0.12    0.21
  "taps", one block           2.6     5.4
  "im2col", default blocks    0.33    0.96
  "im2col", one block         9.6    39
"""

import functools
import math

import jax
import jax.numpy as jnp
from jax import Array, lax

from din_jax.ops import sampling
from din_jax.ops.columns import product, product_gradient
from din_jax.ops.deformable_grid import Grid, row_blocks
from din_jax.ops.forms import by_platform
from din_jax.ops.widening import add_bias, wide_type, widen

FORMS = ("taps", "im2col")


def deformable_conv(
    x: Array,
    offsets: Array,
    kernel: Array,
    bias: Array | None = None,
    *,
    mask: Array | None = None,
    stride: int = 1,
    dilation: int = 1,
    form: str = "taps",
    rows_at_a_time: int | None = None,
) -> Array:
    """Convolution at moved points, zero outside the map; the formula stands in the module.

    The number of groups is I / kernel.shape[-2], that of offset groups
    offsets.shape[-1] / (2 K K): the input channels in as many consecutive parts, each with offsets
    (and mask) of its own. Reverse mode only, to every array.

    Args:
      x: [B, H, W, I].
      offsets: [B, ceil(H / stride), ceil(W / stride), offset groups * K * K * 2], in pixels, order
        (group, row of the tap, column of the tap, (y, x)). Taken as float32 or wider.
      kernel: [K, K, I / groups, O] for the whole batch or [B, K, K, I / groups, O], K odd.
      bias: [O], [B, O] or None.
      mask: None or the size of `offsets` with offset groups * K * K channels; multiplies the
        samples. Any range; Zhu et al. 2019 take a sigmoid.
      stride: in pixels, both directions.
      dilation: distance of the taps in pixels.
      form: see the module.
      rows_at_a_time: rows of the output in a block; None is all of them, on CPU as many as stay
        in its cache.

    Returns:
      [B, ceil(H / stride), ceil(W / stride), O] of the type of x. Samples and the sum over taps
      are in float32, products in the type of x.

    Raises:
      ValueError: shapes that do not fit, named with the remedy, at trace time.
    """
    groups = _check(x, offsets, kernel, bias, mask, stride, dilation, form, rows_at_a_time)
    batch, height, columns, _ = offsets.shape
    side = kernel.shape[-3]
    steps = side**2 if form == "taps" else 1
    offsets = widen(offsets)
    mask = None if mask is None else mask.astype(offsets.dtype)
    kernel = kernel.astype(x.dtype)
    *image, _, _, per_group, out = kernel.shape
    kernel = kernel.reshape(*image, steps, side**2 // steps, per_group, out)
    kernel = kernel.swapaxes(0, 1) if image else kernel
    on_cpu, elsewhere = (
        Grid(side, stride, dilation, groups, steps, blocks, -(-height // blocks))
        for blocks in row_blocks(rows_at_a_time, batch, height, columns)
    )
    if on_cpu == elsewhere:
        y = _in_whole_blocks(x, offsets, mask, kernel, grid=on_cpu)
    else:
        grids = (on_cpu, elsewhere)
        y = by_platform(_on_cpu, _elsewhere, x, offsets, mask, kernel, grids=grids)
    if bias is None:
        return y
    with jax.named_scope("bias"):
        return add_bias(y, bias)


def _in_whole_blocks(
    x: Array, offsets: Array, mask: Array | None, kernel: Array, grid: Grid
) -> Array:
    """`_by_block` for any number of rows: the last block is filled up, and the filling cut off."""
    height = offsets.shape[1]
    if grid.blocks * grid.rows > height:
        filling = ((0, 0), (0, grid.blocks * grid.rows - height), (0, 0), (0, 0))
        offsets, mask = jax.tree.map(lambda v: jnp.pad(v, filling), (offsets, mask))
    return _by_block(x, offsets, mask, kernel, grid)[:, :height]


def _on_cpu(*arrays: Array | None, grids: tuple[Grid, Grid]) -> Array:
    return _in_whole_blocks(*arrays, grids[0])


def _elsewhere(*arrays: Array | None, grids: tuple[Grid, Grid]) -> Array:
    return _in_whole_blocks(*arrays, grids[1])


@functools.partial(jax.custom_vjp, nondiff_argnums=(4,))
def _by_block(x: Array, offsets: Array, mask: Array | None, kernel: Array, grid: Grid) -> Array:
    """The sum over the steps' taps, block of rows by block of rows.

    Args:
      x: [B, H, W, I].
      offsets, mask: as in `deformable_conv`, whole blocks of rows.
      kernel: [steps, taps of a step, I / groups, O], or with B as second axis.
      grid: where the taps lie.

    Returns:
      [B, H, W, O] of the type of x, with the rows and columns of `offsets`.
    """
    kept = wide_type(x, offsets)
    batch, height, width, _ = offsets.shape

    def add_block(y, block):
        def add_step(part, step):
            index, (offsets, mask), kernel = step
            origin = grid.origin(block, index, width, offsets.shape)
            columns = _columns(x, sampling.corners(x.shape, offsets, origin, mask), offsets.shape)
            return part + product(columns, kernel, kept), None

        part = jnp.zeros((batch, grid.rows * width, kernel.shape[-1]), kept)
        steps = (jnp.arange(grid.steps), grid.steps_of(offsets, mask, block), kernel)
        part, _ = lax.scan(add_step, part, steps)
        return grid.put_rows(y, part.astype(x.dtype), block), None

    y = jnp.zeros((batch, height, width, kernel.shape[-1]), x.dtype)
    return lax.scan(add_block, y, jnp.arange(grid.blocks))[0]


def _by_block_forward(x, offsets, mask, kernel, grid):
    return _by_block(x, offsets, mask, kernel, grid), (x, offsets, mask, kernel)


def _by_block_backward(grid, saved, gradient):
    """Every step samples again; the gradient to x gathers in place over all steps."""
    x, all_offsets, all_masks, kernels = saved
    batch, height, width, _ = all_offsets.shape
    channels = x.shape[-1] // grid.groups
    kept = wide_type(x, all_offsets)

    def add_block(totals, block):
        to_y = grid.rows_of(gradient, block).reshape(batch, grid.rows * width, kernels.shape[-1])

        def add_step(to_x, step):
            index, (offsets, mask), kernel = step
            origin = grid.origin(block, index, width, offsets.shape)
            pixels = sampling.corners(x.shape, offsets, origin, mask)
            columns = _columns(x, pixels, offsets.shape)
            to_columns, to_kernel = product_gradient(columns, kernel, to_y)
            values = to_columns.reshape(batch, math.prod(offsets.shape[1:-1]), channels)
            to_moves = sampling.slopes(x, offsets, values, origin, mask)
            return sampling.add(to_x, pixels, values), (to_moves, to_kernel.astype(kept))

        to_x, to_moves, to_kernels = totals
        steps = (jnp.arange(grid.steps), grid.steps_of(all_offsets, all_masks, block), kernels)
        to_x, (parts, added) = lax.scan(add_step, to_x, steps)
        parts = jax.tree.map(lambda v: jnp.moveaxis(v, (0, 3), (3, 4)), parts)
        to_moves = jax.tree.map(lambda v, part: grid.put_rows(v, part, block), to_moves, parts)
        return (to_x, to_moves, to_kernels + added), None

    totals = (
        jnp.zeros(sampling.as_table(x, grid.groups).shape, kept),
        jax.tree.map(jnp.zeros_like, (all_offsets, all_masks)),
        jnp.zeros(kernels.shape, kept),
    )
    totals, _ = lax.scan(add_block, totals, jnp.arange(grid.blocks))
    to_x, (to_offsets, to_mask), to_kernels = totals
    to_x = to_x.reshape(x.shape).astype(x.dtype)
    return to_x, to_offsets, to_mask, to_kernels.astype(kernels.dtype)


_by_block.defvjp(_by_block_forward, _by_block_backward)


def _columns(x: Array, pixels: sampling.Corners, shape: tuple[int, ...]) -> Array:
    """[B, N, taps, I] of the type of x: the samples that a step multiplies."""
    batch, points, taps, groups, _ = shape
    samples = sampling.read(sampling.as_table(x, groups), pixels)
    return samples.astype(x.dtype).reshape(batch, points, taps, x.shape[-1])


def _check(x, offsets, kernel, bias, mask, stride, dilation, form, rows) -> int:
    """Shapes that fit give the number of offset groups; others raise ValueError."""
    if form not in FORMS:
        raise ValueError(
            f"The form of a deformable convolution is {' or '.join(FORMS)}, not {form!r}."
        )
    for name, value in (("stride", stride), ("dilation", dilation), ("rows_at_a_time", rows)):
        if value is not None and value < 1:
            raise ValueError(f"{name} is a whole number from 1 on, not {value}.")
    if x.ndim != 4 or offsets.ndim != 4 or kernel.ndim not in (4, 5):
        raise ValueError(
            "A deformable convolution takes x [B, H, W, I], offsets [B, H, W, groups * K * K * 2] "
            "and kernel [K, K, I/groups, O] or [B, K, K, I/groups, O], "
            f"not shapes {x.shape}, {offsets.shape} and {kernel.shape}."
        )
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise ValueError(f"Maps are of a float type, not {x.dtype}: convert them first.")
    batch, height, width, channels = x.shape
    *image, side, across, per_group, out = kernel.shape
    if image and image[0] != batch:
        raise ValueError(
            f"The batch has {batch} maps but {image[0]} kernels: give one for every map, or one "
            "[K, K, I/groups, O] for all."
        )
    if side != across or side % 2 == 0:
        raise ValueError(f"The kernel must be square with an odd side, not {side} x {across}.")
    if per_group < 1 or channels % per_group or out % (channels // per_group):
        raise ValueError(
            f"{channels} input and {out} output channels do not divide into groups of {per_group} "
            "inputs: choose a number of groups that divides both."
        )
    size = (batch, -(-height // stride), -(-width // stride))
    if offsets.shape[:3] != size:
        raise ValueError(
            f"The offsets of maps {x.shape} at stride {stride} must be [B, H, W] = {size}, "
            f"not {offsets.shape[:3]}: predict them at the size of the output."
        )
    groups, rest = divmod(offsets.shape[3], 2 * side * side)
    if rest or not groups or channels % groups:
        raise ValueError(
            f"The offsets need groups * {2 * side * side} channels for a {side} x {side} kernel, "
            f"with a number of groups that divides the {channels} input channels, "
            f"not {offsets.shape[3]} channels."
        )
    if mask is not None and mask.shape != (*size, groups * side * side):
        raise ValueError(
            f"The mask must be {(*size, groups * side * side)}, one number for every pair of "
            f"offsets, not {mask.shape}."
        )
    if bias is not None and bias.shape not in ((out,), (batch, out)):
        raise ValueError(f"The bias must be {(out,)} or {(batch, out)}, not {bias.shape}.")
    return groups
