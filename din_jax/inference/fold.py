"""What changes in a trained network once, at load, so that a picture costs less."""

import jax.numpy as jnp
import numpy as np
from flax import nnx

from din_jax.layers.blocks import Conv, ConvBlock
from din_jax.layers.norms import BatchNorm, Identity
from din_jax.models.network import StylizationNetwork


def for_inference(model: StylizationNetwork, products: str = "float32") -> StylizationNetwork:
    """A copy with batch norms folded and, of other `PRODUCTS`, rounded ones in the content network.

    The style encoder multiplies in float32 in any case.
    """
    model = fold_batch_norms(model)
    if products != "float32" and model.encoder is not None:
        model.encoder = round_pointwise(model.encoder, products)
        model.decoder = round_pointwise(model.decoder, products)
    return model


def fold_batch_norms(model: nnx.Module) -> nnx.Module:
    """The same function of the input with fewer steps, for a model that no longer trains.

    A batch norm in evaluation is an affine map of each channel, so that behind a convolution

        s (k * x + b - m) + t = (s k) * x + (s (b - m) + t),  s = scale / sqrt(variance + epsilon).

    Computed in float64 and rounded once. Norms that depend on the input stay as they are.

    Args:
      model: not changed; holds `ConvBlock`s.

    Returns:
      A copy, whose `ConvBlock`s have no batch norm left. It must not be trained.
    """
    model = nnx.clone(model)
    for _, block in nnx.iter_modules(model):
        if isinstance(block, ConvBlock) and isinstance(block.norm, BatchNorm):
            conv, norm = block.conv, block.norm
            mean, variance, scale, shift, kernel, bias = (
                np.asarray(part[...], np.float64)
                for part in (norm.mean, norm.var, norm.scale, norm.bias, conv.kernel, conv.bias)
            )
            factor = scale / np.sqrt(variance + norm.epsilon)
            dtype = conv.kernel.dtype
            # New parameters: a copy shares its arrays with the model that was given.
            conv.kernel = nnx.Param(jnp.asarray(kernel * factor, dtype))
            conv.bias = nnx.Param(jnp.asarray(factor * (bias - mean) + shift, dtype))
            block.norm = Identity()
    return model


def round_pointwise(model: nnx.Module, dtype: str) -> nnx.Module:
    """A copy whose 1x1 convolutions multiply in `dtype` and sum in the type of the map.

    Their kernels are rounded to it here, and a map is when it meets one (`ops.convolution.conv2d`).
    """
    model = nnx.clone(model)
    for _, conv in nnx.iter_modules(model):
        if isinstance(conv, Conv) and conv.kernel.shape[:2] == (1, 1) and not conv.depthwise:
            conv.kernel = nnx.Param(jnp.asarray(conv.kernel[...], dtype))
    return model
