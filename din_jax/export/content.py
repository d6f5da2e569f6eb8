"""The content network as an ONNX graph: a picture and a style code to a painted picture.

Inputs `content` [B, 3, H, W], RGB in [0, 1], and for every level `LEVEL.kernel`
[S, K, K, I / groups, O] and `LEVEL.bias` [S, O], as style codes and banks have them; S is B, or 1
for one style of all. Output `painted` [B, 3, H, W], clipped to [0, 1].
"""

from collections.abc import Mapping

import numpy as np

from din_jax.errors import UserError
from din_jax.export.blocks import conv, conv_block, reflected, residual, separable
from din_jax.export.graph import Graph
from din_jax.layers.normalizers import Batch, Centering, Instance, NoNorm, Normalizer
from din_jax.models.network import StylizationNetwork
from din_jax.ops.statistics import EPSILON

Shapes = Mapping[str, tuple[int, ...]]


def require_exportable(network: StylizationNetwork) -> None:
    """Raises UserError for a content network that `content_graph` does not write."""
    config = network.config
    if config.network != "mobilenet":
        wrong = f"network {config.network!r}"
    elif config.transform != "standard":
        wrong = f"transform {config.transform!r}"
    elif config.normalizer == "whitening":
        wrong = "normalizer 'whitening', whose matrix root no ONNX operation computes"
    else:
        return
    raise UserError(
        f"a model with {wrong} is not exported to ONNX: export it with --formats stablehlo, or "
        "take a model with the mobilenet network and standard dynamic convolutions."
    )


def content_graph(network: StylizationNetwork, shapes: Shapes, storage: str = "float32") -> Graph:
    """The graph of `network.stylize`.

    Args:
      network: its batch norms folded (`inference.fold`).
      shapes: of one style's code, `code.LEVEL.kernel` and so on.
      storage: of weights.

    Raises:
      UserError: a network that is not exported.
    """
    require_exportable(network)
    g = Graph("content", storage)
    content = g.input("content", ["batch", 3, "height", "width"])
    codes = {
        level: [
            g.input(f"{level}.{field}", ["styles", *shapes[f"code.{level}.{field}"]])
            for field in ("kernel", "bias")
        ]
        for level in network.levels
    }
    maps = encoded(g, network, content)
    g.output(painted(g, network, maps, codes, shapes), "painted", ["batch", 3, "height", "width"])
    return g


def painted(
    g: Graph, network: StylizationNetwork, maps: Mapping[str, str], codes: Mapping, shapes: Shapes
) -> str:
    """The pictures of encoded maps [B, C, H, W] in codes (kernel, bias) of S or of B styles."""
    styled = {
        level: styled_map(
            g, maps[level], *codes[level], shapes[f"code.{level}.kernel"],
            network.normalizers[level], network.config.dynamic_dilation,
        )
        for level in network.levels
    }  # fmt: skip
    return decoded(g, network, styled, maps)


def encoded(g: Graph, network: StylizationNetwork, content: str) -> dict[str, str]:
    """The content encoder's maps by level."""
    encoder = network.encoder
    level1 = conv_block(g, content, encoder.conv, scale=4.0, shift=-0.5)
    level2 = separable(g, level1, encoder.down1)
    level3 = separable(g, level2, encoder.down2)
    for block in encoder.residuals:
        level3 = residual(g, level3, block)
    return {"level1": level1, "level2": level2, "level3": level3}


def decoded(g: Graph, network: StylizationNetwork, styled: dict, maps: dict) -> str:
    """The picture of styled maps, clipped to [0, 1]; `maps` say the sizes."""
    decoder = network.decoder
    x = styled["level3"]
    for block in decoder.residuals:
        x = residual(g, x, block)
    for block, level in ((decoder.up1, "level2"), (decoder.up2, "level1")):
        x = separable(g, _upsampled(g, x, maps[level]), block)
        x = g.add("Add", x, styled[level]) if level in styled else x
    x = g.add("Add", conv(g, x, decoder.output), g.constant(np.float32([0.5])))
    return g.add("Clip", x, g.constant(np.float32(0)), g.constant(np.float32(1)))


