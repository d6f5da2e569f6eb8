"""Many files through one function: read ahead, computed in batches, written behind, in order."""

import contextlib
import dataclasses
import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

from din_jax.data.outputs import OutputError
from din_jax.errors import UserError

Job, Picture, Result = TypeVar("Job"), TypeVar("Picture"), TypeVar("Result")

PIXELS = 1 << 25  # most pixels of a batch: 100 MB of RGB


@dataclasses.dataclass
class Outcome(Generic[Job]):
    """What became of the jobs.

    Attributes:
      done: with the seconds that each took, in the order of the jobs.
      failed: with the sentences that say why.
      left: not begun, since the disk is full.
    """

    done: list[tuple[Job, float]] = dataclasses.field(default_factory=list)
    failed: list[tuple[Job, str]] = dataclasses.field(default_factory=list)
    left: list[Job] = dataclasses.field(default_factory=list)


def run_batches(
    jobs: Sequence[Job],
    read: Callable[[Job], Picture],
    compute: Callable[[list[Job], list[Picture]], Sequence[Result]],
    write: Callable[[Job, Result], object],
    *,
    batch: int,
    weigh: Callable[[Job], int] = lambda job: 0,
    threads: int = 4,
    advance: Callable[[int], object] = lambda count: None,
) -> Outcome[Job]:
    """Reads, computes and writes every job; one that fails does not keep the others from it.

    While a batch is computed, the next one is read and the one before is written: no more than
    three are in memory, however many jobs there are. A failure is a `UserError` of any of the three
    functions; one of a batch is looked for among its jobs, one by one. A full disk ends all.

    Args:
      jobs: in the order in which they are begun.
      read: of one job; called in threads.
      compute: of a batch of what was read, as many results.
      write: called in threads.
      batch: most jobs at once.
      weigh: pixels of a job; a batch takes no more than PIXELS, or one job.
      threads: that read, and that write.
      advance: told of the number of jobs that have come to their ends.
    """
    outcome = Outcome()
    groups = _grouped(jobs, batch, weigh)
    readers, writers = ThreadPoolExecutor(threads), ThreadPoolExecutor(threads)
    with readers, writers, _cancelling(readers):
        group, reading = _begin(groups, readers, read)
        written: list[tuple[Job, float, Future]] = []
        while group:
            following, next_reading = _begin(groups, readers, read)
            good, pictures = _gather(group, reading, outcome)
            results = _computed(good, pictures, compute, outcome)
            stop = _finish(written, outcome)
            written = [
                (job, seconds, writers.submit(write, job, result))
                for job, seconds, result in results
            ]
            if stop or not following:
                stop = _finish(written, outcome) or stop
            advance(len(group))
            if stop:
                outcome.left = [*following, *itertools.chain.from_iterable(groups)]
                break
            group, reading = following, next_reading
    return outcome


@contextlib.contextmanager
def _cancelling(pool: ThreadPoolExecutor) -> Iterator[None]:
    """Reads nothing more once the block is left, by Ctrl-C too."""
    try:
        yield
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _grouped(jobs: Iterable[Job], batch: int, weigh: Callable[[Job], int]) -> Iterator[list[Job]]:
    group, weight = [], 0
    for job in jobs:
        own = weigh(job)
        if group and (len(group) == batch or weight + own > PIXELS):
            yield group
            group, weight = [], 0
        group.append(job)
        weight += own
    if group:
        yield group


def _begin(groups: Iterator[list[Job]], pool: ThreadPoolExecutor, read) -> tuple[list, list]:
    group = next(groups, [])
    return group, [pool.submit(read, job) for job in group]


def _gather(group: list[Job], reading: list[Future], outcome: Outcome) -> tuple[list, list]:
    good, pictures = [], []
    for job, future in zip(group, reading, strict=True):
        try:
            pictures.append(future.result())
            good.append(job)
        except UserError as error:
            outcome.failed.append((job, str(error)))
    return good, pictures


def _computed(good: list[Job], pictures: list, compute, outcome: Outcome) -> list[tuple]:
    """(job, seconds, result) of each job that can be computed."""
    if not good:
        return []
    began = time.perf_counter()
    try:
        results = compute(good, pictures)
    except UserError as error:
        if len(good) == 1:
            outcome.failed.append((good[0], str(error)))
            return []
        singles = zip(good, pictures, strict=True)
        return [x for job, one in singles for x in _computed([job], [one], compute, outcome)]
    seconds = (time.perf_counter() - began) / len(good)
    return [(job, seconds, result) for job, result in zip(good, results, strict=True)]


def _finish(written: list[tuple[Job, float, Future]], outcome: Outcome) -> bool:
    """Waits for what is being written; whether the disk is full."""
    full = False
    for job, seconds, future in written:
        try:
            future.result()
            outcome.done.append((job, seconds))
        except UserError as error:
            outcome.failed.append((job, str(error)))
            full = full or (isinstance(error, OutputError) and error.full)
    written.clear()
    return full
