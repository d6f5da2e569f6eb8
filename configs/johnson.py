"""One style per network, batch norm: the preset `johnson`, din_jax/configs/johnson.py.

    python train.py --config configs/johnson.py:PICTURE --workdir runs/johnson
"""

from din_jax.configs.johnson import LOSS, NETWORK, get_config, of_picture

__all__ = ["LOSS", "NETWORK", "get_config", "of_picture"]
