"""Networks of a few channels with every number drawn, biases and running statistics too."""

import jax
import numpy as np
from flax import nnx

from din_jax.config import Config
from din_jax.models.network import StylizationNetwork
from din_jax.weights.models import LoadedModel, build_model

SMALL = {
    "widths": [4, 6, 8],
    "kernel": 5,
    "residuals": 1,
    "encoder_norm": "batch",
    "decoder_norm": "batch",
    "style_encoder": "mobilenet",
    "style_feature": "statistics",
    "net_pool": 1,
    "net_kernel": 1,
    "net_hidden": 4,
    "net_scale": 0.1,
}


def small_model(tmp_path="model", **settings) -> LoadedModel:
    """A model in eval mode; `settings` go over SMALL."""
    config = Config.from_dict({"data": {"resize": 256, "crop": 32}, "model": SMALL | settings})
    rng = np.random.default_rng(5)
    abstract = nnx.eval_shape(lambda: StylizationNetwork(config.model, rngs=nnx.Rngs(0)))

    def draw(path, x):
        if path[-1].key == "scale":
            return rng.uniform(0.5, 1.5, x.shape)
        deviation = (2 / np.prod(x.shape[:-1])) ** 0.5 if len(x.shape) > 1 else 0.1
        return deviation * rng.standard_normal(x.shape)

    def running(path, x):
        mean = path[-1].key == "mean"
        return 0.1 * rng.standard_normal(x.shape) if mean else rng.uniform(0.5, 1.5, x.shape)

    params = jax.tree.map_with_path(draw, nnx.to_pure_dict(nnx.state(abstract, nnx.Param)))
    # The last convolution paints about gray, so that little of a picture is clipped.
    params["decoder"]["output"]["kernel"] *= 0.02
    stats = jax.tree.map_with_path(running, nnx.to_pure_dict(nnx.state(abstract, nnx.BatchStat)))
    network = build_model(config, {"params": params, "batch_stats": stats})
    return LoadedModel(config, network, 7, tmp_path, {}, None, "f" * 64)
