"""The one exception that means "the user can mend this", and how a command ends."""

import signal
import sys
from collections.abc import Callable

INTERRUPTED = 128 + signal.SIGINT  # what shells give a program that Ctrl-C has ended


class UserError(ValueError):
    """Bad input: one sentence that names what was wrong, what was received and the remedy.

    Entry points print it as `error: ...` and exit with status 2; everything else is a defect and
    keeps its stack trace.
    """


def exit_status(command: Callable[[], int | None]) -> int:
    """Runs a command: what it gives, or 0 for None.

    2 after a `UserError` or `OSError`, told on standard error, and `INTERRUPTED` after Ctrl-C. Once
    more Ctrl-C while the libraries' threads come to their ends then kills the process, silently.
    """
    try:
        return command() or 0
    except (UserError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        print("\nerror: stopped by Ctrl-C; what was unfinished is not written.", file=sys.stderr)
        return INTERRUPTED
