"""`python -m din_jax.evaluation.rivals`."""

import sys

from din_jax.evaluation.rivals.command import main

if __name__ == "__main__":
    sys.exit(main())
