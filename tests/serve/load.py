"""Many clients at once against `din-jax serve`, good, slow and hostile; what they were answered.

python -m tests.serve.load --clients 64 --seconds 60 --side 256

Starts the command, has each client ask again and again for a while, counts answers by kind, and
reads the server's memory. Every answer must be a picture of the size that was asked for, a document
of the API, or one sentence.
"""

import argparse
import collections
import contextlib
import http.client
import json
import os
import random
import socket
import subprocess
import sys
import threading
import time
import urllib.parse
from pathlib import Path

from .serving import drawn, opened, png

ROOT = Path(__file__).parents[2]
SLOW = 1.0  # seconds for which a slow client says nothing
BOUNDARY = "b0undary"
TIMEOUT = 120  # seconds that an answer may take
ALLOWED = {200, 202, 204, 400, 404, 408, 413, 415, 422, 429, 503}


def form(*parts):
    """A multipart body of (name, file name or "", bytes)."""
    body = b""
    for name, file, data in parts:
        more = f'; filename="{file}"' if file else ""
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'
        body += head.encode() + data + b"\r\n"
    return body + f"--{BOUNDARY}--\r\n".encode()


class Client(threading.Thread):
    """Asks until it is told to stop; what went wrong is in `wrong`."""

    def __init__(self, number, address, side, stop):
        super().__init__(name=f"client {number}")
        self.random, self.address, self.side, self.stop = random.Random(number), address, side, stop
        self.answers, self.wrong, self.longest = collections.Counter(), [], 0.0
        # A few sizes, so that a server meets what it has compiled, and what it has not.
        shape = (side, side - 8 * (number % 4))
        self.shape, self.picture = shape, png(drawn(*shape, number))

    def run(self):
        kinds = [self.waited] * 6 + [self.polled] * 3 + [self.junk, self.wrong_field, self.slow]
        kinds += [self.left, self.info, self.noise, self.too_large]
        while not self.stop.is_set():
            kind = self.random.choice(kinds)
            began = time.monotonic()
            try:
                kind()
            except (OSError, http.client.HTTPException) as error:
                self.wrong.append(f"{kind.__name__}: {type(error).__name__} {error}")
            self.longest = max(self.longest, time.monotonic() - began)

    def ask(self, method, path, body=None):
        """(status, type, bytes) of one request."""
        connection = http.client.HTTPConnection(*self.address, timeout=TIMEOUT)
        kind = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"} if body else {}
        try:
            connection.request(method, f"/api/v1/{path}", body, kind)
            answer = connection.getresponse()
            found = answer.status, answer.headers.get("Content-Type", ""), answer.read()
            if answer.status in (429, 503):
                assert answer.headers["Retry-After"], "no Retry-After"
        finally:
            connection.close()
        return found

    def note(self, name, status, kind, body):
        """Counts an answer, which is a picture, a document or a sentence."""
        self.answers[f"{name} {status}"] += 1
        fine = status in ALLOWED
        if status == 200 and kind.startswith("image/"):
            fine = opened(body).shape == (*self.shape, 3)
        elif status >= 400:
            sentence = json.loads(body)["error"]
            fine = fine and sentence.endswith(".") and "\n" not in sentence
        if not fine:
            self.wrong.append(f"{name}: {status} {body[:200]!r}")
        if status in (429, 503):
            self.stop.wait(self.random.uniform(0.2, 1))

    def good(self):
        return form(("content", "p.png", self.picture), ("style", "", b"waves"))

    def waited(self):
        self.note("picture", *self.ask("POST", "stylize?wait=true", self.good()))

    def polled(self):
        status, kind, body = self.ask("POST", "stylize", self.good())
        self.note("job", status, kind, body)
        if status != 202:
            return
        job = json.loads(body)["id"]
        if self.random.random() < 0.2:
            self.note("cancel", *self.ask("DELETE", f"jobs/{job}"))
            return
        while not self.stop.is_set():
            status, kind, body = self.ask("GET", f"jobs/{job}")
            if status != 200 or json.loads(body)["state"] not in ("queued", "painting"):
                break
            self.stop.wait(0.3)
        else:
            return
        self.note("picture of a job", *self.ask("GET", f"jobs/{job}/pictures/0"))

    def junk(self):
        data = self.random.randbytes(self.random.randrange(1, 40000))
        body = form(("content", "x.png", data), ("style", "", b"waves"))
        self.note("no picture", *self.ask("POST", "stylize?wait=true", body))

    def wrong_field(self):
        body = form(("content", "x.png", self.picture), ("style", "", b"../../etc/passwd"))
        self.note("no style", *self.ask("POST", "stylize?wait=true", body))

    def too_large(self):
        """More than allowed by its own account, which is told before it is sent."""
        head = (
            "POST /api/v1/stylize HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9999999999\r\n"
            f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n\r\n"
        )
        with socket.create_connection(self.address, timeout=TIMEOUT) as connection:
            connection.sendall(head.encode())
            answer = http.client.HTTPResponse(connection)
            answer.begin()
            self.note("too large", answer.status, answer.headers["Content-Type"], answer.read())

    def slow(self):
        """Half a request, and silence; then it leaves."""
        with socket.create_connection(self.address, timeout=TIMEOUT) as connection:
            connection.sendall(
                b"POST /api/v1/stylize HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5000\r\n"
                b"Content-Type: multipart/form-data; boundary=b\r\n\r\n--b\r\n"
            )
            self.stop.wait(SLOW)
        self.answers["slow, left"] += 1

    def left(self):
        """Asks for a picture and goes away."""
        body = self.good()
        head = (
            "POST /api/v1/stylize?wait=true HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            f"Content-Length: {len(body)}\r\n"
            f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n\r\n"
        )
        with socket.create_connection(self.address, timeout=TIMEOUT) as connection:
            connection.sendall(head.encode() + body)
            self.stop.wait(0.1)
        self.answers["asked, left"] += 1

    def info(self):
        self.note("info", *self.ask("GET", "info"))

    def noise(self):
        """No HTTP at all."""
        with socket.create_connection(self.address, timeout=TIMEOUT) as connection:
            with contextlib.suppress(ConnectionError):
                connection.sendall(self.random.randbytes(3000) + b"\r\n\r\n")
                while connection.recv(1 << 16):
                    pass
        self.answers["noise"] += 1


