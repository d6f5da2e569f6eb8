"""Reading from a store that is slow or fails now and then: again, with pauses, and not for ever."""

import logging
import time
from collections.abc import Callable
from typing import TypeVar

logger = logging.getLogger(__name__)

PAUSES = (0.5, 2.0, 8.0)  # s before the second, third and fourth try
UNREACHABLE = 3  # pictures in a row whose store does not answer, before it counts as gone
# What no further try mends.
FINAL = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)
Result = TypeVar("Result")


def patiently(read: Callable[[], Result], name: str) -> Result:
    """What `read` gives; an `OSError` of the store is told and tried again, `len(PAUSES)` times.

    Raises:
      OSError: of the last try, or one that is final.
    """
    for pause in PAUSES:
        try:
            return read()
        except FINAL:
            raise
        except OSError as error:
            logger.warning(
                "'%s' could not be read (%s); again in %g s", name, error.strerror, pause
            )
            time.sleep(pause)
    return read()
