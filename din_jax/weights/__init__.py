"""VGG-19 weights: found or downloaded, read without PyTorch, checked, normalized, or random."""

from din_jax.weights.choose import vgg19_of
from din_jax.weights.errors import WeightsError, WeightsNotFound
from din_jax.weights.find import cache_folder, find_vgg19
from din_jax.weights.normalized import normalize_vgg19, random_vgg19
from din_jax.weights.vgg19 import VGGWeights, load_vgg19, require_layers, save_vgg19

__all__ = [
    "VGGWeights",
    "WeightsError",
    "WeightsNotFound",
    "cache_folder",
    "find_vgg19",
    "load_vgg19",
    "normalize_vgg19",
    "random_vgg19",
    "require_layers",
    "save_vgg19",
    "vgg19_of",
]
