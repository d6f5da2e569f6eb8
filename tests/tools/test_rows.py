"""Rows are kept as they come; what hangs, dies or runs out of time costs itself alone."""

import json
import sys
import time

import pytest

from din_jax.errors import UserError
from din_jax.tools.rows import Rows, Task, Worker, conduct

# Does what the name of a task says; its process is the row, so that starts can be told apart.
WORKER = """
import os, sys, time
from din_jax.tools.rows import serve

def do(name):
    kind = name.partition(" ")[0]
    if kind == "hang":
        time.sleep(60)
    if kind == "die":
        print("killed by the card", file=sys.stderr)
        os._exit(9)
    if kind == "raise":
        raise RuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 9 bytes")
    print("noise of a library")
    return {"pid": os.getpid()}

serve({"device": "test", "sizes": [1, 2]}, do)
"""


class Run:
    """A measurement of tasks by their names, `stage/kind number`."""

    def __init__(self, folder):
        self.path, self.log = folder / "rows.json", folder / "log"
        self.done, self.starts = [], 0

    def worker(self, names):
        self.starts += 1
        return Worker([sys.executable, "-c", WORKER], names, self.log)

    def __call__(self, names, minutes=1.0, limit=20.0, retry=False):
        tasks = [Task(name.partition("/")[2], name.partition("/")[0]) for name in names]
        self.rows = Rows(self.path)
        left = conduct(
            tasks, self.rows, self.worker, self.done.append, minutes=minutes, limit=limit,
            retry=retry,
        )  # fmt: skip
        return [task.name for task in left]

    @property
    def written(self):
        return json.loads(self.path.read_text())["rows"]


@pytest.fixture
def run(tmp_path):
    return Run(tmp_path)


def test_neighbors_of_a_stage_share_a_process_and_rows_are_in_the_file(run):
    assert run(["a/x 1", "a/x 2", "b/x 3"]) == []
    pids = [run.written[name]["pid"] for name in ("x 1", "x 2", "x 3")]
    assert pids[0] == pids[1] != pids[2] and run.starts == 2
    assert json.loads(run.path.read_text())["facts"] == {"device": "test", "sizes": [1, 2]}


def test_a_failure_is_a_row_that_says_so_and_the_others_go_on(run):
    names = ["a/raise 1", "a/x 2", "a/die 3", "a/x 4", "a/hang 5", "a/x 6"]
    assert run(names, limit=2.0) == []
    assert run.done == [name.partition("/")[2] for name in names]
    errors = {name: row["error"] for name, row in run.written.items() if "error" in row}
    assert errors == {
        "raise 1": "out of memory",
        "die 3": "the process ended, status 9: killed by the card",
        "hang 5": "took more than 2 s",
    }
    assert run.starts == 3


def test_what_has_a_row_is_not_done_again_but_failures_if_asked(run):
    run(["a/x 1", "a/raise 2"])
    before = run.written
    assert run(["a/x 1", "a/raise 2", "a/x 3"]) == []
    assert run.done == ["x 1", "raise 2", "x 3"] and run.written["x 1"] == before["x 1"]
    run(["a/x 1", "a/raise 2", "a/x 3"], retry=True)
    assert run.done[3:] == ["raise 2"]


def test_what_the_time_does_not_suffice_for_is_left_without_a_row(run, monkeypatch):
    # Nearly the whole minute passes with the first row, however long its process took to start.
    clock = time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: clock() + 59.9 * len(run.done))
    assert run(["a/x 1", "a/hang 2", "a/x 3"]) == ["hang 2", "x 3"]
    monkeypatch.undo()
    assert list(run.written) == ["x 1"]
    assert run(["a/x 1", "a/x 3"], minutes=1e-9) == ["x 3"] and run.starts == 1


def test_rows_of_another_device_are_not_mixed_in(run):
    run(["a/x 1"])
    written = json.loads(run.path.read_text())
    run.path.write_text(json.dumps(written | {"facts": {"device": "other", "sizes": [1, 2]}}))
    with pytest.raises(UserError, match="measured with device other, not test: give another --out"):
        run(["a/x 1", "a/x 2"])


@pytest.mark.parametrize("text", ["{", "[]", '{"rows": {}}'])
def test_a_file_of_something_else_is_refused_and_left(run, text):
    run.path.write_text(text)
    with pytest.raises(UserError, match=r"rows\.json is no file of this measurement"):
        run(["a/x 1"])
    assert run.path.read_text() == text


def test_a_worker_that_does_not_come_up_is_a_defect(run, tmp_path):
    def start(names):
        return Worker([sys.executable, "-c", "1 / 0"], names, tmp_path / "log")

    with pytest.raises(RuntimeError, match="did not come up; status 1: ZeroDivisionError"):
        conduct([Task("x", "a")], Rows(run.path), start, print, minutes=1, limit=9)


def test_what_a_worker_refuses_is_one_sentence(run, tmp_path):
    refusal = "import sys; print('error: no such card.', file=sys.stderr); sys.exit(2)"

    def start(names):
        return Worker([sys.executable, "-c", refusal], names, tmp_path / "log")

    with pytest.raises(UserError, match=r"^no such card\.$"):
        conduct([Task("x", "a")], Rows(run.path), start, print, minutes=1, limit=9)


def test_a_worker_ends_with_the_process_that_started_it(run, tmp_path):
    worker = Worker([sys.executable, "-c", WORKER], ["hang 1"], tmp_path / "log")
    try:
        worker.line(20)
        worker._process.stdin.close()  # as the end of this process would
        assert worker._process.wait(5) == 1
    finally:
        worker.stop()
