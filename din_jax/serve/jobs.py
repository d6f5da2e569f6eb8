"""The queue: jobs wait their turn, one thread paints, results are kept for a while."""

import logging
import secrets
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from typing import Protocol

from din_jax.serve.limits import Budget, Limits
from din_jax.serve.problems import Problem, problem_of
from din_jax.serve.results import Painted, Result

QUEUED, PAINTING, DONE, FAILED, CANCELLED = "queued", "painting", "done", "failed", "cancelled"
FINISHED = (DONE, FAILED, CANCELLED)
CLOSING = 10.0  # seconds for which a closing server waits for the picture that is being painted
_OLD = 0.7  # share of what was known in the estimate of a job's seconds

log = logging.getLogger(__name__)


class Cancelled(Exception):
    """Raised in the middle of painting what nobody wants any more."""


Tell = Callable[[float], None]


class Wish(Protocol):
    """What is painted; of this module's concern is only how many pictures it asks for."""

    @property
    def count(self) -> int: ...


class Job:
    """One request; `Queue` alone changes it.

    Attributes:
      id: unguessable: who knows it may see and cancel the job.
      count: pictures that it asks for.
      state: of FINISHED, or QUEUED, PAINTING.
      progress: 0 to 1.
      results: pictures painted so far, in order.
      problem: why it failed.
      ended: time of its end, by the queue's clock.
    """

    def __init__(self, wish: Wish, release: Callable[[], None]):
        self.id = secrets.token_urlsafe(16)
        self.count = wish.count
        self.state, self.progress = QUEUED, 0.0
        self.results: list[Result] = []
        self.problem: Problem | None = None
        self.ended = 0.0
        self.unwanted = False
        self.wish: Wish | None = wish
        self.release = release
        self.callbacks: list[Callable[[], None]] = []


