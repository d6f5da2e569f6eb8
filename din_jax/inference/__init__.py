"""Trained models at work: images and style codes in, stylized images out."""

from din_jax.inference.bank import BankError, StyleBank
from din_jax.inference.codes import join_codes, take_codes
from din_jax.inference.engine import Engine
from din_jax.inference.stylizer import Stylizer

__all__ = ["BankError", "Engine", "StyleBank", "Stylizer", "join_codes", "take_codes"]
