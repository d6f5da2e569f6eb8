"""Connections that are slow, silent, too many, or not for this server: all come to an end."""

import socket
import time

import numpy as np
import pytest

from .serving import SECONDS, drawn, part, png, refused

BOUNDARY = b"--b\r\n"
HEAD = (
    b"POST /api/v1/stylize?wait=true HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    b"Content-Type: multipart/form-data; boundary=b\r\n"
)


def test_a_body_is_bounded_by_its_own_account(start, picture):
    served = start(upload_bytes=2000)
    refused(served.post(content=b"x" * 3000, style="waves"), 413, "2000 bytes")
    # Told before it has been sent.
    head = HEAD + b"Content-Length: 3000\r\nExpect: 100-continue\r\n\r\n"
    answer = served.raw(head)
    assert answer.startswith(b"HTTP/1.1 413 ") and b"100 Continue" not in answer
    assert served.post(content=png(drawn(16, 16)), style="waves").status_code == 202


def test_a_body_is_bounded_as_it_comes(start):
    served = start(upload_bytes=2000)
    kind = {"content-type": "multipart/form-data; boundary=b"}

    def endless():
        yield part(b"content", b"", b"x.png")[:-2]
        for _ in range(300):
            yield b"x" * 1000

    answer = served.client.post("/api/v1/stylize", content=endless(), headers=kind)
    refused(answer, 413, "2000 bytes")
    assert answer.headers["connection"] == "close"


def test_a_slow_body_is_cut(start):
    served = start(body_seconds=0.4)
    began = time.monotonic()
    with socket.create_connection(served.address, timeout=SECONDS) as connection:
        connection.sendall(HEAD + b"Content-Length: 3000\r\n\r\n" + part(b"style", b"waves"))
        found = b""
        while answer := connection.recv(4096):
            found += answer
    assert found.startswith(b"HTTP/1.1 408 ") and b"0.4 s" in found
    assert 0.3 < time.monotonic() - began < 20


def test_a_drop_at_a_time_is_cut(start):
    """However many bytes come: the whole has its time."""
    served = start(body_seconds=0.5)
    with socket.create_connection(served.address, timeout=SECONDS) as connection:
        connection.sendall(HEAD + b"Content-Length: 3000\r\n\r\n" + BOUNDARY)
        end = time.monotonic() + 20
        connection.settimeout(0.05)
        found = b""
        while time.monotonic() < end and not found:
            try:
                connection.sendall(b"x")
                found = connection.recv(4096)
            except TimeoutError:
                continue
    assert found.startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize("sent", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: "])
def test_a_head_that_does_not_come_is_cut(start, sent):
    served = start(head_seconds=0.3)
    answer = served.raw(sent)
    assert answer.startswith(b"HTTP/1.1 408 ") and b"0.3 s" in answer


def test_a_second_head_that_does_not_come_is_cut(start):
    served = start(head_seconds=0.3)
    with socket.create_connection(served.address, timeout=SECONDS) as connection:
        connection.sendall(b"GET /api/v1/info HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert connection.recv(1 << 16).startswith(b"HTTP/1.1 200 ")
        connection.sendall(b"GET /")
        found = b""
        while answer := connection.recv(4096):
            found += answer
    assert b"HTTP/1.1 408 " in found


def test_a_client_that_does_not_read_is_cut(start, gate):
    """Its connection is gone, and the picture that it was sent is no longer held."""
    gate.open.set()
    noise = np.random.default_rng(0).integers(0, 256, (1600, 1600, 3), np.uint8)
    served = start(paint=gate.paint, read_seconds=0.5)
    job = served.post(content=png(noise), style="waves").json()["id"]
    assert served.finish(job)["state"] == "done"
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    with connection:
        connection.connect(served.address)
        path = f"/api/v1/jobs/{job}/pictures/0".encode()
        connection.sendall(b"GET " + path + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        time.sleep(0.2)
        assert served.client.delete(f"/api/v1/jobs/{job}").status_code == 204
        assert served.queue.results.lent > 0  # it is being sent
        end = time.monotonic() + SECONDS
        while served.queue.results.lent and time.monotonic() < end:
            time.sleep(0.05)
        assert served.queue.results.lent == 0


def test_no_more_connections_than_allowed(start):
    served = start(connections=3)
    held = [socket.create_connection(served.address, timeout=SECONDS) for _ in range(3)]
    try:
        time.sleep(0.2)
        answer = served.raw(b"")
        assert answer.startswith(b"HTTP/1.1 503 ") and b"connections" in answer
    finally:
        for connection in held:
            connection.close()
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        try:
            if served.client.get("/api/v1/info").status_code == 200:
                break
        except OSError:
            continue
    assert served.client.get("/api/v1/info").status_code == 200


# --- who may ask


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", ""])
def test_another_name_is_not_answered_to(start, host):
    served = start(hosts={"127.0.0.1", "localhost", "::1"})
    answer = served.raw(
        f"GET /api/v1/info HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
    )
    assert answer.startswith(b"HTTP/1.1 400 ") and b"--allow-host" in answer


@pytest.mark.parametrize("host", ["127.0.0.1:1", "LOCALHOST", "[::1]:80"])
def test_its_own_names_are_answered_to(start, host):
    served = start(hosts={"127.0.0.1", "localhost", "::1"})
    assert served.client.get("/api/v1/info", headers={"Host": host}).status_code == 200


def test_pages_of_others_send_nothing_here(served, picture):
    files = [("content", ("x.png", picture)), ("style", (None, "waves"))]
    for origin in ("http://evil.example", "null", "http://127.0.0.1:1"):
        answer = served.client.post("/api/v1/stylize", files=files, headers={"Origin": origin})
        refused(answer, 403, "another server")
    own = {"Origin": str(served.client.base_url).rstrip("/")}
    assert served.client.post("/api/v1/stylize", files=files, headers=own).status_code == 202
