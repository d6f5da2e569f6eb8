"""Every kind of picture becomes the right RGB, and everything else one sentence."""

import logging
import os
import struct
import tracemalloc
import types
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import EpsImagePlugin, Image

import din_jax
from din_jax.data import decoding, limits, rgb
from din_jax.data.decoding import (
    BadImageError,
    MissingImageError,
    decode_image,
    decode_pil,
    list_images,
    load_image,
    open_header,
    save_image,
)
from din_jax.data.decoding import upright as turned_upright
from din_jax.data.files import FORMATS
from din_jax.data.opening import open_source
from din_jax.data.rgb import to_rgb
from din_jax.data.sources import SourceError
from din_jax.errors import UserError

RED, SIDE = (200, 40, 10), 16


def corner_marked(width=24, height=18) -> np.ndarray:
    """Black, but red in the upper left quarter."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[: height // 2, : width // 2] = RED
    return pixels


def test_rgb_png_is_exact(encode):
    pixels = np.random.default_rng(0).integers(0, 256, (17, 23, 3), np.uint8)
    result = decode_image(encode(pixels))
    assert result.dtype == np.uint8
    np.testing.assert_array_equal(result, pixels)


def test_grey_fills_three_channels(encode):
    grey = np.arange(400, dtype=np.uint16).reshape(20, 20).astype(np.uint8)
    np.testing.assert_array_equal(decode_image(encode(grey)), np.repeat(grey[..., None], 3, 2))


def test_one_bit_is_black_and_white(encode):
    bits = np.eye(16, dtype=bool)
    np.testing.assert_array_equal(decode_image(encode(bits))[..., 1], bits * 255)


@pytest.mark.parametrize("alpha, expected", [(0, 255), (255, 100), (51, 224)])
def test_transparency_is_composited_on_white(encode, alpha, expected):
    # 100 * a + 255 * (1 - a): a = 51 / 255 = 0.2 gives 224.
    pixels = np.full((SIDE, SIDE, 4), 100, np.uint8)
    pixels[..., 3] = alpha
    np.testing.assert_allclose(decode_image(encode(pixels)), expected, atol=1)


def test_grey_with_alpha_is_composited_on_white(encode):
    pixels = np.zeros((SIDE, SIDE, 2), np.uint8)
    pixels[:, 8:, 1] = 255
    result = decode_image(encode(Image.fromarray(pixels, "LA")))
    assert (result[:, :8] == 255).all() and (result[:, 8:] == 0).all()


def test_palette_with_and_without_transparency(encode):
    image = Image.new("P", (SIDE, SIDE), 1)
    image.putpalette([0, 0, 0, *RED, 9, 9, 9])
    image.paste(2, (0, 0, 8, SIDE))
    plain = decode_image(encode(image))
    assert tuple(plain[0, 0]) == (9, 9, 9) and tuple(plain[0, 15]) == RED
    clear = decode_image(encode(image, transparency=2))
    assert tuple(clear[0, 0]) == (255, 255, 255) and tuple(clear[0, 15]) == RED


def test_transparent_color_key_of_rgb_png(encode):
    data = encode(corner_marked(), transparency=RED)
    assert tuple(decode_image(data)[0, 0]) == (255, 255, 255)


@pytest.mark.parametrize("ink, color", [
    ((0, 0, 0, 0), (255, 255, 255)), ((0, 255, 255, 0), (255, 0, 0)),
    ((255, 0, 0, 0), (0, 255, 255)), ((0, 0, 0, 255), (0, 0, 0)),
])
def test_cmyk_jpeg_has_subtractive_colors(encode, ink, color):
    data = encode(Image.new("CMYK", (SIDE, SIDE), ink), "JPEG", quality=100)
    np.testing.assert_allclose(decode_image(data)[8, 8], color, atol=3)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bit_grey_is_scaled_not_clipped(encode, kind):
    # v / 257 maps 0..65535 onto 0..255: 0x8080 = 32896 is exactly 128.
    values = np.zeros((SIDE, SIDE), np.uint16)
    values[:, 1:4] = 257, 32896, 65535
    np.testing.assert_array_equal(decode_image(encode(values, kind))[0, :5, 0], [0, 1, 128, 255, 0])


def test_float_tiff_in_unit_range(encode):
    values = np.full((SIDE, SIDE), 0.5, np.float32)
    values[0] = 1
    assert set(decode_image(encode(values, "TIFF"))[:2, 0, 0]) == {255, 128}


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(encode, orientation):
    # The eight orientations by the EXIF standard: where row 0 and column 0 of the stored
    # picture belong. Undoing each with numpy must give the upright picture.
    upright = corner_marked()
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),
        7: upright[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(np.ascontiguousarray(stored), exif=exif)
    np.testing.assert_array_equal(decode_image(data), upright)
    # Who is given the Pillow image need not know whether it has been turned.
    np.testing.assert_array_equal(np.asarray(turned_upright(decode_pil(data))), upright)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")  # pytest sets aside the filter of the module
def test_damaged_exif_keeps_the_picture(encode):
    damaged = b"Exif\x00\x00II*\x00\xff\xff\xff\x7f" + b"\x01" * 9
    data = encode(corner_marked(), "JPEG", exif=damaged)
    assert decode_image(data).shape == (18, 24, 3)


def test_webp_and_animations_give_the_first_frame(encode):
    first, second = Image.new("RGB", (20, 20), RED), Image.new("RGB", (20, 20), (0, 0, 255))
    for kind in ("GIF", "PNG", "WEBP"):
        options = {"lossless": True} if kind == "WEBP" else {}
        data = encode(first, kind, save_all=True, append_images=[second], **options)
        np.testing.assert_allclose(decode_image(data)[0, 0], RED, atol=2)


def test_draft_decodes_smaller_but_not_below_min_side(encode):
    data = encode(np.zeros((400, 640, 3), np.uint8), "JPEG")
    assert decode_image(data, min_side=90).shape == (100, 160, 3)
    assert decode_image(data, min_side=150).shape == (200, 320, 3)
    assert decode_image(data).shape == (400, 640, 3)


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and has hardly any data."""

    def chunk(kind, body):
        check = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + check

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = chunk(b"IHDR", header), chunk(b"IDAT", b"x"), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def tiled_tiff(side: int) -> bytes:
    """A TIFF of 64 x 64 px in tiles of `side` px, each of 3 bytes; without pixels."""
    shorts = {256: 64, 257: 64, 258: 8, 259: 8, 262: 2, 277: 3}
    longs = {322: side, 323: side, 324: 8, 325: 1}
    entries = [struct.pack("<HHIHH", tag, 3, 1, value, 0) for tag, value in shorts.items()]
    entries += [struct.pack("<HHII", tag, 4, 1, value) for tag, value in longs.items()]
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + b"".join(entries) + b"\0" * 4


