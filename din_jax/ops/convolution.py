"""Convolutions with static kernels and reflect padding, in the form that each platform runs fast.

`form` is one of
  "conv"   `lax.conv_general_dilated`: GPU, TPU and converters;
  "shift"  what `ops.cpu.convolution` lists by shapes: CPU, where XLA runs a grouped convolution 9
           to 40 times slower than oneDNN;
  "auto"   "shift" on CPU, "conv" elsewhere, as the program is lowered (`ops.forms`).
"""

from jax import Array, lax

from din_jax.ops.cpu.convolution import DIMENSIONS, conv2d_on_cpu
from din_jax.ops.cpu.depthwise import depthwise_on_cpu
from din_jax.ops.forms import by_platform
from din_jax.ops.padding import check_reflection, concatenate_reflection


def conv2d(x: Array, kernel: Array, stride: int = 1, form: str = "auto") -> Array:
    """Convolution with reflect padding of K // 2, so that stride 1 keeps the size.

    y[p] = sum_q kernel[q] x[stride * p + q], out[H] = ceil(H / stride). Reverse mode only, but in
    the form "conv".

    Args:
      x: [B, H, W, I].
      kernel: [K, K, I, O], K odd, smaller than 2 min(H, W).
      stride: in pixels, both directions.
      form: see the module.

    Returns:
      [B, ceil(H / stride), ceil(W / stride), O].
    """
    return _by_platform(conv2d_on_cpu, x, kernel, stride, form)


def depthwise_conv2d(x: Array, kernel: Array, stride: int = 1, form: str = "auto") -> Array:
    """One K x K filter per channel, with reflect padding of K // 2.

    y[p, c] = sum_q kernel[q, 0, c] x[stride * p + q, c]. Reverse mode only, but in the form "conv".

    Args:
      x: [B, H, W, C].
      kernel: [K, K, 1, C], K odd.
      stride: in pixels, both directions.
      form: see the module.

    Returns:
      [B, ceil(H / stride), ceil(W / stride), C].
    """
    return _by_platform(depthwise_on_cpu, x, kernel, stride, form)


def _by_platform(on_cpu, x: Array, kernel: Array, stride: int, form: str) -> Array:
    pad = kernel.shape[0] // 2
    check_reflection(x, pad, pad)
    return by_platform(on_cpu, _conv, x, kernel.astype(x.dtype), form=form, stride=stride)


def _conv(x: Array, kernel: Array, stride: int) -> Array:
    pad = kernel.shape[0] // 2
    return lax.conv_general_dilated(
        concatenate_reflection(x, pad, pad),
        kernel,
        (stride, stride),
        "VALID",
        dimension_numbers=DIMENSIONS,
        feature_group_count=x.shape[-1] // kernel.shape[2],
    )
