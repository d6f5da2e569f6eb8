"""What a run has before its first step: the loss network."""

from din_jax.config import Config
from din_jax.training.objective import layers_read
from din_jax.weights import VGGWeights, vgg19_of

RANDOM_NOTICE = (
    "Loss network: seeded RANDOM features (config.loss.network='random'). Losses are comparable "
    "among such runs only, and styles are coarser than with VGG-19."
)


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
