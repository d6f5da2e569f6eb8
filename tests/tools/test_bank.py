"""`din-jax bank`: every action as a user types it, and the bank that comes with the program."""

import json

import numpy as np
import pytest

from din_jax.config import Config
from din_jax.data.decoding import save_image
from din_jax.inference.bank import StyleBank
from din_jax.inference.stylizer import Stylizer
from din_jax.tools.bank import main
from din_jax.weights.included import ASSETS, INCLUDED, INCLUDED_BANK
from din_jax.weights.models import load_model, save_model
from din_jax.weights.torch_names import model_shapes

from .fake import TINY


@pytest.fixture
def model(tmp_path):
    config = Config.from_dict({"model": TINY, "data": {"crop": 40, "resize": 40}})
    rng = np.random.default_rng(3)
    arrays = {n: rng.standard_normal(s) / 4 for n, s in model_shapes(config.model).items()}
    return str(save_model(tmp_path / "tiny.safetensors", config, arrays))


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "paintings"
    rng = np.random.default_rng(0)
    for name in ("waves", "stained glass", "dots"):
        save_image(folder / f"{name}.png", rng.integers(0, 256, (40, 44, 3), np.uint8))
    return folder


def test_the_life_of_a_bank(model, pictures, tmp_path, capsys):
    path = tmp_path / "mine.safetensors"
    bank = ["--bank", str(path)]
    assert main(["add", str(pictures), *bank, "--model", model]) == 0
    assert "3 of 3 styles added" in capsys.readouterr().out
    assert main(["list", *bank]) == 0
    assert capsys.readouterr().out.split("\n")[:3] == ["dots", "stained glass", "waves"]
    assert main(["list", *bank, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["styles"] == ["dots", "stained glass", "waves"] and facts["model"] == "tiny"
    assert main(["search", "glass", *bank]) == 0
    assert capsys.readouterr().out.split("\n")[0] == "stained glass"
    stylizer = Stylizer.load(model, bank=path)
    # Noise: what a flat picture differs by from itself is divided by almost nothing.
    content = np.random.default_rng(1).integers(0, 256, (40, 44, 3), np.uint8)
    close = stylizer.stylize(content, "waves").astype(int)
    assert np.abs(close - stylizer.stylize(content, pictures / "waves.png")).max() <= 2  # float16
    assert main(["remove", "waves", *bank]) == 0
    part = tmp_path / "part.safetensors"
    assert main(["export", "dots", *bank, "--output", str(part)]) == 0
    assert StyleBank.load(part).names == ("dots",)
    assert main(["export", *bank, "--output", str(tmp_path / "small")]) == 0
    assert sorted(x.name for x in (tmp_path / "small").iterdir()) == [
        "dots.png",
        "stained glass.png",
    ]
    assert main(["export", *bank, "--output", str(tmp_path / "small")]) == 2
    assert "dots.png' is there already" in capsys.readouterr().err


def test_codes_are_tuned_one_by_one_and_said_so(taught, pictures, tmp_path, capsys):
    plain, path = tmp_path / "plain.safetensors", tmp_path / "tuned.safetensors"
    assert main(["add", str(pictures), "--bank", str(plain), "--model", taught]) == 0
    capsys.readouterr()
    tune = ["--bank", str(path), "--model", taught, "--tune", "3", "--content", str(pictures)]
    assert main(["add", str(pictures), *tune]) == 0
    *lines, last = capsys.readouterr().out.strip().split("\n")
    assert [line.split(":")[0] for line in lines] == ["dots", "stained glass", "waves"]
    assert all("on crops it was not tuned on" in line for line in lines)
    assert last.startswith("3 of 3 styles added")
    before, after = StyleBank.load(plain), StyleBank.load(path)
    assert after.fingerprint == before.fingerprint
    for name, line in zip(after.names, lines, strict=True):
        losses = line.split("total ")[1].split(",")[0].split(" -> ")
        same = (before[name]["level3"].kernel == after[name]["level3"].kernel).all()
        assert same == ("no gain" in line) == (float(losses[1]) >= float(losses[0]))
    assert any("no gain" not in line for line in lines)


def test_a_tuning_that_cannot_be_leaves_no_bank(taught, pictures, tmp_path, capsys):
    path = tmp_path / "mine.safetensors"
    tune = ["add", str(pictures), "--bank", str(path), "--model", taught, "--tune"]
    for rest, sentence in (
        (["-1"], "--tune takes a number of steps, not -1"),
        (["2", "--style-weight", "-3"], "the style weight must be 0 or more"),
        (["2", "--content", str(tmp_path / "none")], "none"),
        (["2", "--vgg", str(tmp_path / "none.npz")], "none.npz"),
    ):
        assert main([*tune, *rest]) == 2
        assert sentence in capsys.readouterr().err
        assert not path.exists()


def test_mistakes_are_one_sentence_and_change_nothing(model, pictures, tmp_path, capsys):
    path = tmp_path / "mine.safetensors"
    bank = ["--bank", str(path), "--model", model]
    (pictures / "broken.png").write_bytes(b"no picture")
    assert main(["add", str(pictures), *bank]) == 1  # what is good is added
    out = capsys.readouterr()
    assert "3 of 4 styles added" in out.out and "broken.png' must be a picture" in out.err
    before = path.read_bytes()
    for arguments, sentence in (
        (["add", str(pictures / "dots.png"), *bank], "are in the bank already: give --replace"),
        (["add", str(pictures / "dots.png"), str(pictures), *bank, "--replace"], "stand twice"),
        (["add", str(tmp_path / "none.png"), *bank], "none.png' does not exist"),
        (["remove", "wavs", "--bank", str(path)], "no style 'wavs'; the nearest are waves"),
        (["export", "--bank", str(path), "--output", str(path)], "is there already"),
        (["list", "--bank", str(tmp_path / "no.safetensors")], "there is no style bank"),
        (["add", str(pictures / "waves.png"), "--replace", *bank[:2]], "not of 'din_portable'"),
        (["draw", *bank], "exists already; give --replace"),
    ):
        status = main(arguments)
        error = capsys.readouterr().err
        assert status in (1, 2) and sentence in error and error.startswith("error: ")
        assert path.read_bytes() == before
    assert main(["add", str(pictures / "dots.png"), *bank, "--replace"]) == 0


def test_names_that_no_style_can_have_cost_the_others_nothing(taught, pictures, tmp_path, capsys):
    path = tmp_path / "mine.safetensors"
    for name in ("a:b.png", "-x.png", f"{'long' * 30}.png"):
        (pictures / name).write_bytes((pictures / "dots.png").read_bytes())
    add = ["add", str(pictures), "--bank", str(path), "--model", taught]
    for tune in ([], ["--tune", "1", "--content", str(pictures), "--replace"]):
        assert main([*add, *tune]) == 1
        told = capsys.readouterr()
        assert "3 of 6 styles added" in told.out and told.err.count("the name of a style") == 3
        assert "not 'a:b'" in told.err and "not '-x'" in told.err
        assert StyleBank.load(path).names == ("dots", "stained glass", "waves")


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (["--bank", "x.bin"], "must end in .safetensors, not be 'x.bin'"),
        (["--bank", "paintings/dots.png/x.safetensors"], "cannot be written (Not a directory)"),
        (["--bank", "x.safetensors", "--size", "100000"], "--size must be 32 to 4096 px"),
    ],
)
def test_a_bank_that_cannot_be_is_told_before_anything_is_encoded(
    pictures, monkeypatch, capsys, arguments, sentence
):
    monkeypatch.chdir(pictures.parent)
    monkeypatch.setattr("din_jax.inference.stylizer.Stylizer.load", None)
    assert main(["add", "paintings", *arguments]) == 2
    assert sentence in capsys.readouterr().err
    assert main(["add", "", "--bank", "x.safetensors"]) == 2
    assert "the name of a style is empty" in capsys.readouterr().err
    assert not (pictures.parent / "x.safetensors").exists()


