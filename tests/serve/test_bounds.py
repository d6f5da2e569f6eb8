"""What clients are held to: every mistake is a sentence, and none of them is a crash."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from din_jax.data.files import FORMATS
from din_jax.errors import UserError
from din_jax.serve import painting
from din_jax.serve.limits import Budget, Limits
from din_jax.serve.scans import MOST_SCANS, scans

from .serving import drawn, opened, part, png, refused


def header(width, height):
    """A PNG file that claims a size, without its pixels."""

    def chunk(kind, data):
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    about = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", about) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


MISTAKES = {
    "no content": ({"content": []}, 422, ["send a file as content"]),
    "no style": ({"style": []}, 422, ["at least one style"]),
    "content by name": ({"content": "photo.jpg"}, 422, ["content=@picture.png"]),
    "a wrong name": ({"style": "wavs"}, 422, ["'wavs'", "nearest are waves"]),
    "a path": ({"style": "/etc/passwd"}, 422, ["'/etc/passwd'", "style=@"]),
    "an own file": ({"style": __file__}, 422, ["there is no style"]),
    "weights in words": ({"weights": "two"}, 422, ["weights takes numbers", "'two'"]),
    "weights too many": ({"weights": ["1", "2"]}, 422, ["1 styles need 1 weights"]),
    "weights of nothing": ({"weights": "0"}, 422, ["sum above 0"]),
    "weights infinite": ({"weights": "inf"}, 422, ["finite"]),
    "strength beyond": ({"strength": "1.5"}, 422, ["strength must be 0 to 1"]),
    "strength no number": ({"strength": "nan"}, 422, ["strength must be 0 to 1"]),
    "strength twice": ({"strength": ["1", "1"]}, 422, ["once"]),
    "an unknown level": ({"levels": "level9=1"}, 422, ["level9"]),
    "a level without strength": ({"levels": "level1"}, 422, ["LEVEL=STRENGTH"]),
    "an unknown color": ({"color": "red"}, 422, ["style, luminance, match"]),
    "a size below": ({"size": "0"}, 422, ["size must be 1"]),
    "a size in words": ({"size": "big"}, 422, ["size takes whole numbers"]),
    "a huge number": ({"size": "9" * 4000}, 422, ["size must be"]),
    "more digits than are read": ({"size": "9" * 4090}, 422, ["size"]),
    "a scale too large": ({"scale": "4096"}, 422, ["scale must be 0 to 724"]),
    "a scale too small": ({"scale": "5"}, 422, ["scale must be 32"]),
    "a scale of a name": ({"scale": "64"}, 422, ["already"]),
    "a soft edge": ({"feather": "1e9"}, 422, ["feather must be 0 to 128"]),
    "an unknown format": ({"format": "gif"}, 422, ["png, jpg"]),
    "a quality beyond": ({"quality": "101"}, 422, ["1 to 100"]),
    "seamless perhaps": ({"seamless": "perhaps"}, 422, ["true"]),
    "an unknown field": ({"stlye": "waves"}, 422, ["'stlye'", "nearest is style"]),
    "masks too many": ({"mask": [png(drawn(32, 32))] * 3}, 422, ["need 1 mask"]),
    "masks and weights": (
        {"style": ["waves", "mosaic"], "mask": png(drawn(32, 32)), "weights": "1"},
        422, ["give one of the two"],
    ),
    "no picture": ({"content": b"no picture"}, 415, ["must be a picture"]),
    "nothing": ({"content": b""}, 415, ["is empty"]),
    "half a picture": ({"content": png(drawn(64, 64))[:900]}, 415, ["complete picture"]),
    "a style that is none": ({"style": b"GIF89a"}, 415, ["must be a picture"]),
    "a program": ({"content": b"%!PS-Adobe-3.0 EPSF-3.0\n"}, 415, list(FORMATS)),
    "an icon": ({"content": png(drawn(8, 8))}, 415, ["at least 16 px"]),
    "a bomb": ({"content": header(60000, 60000)}, 415, ["at most"]),
    "more pixels than allowed": ({"content": header(6000, 6000)}, 413, ["24000000", "6000 x 6000"]),
    "styles too many": ({"style": ["waves"] * 9}, 413, ["at most 8 styles"]),
    "a text as long as a book": ({"style": "x" * 5000}, 400, ["Part exceeded"]),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_sentence(served, picture, name):
    sent, status, words = MISTAKES[name]
    answer = served.post(wait=True, **{"content": picture, "style": "waves", **sent})
    refused(answer, status, *words)


def test_a_form_that_is_none_is_a_sentence(served):
    refused(served.client.post("/api/v1/stylize", json={}), 415, "curl -F")
    refused(served.client.post("/api/v1/stylize"), 415, "multipart")
    kind = {"content-type": "multipart/form-data"}
    refused(served.client.post("/api/v1/stylize", content=b"x", headers=kind), 400, "boundary")
    kind = {"content-type": "multipart/form-data; boundary=b"}
    cut, nameless, many = b"--b\r\nx", b"--b\r\n\r\n\r\n--b--", part(b"content", b"x", b"x") * 60
    for body, status in ((b"x", 400), (cut, 422), (nameless, 400), (many, 400)):
        refused(served.client.post("/api/v1/stylize", content=body, headers=kind), status)
    refused(served.client.get("/api/v1/stylize?wait=perhaps"), 404)
    refused(served.client.put("/api/v1/stylize"), 405, "openapi.json")
    refused(served.client.post("/api/v1/stylize?wait=perhaps", headers=kind), 422, "wait")
    refused(served.client.get("/api/v1/styles?most=-1"), 422, "most")


@pytest.mark.parametrize("seed", range(8))
def test_garbage_is_a_sentence(served, picture, seed):
    """A good request with bytes of it changed: painted, or a sentence, never a defect."""
    rng = np.random.default_rng(seed)
    good = part(b"content", picture, b"x.png") + part(b"style", b"waves") + b"--b--\r\n"
    kind = {"content-type": "multipart/form-data; boundary=b"}
    for _ in range(12):
        body = bytearray(good)
        for at in rng.integers(0, len(body), rng.integers(1, 12)):
            body[at] = rng.integers(256)
        answer = served.client.post("/api/v1/stylize?wait=true", content=bytes(body), headers=kind)
        if answer.status_code == 200:
            assert opened(answer.content).shape[2] in (3, 4)
        else:
            assert answer.status_code in (400, 413, 415, 422)
            refused(answer, answer.status_code)


def test_uploads_are_bounded_together(start, gate, picture):
    served = start(paint=gate.paint, upload_bytes=3 << 20, uploads_bytes=4 << 20)
    large = picture + bytes(2 << 20)
    first = served.post(content=large, style="waves")
    assert first.status_code == 202, first.text
    answer = served.post(content=large, style="waves")
    refused(answer, 503, "try again")
    assert int(answer.headers["retry-after"]) >= 1
    gate.open.set()
    assert served.finish(first.json()["id"])["state"] == "done"
    assert served.post(content=large, style="waves").status_code == 202  # given back


def test_masks_are_bounded_by_pixels(start):
    served = start(pixels=40 * 40)
    sent = {"style": ["waves", "mosaic"], "content": png(drawn(32, 32))}
    refused(served.post(mask=png(drawn(16, 16)), **sent), 413, "1024 x 2")
    assert served.post(mask=png(drawn(16, 16)), size="24", **sent).status_code == 202


def test_style_pictures_are_decoded_one_by_one_or_bounded_together(start, small, monkeypatch):
    served = start(pixels=40 * 40)
    sent = {"style": [png(drawn(32, 32, i)) for i in range(3)], "content": png(drawn(32, 32))}
    refused(served.post(color="match", **sent), 413, "3072")
    order = []
    decoded, code = painting._decoded, small.stylizer.code
    monkeypatch.setattr(painting, "_decoded", lambda x: order.append("decoded") or decoded(x))
    monkeypatch.setattr(
        small.stylizer, "code", lambda x, *rest: order.append("encoded") or code(x, *rest)
    )
    assert served.post(wait=True, **sent).status_code == 200
    assert order[:6] == ["decoded", "encoded"] * 3


def test_a_header_may_promise_more_than_there_is(served):
    """Sizes that are allowed, of files of a few bytes."""
    for kind in ("BMP", "TIFF", "PPM"):
        buffer = io.BytesIO()
        Image.fromarray(drawn(32, 32)).save(buffer, kind)
        answer = served.post(wait=True, content=buffer.getvalue()[:200], style="waves")
        refused(answer, 415, "complete picture")


def jpeg(**options):
    buffer = io.BytesIO()
    Image.fromarray(drawn(64, 64)).save(buffer, "JPEG", **options)
    return buffer.getvalue()


def drawn_over(times):
    """A progressive JPEG whose first scan is there so many times more."""
    data = jpeg(progressive=True)
    start = data.index(b"\xff\xda")
    end = data.index(b"\xff", start + 2)
    while data[end + 1] == 0:
        end = data.index(b"\xff", end + 1)
    return data[:end] + data[start:end] * times + data[end:]


def test_a_picture_that_is_drawn_over_for_hours_is_refused(served):
    """Each time costs a decoder as much as the picture, and the file a few bytes."""
    assert opened(drawn_over(3)).shape == (64, 64, 3)  # what decoders take
    answer = served.post(wait=True, content=drawn_over(3000), style="waves")
    refused(answer, 413, "64 times")
    assert served.post(wait=True, content=drawn_over(3), style="waves").status_code == 200


def test_scans_are_counted_as_a_decoder_meets_them():
    once, often = jpeg(), jpeg(progressive=True)
    assert scans(once) == 1
    assert scans(often) == often.count(b"\xff\xda") > 5
    # What lies in a segment (a thumbnail), or behind the end (a film), is no scan.
    comment = b"\xff\xfe\x00\xca" + b"\xff\xda" * 100
    assert scans(once[:2] + comment + once[2:]) == 1
    assert scans(once + b"\xff\xda" * 100) == 1
    assert scans(jpeg(restart_marker_blocks=1)) == 1
    assert scans(png(drawn(16, 16))) == scans(b"") == scans(b"\xff\xd8\xff") == 0
    assert scans(drawn_over(1000)) == MOST_SCANS + 1


# --- the bounds themselves


def test_a_budget_lends_no_more_than_it_has():
    budget = Budget(10)
    assert budget.take(6) and not budget.take(5) and budget.take(4)
    budget.give(6)
    assert budget.lent == 4 and budget.take(6)


@pytest.mark.parametrize(
    "wrong", [{"queue": 0}, {"pixels": 10**9}, {"upload_bytes": 1 << 40}, {"kept_seconds": -1}]
)
def test_bounds_that_cannot_be_are_a_sentence(wrong):
    with pytest.raises(UserError):
        Limits(**wrong)
