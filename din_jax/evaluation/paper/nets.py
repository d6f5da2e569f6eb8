"""What the paper leaves open: weight and bias nets of 3x3 convolutions on a 4 x 4 map, or of 1x1.

The former are what table 1's count of operations asks for, 14.3 M parameters at the full widths;
the latter have 1.0 M, and a model is to be carried in a repository and a phone.
"""

import math

import jax
import numpy as np
from flax import nnx

from din_jax.evaluation.paper.bench import Bench
from din_jax.evaluation.paper.fig8 import series
from din_jax.evaluation.paper.findings import Claim, Result, judge, over_seeds
from din_jax.evaluation.paper.sheets import curves
from din_jax.models.network import StylizationNetwork, abstract_network

CLAIM = Claim(
    "Large weight and bias nets train to a lower loss than small ones.",
    "a question that Jing et al. 2020 leaves open",
)
LARGE, SMALL = "3x3 on 4 x 4", "1x1 on 1 x 1"
MODELS = {LARGE: {"net_kernel": 3, "net_pool": 4}, SMALL: {"net_kernel": 1, "net_pool": 1}}


def make(bench: Bench) -> Result:
    """Trains both with each seed; the verdict is on held-out pairs at the last step."""
    seeds = bench.setting.seeds
    runs = {
        name: [bench.train(bench.config(model, seed=seed)) for seed in seeds]
        for name, model in MODELS.items()
    }
    lines = {name: series(paths, "train/total") for name, paths in runs.items()}
    last = {
        name: series(paths, "validation/total")[1][:, -1] for name, paths in runs.items()
    }
    gain = over_seeds(np.log10(last[SMALL] / last[LARGE]))
    what = f"log10 of the small nets' held-out loss over the large ones', {len(seeds)} seeds,"
    numbers = [
        {
            "nets": name,
            "parameters": parameters(bench, MODELS[name]),
            "seed": seed,
            "held-out total loss": float(last[name][i]),
        }
        for name in MODELS
        for i, seed in enumerate(seeds)
    ]
    return Result(
        "Large nets and small ones",
        [judge(CLAIM, gain, what, bench.budget, decisive=bench.decisive)],
        numbers, curves({"Training": lines}, "total loss"),
        [f"Bands: least and greatest of {len(seeds)} seeds."],
    )  # fmt: skip


def parameters(bench: Bench, model) -> int:
    """Of all nets of a model; nothing is built."""
    config = bench.config({**model, "style_encoder": "mobilenet"}).model  # needs no VGG-19
    network: StylizationNetwork = abstract_network(config)
    leaves = jax.tree.leaves(nnx.state(network.codes, nnx.Param))
    return sum(math.prod(leaf.shape) for leaf in leaves)
