"""Rescaling a VGG so that no channel outweighs another, and random weights made the same way.

Gatys, Ecker & Bethge 2016, section 2: scale the weights so that each filter's mean activation over
images and positions is one. ReLU and max pooling commute with a positive scale per channel, so the
next convolution can take it back: up to known scales the network computes what it did before.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from din_jax.models.vgg import deepest, layers_up_to
from din_jax.ops.convolution import conv2d
from din_jax.ops.preprocessing import TORCHVISION, Preprocessing
from din_jax.ops.resizing import max_pool
from din_jax.weights.errors import WeightsError
from din_jax.weights.names import CHANNELS
from din_jax.weights.vgg19 import Params, VGGWeights, require_layers

IMAGE_SIDE = 64
IMAGE_COUNT = 8


def normalize_vgg19(weights: VGGWeights, images: Array | np.ndarray) -> VGGWeights:
    """The same network with every channel's mean activation over `images` equal to one.

    With m_l the means before, kernel_l[.., i, o] <- kernel_l[.., i, o] m_(l-1)[i] / m_l[o] and
    bias_l[o] <- bias_l[o] / m_l[o]; features after ReLU are divided by m_l. A channel that is
    silent on all images keeps its scale.

    Args:
      weights: any VGG-19, complete or ending early.
      images: [B, H, W, 3], RGB in [0, 1], at least 32 pixels a side to reach block 5.

    Raises:
      WeightsError: the images are of another shape or kind.
    """
    images = jnp.asarray(images)
    if images.ndim != 4 or images.shape[-1] != 3 or images.dtype != jnp.float32:
        raise WeightsError(
            "images to normalize a VGG by must be float32 [B, H, W, 3] in [0, 1], not "
            f"{images.dtype} {list(images.shape)}; divide bytes by 255"
        )
    params = _calibrate(weights.params, weights.preprocessing, images, center=False)
    parts = [weights.note, f"normalized by {images.shape[0]} images"]
    note = "; ".join(part for part in parts if part)
    return VGGWeights(params, weights.preprocessing, weights.layers, note)


def random_vgg19(seed: int, layers: Sequence[str] = ("relu4_1",)) -> VGGWeights:
    """Untrained VGG-19 features: He-normal kernels (He et al. 2015), deterministic in the seed.

    Biases center every channel's pre-activation and scales bring its mean activation to one, both
    over eight images of 1/f noise made from the seed. Without the centering most channels of a
    random ReLU network are either silent or constant from the third block on.

    Args:
      seed: any integer from 0.
      layers: feature names; convolutions up to the deepest of them are made.

    Raises:
      WeightsError: a name is no layer of VGG-19.
    """
    complete = VGGWeights(dict.fromkeys(CHANNELS, {}), TORCHVISION, tuple(CHANNELS))
    require_layers(complete, layers)
    rng = np.random.default_rng(seed)
    params: Params = {}
    for name in layers_up_to(deepest([layer.replace("conv", "relu") for layer in layers])):
        inputs, outputs = CHANNELS[name]
        kernel = rng.standard_normal((3, 3, inputs, outputs), np.float32)
        params[name] = {
            "kernel": kernel * np.float32(np.sqrt(2 / (9 * inputs))),
            "bias": np.zeros(outputs, np.float32),
        }
    images = jnp.asarray(noise_images(rng))
    params = _calibrate(params, TORCHVISION, images, center=True)
    return VGGWeights(params, TORCHVISION, tuple(params), f"random features, seed {seed}")


def noise_images(rng: np.random.Generator) -> np.ndarray:
    """Colored 1/f noise, the spectrum of natural images: [8, 64, 64, 3] float32 in [0, 1]."""
    side = IMAGE_SIDE
    rows, columns = np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None]
    amplitude = 1 / np.maximum(np.hypot(rows, columns), 1 / side)
    white = rng.standard_normal((IMAGE_COUNT, 3, side, side))
    planes = np.fft.irfft2(np.fft.rfft2(white) * amplitude, s=(side, side))
    # Channels of natural images move together: half of each is the common plane.
    planes = 0.5 * planes + planes.mean(1, keepdims=True)
    # Mean 1/2 and deviation 1/4, as photographs have them; the few values outside are clipped.
    planes = 0.5 + 0.25 * planes / planes.std((1, 2, 3), keepdims=True)
    return np.clip(planes, 0, 1).transpose(0, 2, 3, 1).astype(np.float32)


def _calibrate(
    params: Params, preprocessing: Preprocessing, images: Array, *, center: bool
) -> Params:
    """Walks through the network layer by layer, rescaling each before the next sees its output."""
    x = preprocessing(images)
    before = np.ones(3, np.float32)
    rescaled: Params = {}
    for name, layer in params.items():
        if name.endswith("_1") and name != "conv1_1":
            x = max_pool(x)
        kernel = np.asarray(layer["kernel"]) * before[:, None]
        x, bias, means = _layer(x, kernel, layer["bias"], center=center)
        before = np.where(np.asarray(means) > 0, np.asarray(means), np.float32(1))
        rescaled[name] = {"kernel": kernel / before, "bias": np.asarray(bias) / before}
        x = x / before[None, None, None]
    return rescaled


def _one_layer(x: Array, kernel: Array, bias: Array, center: bool) -> tuple[Array, Array, Array]:
    y = conv2d(x, kernel)
    bias = -y.mean((0, 1, 2)) if center else bias
    y = jax.nn.relu(y + bias[None, None, None])
    return y, bias, y.mean((0, 1, 2))


_layer = jax.jit(_one_layer, static_argnames="center")
