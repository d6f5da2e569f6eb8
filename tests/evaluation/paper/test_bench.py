"""What is compared was trained equally, once; and every figure's models are valid."""

import dataclasses

import numpy as np
import pytest

from din_jax.config import Config, LossConfig
from din_jax.data.decoding import load_image
from din_jax.errors import UserError
from din_jax.evaluation.paper import bench as module
from din_jax.evaluation.paper import fig2, fig5, fig6, fig7, fig9, in_vs_bn
from din_jax.evaluation.paper.__main__ import FIGURES, main, parse, setting_of
from din_jax.evaluation.paper.bench import METHODS, SETTINGS, Bench
from din_jax.models.style_encoders import MAP_CHANNELS, MobileNetFeatures
from din_jax.ops.forms import default_form


@pytest.fixture(params=["short", "full"])
def setting(request):
    return SETTINGS[request.param]


@pytest.fixture
def small(tmp_path):
    chosen = dataclasses.replace(SETTINGS["short"], size=128, contents=2, styles=3)
    return Bench(chosen, tmp_path)


class FakeTrainer:
    """Leaves a checkpoint's folder."""

    trained: list[Config] = []
    stops = False

    def __init__(self, config, run):
        self.config, self.run = config, run

    def train(self):
        FakeTrainer.trained.append(self.config)
        step = self.config.train.steps // (2 if FakeTrainer.stops else 1)
        (self.run / "checkpoints" / str(step)).mkdir(parents=True)


@pytest.fixture
def trainer(monkeypatch):
    monkeypatch.setattr(module, "Trainer", FakeTrainer)
    monkeypatch.setattr(FakeTrainer, "trained", [])
    monkeypatch.setattr(FakeTrainer, "stops", False)
    return FakeTrainer


@pytest.mark.parametrize(
    "models", [METHODS, fig2.MODELS, fig6.MODELS, fig7.MODELS, fig9.MODELS],
    ids=["fig5", "fig2", "fig6", "fig7", "fig9"],
)  # fmt: skip
def test_methods_differ_in_their_model_alone(setting, models, tmp_path):
    bench = Bench(setting, tmp_path)
    configs = [bench.config(model) for model in models.values()]
    assert len({config.model for config in configs}) == len(models)
    for config in configs:
        assert dataclasses.replace(config, model=setting.base.model, name="x") == (
            dataclasses.replace(setting.base, name="x")
        )


def test_a_run_is_trained_once_and_goes_on_where_it_was_stopped(small, trainer, tmp_path):
    config = small.config({"levels": 1})
    run = small.train(config)
    assert small.train(config) == run and len(trainer.trained) == 1
    # The same run wherever the weights lie; another with another seed.
    elsewhere = Bench(small.setting, tmp_path, vgg="weights.npz")
    assert elsewhere.train(elsewhere.config({"levels": 1})) == run
    assert small.train(small.config({"levels": 1}, seed=1)) != run and len(trainer.trained) == 2
    # With VGG-19 it is of the file's bytes.
    runs = []
    for name, data in (("a.npz", b"one"), ("b.npz", b"one"), ("c.npz", b"two")):
        (tmp_path / name).write_bytes(data)
        loss = dataclasses.replace(small.base.loss, network="vgg19")
        setting = dataclasses.replace(
            small.setting, base=dataclasses.replace(small.base, loss=loss)
        )
        real = Bench(setting, tmp_path, vgg=str(tmp_path / name))
        runs.append(real.train(real.config()))
    assert runs[0] == runs[1] != runs[2]
    trainer.stops = True
    with pytest.raises(UserError, match="was stopped; the same command goes on"):
        small.train(small.config({"levels": 2}))
    trainer.stops = False
    small.train(small.config({"levels": 2}))


def test_held_out_pictures_are_files_of_one_size_that_no_training_sees(small):
    for kind, paths in (("content", small.contents), ("style", small.styles)):
        assert len(paths) == {"content": 2, "style": 3}[kind]
        images = [load_image(path) for path in paths]
        assert {image.shape for image in images} == {(128, 128, 3)}
        trained = small.training_pictures(kind, 40, 128)
        for image in images:
            assert not any(np.array_equal(image, other) for other in trained)
    again = Bench(small.setting, small.cache)
    assert again.contents == small.contents


