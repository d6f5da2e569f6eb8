"""Inference layer by layer: every module's output, the style code, the styled maps, the image."""

from collections.abc import Iterator

import jax
import numpy as np
import torch

from din_jax.models.vgg import layers_up_to, vgg_features
from parity.measure import Row, compare, to_theirs
from parity.pair import Pair, as_jax, as_torch
from parity.recording import jax_modules, torch_modules


def compare_forward(pair: Pair, batch: dict[str, np.ndarray], section: str) -> Iterator[Row]:
    """Rows in the order of computation; call it inside `measure.precision(pair.dtype)`."""
    ours, theirs = jax_forward(pair, batch), torch_forward(pair, batch)
    for name, array in ours.items():
        other = theirs.get(name, np.full((), np.nan))
        yield compare(section, name, to_theirs(array), other, "network", pair.dtype)


def jax_forward(pair: Pair, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Name to array, JAX's side, compiled as one program."""

    @jax.jit
    def run(params, stats, frozen, vgg, content, style):
        found = _named("vgg", vgg_features(vgg, pair.weights.preprocessing, style, _layers(pair)))
        model = pair.network.module(params, stats, frozen, training=False)
        with jax_modules(model) as seen:
            features = model.encode_content(content)
            code = model.encode_style(style)
            output = model.stylize(content, code)
        found |= seen
        for name, layer in code.items():
            found |= {f"code.{name}.kernel": layer.kernel, f"code.{name}.bias": layer.bias}
            found[f"styled.{name}"] = model.paint(name, features[name], layer)
        return found | {"output": output}

    content, style = (as_jax(batch[side], pair.dtype) for side in ("content", "style"))
    found = run(pair.params, pair.stats, pair.frozen, pair.vgg, content, style)
    # A jitted function gives its dict in the order of the alphabet.
    order = [
        "vgg",
        "encoder",
        "style_encoder",
        "code",
        "codes",
        "deformations",
        "styled",
        "decoder",
        "output",
    ]
    names = sorted(found, key=lambda name: order.index(name.split(".")[0].split(" ")[0]))
    return {name: np.asarray(found[name]) for name in names}


def torch_forward(pair: Pair, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Name to array, PyTorch's side."""
    content, style = (as_torch(batch[side], pair.dtype) for side in ("content", "style"))
    model = pair.model.eval()
    with torch.no_grad():
        of_vgg = pair.torch_vgg(style)
        found = {f"vgg.{name}": of_vgg[name] for name in _layers(pair)}
        with torch_modules(model) as seen:
            features = model.encode_content(content)
            code = model.encode_style(style)
            output = model.stylize(content, code)
        found |= seen
        for name, (kernel, bias) in code.items():
            found |= {f"code.{name}.kernel": kernel, f"code.{name}.bias": bias}
            found[f"styled.{name}"] = model.paint(name, features[name], kernel, bias)
    return {name: x.numpy() for name, x in (found | {"output": output}).items()}


def _layers(pair: Pair) -> list[str]:
    deepest = pair.weights.layers[-1].replace("conv", "relu")
    return [name.replace("conv", "relu") for name in layers_up_to(deepest)]


def _named(prefix: str, arrays: dict) -> dict:
    return {f"{prefix}.{name}": x for name, x in arrays.items()}
