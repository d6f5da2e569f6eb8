"""What the rivals have in common: a frozen VGG-19, and decoders that mirror it."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array

from din_jax.models.vgg import VGGDecoder, VGGParams, vgg_features
from din_jax.ops.preprocessing import Preprocessing
from din_jax.weights.vgg19 import VGGWeights

DecoderParams = Mapping[str, Any]


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["params", "decoders"],
    meta_fields=["preprocessing"],
)
@dataclasses.dataclass(frozen=True)
class Networks:
    """VGG-19 and decoders as one tree of arrays, so that a compiled program takes them.

    Attributes:
      params: of VGG-19, see `models.vgg.vgg_features`.
      preprocessing: what it wants done to an image.
      decoders: layer ("relu4_1") to the parameters of its `VGGDecoder`.
    """

    params: VGGParams
    preprocessing: Preprocessing
    decoders: Mapping[str, DecoderParams] = dataclasses.field(default_factory=dict)

    @classmethod
    def of(cls, vgg: VGGWeights, decoders: Mapping[str, DecoderParams] | None = None) -> "Networks":
        """From weights as files give them."""
        params, decoders = jax.tree.map(jnp.asarray, (dict(vgg.params), dict(decoders or {})))
        return cls(params, vgg.preprocessing, decoders)

    def encode(self, images: Array, layers: Sequence[str]) -> dict[str, Array]:
        """Images [B, H, W, 3] in [0, 1] to features by layer."""
        return vgg_features(self.params, self.preprocessing, images, layers)

    def decode(self, features: Array, layer: str) -> Array:
        """Features [B, h, w, C] of a layer to images [B, H, W, 3] in about [0, 1]."""
        return nnx.merge(_structure(layer), self.decoders[layer])(features)


def decoder_shapes(layer: str) -> dict[str, Any]:
    """The parameters of a decoder, shapes and types in the place of arrays."""
    return nnx.to_pure_dict(nnx.state(_abstract(layer), nnx.Param))


def fresh_decoder(layer: str, seed: int) -> dict[str, Any]:
    """Parameters to begin the training of a decoder with."""
    decoder = VGGDecoder(layer, rngs=nnx.Rngs(seed))
    return nnx.to_pure_dict(nnx.state(decoder, nnx.Param))


def _abstract(layer: str) -> VGGDecoder:
    return nnx.eval_shape(lambda: VGGDecoder(layer, rngs=nnx.Rngs(0)))


@functools.cache
def _structure(layer: str) -> nnx.GraphDef:
    return nnx.split(_abstract(layer))[0]