class Queue:
    """Jobs in the order in which they came.

    Args:
      paint: paints a wish, picture by picture, in the queue's thread; told how far it is it calls
        its second argument with 0 to 1, which may raise `Cancelled`.
      limits: of waiting jobs, of results and how long they are kept.
      clock: seconds.
    """

    def __init__(
        self,
        paint: Callable[[Wish, Tell], Iterator[Painted]],
        limits: Limits,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._paint, self._limits, self._clock = paint, limits, clock
        self.results = Budget(limits.results_bytes)
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._waiting: deque[Job] = deque()
        self._seconds = 1.0  # that a job takes
        self._closing = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="painting", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def require_room(self) -> None:
        """Raises Problem if no further job is taken now."""
        with self._changed:
            self._require_room()

    def submit(self, wish: Wish, release: Callable[[], None] = lambda: None) -> Job:
        """Takes a job; `release` is called, once, when its wish is needed no more.

        Raises:
          Problem: too many wait; `release` is not called then.
        """
        with self._changed:
            self._require_room()
            self._sweep()
            job = Job(wish, release)
            self._jobs[job.id] = job
            self._waiting.append(job)
            self._changed.notify_all()
        return job

    def get(self, job_id: str) -> Job:
        """The job of that id.

        Raises:
          Problem: there is none, or its results have been dropped.
        """
        with self._changed:
            self._sweep()
            if job_id not in self._jobs:
                raise Problem(
                    404,
                    "there is no such job: it was dropped, or its pictures were kept for their "
                    f"{self._limits.kept_seconds:g} s; send the picture again.",
                )
            return self._jobs[job_id]

    def place(self, job: Job) -> int | None:
        """1 for the job that is painted next; None for one that does not wait."""
        with self._changed:
            return self._waiting.index(job) + 1 if job in self._waiting else None

    def picture(self, job: Job, number: int) -> Result:
        """A painted picture, held for the caller, who is to release it.

        Raises:
          Problem: it is not there.
        """
        with self._changed:
            if 0 <= number < len(job.results) and job.id in self._jobs:
                return job.results[number].hold()
        raise Problem(
            404,
            f"picture {number} of {job.count} (counted from 0) is not painted: the job is "
            f"{job.state}; ask for it once it is done.",
        )

    def cancel(self, job: Job) -> None:
        """Ends a job, one that is being painted before its next piece; forgets one that is over."""
        with self._changed:
            job.unwanted = True
            if job in self._waiting:
                self._waiting.remove(job)
                self._finish(job, CANCELLED)
            elif job.state in FINISHED:
                self._forget(job)

    def when_done(self, job: Job, callback: Callable[[], None]) -> None:
        """Has `callback` called, in any thread, when the job is finished; at once if it is."""
        with self._changed:
            if job.state not in FINISHED:
                job.callbacks.append(callback)
                return
        callback()

    def sweep(self) -> None:
        """Drops what has been kept for its time."""
        with self._changed:
            self._sweep()

    @property
    def at_work(self) -> bool:
        """Whether the thread that paints is there; of a closed queue, whether it still paints."""
        return self._thread.is_alive()

    def close(self) -> None:
        """Cancels everything, and waits for the thread, `CLOSING` seconds at most."""
        with self._changed:
            self._closing = True
            for job in list(self._jobs.values()):
                self.cancel(job)
            self._changed.notify_all()
        self._thread.join(CLOSING)

    # All below is called with the lock held, but for the thread's own.

    def _require_room(self) -> None:
        if self._closing:
            raise Problem(503, "the server is closing: start it again.")
        if len(self._waiting) >= self._limits.queue:
            raise Problem(
                429,
                f"{len(self._waiting)} requests wait already, which is as many as may: try again "
                "later.",
                min(self._seconds * len(self._waiting), 120),
            )

    def _sweep(self) -> float | None:
        """Drops what is old or too much; seconds until something next gets old."""
        finished = [job for job in self._jobs.values() if job.state in FINISHED]
        now, left = self._clock(), []
        for job in finished:
            remaining = job.ended + self._limits.kept_seconds - now
            if remaining <= 0 or len(self._jobs) > self._limits.jobs:
                self._forget(job)
            else:
                left.append(remaining)
        return min(left, default=None)

    def _forget(self, job: Job) -> None:
        self._jobs.pop(job.id, None)
        self._release(job)

    def _release(self, job: Job) -> None:
        for result in job.results:
            result.release()
        job.results = []

    def _finish(self, job: Job, state: str, problem: Problem | None = None) -> None:
        job.state, job.problem, job.ended, job.wish = state, problem, self._clock(), None
        job.progress = 1.0 if state == DONE else job.progress
        if state != DONE:
            self._release(job)
        job.release()
        callbacks, job.callbacks = job.callbacks, []
        for callback in callbacks:
            callback()

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._closing:
                    self._changed.wait(self._sweep())
                if self._closing:
                    return
                job = self._waiting.popleft()
                job.state = PAINTING
            began = self._clock()
            state, problem = DONE, None
            try:
                self._run(job)
            except Cancelled:
                state = CANCELLED
            except Exception as error:
                state, problem = FAILED, problem_of(error)
                if problem.status == 500:
                    log.exception("a job failed")
            with self._changed:
                self._seconds = _OLD * self._seconds + (1 - _OLD) * (self._clock() - began)
                self._finish(job, state, problem)
            del job

    def _run(self, job: Job) -> None:
        def tell(progress: float) -> None:
            if job.unwanted or self._closing:
                raise Cancelled
            job.progress = max(job.progress, progress)

        tell(0.0)
        for painted in self._paint(job.wish, tell):
            with self._changed:
                self._keep(job, painted)
            tell(len(job.results) / job.count)

    def _keep(self, job: Job, painted: Painted) -> None:
        size = len(painted.data)
        finished = deque(each for each in self._jobs.values() if each.state in FINISHED)
        while not self.results.take(size):
            if not finished:
                raise Problem(
                    503,
                    f"painted pictures take more than the {self.results.total} bytes that the "
                    "server keeps: ask for fewer at once, as jpg, or later.",
                    30,
                )
            self._forget(finished.popleft())
        job.results.append(Result(painted, self.results))
