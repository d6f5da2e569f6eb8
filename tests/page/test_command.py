"""`din-jax page`: what it writes, and that it takes nothing but what was published or exported."""

import hashlib
import io
import json
import re
import shutil
import tarfile
from base64 import b64encode

import pytest

from din_jax.data import load_image
from din_jax.errors import UserError
from din_jax.tools import page, web_runtime

from .browser import serving


def write(*flags):
    page.run(page.parse(list(map(str, flags))))


@pytest.fixture
def flags(exported, package, tmp_path):
    return ["--exported", exported, "--ort", package, "--size", 32, "--output", tmp_path / "page"]


@pytest.fixture
def changed(exported, tmp_path):
    """Exports a model anew with another description; gives its folder."""

    def change(**settings):
        folder = tmp_path / "changed"
        shutil.copytree(exported, folder, dirs_exist_ok=True)
        about = json.loads((folder / "model.json").read_text())
        (folder / "model.json").write_text(json.dumps(about | settings))
        return folder, about

    return change


def names(folder):
    return {str(x.relative_to(folder)) for x in folder.rglob("*") if x.is_file()}


def test_the_page_holds_all_that_it_names(flags, tmp_path, exported):
    write(*flags)
    folder = tmp_path / "page"
    listed = json.loads((folder / "files.js").read_text().split("=", 1)[1].rstrip(";\n"))
    assert names(folder) == {*listed["files"], "files.js"}
    for source in folder.glob("*.js"):
        imported = re.findall(r'(?:from|import|Worker\()\s*"(?:\./)?([\w.]+)"', source.read_text())
        assert {name for name in imported} <= names(folder), source.name
    html = (folder / "index.html").read_text()
    assert set(re.findall(r'(?:src|href)="([\w.]+)"', html)) <= names(folder)
    scenes = json.loads((folder / "contents/contents.json").read_text())
    for scene in scenes:
        assert load_image(folder / "contents" / f"{scene}.png").shape == (32, 32, 3)
    stored = (folder / "model/content.onnx").read_bytes()
    assert stored == (exported / "content.float16.onnx").read_bytes()


def test_no_source_names_another_server(flags):
    for path in page.SOURCES.iterdir():
        assert not re.search(r"(?:https?:)?//[\w-]+\.\w", path.read_text()), path.name


def test_another_model_is_another_version(flags, tmp_path):
    write(*flags)
    first = (tmp_path / "page/files.js").read_text()
    write(*flags, "--overwrite")
    assert (tmp_path / "page/files.js").read_text() == first
    write(*flags, "--overwrite", "--size", 40)
    assert (tmp_path / "page/files.js").read_text() != first


def test_nothing_is_overwritten_unasked(flags, tmp_path):
    folder = tmp_path / "page"
    folder.mkdir()
    (folder / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match="is not empty"):
        write(*flags)
    assert names(folder) == {"mine.txt"}
    write(*flags, "--overwrite")
    assert (folder / "mine.txt").read_text() == "mine"
    with pytest.raises(UserError, match="holds a page already"):
        write(*flags)
    with pytest.raises(UserError, match="is a file"):
        write(*flags, "--output", folder / "mine.txt")


def test_a_damaged_or_hostile_export_is_refused(flags, changed, tmp_path):
    folder, about = changed()
    (folder / "content.float16.onnx").write_bytes(b"other")
    with pytest.raises(UserError, match="content.float16.onnx' is damaged"):
        write(*flags, "--exported", folder)
    for name in ("../secret", "/etc/passwd", "missing.onnx", 7, None, "."):
        entry = {"float16": {"file": name, "sha256": ""}}
        folder, _ = changed(onnx={**about["onnx"], "content": entry})
        with pytest.raises(UserError, match="lacks the file"):
            write(*flags, "--exported", folder)
    for settings in ({"format": "another"}, {"onnx": []}, {"onnx": {"content": "x"}}):
        folder, _ = changed(**settings)
        with pytest.raises(UserError, match="export the model again"):
            write(*flags, "--exported", folder)
    with pytest.raises(UserError, match="has no model.json"):
        write(*flags, "--exported", tmp_path)
    assert not (tmp_path / "page").exists()


def test_a_bank_of_another_model_is_refused(flags, changed, tmp_path):
    folder, about = changed(fingerprint="another")
    with pytest.raises(UserError, match="bank is of the model 'small'"):
        write(*flags, "--exported", folder)
    folder, _ = changed(fingerprint=about["fingerprint"])
    (folder / about["bank"]).write_bytes(b"no bank")
    with pytest.raises(UserError, match="styles.safetensors"):
        write(*flags, "--exported", folder)
    assert not (tmp_path / "page").exists()


