"""`din-jax serve` as it is typed: where it listens, what it leaves, how it ends."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time

import httpx
import pytest

from din_jax.errors import UserError
from din_jax.tools import page, serve
from tests.page.conftest import exported, package, stylizer  # noqa: F401  fixtures

from .load import ROOT, Client, server
from .serving import drawn, png


def run(*flags):
    serve.run(serve.parse(list(map(str, flags))))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_it_listens_here_alone_ends_when_told_and_leaves_nothing(small, tmp_path, number):
    flags, cache = ["--model", small.model, "--bank", small.bank], tmp_path / "programs"
    cache.mkdir()
    kept = {
        "JAX_COMPILATION_CACHE_DIR": str(cache),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    tmp_path = tmp_path / "temporary"
    tmp_path.mkdir()
    with server(*flags, temporary=tmp_path, **kept) as (process, address):
        (folder,) = tmp_path.iterdir()
        assert folder.name.startswith("din_jax-serve-")
        assert address[0] == "127.0.0.1"
        with pytest.raises(OSError):
            socket.create_connection(("127.0.0.2", address[1]), timeout=5).close()
        client = Client(0, address, 48, threading.Event())
        client.waited()
        assert client.answers == {"picture 200": 1} and not client.wrong
        assert not any(folder.iterdir())
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
    assert process.returncode == (0 if number == signal.SIGINT else serve.TERMINATED)
    assert "Traceback" not in said
    assert list(tmp_path.iterdir()) == list(cache.iterdir()) == []


IMPATIENT = """
import sys
import din_jax.serve.jobs
from din_jax.tools.serve import main
din_jax.serve.jobs.CLOSING = 0.1
sys.exit(main())
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_it_ends_quietly_while_a_picture_is_being_painted(tmp_path, number):
    """A thread inside XLA when the interpreter ends aborts the process; here it compiles."""
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-c", IMPATIENT, "--port", "0"],
        cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        try:
            url = process.stdout.readline().split(": ")[0]
            sent = {"content": ("a.png", png(drawn(700, 900))), "style": (None, "waves")}
            answer = httpx.post(f"{url}/api/v1/stylize", files=sent, timeout=60)
            job, end = f"{url}/api/v1/jobs/{answer.json()['id']}", time.monotonic() + 60
            while httpx.get(job).json()["state"] == "queued" and time.monotonic() < end:
                time.sleep(0.02)
            time.sleep(1)  # it has been traced, and XLA compiles it
            process.send_signal(number)
            _, said = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == (0 if number == signal.SIGINT else serve.TERMINATED), said
    assert "exception" not in said and "Traceback" not in said
    assert not any(tmp_path.glob("din_jax-serve-*"))


def test_a_port_that_is_taken_is_a_sentence():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        with pytest.raises(UserError, match="choose another --port"):
            run("--port", taken.getsockname()[1])
    with pytest.raises(UserError, match="cannot be listened at"):
        run("--host", "no such host", "--port", 0)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--queue", 0], "--queue must be at least 1"),
        (["--max-pixels", 0], "--max-pixels"),
        (["--max-pixels", 10**9, "--port", 0], "decoded from"),
        (["--memory", -1, "--port", 0], "--memory"),
        (["--model", "no_model", "--port", 0], "no model"),
        (["--page", "no-page"], "no page"),
    ],
)
def test_flags_that_cannot_be_are_a_sentence(flags, words, monkeypatch):
    monkeypatch.setattr(serve, "keep_freed_memory", lambda: None)
    with pytest.raises(UserError, match=words):
        run(*flags)


def test_names_that_are_answered_to():
    own = {"127.0.0.1", "localhost", "::1"}
    assert serve.names_of("127.0.0.1", []) == own
    assert serve.names_of("localhost", ["Example.ORG"]) == own | {"example.org"}
    assert serve.names_of("::1", []) == own
    assert serve.names_of("127.8.0.1", []) == own | {"127.8.0.1"}
    assert serve.names_of("0.0.0.0", []) is None
    assert serve.names_of("0.0.0.0", ["example.org"]) == {"example.org", "0.0.0.0"}


def test_without_the_extra_it_says_which(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "fastapi", None)
    monkeypatch.setattr(sys, "argv", ["din-jax serve"])
    assert serve.main() == 2
    assert "pip install 'din_jax[serve]'" in capsys.readouterr().err


# --- its page


def test_the_page_of_the_program_has_no_networks():
    files = serve.page_files(None)
    assert "sw.js" not in files and not [name for name in files if name.startswith("model/")]
    assert b'<meta name="din-server" content="api/v1/" data-only>' in files["index.html"]
    assert {"main.js", "remote.js", "contents/contents.json"} <= set(files)


@pytest.fixture
def written(exported, package, tmp_path):  # noqa: F811
    folder = tmp_path / "page"
    flags = ["--exported", exported, "--ort", package, "--size", 32, "--output", folder]
    page.run(page.parse(list(map(str, flags))))
    return folder


def test_a_page_is_served_as_it_was_written(written, start):
    served = start(page=serve.page_files(str(written)))
    for path in written.rglob("*"):
        name = str(path.relative_to(written))
        if path.is_file() and name not in ("index.html", "files.js"):
            assert served.client.get(f"/{name}").content == path.read_bytes(), name
    first = served.client.get("/")
    assert first.headers["content-type"].startswith("text/html")
    assert b'<meta name="din-server" content="api/v1/">' in first.content
    assert b"-served" in served.client.get("/files.js").content
    assert served.client.get("/main.js").headers["content-type"].startswith("text/javascript")


def test_of_a_page_only_its_own_files_are_served(written, start):
    (written / "secret.txt").write_text("secret")
    served = start(page=serve.page_files(str(written)))
    for path in ("secret.txt", "../secret", "%2e%2e/secret", "model/../secret.txt", "//etc/passwd"):
        answer = served.raw(
            f"GET /{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
        )
        assert answer.startswith(b"HTTP/1.1 404 "), path


def test_a_page_that_names_what_lies_elsewhere_is_refused(written, tmp_path):
    (tmp_path / "secret").write_text("secret")
    text = (written / "files.js").read_text()
    for name in ("../secret", str(tmp_path / "secret"), "missing.js"):
        (written / "files.js").write_text(text.replace('"main.js"', f'"{name}"'))
        with pytest.raises(UserError, match="lacks the file"):
            serve.page_files(str(written))
    (written / "files.js").write_text(text)
    (written / "index.html").write_text("<html>another</html>")
    with pytest.raises(UserError, match="older version"):
        serve.page_files(str(written))
    (written / "files.js").write_text("alert(1)")
    with pytest.raises(UserError, match="no page"):
        serve.page_files(str(written))


def test_a_drawn_picture_is_painted_by_the_page_that_it_comes_with(start):
    served = start(page=serve.page_files(None))
    drawn_picture = served.client.get("/contents/landscape.png").content
    answer = served.post(wait=True, content=drawn_picture, style="waves", size="48")
    assert answer.status_code == 200
    assert png(drawn(8, 8))[:4] == answer.content[:4]
