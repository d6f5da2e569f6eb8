"""Crop and color arithmetic on one picture."""

import numpy as np
from PIL import Image

from din_jax.data.decoding import resize_crop, resized_shape

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601


def random_crop(image: Image.Image, short: int, crop: int, left: float, top: float) -> np.ndarray:
    """uint8 [crop, crop, 3] of the picture whose short side is resized to `short` px.

    `left` and `top` in [0, 1) choose one of the possible corners with equal probability. Smaller
    pictures are enlarged. Needs short >= crop.
    """
    width, height = resized_shape(image.width, image.height, short)
    corner = int(left * (width - crop + 1)), int(top * (height - crop + 1))
    return resize_crop(image, (width, height), corner, (crop, crop))


def jitter_colors(pixels: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Random brightness, contrast and saturation of uint8 [H, W, 3]; uint8 again.

    Each factor is drawn from [1 - strength / 2, 1 + strength / 2]:
    x * brightness, then mean + (x - mean) * contrast, then grey + (x - grey) * saturation, with
    `mean` the picture's mean luma and `grey` each pixel's luma.
    """
    brightness, contrast, saturation = 1 + strength * (rng.random(3, np.float32) - 0.5)
    values = pixels.astype(np.float32) * brightness
    mean = (values @ _LUMA).mean()
    values = mean + (values - mean) * contrast
    grey = (values @ _LUMA)[..., None]
    values = grey + (values - grey) * saturation
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