def resident(process):
    """Bytes of memory that a process holds."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("the server has ended")


@contextlib.contextmanager
def server(*flags, temporary=None, **variables):
    """`din-jax serve` as a user starts it, with further environment; its process and address."""
    environment = os.environ | variables | ({"TMPDIR": str(temporary)} if temporary else {})
    command = [sys.executable, "-m", "din_jax", "serve", "--port", "0", *map(str, flags)]
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        line = process.stdout.readline()
        assert line.startswith("http://"), process.stderr.read()
        where = urllib.parse.urlsplit(line.split(": ")[0])
        yield process, (where.hostname, where.port)
    finally:
        process.terminate()
        process.communicate(timeout=60)


def load(process, address, *, clients, seconds, side):
    """Runs the clients; what they were answered, and the server's memory, in bytes."""
    stop = threading.Event()
    threads = [Client(number, address, side, stop) for number in range(clients)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    memory = [resident(process.pid)]
    while time.monotonic() - began < seconds and process.poll() is None:
        time.sleep(min(0.5, seconds / 8))
        memory.append(resident(process.pid))
    stop.set()
    for thread in threads:
        thread.join(TIMEOUT)
    alive = process.poll() is None and Client(0, address, side, stop).ask("GET", "info")[0] == 200
    answers = sum((thread.answers for thread in threads), collections.Counter())
    return {
        "seconds": round(time.monotonic() - began, 1),
        "answers": dict(sorted(answers.items())),
        "wrong": [text for thread in threads for text in thread.wrong],
        "longest wait, s": round(max(thread.longest for thread in threads), 1),
        "memory, MB": [round(x / 1e6) for x in memory],
        "alive": alive,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--flags", nargs=argparse.REMAINDER, default=[], help="of the server")
    given = parser.parse_args()
    with server(*given.flags) as (process, address):
        found = load(
            process, address, clients=given.clients, seconds=given.seconds, side=given.side
        )
    memory = found.pop("memory, MB")
    found |= {"memory, MB": {"start": memory[0], "most": max(memory), "end": memory[-1]}}
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