def test_a_home_is_found_wherever_a_bank_is_named(model, pictures, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(pictures)
    bank = ["--bank", "~/mine.safetensors"]
    assert main(["add", "waves.png", "dots.png", *bank, "--model", model]) == 0
    assert main(["add", "waves.png", *bank, "--model", model]) == 2  # found there again
    assert main(["remove", "waves", *bank]) == 0
    assert main(["export", *bank, "--output", "~/part.safetensors"]) == 0
    assert main(["export", *bank, "--output", "~/part.safetensors"]) == 2
    assert "is there already" in capsys.readouterr().err
    assert StyleBank.load(tmp_path / "part.safetensors").names == ("dots",)
    assert main(["export", *bank, "--output", "~/small"]) == 0
    assert (tmp_path / "small/dots.png").is_file() and not (pictures / "~").exists()


def test_drawn_styles_are_called_as_their_kinds(model, tmp_path, capsys):
    path = tmp_path / "drawn.safetensors"
    assert main(["draw", "--bank", str(path), "--model", model, "--count", "15"]) == 0
    names = StyleBank.load(path).names
    assert len(names) == 15 and names[:3] == ("flow-strokes", "pointillism", "stained-glass")
    assert names[-2:] == ("flow-strokes-2", "pointillism-2")


def test_the_included_bank_is_of_the_included_model():
    """After a new model (photographs: ../shared/data/content):
    python -m din_jax.tools.bank draw --replace --tune 200 --content PHOTOS
        --bank din_jax/assets/styles.safetensors"""
    bank = StyleBank.load(INCLUDED_BANK)
    loaded = load_model(ASSETS / f"{INCLUDED}.safetensors", encoder=False)
    assert bank.fingerprint == loaded.fingerprint
    assert len(bank) == 26 and INCLUDED_BANK.stat().st_size <= 2 << 20
    stylizer = Stylizer(loaded)
    assert stylizer.styles == bank.names
    assert all(np.isfinite(x).all() for name in bank for code in bank[name].values() for x in code)
