"""Pictures in: sources, decoding, crops and content x style batches; numpy and grain only."""

from din_jax.later import attributes

# Imported when asked for: a picture is decoded without what draws and batches them.
_PLACES = {
    "BadImageError": "files",
    "MissingImageError": "files",
    "SourceError": "sources",
    "decode_image": "decoding",
    "list_images": "files",
    "load_image": "decoding",
    "make_batches": "pairs",
    "open_source": "opening",
    "save_image": "decoding",
    "validation_pairs": "pairs",
}
__all__ = list(_PLACES)
__getattr__ = attributes(__name__, _PLACES)
