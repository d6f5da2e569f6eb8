"""Sources of a styled layer's code, and the registry of methods by source and transform.

A source is called with what the model reads of a style (`models.readers`) and gives the code of its
layer; `diagnostics` says how it is doing, by name:

    source(features) -> LayerCode or MapCode
    source.diagnostics(features) -> {name: number}

Weight and bias nets, the source of DIN, stand in `layers.nets`, both halves of the linear
transformation, source and normalizer, in `layers.linear`. `make_source` is the one place that
knows which source belongs to a method; what settings a method takes is `din_jax.methods`' part.
"""

import dataclasses
from collections.abc import Callable

import jax.numpy as jnp
from flax import nnx
from jax import Array

from din_jax.config import ModelConfig
from din_jax.layers.codes import (
    AnyCode,
    LayerCode,
    channel_code,
    covariance_code,
    kernel_change,
    statistics_code,
)
from din_jax.layers.deformation import DeformableTransform
from din_jax.layers.linear import CovarianceNet, CovarianceSource, LinearNormalizer
from din_jax.layers.nets import DynamicCode, SpatialCode
from din_jax.layers.normalizers import Normalizer, make_normalizer
from din_jax.layers.transforms import KernelTransform, SpatialTransform


@dataclasses.dataclass(frozen=True)
class ComputedSource:
    """A code computed from the style's map [B, H, W, C] at the same level, nothing learned."""

    compute: Callable[[Array], LayerCode]

    def __call__(self, features: Array) -> LayerCode:
        return self.compute(features)

    def diagnostics(self, features: Array) -> dict[str, Array]:
        return {}


class TableSource(nnx.Module):
    """A learned row per known style: y = weight[s] * normalize(x) + bias[s].

    Conditional instance norm (Dumoulin et al. 2017, eq. 5); with one row the single-style network
    of Johnson et al. 2016 and Ulyanov et al. 2016. Rows start as plain normalization, weight 1 and
    bias 0.

    Args:
      styles: S, rows.
      channels: C.
    """

    def __init__(self, styles: int, channels: int):
        self.weight_table = nnx.Param(jnp.ones((styles, channels)))
        self.bias_table = nnx.Param(jnp.zeros((styles, channels)))

    def __call__(self, numbers: Array) -> LayerCode:
        """Style numbers [B], from 0; one that is not in the table gives NaN."""

        def row(table: nnx.Param) -> Array:
            # A clamped number would be another style's picture. Negative ones count from no end.
            known = (numbers >= 0)[:, None]
            rows = table[...].at[numbers].get(mode="fill", fill_value=jnp.nan)
            return jnp.where(known, rows, jnp.nan)

        return channel_code(row(self.weight_table), row(self.bias_table))

    def diagnostics(self, numbers: Array) -> dict[str, Array]:
        return {}


Source = DynamicCode | SpatialCode | TableSource | CovarianceSource | ComputedSource
Transform = KernelTransform | SpatialTransform | DeformableTransform


def _kernel_nets(config: ModelConfig, channels: int, inputs: int, rngs: nnx.Rngs) -> Source:
    return DynamicCode(
        inputs,
        channels,
        hidden=config.net_hidden,
        pool=config.net_pool,
        kernel=config.net_kernel,
        scale=config.net_scale,
        side=config.dynamic_kernel,
        groups=config.dynamic_groups or channels,
        corrected=config.net_feedback > 0,
        rngs=rngs,
    )


def _map_nets(config: ModelConfig, channels: int, inputs: int, rngs: nnx.Rngs) -> Source:
    return SpatialCode(
        inputs,
        channels,
        hidden=config.net_hidden,
        grid=config.spatial_grid,
        scale=config.net_scale,
        rngs=rngs,
    )


def _deformable(config: ModelConfig, channels: int, rngs: nnx.Rngs) -> DeformableTransform:
    return DeformableTransform(
        channels,
        side=config.dynamic_kernel,
        dilation=config.dynamic_dilation,
        groups=config.offset_groups,
        modulated=config.modulated,
        rngs=rngs,
    )


def _covariance_net(config: ModelConfig, channels: int, rngs: nnx.Rngs) -> CovarianceNet:
    return CovarianceNet(
        channels,
        rank=config.linear_rank,
        hidden=config.net_hidden,
        scale=config.net_scale,
        rngs=rngs,
    )


# Nets give the kind of code that their transform takes.
NETS = {"standard": _kernel_nets, "deformable": _kernel_nets, "spatial": _map_nets}
# Method (config.model.code) to its source for a level of C channels.
SOURCES: dict[str, Callable[[ModelConfig, int, int, nnx.Rngs], Source]] = {
    "din": lambda config, *rest: NETS[config.transform](config, *rest),
    "adain": lambda config, channels, inputs, rngs: ComputedSource(statistics_code),
    "wct": lambda config, channels, inputs, rngs: ComputedSource(covariance_code),
    "linear": lambda config, channels, inputs, rngs: CovarianceSource(
        _covariance_net(config, channels, rngs)
    ),
    "cin": lambda config, channels, inputs, rngs: TableSource(len(config.styles), channels),
}
TRANSFORMS: dict[str, Callable[[ModelConfig, int, nnx.Rngs], Transform]] = {
    "standard": lambda config, channels, rngs: KernelTransform(config.dynamic_dilation),
    "spatial": lambda config, channels, rngs: SpatialTransform(),
    "deformable": _deformable,
}


def make_source(config: ModelConfig, channels: int, inputs: int, rngs: nnx.Rngs) -> Source:
    """The source of a level of `channels`, from style features of `inputs` channels."""
    return SOURCES[config.code](config, channels, inputs, rngs)


def make_layer_normalizer(
    config: ModelConfig, channels: int, rngs: nnx.Rngs
) -> Normalizer | LinearNormalizer:
    """The normalizer of a level of `channels`."""
    if config.normalizer == "linear":
        return LinearNormalizer(_covariance_net(config, channels, rngs))
    return make_normalizer(config.normalizer, channels)


def make_transform(config: ModelConfig, channels: int, rngs: nnx.Rngs) -> Transform:
    """The transform of a level of `channels`."""
    return TRANSFORMS[config.transform](config, channels, rngs)


def code_statistics(code: AnyCode) -> dict[str, Array]:
    """How much the kernels of a batch of styles differ, by name.

    `kernel_spread` is the mean standard deviation over the batch, in units of `kernel_distance`,
    the root mean square of the kernels' distance from the identity: near 0 the source has become
    blind to the style, whatever the scale of its kernels. `kernel_rms` is that of the kernels
    themselves. `bias_spread` is the mean deviation of the biases, in those of the normalized map.
    """
    change = kernel_change(code)
    distance = jnp.sqrt(jnp.square(change).mean())
    return {
        "kernel_spread": change.std(0).mean() / jnp.maximum(distance, 1e-12),
        "kernel_distance": distance,
        "kernel_rms": jnp.sqrt(jnp.square(code.kernel).mean()),
        "bias_spread": code.bias.std(0).mean(),
    }
