"""`din_jax.tools.bench` with PyTorch's forms of every case beside its own.

    python -m parity.bench [--sizes 64 128 256 512] [--batches 1 8] [--processes 5] [--json]
"""

import sys
from collections.abc import Sequence

from din_jax.errors import exit_status
from parity.__main__ import require_torch


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status."""

    def command() -> int:
        require_torch()
        from din_jax.tools import bench
        from parity.bench_cases import forms

        return bench.main(arguments, module="parity.bench", others=forms())

    return exit_status(command)


if __name__ == "__main__":
    sys.exit(main())
