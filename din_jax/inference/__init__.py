"""Trained models at work: images and style codes in, stylized images out."""

from din_jax.later import attributes

# Imported when asked for: banks and mixtures serve without JAX, too (`din_jax.lite`).
_PLACES = {
    "BankError": "bank",
    "Engine": "engine",
    "StyleBank": "bank",
    "Stylizer": "stylizer",
    "join_codes": "codes",
    "take_codes": "codes",
}
__all__ = list(_PLACES)
__getattr__ = attributes(__name__, _PLACES)
