"""The style bank: what goes in comes out, and no file does harm."""

import json
import struct

import numpy as np
import pytest
import safetensors.numpy
from PIL import Image

from din_jax.errors import UserError
from din_jax.files import leftovers
from din_jax.inference.bank import THUMBNAIL, BankError, StyleBank, nearest_names
from din_jax.inference.stylizer import Stylizer
from din_jax.layers.codes import LayerCode, MapCode

MODEL = "ab" * 32


def make_code(seed, channels=3, kind=LayerCode):
    rng = np.random.default_rng(seed)
    shapes = {
        LayerCode: [(1, 1, 1, channels, channels), (1, channels)],
        MapCode: [(1, 4, 4, channels)] * 2,
    }[kind]
    return {
        f"level{i}": kind(*(rng.normal(size=shape).astype(np.float32) for shape in shapes))
        for i in (1, 2, 3)
    }


def make_bank(*names, kind=LayerCode):
    bank = StyleBank(MODEL, "tiny")
    for seed, name in enumerate(names):
        picture = np.full((90, 120, 3), 10 * (seed % 25), np.uint8)
        bank.add(name, make_code(seed, kind=kind), picture)
    return bank


def assert_codes(code, expected, dtype=np.float32):
    assert list(code) == list(expected)
    for level in expected:
        assert type(code[level]) is type(expected[level])
        for a, b in zip(code[level], expected[level], strict=True):
            np.testing.assert_array_equal(a, np.asarray(b).astype(dtype).astype(np.float32))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "bank.safetensors"


@pytest.mark.parametrize("kind", [LayerCode, MapCode])
@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_a_bank_is_read_as_it_was_written(path, kind, dtype):
    names = ("waves", "stained glass", "Größe 2")
    make_bank(*names, kind=kind).save(path, dtype=dtype)
    bank = StyleBank.load(path)
    assert bank.names == names and list(bank) == list(names) and len(bank) == 3
    assert (bank.fingerprint, bank.model) == (MODEL, "tiny")
    assert "waves" in bank and "wave" not in bank
    for seed, name in enumerate(names):
        assert_codes(bank[name], make_code(seed, kind=kind), dtype)
        thumbnail = bank.thumbnail(name)
        assert thumbnail.shape == (THUMBNAIL, THUMBNAIL, 3) and (thumbnail == 10 * seed).all()


def test_styles_are_added_replaced_and_removed_in_an_opened_bank(path):
    make_bank("waves", "glass", "dots").save(path, dtype="float32")
    bank = StyleBank.load(path)
    bank.remove("glass")
    bank.add("sand", make_code(7))
    bank.add("waves", make_code(8))
    bank.save(path, dtype="float32")  # onto the file that it still reads
    again = StyleBank.load(path)
    assert again.names == ("waves", "dots", "sand")
    for name, seed in (("waves", 8), ("dots", 2), ("sand", 7)):
        assert_codes(again[name], make_code(seed))
    assert (again.thumbnail("sand") == 128).all()


def test_an_interrupted_save_leaves_the_old_file(path, monkeypatch):
    make_bank("waves").save(path)
    before = path.read_bytes()
    monkeypatch.setattr("pathlib.Path.write_bytes", lambda *_: (_ for _ in ()).throw(OSError(28)))
    with pytest.raises(OSError):
        make_bank("dots").save(path)
    assert path.read_bytes() == before and leftovers(path) == []


def test_a_wrong_name_is_answered_with_the_nearest():
    bank = make_bank("waves", "wavelets", "stained-glass", "dots", "mosaic")
    with pytest.raises(BankError, match="no style 'wavs'; the nearest are waves, wavelets"):
        bank["wavs"]
    with pytest.raises(BankError, match="no style 'dost'; the nearest are dots"):
        bank.remove("dost")
    with pytest.raises(BankError, match="no style 'x'; it is empty"):
        StyleBank(MODEL)["x"]
    assert bank.search("glass") == ["stained-glass"]
    assert bank.search("WAVE")[:2] == ["waves", "wavelets"]
    assert bank.search("Stained Glass")[0] == "stained-glass"


