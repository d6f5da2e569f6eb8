"""A model's style encoder as an ONNX graph: a picture to the style code of every level.

Input `style` [B, 3, H, W], RGB in [0, 1]; outputs `LEVEL.kernel` [B, K, K, I / groups, O] and
`LEVEL.bias` [B, O]: what the content network's graph takes. With feedback the content network is in
this graph too, around the few small pictures that a code is tried on.
"""

import numpy as np

from din_jax.errors import UserError
from din_jax.export.blocks import LEAKY_SLOPE, conv_block, dense, separable
from din_jax.export.content import Shapes, encoded, painted
from din_jax.export.graph import Graph
from din_jax.layers.codes import identity_kernel
from din_jax.layers.nets import BIAS_GAIN, INPUT_SCALE, DynamicCode, DynamicNet
from din_jax.models.network import StylizationNetwork
from din_jax.models.style_encoders import STATISTICS, MobileNetFeatures, StatisticsEncoder
from din_jax.ops.statistics import EPSILON

LOG_FLOOR = 1e-3
FIELDS = ("kernel", "bias")
Codes = dict[str, list[str]]  # by level


def why_not(network: StylizationNetwork) -> str:
    """Why the style encoder is not written as ONNX, as the end of a sentence; "" if it is."""
    config = network.config
    if network.codes and any(source is None for source in network.codes.values()):
        return "it was loaded without its style encoder"
    if config.code != "din" or config.transform == "spatial":
        return f"codes of the method {config.code!r} with transform {config.transform!r} are not"
    if config.style_encoder != "mobilenet" or config.style_feature != "statistics":
        return (
            f"one of kind {config.style_encoder!r} that reads {config.style_feature!r} is not, "
            "only the MobileNet that predicts statistics"
        )
    if config.net_pool != 1 or config.net_kernel != 1:
        return "nets of statistics with net_pool or net_kernel above 1 are not"
    return ""


def style_graph(network: StylizationNetwork, shapes: Shapes, storage: str = "float32") -> Graph:
    """The graph of `network.encode_style`; arguments as of `content_graph`.

    Raises:
      UserError: a style encoder that is not exported.
    """
    if reason := why_not(network):
        raise UserError(
            f"this model's style encoder is not exported to ONNX, for {reason}: export the content "
            "network alone, with a bank of styles."
        )
    g = Graph("style", storage)
    style = g.input("style", ["batch", 3, "height", "width"])
    features = _statistics(g, network.style_encoder, style)
    if network.feedback is None:
        codes = _codes(g, network, shapes, features)
    else:
        codes = _corrected(g, network, shapes, features)
    for level, code in codes.items():
        for field, value in zip(FIELDS, code, strict=True):
            g.output(value, f"{level}.{field}", ["batch", *shapes[f"code.{level}.{field}"]])
    return g


def _codes(
    g: Graph, network: StylizationNetwork, shapes: Shapes, features: str, missing: str = ""
) -> Codes:
    """`network.code_of`: a kernel [B, K, K, I / groups, O] and a bias [B, O] per level."""
    return {
        level: [
            g.add("Reshape", value, g.constant([-1, *shapes[f"code.{level}.{field}"]]))
            for field, value in zip(
                FIELDS, _code(g, features, missing, network.codes[level]), strict=True
            )
        ]
        for level in network.levels
    }


def _corrected(g: Graph, network: StylizationNetwork, shapes: Shapes, features: str) -> Codes:
    """`models.feedback.Feedback`: the codes of its last round."""
    pictures = np.asarray(network.feedback.pictures[...]).transpose(0, 3, 1, 2)
    count = len(pictures)
    styles = g.add("Shape", features, start=0, end=1)
    ones = g.constant([1, 1, 1])
    maps = {
        level: g.add("Tile", x, g.add("Concat", styles, ones, axis=0))
        for level, x in encoded(g, network, g.constant(pictures)).items()
    }
    missing = g.add("Sub", features, features)
    for _ in range(network.feedback.rounds):
        codes = _codes(g, network, shapes, features, missing)
        each = {
            level: [
                _repeated(g, value, count, shapes[f"code.{level}.{field}"])
                for field, value in zip(FIELDS, code, strict=True)
            ]
            for level, code in codes.items()
        }
        seen = _statistics(g, network.style_encoder, painted(g, network, maps, each, shapes))
        seen = g.add("Reshape", seen, g.constant([-1, count, STATISTICS]))
        seen = g.add("ReduceMean", seen, axes=[1], keepdims=0)
        missing = g.add("Add", missing, g.add("Sub", features, seen))
    return _codes(g, network, shapes, features, missing)


