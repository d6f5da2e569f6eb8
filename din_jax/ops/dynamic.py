"""Convolution with a kernel and bias of its own for every image of the batch.

The paper's dynamic transformation (Jing et al. 2020, eq. 4):

    y_b = conv(x_b; W_b) + b_b,     DIN: x_b is the instance-normalized feature map.

`form` chooses how it is computed; all forms agree to 1e-5 (float32):
  "vmap"    `jax.vmap` over `lax.conv_general_dilated`: the reference, any size and groups, but
            slow, and a batch-sharded input is gathered or refused by the compiler;
  "matmul"  a batched matrix product (1 x 1), or one per shifted view of the map (K x K), no
            collectives when the batch is sharded; depthwise kernels become shifted products;
  "winograd"  the same with fewer products where the kernel is 3 x 3 or 5 x 5, without dilation,
            neither depthwise nor in 16 bit (see `ops.winograd`);
  "auto"    "winograd" on CPU, "matmul" elsewhere.
"""

import functools

import jax
import jax.numpy as jnp
from jax import Array, lax

from din_jax.ops.blocks import block_kernel, from_blocks, to_blocks
from din_jax.ops.convolution import DIMENSIONS, resolve_form
from din_jax.ops.depthwise import shifted_depthwise, shifted_taps
from din_jax.ops.normalization import Affine, instance_affine
from din_jax.ops.padding import reflect_pad, zero_border
from din_jax.ops.statistics import EPSILON
from din_jax.ops.widening import wide_type
from din_jax.ops.winograd import winograd_conv

FORMS = ("auto", "vmap", "matmul", "winograd")
# Products of single groups are so thin that multiplying by zeros costs less. More groups than 8
# were not measured; the zeros grow with them, the products of groups do not.
DENSE_GROUPS = 16
# Winograd's form takes as many groups at once as have this many channels: 8 groups of 3x3 with
# gradients at [1, 64, 64, 128] 13.5, 10.0, 14.8 and 13.2 ms with 16, 32, 64 and all 128 channels on
# two CPU cores, at [1, 256, 256, 64] 76, 69 and 90 with 16, 32 and 64.
WIDE = 32
# Up to here 5x5 is 3x3 on blocks of 2 x 2 pixels: [1, 512, 512, 32] 110 -> 75 ms, [1, 256, 256, 64]
# 72 -> 65; with 128 channels 55 -> 76.
FEW_CHANNELS = 64


