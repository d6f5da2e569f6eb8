"""The lightweight content network (Jing et al. 2020, figure 4).

Solved from the paper's table 1: 9x9 convolution, two strided separable blocks, two residual blocks;
the decoder mirrors it with bilinear upsampling. `separable=False` is Johnson et al.'s network.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array

from din_jax.layers.blocks import Conv, ConvBlock, ResidualBlock, SeparableBlock
from din_jax.layers.recomputing import block
from din_jax.ops.resizing import upsample_bilinear


class ContentEncoder(nnx.Module):
    """Image [B, H, W, 3] -> features at full, half and quarter size (rounded up).

    Returns a list of [B, H, W, C1], [B, H/2, W/2, C2], [B, H/4, W/4, C3].
    """

    def __init__(
        self,
        widths: Sequence[int],
        *,
        kernel: int,
        residuals: int,
        norm: str,
        separable: bool,
        rngs: nnx.Rngs,
    ):
        shared = {"norm": norm, "separable": separable, "rngs": rngs}
        c1, c2, c3 = widths
        self.conv = ConvBlock(3, c1, kernel, norm=norm, rngs=rngs)
        self.down1 = SeparableBlock(c1, c2, 2, **shared)
        self.down2 = SeparableBlock(c2, c3, 2, **shared)
        self.residuals = nnx.List([ResidualBlock(c3, **shared) for _ in range(residuals)])

    def __call__(self, images: Array) -> list[Array]:
        # Centered and of about unit variance, as the initialization expects.
        level1 = block(_run, self.conv, 4 * (images - jnp.asarray(0.5, images.dtype)))
        level2 = block(_run, self.down1, level1)
        level3 = block(_run, self.down2, level2)
        for residual in self.residuals:
            level3 = block(_run, residual, level3)
        return [level1, level2, level3]


class ContentDecoder(nnx.Module):
    """Styled features -> image [B, H, W, 3] in about [0, 1]; the output convolution is linear.

    `styled` holds the styled maps of the three levels, None where a level is not styled: level 3
    is the input, levels 2 and 1 are added after the first and second upsampling.
    """

    def __init__(
        self, widths: Sequence[int], *, residuals: int, norm: str, separable: bool, rngs: nnx.Rngs
    ):
        shared = {"norm": norm, "separable": separable, "rngs": rngs}
        c1, c2, c3 = widths
        self.residuals = nnx.List([ResidualBlock(c3, **shared) for _ in range(residuals)])
        self.up1 = SeparableBlock(c3, c2, **shared)
        self.up2 = SeparableBlock(c2, c1, **shared)
        # A small start: a full He start paints values of +-10 and the style loss begins at 400.
        self.output = Conv(c1, 3, 3, gain=0.1, rngs=rngs)

    def __call__(self, styled: Sequence[Array | None], sizes: Sequence[tuple[int, int]]) -> Array:
        def up(size: tuple[int, int]):
            return lambda module, x: module(_upsample_to(x, size))

        level1, level2, x = styled
        for residual in self.residuals:
            x = block(_run, residual, x)
        x = block(up(sizes[1]), self.up1, x)
        x = x if level2 is None else x + level2
        x = block(up(sizes[0]), self.up2, x)
        x = x if level1 is None else x + level1
        return self.output(x) + jnp.asarray(0.5, x.dtype)


def _run(module: nnx.Module, x: Array) -> Array:
    return module(x)


def _upsample_to(x: Array, size: tuple[int, int]) -> Array:
    """Bilinear x2, then cut to a size that strided convolution had rounded up."""
    with jax.named_scope("upsample"):
        return upsample_bilinear(x)[:, : size[0], : size[1]]
