"""The queue: its places, its end, and what is kept of it."""

import threading
import time

import httpx
import pytest

from din_jax.serve.jobs import Queue
from din_jax.serve.limits import Limits
from din_jax.serve.problems import Problem
from din_jax.serve.results import Painted

from .serving import SECONDS, drawn, png, refused


class Wish:
    def __init__(self, count=1, size=10):
        self.count, self.size = count, size


def instant(wish, tell):
    for _ in range(wish.count):
        yield Painted(bytes(wish.size), ".png", 4, 4)


def ended(queue, job):
    over = threading.Event()
    queue.when_done(job, over.set)
    assert over.wait(SECONDS)
    return job


@pytest.fixture
def queue_of():
    queues = []

    def make(paint=instant, clock=time.monotonic, **limits):
        queues.append(Queue(paint, Limits(**limits), clock))
        return queues[-1]

    yield make
    for queue in queues:
        queue.close()


def test_jobs_are_painted_in_their_order(queue_of, gate):
    order = []

    def paint(wish, tell):
        while not gate.open.wait(0.01):
            tell(0)
        order.append(wish)
        yield from instant(wish, tell)

    queue = queue_of(paint)
    wishes = [Wish() for _ in range(5)]
    jobs = [queue.submit(wish) for wish in wishes]
    while jobs[0].state == "queued":
        time.sleep(0.01)
    assert [queue.place(job) for job in jobs] == [None, 1, 2, 3, 4]
    gate.open.set()
    for job in jobs:
        assert ended(queue, job).state == "done"
    assert order == wishes


def test_a_full_queue_is_429_at_once(start, gate, picture):
    served = start(paint=gate.paint, queue=2)
    sent = {"content": picture, "style": "waves"}
    jobs = [served.post(**sent).json()]
    assert gate.begun.acquire(timeout=SECONDS)
    jobs += [served.post(**sent).json() for _ in range(2)]
    assert [job["place"] for job in jobs[1:]] == [1, 2]
    answer = served.post(**sent)
    refused(answer, 429, "2 requests wait")
    assert int(answer.headers["retry-after"]) >= 1
    gate.open.set()
    for job in jobs:
        assert served.finish(job["id"])["state"] == "done"
    assert served.post(**sent).status_code == 202


def test_a_queued_job_is_cancelled_and_gives_its_place_back(start, gate, picture):
    served = start(paint=gate.paint, queue=1)
    sent = {"content": picture, "style": "waves"}
    served.post(**sent)
    assert gate.begun.acquire(timeout=SECONDS)
    job = served.post(**sent).json()["id"]
    assert served.client.delete(f"/api/v1/jobs/{job}").status_code == 204
    assert served.client.get(f"/api/v1/jobs/{job}").json()["state"] == "cancelled"
    assert served.post(**sent).status_code == 202
    assert served.client.delete(f"/api/v1/jobs/{job}").status_code == 204  # forgotten
    refused(served.client.get(f"/api/v1/jobs/{job}"), 404, "send the picture again")
    gate.open.set()


def test_what_is_being_painted_is_cancelled_between_its_pieces(start, gate, picture):
    served = start(paint=gate.paint)
    job = served.post(content=[picture] * 3, style="waves").json()["id"]
    assert gate.begun.acquire(timeout=SECONDS)
    refused(served.client.get(f"/api/v1/jobs/{job}/pictures/0"), 404, "painting")
    assert served.client.delete(f"/api/v1/jobs/{job}").status_code == 204
    assert served.finish(job)["state"] == "cancelled"
    assert served.queue.results.lent == 0


def test_a_client_that_goes_away_is_not_painted_for(start, gate, picture):
    served = start(paint=gate.paint)
    files = [("content", ("x.png", picture)), ("style", (None, "waves"))]
    with (
        httpx.Client(base_url=served.client.base_url, timeout=0.5, trust_env=False) as impatient,
        pytest.raises(httpx.ReadTimeout),
    ):
        impatient.post("/api/v1/stylize?wait=true", files=files)
    assert gate.begun.acquire(timeout=SECONDS)
    job = served.post(content=picture, style="waves").json()["id"]
    assert gate.begun.acquire(timeout=SECONDS)  # the first has been left
    gate.open.set()
    assert served.finish(job)["state"] == "done"


