"""What painting needs, by arithmetic on the config: how much of the content, how much memory."""

from din_jax.config import ModelConfig
from din_jax.vgg_layout import BLOCKS


def grid(config: ModelConfig) -> int:
    """Pixels of the content along a side of a pixel of the deepest map, where no border cuts it.

    A piece of a picture that begins at a multiple of it has the pixels of its maps where the whole
    picture has them.
    """
    return 8 if config.network == "vgg19" else 4


def reach(config: ModelConfig) -> int | None:
    """The most pixels, in any direction, from a pixel painted to one of the content that it reads.

    Statistics apart, which read everything. None where nothing bounds it: a deformable transform
    reads as far as its offsets point.
    """
    if config.transform == "deformable":
        return None
    dynamic = config.dynamic_dilation * (config.dynamic_kernel // 2)
    if config.network == "vgg19":
        # 3x3 convolutions up to relu4_1, and the same number back; a pool reads its own 2 x 2.
        counts = [count for count, _ in BLOCKS[:3]] + [1]
        convolutions = sum(count << block for block, count in enumerate(counts))
        return 2 * convolutions + 8 * dynamic + 7
    # The first convolution, two of stride 2, residual blocks of two convolutions each at 1/4.
    encoder = [config.kernel // 2, 1, 2, 4 * 2 * config.residuals]
    # Back again: upsampling reads one pixel beside, and a 3x3 follows; the output is one more.
    decoder = [4 * 2 * config.residuals, 4, 2, 2, 1, 1]
    # Level 1 is styled at full size and read by the output alone, level 2 before the second
    # upsampling: neither path is longer than the deepest, unless the encoder's first part is.
    paths = [sum(encoder) + 4 * dynamic + sum(decoder)]
    if config.levels > 1:
        paths.append(sum(encoder[:2]) + 2 + 2 * dynamic + sum(decoder[3:]))
    if config.levels > 2:
        paths.append(encoder[0] + dynamic + decoder[-1])
    return max(paths)


def bytes_per_pixel(config: ModelConfig, regions: int = 1) -> int:
    """Memory that painting takes at its peak beside its arguments, for each pixel of the content.

    Each of several `regions` by masks has styled maps of all levels, which XLA computes before it
    adds any: 364 bytes more at the default widths, and those of its masks.

    Proportional to the widest maps at once alive. The factors are those of the programs that XLA
    makes for CPU at 256 x 256, rounded up (`memory_analysis().temp_size_in_bytes`): 644 bytes for
    the default widths, 161 for widths of (8, 16, 32), 616 for (8, 64, 256), 846 with standard
    convolutions, 1118 with dynamic kernels of 3 x 3, 1846 for VGG-19.
    """
    if config.network == "vgg19":
        return 4 * 8 * 64 + (regions - 1) * 4 * 2 * 512 // 8**2
    first, second, third = config.widths
    level = sum(width / 4**i for i, width in list(enumerate(config.widths))[-config.levels :])
    # Decoding upsamples the second map to full size, and the third to half of it.
    widest = max(first, second, max(second, third) / 4)
    plain = config.separable and config.dynamic_kernel == 1 and config.transform == "standard"
    whole = round(4 * widest * (2.7 if plain else 5)) + 32
    return whole + (regions - 1) * (round(4 * level * (1.7 if plain else 3.2)) + 16)
