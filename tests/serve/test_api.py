"""The API paints what `Stylizer.stylize` paints, and says what it is."""

import json
import time

import httpx
import numpy as np
import pytest
from PIL import Image

import din_jax
from din_jax.data.decoding import decode_pil
from din_jax.data.saving import encode_picture

from .serving import SECONDS, drawn, opened, png


@pytest.fixture(scope="module")
def content():
    return drawn(67, 96, 1)


def test_a_picture_is_the_stylizers(served, small, content):
    answer = served.post(wait=True, content=png(content), style="waves")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "image/png"
    expected = small.stylizer.stylize(content, "waves")
    assert np.ptp(expected.astype(int)) > 40  # a picture
    np.testing.assert_array_equal(opened(answer.content), expected)


CONTROLS = {
    "weights": (["waves", "mosaic"], {"weights": ["2", "1"]}, {"weights": [2, 1]}),
    "weights in one": (["waves", "mosaic"], {"weights": "2, 1"}, {"weights": [2, 1]}),
    "strength": (["waves"], {"strength": "0.4"}, {"strength": 0.4}),
    "levels": (["waves"], {"levels": "level1=0.5"}, {"levels": {"level1": 0.5}}),
    "luminance": (["waves"], {"color": "luminance"}, {"color": "luminance"}),
    "seamless": (["mosaic"], {"seamless": "true"}, {"seamless": True}),
}


@pytest.mark.parametrize("name", CONTROLS)
def test_every_control_is_the_stylizers(served, small, content, name):
    styles, sent, settings = CONTROLS[name]
    answer = served.post(wait=True, content=png(content), style=styles, **sent)
    assert answer.status_code == 200, answer.text
    expected = small.stylizer.stylize(content, styles, **settings)
    np.testing.assert_array_equal(opened(answer.content), expected)
    assert np.any(expected != small.stylizer.stylize(content, styles[:1]))


@pytest.mark.parametrize("settings", [{}, {"scale": 48}, {"color": "match"}], ids=str)
def test_styles_may_be_pictures(served, small, content, settings):
    style = drawn(50, 64, 9)
    answer = served.post(wait=True, content=png(content), style=png(style), **settings)
    assert answer.status_code == 200, answer.text
    expected = small.stylizer.stylize(content, style, **settings)
    np.testing.assert_array_equal(opened(answer.content), expected)


def test_masks_give_each_style_its_place(served, small, content):
    mask = np.zeros((67, 96), np.uint8)
    mask[:, 40:] = 255
    sent = {"style": ["waves", "mosaic"], "mask": png(mask), "feather": "2"}
    answer = served.post(wait=True, content=png(content), **sent)
    assert answer.status_code == 200, answer.text
    expected = small.stylizer.stylize(content, ["waves", "mosaic"], masks=[mask], feather=2)
    np.testing.assert_array_equal(opened(answer.content), expected)


def test_transparency_and_orientation_are_kept_as_the_stylizer_keeps_them(served, small, content):
    alpha = np.zeros((67, 96, 1), np.uint8)
    alpha[10:50, 20:80] = 255
    given = np.concatenate([content, alpha], -1)
    answer = served.post(wait=True, content=png(given), style="waves")
    np.testing.assert_array_equal(opened(answer.content), small.stylizer.stylize(given, "waves"))


@pytest.mark.parametrize(
    ("size", "shape"), [(48, (34, 48, 3)), (96, (67, 96, 3)), (500, (67, 96, 3))]
)
def test_size_makes_smaller_alone(served, small, content, size, shape):
    answer = served.post(wait=True, content=png(content), style="waves", size=str(size))
    smaller = Image.fromarray(content).resize(shape[1::-1], Image.Resampling.BICUBIC)
    expected = np.asarray(small.stylizer.stylize(smaller, "waves"))
    assert expected.shape == shape
    np.testing.assert_array_equal(opened(answer.content), expected)


@pytest.mark.parametrize(
    ("name", "kind"), [("jpg", "image/jpeg"), ("webp", "image/webp"), ("png", "image/png")]
)
def test_formats_are_those_of_saving(served, small, content, name, kind):
    sent = {"format": name, "quality": "80"}
    answer = served.post(wait=True, content=png(content), style="waves", **sent)
    painted = small.stylizer.stylize(Image.fromarray(content), "waves")
    assert answer.content == encode_picture(painted, f".{name}", quality=80)
    assert answer.headers["content-type"] == kind


def test_a_batch_is_one_job_with_a_picture_each(start, small):
    served = start()
    contents = [drawn(40 + 8 * i, 52, i) for i in range(3)]
    answer = served.post(content=[png(x) for x in contents], style="mosaic")
    assert answer.status_code == 202, answer.text
    job = answer.json()
    assert answer.headers["location"] == f"/api/v1/jobs/{job['id']}"
    assert (job["count"], job["error"]) == (3, None)
    state = served.finish(job["id"])
    assert (state["state"], state["progress"], state["place"]) == ("done", 1.0, None)
    for content, about in zip(contents, state["pictures"], strict=True):
        found = served.client.get(about["url"])
        expected = small.stylizer.stylize(content, "mosaic")
        np.testing.assert_array_equal(opened(found.content), expected)
        assert (about["height"], about["width"]) == content.shape[:2]
        assert about["bytes"] == len(found.content)
    assert served.client.delete(f"/api/v1/jobs/{job['id']}").status_code == 204
    assert served.client.get(state["pictures"][0]["url"]).status_code == 404
    assert served.queue.results.lent == 0


