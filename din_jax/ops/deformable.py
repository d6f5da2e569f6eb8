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

`form` chooses how it is computed; all agree to 1e-5 (float32):
  "taps"    one tap after the other: a sampled map and its product at a time;
  "im2col"  all taps at once and one product: K * K copies of the map.
`rows_at_a_time` does either for so many rows of the output at a time. The gradient keeps nothing
but the inputs and samples again.

Memory beyond arguments and results, in maps of the size of x: [1, 512, 512, 32] to 32 channels,
K = 3, one offset group, XLA on CPU; time at [1, 256, 256, 32] on two busy cores:
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from din_jax.ops import sampling

FORMS = ("taps", "im2col")


class _Grid(NamedTuple):
    """Where the taps of an undisturbed convolution lie."""

    side: int
    stride: int
    dilation: int
    columns: int  # of the output


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
    (and mask) of its own. Differentiable in reverse mode to every array.

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
      rows_at_a_time: rows of the output computed together; None is all.

    Returns:
      [B, ceil(H / stride), ceil(W / stride), O] of the type of x. Samples and the sum over taps
      are in float32, products in the type of x.

    Raises:
      ValueError: shapes that do not fit, named with the remedy, at trace time.
    """
    grid, groups = _check(x, offsets, kernel, bias, mask, stride, dilation, form, rows_at_a_time)
    batch, height = offsets.shape[:2]
    taps = grid.side**2
    steps = taps if form == "taps" else 1
    if rows_at_a_time is None:
        rows_at_a_time = _default_rows(height, grid.columns)
    blocks = -(-height // rows_at_a_time)
    rows = -(-height // blocks)  # of equal blocks; the last is filled up with rows to be dropped

    def split(values: Array) -> Array:
        """[B, H, W, groups * K * K * ...] -> [blocks, steps, B, N, taps of a step, groups, ...]."""
        values = jnp.pad(values, ((0, 0), (0, blocks * rows - height), (0, 0), (0, 0)))
        values = values.reshape(
            batch, blocks, rows * grid.columns, groups, steps, taps // steps, -1
        )
        return values.transpose(1, 4, 0, 2, 5, 3, 6)

    offsets = split(offsets.astype(jnp.promote_types(offsets.dtype, jnp.float32)))
    if mask is not None:
        mask = split(mask.astype(offsets.dtype))[..., 0]
    kernel = kernel.astype(x.dtype)
    if kernel.ndim == 5:
        kernel = kernel.reshape(batch, steps, -1, *kernel.shape[3:]).swapaxes(0, 1)
    else:
        kernel = kernel.reshape(steps, -1, *kernel.shape[2:])
    y = _by_block(x, offsets, mask, kernel, grid)
    y = jnp.moveaxis(y, 0, 1).reshape(batch, blocks * rows, grid.columns, -1)[:, :height]
    if bias is not None:
        with jax.named_scope("bias"):
            y = y + bias.astype(y.dtype).reshape(-1, 1, 1, y.shape[-1])
    return y.astype(x.dtype)


@functools.partial(jax.custom_vjp, nondiff_argnums=(4,))
def _by_block(x: Array, offsets: Array, mask: Array | None, kernel: Array, grid: _Grid) -> Array:
    """The sum over the steps' taps, block of rows by block of rows.

    Args:
      x: [B, H, W, I].
      offsets: [blocks, steps, B, N, taps of a step, offset groups, 2], N points of a block.
      mask: the same without the last axis, or None.
      kernel: [steps, taps of a step, I / groups, O], or with B as second axis.
      grid: where the taps lie.

    Returns:
      [blocks, B, N, O], float32 or wider.
    """

    def one_block(block):
        number, offsets, mask = block

        def add_step(y, step):
            index, offsets, mask, kernel = step
            origin = _origin(grid, number, index, offsets.shape)
            columns = _columns(x, sampling.corners(x.shape, offsets, origin, mask), offsets.shape)
            return y + _product(columns, kernel, y.dtype), None

        kept = sampling.sum_type(x, offsets)
        start = jnp.zeros((*offsets.shape[1:3], kernel.shape[-1]), kept)
        return lax.scan(add_step, start, (jnp.arange(len(offsets)), offsets, mask, kernel))[0]

    return lax.map(one_block, (jnp.arange(len(offsets)), offsets, mask))


def _by_block_forward(x, offsets, mask, kernel, grid):
    return _by_block(x, offsets, mask, kernel, grid), (x, offsets, mask, kernel)


def _by_block_backward(grid, saved, gradient):
    """Every step samples again; the gradient to x gathers in place over all steps."""
    x, all_offsets, all_masks, all_kernels = saved
    channels = x.shape[-1] // all_offsets.shape[-2]
    kept = sampling.sum_type(x, all_offsets)

    def one_block(totals, block):
        number, offsets, mask, gradient = block
        gradient = gradient.astype(x.dtype)

        def one_step(to_x, step):
            index, offsets, mask, kernel = step
            origin = _origin(grid, number, index, offsets.shape)
            pixels = sampling.corners(x.shape, offsets, origin, mask)
            columns = _columns(x, pixels, offsets.shape)
            to_columns, to_kernel = _product_gradient(columns, kernel, gradient)
            values = to_columns.reshape(len(x), -1, channels)
            to_offsets, to_mask = sampling.slopes(x, offsets, values, origin, mask)
            to_x = sampling.add(to_x, pixels, values)
            return to_x, (to_offsets, to_mask, to_kernel.astype(kept))

        to_x, to_kernel = totals
        steps = (jnp.arange(len(offsets)), offsets, mask, all_kernels)
        to_x, (*to_points, to_kernels) = lax.scan(one_step, to_x, steps)
        return (to_x, to_kernel + to_kernels), to_points

    totals = (
        jnp.zeros((len(x), x[0].size // channels, channels), kept),
        jnp.zeros(all_kernels.shape, kept),
    )
    blocks = (jnp.arange(len(all_offsets)), all_offsets, all_masks, gradient)
    (to_x, to_kernel), (to_offsets, to_mask) = lax.scan(one_block, totals, blocks)
    if all_masks is not None:
        to_mask = to_mask.astype(all_masks.dtype)
    return (
        to_x.reshape(x.shape).astype(x.dtype),
        to_offsets.astype(all_offsets.dtype),
        to_mask,
        to_kernel.astype(all_kernels.dtype),
    )


_by_block.defvjp(_by_block_forward, _by_block_backward)


def _default_rows(height: int, columns: int) -> int:
    """Rows whose samples stay in a CPU's cache, 4096 points of every image; elsewhere all."""
    return max(1, 4096 // columns) if jax.default_backend() == "cpu" else height


def _origin(grid: _Grid, block: Array, step: Array, shape: tuple[int, ...]) -> Array:
    """Undisturbed points of a step, int32 [N, taps, 1, 2]; `shape` is that of its offsets."""
    _, points, taps, _, _ = shape
    point = jnp.arange(points, dtype=jnp.int32)[:, None]
    tap = step.astype(jnp.int32) * taps + jnp.arange(taps, dtype=jnp.int32)
    first_row = block.astype(jnp.int32) * (points // grid.columns)
    pixel = (first_row + point // grid.columns, point % grid.columns)
    moved = (tap // grid.side, tap % grid.side)
    axes = [
        grid.stride * start + grid.dilation * (index - grid.side // 2)
        for start, index in zip(pixel, moved, strict=True)
    ]
    return jnp.stack(axes, -1)[:, :, None]


def _columns(x: Array, pixels: sampling.Corners, shape: tuple[int, ...]) -> Array:
    """[B, N, taps, I] of the type of x: the samples that a step multiplies."""
    batch, points, taps, groups, _ = shape
    samples = sampling.read(sampling.as_table(x, groups), pixels)
    return samples.astype(x.dtype).reshape(batch, points, taps, -1)


def _product(columns: Array, kernel: Array, kept: jnp.dtype) -> Array:
    """[B, N, taps, I] by [taps, I / groups, O] or [B, taps, I / groups, O] -> [B, N, O]."""
    batch, points, taps, channels = columns.shape
    *image, _, per_group, out = kernel.shape
    if _is_depthwise(columns, kernel):
        # Elementwise, so that it becomes part of the loop that samples.
        weights = kernel[..., 0, :].astype(kept)
        weights = weights[:, None] if image else weights
        return (columns.astype(kept) * weights).sum(2)
    if per_group == channels:
        columns = columns.reshape(batch, points, -1)
        kernel = kernel.reshape(*image, -1, out)
        return jnp.matmul(columns, kernel, preferred_element_type=kept)
    groups = channels // per_group
    columns = columns.reshape(batch, points, taps, groups, per_group)
    kernel = kernel.reshape(*image, taps, per_group, groups, out // groups)
    product = "bntgi,btigo->bngo" if image else "bntgi,tigo->bngo"
    y = jnp.einsum(product, columns, kernel, preferred_element_type=kept)
    return y.reshape(batch, points, out)


def _product_gradient(columns: Array, kernel: Array, gradient: Array) -> tuple[Array, Array]:
    """The gradients of `_product` to its columns and its kernel, from [B, N, O] of their type."""
    batch, points, taps, channels = columns.shape
    if not _is_depthwise(columns, kernel):
        _, pull = jax.vjp(lambda c, k: _product(c, k, columns.dtype), columns, kernel)
        return pull(gradient)
    # The sum over points as a product: XLA on CPU does not vectorize a sum over samples.
    terms = (columns * gradient[:, :, None]).reshape(batch, points, -1)
    ones = jnp.ones((1, points), terms.dtype)
    to_kernel = jnp.matmul(ones, terms, precision=lax.Precision.HIGHEST).reshape(
        batch, taps, 1, channels
    )
    weights = kernel[..., 0, :]
    weights = weights[:, None] if kernel.ndim == 4 else weights
    return gradient[:, :, None] * weights, to_kernel if kernel.ndim == 4 else to_kernel.sum(0)


def _is_depthwise(columns: Array, kernel: Array) -> bool:
    return kernel.shape[-2] == 1 and kernel.shape[-1] == columns.shape[-1]


def _check(x, offsets, kernel, bias, mask, stride, dilation, form, rows) -> tuple[_Grid, int]:
    """Shapes that fit give the grid and the number of offset groups; others raise ValueError."""
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
    return _Grid(side, stride, dilation, size[2]), groups
