"""The application: the API's routes, thin over the queue, and the page's files."""

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import anyio
from fastapi import APIRouter, FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import FileResponse, JSONResponse, Response

import din_jax
from din_jax.data.saving import FORMATS, encode_picture
from din_jax.errors import UserError
from din_jax.inference.bank import nearest_names
from din_jax.inference.stylizer import Stylizer
from din_jax.serve.answers import PictureAnswer, finished, problem_answer, state_of, type_of
from din_jax.serve.guard import Guard
from din_jax.serve.jobs import DONE, FAILED, Job, Queue
from din_jax.serve.limits import Budget, Lease, Limits
from din_jax.serve.problems import Problem, problem_of
from din_jax.serve.schema import Bounds, Error, Info, JobState, Style, StyleList, form_schema
from din_jax.serve.wishes import read_form, wish_of
from din_jax.weights.errors import one_line

ROOT = "/api/v1"
READERS = 2  # threads that look at headers of pictures, and that make files of the page
FIRST = "index.html"
Page = Mapping[str, bytes | Path | Callable[[], bytes]]

ABOUT = """Paints pictures in styles, one at a time, in the order in which they are asked for.

A request with a mistake in it is answered with a status of 400 or more and {"error": "a sentence"}.
"""
PROBLEMS = {
    400: "The request is damaged, or asks the server by a name that is not its own.",
    403: "It was sent by a page of another server.",
    404: "There is no such job, picture or style.",
    408: "Its body took too long to arrive.",
    413: "It has more bytes, pictures or pixels than allowed.",
    415: "It is no form, or a file in it is no picture.",
    422: "A field is not as it should be.",
    429: "Too many requests wait; Retry-After says when to try again.",
    503: "Memory for requests or painted pictures is lent out; try again later.",
}


def _problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {each: {"model": Error, "description": PROBLEMS[each]} for each in statuses}


def make_app(
    stylizer: Stylizer,
    queue: Queue,
    limits: Limits,
    *,
    page: Page | None = None,
    hosts: Collection[str] | None = None,
) -> Guard:
    """The ASGI application.

    Args:
      stylizer: what `queue` paints with; here its styles are named and settings checked.
      queue: of wishes.
      limits: what clients are held to.
      page: files of the page by their paths: their bytes, where they are, or what makes them.
      hosts: names that the server answers to; None: any.
    """
    app = FastAPI(
        title="din-jax serve", version=din_jax.__version__, description=ABOUT,
        openapi_url=f"{ROOT}/openapi.json", docs_url=None, redoc_url=None,
    )  # fmt: skip
    app.include_router(_about(stylizer, queue, limits), prefix=ROOT)
    app.include_router(_painting(stylizer, queue, limits), prefix=ROOT)
    app.include_router(_pages(page or {}))
    _answer_problems(app)
    return Guard(app, limits, hosts)


def _about(stylizer: Stylizer, queue: Queue, limits: Limits) -> APIRouter:
    router = APIRouter(tags=["what is there"])
    loaded, bank = stylizer.loaded, stylizer.bank
    bounds = Bounds(**{name: getattr(limits, name) for name in Bounds.model_fields})

    @router.get("/info", summary="The model, and what a request may have")
    async def info() -> Info:
        return Info(
            version=din_jax.__version__, model=loaded.source.stem, fingerprint=loaded.fingerprint,
            levels=list(stylizer.levels), styles=len(stylizer.styles),
            pictures_as_styles=not stylizer.engine.styles, waiting=queue.waiting, limits=bounds,
            formats=[suffix[1:] for suffix in FORMATS],
        )  # fmt: skip

    @router.get("/styles", summary="Styles by name", responses=_problems(422))
    def styles(
        search: Annotated[str, Query(max_length=100, description="words of a name")] = "",
        most: Annotated[int, Query(ge=1, le=1000)] = 100,
        start: Annotated[int, Query(ge=0, description="how many to leave out")] = 0,
    ) -> StyleList:
        known = stylizer.styles
        names = nearest_names(search, known, start + most) if search else known
        found = [
            Style(name=name, thumbnail=_thumbnail(name) if name in bank else None)
            for name in names[start : start + most]
        ]
        return StyleList(styles=found, total=len(known))

    @router.get(
        "/styles/{name}/thumbnail", summary="A style's picture, 64 px", response_class=Response,
        responses={200: {"content": {"image/png": {}}}} | _problems(404, 422),
    )  # fmt: skip
    def thumbnail(name: str) -> Response:
        try:
            picture = bank.thumbnail(name)
        except UserError as error:
            raise Problem(404, str(error)) from error
        headers = {"Cache-Control": "max-age=3600"}
        return Response(encode_picture(picture, ".png"), headers=headers, media_type="image/png")

    return router


