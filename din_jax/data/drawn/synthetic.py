"""Built-in pictures: everything runs without a download, from the first minute.

Both sources are deterministic: a picture depends on the seed and its number alone.
"""

import numpy as np

from din_jax.data.drawn import scenes_indoor, scenes_outdoor, strokes, textures

SCENES = (
    scenes_outdoor.landscape,
    scenes_indoor.portrait,
    scenes_indoor.still_life,
    scenes_outdoor.lake,
    scenes_outdoor.town,
    scenes_indoor.solids,
)
FAMILIES = (
    strokes.flow_strokes,
    strokes.pointillism,
    textures.stained_glass,
    textures.waves,
    textures.cubism,
    textures.hatching,
    strokes.dabs,
    textures.marbling,
    strokes.mosaic,
    textures.stripes,
    textures.watercolor,
    textures.circles,
    textures.halftone,
)


class SyntheticContent:
    """Procedural scenes (landscapes, towns, still lifes, portraits, ...) with crisp edges.

    `source[i]` is uint8 RGB [size, size, 3]; the kinds of scene take turns.

    Args:
        length: number of pictures.
        seed: another seed gives other pictures.
        size: side, px.
    """

    _draw, _stream = SCENES, 0

    def __init__(self, length: int = 10_000, seed: int = 0, size: int = 256):
        self.length, self.seed, self.size = length, seed, size

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> np.ndarray:
        if not 0 <= index < self.length:
            raise IndexError(f"picture {index} of {self.length}")
        rng = np.random.default_rng([self.seed, self._stream, index])
        return self._draw[index % len(self._draw)](rng, self.size)

    def name(self, index: int) -> str:
        return f"{type(self).__name__} {index}"


class SyntheticStyle(SyntheticContent):
    """Procedural paintings in many manners (brush strokes, dots, glass, woodblock, facets, ...).

    Arguments and result as `SyntheticContent`.
    """

    _draw, _stream = FAMILIES, 1
