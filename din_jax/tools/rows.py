"""Rows of a long measurement: kept as soon as they are measured, within a budget of time.

A measurement is a list of tasks in the order of their importance, each done by a worker, a process
of its own: `python -m MODULE ARGUMENTS --worker`, which reads the names of its tasks from standard
input (`serve`) and writes a line of JSON for each that is done. So a task that hangs, takes all
memory or brings its process down costs itself alone: it becomes a row that says so, and another
worker goes on. A measurement that is cut off keeps its rows, and the same command goes on with
those that are missing.
"""

import contextlib
import itertools
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

from din_jax.errors import UserError
from din_jax.files import write_atomically

START = 180.0  # seconds that a worker may take to import its libraries and find its device
Row = dict[str, Any]  # {"error": why} for a task that failed


class Task(NamedTuple):
    """`name` tells it from all others; neighbors of one `stage` share a worker."""

    name: str
    stage: str


class Rows:
    """The rows of a file, by name.

    Raises:
      UserError: the file holds something else.
    """

    def __init__(self, path: Path):
        self.path = path
        self.facts: dict[str, Any] = {}
        self.rows: dict[str, Row] = {}
        if path.exists():
            try:
                found = json.loads(path.read_text(encoding="utf-8"))
                self.facts, self.rows = dict(found["facts"]), dict(found["rows"])
            except (ValueError, KeyError, TypeError) as error:
                raise UserError(
                    f"{path} is no file of this measurement ({error}): give another --out."
                ) from error

    def of(self, facts: Mapping[str, Any]) -> None:
        """Says what the rows are measured with.

        Raises:
          UserError: those that are here were measured with something else.
        """
        # As JSON gives them back, so that both sides are alike.
        facts = json.loads(json.dumps(facts))
        for name in sorted({*facts, *self.facts} if self.rows else ()):
            if facts.get(name) != self.facts.get(name):
                raise UserError(
                    f"the rows in {self.path} were measured with {name} {self.facts.get(name)}, "
                    f"not {facts.get(name)}: give another --out."
                )
        self.facts = facts

    def add(self, name: str, row: Row) -> None:
        """Keeps a row, in the file too."""
        self.rows[name] = row
        write_atomically(self.path, json.dumps({"facts": self.facts, "rows": self.rows}, indent=1))

    def missing(self, tasks: Iterable[Task], retry: bool = False) -> list[Task]:
        """Tasks that have no row; with `retry` also those that failed."""
        return [
            task
            for task in tasks
            if task.name not in self.rows or (retry and "error" in self.rows[task.name])
        ]


class Worker:
    """A process that does tasks; `line` gives what it writes, None when it has ended.

    Args:
      command: its command line.
      tasks: names that it is given.
      log: what it writes to standard error is added to this file.
    """

    def __init__(self, command: Sequence[str], tasks: Sequence[str], log: Path):
        self.log = log
        with open(log, "ab") as errors:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                process_group=0,  # compilers that it starts end with it
            )
        self._lines: queue.Queue[dict[str, Any] | None] = queue.Queue()
        with contextlib.suppress(BrokenPipeError):
            # Left open: its end tells the worker that this process is gone, however it went.
            self._process.stdin.write("\n".join([*tasks, "", ""]))
            self._process.stdin.flush()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self._process.stdout:
            with contextlib.suppress(ValueError):  # what some library prints is not for us
                found = json.loads(line)
                if isinstance(found, dict):
                    self._lines.put(found)
        self._lines.put(None)

    def line(self, seconds: float) -> dict[str, Any] | None:
        """The next line.

        Raises:
          TimeoutError: there was none in so many seconds.
        """
        try:
            return self._lines.get(timeout=max(seconds, 0.0))
        except queue.Empty:
            raise TimeoutError from None

    def last_words(self) -> tuple[int | None, str]:
        """Its status, and the last line of what it wrote to standard error."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(5)
        text = self.log.read_text(encoding="utf-8", errors="replace").strip()
        return self._process.poll(), text.splitlines()[-1][-300:] if text else ""

    def stop(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                pipe.close()


def conduct(
    tasks: Sequence[Task],
    rows: Rows,
    start: Callable[[Sequence[str]], Worker],
    done: Callable[[str], None],
    *,
    minutes: float,
    limit: float,
    retry: bool = False,
) -> list[Task]:
    """Does all tasks that have no row yet; those that the time did not suffice for.

    Args:
      tasks: in the order of their importance.
      rows: gets a row per task.
      start: a worker for tasks by name.
      done: told the name of each task that got its row.
      minutes: of everything; what is under way then is stopped and gets no row.
      limit: seconds of a task; one that takes longer gets a row that says so.
      retry: do those again that failed.

    Raises:
      UserError: what a worker refused.
      RuntimeError: one did not come up otherwise.
    """
    end = time.monotonic() + 60 * minutes
    waiting = rows.missing(tasks, retry)
    while waiting and time.monotonic() < end:
        first = waiting[0].stage
        stage = list(itertools.takewhile(lambda task, first=first: task.stage == first, waiting))
        worker = start([task.name for task in stage])
        try:
            for task in _until_a_failure(worker, stage, rows, end, limit):
                waiting.remove(task)
                done(task.name)
        except TimeoutError:
            return waiting
        finally:
            worker.stop()
    return waiting


def _until_a_failure(
    worker: Worker, tasks: Sequence[Task], rows: Rows, end: float, limit: float
) -> Iterator[Task]:
    """Tasks as they get their rows; the one that needs another worker is the last."""
    left = end - time.monotonic()
    try:
        facts = worker.line(min(START, left))
    except TimeoutError:
        if left <= START:
            raise
        facts = None
    if facts is None:
        status, words = worker.last_words()
        if status == 2:  # one sentence for the user, as in `errors.exit_status`
            raise UserError(words.removeprefix("error: "))
        raise RuntimeError(f"a worker did not come up; status {status}: {words} ({worker.log})")
    rows.of(facts)
    for task in tasks:
        left = end - time.monotonic()
        try:
            row = worker.line(min(limit, left))
        except TimeoutError:
            if left <= limit:
                raise
            rows.add(task.name, {"error": f"took more than {limit:.0f} s"})
            yield task
            return
        if row is None:
            status, words = worker.last_words()
            rows.add(task.name, {"error": f"the process ended, status {status}: {words}"})
            yield task
            return
        rows.add(task.name, row)
        yield task


def serve(facts: Mapping[str, Any], do: Callable[[str], Row]) -> None:
    """The worker's side: a line of facts, then one for each task that standard input names.

    A task that raises becomes a row with its error. Whatever else prints goes to standard error.
    """
    out = _own_output()
    names = list(iter(lambda: sys.stdin.readline().rstrip("\n"), ""))
    threading.Thread(target=_end_with_input, daemon=True).start()
    _write(out, facts)
    for name in names:
        try:
            row = do(name)
        except Exception as error:  # whatever it is, the other tasks have no part in it
            row = {"error": reason(error)}
        _write(out, row)


def _end_with_input() -> None:
    """Ends this process with the one that gave it its tasks."""
    sys.stdin.read()
    os._exit(1)


def _own_output() -> IO[str]:
    """Standard output for the lines alone: what libraries print goes where errors go."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return out


def _write(out: IO[str], row: Mapping[str, Any]) -> None:
    print(json.dumps(row), file=out, flush=True)


def reason(error: Exception) -> str:
    """Why a task failed, in a line."""
    text = f"{type(error).__name__}: {error}"
    if "RESOURCE_EXHAUSTED" in text or "out of memory" in text.lower():
        return "out of memory"
    return " ".join(text.split())[:300]