def test_eps_by_any_name_is_refused_and_runs_nothing(tmp_path, encode, monkeypatch):
    data = encode(np.zeros((200, 200, 3), np.uint8), "EPS")
    path = tmp_path / "photo.jpg"
    path.write_bytes(data)
    started = []
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *_, **__: started.append(1))
    for what in (data, path):
        for read in (decode_image, open_header):
            with pytest.raises(BadImageError, match="must be a picture .JPEG, PNG, .*PPM., but is"):
                read(what)
    assert not started
    with pytest.raises(SourceError, match="photo.jpg"):
        open_source(str(tmp_path), "content")


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_is_known_by_its_content(tmp_path, encode, kind):
    pixels = np.full((20, 24, 3), 200, np.uint8)
    path = tmp_path / "picture.jpg"
    path.write_bytes(encode(pixels, kind))
    np.testing.assert_allclose(load_image(path), pixels, atol=3)
    assert open_header(path) == kind


def test_pictures_are_opened_in_one_place_alone():
    package = Path(din_jax.__file__).parent
    found = [p.name for p in package.rglob("*.py") if "Image.open(" in p.read_text("utf-8")]
    assert found == ["decoding.py"]


@pytest.mark.parametrize("mode", ["I;16", "I;16B", "I", "F", "LA", "RGBA", "P", "RGB", "CMYK", "1"])
def test_rows_are_converted_as_the_whole_is(monkeypatch, mode):
    rng = np.random.default_rng(0)
    values = rng.integers(0, 65536, (40, 30))
    if mode in ("I;16", "I;16B", "I", "F"):
        values[:39] //= 300  # what decides over white stands in the last row
        kind = {"I": np.int32, "F": np.float32}.get(mode, ">u2" if mode == "I;16B" else "<u2")
        image = Image.frombytes(mode, (30, 40), values.astype(kind).tobytes())
    else:
        image = Image.fromarray((values % 256).astype(np.uint8)).convert(mode)
    if mode in ("P", "RGB"):
        image.info["transparency"] = 7 if mode == "P" else image.getpixel((0, 0))
    whole = np.asarray(to_rgb(image))
    monkeypatch.setattr(rgb, "_BAND", 100)  # 3 rows
    np.testing.assert_array_equal(np.asarray(to_rgb(image)), whole)


