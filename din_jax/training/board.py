"""What boards of curves and pictures are told, and event files that TensorBoard reads.

Those are written at once: an error of the disk is the caller's.

`tensorboardX.SummaryWriter` writes in a thread, which a full disk ends; whoever then adds an event
waits for it without end.
"""

import contextlib
import secrets
import socket
import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np


@contextlib.contextmanager
def _absent(module: str):
    """Inside, a module that has not been imported cannot be."""
    if module in sys.modules:
        yield
        return
    sys.modules[module] = None
    try:
        yield
    finally:
        del sys.modules[module]


# It imports PyTorch where it is installed, for what is not used here: seconds of every start.
with _absent("torch"):
    from tensorboardX import summary
    from tensorboardX.proto.event_pb2 import Event, SessionLog
    from tensorboardX.record_writer import RecordWriter


class Scalar(NamedTuple):
    """A number of a step."""

    name: str
    value: float


class Picture(NamedTuple):
    """A picture of a step, uint8 [H, W, 3]."""

    name: str
    image: np.ndarray


Entry = Scalar | Picture


class Board:
    """Scalars and pictures of one run.

    Args:
      folder: that of the event files; each `Board` adds one, and one more after each error.
      start: steps from here on that other files have are hidden, for they are done again.
    """

    NAME = "TensorBoard"

    def __init__(self, folder: Path, start: int):
        self._folder, self._start = folder, start
        self._writer: RecordWriter | None = None

    def add(self, step: int, *entries: Entry):
        """Writes scalars and pictures of a step.

        Raises:
          OSError: what the disk refused; it is dropped, and the next goes into another file.
        """
        try:
            self._write([_now(summary=_summary(each), step=step) for each in entries])
        except OSError as error:
            with contextlib.suppress(OSError):
                self.close()
            self._writer = None
            error.filename = error.filename or str(self._folder)
            raise

    def _write(self, events: list[Event]):
        if self._writer is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            name = f"events.out.tfevents.{int(time.time())}.{socket.gethostname()}"
            self._writer = RecordWriter(str(self._folder / f"{name}.{secrets.token_hex(4)}"))
            start = SessionLog(status=SessionLog.START)
            events = [
                _now(file_version="brain.Event:2"),
                _now(step=self._start, session_log=start),
                *events,
            ]
        for event in events:
            self._writer.write(event.SerializeToString())
        self._writer.flush()

    def close(self):
        if self._writer:
            self._writer.close()


def _summary(entry: Entry):
    if isinstance(entry, Scalar):
        return summary.scalar(*entry)
    return summary.image(*entry, dataformats="HWC")


def _now(**content) -> Event:
    return Event(wall_time=time.time(), **content)
