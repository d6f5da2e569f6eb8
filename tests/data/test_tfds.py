"""Archives become TFDS data sets and come back as pictures; TensorFlow is never imported."""

import http.server
import struct
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest

from din_jax.data import prepare as prepare_module
from din_jax.data import retries
from din_jax.data.archives import read_archives
from din_jax.data.decoding import decode_image
from din_jax.data.opening import open_source
from din_jax.data.prepare import main, prepare
from din_jax.data.reader import ImageReader
from din_jax.data.sources import SourceError
from din_jax.data.tfds_source import TfdsSource, open_tfds

pytest.importorskip("array_record", reason="array_record has no build for this system")

from tensorflow_datasets.core.download.checksums import compute_url_info  # noqa: E402

from din_jax.data.tfds_builders import CocoImages  # noqa: E402


@pytest.fixture
def pictures(encode):
    return {
        f"{i}.jpg": encode(np.full((20, 30, 3), 25 * i, np.uint8), "JPEG") for i in range(6)
    }


def write_zip(path, entries, folder="train"):
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(f"{folder}/", b"")
        for name, data in entries.items():
            file.writestr(f"{folder}/{name}", data)
    return path


def colors(source) -> list[int]:
    return sorted(int(decode_image(source[i]).mean().round()) for i in range(len(source)))


def test_wikiart_round_trip_leaves_bad_pictures_out(tmp_path, pictures, caplog):
    manual, data_dir = tmp_path / "manual", tmp_path / "tfds"
    write_zip(manual / "train.zip", pictures | {"bad.jpg": b"no picture", "notes.txt": b"text"})
    write_zip(manual / "test.zip", {"100.jpg": pictures["5.jpg"]}, "test")
    folder = prepare("wikiart", data_dir=str(data_dir), manual_dir=str(manual))
    assert "1 of 7 pictures" in caplog.text and "bad.jpg" in caplog.text
    source = open_tfds("tfds:wikiart", data_dir=str(data_dir))
    assert colors(source) == [0, 25, 50, 75, 100, 125]
    assert {source[i] for i in range(6)} == set(pictures.values())  # the very bytes
    assert colors(open_tfds("tfds:wikiart:test", data_dir=str(data_dir))) == [125]
    assert len(open_tfds("tfds:wikiart:train[:2]", data_dir=str(data_dir))) == 2
    assert len(open_source(f"tfds:{folder}", "style")) == 6


def test_wikiart_in_parts_with_replacements(tmp_path, pictures):
    manual = tmp_path / "manual"
    first, second = dict(list(pictures.items())[:3]), dict(list(pictures.items())[3:])
    write_zip(manual / "train_1.zip", first | {"9.jpg": b"corrupted"}, "train_1")
    write_zip(manual / "train_2.zip", second, "train_2")
    write_zip(manual / "replacements_for_corrupted_files.zip", {"9.jpg": pictures["5.jpg"]})
    prepare("wikiart", data_dir=str(tmp_path), manual_dir=str(manual))
    source = open_tfds("tfds:wikiart", data_dir=str(tmp_path))
    assert colors(source) == [0, 25, 50, 75, 100, 125, 125]


def test_coco_from_an_archive_that_is_there(tmp_path, pictures, monkeypatch):
    path = tmp_path / "downloads" / "manual" / "train2014.zip"
    archive = write_zip(path, pictures, "train2014")
    monkeypatch.setattr(CocoImages, "url_infos", {"": compute_url_info(archive)})
    prepare("coco", data_dir=str(tmp_path))
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    assert len(open_source("tfds:coco", "content")) == 6
    with pytest.raises(SourceError, match="din_jax.data.prepare coco/2017"):
        open_source("tfds:coco/2017", "content")


def test_an_archive_by_hand_must_be_the_published_one(tmp_path, pictures, monkeypatch):
    archive = write_zip(tmp_path / "manual" / "train2014.zip", pictures, "train2014")
    monkeypatch.setattr(CocoImages, "url_infos", {"": compute_url_info(archive)})
    whole = archive.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    for data, says in ((whole[:-1], f"{len(whole)} bytes and .* has {len(whole) - 1} bytes"),
                       (bytes(flipped), "has another checksum")):  # fmt: skip
        archive.write_bytes(data)
        with pytest.raises(SourceError, match=says) as error:
            prepare("coco", data_dir=str(tmp_path / "tfds"), manual_dir=str(tmp_path / "manual"))
        assert "\n" not in str(error.value)
    archive.write_bytes(whole)
    prepare("coco", data_dir=str(tmp_path / "tfds"), manual_dir=str(tmp_path / "manual"))


def test_coco_comes_by_https_and_must_be_what_tfds_registers():
    from tensorflow_datasets.core.download import checksums

    known = checksums.get_all_url_infos()
    ours = CocoImages.url_infos
    assert len(ours) == 2
    for url, info in ours.items():
        assert url.startswith("https://")
        assert info == known[f"http://images.cocodataset.org/zips/{info.filename}"]


