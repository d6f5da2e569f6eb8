"""The convolutions of VGG-19: names, order and channels (Simonyan & Zisserman 2015, column E).

"conv4_1" is the first convolution of the fourth block, "relu4_1" its activation.
"""

# (convolutions, channels) of each block; a 2x2 max pool follows each.
BLOCKS = ((2, 64), (2, 128), (4, 256), (4, 512), (4, 512))


def _channels() -> dict[str, tuple[int, int]]:
    table, before = {}, 3
    for block, (count, width) in enumerate(BLOCKS, 1):
        for number in range(1, count + 1):
            table[f"conv{block}_{number}"] = (before, width)
            before = width
    return table


# Name of a convolution to its input and output channels, from the image on.
CHANNELS: dict[str, tuple[int, int]] = _channels()
LAYERS = tuple(name.replace("conv", "relu") for name in CHANNELS)
STYLE_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1")  # whose statistics are a style


def smallest_side(layer: str) -> int:
    """Pixels, of a picture whose map of a layer is 2 x 2: what a border by reflection takes."""
    return 2 ** int(layer[4])  # a pool before each block but the first
