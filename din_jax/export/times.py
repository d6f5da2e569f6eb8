"""Milliseconds of the exported files beside JAX, taken in turns in one run."""

import time
from collections.abc import Callable, Mapping

import numpy as np

LEAST_ROUNDS, MOST_ROUNDS = 3, 25
SECONDS = 4.0  # that the rounds of one size may take, once the least are done


def in_turns(functions: Mapping[str, Callable[[], object]]) -> dict[str, float]:
    """The median milliseconds of each function, all called once a round.

    A busy machine slows what runs at the same time: in turns each meets the same. The first call of
    each, which compiles, is not counted.
    """
    for function in functions.values():
        function()
    taken: dict[str, list[float]] = {name: [] for name in functions}
    began = time.perf_counter()
    for done in range(MOST_ROUNDS):
        if done >= LEAST_ROUNDS and time.perf_counter() - began > SECONDS:
            break
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            taken[name].append(time.perf_counter() - start)
    return {name: 1e3 * float(np.median(times)) for name, times in taken.items()}
