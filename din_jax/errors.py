"""The one exception that means "the user can mend this"."""


class UserError(ValueError):
    """Bad input: one sentence that names what was wrong, what was received and the remedy.

    Entry points print it as `error: ...` and exit with status 2; everything else is a defect and
    keeps its stack trace.
    """
