"""Painted pictures, counted for as long as anybody has them."""

import threading
from typing import NamedTuple

from din_jax.serve.limits import Budget


class Painted(NamedTuple):
    """A painted picture as the bytes of a file."""

    data: bytes
    suffix: str
    width: int
    height: int


class Result:
    """A painted picture, whose bytes are given back when its last user has released it."""

    def __init__(self, painted: Painted, budget: Budget):
        self.painted, self._budget = painted, budget
        self._users, self._lock = 1, threading.Lock()

    def hold(self) -> "Result":
        with self._lock:
            self._users += 1
        return self

    def release(self) -> None:
        with self._lock:
            self._users -= 1
            last = self._users == 0
        if last:
            self._budget.give(len(self.painted.data))
