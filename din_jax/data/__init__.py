"""Pictures in: sources, decoding, crops and content x style batches; numpy and grain only."""

from din_jax.data.decoding import (
    BadImageError,
    MissingImageError,
    decode_image,
    list_images,
    load_image,
    save_image,
)
from din_jax.data.opening import open_source
from din_jax.data.pairs import make_batches, validation_pairs
from din_jax.data.sources import SourceError

__all__ = [
    "BadImageError",
    "MissingImageError",
    "SourceError",
    "decode_image",
    "list_images",
    "load_image",
    "make_batches",
    "open_source",
    "save_image",
    "validation_pairs",
]
