"""Every bound that the server holds its clients to, and memory that is lent within one."""

import dataclasses
import math
import threading

from din_jax.data.decoding import MAX_PIXELS, MIN_SIDE
from din_jax.errors import UserError
from din_jax.inference.pictures import LARGEST_STYLE, LONGEST_STYLE


@dataclasses.dataclass(frozen=True)
class Limits:
    """Bounds, each at least 1.

    Attributes:
      upload_bytes: of one request's body.
      uploads_bytes: of all bodies that are held at a time, read or waiting to be painted.
      pixels: of one picture; of all masks of a request; of a content times the styles that masks
        divide it into.
      pictures: contents in one request.
      styles: in one mixture; as many masks.
      feather: px, the softest edge of a mask: the work grows with it.
      scale: px, the largest short side of a style while it is encoded, which bounds its pixels as
        those of a style at its own size are.
      queue: jobs that wait.
      results_bytes: of all painted pictures that are kept or being sent.
      kept_seconds: until a result that nobody fetches is dropped.
      jobs: that are remembered, done ones too.
      wait_seconds: that a request may wait for its picture (`?wait=true`).
      body_seconds: that a client may take to send its body.
      head_seconds: that a client may take to send a request's head.
      read_seconds: that a client may take to read the next 48 KiB of an answer.
      connections: open at a time.
    """

    upload_bytes: int = 64 << 20
    uploads_bytes: int = 256 << 20
    pixels: int = 24_000_000
    pictures: int = 32
    styles: int = 8
    feather: int = 128
    scale: int = math.isqrt(LARGEST_STYLE // LONGEST_STYLE)
    queue: int = 16
    results_bytes: int = 256 << 20
    kept_seconds: float = 600
    jobs: int = 1024
    wait_seconds: float = 300
    body_seconds: float = 60
    head_seconds: float = 10
    read_seconds: float = 30
    connections: int = 256

    def __post_init__(self):
        for name, value in dataclasses.asdict(self).items():
            if not value > 0:
                raise UserError(f"{name} must be above 0, not {value}.")
        if not MIN_SIDE**2 <= self.pixels <= MAX_PIXELS:
            raise UserError(
                f"pictures are decoded from {MIN_SIDE**2} up to {MAX_PIXELS} pixels: choose a "
                f"bound between these, not {self.pixels}."
            )
        if self.upload_bytes > self.uploads_bytes:
            raise UserError(
                f"an upload of {self.upload_bytes} bytes would not fit into the "
                f"{self.uploads_bytes} of all together: raise this, or lower that."
            )


class Budget:
    """Bytes that are lent and given back; threads may share one.

    Args:
      total: most bytes lent at a time.
    """

    def __init__(self, total: int):
        self.total = total
        self._lent = 0
        self._lock = threading.Lock()

    @property
    def lent(self) -> int:
        return self._lent

    def take(self, count: int) -> bool:
        """Lends so many bytes, or none if fewer are left."""
        with self._lock:
            fits = self._lent + count <= self.total
            self._lent += count if fits else 0
            return fits

    def give(self, count: int) -> None:
        """Takes lent bytes back."""
        with self._lock:
            self._lent -= count


class Lease:
    """What one borrower has of a budget, in parts; all of it is given back once."""

    def __init__(self, budget: Budget):
        self._budget, self.bytes = budget, 0

    def add(self, count: int) -> bool:
        """Borrows so many bytes more, if they are left."""
        fits = self._budget.take(count)
        self.bytes += count if fits else 0
        return fits

    def shrink(self, count: int) -> None:
        """Gives back what is beyond so many bytes."""
        more = max(self.bytes - count, 0)
        self.bytes -= more
        self._budget.give(more)

    def release(self) -> None:
        self.shrink(0)
