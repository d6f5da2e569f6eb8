"""A server of the application in a thread, on a port of its own; and pictures to send."""

import contextlib
import io
import socket
import threading
import time
from typing import NamedTuple

import httpx
import numpy as np
from PIL import Image

from din_jax.serve.app import make_app
from din_jax.serve.jobs import Queue
from din_jax.serve.limits import Limits
from din_jax.serve.painting import Painter
from din_jax.serve.protocol import make_server

SECONDS = 60  # for anything, on a machine that does other things, too


class Served(NamedTuple):
    """What a test talks to."""

    client: httpx.Client
    queue: Queue
    address: tuple[str, int]

    def post(self, files=(), wait=False, **data):
        """POST stylize: `content=png(...)` are files, texts are fields."""
        given = list(files)
        for name, values in data.items():
            for value in values if isinstance(values, list) else [values]:
                is_file = isinstance(value, bytes)
                given.append((name, (f"{name}.png", value) if is_file else (None, str(value))))
        return self.client.post("/api/v1/stylize", params={"wait": wait}, files=given)

    def finish(self, job):
        """The job's state when it is over."""
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            state = self.client.get(f"/api/v1/jobs/{job}").json()
            if state["state"] not in ("queued", "painting"):
                return state
            time.sleep(0.02)
        raise AssertionError(f"job {job} has not come to its end")

    def raw(self, data, wait=SECONDS):
        """What the server answers to these bytes until it closes the connection."""
        with socket.create_connection(self.address, timeout=wait) as connection:
            connection.sendall(data)
            found = b""
            with contextlib.suppress(ConnectionError):
                while part := connection.recv(1 << 16):
                    found += part
            return found


@contextlib.contextmanager
def serving(stylizer, steps, *, paint=None, page=None, hosts=None, clock=None, **limits):
    """Serves on loopback; `paint` in the place of the painter's."""
    limits = Limits(**limits)
    clocks = {} if clock is None else {"clock": clock}
    queue = Queue(paint or Painter(stylizer, steps).paint, limits, **clocks)
    app = make_app(stylizer, queue, limits, page=page, hosts=hosts)
    listening = socket.create_server(("127.0.0.1", 0))
    server = make_server(app, limits)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    address = listening.getsockname()
    try:
        base = f"http://{address[0]}:{address[1]}"
        with httpx.Client(base_url=base, timeout=SECONDS, trust_env=False) as client:
            yield Served(client, queue, address)
    finally:
        queue.close()
        server.should_exit = True
        thread.join(SECONDS)
        listening.close()


def drawn(rows, columns, seed=0):
    """Waves of every color; uint8 [rows, columns, 3]."""
    rng = np.random.default_rng(seed)
    waves = np.cumsum(rng.standard_normal((rows, columns, 3)), 1)
    return np.rint(127.5 + 127.5 * np.sin(0.4 * waves)).astype(np.uint8)


def png(array):
    """An array as the bytes of a file."""
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG")
    return buffer.getvalue()


def opened(data):
    """The bytes of a file as an array."""
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image)


def part(name, data, filename=b""):
    more = b'; filename="%s"' % filename if filename else b""
    return b'--b\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n' % (name, more, data)


def refused(answer, status, *words):
    """An answer with one sentence that has these words."""
    assert answer.status_code == status, answer.text
    sentence = answer.json()["error"]
    assert sentence.endswith(".") and "\n" not in sentence and "Traceback" not in sentence
    for word in words:
        assert word in sentence
    return sentence
