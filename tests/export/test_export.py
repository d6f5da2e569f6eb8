"""`din-jax export`: nothing is left that is not the engine's; every example in the docs runs."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from din_jax.data.decoding import save_image
from din_jax.errors import UserError
from din_jax.export import checks
from din_jax.export.reference import Reference
from din_jax.inference.bank import StyleBank
from din_jax.inference.codes import code_shapes
from din_jax.inference.stylizer import Stylizer
from din_jax.style_code import LayerCode
from din_jax.tools.export import parse, run
from din_jax.weights.models import load_model, save_model
from tests.export.models import small_model, small_variables

ROOT = Path(__file__).parents[2]
DOCS = (ROOT / "docs" / "EXPORT.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", DOCS, re.DOTALL)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model file, and a bank of one style beside it."""
    where = tmp_path_factory.mktemp("model")
    made = small_variables(net_feedback=1)
    path = save_model(where / "small.safetensors", *made, dtype="float32")
    loaded = load_model(path)
    rng, code = np.random.default_rng(1), {}
    shapes = code_shapes(loaded.model)
    for level in loaded.model.levels:
        side = shapes[f"code.{level}.bias"][0]
        kernel = np.eye(side) + 0.3 * rng.standard_normal((1, 1, 1, side, side))
        code[level] = LayerCode(np.float32(kernel), np.float32(rng.normal(size=(1, side))))
    bank = StyleBank(loaded.fingerprint, "small")
    bank.add("waves", code)
    bank.save(where / "bank.safetensors", dtype="float32")
    return path


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory):
    """What the command wrote of it, and what it printed as JSON."""
    folder = tmp_path_factory.mktemp("work") / "exported"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checks, "SIZES", ())  # each size is compiled
        patch.setattr(checks, "MEASURED", (2, 33, 46))
        printed = []
        patch.setattr("builtins.print", lambda *words, **_: printed.append(*words))
        bank = str(model.with_name("bank.safetensors"))
        flags = ["-o", str(folder), "--model", str(model), "--bank", bank]
        run(parse([*flags, "--times", "32", "--json"]))
    return folder, json.loads(printed[0])


def test_every_file_is_described_and_measured(exported):
    folder, document = exported
    about = json.loads((folder / "model.json").read_text())
    assert about == document["description"]
    rows = {row["name"]: row for row in document["files"]}
    described = [x for part in about["onnx"].values() for x in part.values()]
    described += about["stablehlo"].values()
    names = {entry["file"] for entry in described}
    assert {file.name for file in folder.iterdir()} == names | {"model.json", "styles.safetensors"}
    assert set(rows) == names | {"JAX, content", "JAX, style"}
    for entry in described:
        assert entry["bytes"] == (folder / entry["file"]).stat().st_size
    for part in ("content", "style"):
        sizes = [about["onnx"][part][x]["bytes"] for x in ("float32", "float16", "int8")]
        assert sizes == sorted(sizes, reverse=True)
        exact, rounded = (about["onnx"][part][x]["levels"] for x in ("float32", "int8"))
        assert exact["largest"] < 255e-4 < rounded["largest"]
        assert all(rows[f"{part}{x}.onnx"]["milliseconds"]["32"] > 0 for x in ("", ".float16"))


def test_what_is_there_is_kept(exported, model):
    folder, _ = exported
    with pytest.raises(UserError, match="holds an exported model already; .*--overwrite"):
        run(parse(["-o", str(folder), "--model", str(model)]))


def test_a_file_that_is_not_equal_is_not_left(model, tmp_path, monkeypatch):
    monkeypatch.setattr(checks, "SIZES", ())
    monkeypatch.setattr(checks, "MEASURED", (1, 33, 46))
    monkeypatch.setattr("din_jax.export.content.EPSILON", 1e-2)
    with pytest.raises(UserError, match="content.onnx differs from float64 by .* no file was"):
        run(parse(["-o", str(tmp_path / "x"), "--model", str(model), "--formats", "onnx"]))
    assert list(tmp_path.iterdir()) == []


