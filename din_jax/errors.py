"""The one exception that means "the user can mend this", and how a command tells it."""

import sys
from collections.abc import Callable


class UserError(ValueError):
    """Bad input: one sentence that names what was wrong, what was received and the remedy.

    Entry points print it as `error: ...` and exit with status 2; everything else is a defect and
    keeps its stack trace.
    """


def exit_status(command: Callable[[], object]) -> int:
    """Runs a command: 0, or 2 after a `UserError` or `OSError`, told on standard error."""
    try:
        command()
    except (UserError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0
