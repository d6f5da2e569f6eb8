"""Trains a model: python train.py --config configs/din.py --workdir runs/din

The same as `din-jax train`; what it does stands in din_jax/tools/train.py.
"""

import sys

from din_jax.tools.commands import run

if __name__ == "__main__":
    sys.exit(run("train"))
