"""The styled layer: y = transform(normalize(x); code), composed of three parts.

    source      where the code comes from: nets, statistics, covariance, table (`layers.sources`)
    normalizer  statistics of the map, and the map normalized by them (`layers.normalizers`)
    transform   what the code does to the normalized map (`layers.transforms`)
"""

import dataclasses

import jax
from jax import Array

from din_jax.layers.codes import AnyCode
from din_jax.layers.measuring import measured
from din_jax.layers.mixtures import LayerMixture, Regions, blended, masks_on
from din_jax.layers.normalizers import Moments, Normalizer
from din_jax.layers.sources import Source, Transform

# Of one map, or one for each region of a mixture by masks.
LayerStatistics = Moments | tuple[Moments, ...]


@dataclasses.dataclass(frozen=True)
class StyledLayer:
    """Three parts at work together; it holds no array itself.

    Parameters stay where a model keeps its parts, so that checkpoints know them by part.
    """

    normalizer: Normalizer
    transform: Transform
    source: Source | None = None

    def code(self, features) -> AnyCode:
        """What the source makes of the style's features."""
        return self.source(features)

    def statistics(self, x: Array, mixture: LayerMixture) -> LayerStatistics:
        """What the layer normalizes `x` by unless it is given: of the map, or of each region."""
        if isinstance(mixture, Regions):
            masks = masks_on(mixture.masks, x, len(mixture.codes))
            return tuple(measured(self.normalizer, x, mask) for mask in masks)
        return measured(self.normalizer, x)

    def __call__(
        self, x: Array, mixture: LayerMixture, statistics: LayerStatistics | None = None
    ) -> Array:
        """The styled map.

        Args:
          x: [B, H, W, I], not normalized.
          mixture: one code of the same batch, a blend of some, or one for each region.
          statistics: those to normalize by, as `statistics` gives them; None takes those of x.

        Returns:
          [B, H, W, O] of the type of x.
        """
        with jax.named_scope("din"):
            if statistics is None:
                statistics = self.statistics(x, mixture)
            if not isinstance(mixture, Regions):
                return self._one(x, mixture, statistics)
            if isinstance(statistics, Moments) or len(statistics) != len(mixture.codes):
                raise ValueError(
                    f"{len(mixture.codes)} regions need statistics of each, in a tuple: give those "
                    "of `statistics(x, mixture)`."
                )
            masks = masks_on(mixture.masks, x, len(mixture.codes)).astype(x.dtype)
            return sum(
                mask[..., None] * self._one(x, code, moments)
                for mask, code, moments in zip(masks, mixture.codes, statistics, strict=True)
            )

    def _one(self, x: Array, code: LayerMixture, moments: Moments) -> Array:
        return self.transform(x, self.normalizer.affine(moments), blended(code))
