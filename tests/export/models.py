"""Networks of a few channels with every number drawn, biases and running statistics too."""

from pathlib import Path

import jax
import numpy as np
from flax import nnx

from din_jax.config import Config
from din_jax.export.checks import Difference
from din_jax.export.content import content_graph
from din_jax.export.folder import write_folder
from din_jax.export.onnx_files import STORED, OnnxFile
from din_jax.export.style import style_graph
from din_jax.inference.codes import code_shapes
from din_jax.inference.fold import for_inference
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


def small_variables(**settings) -> tuple[Config, dict]:
    """A config, SMALL with `settings` over it, and arrays for it."""
    config = Config.from_dict({"data": {"resize": 64, "crop": 32}, "model": SMALL | settings})
    rng = np.random.default_rng(5)
    abstract = nnx.eval_shape(lambda: StylizationNetwork(config.model, rngs=nnx.Rngs(0)))

    def draw(path, x):
        if path[-1].key == "scale":
            return rng.uniform(0.5, 1.5, x.shape)
        deviation = (2 / np.prod(x.shape[:-1])) ** 0.5 if len(x.shape) > 1 else 0.1
        return deviation * rng.standard_normal(x.shape)

    def running(path, x):
        if path[-1].key == "pictures":
            return rng.uniform(0, 1, x.shape)
        mean = path[-1].key == "mean"
        return 0.1 * rng.standard_normal(x.shape) if mean else rng.uniform(0.5, 1.5, x.shape)

    params = jax.tree.map_with_path(draw, nnx.to_pure_dict(nnx.state(abstract, nnx.Param)))
    # The last convolution paints about gray, so that little of a picture is clipped.
    params["decoder"]["output"]["kernel"] *= 0.02
    stats = jax.tree.map_with_path(running, nnx.to_pure_dict(nnx.state(abstract, nnx.BatchStat)))
    return config, {"params": params, "batch_stats": stats}


def small_model(**settings) -> LoadedModel:
    """The same as a model in eval mode."""
    config, variables = small_variables(**settings)
    network = build_model(config, variables)
    return LoadedModel(config, network, 7, Path("small"), {}, None, "f" * 64)


def export_quickly(loaded: LoadedModel, folder, bank=None) -> Path:
    """Writes the ONNX files of a model without comparing them, for tests of what uses them."""
    network = for_inference(loaded.model)
    shapes = code_shapes(network)
    files = [
        OnnxFile(
            f"{part}{suffix}.onnx", part, storage,
            make(network, shapes, storage).model({}).SerializeToString(),
            Difference(0.0, 0.0), np.zeros(0),
        )
        for part, make in (("content", content_graph), ("style", style_graph))
        for storage, suffix in STORED.items()
    ]  # fmt: skip
    write_folder(folder, loaded, files, {}, bank)
    return folder
