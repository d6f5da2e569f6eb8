"""Where VGG-19 weights come from, and that nothing unverified is ever used or left behind."""

import contextlib
import hashlib
import http.server
import threading
import time
from pathlib import Path

import pytest

from din_jax.errors import UserError
from din_jax.weights import WeightsError, WeightsNotFound, cache_folder, find, find_vgg19

CONTENT = bytes(range(256)) * 40


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.requests.append(self.path)
        time.sleep(self.server.delay)
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(self.server.length or len(self.server.content)))
        self.end_headers()
        with contextlib.suppress(ConnectionError):  # the client may have given up
            self.wfile.write(self.server.content)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server(monkeypatch):
    """A mirror on this machine; tests change what it sends."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.content, server.length, server.status, server.delay = CONTENT, None, 200, 0.0
        server.requests = []
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}/vgg.pth"
        monkeypatch.setenv("DIN_JAX_VGG19_URL", url)
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("DIN_JAX_VGG19", raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(find, "SHA256", hashlib.sha256(CONTENT).hexdigest())
    return tmp_path / "cache" / "din_jax"


def left(folder):
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".lock")


def failure(kind, **arguments):
    with pytest.raises(kind) as caught:
        find_vgg19(**arguments)
    message = str(caught.value)
    assert isinstance(caught.value, UserError)
    assert "\n" not in message
    return message


def test_the_published_hash_agrees_with_the_published_name():
    # Read from the module's file: the fixture above replaces the value.
    source = Path(find.__file__).read_text()
    digest = source.split('SHA256 = "')[1].split('"')[0]
    assert len(digest) == 64
    assert find.FILE_NAME == f"vgg19-{digest[:8]}.pth" == find.URL.rsplit("/")[-1]


def test_path_wins_over_variable_over_cache_over_download(server, cache, tmp_path, monkeypatch):
    given, named, cached = tmp_path / "given", tmp_path / "named", cache / find.FILE_NAME
    cache.mkdir(parents=True)
    for path in (given, named):
        path.write_bytes(b"anything")
    cached.write_bytes(CONTENT)
    monkeypatch.setenv("DIN_JAX_VGG19", str(named))
    assert find_vgg19(given) == given
    assert find_vgg19() == named
    monkeypatch.delenv("DIN_JAX_VGG19")
    assert find_vgg19() == cached
    assert server.requests == []


def test_a_download_is_kept_and_not_repeated(server, cache):
    path = find_vgg19()
    assert path == cache / find.FILE_NAME and path.read_bytes() == CONTENT
    assert find_vgg19(download=False) == path
    assert server.requests == ["/vgg.pth"]
    assert left(cache) == [find.FILE_NAME]


def test_the_cache_is_in_the_home_folder_without_xdg(monkeypatch, tmp_path):
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "din_jax"


def test_a_file_with_another_hash_is_thrown_away(server, cache):
    server.content = CONTENT[:-1] + b"!"
    message = failure(WeightsError)
    assert find.SHA256[:8] in message and "DIN_JAX_VGG19_URL" in message
    assert left(cache) == []


def test_a_download_that_ends_early_leaves_nothing(server, cache):
    server.length = len(CONTENT) + 100
    message = failure(WeightsNotFound)
    assert f"after {len(CONTENT)} of {len(CONTENT) + 100} bytes" in message
    assert left(cache) == []


@pytest.mark.parametrize("problem", ["missing", "stalled", "closed", "malformed"])
def test_without_a_network_one_sentence_names_every_remedy(server, cache, monkeypatch, problem):
    url = f"http://127.0.0.1:{server.server_port}/vgg.pth"
    if problem == "missing":
        server.status = 404
    elif problem == "stalled":
        server.delay = 0.5
        monkeypatch.setattr(find, "TIMEOUT_SECONDS", 0.05)
    else:
        url = {"closed": "http://127.0.0.1:1/vgg.pth", "malformed": "nonsense"}[problem]
        monkeypatch.setenv("DIN_JAX_VGG19_URL", url)
    message = failure(WeightsNotFound)
    for word in (url, str(cache / find.FILE_NAME), "DIN_JAX_VGG19 ", "random", "din.py:demo"):
        assert word in message
    assert left(cache) == []


def test_downloading_can_be_forbidden(server, cache):
    assert "not allowed" in failure(WeightsNotFound, download=False)
    assert server.requests == []
    assert not cache.exists()


def test_a_cache_that_cannot_be_written_is_the_users_to_mend(server, cache):
    cache.parent.mkdir()
    cache.write_text("a file where the folder belongs")
    assert str(cache) in failure(WeightsNotFound)


def test_named_files_must_exist(monkeypatch, tmp_path):
    assert "/no/such.pth" in failure(WeightsNotFound, path="/no/such.pth")
    monkeypatch.setenv("DIN_JAX_VGG19", str(tmp_path))
    assert "$DIN_JAX_VGG19" in failure(WeightsNotFound)
    with pytest.raises(FileNotFoundError):
        find_vgg19()


def test_a_changed_file_in_the_cache_is_not_used(server, cache):
    cache.mkdir(parents=True)
    (cache / find.FILE_NAME).write_bytes(CONTENT + b"more")
    message = failure(WeightsError)
    assert str(cache / find.FILE_NAME) in message and "delete" in message
    assert server.requests == []


def test_simultaneous_users_download_once(server, cache):
    pytest.importorskip("fcntl")
    server.delay = 0.05
    found = []
    threads = [threading.Thread(target=lambda: found.append(find_vgg19())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [cache / find.FILE_NAME] * 4
    assert len(server.requests) == 1
    assert left(cache) == [find.FILE_NAME]


def test_what_a_killed_process_left_is_removed(server, cache):
    pytest.importorskip("fcntl")
    cache.mkdir(parents=True)
    (cache / f".{find.FILE_NAME}.0123abcd.partial").write_bytes(CONTENT[:9])
    find_vgg19()
    assert left(cache) == [find.FILE_NAME]
