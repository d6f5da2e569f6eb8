"""VGG-19 weights: found or downloaded, read without PyTorch, checked, normalized, or random."""

from din_jax.later import attributes

# Imported when asked for: files are opened and checked without JAX, too (`din_jax.lite`).
_PLACES = {
    "VGGWeights": "vgg19",
    "WeightsError": "errors",
    "WeightsNotFound": "errors",
    "cache_folder": "find",
    "find_vgg19": "find",
    "load_vgg19": "vgg19",
    "normalize_vgg19": "normalized",
    "random_vgg19": "normalized",
    "require_layers": "vgg19",
    "save_vgg19": "vgg19",
    "vgg19_of": "choose",
}
__all__ = list(_PLACES)
__getattr__ = attributes(__name__, _PLACES)