def test_a_file_may_round_as_the_engine_does_and_no_more(monkeypatch):
    """Where a network stretches rounding, float64 is the judge, of codes and of pictures."""
    monkeypatch.setattr(checks, "SIZES", ())
    monkeypatch.setattr(checks, "MEASURED", (1, 33, 46))
    monkeypatch.setattr(checks, "EQUAL", 1e-12)
    reference = Reference(small_model(net_feedback=1))
    expected = checks.Expected(reference, True)

    def off(times):  # from float64, in units of what the engine is off
        def paint(content, code):
            exact = reference.paint_exactly(content, code)
            return exact + times * (reference.paint(content, code) - exact)

        def encode(style):
            exact, own = reference.encode_exactly(style), reference.encode(style)
            return {name: x + times * (own[name] - x) for name, x in exact.items()}

        return paint, encode

    for times in (0.0, -1.9):
        paint, encode = off(times)
        expected.require_equal(paint, "content.onnx")
        expected.require_equal_codes(encode, "style.onnx")
    for times in (-2.2, np.nan):
        paint, encode = off(times)
        with pytest.raises(UserError, match="content.onnx differs from float64 by"):
            expected.require_equal(paint, "content.onnx")
        with pytest.raises(UserError, match="style.onnx, .* differs from float64 by"):
            expected.require_equal_codes(encode, "style.onnx")


@pytest.fixture(scope="module")
def work(exported):
    """A folder in which the examples are run, and the pictures that they name."""
    folder = exported[0].parent
    rng = np.random.default_rng(2)
    for name, shape in {"photo": (35, 50, 3), "painting": (66, 64, 3)}.items():
        save_image(folder / f"{name}.png", rng.integers(0, 256, shape, np.uint8))
        # Of one color in blocks, which JPEG keeps; read back, it is what both sides get.
        Image.open(folder / f"{name}.png").save(folder / f"{name}.jpg", quality=100)
    return folder


def run_example(source, folder, blocked):
    """Runs an example in a process where `blocked` modules cannot be imported."""
    block = (
        "import sys\nclass Block:\n def find_spec(self, name, path=None, target=None):\n"
        f"  if name.partition('.')[0] in {blocked!r}: raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Block())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", block + source],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert done.returncode == 0, done.stderr


def close(path, expected, levels):
    found = np.asarray(Image.open(path), np.int16)
    assert found.shape == expected.shape and expected.std() > 2
    assert np.abs(found - expected).max() <= levels


@pytest.fixture(scope="module")
def stylizer(model):
    return Stylizer.load(model, bank=model.with_name("bank.safetensors"), bucket=0, style_size=400)


def test_there_are_examples_for_every_runtime():
    starts = ["import onnxruntime", "import onnxruntime", "din_jax.lite", "jax"]
    assert len(EXAMPLES) == 4
    assert all(word in text for word, text in zip(starts, EXAMPLES, strict=True))


def test_onnx_runtime_alone_paints_a_style_of_the_bank(work, stylizer):
    run_example(EXAMPLES[0], work, ["din_jax", "jax", "onnx"])
    close(work / "painted.png", np.asarray(stylizer.stylize(work / "photo.jpg", "waves")), 1)


def test_onnx_runtime_alone_encodes_a_style_and_fades_it(work, stylizer):
    run_example(EXAMPLES[1], work, ["din_jax", "jax", "onnx"])
    expected = stylizer.stylize(work / "photo.jpg", work / "painting.jpg", strength=0.7)
    close(work / "mine.png", np.asarray(expected), 4)


def test_the_package_paints_without_jax(work, stylizer):
    run_example(EXAMPLES[2], work, ["jax", "flax", "onnx", "scipy"])
    close(work / "painted.png", np.asarray(stylizer.stylize(work / "photo.jpg", "waves")), 4)
    assert (work / "two.png").is_file()


def test_jax_alone_paints(work, model):
    run_example(EXAMPLES[3], work, ["din_jax", "flax", "onnxruntime"])
    own_size = Stylizer.load(model, bucket=0, style_size=0)
    expected = own_size.stylize(work / "photo.jpg", work / "painting.jpg")
    close(work / "painted.png", np.asarray(expected), 1)
