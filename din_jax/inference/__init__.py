"""Trained models at work: images and style codes in, stylized images out."""

from din_jax.inference.codes import join_codes, take_codes
from din_jax.inference.engine import Engine

__all__ = ["Engine", "join_codes", "take_codes"]
