"""Exported models at work without JAX: onnxruntime, NumPy, Pillow and safetensors alone."""

from din_jax.lite.stylizer import Stylizer

__all__ = ["Stylizer"]
