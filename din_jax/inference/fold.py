"""Batch norms of a trained network folded into the convolutions before them, once, at load."""

import jax.numpy as jnp
import numpy as np
from flax import nnx

from din_jax.layers.blocks import ConvBlock
from din_jax.layers.norms import BatchNorm, Identity


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
