"""What a run has before its first step: the loss network and the pairs it is validated with."""

import jax
import numpy as np

from din_jax.config import Config
from din_jax.data.pairs import validation_pairs
from din_jax.training.step import layers_read
from din_jax.weights import VGGWeights, vgg19_of

RANDOM_NOTICE = (
    "Loss network: seeded RANDOM features (config.loss.network='random'). Losses are comparable "
    "among such runs only, and styles are coarser than with VGG-19."
)
# Validation runs in batches of at most this many pairs.
VALIDATION_BATCH = 8


def load_loss_network(config: Config) -> VGGWeights:
    """The VGG-19 that the config asks for, with every layer that its losses and model need."""
    layers = {*config.loss.content_layers, *config.loss.style_layers, *layers_read(config.model)}
    if config.model.network == "vgg19":
        layers.add("relu4_1")
    if config.loss.network == "random":
        print(RANDOM_NOTICE, flush=True)
    weights = vgg19_of(config, layers)
    if weights.note:
        print(f"Loss network: {weights.note}.", flush=True)
    return weights


def held_out(config: Config) -> list[tuple[int, dict[str, np.ndarray]]]:
    """Validation pairs in batches, each with the number of those that count.

    The batches are equal and multiples of the devices; what the last one lacks is filled up.
    """
    pairs = validation_pairs(
        config.data, config.data.validation, config.seed, config.trained_styles
    )
    size = min(VALIDATION_BATCH, len(pairs))
    size = -(-size // jax.device_count()) * jax.device_count()
    batches = []
    for start in range(0, len(pairs), size):
        chosen = [pairs[i % len(pairs)] for i in range(start, start + size)]
        batch = {key: np.stack([p[key] for p in chosen]) for key in pairs[0]}
        batches.append((min(size, len(pairs) - start), batch))
    return batches
