"""What a run has before its first step: the loss network, and a model to start from."""

from pathlib import Path
from typing import Any

import jax

from din_jax.config import Config
from din_jax.errors import UserError
from din_jax.training.grown import with_blocks, with_feedback
from din_jax.training.objective import layers_needed
from din_jax.training.rows import with_rows
from din_jax.training.state import variables_of
from din_jax.weights import VGGWeights, vgg19_of
from din_jax.weights.models import LoadedModel

RANDOM_NOTICE = (
    "Loss network: seeded RANDOM features (config.loss.network='random'). Losses are comparable "
    "among such runs only, and styles are coarser than with VGG-19."
)

# What Linux calls a processor's own products of bfloat16 factors. Without them VGG-19 and its
# gradient (4 crops of 128 px, two cores of a Zen 4 that shows no AVX-512) took 1.17 to 1.35 times
# as long in bfloat16 as in float32, in turn in three processes.
BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16", "svebf16"}
SLOW_PRODUCTS_NOTICE = (
    "This processor multiplies no bfloat16 by itself, so that products rounded to it take longer: "
    "--config.train.products=float32 trains faster here, and to more digits."
)


def products_notice(products: str, processor: Path = Path("/proc/cpuinfo")) -> str:
    """A sentence where `config.train.products` costs time instead of saving it, else "".

    Args:
      products: "float32" or "bfloat16".
      processor: what Linux says of it; elsewhere nothing is known, and nothing said.
    """
    if products != "bfloat16" or jax.default_backend() != "cpu":
        return ""
    try:
        lines = processor.read_text().splitlines()
    except OSError:
        return ""
    flags = next((x for x in lines if x.lower().startswith(("flags", "features"))), "")
    known = set(flags.partition(":")[2].split())
    return SLOW_PRODUCTS_NOTICE if known and not known & BFLOAT16_FLAGS else ""


def load_loss_network(config: Config) -> VGGWeights:
    """The VGG-19 that the config asks for, with every layer that its losses and model need."""
    if config.loss.network == "random":
        print(RANDOM_NOTICE, flush=True)
    weights = vgg19_of(config, layers_needed(config))
    if weights.note:
        print(f"Loss network: {weights.note}.", flush=True)
    return weights


def given_variables(given: LoadedModel, config: Config, fresh: Any) -> Any:
    """The variables of the model that is `config.train.initialize`, made to fit the run's network.

    A table of styles gets rows for all of the run's. Residual blocks that the model has not are
    added behind its own, silent, so that the deeper network starts as the same function; so is
    feedback.

    Args:
      fresh: the variables of a run that starts from nothing.

    Raises:
      UserError: its variables have other shapes.
    """
    variables, known = variables_of(given.model), given.config.model.styles
    if known and config.model.styles:
        variables = with_rows(variables, known, config.model.styles)
    variables = with_feedback(with_blocks(variables, fresh), fresh)
    if _shapes(variables) != _shapes(fresh):
        raise UserError(
            f"config.train.initialize: the model in {config.train.initialize} has other "
            "parameters than config.model; give the config.model it was trained with (its "
            "residuals may be more, and net_feedback new)."
        )
    return variables


def _shapes(tree: Any) -> Any:
    return jax.tree.map(lambda x: tuple(x.shape), tree)
