"""One model on both sides: the same weights, the same VGG-19, the same images."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch

from din_jax.config import Config
from din_jax.models.network import VGGBackbone
from din_jax.training.state import Network
from din_jax.weights import VGGWeights
from din_jax.weights.torch_names import from_torch, model_shapes, to_torch, vgg19_to_torch
from parity.reference.stylizer import Stylizer
from parity.reference.vgg import VGG19


@dataclasses.dataclass(frozen=True)
class Pair:
    """Both sides of a comparison in one precision.

    Attributes:
      config: the run.
      network, params, stats, frozen: JAX's side.
      vgg: the loss network's parameters for JAX.
      model, torch_vgg: PyTorch's side.
      weights: where both got VGG-19 from.
      dtype: "float32" or "float64"; use the arrays inside `measure.precision(dtype)`.
    """

    config: Config
    network: Network
    params: dict[str, Any]
    stats: dict[str, Any]
    frozen: dict[str, Any]
    vgg: dict[str, Any]
    model: Stylizer
    torch_vgg: VGG19
    weights: VGGWeights
    dtype: str


def make_pair(config: Config, variables: dict, weights: VGGWeights, dtype: str) -> Pair:
    """Both sides over `variables` (numpy, through the table of names), inside `precision`."""
    cast = _caster(dtype)
    variables = jax.tree.map(cast, variables)
    params = {name: weights.params[name] for name in weights.layers}
    vgg = jax.tree.map(lambda x: jnp.asarray(cast(x)), params)
    network = Network(config.model, VGGBackbone(vgg, weights.preprocessing))
    torch_vgg = VGG19(weights.preprocessing, len(weights.layers)).to(getattr(torch, dtype))
    load(torch_vgg, {name: cast(x) for name, x in vgg19_to_torch(weights).items()})
    model = Stylizer(config.model, torch_vgg).to(getattr(torch, dtype))
    load(model, to_torch(variables))
    on_device = jax.tree.map(jnp.asarray, variables)
    frozen = {}
    if "vgg19" in (config.model.network, config.model.style_encoder):
        frozen = {"vgg": {"params": vgg}}
    return Pair(
        config,
        network,
        on_device["params"],
        on_device["batch_stats"],
        frozen,
        vgg,
        model,
        torch_vgg,
        weights,
        dtype,
    )


def load(module: torch.nn.Module, arrays: dict[str, np.ndarray]) -> None:
    """A state dict of numpy arrays into a module, strictly."""
    module.load_state_dict({name: torch.from_numpy(np.array(x)) for name, x in arrays.items()})


def random_variables(config: Config, seed: int) -> dict[str, Any]:
    """Random weights at which every layer is alive, and no bias, scale or statistic is idle."""
    rng = np.random.default_rng(seed)
    draw = {
        "kernel": lambda shape: rng.standard_normal(shape) * (2 / np.prod(shape[:3])) ** 0.5,
        "scale": lambda shape: 1 + 0.1 * rng.standard_normal(shape),
        "var": lambda shape: rng.uniform(0.5, 1.5, shape),
        "variance": lambda shape: rng.uniform(0.5, 1.5, shape),
        "updates": lambda shape: np.full(shape, 7.0),
        "bias": lambda shape: 0.1 * rng.standard_normal(shape),
        "mean": lambda shape: 0.1 * rng.standard_normal(shape),
        "pictures": lambda shape: rng.uniform(0, 1, shape),
    }
    arrays = {}
    for name, shape in model_shapes(config.model).items():
        array = draw[name.rsplit(".", 1)[1]](shape)
        # The nets read features divided by sixteen; the image comes of a small kernel.
        if "_net.first" in name or "_net.correct" in name:
            array = 16 * array
        if name.endswith("offset_net.kernel"):
            array = np.prod(shape[:3]) ** 0.5 * array  # offsets of pixels, not of tenths of one
        if name.startswith("params.decoder.output"):
            array = 0.1 * array
        arrays[name] = array.astype(np.float32)
    return from_torch(to_torch(arrays), config.model)


def random_batch(size: tuple[int, int], count: int, seed: int) -> dict[str, np.ndarray]:
    """{"content", "style"}: uint8 [B, H, W, 3], smooth in the large and noisy in the small."""
    rng = np.random.default_rng(seed)
    batch = {}
    for side in ("content", "style"):
        coarse = rng.uniform(0, 255, (count, 8, 8, 3))
        rows, columns = (np.arange(n) * 8 // n for n in size)
        image = coarse[:, rows][:, :, columns] + rng.normal(0, 20, (count, *size, 3))
        batch[side] = np.clip(image, 0, 255).astype(np.uint8)
    return batch


def as_torch(images: np.ndarray, dtype: str) -> torch.Tensor:
    """uint8 [B, H, W, 3] to [B, 3, H, W] in [0, 1]."""
    floats = images.astype(_wider(dtype)) / _wider(dtype)(255)
    return torch.from_numpy(np.ascontiguousarray(floats.transpose(0, 3, 1, 2)))


def as_jax(images: np.ndarray, dtype: str) -> jax.Array:
    """uint8 [B, H, W, 3] to the same in [0, 1]."""
    return jnp.asarray(images.astype(_wider(dtype)) / _wider(dtype)(255))


def _wider(dtype: str) -> type:
    return np.float64 if dtype == "float64" else np.float32


def _caster(dtype: str):
    return lambda x: np.asarray(x, _wider(dtype))
