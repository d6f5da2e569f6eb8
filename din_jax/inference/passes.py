"""A network over the pieces of a picture too large for one call, exact and linear in work.

What a piece cannot know is what the whole picture's statistics are. So the traced function is cut
wherever it asks for them (`layers.measuring`): pass by pass all pieces are computed up to there,
what they give is pooled, and the next pass goes on from it. A network with running statistics asks
in its styled layers alone, none of which waits for another: two passes. One with instance norms
asks at each: a pass per norm, and what later passes read of a piece is kept meanwhile.
"""

import dataclasses
import itertools
import mmap
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal, Var, jaxpr_as_fun

from din_jax.errors import UserError
from din_jax.layers.measuring import pooled_statistics
from din_jax.layers.normalizers import pool_moments

Call = Callable[[], tuple]
Progress = Callable[[int, int], None]
Atom = Var | Literal


def _outside_the_heap(array: np.ndarray) -> np.ndarray:
    """A copy on pages of its own, which the system has back as soon as nobody holds it.

    Maps of many sizes come and go. On a heap that is kept (`memory.keep_freed_memory`) the holes
    that they leave grew to as much as they were: twice the budget, and more.
    """
    pages = mmap.mmap(-1, max(array.nbytes, 1))
    copy = np.frombuffer(pages, array.dtype, array.size).reshape(array.shape)
    copy[...] = array
    return copy


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
            self._held[key] = _outside_the_heap(array)
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
    """Operations up to the statistics that the next pass waits for.

    `jaxpr` takes the constants and arguments of the whole, all statistics pooled before, and what
    it reads; it gives what is to be pooled, what it keeps, and in the end the results.
    """

    jaxpr: Jaxpr
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
        self._consts = closed.consts
        self._structure = jax.tree.structure(shapes)
        self._passes, piece, results = _cut(closed.jaxpr)
        self._same = not any(v in piece for v in results if not isinstance(v, Literal))
        self._numbers = {v: i for i, v in enumerate(piece)}
        self._programs: dict[int, Callable] = {}
        self.compilations = 0

    def __len__(self) -> int:
        return len(self._passes)

    def run(
        self, calls: Sequence[Call], store: MapStore, progress: Progress | None = None
    ) -> Iterator[tuple[int, Any]]:
        """(number of the call, what the function gives) of every call, all of one picture.

        Args:
          calls: each makes the arguments of one piece, or of a batch of pieces; all of the shapes
            of the example.
          store: keeps maps between passes.
          progress: told after each call how many are done, of all passes, and how many there are.
        """
        done, total = 0, (len(self) - 1) * len(calls) + (1 if self._same else len(calls))
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
                done += 1
                if progress is not None:
                    progress(done, total)
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

    def _execute(self, depth: int, *arguments: list) -> tuple[list, list, list]:
        """(share and moments at each cut, what is kept, results) of one pass."""
        one = self._passes[depth]
        function = jaxpr_as_fun(ClosedJaxpr(one.jaxpr, []))
        given, maps, rest = arguments
        outputs = iter(function(*self._consts, *rest, *given, *maps))
        statistics = [list(itertools.islice(outputs, len(cut.invars))) for cut in one.cuts]
        return statistics, list(itertools.islice(outputs, len(one.keeps))), list(outputs)

    def _is_last(self, variable: Var, depth: int) -> bool:
        return not any(variable in later.reads for later in self._passes[depth + 1 :])


def _cut(jaxpr: Jaxpr) -> tuple[list[_Pass], set[Var], list[Atom]]:
    """The passes of a traced function, variables that are of a piece of the picture, and results.

    An operation belongs to the first pass in which all that it needs is known. What is of no piece
    (parameters, codes, what follows from pooled statistics) is small and belongs to all from there.
    """
    depths: dict[Var, int] = {}
    piece: dict[Var, None] = {jaxpr.invars[0]: None}  # in order
    operations: list[tuple[int, bool, JaxprEqn]] = []
    cuts: list[list[JaxprEqn]] = [[]]
    running: dict[Var, Atom] = {}
    for operation in jaxpr.eqns:
        inputs = [v if isinstance(v, Literal) else running.get(v, v) for v in operation.invars]
        operation = operation.replace(invars=inputs)
        inputs = _variables(operation)
        depth = max((depths.get(v, 0) for v in inputs), default=0)
        own, cut = any(v in piece for v in inputs), operation.primitive is pooled_statistics
        if cut and not own:  # running statistics are of no piece
            running |= dict(zip(operation.outvars, operation.invars[1:], strict=True))
            continue
        if cut:
            cuts += [[] for _ in range(depth + 2 - len(cuts))]
            cuts[depth].append(operation)
        else:
            operations.append((depth, own, operation))
        for variable in operation.outvars:
            depths[variable] = depth + cut
            if own and not cut:
                piece[variable] = None
    results = [v if isinstance(v, Literal) else running.get(v, v) for v in jaxpr.outvars]
    last = len(cuts) - 1
    keep = last > 1  # else the first pass is but a part of the second

    def used(depth: int) -> list[Var]:
        """Variables of the piece that a pass reads or makes, in order."""
        readers = [o for d, own, o in operations if own and d == depth] + cuts[depth]
        variables = [v for operation in readers for v in _variables(operation)]
        variables += results if depth == last else []
        return [v for v in dict.fromkeys(variables) if v in piece and v != jaxpr.invars[0]]

    uses = [used(depth) if keep else [] for depth in range(last + 1)]
    passes, given = [], []
    for depth, cut in enumerate(cuts):
        later = dict.fromkeys(v for use in uses[depth + 1 :] for v in use)
        reads = [v for v in uses[depth] if depths[v] < depth]
        keeps = [v for v in later if depths[v] == depth]
        todo = [o for d, own, o in operations if d == depth or d < depth and not (own and keep)]
        inputs = [*jaxpr.constvars, *jaxpr.invars, *given, *reads]
        pooled = [v for operation in cut for v in operation.invars]
        outputs = [*pooled, *keeps, *(results if depth == last else [])]
        part = jaxpr.replace(constvars=[], invars=inputs, outvars=outputs, eqns=todo)
        passes.append(_Pass(part, cut, reads, keeps))
        given = given + [v for operation in cut for v in operation.outvars]
    return passes, set(piece), results


def _variables(operation: JaxprEqn) -> list[Var]:
    return [v for v in operation.invars if not isinstance(v, Literal)]


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