def test_kinds_of_training_pictures_hold_what_they_say(small, monkeypatch):
    monkeypatch.setattr(in_vs_bn, "PICTURES", {"short": 4})
    folders = {
        kind: in_vs_bn.pictures(small, kind) for kind in (in_vs_bn.ORIGINAL, in_vs_bn.CONTRAST)
    }
    plain, equal = (
        [load_image(path) for path in sorted(folder.glob("*.png"))] for folder in folders.values()
    )
    assert len(plain) == len(equal) == 4 and plain[0].shape == (64, 64, 3)
    spreads = [[(image @ [0.299, 0.587, 0.114]).std() for image in side] for side in (plain, equal)]
    # A flat histogram of 0..255 has a deviation of 74.
    assert np.ptp(spreads[1]) < 8 < np.ptp(spreads[0]) and abs(np.mean(spreads[1]) - 74) < 8
    config = in_vs_bn.network(small, "batch", in_vs_bn.CONTRAST)
    assert config.model.styles == ("target",)
    assert config.data.content == str(folders[in_vs_bn.CONTRAST])


def test_flags_make_the_setting():
    flags = parse(["fig8", "--full", "--steps", "7", "--seeds", "2", "--content", "photos"])
    setting = setting_of(flags)
    assert setting.base.train.steps == 7 and setting.seeds == (0, 1) and setting.size == 256
    assert setting.base.data.content == "photos" and setting.base.data.style == "tfds:wikiart"
    assert setting.base.loss.network == "vgg19"
    short = setting_of(parse(["fig8"]))
    assert short.base.loss.network == "random" and short.base.data.content == "synthetic"
    assert setting_of(parse(["fig8", "--vgg", "x.npz"])).base.loss.network == "vgg19"


def test_mistakes_are_one_sentence_and_nothing_is_written_over(tmp_path, capsys):
    for arguments, words in (
        (["fig3"], "invalid choice: 'fig3'"),
        (["fig8", "--size", "64"], "--size must be at least 128"),
        (["fig8", "--steps", "-1"], "--steps must be at least 0"),
        (["fig5", "--outputs", "x"], "--outputs takes NAME=PATH"),
    ):
        assert main([*arguments, "--output", str(tmp_path)]) == 2
        assert words in capsys.readouterr().err
    (tmp_path / "fig8.csv").write_text("mine")
    assert main(["fig8", "--output", str(tmp_path)]) == 2
    assert "fig8.csv' is there already" in capsys.readouterr().err
    assert (tmp_path / "fig8.csv").read_text() == "mine"


def test_every_figure_has_a_module():
    import importlib

    for name in FIGURES:
        assert callable(importlib.import_module(f"din_jax.evaluation.paper.{name}").make)
    assert fig5.METHODS is METHODS


@pytest.mark.slow
def test_a_figure_is_made_in_an_empty_folder(tmp_path, capsys, monkeypatch):
    """Trained, painted, measured and written; then again, from what is kept."""
    arguments = ["contrast", "--output", str(tmp_path), "--steps", "2", "--contents", "2"]
    # The smallest network and loss, and convolutions that compile in half the time.
    short = SETTINGS["short"]
    base = dataclasses.replace(
        short.base,
        model=dataclasses.replace(short.base.model, widths=(4, 4, 8), net_hidden=4, residuals=0),
        loss=LossConfig(
            network="random", content_layers=("relu1_1",), style_layers=("relu1_1",)
        ),
    )
    # Two narrow blocks in the place of the style encoder's five.
    monkeypatch.setattr(MobileNetFeatures, "CHANNELS", (8, 8, MAP_CHANNELS))
    monkeypatch.setattr(MobileNetFeatures, "STRIDES", (2, 2, 2))
    monkeypatch.setitem(SETTINGS, "short", dataclasses.replace(short, base=base))
    monkeypatch.setattr(in_vs_bn, "PICTURES", {"short": 12})
    with default_form("conv"):
        made_twice(arguments, tmp_path, capsys)


def made_twice(arguments, tmp_path, capsys):
    assert main([*arguments, "--styles", "2"]) == 0
    names = {path.name for path in tmp_path.iterdir() if path.is_file()}
    assert names == {f"contrast.{x}" for x in ("png", "json", "csv", "md")}
    said = capsys.readouterr().out
    assert "levels of 255" in said and said.count("training [seed 0]") == 2
    first = (tmp_path / "contrast.csv").read_bytes()
    assert main([*arguments, "--styles", "2", "--overwrite"]) == 0
    assert "training" not in capsys.readouterr().out.partition("contrast.png")[0]
    assert (tmp_path / "contrast.csv").read_bytes() == first
