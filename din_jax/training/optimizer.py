"""Adam in two groups: encoder and decoder at 1x, weight and bias nets at 10x (Jing et al. 2020).

Tables of known styles stand in the nets' place, and learn as fast: an entry of a row moves by about
the learning rate a step, and rows that hardly part paint one style for all.
"""

from collections.abc import Callable

import jax
import optax
from optax.contrib import MuonDimensionNumbers, muon

from din_jax.config import OptimConfig

# A parameter is "dynamic" if any of these names lies on its path, else "base".
DYNAMIC = frozenset({"weight_net", "bias_net", "offset_net", "weight_table", "bias_table"})


def parameter_labels(params) -> dict:
    """The tree of params with "dynamic" or "base" at every leaf."""

    def label(path, _):
        names = {getattr(entry, "key", None) for entry in path}
        return "dynamic" if names & DYNAMIC else "base"

    return jax.tree_util.tree_map_with_path(label, params)


def schedule(config: OptimConfig, steps: int, multiplier: float = 1.0) -> optax.Schedule:
    """Linear warm-up from zero, then constant, or a cosine down to a hundredth at `steps`."""
    peak = config.learning_rate * multiplier
    if config.decay == "cosine":
        return optax.warmup_cosine_decay_schedule(
            0.0, peak, config.warmup, max(steps, config.warmup + 1), peak / 100
        )
    return optax.join_schedules(
        [optax.linear_schedule(0.0, peak, config.warmup), optax.constant_schedule(peak)],
        [config.warmup],
    )


def rate_of(config: OptimConfig, steps: int, resumed: int | None) -> str:
    """What the schedule does from here on, as words: a run goes on where its own rate was."""
    now = float(schedule(config, steps)(resumed or 0))
    words = f"learning rate {now:.3g}" if resumed is None else f"learning rate goes on at {now:.3g}"
    if (resumed or 0) < config.warmup:
        words += f", rising to {config.learning_rate:.3g} at step {config.warmup}"
    if config.decay == "cosine":
        return f"{words}, by a cosine down to {config.learning_rate / 100:.3g} at step {steps}"
    return f"{words}, then constant" if (resumed or 0) < config.warmup else f"{words}, constant"


def matrices(params):
    """For Muon: how each kernel [K, K, I, O] is a matrix from K K I to O; None for what is none.

    Biases, scales and depthwise kernels, whose channels do not mix, are no matrices.
    """

    def choose(x):
        if x.ndim != 4 or min(x.shape[2:]) == 1:
            return None
        return MuonDimensionNumbers(reduction_axis=(0, 1, 2), output_axis=3)

    return jax.tree.map(choose, params)


def make_optimizer(config: OptimConfig, steps: int) -> optax.GradientTransformation:
    """`optax.multi_transform` over the two groups, after an optional clip by the global norm.

    With `method="muon"` the matrices of the base group are updated by Muon (Jordan et al. 2024), at
    the root mean square that Adam's updates have (Liu et al. 2025, section 2.2), so that one rate
    serves both; with `dynamic_method="muon"` those of the nets.
    """

    def group(method: str, multiplier: float) -> optax.GradientTransformation:
        rate = schedule(config, steps, multiplier)
        if method == "adam":
            return optax.adam(rate, config.b1, config.b2)
        return muon(
            rate,
            adam_b1=config.b1,
            adam_b2=config.b2,
            muon_weight_dimension_numbers=matrices,
            consistent_rms=0.2,
        )

    groups = optax.multi_transform(
        {
            "base": group(config.method, 1.0),
            "dynamic": group(config.dynamic_method, config.dynamic_multiplier),
        },
        parameter_labels,
    )
    if config.clip > 0:
        groups = optax.chain(optax.clip_by_global_norm(config.clip), groups)
    return optax.GradientTransformation(groups.init, _promoting(groups.update))


def _promoting(update: Callable) -> Callable:
    """Optax counts steps in int32 and raises floats to that power, which is no strict promotion."""

    def promoted(*args, **kwargs):
        with jax.numpy_dtype_promotion("standard"):
            return update(*args, **kwargs)

    return promoted
