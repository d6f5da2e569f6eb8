"""Writes report.html of a run: curves, pictures over time, settings, versions and the command.

    din-jax report runs/din

One file that needs nothing beside itself. Training leaves one when it ends or is stopped; this
writes it of a run that is still going on, or was killed.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from din_jax.command_line import Parser, require_new
from din_jax.errors import exit_status, loading


def report(arguments: Sequence[str] | None) -> None:
    parser = Parser(__doc__)
    parser.add_argument("run", type=Path, help="run directory")
    parser.add_argument("-o", "--output", type=Path, help="the file; else RUN/report.html")
    parser.add_argument("--overwrite", action="store_true", help="replace --output if it is there")
    flags = parser.parse_args(arguments)
    if flags.output:
        require_new(flags.output, flags.overwrite)
    with loading():
        from din_jax.training.page import write_page
    print(write_page(flags.run, flags.output))


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status."""
    return exit_status(lambda: report(arguments))


if __name__ == "__main__":
    sys.exit(main())