@pytest.fixture
def served(tmp_path, monkeypatch):
    """A folder whose files this machine serves in the place of COCO's host."""
    folder = tmp_path / "host"
    folder.mkdir()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=folder)

        def log_message(self, *arguments):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}/{{}}"
        monkeypatch.setattr("din_jax.data.tfds_builders._COCO_URL", url)
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        yield folder, url.format("train2014.zip")
        server.shutdown()
        thread.join()


def test_a_download_is_used_only_if_it_is_the_registered_one(
    tmp_path, pictures, served, monkeypatch
):
    folder, url = served
    archive = write_zip(folder / "train2014.zip", pictures, "train2014")
    info = compute_url_info(archive)
    monkeypatch.setattr(CocoImages, "url_infos", {url: info})
    archive.write_bytes(archive.read_bytes() + b"more")
    with pytest.raises(SourceError, match="published size and checksum") as error:
        prepare("coco", data_dir=str(tmp_path / "tfds"))
    assert "\n" not in str(error.value)
    with pytest.raises(SourceError):
        open_tfds("tfds:coco", data_dir=str(tmp_path / "tfds"))
    write_zip(archive, pictures, "train2014")
    monkeypatch.setattr(CocoImages, "url_infos", {url: compute_url_info(archive)})
    prepare("coco", data_dir=str(tmp_path / "tfds"))
    assert len(open_tfds("tfds:coco", data_dir=str(tmp_path / "tfds"))) == 6


