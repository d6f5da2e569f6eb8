"""Stylizes every content in every style with a trained model, and measures the results.

python evaluate.py --checkpoint runs/din --content photos --style paintings --output out --metrics

The same as `din-jax evaluate`; what it does stands in din_jax/tools/evaluate.py.
"""

import sys

from din_jax.tools.commands import run

if __name__ == "__main__":
    sys.exit(run("evaluate"))
