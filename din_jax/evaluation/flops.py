"""The paper's table 1 beside what this program's modules count.

    python -m din_jax.evaluation.flops [--size 512] [--json]

Modules are built and traced without arrays, so it takes seconds and no weights. The convention of
counting is that of `din_jax.evaluation.operations`; the paper's column is for 512 x 512. Johnson's
network is counted without its norms, as the paper's figures for it hold none.
"""

import dataclasses
import functools
import json
import math
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from din_jax.command_line import Parser
from din_jax.config import ModelConfig
from din_jax.config_rules import SMALLEST_SIDE
from din_jax.errors import UserError, exit_status
from din_jax.evaluation.operations import Operations, count_operations
from din_jax.layers.blocks import Conv
from din_jax.layers.normalizers import Instance
from din_jax.layers.styled import StyledLayer
from din_jax.layers.transforms import KernelTransform
from din_jax.models.network import StylizationNetwork, abstract_network
from din_jax.models.vgg import VGGDecoder, VGGParams, conv_shapes, layers_up_to, vgg_features
from din_jax.ops.preprocessing import Preprocessing

PAPER_SIZE = 512  # pixels
# Jing et al. 2020, table 1: operations at 512 x 512.
PAPER = {
    ("Johnson", "encoder"): 14.16e9,
    ("Johnson", "decoder"): 19.59e9,
    ("AdaIN (VGG)", "encoder"): 63.44e9,
    ("AdaIN (VGG)", "decoder"): 63.36e9,
    ("WCT", "encoders"): 203.42e9,
    ("WCT", "decoders"): 203.10e9,
    ("DIN (MobileNet)", "encoder"): 3.62e9,
    ("DIN (MobileNet)", "decoder"): 3.72e9,
    ("DIN (MobileNet)", "weight and bias nets"): 19.97e6,
}
# Written out, not left to the defaults of `ModelConfig`: the table is the paper's.
DIN = ModelConfig(
    network="mobilenet",
    widths=(32, 64, 128),
    kernel=9,
    residuals=2,
    separable=True,
    encoder_norm="instance",
    decoder_norm="instance",
    levels=3,
    code="din",
    style_encoder="mobilenet",  # not counted; it only spares the VGG-19 weights
    style_feature="relu4_1",
    net_hidden=64,
    net_pool=4,
    net_kernel=3,
)


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of the table; `paper` is None where the paper gives no number."""

    model: str
    part: str
    operations: Operations
    parameters: int
    paper: float | None

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers for JSON, the total beside its kinds."""
        return {
            "model": self.model,
            "part": self.part,
            "operations": self.operations.total,
            **dataclasses.asdict(self.operations),
            "parameters": self.parameters,
            "paper": self.paper,
        }


def count_table(size: int = PAPER_SIZE) -> list[Row]:
    """All rows for images of size x size pixels.

    Raises:
      UserError: a size that the deepest network, relu5_1 of VGG-19, does not divide.
    """
    if size < SMALLEST_SIDE or size % 16:
        raise UserError(f"--size must be a multiple of 16 from {SMALLEST_SIDE} up, not {size}.")
    levels = [f"relu{block}_1" for block in range(1, 6)]
    johnson = dataclasses.replace(
        DIN, separable=False, levels=1, encoder_norm="none", decoder_norm="none"
    )
    parts = {
        "Johnson": _content_network(johnson, size),
        "AdaIN (VGG)": _vgg(["relu4_1"], size),
        "WCT": {f"{part}s": count for part, count in _vgg(levels, size).items()},
        "DIN (MobileNet)": _content_network(DIN, size, nets=True),
    }
    return [
        Row(model, part, *count, PAPER.get((model, part)) if size == PAPER_SIZE else None)
        for model, counts in parts.items()
        for part, count in counts.items()
    ]


Count = tuple[Operations, int]


