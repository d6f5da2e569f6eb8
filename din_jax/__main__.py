"""python -m din_jax COMMAND ...: `din-jax` from a clone."""

import sys

from din_jax.tools.commands import main

if __name__ == "__main__":
    sys.exit(main())
