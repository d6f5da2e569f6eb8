"""The VGG-19 that a run's config names: a file found or downloaded, or seeded random features."""

from collections.abc import Iterable
from pathlib import Path

from din_jax.config import Config
from din_jax.weights.find import find_vgg19
from din_jax.weights.normalized import random_vgg19
from din_jax.weights.vgg19 import VGGWeights, load_vgg19, require_layers


def vgg19_of(config: Config, layers: Iterable[str], path: str | Path = "") -> VGGWeights:
    """The network that measures a run's losses, and that a model with a VGG-19 inside contains.

    Args:
      config: `loss.network` chooses "vgg19" or "random" (the same features for the same seed).
      layers: names as "relu4_1" that must be there.
      path: a file to take instead of the one that the config names.

    Raises:
      WeightsError, WeightsNotFound: no file, a bad one, or one without a layer that is needed.
    """
    layers = sorted(set(layers))
    if config.loss.network == "random" and not path:
        return random_vgg19(config.seed, tuple(layers))
    weights = load_vgg19(find_vgg19(path or config.loss.weights))
    require_layers(weights, layers)
    return weights
