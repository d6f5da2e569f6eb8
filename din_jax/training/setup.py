"""What a run has before its first step: the loss network, and a model to start from."""

from typing import Any

import jax

from din_jax.config import Config
from din_jax.errors import UserError
from din_jax.training.grown import with_blocks
from din_jax.training.objective import layers_needed
from din_jax.training.rows import with_rows
from din_jax.training.state import variables_of
from din_jax.weights import VGGWeights, vgg19_of
from din_jax.weights.models import load_model

RANDOM_NOTICE = (
    "Loss network: seeded RANDOM features (config.loss.network='random'). Losses are comparable "
    "among such runs only, and styles are coarser than with VGG-19."
)


def load_loss_network(config: Config) -> VGGWeights:
    """The VGG-19 that the config asks for, with every layer that its losses and model need."""
    if config.loss.network == "random":
        print(RANDOM_NOTICE, flush=True)
    weights = vgg19_of(config, layers_needed(config))
    if weights.note:
        print(f"Loss network: {weights.note}.", flush=True)
    return weights


def given_variables(config: Config, fresh: Any) -> Any:
    """The variables of the model `config.train.initialize`, made to fit the run's network.

    A table of styles gets rows for all of the run's. Residual blocks that the model has not are
    added behind its own, silent, so that the deeper network starts as the same function.

    Args:
      fresh: the variables of a run that starts from nothing.

    Raises:
      UserError: no such model, or its variables have other shapes.
    """
    given = load_model(config.train.initialize)
    variables, known = variables_of(given.model), given.config.model.styles
    if known and config.model.styles:
        variables = with_rows(variables, known, config.model.styles)
    variables = with_blocks(variables, fresh)
    if _shapes(variables) != _shapes(fresh):
        raise UserError(
            f"config.train.initialize: the model in {config.train.initialize} has other "
            "parameters than config.model; give the config.model it was trained with (its "
            "residuals may be more)."
        )
    return variables


def _shapes(tree: Any) -> Any:
    return jax.tree.map(lambda x: tuple(x.shape), tree)
