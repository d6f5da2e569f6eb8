"""The two programs as users start them: train, interrupt, go on, evaluate."""

import csv
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from din_jax.data.decoding import save_image
from din_jax.data.drawn.synthetic import SyntheticContent, SyntheticStyle

ROOT = Path(__file__).parents[2]
TINY = ROOT / "tests/training/tiny.py"
pytestmark = pytest.mark.slow


def command(program: str, *arguments) -> list[str]:
    return [sys.executable, program, *map(str, arguments)]


def environment() -> dict[str, str]:
    return {**os.environ, "JAX_PLATFORMS": "cpu"}


def call(program: str, *arguments) -> subprocess.CompletedProcess:
    done = subprocess.run(
        command(program, *arguments),
        cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=900,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return done


def table(run: Path) -> list[dict[str, str]]:
    with open(run / "metrics.csv", newline="") as file:
        return list(csv.DictReader(file))


def train_steps(run: Path) -> list[int]:
    return [int(row["step"]) for row in table(run) if row["name"] == "train/total"]


def test_interrupted_training_is_saved_and_the_same_command_goes_on(tmp_path):
    run = tmp_path / "run"
    arguments = (
        "--config", f"{TINY}:long", "--workdir", run, "--config.model.code=adain",
        "--config.model.style_encoder=content", "--config.model.residuals=0",
        "--config.model.levels=1", "--config.loss.content_layers=relu1_1",
        "--config.loss.style_layers=relu1_1",
    )  # fmt: skip
    with open(tmp_path / "log", "w") as log:
        process = subprocess.Popen(
            command("train.py", *arguments),
            cwd=ROOT, env=environment(), stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + 600
        while not (run / "metrics.csv").exists() or not train_steps(run):
            assert process.poll() is None and time.monotonic() < deadline, log_of(tmp_path)
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=300) == 0, log_of(tmp_path)
    finally:
        process.kill()
    stopped = train_steps(run)[-1]
    assert 1 <= stopped < 100
    said = log_of(tmp_path)
    assert f"Stopped at step {stopped}, saved. The same command goes on from there." in said
    assert "Traceback" not in said
    assert [path.name for path in (run / "checkpoints").iterdir()] == [str(stopped)]
    call("train.py", *arguments)
    assert train_steps(run) == list(range(1, 101))
    assert (run / "checkpoints/100").is_dir()


def log_of(folder: Path) -> str:
    return (folder / "log").read_text()


@pytest.fixture(scope="module")
def demo(tmp_path_factory) -> Path:
    """The demo of the README, cut to three steps of small pictures, one level, no residuals."""
    run = tmp_path_factory.mktemp("demo") / "run"
    call(
        "train.py", "--config", "configs/din.py:demo", "--workdir", run,
        "--config.train.steps=3", "--config.train.log_every=1",
        "--config.train.validate_every=3", "--config.train.grid_every=3",
        "--config.model.residuals=0", "--config.model.widths=4,4,8", "--config.model.levels=1",
        "--config.train.batch=2", "--config.data.resize=40", "--config.data.crop=32",
    )  # fmt: skip
    return run


def test_demo_leaves_everything_that_a_run_promises(demo):
    for name in ("config.json", "metrics.csv", "checkpoints/3/variables"):
        assert (demo / name).exists(), name
    assert list((demo / "tensorboard").glob("events.*"))
    for step in (0, 3):
        with Image.open(demo / f"grids/step_{step:07d}.png") as sheet:
            # Rows of content, style and stylized, 32 pixels each, for four pairs.
            assert sheet.width >= 4 * 32 and sheet.height >= 3 * 32


def test_demo_losses_are_finite_and_complete(demo):
    rows = table(demo)
    assert all(math.isfinite(float(row["value"])) for row in rows)
    names = {row["name"] for row in rows}
    for side in ("train", "validation"):
        assert {f"{side}/{part}" for part in ("total", "content", "style")} <= names
        assert {f"{side}/style/relu{i}_1" for i in (1, 2, 3, 4)} <= names
    assert {"train/descriptor", "train/gradient_norm", "validation/output_spread"} <= names
    assert train_steps(demo) == [1, 2, 3]


def test_evaluate_paints_each_content_in_each_style_at_its_own_size(demo, tmp_path):
    contents, styles = SyntheticContent(size=72), SyntheticStyle(size=64)
    save_image(tmp_path / "content/wide.png", contents[0][:48])
    save_image(tmp_path / "content/tall.png", contents[1][:, :56])
    for i in range(2):
        save_image(tmp_path / f"style/s{i}.png", styles[i])
    out = tmp_path / "out"
    done = call(
        "evaluate.py", "--checkpoint", demo, "--content", tmp_path / "content",
        "--style", tmp_path / "style", "--output", out,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    pictures = {path.name: path for path in out.rglob("*.png")}
    for content, size in (("wide", (72, 48)), ("tall", (56, 72))):
        for style in ("s0", "s1"):
            with Image.open(pictures[f"{content}--{style}.png"]) as picture:
                assert picture.size == size and picture.mode == "RGB"
                assert np.asarray(picture).std() > 1
    assert "contact_sheet.png" in pictures
