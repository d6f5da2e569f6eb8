"""Convolution with a kernel and bias of its own for every image of the batch.

The paper's dynamic transformation (Jing et al. 2020, eq. 4):

    y_b = conv(x_b; W_b) + b_b,     DIN: x_b is the instance-normalized feature map.

`form` chooses how it is computed; all forms agree to 1e-5 (float32):
  "vmap"    `jax.vmap` over `lax.conv_general_dilated`: the reference, any size and groups, but
            slow, and a batch-sharded input is gathered or refused by the compiler;
  "matmul"  a batched matrix product (1 x 1), or one per shifted view of the map (K x K), no
            collectives when the batch is sharded; depthwise kernels become shifted products;
  "winograd"  the same with fewer products where the kernel is 3 x 3 or 5 x 5, without dilation,
            neither depthwise nor in 16 bit (see `ops.cpu`);
  "auto"    "winograd" on CPU, "matmul" elsewhere, as the program is lowered (`ops.forms`).
"""

import functools

import jax
import jax.numpy as jnp
from jax import Array, lax

from din_jax.ops.cpu.convolution import DIMENSIONS
from din_jax.ops.cpu.depthwise import depthwise_by_taps
from din_jax.ops.cpu.dynamic import dynamic_winograd_conv
from din_jax.ops.cpu.padding import reflect_in_place
from din_jax.ops.forms import by_platform
from din_jax.ops.normalization import Affine, instance_affine
from din_jax.ops.padding import check_border, concatenate_reflection
from din_jax.ops.statistics import EPSILON
from din_jax.ops.taps import block_diagonal, conv_by_taps
from din_jax.ops.widening import add_bias, wide_type, widen

FORMS = ("auto", "vmap", "matmul", "winograd")
# Products of single groups are so thin that multiplying by zeros costs less. More groups than 8
# were not measured; the zeros grow with them, the products of groups do not.
DENSE_GROUPS = 16