def _upsampled(g: Graph, x: str, like: str) -> str:
    """Bilinear x2, then cut to the size of another map."""
    scales = g.constant(np.float32([1, 1, 2, 2]))
    settings = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
    y = g.add("Resize", x, "", scales, **settings)
    size = g.add("Shape", like, start=2, end=4)
    return g.add("Slice", y, g.constant([0, 0]), size, g.constant([2, 3]))


def styled_map(
    g: Graph,
    x: str,
    kernel: str,
    bias: str,
    shape: tuple[int, int, int, int],
    normalizer: Normalizer,
    dilation: int,
) -> str:
    """y_b = conv(normalize(x_b); kernel_b) + bias_b, as products of matrices.

    Args:
      g: the graph.
      x: [B, I, H, W].
      kernel: [S, *shape]; bias: [S, O].
      shape: (K, K, I / groups, O).
      normalizer: of the layer.
      dilation: pixels between taps.
    """
    side, _, per_group, channels = shape
    pad = dilation * (side // 2)
    padded = reflected(g, _normalized(g, x, normalizer, channels), pad)
    taps = []
    for row in range(side):
        for column in range(side):
            corner = (dilation * row, dilation * column)
            part = _window(g, padded, corner, pad)
            taps.append(_product(g, part, _tap(g, kernel, row, column), per_group, channels))
    y = taps[0] if len(taps) == 1 else g.add("Sum", *taps)
    return g.add("Add", y, g.add("Reshape", bias, g.constant([-1, channels, 1, 1])))


def _normalized(g: Graph, x: str, normalizer: Normalizer, channels: int) -> str:
    if isinstance(normalizer, Instance):
        ones, zeros = g.constant(np.ones(channels)), g.constant(np.zeros(channels))
        return g.add("InstanceNormalization", x, ones, zeros, epsilon=EPSILON)
    if isinstance(normalizer, Centering):
        return g.add("Sub", x, g.add("ReduceMean", x, axes=[2, 3]))
    if isinstance(normalizer, Batch):
        mean, variance = (
            np.asarray(part[...], np.float64)[None, :, None, None]
            for part in (normalizer.mean, normalizer.variance)
        )
        x = g.add("Sub", x, g.constant(mean))
        return g.add("Mul", x, g.constant(1 / np.sqrt(variance + EPSILON)))
    if isinstance(normalizer, NoNorm):
        return x
    raise UserError(f"a normalizer of kind {type(normalizer).__name__} is not exported to ONNX.")


def _window(g: Graph, padded: str, corner: tuple[int, int], pad: int) -> str:
    """The part of a map padded by `pad` that begins at `corner` and has the size without it."""
    if not pad:
        return padded
    stops = [at - 2 * pad or np.iinfo(np.int64).max for at in corner]
    return g.add("Slice", padded, g.constant(corner), g.constant(stops), g.constant([2, 3]))


def _tap(g: Graph, kernel: str, row: int, column: int) -> str:
    """[S, K, K, I / groups, O] -> [S, I / groups, O], one tap of every style's kernel."""
    row, column = (g.constant(np.int64(at)) for at in (row, column))
    return g.add("Gather", g.add("Gather", kernel, row, axis=1), column, axis=1)


def _product(g: Graph, x: str, kernel: str, per_group: int, channels: int) -> str:
    """x [B, C, H, W] times a kernel [S, C / groups, C] at every pixel."""
    groups = channels // per_group
    if per_group == 1:
        return g.add("Mul", x, g.add("Reshape", kernel, g.constant([-1, channels, 1, 1])))
    # Output channels stand group by group: [S, I / groups, groups, O / groups].
    parts = g.add("Reshape", kernel, g.constant([-1, per_group, groups, per_group]))
    matrices = g.add("Transpose", parts, perm=[0, 2, 3, 1])
    rows = g.add("Reshape", x, g.constant([0, groups, per_group, -1]))
    return g.add("Reshape", g.add("MatMul", matrices, rows), g.add("Shape", x))
