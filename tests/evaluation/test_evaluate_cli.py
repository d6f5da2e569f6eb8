"""`evaluate.py` as a user runs it, on a tiny model and pictures made here."""

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from din_jax.data.decoding import load_image
from din_jax.data.outputs import JOURNAL
from din_jax.errors import UserError
from din_jax.models.vgg import conv_shapes, layers_up_to
from din_jax.ops.preprocessing import TORCHVISION
from din_jax.tools import evaluate
from din_jax.weights.vgg19 import VGGWeights, save_vgg19

ROOT = Path(__file__).parents[2]


@pytest.fixture
def vgg_file(tmp_path):
    rng = np.random.default_rng(0)
    params = {
        name: {
            "kernel": rng.normal(0, 0.05, conv_shapes()[name]).astype(np.float32),
            "bias": np.zeros(conv_shapes()[name][3], np.float32),
        }
        for name in layers_up_to("relu4_1")
    }
    weights = VGGWeights(params, TORCHVISION, tuple(params), "random weights of a test")
    save_vgg19(weights, tmp_path / "vgg.npz")
    return tmp_path / "vgg.npz"


def command(*arguments):
    return subprocess.run(
        [sys.executable, str(ROOT / "evaluate.py"), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=600,
    )


@pytest.mark.slow
def test_all_pairs_are_painted_measured_and_shown(model_file, vgg_file, pictures, tmp_path):
    contents = pictures("contents", "a.png", "b.jpg")
    (contents / "bad.png").write_bytes(b"no picture")
    styles = pictures("styles", "s.png", "t.png")
    out = tmp_path / "out"
    done = command(
        "--checkpoint", model_file, "--content", contents, "--style", styles, "--output", out,
        "--metrics", "--vgg", vgg_file, "--size", 32, "--limit", 2,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "skipped 1 of 3 pictures" in done.stderr and "Traceback" not in done.stderr
    names = {"a--s.png", "a--t.png", "b--s.png", "b--t.png"}
    found = {p.name for p in out.iterdir()} - {JOURNAL}
    assert found == names | {"contact_sheet.png", "metrics.csv"}
    assert {load_image(out / name).shape for name in names} == {(32, 32, 3)}
    assert load_image(out / "contact_sheet.png").shape == (4 + 3 * 36, 4 + 3 * 36, 3)
    with (out / "metrics.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 5
    mean = np.mean([float(row["style_loss"]) for row in rows[:-1]])
    assert float(rows[-1]["style_loss"]) == pytest.approx(mean, rel=1e-4)
    assert f"{mean:.4f}" in done.stdout and "random weights of a test" in done.stdout


def test_an_error_is_one_sentence_and_status_2(tmp_path, pictures):
    done = command(
        "--checkpoint", tmp_path / "none", "--content", pictures("c", "a.png"),
        "--style", pictures("s", "a.png"), "--output", tmp_path / "out",
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith("error: there is no model") and done.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "change, match",
    [
        ({"--content": "nowhere"}, "there is no content"),
        ({"--vgg": "nowhere"}, "VGG-19 weights"),
        ({"--limit": "0"}, "--limit must be at least 1"),
        ({"--size": "many"}, "invalid int value"),
        ({"--batch": "0"}, "--batch must be at least 1"),
        ({"--measure-size": "8"}, "the size must be 32 to 9459 pixels, not 8"),
        ({"--size": "1000000"}, "the size must be 32 to 9459 pixels, not 1000000"),
        ({"--step": "7"}, "leave the step out"),
        ({"--checkpoint": "c/a.png"}, "no model file"),
        ({"--unknown": "1"}, "unrecognized arguments"),
        ({"--style": None}, "required: --style"),
    ],
)
def test_wrong_flags_stop_before_anything_is_painted(
    model_file, pictures, tmp_path, monkeypatch, change, match
):
    pictures("c", "a.png")
    monkeypatch.chdir(tmp_path)
    flags = {
        "--checkpoint": model_file,
        "--content": "c",
        "--style": "c",
        "--output": "out",
        **change,
    }
    arguments = ["--metrics"]
    for name, value in flags.items():
        arguments += [] if value is None else [name, str(value)]
    # Metrics ask for their weights first: a missing VGG-19 must not show after an hour of work.
    arguments += [] if "--vgg" in change else ["--vgg", str(tmp_path / "unused")]
    with pytest.raises(UserError, match=match):
        evaluate.run(evaluate.parse(arguments))
    assert not (tmp_path / "out").exists()