def test_no_tensorflow_in_a_fresh_process(tmp_path, pictures):
    write_zip(tmp_path / "manual" / "train.zip", pictures)
    code = (
        "import sys; from din_jax.data.prepare import prepare; "
        "from din_jax.data.tfds_source import open_tfds; "
        f"prepare('wikiart', data_dir={str(tmp_path)!r}, manual_dir={str(tmp_path / 'manual')!r}); "
        f"assert open_tfds('tfds:wikiart', data_dir={str(tmp_path)!r})[0]; "
        "assert 'tensorflow' not in sys.modules, 'TensorFlow'"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_newest_version_is_read(tmp_path, monkeypatch):
    for version in ("1.9.0", "1.10.0", "1.2.0"):
        (tmp_path / "paintings" / "config" / version).mkdir(parents=True)
        (tmp_path / "paintings" / "config" / version / "dataset_info.json").touch()
    monkeypatch.setattr("din_jax.data.tfds_source.TfdsSource", lambda folder, split: folder)
    for name in ("paintings", "paintings/config", "paintings/config/1.10.0"):
        assert open_tfds(f"tfds:{name}", data_dir=str(tmp_path)).name == "1.10.0"


def test_missing_sets_are_explained(tmp_path, pictures):
    write_zip(tmp_path / "manual" / "train.zip", pictures)
    old = prepare("wikiart", data_dir=str(tmp_path), manual_dir=str(tmp_path / "manual"))
    assert open_tfds("tfds:wikiart/1.0.0", data_dir=str(tmp_path)).folder == old
    for spec, words in (
        ("tfds:unknown", "download_and_prepare"),
        ("tfds:", "tfds:NAME"),
        ("tfds:wikiart:valid", "valid"),
        ("tfds:coco", "prepare coco"),
    ):
        with pytest.raises(SourceError, match=words) as error:
            open_tfds(spec, data_dir=str(tmp_path))
        assert "\n" not in str(error.value)


def test_missing_package_is_explained(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    with pytest.raises(SourceError, match="pip install"):
        TfdsSource(tmp_path)


def test_command_line(tmp_path, pictures, capsys):
    options = ["--data_dir", str(tmp_path), "--manual_dir", str(tmp_path / "manual")]
    assert main(["wikiart", *options]) == 2
    message = capsys.readouterr().err
    assert message.startswith("error: WikiArt needs train.zip") and message.count("\n") == 1
    write_zip(tmp_path / "manual" / "train.zip", pictures)
    assert main(["wikiart", *options]) == 0
    assert "ready: " in capsys.readouterr().out
    with pytest.raises(SourceError, match="must be one of"):
        prepare_module.prepare("imagenet")


def test_damaged_archives(tmp_path, pictures):
    broken = tmp_path / "train.zip"
    broken.write_bytes(b"PK no archive")
    with pytest.raises(SourceError, match="complete zip archive"):
        list(read_archives([broken]))
    nothing = write_zip(tmp_path / "b.zip", {"a.jpg": b"bad"})
    with pytest.raises(SourceError, match="none of 1 is"):
        list(read_archives([nothing]))
    with pytest.raises(SourceError, match="complete zip archive"):
        list(read_archives([with_field(nothing, 6, 99)]))  # needs version 9.9 to extract
    twice = [write_zip(tmp_path / f"{i}.zip", {"0.jpg": pictures[f"{i}.jpg"]}) for i in (1, 2)]
    assert list(read_archives(twice)) == [("0.jpg", pictures["1.jpg"])]


def with_field(path, at, value, name=b""):
    """The zip with a field of the directory (at) and the local headers (at - 2) replaced."""
    data = bytearray(path.read_bytes())
    for mark, offset, named in ((b"PK\x01\x02", at, 46), (b"PK\x03\x04", at - 2, 30)):
        place = data.find(mark)
        while place >= 0:
            if data[place + named :].startswith(name):
                data[place + offset : place + offset + 2] = struct.pack("<H", value)
            place = data.find(mark, place + 4)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("how", ["deflate", "encrypted", "lzma", "unknown", "long", "checksum"])
def test_one_unusable_entry_is_counted_and_the_others_come(
    tmp_path, pictures, caplog, monkeypatch, how
):
    path = tmp_path / "train.zip"
    bad = encode_noise(pictures)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in (pictures | {"2.jpg": bad}).items():
            file.writestr(f"train/{name}", data)
        entry = file.getinfo("train/2.jpg")
    if how in ("encrypted", "lzma", "unknown"):
        at, value = {"encrypted": (8, 1), "lzma": (10, 14), "unknown": (10, 93)}[how]
        with_field(path, at, value, b"train/2.jpg")
    elif how == "long":
        monkeypatch.setattr("din_jax.data.archives._MOST_BYTES", len(bad) - 1)
    else:
        data = bytearray(path.read_bytes())
        start = entry.header_offset + 30 + len(entry.filename)
        place = start if how == "deflate" else entry.header_offset + 14
        data[place] ^= 0xFF
        if how == "checksum":  # the directory's is compared
            place = data.find(b"train/2.jpg", start) - 46
            data[place + 16] ^= 0xFF
        path.write_bytes(data)
    found = dict(read_archives([path]))
    assert set(found) == set(pictures) - {"2.jpg"}
    assert "1 of 6 pictures" in caplog.text and "2.jpg" in caplog.text


def encode_noise(pictures):
    """A picture that is longer than all others."""
    import io

    from PIL import Image

    file = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    Image.fromarray(noise).save(file, "JPEG", quality=100)
    assert all(len(file.getvalue()) > len(data) for data in pictures.values())
    return file.getvalue()


@pytest.fixture
def prepared(tmp_path, encode):
    """An open WikiArt of forty noisy pictures, and its one file."""
    rng = np.random.default_rng(0)
    noise = {f"{i}.png": encode(rng.integers(0, 256, (48, 48, 3), np.uint8)) for i in range(40)}
    write_zip(tmp_path / "manual" / "train.zip", noise)
    folder = Path(prepare("wikiart", data_dir=str(tmp_path), manual_dir=str(tmp_path / "manual")))
    return TfdsSource(folder), next(folder.glob("*.array_record*"))


def test_a_damaged_record_is_replaced_and_counted(prepared, caplog):
    source, file = prepared
    whole = [source[i] for i in range(len(source))]
    data = bytearray(file.read_bytes())
    place = data.find(whole[7]) + 1000
    data[place : place + 20] = bytes(20)
    file.write_bytes(data)
    reader = ImageReader(TfdsSource(source.folder))
    read = [np.asarray(reader.read(i)) for i in range(40)]
    assert list(reader.bad) == [7] and "damaged" in reader.bad[7]
    assert "1 of 40 pictures could not be decoded" in caplog.text
    for i in range(40):
        np.testing.assert_array_equal(read[i], decode_image(whole[8 if i == 7 else i]))


def test_a_store_that_fails_for_a_moment_is_opened_again(prepared, monkeypatch, caplog):
    source, file = prepared
    reader, first, pauses = ImageReader(source), source[3], []
    source._reopen()
    # A folder where the file was, until the second pause: it opens, and cannot be read.
    away = file.rename(file.with_name("away"))
    file.mkdir()

    def pause(seconds):
        pauses.append(seconds)
        if len(pauses) == 2:
            file.rmdir()
            away.rename(file)

    monkeypatch.setattr(retries.time, "sleep", pause)
    np.testing.assert_array_equal(np.asarray(reader.read(3)), decode_image(first))
    assert pauses == list(retries.PAUSES[:2]) and not reader.bad
    assert "again in" in caplog.text


def test_a_store_that_is_gone_ends_in_a_sentence(prepared, monkeypatch):
    source, file = prepared
    reader, pauses = ImageReader(source), []
    source._reopen()
    file.unlink()
    file.mkdir()
    monkeypatch.setattr(retries.time, "sleep", pauses.append)
    with pytest.raises(SourceError, match="must stay readable.*Nor are the 3 before it"):
        reader.read(0)
    assert pauses == 4 * list(retries.PAUSES)
