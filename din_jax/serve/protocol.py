"""Connections that neither send nor read are cut: what uvicorn leaves to a proxy in front of it.

Of uvicorn's HTTP protocol, which waits for a request's head, and for a client to read its answer,
for as long as it takes.
"""

import asyncio
import logging

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from din_jax.serve.limits import Limits
from din_jax.serve.problems import Problem

_PHRASES = {408: "Request Timeout", 503: "Service Unavailable"}
CLOSING = 5  # seconds in which answers are finished when the server is told to stop
_TAKING = 2.0  # seconds in which a refused client takes its answer


class WatchedProtocol(H11Protocol):
    """One connection, held to `limits`, which a subclass sets (`make_server`)."""

    limits = Limits()

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        self._head: asyncio.TimerHandle | None = None
        self._reading: asyncio.TimerHandle | None = None
        if len(self.connections) > self.limits.connections:
            self._refuse(Problem(503, "too many connections are open: try again soon.", 5))
            return
        self._await_head()

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._head = _ended(self._head)
        elif self._head is None:  # kept alive, and something of the next request is there
            self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head, self._reading = _ended(self._head), _ended(self._reading)
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._reading is None:
            self._reading = self.loop.call_later(self.limits.read_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        self._reading = _ended(self._reading)
        super().resume_writing()

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        # Closing waits for a client that does not read.
        self.loop.call_later(_TAKING, self.transport.abort)

    def _await_head(self) -> None:
        self._head = self.loop.call_later(self.limits.head_seconds, self._no_head)

    def _no_head(self) -> None:
        self._refuse(
            Problem(408, f"no request came within {self.limits.head_seconds:g} s: send it at once.")
        )

    def _refuse(self, problem: Problem) -> None:
        body = problem.body()
        head = {
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
            "Connection": "close",
            **problem.headers,
        }
        lines = [f"HTTP/1.1 {problem.status} {_PHRASES[problem.status]}"]
        lines += [f"{name}: {value}" for name, value in head.items()]
        self.transport.write("\r\n".join([*lines, "", ""]).encode() + body)
        self.transport.close()
        self.loop.call_later(_TAKING, self.transport.abort)


def make_server(app, limits: Limits) -> uvicorn.Server:
    """What serves an ASGI application with these limits; `run(sockets=[...])` does."""
    config = uvicorn.Config(
        app, http=type("Protocol", (WatchedProtocol,), {"limits": limits}), loop="asyncio",
        ws="none", lifespan="off", proxy_headers=False, server_header=False, access_log=False,
        log_level="error", timeout_graceful_shutdown=CLOSING,
    )  # fmt: skip
    # It warns of every damaged form, with which clients could fill a log.
    logging.getLogger("python_multipart").setLevel(logging.ERROR)
    return uvicorn.Server(config)


def _ended(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
