"""AdaIN in the lightweight network: the preset `adain` of the package, din_jax/configs/adain.py.

    python train.py --config configs/adain.py --workdir runs/adain
"""

from din_jax.configs.adain import ADAIN, VARIANTS, get_config

__all__ = ["ADAIN", "VARIANTS", "get_config"]
