"""A network over the pieces of a picture too large for one call, exact and linear in work.

What a piece cannot know is what the whole picture's statistics are. So the traced function is cut
wherever it asks for them (`layers.measuring`): pass by pass all pieces are computed up to there,
what they give is pooled, and the next pass goes on from it. A network with running statistics asks
in its styled layers alone, none of which waits for another: two passes. One with instance norms
asks at each: a pass per norm, and what later passes read of a piece is kept meanwhile.
"""

import dataclasses
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.extend.core import Jaxpr, JaxprEqn, Literal, Var

from din_jax.errors import UserError
from din_jax.layers.measuring import pooled_statistics
from din_jax.layers.normalizers import pool_moments

Call = Callable[[], tuple]


class MapStore:
    """Maps between passes: in memory up to a number of bytes, in a temporary folder beyond it."""

    def __init__(self, budget: float):
        self._left = budget
        self._held: dict[Any, np.ndarray | tuple] = {}
        self._folder: tempfile.TemporaryDirectory | None = None
        self.bytes_on_disk = 0

    def __enter__(self) -> "MapStore":
        return self

    def __exit__(self, *_):
        self._held.clear()
        if self._folder is not None:
            self._folder.cleanup()

    def put(self, key: Any, array: np.ndarray):
        if array.nbytes <= self._left:
            self._left -= array.nbytes
            self._held[key] = array
            return
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="din_jax-maps-")
        path = Path(self._folder.name, "-".join(map(str, key)))
        try:
            array.tofile(path)
        except OSError as error:
            raise UserError(
                f"the maps of a picture this large need room in '{path.parent.parent}', but "
                f"writing them failed ({error}): free some, or set TMPDIR to a larger place."
            ) from error
        self._held[key] = path, array.dtype, array.shape
        self.bytes_on_disk += array.nbytes

    def get(self, key: Any, last: bool) -> np.ndarray:
        """What was put; it is forgotten if this is the last time that it is asked for."""
        held = self._held.pop(key) if last else self._held[key]
        if isinstance(held, np.ndarray):
            self._left += held.nbytes if last else 0
            return held
        path, dtype, shape = held
        array = np.fromfile(path, dtype).reshape(shape)
        if last:
            path.unlink()
        return array


@dataclasses.dataclass(frozen=True)
class _Pass:
    """Operations up to the statistics that the next pass waits for."""

    operations: list[JaxprEqn]
    cuts: list[JaxprEqn]  # where statistics are pooled afterwards
    reads: list[Var]  # kept by earlier passes
    keeps: list[Var]  # read by later ones


class Passes:
    """`function(images, *rest)` cut at its pooled statistics.

    Args:
      function: traceable; its first argument is the piece of the picture, of which alone it keeps
        anything from pass to pass. What else its operations need is computed anew.
      arguments: an example of its arguments, arrays or their shapes.
    """

    def __init__(self, function: Callable, *arguments: Any):
        closed, shapes = jax.make_jaxpr(function, return_shape=True)(*arguments)
        self._jaxpr, self._consts = closed.jaxpr, closed.consts
        self._structure = jax.tree.structure(shapes)
        self._passes, piece = _cut(self._jaxpr)
        self._same = not piece.intersection(self._jaxpr.outvars)
        self._numbers = {v: i for i, v in enumerate(piece)}
        self._programs: dict[int, Callable] = {}
        self.compilations = 0

    def __len__(self) -> int:
        return len(self._passes)

    def run(self, calls: Sequence[Call], store: MapStore) -> Iterator[tuple[int, Any]]:
        """(number of the call, what the function gives) of every call, all of one picture.

        Args:
          calls: each makes the arguments of one piece, or of a batch of pieces; all of the shapes
            of the example.
          store: keeps maps between passes.
        """
        given: list[np.ndarray] = []
        for depth, one in enumerate(self._passes):
            final, found = depth == len(self._passes) - 1, []
            # Statistics alone are the same in every piece.
            wanted = calls[:1] if final and self._same else calls
            for number, call in enumerate(wanted):
                maps = [
                    store.get((self._numbers[v], number), self._is_last(v, depth))
                    for v in one.reads
                ]
                arguments = jax.tree.leaves(call())
                statistics, kept, results = self._program(depth, given, maps, arguments)
                found.append(jax.device_get(statistics))
                for variable, array in zip(one.keeps, jax.device_get(kept), strict=True):
                    store.put((self._numbers[variable], number), array)
                if final:
                    yield number, jax.tree.unflatten(self._structure, results)
            if not final:
                given = given + _pooled(one.cuts, found)

    def _program(self, depth: int, *arguments: list) -> tuple:
        if depth not in self._programs:
            jitted = jax.jit(lambda *args: self._execute(depth, *args))
            self._programs[depth] = jitted.lower(*arguments).compile()
            self.compilations += 1
        return self._programs[depth](*arguments)

    def _execute(self, depth: int, given: list, maps: list, arguments: list) -> tuple:
        one, jaxpr = self._passes[depth], self._jaxpr
        cut_before = [v for before in self._passes[:depth] for cut in before.cuts
                      for v in cut.outvars]  # fmt: skip
        known = dict(zip(jaxpr.constvars, self._consts, strict=True))
        known |= dict(zip(jaxpr.invars, arguments, strict=True))
        known |= dict(zip(cut_before, given, strict=True)) | dict(zip(one.reads, maps, strict=True))

        def values(variables) -> list:
            return [v.val if isinstance(v, Literal) else known[v] for v in variables]

        for operation in one.operations:
            if operation.primitive is pooled_statistics:  # of no piece: running ones
                known |= dict(zip(operation.outvars, values(operation.invars[1:]), strict=True))
                continue
            functions, parameters = operation.primitive.get_bind_params(operation.params)
            results = operation.primitive.bind(*functions, *values(operation.invars), **parameters)
            results = results if operation.primitive.multiple_results else [results]
            known |= dict(zip(operation.outvars, results, strict=True))
        statistics = [values(cut.invars) for cut in one.cuts]
        final = depth == len(self._passes) - 1
        return statistics, values(one.keeps), values(jaxpr.outvars) if final else []

    def _is_last(self, variable: Var, depth: int) -> bool:
        return not any(variable in later.reads for later in self._passes[depth + 1 :])


