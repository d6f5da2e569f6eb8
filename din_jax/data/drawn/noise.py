"""Smooth random fields and painters' palettes, the raw material of the synthetic pictures."""

import numpy as np
from PIL import Image

# Colors that painters put side by side; each row runs from dark to light.
_PALETTES = (
    "0b1d3a 1f4e8c 3f7cac 95b8d1 f4d35e f8f1c7",  # starry night
    "3b1f2b 8c2f39 d1495b edae49 f6d8ae fff4e0",  # sunset
    "132a13 31572c 4f772d 90a955 ecf39e fdfbe3",  # spring field
    "10243d 1c5d7a 3d9ba3 a7d3c8 efe6cf d96c4a",  # the great wave
    "2d1e2f 5b3a5e a3586d f3b391 f6e0b5 5c8a8a",  # evening
    "1a1423 3d314a 684756 96705b ab8476 e5d4c0",  # umber
    "14213d 1d3557 457b9d a8dadc f1faee e63946",  # red and blue
    "3d0814 7a1e1e c1440e f28f3b f7c59f 2a9d8f",  # fire and teal
    "22223b 4a4e69 9a8c98 c9ada7 f2e9e4 b56576",  # dusk
    "0d1b1e 254441 43aa8b b2b09b f3d9b1 ef3054",  # garden
    "1b1b1e 373f51 58a4b0 a9bcd0 daa49a d8dbe2",  # rain
    "2b2d42 d90429 ef8354 ffd166 edf2f4 118ab2",  # poster
    "231f20 6b4226 b5651d e0a458 ffdbb5 419d78",  # wheat
    "0f0a3c 4b1d78 a239ca f47a97 fbd1a2 3ec1d3",  # neon
    "111111 3a3a3a 6e6e6e a5a5a5 d8d3c8 f5f0e6",  # ink
    "1d2f2a 3f6b5c 8fb996 d8e2b0 f7d7c4 e08e79",  # water lilies
)
LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def palette(rng: np.random.Generator) -> np.ndarray:
    """A painter's palette, slightly varied: float32 [6, 3] in [0, 1], dark to light at first."""
    row = _PALETTES[rng.integers(len(_PALETTES))]
    colors = np.array([[int(c[i : i + 2], 16) for i in (0, 2, 4)] for c in row.split()])
    varied = colors / 255 * rng.uniform(0.88, 1.1, (1, 3)) + rng.normal(0, 0.02, (6, 3))
    return np.clip(varied, 0, 1).astype(np.float32)


def grid(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Pixel centers y, x in [0, 1): float32 [size, size] each."""
    line = (np.arange(size, dtype=np.float32) + 0.5) / size
    return np.broadcast_to(line[:, None], (size, size)), np.broadcast_to(line, (size, size))


def smooth_noise(rng: np.random.Generator, height: int, width: int, cells: float) -> np.ndarray:
    """Smooth noise float32 [H, W], about [0, 1], with `cells` bumps along the longer side."""
    scale = cells / max(height, width)
    shape = (max(2, round(height * scale) + 2), max(2, round(width * scale) + 2))
    grid = Image.fromarray(rng.random(shape, np.float32))
    field = np.asarray(grid.resize((width, height), Image.Resampling.BICUBIC))
    return np.clip(field, 0, 1)


def fractal_noise(
    rng: np.random.Generator, height: int, width: int, cells: float, octaves: int = 4
) -> np.ndarray:
    """Sum of `smooth_noise` at doubling frequency and halving strength, stretched to [0, 1]."""
    total = np.zeros((height, width), np.float32)
    for octave in range(octaves):
        total += smooth_noise(rng, height, width, cells * 2**octave) / 2**octave
    low, high = total.min(), total.max()
    return (total - low) / max(high - low, 1e-6)


def colorize(field: np.ndarray, colors: np.ndarray) -> np.ndarray:
    """Looks values in [0, 1] up on the line through `colors` [K, 3]: [..., 3]."""
    table_size = 256
    position = np.linspace(0, len(colors) - 1, table_size)
    table = np.stack(
        [np.interp(position, np.arange(len(colors)), colors[:, c]) for c in range(3)], axis=-1
    ).astype(np.float32)
    return table.take(np.clip(field * (table_size - 1), 0, table_size - 1).astype(np.intp), axis=0)


def relief(image: np.ndarray, strength: float) -> np.ndarray:
    """Lights float [H, W, 3] from the upper left as if luma were the thickness of the paint."""
    luma = image @ LUMA
    slope = np.zeros_like(luma)
    slope[1:, 1:] = luma[1:, 1:] - luma[:-1, :-1]
    return np.clip(image + strength * np.clip(slope, -0.25, 0.25)[..., None], 0, 1)


def to_uint8(image: np.ndarray) -> np.ndarray:
    """float [0, 1] to uint8 [0, 255], rounded and clipped."""
    return (np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8)


def as_color(color: np.ndarray) -> tuple[int, int, int]:
    """One color, float [3] in [0, 1], as Pillow wants it."""
    red, green, blue = (np.clip(color, 0, 1) * 255 + 0.5).astype(int).tolist()
    return red, green, blue
