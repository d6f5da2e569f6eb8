"""CIN: a learned row per known style: the preset `cin` of the package, din_jax/configs/cin.py.

    python train.py --config configs/cin.py:FOLDER --workdir runs/cin
"""

from din_jax.configs.cin import get_config, of_folder, table_of

__all__ = ["get_config", "of_folder", "table_of"]
