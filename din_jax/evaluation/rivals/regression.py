"""Where the training of a decoder begins: each convolution by least squares on the encoder's maps.

The convolution that mirrors conv_k is to give back what conv_k was shown. So from the features on,

    kernel, bias = argmin sum_p ||kernel * x + bias - t||^2 + ridge ||kernel||^2,

x what the decoder has made so far, t the map that went into conv_k, and x <- relu(kernel * x +
bias), enlarged where the encoder pooled. The last one gives the picture; a decoder of relu1_1 is
that one alone, and so the best there is for the pictures it was made by.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from din_jax.evaluation.rivals.networks import Networks
from din_jax.models.vgg import layers_up_to
from din_jax.ops.convolution import conv2d
from din_jax.ops.padding import reflect_pad
from din_jax.ops.resizing import max_pool, upsample_nearest

RIDGE = 1e-4  # times the mean of the squares of a tap's inputs


def regressed_decoder(networks: Networks, images: np.ndarray, layer: str) -> dict[str, Any]:
    """Parameters of a decoder, from pictures uint8 [B, H, W, 3] with sides multiples of 8."""
    pictures = jnp.asarray(images, jnp.float32) / 255
    x, inputs = jax.jit(_walk, static_argnums=2)(networks, pictures, layer)
    convs = {}
    for i, name in enumerate(layers_up_to(layer)[::-1]):
        kernel, bias = least_squares(x, inputs[name])
        convs[i] = {"kernel": kernel, "bias": bias}
        x = jnp.maximum(conv2d(x, jnp.asarray(kernel)) + jnp.asarray(bias)[None, None, None], 0)
        if name.endswith("_1") and name != "conv1_1":
            x = upsample_nearest(x)
    return {"convs": convs}


def least_squares(x: Array, target: Array) -> tuple[np.ndarray, np.ndarray]:
    """Kernel [3, 3, I, O] and bias [O] of the convolution that takes x nearest to the target.

    x is [B, H, W, I], the target [B, H, W, O]; the border is mirrored, as decoders do. Sums are
    taken picture by picture: the nine taps of all at once are gigabytes.
    """
    padded, target = np.asarray(reflect_pad(x, 1)), np.asarray(target)
    channels, outputs = x.shape[-1], target.shape[-1]
    count = len(target)
    mean = np.mean([_taps(image).mean(0, np.float64) for image in padded], 0)
    goal_mean = target.mean((0, 1, 2), np.float64)
    normal = np.zeros((9 * channels, 9 * channels))
    shared = np.zeros((9 * channels, outputs))
    for image, goal in zip(padded, target, strict=True):
        rows = _taps(image) - mean.astype(np.float32)
        goal = goal.reshape(-1, outputs) - goal_mean.astype(np.float32)
        normal += rows.T @ rows / np.float32(len(rows) * count)
        shared += rows.T @ goal / np.float32(len(rows) * count)
    # A channel that is silent on these pictures has no say, and no slope of its own.
    normal[np.diag_indices_from(normal)] += RIDGE * max(np.trace(normal) / len(normal), 1e-12)
    slopes = np.linalg.solve(normal, shared)
    bias = goal_mean - mean @ slopes
    kernel = slopes.reshape(3, 3, channels, -1)
    return kernel.astype(np.float32), bias.astype(np.float32)


def _taps(padded: np.ndarray) -> np.ndarray:
    """A padded map [H + 2, W + 2, I] as rows [H W, 9 I], tap by tap."""
    h, w = (side - 2 for side in padded.shape[:2])
    taps = [padded[i : i + h, j : j + w] for i in range(3) for j in range(3)]
    return np.concatenate(taps, -1).reshape(h * w, -1)


def _walk(networks: Networks, pictures: Array, layer: str) -> tuple[Array, dict[str, Array]]:
    """Features of the layer, and for each convolution up to it the map that goes into it.

    conv1_1 is shown the picture, in [0, 1]: what the preprocessing does a decoder need not undo.
    """
    names = layers_up_to(layer)
    relus = [name.replace("conv", "relu") for name in names]
    features = networks.encode(pictures, relus)
    inputs = {names[0]: pictures}
    for before, name in zip(relus, names[1:], strict=False):
        inputs[name] = max_pool(features[before]) if name.endswith("_1") else features[before]
    return features[relus[-1]], inputs
