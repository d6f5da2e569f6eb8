"""Convolutions with static kernels and reflect padding, in the form that each backend runs fast.

`form` is one of
  "conv"   `lax.conv_general_dilated`: GPU, TPU and export;
  "shift"  what `ops.cpu.convolution` lists by shapes: CPU, where XLA runs a grouped convolution 9
           to 40 times slower than oneDNN;
  "auto"   "shift" on CPU, "conv" elsewhere; `default_form` overrides it.
"""

from jax import Array, lax

from din_jax.ops.cpu.convolution import conv2d_on_cpu
from din_jax.ops.cpu.depthwise import depthwise_by_taps
from din_jax.ops.forms import resolve_form
from din_jax.ops.padding import reflect_pad

DIMENSIONS = ("NHWC", "HWIO", "NHWC")


def conv2d(x: Array, kernel: Array, stride: int = 1, form: str = "auto") -> Array:
    """Convolution with reflect padding of K // 2, so that stride 1 keeps the size.

    y[p] = sum_q kernel[q] x[stride * p + q], out[H] = ceil(H / stride). Reverse mode only on
    CPU, but for what is traced inside `default_form("conv")`.

    Args:
      x: [B, H, W, I].
      kernel: [K, K, I, O], K odd, smaller than 2 min(H, W).
      stride: in pixels, both directions.
      form: see the module.

    Returns:
      [B, ceil(H / stride), ceil(W / stride), O].
    """
    kernel = kernel.astype(x.dtype)
    if resolve_form(form) == "shift" and stride == 1:
        return conv2d_on_cpu(x, kernel)
    padded = reflect_pad(x, kernel.shape[0] // 2)
    return lax.conv_general_dilated(
        padded, kernel, (stride, stride), "VALID", dimension_numbers=DIMENSIONS
    )


def depthwise_conv2d(x: Array, kernel: Array, stride: int = 1, form: str = "auto") -> Array:
    """One K x K filter per channel, with reflect padding of K // 2.

    y[p, c] = sum_q kernel[q, 0, c] x[stride * p + q, c]. Reverse mode only on CPU, as `conv2d`.

    Args:
      x: [B, H, W, C].
      kernel: [K, K, 1, C], K odd.
      stride: in pixels, both directions.
      form: see the module.

    Returns:
      [B, ceil(H / stride), ceil(W / stride), C].
    """
    side = kernel.shape[0]
    kernel = kernel.astype(x.dtype)
    if resolve_form(form) == "conv":
        return lax.conv_general_dilated(
            reflect_pad(x, side // 2),
            kernel,
            (stride, stride),
            "VALID",
            dimension_numbers=DIMENSIONS,
            feature_group_count=x.shape[-1],
        )
    return depthwise_by_taps(x, kernel[:, :, 0], stride)
