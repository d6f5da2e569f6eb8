"""Convolutions with static kernels and reflect padding, in the form that each backend runs fast.

`form` is one of
  "conv"   `lax.conv_general_dilated`: GPU, TPU and export;
  "shift"  depthwise as a sum of K*K shifted products, pointwise as one matrix product, 3x3 from or
           to few channels as one product of all taps, a large kernel on few channels by blocks of
           2 x 2 pixels, 3x3 on many channels by Winograd's products: CPU, where XLA runs a grouped
           convolution 9 to 40 times slower than oneDNN;
  "auto"   "shift" on CPU, "conv" elsewhere; `default_form` overrides it.
"""

from jax import Array, lax

from din_jax.ops.blocks import block_kernel, from_blocks, to_blocks
from din_jax.ops.depthwise import shifted_depthwise
from din_jax.ops.forms import default_form as default_form
from din_jax.ops.forms import resolve_form
from din_jax.ops.padding import reflect_pad
from din_jax.ops.taps import stack_taps, sum_taps
from din_jax.ops.winograd import winograd_conv

FEW, MANY = 4, 16  # channels
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
        return _conv_on_cpu(x, kernel)
    padded = reflect_pad(x, kernel.shape[0] // 2)
    return lax.conv_general_dilated(
        padded, kernel, (stride, stride), "VALID", dimension_numbers=DIMENSIONS
    )


def _conv_on_cpu(x: Array, kernel: Array) -> Array:
    *pixels, inputs = x.shape
    side, _, _, outputs = kernel.shape
    pad = side // 2
    if side == 1:
        return (x.reshape(-1, inputs) @ kernel[0, 0]).reshape(*pixels, outputs)
    if side == 3 and outputs <= FEW and inputs >= MANY and x.dtype.itemsize >= 4:
        # The taps' products first, then their sum: at [1, 512, 512, 32] to 3 channels 13.7 -> 11.3
        # ms, with all gradients 158 -> 39.
        products = x.reshape(-1, inputs) @ kernel.transpose(2, 0, 1, 3).reshape(inputs, -1)
        return sum_taps(reflect_pad(products.reshape(*pixels, -1), pad), side)
    padded = reflect_pad(x, pad)
    if side == 3 and inputs <= FEW and outputs >= MANY:
        # One product of the taps side by side: at [4, 256, 256, 3] to 64 channels 21 -> 13 ms, its
        # gradient to x 47 -> 11.
        columns = stack_taps(padded, side).reshape(-1, side**2 * inputs)
        return (columns @ kernel.reshape(-1, outputs)).reshape(*pixels, outputs)
    if side >= 7 and inputs <= FEW:
        return _by_blocks(padded, kernel, x.shape[1:3])
    if side == 3 and _is_wide(x, kernel):
        return winograd_conv(padded, kernel)
    # XLA on CPU runs an unpadded 3x3 convolution 2 to 4 times slower than a zero-padded one (395
    # against 88 ms on [4, 128, 128, 64]), so pad by zeros too and cut the border off.
    y = lax.conv_general_dilated(
        padded, kernel, (1, 1), ((pad, pad), (pad, pad)), dimension_numbers=DIMENSIONS
    )
    return y[:, pad : pad + pixels[1], pad : pad + pixels[2]]


def _is_wide(x: Array, kernel: Array) -> bool:
    """Whether the products that Winograd's form saves outweigh its transforms.

    On two cores, forward: 256-256 at [4, 64, 64] 114 -> 67 ms, 128-128 at [4, 128, 128] 109 -> 84,
    64-64 at [4, 256, 256] 110 -> 112, but with all gradients 599 -> 326. Fewer pixels gain
    milliseconds (256-256 at [4, 16, 16] 9.5 -> 4.6, with all gradients 18 -> 32) and cost seconds
    of compilation. In 16 bit its sums would lose digits.
    """
    inputs, outputs = kernel.shape[2:]
    pixels = x.size // inputs
    return min(inputs, outputs) >= 64 and pixels >= 4096 and x.dtype.itemsize >= 4


def _by_blocks(padded: Array, kernel: Array, size: tuple[int, int]) -> Array:
    """A large kernel on few channels, 2 x 2 pixels at a time (see `ops.blocks`).

    9x9 3-32 becomes 5x5 12-128: 1.2 times the products, but 330 against 139 ms at 512 x 512, 82
    against 24 at [4, 128, 128, 3], the kernel's gradient 99 against 50. A static 3x3 gained
    nothing.
    """
    moved = block_kernel(kernel)
    taps = moved.shape[0]
    y = lax.conv_general_dilated(
        to_blocks(padded),
        moved,
        (1, 1),
        # Padded by zeros and cut off again, as in `conv2d`.
        ((taps // 2, (taps - 1) // 2),) * 2,
        dimension_numbers=DIMENSIONS,
    )
    return from_blocks(y[:, taps // 2 :, taps // 2 :], *size)


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
    return shifted_depthwise(x, kernel[:, :, 0], stride)
