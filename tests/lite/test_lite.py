"""Exported models without JAX: the same pictures as the engine's, and files that nobody trusts."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from din_jax.data.decoding import save_image
from din_jax.errors import UserError
from din_jax.inference.bank import StyleBank
from din_jax.inference.stylizer import Stylizer as Jax
from din_jax.lite import Stylizer
from tests.export.models import export_quickly, small_model

ROOT = Path(__file__).parents[2]
# All that an install beside onnxruntime, NumPy, Pillow and safetensors would bring.
BLOCKED = "jax jaxlib flax optax orbax scipy grain absl ml_collections tqdm onnx matplotlib etils"
BLOCK = f"""
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {BLOCKED.split()!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Block())
"""


def picture(rows, columns, seed=0):
    rng = np.random.default_rng(seed)
    waves = np.cumsum(rng.standard_normal((rows, columns, 3)), 1)
    return np.rint(127.5 + 127.5 * np.sin(0.4 * waves)).astype(np.uint8)


@pytest.fixture(scope="module")
def loaded():
    return small_model(net_scale=2.0)


@pytest.fixture(scope="module")
def jax_stylizer(loaded):
    bank = StyleBank(loaded.fingerprint, "small")
    stylizer = Jax(loaded, bank=bank, bucket=0)
    slope = np.broadcast_to(np.arange(44, dtype=np.uint8)[:, None] * [5, 1, 2], (40, 44, 3))
    bank.add("waves", stylizer.encode_style(np.uint8(slope)), np.uint8(slope))
    return stylizer


@pytest.fixture(scope="module")
def folder(loaded, jax_stylizer, tmp_path_factory):
    where = tmp_path_factory.mktemp("exported")
    export_quickly(loaded, where, jax_stylizer.bank)
    return where


def equal(found, expected):
    """But for what is rounded the other way: one level of 255, here and there."""
    away = np.abs(np.asarray(found, np.int16) - np.asarray(expected, np.int16))
    assert away.max() <= 1 and (away > 0).mean() < 0.01


CONTROLS = {
    "a style": {"style": "waves"},
    "a mixture": {"style": ["waves", picture(50, 41, 6)], "weights": [2, 1]},
    "a strength": {"style": picture(41, 50, 7), "strength": 0.4},
    "a level": {"style": "waves", "levels": {"level1": 0.0}},
    "colors": {"style": "waves", "color": "luminance"},
    "its colors": {"style": picture(41, 50, 7), "color": "match"},
    "a scale": {"style": picture(80, 90, 7), "scale": 40},
}


@pytest.mark.parametrize("control", CONTROLS)
def test_every_control_paints_what_the_engine_does(control, folder, jax_stylizer):
    stylizer = Stylizer.load(folder, storage="float32")
    content = picture(37, 45)
    expected = jax_stylizer.stylize(content, **CONTROLS[control])
    assert expected.std() > 5
    equal(stylizer.stylize(content, **CONTROLS[control]), expected)
    # Were the control not heeded, another picture would come of it.
    style = CONTROLS[control]["style"]
    plain = "waves" if isinstance(style, list) else style
    away = np.abs(stylizer.stylize(content, plain).astype(np.int16) - expected).mean()
    assert (away > 0.5) == (control != "a style")


def test_pictures_come_out_as_they_went_in(folder, tmp_path):
    stylizer = Stylizer.load(folder)
    path = save_image(tmp_path / "content.png", picture(20, 70))
    alpha = np.dstack([picture(34, 35), np.full((34, 35), 128, np.uint8)])
    image, array = stylizer.stylize([path, alpha], "waves")
    assert isinstance(image, Image.Image) and image.size == (70, 20)  # below the least side
    assert array.shape == (34, 35, 4) and (array[..., 3] == 128).all()
    code = stylizer.encode_style([picture(40, 40, 1), "waves"])
    both = stylizer.stylize([picture(34, 35)] * 2, code)
    np.testing.assert_array_equal(both[1], stylizer.stylize(picture(34, 35), "waves"))
    assert np.abs(both[0].astype(int) - both[1]).mean() > 0.5


def test_what_the_graphs_have_not_is_refused(folder):
    stylizer = Stylizer.load(folder)
    content = picture(34, 35)
    assert stylizer.stylize(content, "waves", masks=None, tile=None, seamless=False).shape
    with pytest.raises(UserError, match="without masks.*--runtime jax"):
        stylizer.stylize(content, ["waves", "waves"], masks=[content[..., 0]])
    with pytest.raises(UserError, match="neither a picture nor a style 'wafes'; .*waves"):
        stylizer.stylize(content, "wafes")
    with pytest.raises(TypeError, match="strenght"):
        stylizer.stylize(content, "waves", strenght=0.5)


def test_a_picture_beyond_memory_is_refused(folder, monkeypatch):
    monkeypatch.setattr("din_jax.lite.stylizer.available_bytes", lambda: 1 << 20)
    with pytest.raises(UserError, match="64 x 50 px takes about 2 MiB.*1 are left"):
        Stylizer.load(folder).stylize(picture(50, 64), "waves")


def described(**changes):
    def change(folder):
        path = folder / "model.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return change


DAMAGE = {
    "no description": lambda folder: (folder / "model.json").unlink(),
    "no JSON": lambda folder: (folder / "model.json").write_text("{"),
    "another format": described(format="din_jax export 0"),
    "too long": described(model="x" * (1 << 17)),
    "no levels": described(levels={}),
    "a path": described(onnx={"content": {"float16": {"file": "../x.onnx", "sha256": ""}}}),
    "other bytes": lambda folder: (folder / "content.float16.onnx").write_bytes(b"ONNX"),
    "no ONNX files": described(onnx={}),
    "another's bank": described(fingerprint="0" * 64),
    "a missing file": lambda folder: (folder / "content.float16.onnx").unlink(),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_folder_is_one_sentence(damage, folder, tmp_path):
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    DAMAGE[damage](tmp_path)
    with pytest.raises(UserError) as caught:
        Stylizer.load(tmp_path).stylize(picture(34, 35), "waves")
    assert len(str(caught.value)) < 400 and str(caught.value).endswith((".", "one"))


def without_jax(*arguments, **options):
    """Runs a program where JAX and all that comes with it cannot be imported."""
    return subprocess.run(
        [sys.executable, "-c", BLOCK + options.pop("program"), *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=100,
        **options,
    )


def test_the_command_paints_without_jax(folder, jax_stylizer, tmp_path):
    save_image(tmp_path / "content.png", picture(37, 45))
    save_image(tmp_path / "style.png", picture(50, 41, 6))
    done = without_jax(
        "stylize", "content.png", "--style", "waves", "style.png", "--weights", "2", "1",
        "--strength", "0.7", "--runtime", "onnx", "--model", str(folder), "-o", "painted.png",
        program="from din_jax.tools.commands import main; sys.exit(main())",
        cwd=tmp_path,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    expected = jax_stylizer.stylize(
        picture(37, 45), ["waves", picture(50, 41, 6)], weights=[2, 1], strength=0.7
    )
    # Weights of the folder's first choice, float16, are within some levels of the engine's.
    painted = np.asarray(Image.open(tmp_path / "painted.png"), np.int16)
    assert np.abs(painted - expected).max() <= 4


@pytest.mark.parametrize(
    "flags, words",
    [(["--mask", "content.png"], "--mask is not for --runtime onnx"),
     (["--dtype", "bfloat16"], "--dtype is not"), (["--model", "none"], "no model")],
)  # fmt: skip
def test_flags_of_the_other_runtime_are_refused(flags, words, folder, tmp_path):
    save_image(tmp_path / "content.png", picture(37, 45))
    model = [] if "--model" in flags else ["--model", str(folder)]
    done = without_jax(
        "stylize", "content.png", "--style", "waves", "--runtime", "onnx", *model, *flags,
        program="from din_jax.tools.commands import main; sys.exit(main())",
        cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 2 and words in done.stderr and "Traceback" not in done.stderr
