"""What orbax prints of a failed save, beside the error that it raises: hundreds of lines of traces.

The error is told once, in a sentence, by `training.checkpoints`.
"""

import logging
import sys


def quieten_orbax():
    """Traces of its threads are no longer printed; whatever else is said still is."""
    for name in ("absl", "asyncio"):
        logging.getLogger(name).addFilter(_wanted)  # a second time changes nothing
    if not isinstance(sys.unraisablehook, _Unraisable):
        sys.unraisablehook = _Unraisable(sys.unraisablehook)


def _wanted(record: logging.LogRecord) -> bool:
    if record.name == "asyncio":
        return "exception was never retrieved" not in record.getMessage()
    return not (record.exc_info and "orbax" in record.pathname)


class _Unraisable:
    """tensorstore tells the loop of a save that has failed, which is closed by then."""

    def __init__(self, before):
        self.before = before

    def __call__(self, unraisable):
        if unraisable.object is None and str(unraisable.exc_value) == "Event loop is closed":
            return
        self.before(unraisable)
