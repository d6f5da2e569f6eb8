"""`python -m din_jax.evaluation.rivals`, in this process."""

import numpy as np
import pytest

from din_jax.data.decoding import load_image, save_image
from din_jax.evaluation.rivals import command
from din_jax.evaluation.rivals.engine import RivalEngine
from din_jax.evaluation.rivals.methods import METHODS
from din_jax.ops.forms import default_form
from din_jax.weights.normalized import random_vgg19
from din_jax.weights.vgg19 import save_vgg19


@pytest.fixture(scope="module")
def vgg_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("vgg") / "vgg.npz"
    save_vgg19(random_vgg19(0), path)
    return path


@pytest.fixture
def folders(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    for name in ("photos/a.png", "photos/b.png", "paintings/s.png"):
        save_image(tmp_path / name, rng.integers(0, 256, (33, 40, 3), np.uint8))
    monkeypatch.setenv("DIN_JAX_CACHE", "0")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_pairs_are_painted_into_a_folder_and_gone_on_with(folders, vgg_file, capsys):
    flags = ["swap-optimized=out", "--content", "photos", "--style", "paintings",
             "--steps", "1", "--vgg", str(vgg_file), "--size", "32"]  # fmt: skip
    with default_form("conv"):
        assert command.main(flags) == 0
        assert command.main(flags) == 0
    said = capsys.readouterr().out
    assert "2 pictures in out, all on" in said and "(2 were there already)" in said
    found = {path.name for path in (folders / "out").glob("*.png")}
    assert found == {"a--s.png", "b--s.png", "contact_sheet.png"}
    assert load_image(folders / "out/a--s.png").shape == (32, 32, 3)


@pytest.mark.parametrize(
    "flags, words",
    [
        ([], "name a method and a folder"),
        (["nothing=out"], "gatys, swap, swap-optimized, adain, wct, wct5, avatar, not"),
        (["gatys"], "methods are given as METHOD=FOLDER"),
        (["gatys=out", "adain=out"], "each method has one folder of its own"),
        (["gatys=out"], "painting needs --content and --style"),
        (["gatys=out", "--steps", "0"], "--steps must be at least 1"),
        (["gatys=out", "--strength", "2"], "--strength must be 0 to 1"),
        (["--train-decoders", "photos", "--training-crop", "60"], "a multiple of 16, not 60"),
        (["gatys=out", "--size", "8"], "the size must be 32 to"),
    ],
)
def test_a_mistake_is_one_sentence(flags, words, capsys):
    assert command.main(flags) == 2
    said = capsys.readouterr().err
    assert words in said and said.count("\n") == 1


def test_a_decoder_that_is_missing_is_told_before_anything_is_painted(folders, vgg_file, capsys):
    flags = ["wct=out", "--content", "photos", "--style", "paintings", "--vgg", str(vgg_file)]
    assert command.main([*flags, "--decoders", "none"]) == 2
    assert "there is no decoder of relu4_1 for this VGG-19 in 'none'" in capsys.readouterr().err
    assert not (folders / "out").exists()


def test_five_levels_ask_for_a_vgg_that_has_them(folders, vgg_file, capsys):
    flags = ["wct5=out", "--content", "photos", "--style", "paintings", "--vgg", str(vgg_file)]
    assert command.main(flags) == 2
    said = capsys.readouterr().err
    assert "the VGG-19 weights end at conv4_1 and lack relu5_1" in said and said.count("\n") == 1


def test_sides_that_vgg_cannot_halve_are_mirrored_and_cut_back():
    seen = []

    def paint(networks, content, style):
        seen.append((content.shape, style.shape))
        return 3 * content - 1

    content = np.full((33, 41, 3), 128, np.uint8)
    content[0] = 255
    engine = RivalEngine(None, paint)
    code = engine.encode_style([np.zeros((50, 31, 3), np.uint8), np.zeros((32, 32, 3), np.uint8)])
    (image,), (share,) = engine.stylize_measured([content], code[:1])
    assert seen == [((1, 40, 48, 3), (1, 56, 32, 3))]
    assert image.shape == content.shape and image.max() == 255
    assert image[1, 0, 0] == round(3 * 128 - 255)
    assert share == pytest.approx(1 / 33)
    seen.clear()
    RivalEngine(None, paint, METHODS["wct5"].multiple).stylize_measured([content], code[:1])
    assert seen == [((1, 48, 48, 3), (1, 64, 32, 3))]
    assert {method.multiple for name, method in METHODS.items() if name != "wct5"} == {8}