def test_the_whole_name_is_nearest_and_a_thousand_are_searched():
    names = [f"style {i}" for i in range(1000)] + ["style"]
    assert nearest_names("style", names, 3) == ["style", "style 0", "style 1"]
    assert nearest_names("style 77", names, 1) == ["style 77"]


@pytest.mark.parametrize(
    "name", ["", "a" * 101, "../up", "a/b", "a\\b", ".hidden", "-o", "two\nlines", " a", "c:d", 5]
)
def test_a_name_that_no_file_may_have_is_refused(name):
    with pytest.raises(BankError, match="the name of a style must"):
        StyleBank(MODEL).add(name, make_code(0))


def test_codes_of_other_shapes_or_of_several_styles_are_refused():
    bank = make_bank("waves")
    for code in (make_code(1, channels=4), make_code(1, kind=MapCode)):
        with pytest.raises(BankError, match="the code of 'dots' has other parts or shapes"):
            bank.add("dots", code)
    two = {level: LayerCode(*(np.repeat(x, 2, 0) for x in c)) for level, c in make_code(1).items()}
    with pytest.raises(BankError, match="one style at a time, not 2"):
        bank.add("dots", two)
    assert bank.names == ("waves",)


def test_export_of_some_as_a_bank_and_as_pictures(path, tmp_path):
    bank = make_bank("waves", "glass", "dots")
    bank.export(["dots", "waves"], path)
    part = StyleBank.load(path)
    assert part.names == ("dots", "waves") and part.fingerprint == MODEL
    assert_codes(part["dots"], make_code(2), np.float16)
    bank.export(["dots"], tmp_path / "pictures")
    assert (np.asarray(Image.open(tmp_path / "pictures" / "dots.png")) == 20).all()
    with pytest.raises(BankError, match="no style 'sand'"):
        bank.export(["sand"], path)


def test_what_cannot_be_written_is_said(path):
    bank = StyleBank(MODEL)
    with pytest.raises(BankError, match="without a style"):
        bank.save(path)
    large = {level: LayerCode(1e6 + c.kernel, c.bias) for level, c in make_code(0).items()}
    bank.add("large", large)
    with pytest.raises(BankError, match="finite as float16, .*level1.kernel.*; save it as float32"):
        bank.save(path)
    assert_codes(StyleBank.load(bank.save(path, dtype="float32"))["large"], large)
    for wrong, dtype in ((path.with_suffix(".npz"), "float16"), (path, "int8")):
        with pytest.raises(BankError, match="is written to a .safetensors file"):
            bank.save(wrong, dtype=dtype)


def parts(**changes):
    """A bank's arrays, some of them changed or left out (None)."""
    arrays = {"names": np.frombuffer(b"waves\ndots", np.uint8)}
    arrays["thumbnails"] = np.zeros((2, THUMBNAIL, THUMBNAIL, 3), np.uint8)
    arrays["code.level1.kernel"] = np.ones((2, 1, 1, 3, 3), np.float16)
    arrays["code.level1.bias"] = np.ones((2, 3), np.float16)
    arrays |= {name.replace("__", "."): value for name, value in changes.items()}
    return {name: value for name, value in arrays.items() if value is not None}


METADATA = {"format": "din_jax style bank 1", "fingerprint": MODEL, "model": "m", "code": "kernel"}


def names(text):
    return np.frombuffer(text, np.uint8)