def dynamic_conv(
    x: Array,
    kernel: Array,
    bias: Array | None = None,
    form: str = "auto",
    *,
    dilation: int = 1,
    halo: bool = False,
) -> Array:
    """y_b = conv(x_b; kernel_b) + bias_b with reflect padding, size kept.

    The number of groups is I / kernel.shape[3]; 1 is dense, I is depthwise. Reverse mode only, but
    for depthwise 1 x 1, and "vmap" inside `default_form("conv")`.

    Args:
      x: [B, H, W, I]; with a halo larger by dilation * (K // 2) on each side.
      kernel: [B, K, K, I / groups, O], K odd.
      bias: [B, O] or None.
      form: see the module.
      dilation: pixels between neighboring taps; the map must be larger than dilation * (K // 2).
      halo: whether the map brings its own border, in the place of the reflection: a tile cut out
        with its halo gives exactly what the whole map gives there.

    Returns:
      [B, H, W, O] of the type of x.

    Raises:
      ValueError: shapes that do not fit, named with the remedy, at trace time.
    """
    groups = _check(x, kernel, bias, form, dilation, halo)
    kernel = kernel.astype(x.dtype)
    if x.shape[0] == 0:  # products in blocks of -1 rows, and vmap, refuse it
        pad = 2 * dilation * (kernel.shape[1] // 2) if halo else 0
        return jnp.zeros((0, x.shape[1] - pad, x.shape[2] - pad, kernel.shape[-1]), x.dtype)
    if kernel.shape[1:] == (1, 1, 1, groups):
        y = (widen(x) * widen(kernel[:, 0])).astype(x.dtype)  # kernel's gradient: a sum
    else:
        settings = {"algorithm": form, "groups": groups, "dilation": dilation, "halo": halo}
        y = by_platform(_on_cpu, _elsewhere, x, kernel, **settings)
    if bias is None:
        return y
    with jax.named_scope("bias"):
        return add_bias(y, bias)


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
    halo: bool = False,
) -> Array:
    """y_b = conv(S_b (x_b - mu_b); kernel_b) + bias_b, whatever gave mu and S.

    For a 1 x 1 kernel the fast form folds S into the kernel, one product in all: W' = S W. The fold
    is exact because a 1 x 1 convolution commutes with a map of the channels. Larger kernels
    normalize first: reflection keeps that equal to any other order, and the unfolded form is then
    the cheaper one. So do kernels in groups behind a full matrix, which the fold would make dense.
    Reverse mode only, as `dynamic_conv`.

    Args:
      x: [B, H, W, I], not normalized.
      affine: mu and S, of every image or of all; for a tile those of the whole map.
      kernel, bias, form, dilation, halo: as in `dynamic_conv`; "vmap" normalizes, then convolves.

    Returns:
      [B, H, W, O] of the type of x.

    Raises:
      ValueError: shapes that do not fit, at trace time.
    """
    groups = _check(x, kernel, bias, form, dilation, halo)
    affine.check(x)
    if form == "vmap" or kernel.shape[1] > 1 or (affine.matrix is not None and groups > 1):
        return dynamic_conv(affine(x), kernel, bias, form, dilation=dilation, halo=halo)
    if affine.matrix is not None:
        wide = wide_type(affine.matrix, kernel)
        matrix, flat = affine.matrix.astype(wide), kernel[:, 0, 0].astype(wide)
        folded = jnp.matmul(matrix, flat, precision=lax.Precision.HIGHEST)
        kernel = folded[:, None, None]
    if affine.scale is not None:
        scale = jnp.broadcast_to(affine.scale, (x.shape[0], x.shape[-1]))
        per_group = scale.reshape(x.shape[0], groups, x.shape[-1] // groups).transpose(0, 2, 1)
        per_output = jnp.repeat(per_group, kernel.shape[-1] // groups, axis=-1)
        wide = wide_type(affine.scale, kernel)
        kernel = kernel.astype(wide) * per_output[:, None, None].astype(wide)
    # Centering before the product keeps the digits of maps whose mean is far from zero.
    return dynamic_conv(Affine(affine.mean)(x), kernel, bias, form)


def _compute(
    x: Array, kernel: Array, *, algorithm: str, groups: int, dilation: int, halo: bool, on_cpu: bool
) -> Array:
    """The convolution in one of the forms, as one platform runs it."""
    side = kernel.shape[1]
    pad = 0 if halo else dilation * (side // 2)
    padded = (reflect_in_place if on_cpu else concatenate_reflection)(x, pad, pad)
    if algorithm == "vmap":
        return _vmap_conv(padded, kernel, groups, dilation)
    if kernel.shape[3:] == (1, groups):
        return depthwise_by_taps(padded, _filters(kernel), 1, dilation)
    if algorithm == "winograd" or (algorithm == "auto" and on_cpu):
        # 7 x 7 takes 42 for 48 ms at [1, 64, 64, 128], but compiles 10 seconds.
        if side in (3, 5) and dilation == 1 and x.dtype.itemsize >= 4:
            return dynamic_winograd_conv(padded, kernel, groups)
    if 1 < groups <= DENSE_GROUPS:
        kernel, groups = block_diagonal(kernel, groups), 1
    return conv_by_taps(padded, kernel, groups, dilation, apart=on_cpu)


_on_cpu = functools.partial(_compute, on_cpu=True)
_elsewhere = functools.partial(_compute, on_cpu=False)


def _vmap_conv(padded: Array, kernel: Array, groups: int, dilation: int) -> Array:
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


def _filters(kernel: Array) -> Array:
    """[B, K, K, 1, C] to [K, K, B, 1, 1, C], which multiplies a view of the map by tap."""
    return kernel[:, :, :, 0].transpose(1, 2, 0, 3)[:, :, :, None, None]


def _check(
    x: Array, kernel: Array, bias: Array | None, form: str, dilation: int, halo: bool
) -> int:
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
    check_border(x, dilation * (rows // 2), halo)
    if bias is not None and bias.shape != (b, out):
        raise ValueError(f"The bias must be [B, O] = {(b, out)}, not {bias.shape}.")
    return channels // per_group
