"""Linear transformation, on VGG-19 and light: the preset `linear`, din_jax/configs/linear.py.

    python train.py --config configs/linear.py --workdir runs/linear
"""

from din_jax.configs.linear import LINEAR, VARIANTS, get_config

__all__ = ["LINEAR", "VARIANTS", "get_config"]
