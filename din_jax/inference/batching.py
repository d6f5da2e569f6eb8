"""Batches of equal shapes out of mixed sizes, and a bounded memory of compiled programs."""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from din_jax.errors import UserError
from din_jax.inference.pictures import round_up


class CompiledCache:
    """`jax.jit(function)` that keeps the programs of the `limit` argument shapes used last.

    A program is compiled for each set of argument shapes. `jax.jit` would keep all of them, and a
    folder of photographs can have a size for every file.
    """

    def __init__(self, function: Callable, limit: int):
        self._jitted = jax.jit(function)
        self._limit = limit
        self._programs: OrderedDict[Hashable, Callable] = OrderedDict()
        self.compilations = 0
        # Most bytes that one of the programs needs between its arguments and its result.
        self.temporary = 0

    def __call__(self, *arguments: Any) -> Any:
        leaves, structure = jax.tree.flatten(arguments)
        key = (structure, tuple((x.shape, str(x.dtype)) for x in leaves))
        if key in self._programs:
            self._programs.move_to_end(key)
        else:
            self._programs[key] = self._jitted.lower(*arguments).compile()
            self._jitted.clear_cache()  # which holds every program that it lowered
            self.compilations += 1
            memory = self._programs[key].memory_analysis()
            self.temporary = max(self.temporary, memory.temp_size_in_bytes if memory else 0)
            if len(self._programs) > self._limit:
                self._programs.popitem(last=False)
        return self._programs[key](*arguments)


def batches_by(keys: Sequence[Hashable], batch: int) -> Iterator[list[int]]:
    """Indices of equal keys, at most `batch` at a time; keys in order of first appearance."""
    groups: dict[Hashable, list[int]] = {}
    for index, key in enumerate(keys):
        groups.setdefault(key, []).append(index)
    for indices in groups.values():
        for start in range(0, len(indices), batch):
            yield indices[start : start + batch]


def fill_up(indices: Sequence[int], batch: int, devices: int = 1) -> list[int]:
    """Indices with the last one repeated up to a power of two, or to `batch` if that is less.

    A last, smaller batch of any size then costs at most log2(batch) further compilations. The
    result is a multiple of `devices`, as `batch` is.
    """
    size = min(round_up(1 << (len(indices) - 1).bit_length(), devices), batch)
    return [*indices, *[indices[-1]] * (size - len(indices))]


def check_images(images: Sequence[np.ndarray] | np.ndarray, what: str) -> list[np.ndarray]:
    """The images as a list.

    Raises:
      UserError: there are none, or one is not uint8 [H, W, 3].
    """
    if len(images) == 0:
        raise UserError(f"at least one {what} image is needed, but there is none.")
    for image in images:
        shape, dtype = np.shape(image), np.asarray(image).dtype
        if dtype != np.uint8 or len(shape) != 3 or shape[2] != 3 or min(shape) < 1:
            raise UserError(
                f"{what} images must be uint8 [H, W, 3], RGB in 0..255, but one is "
                f"{dtype} {list(shape)}; convert it first."
            )
    return [np.asarray(image) for image in images]


def placement(devices: Sequence[jax.Device] | None) -> tuple[Callable, Callable]:
    """Functions that put a batch, and what all of it shares, on devices; None leaves both."""
    if devices is None:
        return (lambda x: x), (lambda tree: tree)
    mesh = Mesh(np.asarray(devices), ("data",))
    batch, whole = NamedSharding(mesh, P("data")), NamedSharding(mesh, P())
    return (lambda x: jax.device_put(x, batch)), (lambda tree: jax.device_put(tree, whole))


def one_of(statistics: Any, row: int) -> Any:
    """Those of one picture of a batch; running ones are one for the whole batch."""
    return jax.tree.map(lambda x: np.asarray(x[min(row, len(x) - 1)])[None], statistics)


def stacked(statistics: Sequence[Any]) -> Any:
    """Statistics of several contents as those of one batch."""
    return jax.tree.map(lambda *parts: np.concatenate(parts), *statistics)
