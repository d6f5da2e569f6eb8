"""Every job ends once, in order, whatever fails; little is in memory."""

import threading

import pytest

from din_jax.data.outputs import OutputError
from din_jax.data.pipeline import PIXELS, run_batches
from din_jax.errors import UserError


class Work:
    """Reads a job as its number, and computes the number times ten; notes what happens."""

    def __init__(self, bad_to=None):
        self.bad_to = bad_to or {}  # job -> "read", "compute", "write" or "full"
        self.batches, self.written, self.alive, self.most = [], {}, 0, 0
        self.lock = threading.Lock()

    def fail(self, job, stage):
        if self.bad_to.get(job) == stage:
            raise UserError(f"{job} cannot {stage}.")

    def read(self, job):
        self.fail(job, "read")
        with self.lock:
            self.alive += 1
            self.most = max(self.most, self.alive)
        return job

    def compute(self, jobs, pictures):
        assert jobs == pictures
        for job in jobs:
            self.fail(job, "compute")
        self.batches.append(list(jobs))
        return [10 * x for x in pictures]

    def write(self, job, result):
        self.fail(job, "write")
        if self.bad_to.get(job) == "full":
            error = OutputError(f"{job} finds the disk full.")
            error.full = True
            raise error
        with self.lock:
            self.alive -= 1
            self.written[job] = result

    def run(self, jobs, **options):
        return run_batches(jobs, self.read, self.compute, self.write, **options)


def test_batches_are_full_in_order_and_few_in_memory():
    work, ended = Work(), []
    outcome = work.run(range(50), batch=4, advance=ended.append)
    assert [job for job, _ in outcome.done] == list(range(50)) == sorted(work.written)
    assert work.written == {i: 10 * i for i in range(50)}
    assert work.batches == [list(range(i, min(i + 4, 50))) for i in range(0, 50, 4)]
    assert work.most <= 12 and sum(ended) == 50
    assert outcome.failed == outcome.left == []


def test_large_pictures_are_fewer_at_once():
    work = Work()
    work.run(range(5), batch=4, weigh=lambda job: PIXELS // 2 if job < 4 else 2 * PIXELS)
    assert work.batches == [[0, 1], [2, 3], [4]]


def test_failures_of_every_stage_cost_the_others_nothing():
    work = Work({1: "read", 6: "compute", 9: "write"})
    outcome = work.run(range(12), batch=4)
    assert sorted(work.written) == [0, 2, 3, 4, 5, 7, 8, 10, 11]
    assert [job for job, _ in outcome.done] == sorted(work.written)
    assert sorted(outcome.failed) == [(1, "1 cannot read."), (6, "6 cannot compute."),
                                      (9, "9 cannot write.")]  # fmt: skip
    assert outcome.left == []


def test_a_full_disk_ends_all_and_what_is_left_is_told():
    work = Work({5: "full"})
    outcome = work.run(range(40), batch=4)
    ends = [job for job, _ in outcome.done] + [job for job, _ in outcome.failed] + outcome.left
    assert sorted(ends) == list(range(40)) and outcome.left == list(range(12, 40))
    assert outcome.failed == [(5, "5 finds the disk full.")]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_what_is_no_users_error_ends_all_but_unfinished_writes(error):
    work = Work()

    def compute(jobs, pictures):
        if jobs[0] == 8:
            raise error
        return work.compute(jobs, pictures)

    with pytest.raises(error):
        run_batches(range(100), work.read, compute, work.write, batch=4)
    assert sorted(work.written) == list(range(8))


def test_nothing_to_do_is_done():
    assert Work().run([], batch=4).done == []
