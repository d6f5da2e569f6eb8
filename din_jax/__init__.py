"""Arbitrary style transfer by Dynamic Instance Normalization, in JAX and Flax."""

__version__ = "0.1.0"