@pytest.mark.parametrize(
    "arrays, metadata",
    [
        (parts(), {"format": "din_jax model 1"}),
        (parts(), {"code": "pickle"}),
        (parts(), {"code": "map"}),
        (parts(names=None), {}),
        (parts(names=names(b"waves")), {}),
        (parts(names=names(b"waves\nwaves")), {}),
        (parts(names=names(b"waves\n../../up")), {}),
        (parts(names=names(b"waves\n\xff\xfe")), {}),
        (parts(names=names(b"waves\n" + b"a" * 101)), {}),
        (parts(names=np.ones(3, np.float32)), {}),
        (parts(thumbnails=None), {}),
        (parts(thumbnails=np.zeros((2, 5000, THUMBNAIL, 3), np.uint8)), {}),
        (parts(code__level1__bias=None), {}),
        (parts(code__level1__bias=np.ones((3, 3), np.float16)), {}),
        (parts(code__level1__bias=np.ones((2, 3), np.int8)), {}),
        (parts(code__level1__bias=np.ones((), np.float16)), {}),
        (parts(code__level1__kernel=np.ones((2, 3, 3), np.float16)), {}),
        (parts(code__level1__kernel=np.ones((2, 1, 1, 4096, 4097), np.float16)), {}),
        (parts(extra=np.ones((2, 3), np.float16)), {}),
        ({**parts(), "code.level1.kernel.x": np.ones((2, 3), np.float16)}, {}),
    ],
)  # fmt: skip
def test_files_that_are_no_sound_bank_are_refused_in_one_sentence(path, arrays, metadata):
    path.write_bytes(safetensors.numpy.save(arrays, metadata={**METADATA, **metadata}))
    with pytest.raises(BankError) as raised:
        StyleBank.load(path)
    assert len(str(raised.value)) < 600 and "\n" not in str(raised.value)


def test_the_sound_one_is_read_and_numbers_of_a_row_are_looked_at_when_it_is(path):
    kernel = np.ones((2, 1, 1, 3, 3), np.float16)
    kernel[1, 0, 0, 0, 0] = np.nan
    arrays = parts(code__level1__kernel=kernel)
    path.write_bytes(safetensors.numpy.save(arrays, metadata=METADATA))
    bank = StyleBank.load(path)
    assert bank["waves"]["level1"].bias.shape == (1, 3)
    with pytest.raises(BankError, match="infinite or undefined"):
        bank["dots"]


@pytest.mark.parametrize(
    "data",
    [b"", b"PK\3\4", b"\x80\x04.", struct.pack("<Q", 1 << 40) + b"{}",
     struct.pack("<Q", 20) + json.dumps({"names": {}}).encode().ljust(20)],
)  # fmt: skip
def test_other_files_are_refused(path, data):
    path.write_bytes(data)
    with pytest.raises(BankError):
        StyleBank.load(path)
    with pytest.raises(BankError, match="there is no style bank"):
        StyleBank.load(path.with_name("none.safetensors"))


def test_opening_reads_no_code(path, monkeypatch):
    make_bank(*(f"style {i}" for i in range(500))).save(path)
    bank = StyleBank.load(path)
    read = []
    file = bank._rows["style 3"].file
    monkeypatch.setattr(file, "row", lambda name, i: read.append((name, i)) or np.ones((3, 3)))
    bank["style 3"]
    assert {i for _, i in read} == {3} and len(read) == 6


def test_a_bank_gives_a_stylizer_its_styles_by_name(loaded, image, path):
    content, style = image(40, 40, 1), image(40, 40, 2)
    maker = Stylizer(loaded)
    bank = StyleBank(loaded.fingerprint, "tiny")
    bank.add("blobs", maker.encode_style(style), style)
    bank.save(path, dtype="float32")
    stylizer = Stylizer(loaded, bank=path)
    assert stylizer.styles == ("blobs",)
    expected = maker.stylize(content, style)
    np.testing.assert_array_equal(stylizer.stylize(content, "blobs"), expected)
    with pytest.raises(UserError, match="neither a picture nor a style 'blob'; the nearest styles"):
        stylizer.stylize(content, "blob")
    with pytest.raises(UserError, match="neither a picture nor a style 'blobs'"):
        maker.stylize(content, "blobs")


def test_a_bank_of_another_model_is_refused_by_name(loaded, path):
    make_bank("waves").save(path)
    with pytest.raises(BankError, match=r"'tiny' \(abababab...\), not of 'tiny' \(cdcdcdcd...\)"):
        Stylizer(loaded, bank=path)
    forged = StyleBank(loaded.fingerprint, "tiny")
    forged.add("waves", make_code(0))
    with pytest.raises(BankError, match="have not the shapes that its model takes"):
        Stylizer(loaded, bank=forged)
