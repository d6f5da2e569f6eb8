"""Static convolutions as the CPU runs them fast, by their shapes.

1x1                            one matrix product
3x3 to few channels            products of all taps, then their shifted sum (kn2row)
3x3 from few channels          im2col and one product
5x5 and larger from few        two pixels of a row at a time
3x3 on many channels, pixels   Winograd's minimal filtering
the rest                       `lax.conv_general_dilated`
"""

import math

import jax.numpy as jnp
from jax import Array, lax

from din_jax.ops.cpu.im2col import im2col, shift_add
from din_jax.ops.cpu.padding import reflect_in_place
from din_jax.ops.cpu.winograd import winograd_conv

FEW, MANY = 4, 16  # channels
DIMENSIONS = ("NHWC", "HWIO", "NHWC")


def conv2d_on_cpu(x: Array, kernel: Array, stride: int, halo: bool) -> Array:
    """`ops.conv2d` of a map and a kernel of one type, or a narrower 1x1 kernel."""
    *pixels, inputs = x.shape
    side, _, _, outputs = kernel.shape
    pad = side // 2
    border = 0 if halo else pad  # what is still to be added
    if stride > 1:
        padded = reflect_in_place(x, border, border)
        return lax.conv_general_dilated(
            padded, kernel, (stride, stride), "VALID", dimension_numbers=DIMENSIONS
        )
    if side == 1:
        flat = x.reshape(-1, inputs).astype(kernel.dtype)
        y = jnp.matmul(flat, kernel[0, 0], preferred_element_type=x.dtype)
        return y.reshape(*pixels, outputs)
    if side == 3 and outputs <= FEW and inputs >= MANY and x.dtype.itemsize >= 4:
        # The taps' products first, then their sum: at [1, 512, 512, 32] to 3 channels 13.7 -> 11.3
        # ms, with all gradients 158 -> 39.
        products = x.reshape(-1, inputs) @ kernel.transpose(2, 0, 1, 3).reshape(inputs, -1)
        products = products.reshape(*pixels, side**2 * outputs)
        return shift_add(reflect_in_place(products, border, border), side)
    padded = reflect_in_place(x, border, border)
    height, width = (n - 2 * pad for n in padded.shape[1:3])
    if side == 3 and inputs <= FEW and outputs >= MANY:
        # One product of the taps side by side: at [4, 256, 256, 3] to 64 channels 21 -> 13 ms, its
        # gradient to x 47 -> 11.
        columns = im2col(padded, side)
        y = columns.reshape(-1, side**2 * inputs) @ kernel.reshape(-1, outputs)
        return y.reshape(*columns.shape[:3], outputs)
    if side >= 5 and inputs <= FEW:
        return _by_column_pairs(padded, kernel, (height, width))
    if side == 3 and _is_wide(x, kernel):
        return winograd_conv(padded, kernel)
    # XLA on CPU runs an unpadded 3x3 convolution 2 to 4 times slower than a zero-padded one (395
    # against 88 ms on [4, 128, 128, 64]), so pad by zeros too and cut the border off.
    y = lax.conv_general_dilated(
        padded, kernel, (1, 1), ((pad, pad), (pad, pad)), dimension_numbers=DIMENSIONS
    )
    return y[:, pad : pad + height, pad : pad + width]


def _is_wide(x: Array, kernel: Array) -> bool:
    """Whether the products that Winograd's form saves outweigh its transforms.

    On two cores, forward: 256-256 at [4, 64, 64] 114 -> 67 ms, 128-128 at [4, 128, 128] 109 -> 84,
    64-64 at [4, 256, 256] 110 -> 112, but with all gradients 599 -> 326. Fewer pixels gain
    milliseconds (256-256 at [4, 16, 16] 9.5 -> 4.6, with all gradients 18 -> 32) and cost seconds
    of compilation. In 16 bit its sums would lose digits. Sizes unknown while tracing are not wide.
    """
    inputs, outputs = kernel.shape[2:]
    if min(inputs, outputs) < 64 or x.dtype.itemsize < 4:
        return False
    pixels = math.prod(x.shape[:3])
    return isinstance(pixels, int) and pixels >= 4096


def _by_column_pairs(padded: Array, kernel: Array, size: tuple[int, int]) -> Array:
    """A large kernel on few channels, two pixels of a row at a time, their channels side by side.

    9x9 3-32 becomes 9x5 6-64, which holds it twice, moved by a pixel: 1.1 times the products, but
    matrices of enough rows and columns, and what comes out is the map as it is. On one thread of a
    Zen 4: 47.5 ms at 512 x 512 (2 x 2 pixels at a time, a product more and a map transposed, 56.3;
    padding by zeros left out 65), with the kernel's gradient 103 (166); at [4, 128, 128, 3] 12.9
    (15.6) and 24.9 (31.6). 5x5 3-32 on two threads, medians of five processes: 16 ms at 512 x 512
    (15-20; XLA's own form 59, 58-66), with all gradients at [4, 128, 128, 3] 25 (24-35; 39, 36-48).
    Strips of rows lie side by side (`_strips`).
    """
    b, _, read, inputs = padded.shape
    side, outputs = kernel.shape[0], kernel.shape[3]
    height, width = size
    pairs, taps = -(-width // 2), (side + 1) // 2
    span = pairs + taps - 1
    strips = _strips(height, span * side * taps * 4 * inputs * outputs)
    rows = -(-height // strips)
    padded = jnp.pad(padded, ((0, 0), (0, strips * rows - height), (0, 2 * span - read), (0, 0)))
    padded = padded.reshape(b, padded.shape[1], span, 2 * inputs)
    starts = [i * rows for i in range(strips)]
    padded = jnp.concatenate([padded[:, i : i + rows + side - 1] for i in starts], 2)
    columns = [jnp.pad(kernel, ((0, 0), (j, 1 - j), (0, 0), (0, 0))) for j in range(2)]
    left = taps // 2
    y = lax.conv_general_dilated(
        padded,
        jnp.stack(columns, -2).reshape(side, taps, 2 * inputs, 2 * outputs),
        (1, 1),
        # Padded by zeros along the rows and cut off again, as in `conv2d_on_cpu`.
        ((0, 0), (left, taps - 1 - left)),
        dimension_numbers=DIMENSIONS,
    )
    y = y.reshape(b, rows, strips, span, 2 * outputs)[:, :, :, left : left + pairs]
    y = y.transpose(0, 2, 1, 3, 4).reshape(b, strips * rows, 2 * pairs, outputs)
    return y[:, :height, :width]


def _strips(height: int, work: int) -> int:
    """Into how many strips, laid side by side, a map is cut whose rows cost `work` multiply-adds.

    XLA's convolution on CPU (YNNPACK) divides its rows among threads only where a row takes some
    6 M multiply-adds or more. On two threads of a Zen 4, 9x9 3-32: 512 x 512 50 -> 27 ms, 256 x 256
    12.8 -> 7.7, eight of those 97 -> 55; on one thread no difference.
    """
    if not isinstance(height, int) or not isinstance(work, int):
        return 1  # sizes unknown while tracing
    return max(1, min(-(-(2**23) // work), height // 16))
