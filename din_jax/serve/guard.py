"""What is refused before a request is read, and while it is: ASGI around the application.

A browser that a stranger's page runs in reaches a loopback server too. Hence the names that the
server answers to (a stranger's name may be made to point here: DNS rebinding), and the origin of
what is sent (a form of another page needs no permission to be sent here).
"""

import asyncio
import contextlib
from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from din_jax.serve.limits import Limits
from din_jax.serve.problems import Problem

LINGER = 2.0  # seconds for which what a refused client still sends is read, so that it hears why
READING = ("GET", "HEAD", "OPTIONS")
POLICY = (  # the page's, and that no other page may hold it in a frame
    "default-src 'self' blob: data:; script-src 'self' 'wasm-unsafe-eval' blob:; "
    "worker-src 'self' blob:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",  # this and the next give the page threads
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Guard:
    """Holds requests to `limits`, and gives answers the headers of HEADERS.

    Args:
      app: what answers.
      limits: of bodies: their bytes, and the seconds that they may take.
      hosts: names, in lower case, that the server answers to; None: any.
    """

    def __init__(self, app: ASGIApp, limits: Limits, hosts: Collection[str] | None = None):
        self.app, self._limits, self._hosts = app, limits, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        exchange = _Exchange(Headers(scope=scope), receive, send, self._limits)
        try:
            self._check(scope["method"], exchange.headers)
            exchange.check()
        except Problem as problem:
            await exchange.refuse(problem)
            return
        await self.app(scope, exchange.receive, exchange.send)

    def _check(self, method: str, headers: Headers) -> None:
        given = headers.get("host", "")
        if self._hosts is not None and _name(given) not in self._hosts:
            raise Problem(
                400,
                f"this server does not answer to the name {given[:80]!r}: ask it as "
                f"{' or '.join(sorted(self._hosts))}, or start it with --allow-host.",
            )
        origin = headers.get("origin")
        if origin is None or method in READING:
            return
        with contextlib.suppress(ValueError):
            if urlsplit(origin).netloc.lower() == given.lower():
                return
        raise Problem(403, "a page of another server may not send anything here; use this one's.")


class _Exchange:
    """A request and its answer.

    Attributes:
      headers: of the request.
    """

    def __init__(self, headers: Headers, receive: Receive, send: Send, limits: Limits):
        self.headers = headers
        self._receive, self._send, self._limits = receive, send, limits
        self._length = int(headers.get("content-length", "0"))  # digits: h11 has seen to that
        self._unread = "transfer-encoding" in headers or self._length > 0
        self._begun = False
        self._left = limits.upload_bytes
        self._until: float | None = None

    def check(self) -> None:
        """Raises Problem if the body is longer than allowed by its own account."""
        if self._length > self._limits.upload_bytes:
            raise self._too_large()

    async def receive(self) -> Message:
        """The next part of the body.

        Raises:
          Problem: it is more than allowed, or comes too slowly.
        """
        if not self._unread:
            return await self._receive()
        self._begun = True
        if self._until is None:
            self._until = asyncio.get_running_loop().time() + self._limits.body_seconds
        try:
            async with asyncio.timeout_at(self._until):
                message = await self._receive()
        except TimeoutError as error:
            raise Problem(
                408,
                f"the request took longer than {self._limits.body_seconds:g} s to arrive: send a "
                "smaller picture, or by a faster line.",
            ) from error
        if message["type"] == "http.request":
            self._unread = message.get("more_body", False)
            self._left -= len(message.get("body", b""))
            if self._left < 0:
                raise self._too_large()
        return message

    async def send(self, message: Message) -> None:
        """Sends on, with the headers, and no sooner ends than the client has heard it."""
        if message["type"] == "http.response.start":
            message = {**message, "headers": list(message.get("headers", []))}
            headers = MutableHeaders(raw=message["headers"])
            for name, value in HEADERS.items():
                headers[name] = value
            headers.setdefault("Cache-Control", "no-store")
            if self._unread:
                headers["Connection"] = "close"
        elif self._unread and not message.get("more_body", False):
            await self._send({**message, "more_body": True})
            await self._drain()
            message = {"type": "http.response.body", "body": b"", "more_body": False}
        await self._send(message)

    async def refuse(self, problem: Problem) -> None:
        body = problem.body()
        headers = {"content-type": "application/json", "content-length": str(len(body))}
        raw = [(k.encode(), v.encode()) for k, v in (headers | problem.headers).items()]
        await self.send({"type": "http.response.start", "status": problem.status, "headers": raw})
        await self.send({"type": "http.response.body", "body": body})

    async def _drain(self) -> None:
        """Reads what is still being sent: a connection closed before that is reset, answer lost."""
        if not self._begun and "expect" in self.headers:
            return  # it waits for leave to send
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LINGER):
                while self._unread:
                    message = await self._receive()
                    more = message.get("more_body", False)
                    self._unread = message["type"] == "http.request" and more

    def _too_large(self) -> Problem:
        return Problem(
            413,
            f"a request may have at most {self._limits.upload_bytes} bytes: send fewer or smaller "
            "pictures.",
        )


def _name(host: str) -> str:
    """The name in a Host header, without a port, in lower case; "" where there is none."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
