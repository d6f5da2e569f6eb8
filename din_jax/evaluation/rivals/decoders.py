"""Decoders of the rivals: read from files, or trained to give pictures back.

    L = ||I_o - I_i||^2 + lambda ||Phi(I_o) - Phi(I_i)||^2                  (Li et al. 2017, eq. 1)

I_i a picture, I_o what the decoder makes of its features Phi(I_i) at one layer; both terms are
means here, and lambda is 0.01 where they take 1: features of a normalized VGG-19 vary a hundred
times as much as pixels in [0, 1], and in a short training colors come last.
"""

import dataclasses
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import safetensors.numpy
from jax import Array

from din_jax.evaluation.rivals.networks import (
    DecoderParams,
    Networks,
    decoder_shapes,
    fresh_decoder,
)
from din_jax.files import write_atomically
from din_jax.models.vgg import layers_up_to
from din_jax.weights.checked import Expected, read_checked
from din_jax.weights.containers import Entry
from din_jax.weights.errors import WeightsError
from din_jax.weights.opening import open_weights
from din_jax.weights.torch_names import DECODER_INDICES

AGREED = "the published decoder of AdaIN (decoder.pth as safetensors, or its npz), or one of ours"


def load_decoder(path: str | Path, layer: str = "relu4_1") -> DecoderParams:
    """The parameters of a decoder.

    Read are files of `save_decoder`, and for relu4_1 AdaIN's decoder: under its published names
    (`1.weight`, OIHW), and as TensorFlow ports have it (`block4_conv1_decode_kernel`, HWIO, blocks
    and convolutions in the order of decoding).

    Raises:
      WeightsError, WeightsNotFound: no such file, or not a decoder of this layer.
    """
    count = len(layers_up_to(layer))
    with open_weights(path) as entries:
        names = _naming(entries, count, layer)
        shapes, expected = decoder_shapes(layer)["convs"], {}
        for i, (kernel, bias, turned) in enumerate(names):
            shape = shapes[i]["kernel"].shape
            expected[kernel] = Expected(tuple(shape[k] for k in (3, 2, 0, 1)) if turned else shape)
            expected[bias] = Expected(shape[3:])
        if "order" in entries:
            expected["order"] = Expected(entries["order"].shape, ("str",))
        arrays, problems = read_checked(entries, expected)
    if problems:
        raise WeightsError(f"{path} is no decoder of {layer}: {problems}; give {AGREED}")
    convs = {}
    for i, (kernel, bias, turned) in enumerate(names):
        value = arrays[kernel].astype(np.float32)
        value = np.ascontiguousarray(value.transpose(2, 3, 1, 0)) if turned else value
        convs[i] = {"kernel": value, "bias": arrays[bias].astype(np.float32)}
    return {"convs": convs}


def save_decoder(params: DecoderParams, path: str | Path) -> Path:
    """Writes a decoder as safetensors that `load_decoder` reads back."""
    arrays = {
        f"convs.{i}.{name}": np.asarray(value)
        for i, conv in params["convs"].items()
        for name, value in conv.items()
    }
    return write_atomically(path, safetensors.numpy.save(arrays))


def _naming(entries: Mapping[str, Entry], count: int, layer: str) -> list[tuple[str, str, bool]]:
    """Per convolution the names of kernel and bias, and whether the kernel is OIHW."""
    if layer == "relu4_1" and "1.weight" in entries:
        return [(f"{place}.weight", f"{place}.bias", True) for place in DECODER_INDICES]
    if layer == "relu4_1" and any(name.startswith("block") for name in entries):
        return [(f"{name}_kernel", f"{name}_bias", False) for name in _ported_names()]
    return [(f"convs.{i}.kernel", f"convs.{i}.bias", False) for i in range(count)]


def _ported_names() -> list[str]:
    """Blocks as in the encoder, convolutions numbered as they are met in decoding."""
    counts: dict[str, int] = {}
    names = []
    for conv in layers_up_to("relu4_1")[::-1]:
        block = conv[4]
        counts[block] = counts.get(block, 0) + 1
        names.append(f"block{block}_conv{counts[block]}_decode")
    return names


def with_tail(layer: str, other: DecoderParams, seed: int) -> DecoderParams:
    """Fresh parameters of a decoder, its last convolutions those of another one.

    Decoders mirror one network, so that those of a layer and of a deeper or shallower one end
    alike: what makes pictures need not be learned again.
    """
    fresh = fresh_decoder(layer, seed)["convs"]
    given = list(other["convs"].values())
    for i, conv in zip(reversed(fresh), reversed(given), strict=False):
        if i == 0:  # reads another network's features
            break
        fresh[i] = conv
    return {"convs": fresh}


@dataclasses.dataclass(frozen=True)
class Training:
    """Of a decoder: Adam, cosine decay to a hundredth at the last step, or at the end of the time.

    With a time the same settings need not give the same decoder twice.
    """

    steps: int = 600
    minutes: float = 0.0  # most of them; 0: no end but the steps'
    batch: int = 4
    rate: float = 1e-3
    feature_weight: float = 0.01  # lambda
    seed: int = 0


def reconstruction_loss(
    decoder: DecoderParams, networks: Networks, images: Array, layer: str, weight: float
) -> Array:
    """Eq. 1 of images [B, H, W, 3] in [0, 1], sides multiples of 8."""
    features = networks.encode(images, (layer,))[layer]
    found = dataclasses.replace(networks, decoders={layer: decoder}).decode(features, layer)
    again = networks.encode(found, (layer,))[layer]
    return jnp.square(found - images).mean() + weight * jnp.square(again - features).mean()


def train_decoder(
    networks: Networks,
    layer: str,
    batch_of: Callable[[int], np.ndarray],
    training: Training = Training(),
    start: DecoderParams | None = None,
    report: Callable[[int, float], None] = lambda step, loss: None,
) -> tuple[DecoderParams, float]:
    """A decoder of a layer, trained on pictures alone, and the mean loss of the last tenth.

    Args:
      networks: the frozen VGG-19.
      layer: as "relu3_1".
      batch_of: step to uint8 [B, H, W, 3], sides multiples of 8.
      training: how.
      start: parameters to begin with; None draws them.
      report: told the loss of every step.
    """
    rate_at = optax.cosine_decay_schedule(training.rate, 1, 0.01)
    optimizer = optax.scale_by_adam()

    @jax.jit
    def update(networks: Networks, params: Any, state: Any, images: Array, rate: Array):
        pictures = images.astype(jnp.float32) / 255
        loss, gradient = jax.value_and_grad(reconstruction_loss)(
            params, networks, pictures, layer, training.feature_weight
        )
        with jax.numpy_dtype_promotion("standard"):  # Optax raises a float to its int32 count
            change, state = optimizer.update(gradient, state, params)
        params = jax.tree.map(lambda old, step: old - rate * step, params, change)
        return params, state, loss

    params = jax.tree.map(jnp.asarray, start or fresh_decoder(layer, training.seed))
    state = optimizer.init(params)
    losses, began = [], time.monotonic()
    for step in range(training.steps):
        spent = (time.monotonic() - began) / 60
        done = max(step / training.steps, spent / training.minutes if training.minutes else 0)
        if done >= 1:
            break
        rate = np.float32(rate_at(done))
        params, state, loss = update(networks, params, state, batch_of(step), rate)
        losses.append(float(loss))
        report(step, losses[-1])
    return jax.tree.map(np.asarray, params), float(np.mean(losses[-(len(losses) // 10 + 1) :]))
