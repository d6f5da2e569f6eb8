"""DIN, the paper's recipe and variants: the preset `din` of the package, din_jax/configs/din.py.

    python train.py --config configs/din.py --workdir runs/din
"""

from din_jax.configs.din import DEMO, FAST, PAPER, PORTABLE, VARIANTS, get_config

__all__ = ["DEMO", "FAST", "PAPER", "PORTABLE", "VARIANTS", "get_config"]
