"""Pictures too large for memory, painted piece by piece, equal to what they would be whole.

Pieces overlap by what the network reads beyond them (`models.footprint.reach`), begin on the grid
of its deepest map, and know where the picture ends, so that a pixel is computed from what it would
be computed from; statistics are those of the whole (`inference.passes`). So there is no seam to
hide. The work grows with the pixels, and with the overlap: 52 pixels around each piece for the
default network, a fifth more for pieces of 1024.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence

import jax
import numpy as np

from din_jax.errors import UserError
from din_jax.inference import programs
from din_jax.inference.batching import fill_up
from din_jax.inference.codes import region_count, take_codes
from din_jax.inference.frames import Frame, Shape, Window, fitted, pieces, windows
from din_jax.inference.passes import MapStore, Passes, Progress
from din_jax.inference.pictures import round_up
from din_jax.layers.mixtures import Mixture
from din_jax.memory import available_bytes
from din_jax.models.footprint import bytes_per_pixel, grid, reach

LARGEST_TILE = 1024  # pixels: larger ones save little, and programs of few sizes do
STEP = 64  # pixels by which sizes of pieces differ
SHARE = 0.5  # of the memory at hand, which what else runs needs too


class Tiler:
    """Decides which contents are painted in pieces, and does it.

    Args:
      loaded, graph, state: the model, and its parts as programs take them.
      dtype: see `programs.stylize`.
      devices: how many pieces run together.
      sharded: puts a batch of pieces on them.
      tile, memory: as `Engine`'s.
      cache: functions kept cut, for shapes of pieces and kinds of mixture.
      progress: as `Engine`'s.
    """

    def __init__(
        self,
        loaded,
        graph,
        state: dict,
        dtype: str,
        devices: int,
        sharded: Callable,
        tile: int | None,
        memory: int | None,
        cache: int,
        progress: Progress | None = None,
    ):
        config = loaded.config.model
        self._model, self._graph, self._state, self._dtype = loaded.model, graph, state, dtype
        self._devices, self._sharded, self._cache = devices, sharded, cache
        self._progress = progress
        self._memory, self._grid, self._reach = memory, grid(config), reach(config)
        self._config = config
        self._programs: OrderedDict = OrderedDict()
        self._forgotten = 0  # compilations of functions no longer kept
        self._tile = tile
        self._check(tile)
        if memory is not None and memory < 1:
            raise UserError(f"memory must be at least 1 byte, not {memory}.")

    @property
    def compilations(self) -> int:
        return self._forgotten + sum(each.compilations for each in self._programs.values())

    @property
    def halo(self) -> int:
        """Pixels around a piece's own part, a multiple of the network's grid."""
        return round_up(self._reach, self._grid)

    @property
    def smallest(self) -> int:
        """The least side of a piece, nearly all of it overlap."""
        return 2 * self.halo + self._grid

    def budget(self) -> float:
        """Bytes that painting may take now."""
        if self._memory is not None:
            return self._memory
        device = min(jax.tree.leaves(self._state)[0].devices(), key=lambda d: d.id)
        found = device.memory_stats() if device.platform != "cpu" else None
        if found and "bytes_limit" in found:
            return (found["bytes_limit"] - found["bytes_in_use"]) * SHARE
        return available_bytes() * SHARE

    def _bytes(self, shape: Shape, regions: int) -> int:
        """What painting a frame, or a piece, of a shape takes."""
        return bytes_per_pixel(self._config, regions) * shape[0] * shape[1]

    def batch(self, shape: Shape, most: int, regions: int = 1) -> int:
        """How many frames of a shape run together, at most `most`."""
        fitting = int(self.budget() / self._bytes(shape, regions)) * self._devices
        if fitting >= most:
            return most
        return max(1 << max(fitting.bit_length() - 1, 0), self._devices)

    def choose(
        self, frames: Sequence[Frame], tile: int | None, regions: int = 1
    ) -> tuple[dict[int, int], list[int]]:
        """Numbers of frames that are painted in pieces, with the pieces' side, and of the others.

        Raises:
          UserError: a side that is too small; a network that cannot be divided, for a picture that
            must be.
        """
        tile = self._tile if tile is None else tile
        self._check(tile)
        large = {}
        for i, frame in enumerate(frames):
            side = self._side(frame.shape, tile, regions)
            if side:
                if self._reach is None:
                    raise UserError(
                        f"a picture of {frame.content[1]} x {frame.content[0]} pixels must be "
                        "painted in pieces, but a deformable layer reads as far as its offsets "
                        "point: scale the picture down, or paint it whole with tile=0."
                    )
                large[i] = side
        return large, [i for i in range(len(frames)) if i not in large]

    def _side(self, shape: Shape, tile: int | None, regions: int) -> int:
        """Pixels along a side of the pieces of a frame; 0 is whole."""
        if tile:
            return tile if max(shape) > tile else 0
        need, budget = self._bytes(shape, regions), self.budget()
        if tile == 0 and need > budget / SHARE:
            raise UserError(
                f"a picture of {shape[1]} x {shape[0]} pixels painted whole takes about "
                f"{need / 1e9:.1f} GB, but there are {budget / SHARE / 1e9:.1f}: let it be painted "
                "in pieces by leaving tile=0 out."
            )
        if tile == 0 or need <= budget:
            return 0
        if self._reach is None:
            return 1
        side = int((budget / 2 / self._bytes((1, 1), regions)) ** 0.5) // self._grid * self._grid
        return max(min(side, LARGEST_TILE), 4 * self.halo)

    def _check(self, tile: int | None):
        if not tile or self._reach is None:
            return
        if tile < self.smallest or tile % self._grid:
            raise UserError(
                f"tile must be 0 (never), or a multiple of {self._grid} of at least "
                f"{self.smallest} pixels, what this network reads, not {tile}."
            )

    def measure(self, frame: Frame, code: Mixture, side: int):
        """The statistics of a large frame, by level."""
        function = programs.measure
        return next(self._run(function, frame, code, side))[1]

    def stylize(
        self, frame: Frame, code: Mixture, side: int, statistics
    ) -> tuple[np.ndarray, int]:
        """The painted content uint8 [H, W, 3], and how many values clipping changed."""
        painted, changed = np.empty((*frame.content, 3), np.uint8), 0
        for places, (images, counts) in self._run(
            programs.stylize, frame, code, side, statistics
        ):
            images = np.asarray(images)
            changed += int(np.asarray(counts)[: len(places)].sum())
            for place, image in zip(places, images, strict=False):
                (top, left), (rows, columns), inset = place.corner, place.own, frame.inset
                painted[_moved(rows, inset), _moved(columns, inset)] = image[
                    _moved(rows, top), _moved(columns, left)
                ]
        return painted, changed

    def _balanced(self, size: int, side: int) -> int:
        """Rows or columns of the windows: `side`, or so many fewer as leave their number the same.

        In steps, since each size of window is compiled.
        """
        if size <= side:
            return round_up(size, self._grid)
        overlap = 2 * self.halo
        count = 1 + -(-(size - side) // (side - overlap))
        return min(round_up(-(-(size + (count - 1) * overlap) // count), STEP), side)

    def _run(self, function: Callable, frame: Frame, code: Mixture, side: int, *more):
        """(windows, what the function gives) of every batch of pieces."""
        shape = tuple(self._balanced(n, side) for n in frame.shape)
        places = windows(frame, shape, self.halo)
        groups = [places[i : i + self._devices] for i in range(0, len(places), self._devices)]
        scales = self._model.scales

        def call(group: Sequence[Window]) -> tuple:
            some = [group[i] for i in fill_up(range(len(group)), self._devices, self._devices)]
            cut = pieces([frame] * len(some), some, shape)
            # What fills a batch up has no share in the statistics.
            cut.counted[len(group) :] = 0
            mixture = take_codes(code, [0] * len(some))
            mixture = fitted(mixture, [frame] * len(some), some, shape, scales)
            rest = cut._replace(images=None)
            return self._sharded(cut.images), rest, self._state, mixture, *more

        calls = [lambda group=group: call(group) for group in groups]
        passes = self._passes(function, calls[0]())
        # What a piece takes, and as much again for maps on their way from the store and to it.
        left = max(self.budget() - 2 * self._bytes(shape, region_count(code)), 0)
        with MapStore(left) as store:
            for number, result in passes.run(calls, store, self._progress):
                yield groups[number], result

    def _passes(self, function: Callable, arguments: tuple) -> Passes:
        leaves, structure = jax.tree.flatten(arguments)
        key = (function, structure, tuple((np.shape(x), str(x.dtype)) for x in leaves))
        if key not in self._programs:
            self._programs[key] = Passes(
                lambda *args: function(self._graph, self._dtype, True, *args), *arguments
            )
            if len(self._programs) > self._cache:
                self._forgotten += self._programs.popitem(last=False)[1].compilations
        self._programs.move_to_end(key)
        return self._programs[key]


def _moved(part: tuple[int, int], start: int) -> slice:
    """(first, stop) counted from `start`."""
    return slice(part[0] - start, part[1] - start)