def test_sixteen_bits_take_no_more_memory_than_eight(encode):
    data = encode(np.full((2000, 3000), 32896, np.uint16))
    tracemalloc.start()
    assert (decode_image(data)[:, 0, 0] == 128).all()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 12 * 2000 * 3000  # bytes; Pillow's own are not seen


@pytest.mark.parametrize("megapixels", [24, 50])
@pytest.mark.parametrize("kind", FORMATS)
def test_photographs_of_usual_sizes_are_not_too_costly(kind, megapixels):
    side = round((megapixels * 1e6) ** 0.5)
    image = types.SimpleNamespace(size=(side, side), width=side, height=side, format=kind)
    decoding.check_cost(image, "photo")


@pytest.mark.parametrize("name", ["empty", "text", "tiny", "huge", "bomb", "cut jpeg", "cut png",
                                  "garbage png", "tile", "huge file"])
def test_bad_data_is_one_sentence(encode, name, monkeypatch):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    jpeg, png = encode(noise, "JPEG"), encode(noise)
    data = {
        "empty": b"",
        "text": b"this is no picture" * 9,
        "tiny": encode(np.zeros((15, 400, 3), np.uint8)),
        "huge": png_header(10_000, 10_000),
        "bomb": png_header(60_000, 60_000),
        "cut jpeg": jpeg[: len(jpeg) // 2],
        "cut png": png[: len(png) // 2],
        "garbage png": png_header(64, 64),
        "tile": tiled_tiff(20_000),
        "huge file": png,
    }[name]
    if name == "huge file":
        monkeypatch.setattr(decoding, "MAX_FILE_BYTES", len(png) - 1)
    with pytest.raises(BadImageError) as error:
        decode_image(data)
    text = str(error.value)
    assert isinstance(error.value, UserError)
    assert text.startswith("image data must") and text.endswith(".") and "\n" not in text
    words = {"tile": "takes 1144 (TIFF, 64 x 64 px)", "huge file": "MiB"}
    assert words.get(name, "") in text


def test_memory_is_bounded_by_what_the_format_takes(encode, monkeypatch):
    pixels = np.zeros((64, 64, 3), np.uint8)
    monkeypatch.setattr(limits, "MAX_BYTES", 64 * 64 * 17)
    assert decode_image(encode(pixels)).shape == (64, 64, 3)
    with pytest.raises(BadImageError, match="to decode, but takes 0 .WEBP, 64 x 64 px.: scale it"):
        decode_image(encode(pixels, "WEBP"))


def test_error_names_the_file(tmp_path):
    path = tmp_path / "broken.jpg"
    path.write_bytes(b"nothing")
    with pytest.raises(BadImageError, match="broken.jpg"):
        load_image(path)
    for missing in (tmp_path / "absent.jpg", tmp_path):
        with pytest.raises(MissingImageError) as error:
            load_image(missing)
        assert isinstance(error.value, FileNotFoundError) and isinstance(error.value, UserError)


def test_load_image_size_and_square(tmp_path, encode):
    path = tmp_path / "a.png"
    path.write_bytes(encode(corner_marked(60, 40)))
    assert load_image(path).shape == (40, 60, 3)
    assert load_image(path, size=20).shape == (20, 30, 3)
    assert load_image(path, size=80).shape == (80, 120, 3)
    assert load_image(path, square=True).shape == (40, 40, 3)
    assert load_image(path, size=16, square=True).shape == (16, 16, 3)
    np.testing.assert_array_equal(load_image(path, square=True), corner_marked(60, 40)[:, 10:50])


def test_load_image_refuses_a_result_too_large(tmp_path, encode):
    path = tmp_path / "strip.png"
    path.write_bytes(encode(np.zeros((16, 1600), np.uint8)))
    with pytest.raises(BadImageError, match="short side of 2000 px"):
        load_image(path, size=2000)


@pytest.mark.parametrize("suffix, tolerance", [(".png", 0), (".PNG", 0), (".jpg", 8)])
def test_save_then_load(tmp_path, suffix, tolerance):
    ramp = np.linspace(0, 255, 32).astype(np.uint8)
    pixels = np.stack(np.broadcast_arrays(ramp[:, None], ramp[None], 99), -1).astype(np.uint8)
    path = save_image(tmp_path / "new" / f"a{suffix}", pixels)
    np.testing.assert_allclose(load_image(path).astype(int), pixels, atol=tolerance)
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_save_refuses_what_it_cannot_write(tmp_path):
    pixels = np.zeros((16, 16, 3), np.uint8)
    for path, array in (("a.xyz", pixels), ("a.png", pixels / 255), ("a.png", pixels[..., :2])):
        with pytest.raises(UserError):
            save_image(tmp_path / path, array)
    assert not list(tmp_path.iterdir())


def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    path = save_image(tmp_path / "a.png", np.full((16, 16, 3), 7, np.uint8))

    def fail(*_, **__):
        raise OSError("disk full")

    monkeypatch.setattr(type(path), "write_bytes", fail)
    with pytest.raises(OSError, match="disk full"):
        save_image(path, np.zeros((16, 16, 3), np.uint8))
    assert load_image(path)[0, 0, 0] == 7 and len(list(tmp_path.iterdir())) == 1


def test_list_images_is_natural_recursive_and_finite(tmp_path, caplog):
    (tmp_path / "b" / "deep").mkdir(parents=True)
    (tmp_path / ".hidden").mkdir()
    for name in ("10.jpg", "2.JPG", "b/1.webp", "b/deep/x.PnG", ".a.jpg", ".hidden/a.jpg", "n.txt"):
        (tmp_path / name).touch()
    (tmp_path / "b" / "deep" / "loop").symlink_to(tmp_path, target_is_directory=True)
    with caplog.at_level(logging.WARNING):
        names = [path.relative_to(tmp_path).as_posix() for path in list_images(tmp_path)]
    assert names == ["2.JPG", "10.jpg", "b/1.webp", "b/deep/x.PnG"]
    with pytest.raises(MissingImageError, match="does not exist"):
        list_images(tmp_path / "absent")
    with pytest.raises(MissingImageError, match="is a file"):
        list_images(tmp_path / "n.txt")


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("name", ["vermeer", "monet_1899(2)", "photo.jpeg_large"])
def test_pictures_without_a_suffix_are_found_by_their_first_bytes(tmp_path, encode, kind, name):
    # A raw photograph is a TIFF and a text may begin as a bitmap: those need a bare name.
    found = kind not in ("TIFF", "BMP", "PPM") or "." not in name
    (tmp_path / name).write_bytes(encode(np.zeros((16, 16, 3), np.uint8), kind))
    assert list_images(tmp_path) == [tmp_path / name] * found


def test_what_is_no_picture_is_not_listed(tmp_path):
    os.mkfifo(tmp_path / "pipe")  # opening it would wait for ever
    for name, data in (("README", b"P1 of the list"[1:]), ("empty", b""), ("a.txt", b"P1 text")):
        (tmp_path / name).write_bytes(data)
    assert list_images(tmp_path) == []