# --- ONNX Runtime Web


def archive(members):
    """A gzipped tar of (name, content or link target)."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as file:
        for name, content in members:
            info = tarfile.TarInfo(name)
            if isinstance(content, str):
                info.type, info.linkname = tarfile.SYMTYPE, content
                file.addfile(info)
            else:
                info.size = len(content)
                file.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


GOOD = [(f"package/dist/{name}", f"as if {name}".encode()) for name in web_runtime.FILES]


@pytest.fixture
def registry(tmp_path, monkeypatch):
    """A registry on this machine which publishes `GOOD`; tests change what it sends."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    good = archive(GOOD)
    monkeypatch.setattr(web_runtime, "INTEGRITY", b64encode(hashlib.sha512(good).digest()).decode())
    monkeypatch.setattr(web_runtime, "ARCHIVE_BYTES", len(good))
    folder = tmp_path / "registry"
    folder.mkdir()
    (folder / "ort.tgz").write_bytes(good)
    with serving(folder) as server:
        monkeypatch.setenv(web_runtime.URL_VARIABLE, f"{server.url}ort.tgz")
        server.file = folder / "ort.tgz"
        server.cache = tmp_path / "cache" / "din_jax"
        yield server


def test_the_package_is_downloaded_once(registry):
    expected = {name.rpartition("/")[2]: content for name, content in GOOD}
    assert web_runtime.find_package() == expected
    assert web_runtime.find_package() == expected
    assert registry.paths == ["/ort.tgz"]


@pytest.mark.parametrize("problem", ["changed", "longer", "shorter", "missing"])
def test_another_package_is_thrown_away(registry, problem):
    data = registry.file.read_bytes()
    if problem == "missing":
        registry.file.unlink()
    else:
        wrong = {"changed": data[:-1] + b"!", "longer": data + b"!", "shorter": data[:-9]}
        registry.file.write_bytes(wrong[problem])
    sentence = {"longer": "more than the", "missing": "404"}.get(problem, "thrown away")
    with pytest.raises(UserError, match=sentence) as caught:
        web_runtime.find_package()
    assert "--ort" in str(caught.value)
    assert [x for x in registry.cache.iterdir() if x.suffix != ".lock"] == []


def test_a_changed_package_in_the_cache_is_not_opened(registry):
    web_runtime.find_package()
    path = registry.cache / f"onnxruntime-web-{web_runtime.VERSION}.tgz"
    path.write_bytes(archive([*GOOD, ("package/more", b"")]))
    with pytest.raises(UserError, match="delete it"):
        web_runtime.find_package()


@pytest.mark.parametrize(
    "members",
    [
        [(f"../{name}", content) for name, content in GOOD],
        [(f"/{name}", content) for name, content in GOOD],
        [(name, "/etc/passwd") for name, _ in GOOD],
        [(f"package/{i}", b"") for i in range(web_runtime.MEMBERS)] + GOOD,
        GOOD[1:],
        [],
    ],
    ids=["up", "absolute", "links", "many", "incomplete", "empty"],
)
def test_of_an_archive_only_the_named_files_are_read(members, tmp_path, monkeypatch):
    path = tmp_path / "ort.tgz"
    path.write_bytes(archive(members))
    before = names(tmp_path)
    with pytest.raises(UserError, match="lacks"):
        web_runtime.read_archive(path)
    assert names(tmp_path) == before


def test_what_is_no_archive_or_far_too_large_is_a_sentence(tmp_path, monkeypatch, package):
    path = tmp_path / "ort.tgz"
    for content in (b"", b"no archive", archive(GOOD)[:60]):
        path.write_bytes(content)
        with pytest.raises(UserError, match="no npm package|lacks"):
            web_runtime.read_archive(path)
    monkeypatch.setattr(web_runtime, "LARGEST_FILE", 8)
    path.write_bytes(archive(GOOD))
    with pytest.raises(UserError, match="more than"):
        web_runtime.read_archive(path)
    with pytest.raises(UserError, match="more than"):
        web_runtime.read_package(package)
    with pytest.raises(UserError, match="onnxruntime-web"):
        web_runtime.read_package(tmp_path)


def test_the_integrity_is_a_sha_512():
    assert len(bytes.fromhex(web_runtime.published())) == hashlib.sha512().digest_size