def _content_network(config: ModelConfig, size: int, nets: bool = False) -> dict[str, Count]:
    """Encoder and decoder; with `nets` the styled layers, in the decoder, and their nets too."""
    model = abstract_network(config)
    image = jax.ShapeDtypeStruct((1, size, size, 3), jnp.float32)
    style = jax.ShapeDtypeStruct((1, size // 8, size // 8, 512), jnp.float32)
    maps = _shapes(model.encoder, image)
    sizes = [x.shape[1:3] for x in maps]
    codes = _shapes(StylizationNetwork.code, model, style) if nets else {}

    def decode(decoder, maps, codes):
        if not nets:
            return decoder([None, None, maps[-1]], sizes)
        styled = StyledLayer(Instance(), KernelTransform())
        return decoder([styled(x, codes[f"level{i}"]) for i, x in enumerate(maps, 1)], sizes)

    counts = {
        "encoder": (_count(_call, model.encoder, image), _parameters(model.encoder)),
        "decoder": (_count(decode, model.decoder, maps, codes), _parameters(model.decoder)),
    }
    if nets:
        counts["weight and bias nets"] = (
            _count(StylizationNetwork.code, model, style),
            _parameters(model.codes),
        )
    return counts


def _vgg(layers: Iterable[str], size: int) -> dict[str, Count]:
    """VGG-19 up to each layer, with AdaIN's and WCT's leading 1 x 1 convolution, and its mirror."""
    image = jax.ShapeDtypeStruct((1, size, size, 3), jnp.float32)
    encoder, decoder = (Operations(), 0), (Operations(), 0)
    for layer in layers:
        params = _vgg_params(layer)
        first = nnx.eval_shape(lambda: Conv(3, 3, 1, rngs=nnx.Rngs(0)))
        mirror = nnx.eval_shape(functools.partial(_vgg_decoder, layer))
        encode = functools.partial(_encode_vgg, layer)
        features = _shapes(encode, first, params, image)
        encoder = _add(
            encoder, _count(encode, first, params, image), _parameters(first) + _size(params)
        )
        decoder = _add(decoder, _count(_call, mirror, features), _parameters(mirror))
    return {"encoder": encoder, "decoder": decoder}


def _vgg_decoder(layer: str) -> VGGDecoder:
    return VGGDecoder(layer, rngs=nnx.Rngs(0))


def _encode_vgg(layer: str, first: Conv, params: VGGParams, images: jax.Array) -> jax.Array:
    return vgg_features(params, Preprocessing(), first(images), [layer])[layer]


def _vgg_params(layer: str) -> Mapping[str, Mapping[str, jax.ShapeDtypeStruct]]:
    shapes = conv_shapes()
    return {
        name: {
            "kernel": jax.ShapeDtypeStruct(shapes[name], jnp.float32),
            "bias": jax.ShapeDtypeStruct(shapes[name][3:], jnp.float32),
        }
        for name in layers_up_to(layer)
    }


def _call(module: nnx.Module, *inputs: Any) -> Any:
    return module(*inputs)


def _add(count: Count, operations: Operations, parameters: int) -> Count:
    return count[0] + operations, count[1] + parameters


def _split(function: Callable[..., Any], module: Any) -> tuple[Callable[..., Any], Any]:
    """A pure function of the module's state in place of the module."""
    graph, state = nnx.split(module)
    return lambda state, *inputs: function(nnx.merge(graph, state), *inputs), state


def _count(function: Callable[..., Any], module: nnx.Module, *inputs: Any) -> Operations:
    pure, state = _split(function, module)
    return count_operations(pure, state, *inputs)


def _shapes(function: Callable[..., Any], *inputs: Any) -> Any:
    if isinstance(function, nnx.Module):
        function, inputs = _call, (function, *inputs)
    pure, state = _split(function, inputs[0])
    return jax.eval_shape(pure, state, *inputs[1:])


def _parameters(module: nnx.Module) -> int:
    return _size(nnx.state(module, nnx.Param))


def _size(tree: Any) -> int:
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(tree))


def format_table(rows: Iterable[Row], size: int) -> str:
    """The table as aligned text, operations in units of 1e9 (G) or 1e6 (M)."""
    head = ("model", "part", "paper", "counted", "multiply-adds", "parameters")
    body = [
        (
            row.model,
            row.part,
            _unit(row.paper, row.operations.total, 2) if row.paper else "-",
            _unit(row.operations.total, row.operations.total, 4),
            _unit(row.operations.macs, row.operations.total, 4),
            f"{row.parameters:,}",
        )
        for row in rows
    ]
    widths = [max(map(len, column)) for column in zip(head, *body, strict=True)]
    lines = [
        "  ".join(
            cell.ljust(width) if i < 2 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in (head, *body)
    ]
    title = f"Operations at {size} x {size}: multiply-adds, biases, norms (2 each), ReLUs, maxima"
    return "\n".join([title, "", *lines])


def _unit(value: float, scale: float, digits: int) -> str:
    """`value` in G or M, whichever suits `scale`."""
    giga = scale >= 1e9
    return f"{value / (1e9 if giga else 1e6):.{digits if giga else 2}f} {'G' if giga else 'M'}"


def main(arguments: list[str] | None = None) -> int:
    """Prints the table; the exit status."""

    def command() -> None:
        parser = Parser(__doc__.splitlines()[0])
        parser.add_argument("--size", type=int, default=PAPER_SIZE, help="side in pixels")
        parser.add_argument("--json", action="store_true", help="one JSON list of rows instead")
        options = parser.parse_args(arguments)
        rows = count_table(options.size)
        if options.json:
            print(json.dumps([row.to_dict() for row in rows], indent=2))
        else:
            print(format_table(rows, options.size))

    return exit_status(command)


if __name__ == "__main__":
    sys.exit(main())