def dynamic_conv(
    x: Array, kernel: Array, bias: Array | None = None, form: str = "auto", *, dilation: int = 1
) -> Array:
    """y_b = conv(x_b; kernel_b) + bias_b with reflect padding, size kept.

    The number of groups is I / kernel.shape[3]; 1 is dense, I is depthwise. Reverse mode only, but
    for "vmap" away from the CPU and depthwise 1 x 1.

    Args:
      x: [B, H, W, I].
      kernel: [B, K, K, I / groups, O], K odd.
      bias: [B, O] or None.
      form: see the module.
      dilation: pixels between neighboring taps; the map must be larger than dilation * (K // 2).

    Returns:
      [B, H, W, O] of the type of x.

    Raises:
      ValueError: shapes that do not fit, named with the remedy, at trace time.
    """
    groups = _check(x, kernel, bias, form, dilation)
    kernel = kernel.astype(x.dtype)
    side, depthwise = kernel.shape[1], kernel.shape[3:] == (1, groups)
    if depthwise and side > 1 and form != "vmap":
        y = shifted_depthwise(x, _filters(kernel), 1, dilation)
    else:
        padded = reflect_pad(x, dilation * (side // 2))
        y = _convolve(padded, kernel, x.shape[1:3], groups, form, dilation)
    if bias is None:
        return y
    with jax.named_scope("bias"):
        return y + bias.astype(x.dtype)[:, None, None]


def dynamic_instance_norm(
    x: Array,
    kernel: Array,
    bias: Array,
    form: str = "auto",
    epsilon: float = EPSILON,
    *,
    dilation: int = 1,
) -> Array:
    """DIN: y_b = conv((x_b - mu_b) / sigma_b; kernel_b) + bias_b (Jing et al. 2020, eq. 4).

    Reverse mode only, as `dynamic_conv`.

    Args:
      x: [B, H, W, I], not normalized; statistics are float32.
      kernel: [B, K, K, I / groups, O].
      bias: [B, O].
      form: see the module; "vmap" normalizes, then convolves.
      epsilon: inside the root.
      dilation: as in `dynamic_conv`.

    Returns:
      [B, H, W, O] of the type of x.
    """
    affine = instance_affine(x, epsilon)
    return normalized_dynamic_conv(x, affine, kernel, bias, form, dilation=dilation)


def normalized_dynamic_conv(
    x: Array,
    affine: Affine,
    kernel: Array,
    bias: Array | None = None,
    form: str = "auto",
    *,
    dilation: int = 1,
) -> Array:
    """y_b = conv(S_b (x_b - mu_b); kernel_b) + bias_b, whatever gave mu and S.

    For a 1 x 1 kernel the fast form folds S into the kernel, one product in all: W' = S W. The fold
    is exact because a 1 x 1 convolution commutes with a map of the channels. Larger kernels
    normalize first: reflection keeps that equal to any other order, and the unfolded form is then
    the cheaper one. So do kernels in groups behind a full matrix, which the fold would make dense.
    Reverse mode only, as `dynamic_conv`.

    Args:
      x: [B, H, W, I], not normalized.
      affine: mu and S, of every image or of all.
      kernel, bias, form, dilation: as in `dynamic_conv`; "vmap" normalizes, then convolves.

    Returns:
      [B, H, W, O] of the type of x.
    """
    groups = _check(x, kernel, bias, form, dilation)
    if form == "vmap" or kernel.shape[1] > 1 or (affine.matrix is not None and groups > 1):
        return dynamic_conv(affine(x), kernel, bias, form, dilation=dilation)
    if affine.matrix is not None:
        wide = wide_type(affine.matrix, kernel)
        kernel = (affine.matrix.astype(wide) @ kernel[:, 0, 0].astype(wide))[:, None, None]
    if affine.scale is not None:
        scale = jnp.broadcast_to(affine.scale, (x.shape[0], x.shape[-1]))
        per_group = scale.reshape(x.shape[0], groups, -1).transpose(0, 2, 1)
        per_output = jnp.repeat(per_group, kernel.shape[-1] // groups, axis=-1)
        wide = wide_type(affine.scale, kernel)
        kernel = kernel.astype(wide) * per_output[:, None, None].astype(wide)
    # Centering before the product keeps the digits of maps whose mean is far from zero.
    return dynamic_conv(Affine(affine.mean)(x), kernel, bias, form)


def _vmap_conv(
    padded: Array, kernel: Array, size: tuple[int, int], groups: int, dilation: int
) -> Array:
    def one(image: Array, weights: Array) -> Array:
        return lax.conv_general_dilated(
            image[None],
            weights,
            (1, 1),
            "VALID",
            rhs_dilation=(dilation, dilation),
            dimension_numbers=DIMENSIONS,
            feature_group_count=groups,
        )[0]

    return jax.vmap(one)(padded, kernel)


def _convolve(
    padded: Array, kernel: Array, size: tuple[int, int], groups: int, form: str, dilation: int
) -> Array:
    """The convolution of a padded map in one of the forms."""
    if form == "vmap":
        return _vmap_conv(padded, kernel, size, groups, dilation)
    if kernel.shape[1:] == (1, 1, 1, groups):
        return padded * kernel[:, 0]
    if form == "auto" and resolve_form("auto") == "shift":
        form = "winograd"
    # 7 x 7 takes 42 for 48 ms at [1, 64, 64, 128], but compiles 10 seconds.
    fits = kernel.shape[1] in (3, 5) and dilation == 1 and padded.dtype.itemsize >= 4
    if form == "winograd" and fits:
        parts = [_winograd(*part) for part in _dense_parts(padded, kernel, groups)]
        return jnp.concatenate(parts, -1) if len(parts) > 1 else parts[0]
    if 1 < groups <= DENSE_GROUPS:
        kernel, groups = _block_diagonal(kernel, groups), 1
    return _matmul_conv(padded, kernel, groups, dilation)


def _winograd(padded: Array, kernel: Array) -> Array:
    height, width = (n - kernel.shape[1] + 1 for n in padded.shape[1:3])
    if kernel.shape[1] == 5 and max(kernel.shape[3:]) <= FEW_CHANNELS:
        # As 3x3 on blocks of 2 x 2 pixels.
        blocks = lax.optimization_barrier(to_blocks(padded))
        return from_blocks(winograd_conv(blocks, block_kernel(kernel)), height, width)
    return winograd_conv(padded, kernel)


def _dense_parts(padded: Array, kernel: Array, groups: int) -> list[tuple[Array, Array]]:
    """Channels and kernels of as many groups at a time as make a product wide enough."""
    per_group = padded.shape[-1] // groups
    together = next(
        n
        for n in range(1, groups + 1)
        if groups % n == 0 and (n * per_group >= WIDE or n == groups)
    )
    count = groups // together
    inputs, outputs = jnp.split(padded, count, -1), jnp.split(kernel, count, -1)
    dense = [_block_diagonal(part, together) for part in outputs]
    return list(zip(inputs, dense, strict=True))


def _filters(kernel: Array) -> Array:
    """[B, K, K, 1, C] to [K, K, B, 1, 1, C], which multiplies a view of the map by tap."""
    return kernel[:, :, :, 0].transpose(1, 2, 0, 3)[:, :, :, None, None]


def _block_diagonal(kernel: Array, groups: int) -> Array:
    """[B, K, K, I / groups, O] to the dense [B, K, K, I, O] that does the same."""
    per_group = kernel.shape[-2]
    # By padding: the gradient of a product with a mask is a sum over groups, which jaxlib 0.10.2
    # hands to YNNPACK, and that read outside its memory with two groups.
    columns = [
        jnp.pad(part, ((0, 0),) * 3 + ((i * per_group, (groups - 1 - i) * per_group), (0, 0)))
        for i, part in enumerate(jnp.split(kernel, groups, -1))
    ]
    return jnp.concatenate(columns, -1) if groups > 1 else kernel


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _matmul_conv(padded: Array, kernel: Array, groups: int, dilation: int) -> Array:
    """A product per tap, of [B, H + D (K - 1), W + D (K - 1), I] by [B, K, K, I / groups, O]."""
    b, side, _, per_group, out = kernel.shape
    size = _size(padded, side, dilation)
    kernel = kernel.reshape(b, side, side, per_group, groups, out // groups)

    def product(tap: Array, weights: Array) -> Array:
        if groups == 1:
            y = jnp.matmul(tap.reshape(b, -1, per_group), weights[:, :, 0])
        else:
            tap = tap.reshape(b, -1, groups, per_group)
            y = jnp.einsum("bngi,bigo->bngo", tap, weights)
        return y.reshape(b, *size, out)

    taps = _taps(padded, side, size, dilation)
    return sum(product(tap, kernel[:, i, j]) for (i, j), tap in taps)


def _size(padded: Array, side: int, dilation: int) -> tuple[int, int]:
    height, width = (n - dilation * (side - 1) for n in padded.shape[1:3])
    return height, width


def _taps(padded: Array, side: int, size: tuple[int, int], dilation: int):
    for index, tap in shifted_taps(padded, side, size, dilation=dilation):
        # XLA on CPU would cut the view out in every pass.
        yield index, lax.optimization_barrier(tap) if resolve_form("auto") == "shift" else tap


def _matmul_forward(padded: Array, kernel: Array, groups: int, dilation: int):
    return _matmul_conv(padded, kernel, groups, dilation), (padded, kernel)


def _matmul_backward(groups: int, dilation: int, saved: tuple[Array, Array], gradient: Array):
    """Written out, since XLA's own adds K * K padded copies."""
    padded, kernel = saved
    b, side, _, per_group, out = kernel.shape
    turned = kernel[:, ::-1, ::-1].reshape(b, side, side, per_group, groups, out // groups)
    turned = turned.swapaxes(3, 5).reshape(b, side, side, out // groups, groups * per_group)
    spread = zero_border(gradient, dilation * (side - 1))
    to_padded = _matmul_conv(spread, turned, groups, dilation)
    columns = gradient.reshape(b, -1, groups, out // groups)
    to_kernel = [
        jnp.einsum("bngi,bngo->bigo", tap.reshape(b, -1, groups, per_group), columns)
        for _, tap in _taps(padded, side, _size(padded, side, dilation), dilation)
    ]
    return to_padded, jnp.stack(to_kernel, 1).reshape(kernel.shape)


_matmul_conv.defvjp(_matmul_forward, _matmul_backward)


def _check(x: Array, kernel: Array, bias: Array | None, form: str, dilation: int) -> int:
    """Shapes that fit give the number of groups; others raise ValueError."""
    if form not in FORMS:
        raise ValueError(f"The form of a dynamic convolution is {', '.join(FORMS)}, not {form!r}.")
    if dilation < 1:
        raise ValueError(f"The dilation of a convolution must be at least 1, not {dilation}.")
    if x.ndim != 4 or kernel.ndim != 5:
        raise ValueError(
            "A dynamic convolution takes x [B, H, W, I] and kernel [B, K, K, I/groups, O], "
            f"not shapes {x.shape} and {kernel.shape}."
        )
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise ValueError(f"Maps are of a float type, not {x.dtype}: convert them first.")
    b, rows, columns, per_group, out = kernel.shape
    if b != x.shape[0]:
        raise ValueError(
            f"The batch has {x.shape[0]} images but {b} kernels: repeat the style code per image."
        )
    if rows != columns or rows % 2 == 0:
        raise ValueError(f"The kernel must be square with an odd side, not {rows} x {columns}.")
    channels = x.shape[-1]
    if channels % per_group or out % (channels // per_group):
        raise ValueError(
            f"{channels} input and {out} output channels do not divide into groups of {per_group} "
            "inputs: choose a number of groups that divides both."
        )
    if bias is not None and bias.shape != (b, out):
        raise ValueError(f"The bias must be [B, O] = {(b, out)}, not {bias.shape}.")
    return channels // per_group
