"""One style per network, instance norm: the preset `ulyanov`, din_jax/configs/ulyanov.py.

    python train.py --config configs/ulyanov.py:PICTURE --workdir runs/ulyanov
"""

from din_jax.configs.ulyanov import LOSS, NETWORK, get_config

__all__ = ["LOSS", "NETWORK", "get_config"]