def _thumbnail(name: str) -> str:
    return f"{ROOT}/styles/{quote(name, safe='')}/thumbnail"


def _painting(stylizer: Stylizer, queue: Queue, limits: Limits) -> APIRouter:
    router = APIRouter(tags=["painting"])
    uploads, readers = Budget(limits.uploads_bytes), anyio.CapacityLimiter(READERS)
    pictures = {media: {} for media in sorted({type_of(suffix) for suffix in FORMATS})}

    async def submitted(request: Request) -> Job:
        """The job of a request, whose files are held within the budget until it is over."""
        queue.require_room()
        lease = Lease(uploads)
        try:
            form = await read_form(request, limits, lease)
            wish = await anyio.to_thread.run_sync(wish_of, form, stylizer, limits, limiter=readers)
            return queue.submit(wish, lease.release)
        except BaseException:
            lease.release()
            raise

    @router.post(
        "/stylize", summary="Paint pictures in a style, or in several", status_code=202,
        response_model=JobState, openapi_extra={"requestBody": form_schema(limits)},
        responses={
            200: {
                "description": "With wait=true: the picture; of several contents the finished job.",
                "content": pictures | {"application/json": {}},
            },
            202: {"description": "The job is in the queue; Location says where to ask for it."},
        } | _problems(400, 403, 408, 413, 415, 422, 429, 503),
    )  # fmt: skip
    async def stylize(
        request: Request,
        wait: Annotated[bool, Query(description="answer when it is painted")] = False,
    ):
        job = await submitted(request)
        if wait and await finished(request, queue, job, limits.wait_seconds):
            if job.state == FAILED:
                raise job.problem
            if job.state != DONE:
                raise Problem(503, "the job was cancelled, or the server is closing.")
            if job.count == 1:
                result = queue.picture(job, 0)
                queue.cancel(job)
                return PictureAnswer(result, "painted")
            return JSONResponse(state_of(job, queue, ROOT).model_dump())
        headers = {"Location": f"{ROOT}/jobs/{job.id}"}
        return JSONResponse(state_of(job, queue, ROOT).model_dump(), 202, headers)

    @router.get("/jobs/{job}", summary="How far a job is", responses=_problems(404, 422))
    async def state(job: str) -> JobState:
        return state_of(queue.get(job), queue, ROOT)

    @router.get(
        "/jobs/{job}/pictures/{number}", summary="A painted picture", response_class=Response,
        responses={200: {"content": pictures}} | _problems(404, 422),
    )  # fmt: skip
    async def picture(job: str, number: int) -> Response:
        return PictureAnswer(queue.picture(queue.get(job), number), f"painted-{number}")

    @router.delete(
        "/jobs/{job}", summary="Cancel a job, or forget one that is over", status_code=204,
        responses=_problems(403, 404, 422),
    )  # fmt: skip
    async def cancel(job: str) -> None:
        queue.cancel(queue.get(job))

    return router


def _pages(page: Page) -> APIRouter:
    """The files of the page, and no others."""
    router, makers = APIRouter(include_in_schema=False), anyio.CapacityLimiter(READERS)

    @router.get("/{path:path}")
    async def file(path: str) -> Response:
        path = path or FIRST
        found = page.get(path)
        if found is None:
            raise Problem(404, f"there is nothing at {one_line(path, 80)!r}; the page is at /.")
        headers = {"Cache-Control": "no-cache"}
        if isinstance(found, Path):
            return FileResponse(found, headers=headers, media_type=type_of(path))
        if not isinstance(found, bytes):
            found = await anyio.to_thread.run_sync(found, limiter=makers)
        return Response(found, headers=headers, media_type=type_of(path))

    return router


def _answer_problems(app: FastAPI) -> None:
    """Makes every error {"error": sentence}."""

    def handle(kind: type[Exception], problem: Callable[[Any], Problem]) -> None:
        async def handler(request: Request, error: Exception) -> Response:
            return problem_answer(problem(error))

        app.add_exception_handler(kind, handler)

    handle(Problem, problem_of)
    handle(UserError, problem_of)
    handle(ClientDisconnect, lambda _: Problem(400, "the client has gone."))
    handle(RequestValidationError, _invalid)
    handle(HTTPException, _http)
    handle(Exception, problem_of)


def _invalid(error: RequestValidationError) -> Problem:
    first = error.errors()[0]
    return Problem(422, f"{first['loc'][-1]}: {one_line(first['msg'])}.")


def _http(error: HTTPException) -> Problem:
    if error.status_code == 405:
        return Problem(405, f"this address takes another method; {ROOT}/openapi.json says which.")
    return Problem(error.status_code, f"{one_line(error.detail)}.")
