"""The deformable transform: the style gives kernel and bias, the content where they read."""

import jax
from flax import nnx
from jax import Array

from din_jax.layers.blocks import Conv
from din_jax.layers.codes import LayerCode
from din_jax.ops.deformable import deformable_conv
from din_jax.ops.extent import outside_cleared
from din_jax.ops.normalization import Affine
from din_jax.ops.widening import widen


class DeformableTransform(nnx.Module):
    """y = deformable_conv(n; offsets(n), kernel) + bias, n the normalized map.

    The offset net is one 3x3 convolution on the normalized content, C -> groups * K * K * 2, and
    starts at zero: at first the layer is the standard one, with zeros instead of reflection outside
    the map (Dai et al. 2017, figure 2). `modulated` adds a factor per sampled point, 2 sigmoid(.),
    which starts at 1 (Zhu et al. 2019, eq. 1, there without the 2).

    Shapes: [B, H, W, C] and a code of kernel side K -> [B, H, W, C].

    Args:
      channels: C.
      side: K, of the code's kernels.
      dilation: pixels between taps.
      groups: offset groups; channels of a group share offsets.
      modulated: see above.
      rngs: initialization.
    """

    def __init__(
        self,
        channels: int,
        *,
        side: int,
        dilation: int = 1,
        groups: int = 1,
        modulated: bool = False,
        rngs: nnx.Rngs,
    ):
        self.points = groups * side * side
        outputs = self.points * (3 if modulated else 2)
        self.offset_net = Conv(channels, outputs, 3, gain=0.0, rngs=rngs)
        # The net learns at ten times the rate, and all of its 9 C weights may move together: this
        # keeps what one step of Adam moves a point by near the rate, in pixels.
        self.input_scale = (9 * channels) ** -0.5
        self.dilation = dilation
        self.modulated = modulated

    def points_read(self, normalized: Array) -> tuple[Array, Array | None]:
        """Offsets [B, H, W, groups K K 2] in pixels, (y, x), and the factors or None."""
        raw = self.offset_net(self.input_scale * widen(normalized))
        if not self.modulated:
            return raw, None
        return raw[..., : 2 * self.points], 2 * jax.nn.sigmoid(raw[..., 2 * self.points :])

    def __call__(self, x: Array, affine: Affine, code: LayerCode) -> Array:
        normalized = outside_cleared(affine(x))
        offsets, mask = self.points_read(normalized)
        return deformable_conv(
            normalized, offsets, code.kernel, code.bias, mask=mask, dilation=self.dilation
        )