def test_who_waits_too_long_is_given_the_job(start, gate, picture):
    served = start(paint=gate.paint, wait_seconds=0.2)
    answer = served.post(wait=True, content=picture, style="waves")
    assert answer.status_code == 202 and answer.json()["state"] == "painting"
    gate.open.set()
    assert served.finish(answer.json()["id"])["state"] == "done"


def test_results_are_dropped_after_their_time(queue_of):
    now = [100.0]
    queue = queue_of(clock=lambda: now[0], kept_seconds=60)
    first = ended(queue, queue.submit(Wish()))
    now[0] += 59
    second = ended(queue, queue.submit(Wish()))
    assert queue.get(first.id) is first and queue.results.lent == 20
    now[0] += 1
    queue.sweep()
    assert queue.results.lent == 10
    with pytest.raises(Problem, match="60 s"):
        queue.get(first.id)
    assert queue.get(second.id) is second


def test_the_oldest_results_make_room_for_new_ones(queue_of):
    queue = queue_of(results_bytes=100)
    jobs = [ended(queue, queue.submit(Wish(size=40))) for _ in range(3)]
    assert queue.results.lent == 80
    with pytest.raises(Problem):
        queue.get(jobs[0].id)
    assert queue.get(jobs[2].id) is jobs[2]
    job = ended(queue, queue.submit(Wish(count=3, size=40)))
    assert job.state == "failed" and job.problem.status == 503
    assert queue.results.lent == 0


def test_what_is_being_sent_counts_until_it_is_sent(queue_of):
    queue = queue_of(results_bytes=100)
    job = ended(queue, queue.submit(Wish(size=80)))
    result = queue.picture(job, 0)
    queue.cancel(job)
    assert queue.results.lent == 80
    assert ended(queue, queue.submit(Wish(size=40))).state == "failed"
    result.release()
    assert ended(queue, queue.submit(Wish(size=40))).state == "done"


def test_no_more_jobs_are_remembered_than_allowed(queue_of):
    queue = queue_of(jobs=3)
    jobs = [ended(queue, queue.submit(Wish())) for _ in range(6)]
    queue.sweep()
    assert queue.results.lent == 30
    assert queue.get(jobs[-1].id) is jobs[-1]


def test_a_wish_is_given_back_once_whatever_becomes_of_it(queue_of, gate):
    given = []

    def paint(wish, tell):
        while not gate.open.wait(0.01):
            tell(0)
        if wish.size == 1:
            raise RuntimeError("a defect")
        yield from instant(wish, tell)

    queue = queue_of(paint)
    jobs = [
        queue.submit(Wish(size=size), lambda size=size: given.append(size)) for size in (1, 2, 3)
    ]
    queue.cancel(jobs[2])
    gate.open.set()
    for job in jobs:
        assert ended(queue, job).wish is None
    assert given == [3, 1, 2]


def test_a_defect_is_told_in_the_log_and_costs_one_job(start, picture, caplog):
    def paint(wish, tell):
        if wish.size:
            raise RuntimeError("the inside of the server")
        yield Painted(b"x", ".png", 1, 1)

    served = start(paint=paint)
    answer = served.post(wait=True, content=picture, style="waves", size="20")
    sentence = refused(answer, 500, "its log")
    assert "inside" not in sentence and "the inside of the server" in caplog.text
    assert served.post(wait=True, content=picture, style="waves").content == b"x"


def test_a_picture_that_is_damaged_further_on_fails_alone(start):
    served = start()
    good = png(drawn(40, 40))
    job = served.post(content=[good, good[:-400]], style="waves").json()["id"]
    state = served.finish(job)
    assert state["state"] == "failed" and "complete picture" in state["error"]
    assert state["pictures"] == [] and served.queue.results.lent == 0


def test_a_closing_queue_ends_what_waits_and_takes_no_more(queue_of, gate):
    def paint(wish, tell):
        while not gate.open.wait(0.01):
            tell(0)
        yield from instant(wish, tell)

    queue = queue_of(paint)
    jobs = [queue.submit(Wish()) for _ in range(3)]
    queue.close()
    assert [job.state for job in jobs] == ["cancelled"] * 3
    with pytest.raises(Problem, match="closing"):
        queue.submit(Wish())
