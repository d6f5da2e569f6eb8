"""Answers: painted pictures in pieces, jobs and problems as JSON, and waiting for a job."""

import asyncio
import contextlib
import mimetypes

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from din_jax.serve.jobs import FINISHED, Job, Queue
from din_jax.serve.problems import Problem
from din_jax.serve.results import Result
from din_jax.serve.schema import JobState, Picture

PIECE = 1 << 16  # bytes
# What some systems' registries lack, or have otherwise.
_TYPES = {
    ".js": "text/javascript", ".mjs": "text/javascript", ".wasm": "application/wasm",
    ".webp": "image/webp",
}  # fmt: skip


class PictureAnswer(Response):
    """A painted picture, a piece at a time, so that no copy of it waits for a slow reader.

    Args:
      result: held for this answer, which releases it.
      name: under which a browser saves it.
    """

    def __init__(self, result: Result, name: str):
        self._result = result
        painted = result.painted
        size = {"Content-Length": str(len(painted.data))}
        disposition = {"Content-Disposition": f'inline; filename="{name}{painted.suffix}"'}
        super().__init__(headers=size | disposition, media_type=type_of(painted.suffix))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
            await send(start)
            view = memoryview(self._result.painted.data)
            for at in range(0, len(view), PIECE):
                part = bytes(view[at : at + PIECE])
                await send({"type": "http.response.body", "body": part, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            self._result.release()


def type_of(name: str) -> str:
    """The media type of a file by its name or suffix."""
    suffix = name[name.rfind(".") :].lower() if "." in name else ""
    guessed = mimetypes.guess_type(f"x{suffix}")[0]
    return _TYPES.get(suffix) or guessed or "application/octet-stream"


def problem_answer(problem: Problem) -> Response:
    return Response(problem.body(), problem.status, problem.headers, media_type="application/json")


def state_of(job: Job, queue: Queue, root: str) -> JobState:
    """A job as the API tells of it; `root` is the API's address."""
    pictures = [
        Picture(
            url=f"{root}/jobs/{job.id}/pictures/{i}", width=result.painted.width,
            height=result.painted.height, bytes=len(result.painted.data),
        )
        for i, result in enumerate(list(job.results))
    ]  # fmt: skip
    return JobState(
        id=job.id, state=job.state, place=queue.place(job), progress=job.progress,
        count=job.count, pictures=pictures,
        error=None if job.problem is None else job.problem.sentence,
    )  # fmt: skip


async def finished(request: Request, queue: Queue, job: Job, seconds: float) -> bool:
    """Waits until a job is finished, at most so long; whether it is.

    One whose client goes away meanwhile is cancelled.
    """
    loop, over = asyncio.get_running_loop(), asyncio.Event()

    def tell() -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(over.set)

    queue.when_done(job, tell)
    tasks = [loop.create_task(over.wait()), loop.create_task(_gone(request))]
    try:
        await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if tasks[1].done() and not tasks[0].done():
            queue.cancel(job)
            raise Problem(400, "the client has gone.")
    except asyncio.CancelledError:
        queue.cancel(job)
        raise
    finally:
        for task in tasks:
            task.cancel()
    return job.state in FINISHED


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