def _cut(jaxpr: Jaxpr) -> tuple[list[_Pass], set[Var]]:
    """The passes of a traced function, and the variables that are of a piece of the picture.

    An operation belongs to the first pass in which all that it needs is known. What is of no piece
    (parameters, codes, what follows from pooled statistics) is small and belongs to all from there.
    """
    depths: dict[Var, int] = {}
    piece: dict[Var, None] = {jaxpr.invars[0]: None}  # in order
    operations: list[tuple[int, bool, JaxprEqn]] = []
    cuts: list[list[JaxprEqn]] = [[]]
    for operation in jaxpr.eqns:
        inputs = [v for v in operation.invars if not isinstance(v, Literal)]
        depth = max((depths.get(v, 0) for v in inputs), default=0)
        own = any(v in piece for v in inputs)
        cut = own and operation.primitive is pooled_statistics
        if cut:
            cuts += [[] for _ in range(depth + 2 - len(cuts))]
            cuts[depth].append(operation)
        else:
            operations.append((depth, own, operation))
        for variable in operation.outvars:
            depths[variable] = depth + cut
            if own and not cut:
                piece[variable] = None
    if len(cuts) == 2:  # the first pass is but a part of the second: nothing is kept
        every = [[o for depth, _, o in operations if depth <= i] for i in range(2)]
        return [_Pass(every[i], cuts[i], [], []) for i in range(2)], set(piece)

    def used(depth: int) -> list[Var]:
        """Variables of the piece that a pass reads or makes, in order."""
        readers = [o for d, own, o in operations if own and d == depth] + cuts[depth]
        variables = [v for o in readers for v in o.invars if not isinstance(v, Literal)]
        variables += [v for v in jaxpr.outvars if depth == len(cuts) - 1]
        return [v for v in dict.fromkeys(variables) if v in piece and v != jaxpr.invars[0]]

    uses = [used(depth) for depth in range(len(cuts))]
    passes = []
    for depth, cut in enumerate(cuts):
        kept = dict.fromkeys(v for later in uses[depth + 1 :] for v in later)
        passes.append(
            _Pass(
                [o for d, own, o in operations if d == depth or (d < depth and not own)],
                cut,
                [v for v in uses[depth] if depths[v] < depth],
                [v for v in kept if depths[v] == depth],
            )
        )
    return passes, set(piece)


def _pooled(cuts: Sequence[JaxprEqn], found: Sequence[list]) -> list[np.ndarray]:
    """The statistics of all pieces together at each cut, a row for every piece of a batch.

    `found` holds, for every call, [share, *leaves of Moments] of each cut, a row for each piece.
    """
    pooled = []
    for cut, parts in zip(cuts, zip(*found, strict=True), strict=True):
        batch = len(parts[0][0])
        columns = zip(*parts, strict=True)
        share, *leaves = (np.concatenate(column).astype(np.float64) for column in columns)
        rows = [[leaf[i] for leaf in leaves] for i in range(len(share))]
        moments = [jax.tree.unflatten(cut.params["structure"], row) for row in rows]
        whole = pool_moments(moments, share / max(share.sum(), 1e-30))
        pooled += [
            np.broadcast_to(leaf, (batch, *leaf.shape)).astype(variable.aval.dtype)
            for leaf, variable in zip(jax.tree.leaves(whole), cut.outvars, strict=True)
        ]
    return pooled
