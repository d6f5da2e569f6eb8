"""A model's style encoder as an ONNX graph: a picture to the style code of every level.

Input `style` [B, 3, H, W], RGB in [0, 1]; outputs `LEVEL.kernel` [B, K, K, I / groups, O] and
`LEVEL.bias` [B, O]: what the content network's graph takes.
"""

import numpy as np

from din_jax.errors import UserError
from din_jax.export.blocks import LEAKY_SLOPE, conv_block, dense, separable
from din_jax.export.content import Shapes
from din_jax.export.graph import Graph
from din_jax.layers.codes import identity_kernel
from din_jax.layers.nets import BIAS_GAIN, INPUT_SCALE, DynamicCode, DynamicNet
from din_jax.models.network import StylizationNetwork
from din_jax.models.style_encoders import MobileNetFeatures, StatisticsEncoder
from din_jax.ops.statistics import EPSILON

LOG_FLOOR = 1e-3


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
    for level in network.levels:
        code = _code(g, features, network.codes[level])
        for field, value in zip(("kernel", "bias"), code, strict=True):
            shape = shapes[f"code.{level}.{field}"]
            given = g.add("Reshape", value, g.constant([-1, *shape]))
            g.output(given, f"{level}.{field}", ["batch", *shape])
    return g


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


def _code(g: Graph, features: str, source: DynamicCode) -> tuple[str, str]:
    """`DynamicCode`: features [B, 1920] -> kernel [B, K K I / groups O] and bias [B, O]."""
    mean = g.add("ReduceMean", features, axes=[1])
    away = g.add("Sub", features, mean)
    variance = g.add("ReduceMean", g.add("Mul", away, away), axes=[1])
    x = g.add("Div", away, g.add("Sqrt", g.add("Add", variance, _number(g, 1e-5))))
    identity = np.asarray(identity_kernel(*source.shape)).reshape(1, -1)
    change = _net(g, x, source.weight_net, source.kernel_scale)
    bias = _net(g, x, source.bias_net, BIAS_GAIN * source.scale)
    return g.add("Add", change, g.constant(identity)), bias


def _net(g: Graph, x: str, net: DynamicNet, gain: float) -> str:
    """gain * `DynamicNet` of vectors brought to zero mean and unit variance."""
    hidden = _leaky(g, dense(g, x, net.first, INPUT_SCALE))
    return g.add("Mul", dense(g, hidden, net.last), _number(g, gain))


def _leaky(g: Graph, x: str) -> str:
    return g.add("LeakyRelu", x, alpha=LEAKY_SLOPE)


def _number(g: Graph, value: float) -> str:
    return g.constant(np.float32(value))