def _repeated(g: Graph, x: str, count: int, shape: tuple[int, ...]) -> str:
    """[B, ...] -> [B * count, ...], each `count` times in a row."""
    one = g.add("Reshape", x, g.constant([-1, 1, *shape]))
    each = g.add("Expand", one, g.constant([1, count, *[1] * len(shape)]))
    return g.add("Reshape", each, g.constant([-1, *shape]))


def _statistics(g: Graph, encoder: StatisticsEncoder, style: str) -> str:
    """`StatisticsEncoder`: [B, 3, H, W] -> [B, 1920]."""
    parts = [part for x in _maps(g, encoder.features, style) for part in _mean_and_std(g, x)]
    logs = g.add("Log", g.add("Max", g.add("Concat", *parts, axis=1), _number(g, LOG_FLOOR)))
    mean = g.add("ReduceMean", logs, axes=[1])
    centered = g.add("Sub", logs, mean)
    std = g.add("Sqrt", g.add("ReduceMean", g.add("Mul", centered, centered), axes=[1]))
    x = g.add("Div", centered, g.add("Add", std, _number(g, 1e-2)))
    return dense(g, _leaky(g, dense(g, x, encoder.first)), encoder.last)


def _maps(g: Graph, features: MobileNetFeatures, style: str) -> list[str]:
    maps = [conv_block(g, style, features.conv, scale=4.0, shift=-0.5)]
    for block in features.blocks:
        maps.append(separable(g, maps[-1], block))
    return maps


def _mean_and_std(g: Graph, x: str) -> tuple[str, str]:
    """Of each channel, [B, C] both; two passes, as `ops.statistics` says why."""
    mean = g.add("ReduceMean", x, axes=[2, 3])
    away = g.add("Sub", x, mean)
    variance = g.add("ReduceMean", g.add("Mul", away, away), axes=[2, 3], keepdims=0)
    std = g.add("Sqrt", g.add("Add", variance, _number(g, EPSILON)))
    return g.add("Squeeze", mean, g.constant([2, 3])), std


def _code(g: Graph, features: str, missing: str, source: DynamicCode) -> tuple[str, str]:
    """`DynamicCode`: features [B, 1920] -> kernel [B, K K I / groups O] and bias [B, O]."""
    mean = g.add("ReduceMean", features, axes=[1])
    away = g.add("Sub", features, mean)
    variance = g.add("ReduceMean", g.add("Mul", away, away), axes=[1])
    x = g.add("Div", away, g.add("Sqrt", g.add("Add", variance, _number(g, 1e-5))))
    identity = np.asarray(identity_kernel(*source.shape)).reshape(1, -1)
    change = _net(g, x, missing, source.weight_net, source.kernel_scale)
    bias = _net(g, x, missing, source.bias_net, BIAS_GAIN * source.scale)
    return g.add("Add", change, g.constant(identity)), bias


def _net(g: Graph, x: str, missing: str, net: DynamicNet, gain: float) -> str:
    """gain * `DynamicNet` of vectors brought to zero mean and unit variance."""
    hidden = dense(g, x, net.first, INPUT_SCALE)
    if missing:
        hidden = g.add("Add", hidden, dense(g, missing, net.correct, INPUT_SCALE))
    hidden = _leaky(g, hidden)
    return g.add("Mul", dense(g, hidden, net.last), _number(g, gain))


def _leaky(g: Graph, x: str) -> str:
    return g.add("LeakyRelu", x, alpha=LEAKY_SLOPE)


def _number(g: Graph, value: float) -> str:
    return g.constant(np.float32(value))
