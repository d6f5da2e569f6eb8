"""Compiles styled layers and networks for a batch split over eight devices, and lists collectives.

python collectives.py        writes one JSON line: {case: {"forward": [...], "backward": [...]}}

Nothing runs: shapes are enough to see what the partitioner inserts.
"""

import dataclasses
import json
import re
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
from flax import nnx
from jax.sharding import NamedSharding, PartitionSpec

sys.path.insert(0, str(Path(__file__).parents[2]))

from din_jax.config import ModelConfig  # noqa: E402
from din_jax.layers.codes import LayerCode, MapCode  # noqa: E402
from din_jax.layers.normalizers import Instance, Whitening  # noqa: E402
from din_jax.layers.styled import StyledLayer  # noqa: E402
from din_jax.layers.transforms import KernelTransform, SpatialTransform  # noqa: E402
from din_jax.models.network import StylizationNetwork  # noqa: E402
from din_jax.models.style_encoders import MAP_CHANNELS, MobileNetFeatures  # noqa: E402
from din_jax.ops.deformable import deformable_conv  # noqa: E402
from din_jax.training.mesh import make_mesh  # noqa: E402

COLLECTIVES = re.compile(
    r"\b(all-gather|all-reduce|reduce-scatter|all-to-all|collective-permute|collective-broadcast)"
    r"(?:-start)?\("
)
MODEL = ModelConfig(
    widths=(4, 8, 8), kernel=3, residuals=0, separable=False, levels=1, net_hidden=4,
    style_encoder="mobilenet",
    encoder_norm="instance", decoder_norm="instance",
)  # fmt: skip
# One block of the style encoder's five, which are alike but for their sizes.
MobileNetFeatures.CHANNELS, MobileNetFeatures.STRIDES = (8, MAP_CHANNELS), (2, 2)
NETWORKS = {
    "standard": {},
    "deformable": {"transform": "deformable", "dynamic_kernel": 3, "dynamic_groups": 2},
}


def collectives(function, *arguments) -> list[str]:
    """Names of the collectives in the compiled program, sorted, each once."""
    text = jax.jit(function).lower(*arguments).compile().as_text()
    return sorted(set(COLLECTIVES.findall(text)))


def squares(function):
    return lambda *inputs: jnp.square(function(*inputs)).sum()


def layers(whole, split) -> dict:
    """Single styled layers: the batch is the only thing they share, so nothing may travel."""

    def array(*shape):
        return jax.ShapeDtypeStruct(shape, jnp.float32, sharding=split)

    x = array(16, 12, 12, 4)
    codes = {
        "1x1": (array(16, 1, 1, 4, 4), array(16, 4)),
        "3x3": (array(16, 3, 3, 4, 4), array(16, 4)),
        "group": (array(16, 3, 3, 2, 4), array(16, 4)),
        "depthwise": (array(16, 3, 3, 1, 4), array(16, 4)),
        "whitening": (array(16, 1, 1, 4, 4), array(16, 4)),
        "spatial": (array(16, 5, 5, 4), array(16, 5, 5, 4)),
    }

    found = {}
    for name, code in codes.items():
        maps = name == "spatial"
        kind, transform = (
            (MapCode, SpatialTransform()) if maps else (LayerCode, KernelTransform())
        )
        normalizer = Whitening() if name == "whitening" else Instance()
        layer = StyledLayer(normalizer, transform)

        def paint(x, kernel, bias, layer=layer, kind=kind):
            return layer(x, kind(kernel, bias))

        found[f"layer {name}"] = both(paint, (0, 1, 2), x, *code)

    def deformable(x, offsets, kernel, bias):
        return deformable_conv(x, offsets, kernel, bias)

    def gathering(x):
        return jnp.sin(jax.lax.with_sharding_constraint(jnp.cos(x), whole))

    found["control"] = both(gathering, 0, x)
    inputs = (x, array(16, 12, 12, 18), *codes["depthwise"])
    found["layer deformable"] = both(deformable, (0, 1, 2, 3), *inputs)
    return found


def networks(whole, split) -> dict:
    """Whole networks; the gradient is that of the parameters, which every device holds."""
    image = jax.ShapeDtypeStruct((16, 32, 32, 3), jnp.float32, sharding=split)
    found = {}
    for name, changes in NETWORKS.items():
        config = dataclasses.replace(MODEL, **changes)
        model = nnx.eval_shape(lambda config=config: StylizationNetwork(config, rngs=nnx.Rngs(0)))
        graph, params, rest = nnx.split(model, nnx.Param, ...)
        place = lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=whole)  # noqa: E731
        params, rest = jax.tree.map(place, (params, rest))

        def run(params, rest, content, style, graph=graph):
            return nnx.merge(graph, params, rest)(content, style)

        found[f"network {name}"] = both(run, 0, params, rest, image, image)
    return found


def both(function, by, *arguments) -> dict[str, list[str]]:
    return {
        "forward": collectives(function, *arguments),
        "backward": collectives(jax.grad(squares(function), by), *arguments),
    }


if __name__ == "__main__":
    mesh = make_mesh()
    split = NamedSharding(mesh, PartitionSpec("data"))
    whole = NamedSharding(mesh, PartitionSpec())
    print(json.dumps(layers(whole, split) | networks(whole, split)))
