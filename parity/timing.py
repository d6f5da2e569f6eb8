"""Seconds of both sides, in turn, on the same threads: medians and their ratio."""

import os
import statistics
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax
import torch

from parity.pair import Pair, as_jax, as_torch, random_batch
from parity.steps import TorchTraining, as_images, jax_training


class Timing(NamedTuple):
    """Medians in seconds; `ratio` below 1 means that `din_jax` is faster."""

    name: str
    ours: float
    theirs: float

    @property
    def ratio(self) -> float:
        return self.ours / self.theirs


def cores() -> int:
    """Threads that XLA uses: one per core that it may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def torch_on(threads: int) -> str:
    """Lets PyTorch use so many threads; gives its version."""
    torch.set_num_threads(threads)
    return torch.__version__


def compare_times(
    pair: Pair, size: tuple[int, int], images: int, pairs: int, repeats: int
) -> Iterator[Timing]:
    """`images` pictures in known styles, the same with their styles, a training step of `pairs`.

    Zero of either leaves its timings out.
    """
    if images:
        yield from _compare_pictures(pair, size, images, repeats)
    if not pairs:
        return
    batch = random_batch(size, pairs, 0)
    ours, reference = jax_training(pair, batch, 1000), TorchTraining(pair, 1000)
    tensors = as_images(batch, pair.dtype)
    yield _in_turn(
        f"training step, {pairs} pairs of {size[0]}x{size[1]}",
        lambda: (ours(batch), ours.state),
        lambda: reference(tensors),
        repeats,
    )


def _compare_pictures(
    pair: Pair, size: tuple[int, int], images: int, repeats: int
) -> Iterator[Timing]:
    one = random_batch(size, images, 0)
    content, style = (as_jax(one[side], pair.dtype) for side in ("content", "style"))
    torch_content, torch_style = (as_torch(one[side], pair.dtype) for side in ("content", "style"))
    variables = (pair.params, pair.stats, pair.frozen)

    @jax.jit
    def encode(variables, style):
        return pair.network.module(*variables, training=False).encode_style(style)

    @jax.jit
    def stylize(variables, content, code):
        return pair.network.module(*variables, training=False).stylize(content, code)

    model = pair.model.eval()
    code = encode(variables, style)
    with torch.inference_mode():
        torch_code = model.encode_style(torch_style)

    def theirs(with_style: bool):
        with torch.inference_mode():
            known = model.encode_style(torch_style) if with_style else torch_code
            return model.stylize(torch_content, known)

    title = f"{images} of {size[0]}x{size[1]}"
    yield _in_turn(
        f"stylize {title}, styles known",
        lambda: stylize(variables, content, code),
        lambda: theirs(False),
        repeats,
    )
    yield _in_turn(
        f"stylize {title} and read the styles",
        lambda: stylize(variables, content, encode(variables, style)),
        lambda: theirs(True),
        repeats,
    )


def _in_turn(name: str, ours: Callable, theirs: Callable, repeats: int) -> Timing:
    """Medians after one run of each that is not counted."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for count in range(repeats + 1):
        for function, found in zip((ours, theirs), seconds, strict=True):
            start = time.perf_counter()
            jax.block_until_ready(function())
            if count:
                found.append(time.perf_counter() - start)
    return Timing(name, *(statistics.median(found) for found in seconds))
