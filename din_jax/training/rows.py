"""A new style in a table that has learned others: its row alone is trained.

Dumoulin et al. 2017 (section 3.2, their figure 5) keep all convolutions of a trained network and
find the weights and biases of one more style, in a fraction of the steps. Here every parameter and
running statistic but the rows of `config.train.only_styles` stays what it was, bit for bit, and
batch norms use their running statistics.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from din_jax.config import Config

TABLES = ("weight_table", "bias_table")


def rows_alone(config: Config) -> np.ndarray | None:
    """Numbers int32 of the rows that are trained; None where everything is."""
    if not config.train.only_styles:
        return None
    styles = config.model.styles
    return np.asarray([styles.index(name) for name in config.train.only_styles], np.int32)


def only_rows(new: Any, old: Any, rows: np.ndarray | None) -> Any:
    """`new` in the rows of all tables, `old` elsewhere; two trees as parameters are, or gradients.

    Without rows `new` is given as it is.
    """
    if rows is None:
        return new

    def choose(path, x: Array, before: Array) -> Array:
        if not _is_table(path):
            return before
        return before.at[rows].set(x[rows])

    return jax.tree_util.tree_map_with_path(choose, new, old)


def with_rows(variables: Mapping, known: Sequence[str], wanted: Sequence[str]) -> Mapping:
    """Variables of a model with styles `known`, their tables for the styles `wanted`.

    Rows go by name; a new style begins as the mean of all that are known.
    """
    numbers = np.asarray([known.index(name) if name in known else -1 for name in wanted])

    def rows(path, table: Array) -> Array:
        if not _is_table(path):
            return table
        held = jnp.asarray(table)[np.maximum(numbers, 0)]
        return jnp.where((numbers < 0)[:, None], jnp.asarray(table).mean(0)[None], held)

    params = jax.tree_util.tree_map_with_path(rows, variables["params"])
    return {**variables, "params": params}


def _is_table(path) -> bool:
    return getattr(path[-1], "key", None) in TABLES