def test_a_picture_that_was_waited_for_leaves_nothing(start, content):
    served = start()
    assert served.post(wait=True, content=png(content), style="waves").status_code == 200
    end = time.monotonic() + SECONDS  # it is let go of when it has been sent
    while served.queue.results.lent and time.monotonic() < end:
        time.sleep(0.01)
    assert served.queue.results.lent == 0


def test_a_large_picture_is_painted_in_pieces_and_tells_how_far_it_is(start, small, monkeypatch):
    told = []
    tiler = small.stylizer.engine._tiler
    monkeypatch.setattr(tiler, "_tile", tiler.smallest + 64)
    content = drawn(2 * tiler.smallest, 3 * tiler.smallest, 2)

    def paint(wish, tell):
        from din_jax.serve.painting import Painter

        def both(progress):
            told.append(progress)
            tell(progress)

        yield from Painter(small.stylizer, small.steps).paint(wish, both)

    served = start(paint=paint)
    answer = served.post(wait=True, content=png(content), style="waves")
    expected = small.stylizer.stylize(content, "waves")
    np.testing.assert_array_equal(opened(answer.content), expected)
    assert len(told) > 4 and told == sorted(told) and 0 < told[0] < told[-1] == 1


def test_styles_are_named_and_searched_for(served, small):
    found = served.client.get("/api/v1/styles").json()
    assert [style["name"] for style in found["styles"]] == list(small.stylizer.styles)
    assert found["total"] == 3
    found = served.client.get("/api/v1/styles", params={"search": "glass", "most": 1}).json()
    (style,) = found["styles"]
    assert style["name"] == "stained glass"
    thumbnail = served.client.get(style["thumbnail"])
    expected = small.stylizer.bank.thumbnail("stained glass")
    np.testing.assert_array_equal(opened(thumbnail.content), expected)
    part = served.client.get("/api/v1/styles", params={"start": 1, "most": 1}).json()["styles"]
    assert [style["name"] for style in part] == ["mosaic"]
    missing = served.client.get("/api/v1/styles/wavs/thumbnail")
    assert missing.status_code == 404 and "nearest are waves" in missing.json()["error"]


def test_info_says_what_paints_and_its_bounds(served, small):
    info = served.client.get("/api/v1/info").json()
    assert info["fingerprint"] == small.stylizer.loaded.fingerprint
    assert (info["version"], info["styles"]) == (din_jax.__version__, 3)
    assert info["limits"]["upload_bytes"] == 64 << 20 and info["pictures_as_styles"]


def test_the_description_names_what_is_there(served, small):
    about = served.client.get("/api/v1/openapi.json").json()
    paths = {f"{method} {path}" for path, of in about["paths"].items() for method in of}
    assert paths == {
        "get /api/v1/info", "get /api/v1/styles", "get /api/v1/styles/{name}/thumbnail",
        "post /api/v1/stylize", "get /api/v1/jobs/{job}", "delete /api/v1/jobs/{job}",
        "get /api/v1/jobs/{job}/pictures/{number}",
    }  # fmt: skip
    for path in about["paths"].values():
        for operation in path.values():
            assert operation["summary"]
    form = about["paths"]["/api/v1/stylize"]["post"]["requestBody"]["content"]
    fields = form["multipart/form-data"]["schema"]["properties"]
    from din_jax.serve.wishes import FILES, TEXTS

    assert set(fields) == {*FILES, *TEXTS}
    # What is not described so is not answered so.
    state = served.post(content=png(drawn(32, 32)), style="waves").json()
    described = about["components"]["schemas"]["JobState"]["properties"]
    assert set(state) == set(described)
    assert not [text for text in ("http://", "https://") if text in json.dumps(about)]


def test_there_is_nothing_to_load_from_elsewhere(served):
    for path in ("/docs", "/redoc", "/openapi.json", "/.git/config", "/../etc/passwd"):
        answer = served.client.get(path)
        assert answer.status_code == 404 and answer.json()["error"].endswith(".")


def test_answers_carry_the_headers_that_shut_others_out(served, picture):
    for answer in (
        served.client.get("/api/v1/info"),
        served.client.get("/nothing"),
        served.post(content=picture, style="nothing"),
        served.client.post("/api/v1/stylize"),
    ):
        headers = answer.headers
        assert "default-src 'self'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert headers["cache-control"] == "no-store"
        assert not [name for name in headers if name.startswith("access-control")]


def test_a_table_of_styles_is_served_by_name_alone(small, content):
    from din_jax.inference.stylizer import Stylizer
    from din_jax.serve.painting import Steps
    from tests.inference.conftest import load_method

    from .serving import serving

    steps = Steps()
    table = Stylizer(load_method("cin"), batch=1, progress=steps)
    with serving(table, steps) as served:
        answer = served.post(wait=True, content=png(content), style="glass")
        np.testing.assert_array_equal(opened(answer.content), table.stylize(content, "glass"))
        answer = served.post(content=png(content), style=png(content))
        assert answer.status_code == 422 and "give a name" in answer.json()["error"]
        (style, *_) = served.client.get("/api/v1/styles").json()["styles"]
        assert style == {"name": "waves", "thumbnail": None}


def test_requests_side_by_side_are_each_its_own(served, small):
    from concurrent.futures import ThreadPoolExecutor

    contents = [drawn(40, 40, seed) for seed in range(8)]

    def ask(content):
        with httpx.Client(base_url=served.client.base_url, timeout=60, trust_env=False) as client:
            files = [("content", ("x.png", png(content))), ("style", (None, "waves"))]
            return client.post("/api/v1/stylize?wait=true", files=files)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, contents))
    for content, answer in zip(contents, answers, strict=True):
        np.testing.assert_array_equal(
            np.asarray(decode_pil(answer.content)), small.stylizer.stylize(content, "waves")
        )
