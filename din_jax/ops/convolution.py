"""Convolutions with static kernels and reflect padding, in the form that each platform runs fast.

`form` is one of
  "conv"   `lax.conv_general_dilated`: GPU, TPU and converters;
  "shift"  what `ops.cpu.convolution` lists by shapes: CPU, where XLA runs a grouped convolution 9
           to 40 times slower than oneDNN;
  "auto"   "shift" on CPU, "conv" elsewhere, as the program is lowered (`ops.forms`).

With `halo` the map brings its border, K // 2 pixels on each side, in the place of the reflection,
and the result is smaller by it: a tile cut out with its halo gives exactly what the whole map gives
there (with a stride, if it begins at a multiple of it).
"""

from collections.abc import Callable

from jax import Array, lax

from din_jax.ops.cpu.convolution import DIMENSIONS, conv2d_on_cpu
from din_jax.ops.cpu.depthwise import depthwise_on_cpu
from din_jax.ops.forms import by_platform
from din_jax.ops.padding import check_border, concatenate_reflection
from din_jax.ops.shapes import check_map


def conv2d(
    x: Array, kernel: Array, stride: int = 1, form: str = "auto", *, halo: bool = False
) -> Array:
    """Convolution with reflect padding of K // 2, so that stride 1 keeps the size.

    y[p] = sum_q kernel[q] x[stride * p + q], out[H] = ceil(H / stride). Reverse mode only, but in
    the form "conv".

    Args:
      x: [B, H, W, I], with a halo [B, H + 2 (K // 2), W + 2 (K // 2), I].
      kernel: [K, K, I, O], K odd, smaller than 2 min(H, W). One of fewer bits than the map says
        what factors are rounded to where K and the stride are 1: the map is too, and their products
        are summed in its own type. Other kernels are widened.
      stride: in pixels, both directions.
      form: see the module.
      halo: whether the map brings its own border; see the module.

    Returns:
      [B, ceil(H / stride), ceil(W / stride), O] of the type of x.

    Raises:
      ValueError: shapes that do not fit, at trace time.
    """
    _check("convolution", "[K, K, I, O]", x, kernel, stride)
    return _convolve(conv2d_on_cpu, x, kernel, stride, form, halo)


def depthwise_conv2d(
    x: Array, kernel: Array, stride: int = 1, form: str = "auto", *, halo: bool = False
) -> Array:
    """One K x K filter per channel, with reflect padding of K // 2.

    y[p, c] = sum_q kernel[q, 0, c] x[stride * p + q, c]. Reverse mode only, but in the form "conv".

    Args:
      x: [B, H, W, C], with a halo [B, H + 2 (K // 2), W + 2 (K // 2), C].
      kernel: [K, K, 1, C], K odd.
      stride, form, halo: as in `conv2d`.

    Returns:
      [B, ceil(H / stride), ceil(W / stride), C].

    Raises:
      ValueError: shapes that do not fit, at trace time.
    """
    _check("depthwise convolution", "[K, K, 1, I]", x, kernel, stride)
    return _convolve(depthwise_on_cpu, x, kernel, stride, form, halo)


def _check(name: str, layout: str, x: Array, kernel: Array, stride: int):
    fits = x.ndim == kernel.ndim == 4 and kernel.shape[0] == kernel.shape[1]
    if fits:
        channels = (1, x.shape[3]) if "1" in layout else (x.shape[3], kernel.shape[3])
        fits = kernel.shape[0] % 2 == 1 and kernel.shape[2:] == channels
    if not fits:
        raise ValueError(
            f"A {name} of x [B, H, W, I] takes a kernel {layout} with K odd, "
            f"not shapes {x.shape} and {kernel.shape}."
        )
    check_map(x)
    if stride < 1:
        raise ValueError(f"The stride of a convolution is a whole number from 1 on, not {stride}.")


def _convolve(
    on_cpu: Callable, x: Array, kernel: Array, stride: int, form: str, halo: bool
) -> Array:
    check_border(x, kernel.shape[0] // 2, halo)
    narrow = kernel.shape[:3] == (1, 1, x.shape[3]) and stride == 1
    if not (narrow and kernel.dtype.itemsize < x.dtype.itemsize):
        kernel = kernel.astype(x.dtype)
    return by_platform(on_cpu, _conv, x, kernel, form=form, stride=stride, halo=halo)


def _conv(x: Array, kernel: Array, stride: int, halo: bool) -> Array:
    pad = kernel.shape[0] // 2
    return lax.conv_general_dilated(
        (x if halo else concatenate_reflection(x, pad, pad)).astype(kernel.dtype),
        kernel,
        (stride, stride),
        "VALID",
        dimension_numbers=DIMENSIONS,
        feature_group_count=x.shape[-1] // kernel.shape[2],
        preferred_element_type=x.dtype,
    )
