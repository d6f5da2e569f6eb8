"""WCT, one level and light: the preset `wct` of the package, din_jax/configs/wct.py.

    python train.py --config configs/wct.py --workdir runs/wct
"""

from din_jax.configs.wct import VARIANTS, WCT, get_config

__all__ = ["VARIANTS", "WCT", "get_config"]
