"""The report of a run is one file that says what the run's folder says, and runs nothing."""

import base64
import html.parser
import io
import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from din_jax.data.decoding import save_image
from din_jax.errors import UserError
from din_jax.tools import report
from din_jax.training.charts import POINTS, Curve, chart, thinned, ticks
from din_jax.training.page import GRIDS, note_start, read_metrics, write_page


@pytest.fixture(scope="module")
def run(tiny, changed, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "one <b>"
    folder.mkdir()
    config = changed(tiny, train={"steps": 20}).to_dict() | {"name": "<i>odd & name"}
    (folder / "config.json").write_text(json.dumps(config))
    rows = ["step,name,value"]
    for step in range(1, 13):
        rows += [f"{step},train/total,{2 / step:.6g}", f"{step},train/other,1"]
        rows += [f"{step},train/input_pairs_per_second,120"]
        rows += [f"{step},train/step_pairs_per_second,4.3", f"{step},train/input_share,0.036"]
    rows += ["0,validation/total,3", "12,validation/total,1.5", "12,train/grad", "x,train/total,1"]
    (folder / "metrics.csv").write_text("\n".join(rows) + "\n")
    for step in range(12):
        sheet = np.full((24, 40, 3), 20 * step, np.uint8)
        save_image(folder / "grids" / f"step_{step:07d}.png", sheet)
    note_start(folder, ["din-jax", "train", "--config=din:demo", "--workdir", "a b"])
    return folder


class Reader(html.parser.HTMLParser):
    """Tags with their attributes, and the text between them."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.text += data


@pytest.fixture(scope="module")
def page(run):
    return Reader(write_page(run).read_text())


def test_it_needs_nothing_beside_itself(page):
    assert not {"script", "link", "iframe", "object"} & {tag for tag, _ in page.tags}
    for _, attributes in page.tags:
        assert not any(name.startswith("on") or name == "href" for name in attributes)
        assert attributes.get("src", "data:").startswith("data:")


def test_it_says_how_the_run_was_started_and_where_it_is(page, run):
    assert "din-jax train --config=din:demo --workdir 'a b'" in page.text
    assert "Step 12 of 20" in page.text and '"widths": [' in page.text
    started = json.loads((run / "started.json").read_text())
    assert started["versions"]["jax"] in page.text and started["devices"] in page.text
    # Text of the run is text of the page.
    assert "<i>odd & name: one <b>" in page.text and not {"i", "b"} & {t for t, _ in page.tags}


def test_curves_are_those_of_the_table(page, run):
    metrics = read_metrics(run / "metrics.csv")
    assert metrics["train/total"] == (list(range(1, 13)), [pytest.approx(2 / s, rel=1e-5)
                                                           for s in range(1, 13)])  # fmt: skip
    speed = {"train/input_pairs_per_second", "train/step_pairs_per_second", "train/input_share"}
    assert set(metrics) == {"train/total", "validation/total"} | speed
    lines = [found["points"] for tag, found in page.tags if tag == "polyline"]
    assert [len(points.split()) for points in lines] == [12, 2, 12, 12]
    assert sum(tag == "circle" for tag, _ in page.tags) == 2
    assert "validation/total1.5step 12" in page.text


def test_it_says_whether_the_input_or_the_step_was_the_slower(page, run, tmp_path):
    said = "Input: 120 pairs/s alone, the step takes 4.3: compute-bound (input 3.6% of the time)."
    assert said in page.text
    old = shutil.copytree(run, tmp_path / "old")
    rows = (old / "metrics.csv").read_text().splitlines()
    (old / "metrics.csv").write_text("\n".join(r for r in rows if "pairs_per_second" not in r))
    assert "-bound" not in write_page(old).read_text()


def test_pictures_are_spread_over_the_run(page):
    images = [found for tag, found in page.tags if tag == "img"]
    assert len(images) == GRIDS
    shades = []
    for image in images:
        data = base64.b64decode(image["src"].removeprefix("data:image/jpeg;base64,"))
        shades.append(np.asarray(Image.open(io.BytesIO(data))).mean())
    assert shades == sorted(shades)
    assert abs(shades[0]) < 3 and abs(shades[-1] - 220) < 3


def test_a_run_of_before_and_a_broken_picture_are_no_trouble(run, tmp_path):
    old = shutil.copytree(run, tmp_path / "old")
    (old / "started.json").unlink()
    (old / "grids" / "step_0000000.png").write_bytes(b"no picture")
    text = write_page(old, tmp_path / "page.html").read_text()
    assert text.count("<img") == GRIDS - 1 and "step 0:" in text and "Command" not in text


def test_the_command_writes_it_and_says_where(run, tmp_path, capsys):
    path = tmp_path / "page.html"
    assert report.main([str(run), "--output", str(path)]) == 0
    assert capsys.readouterr().out == f"{path}\n" and path.exists()
    assert report.main([str(run), "--output", str(path)]) == 2
    assert "is there already" in capsys.readouterr().err
    assert report.main([str(tmp_path)]) == 2
    assert "is no run directory" in capsys.readouterr().err


def test_a_run_that_has_logged_nothing_is_one_sentence(run, tmp_path):
    shutil.copy(run / "config.json", tmp_path)
    with pytest.raises(UserError, match="metrics.csv' cannot be read"):
        write_page(tmp_path)


def test_long_curves_are_averaged():
    curve = thinned(Curve("x", list(range(10_000)), [1.0] * 9_999 + [float("nan")]))
    assert len(curve.steps) <= POINTS and set(curve.values) == {1.0}
    assert curve.steps == sorted(curve.steps)


@pytest.mark.parametrize(
    "low,high,found",
    [(0, 10, [0, 2, 4, 6, 8, 10]), (-1, 1, [-1, -0.5, 0, 0.5, 1]), (3, 3, [3]), (0, 0.07, None)],
)
def test_ticks_are_round_numbers_within(low, high, found):
    got = ticks(low, high)
    assert found is None or got == pytest.approx(found)
    assert all(low - 1e-9 <= tick <= high + 1e-9 for tick in got) and 1 <= len(got) <= 6


def test_a_chart_holds_its_points_within_its_frame():
    text = chart("t", [Curve("x", [5, 10], [1e-3, -2e-3]), Curve("none", [1], [float("inf")])])
    points = re.search(r'points="([^"]*)"', text)[1].replace(",", " ").split()
    assert all(0 <= float(x) <= 640 for x in points[::2])
    assert all(0 <= float(y) <= 240 for y in points[1::2]) and "none" not in text
    assert chart("t", [Curve("x", [], [])]) == ""
