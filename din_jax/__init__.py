"""Arbitrary style transfer by Dynamic Instance Normalization, in JAX and Flax."""

import importlib

__version__ = "0.1.0"
__all__ = ["StyleBank", "Stylizer", "Tuner"]

# What users take, where it is. Imported when asked for: commands answer --help without JAX.
_PLACES = {
    "StyleBank": "din_jax.inference.bank",
    "Stylizer": "din_jax.inference.stylizer",
    "Tuner": "din_jax.training.tuning",
}


def __getattr__(name: str):
    if name in _PLACES:
        return getattr(importlib.import_module(_PLACES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
