"""`din-jax stylize --tune`: codes fitted to their pictures on what is painted."""

import jax
import numpy as np
import pytest

from din_jax.data.decoding import save_image
from din_jax.inference.stylizer import Stylizer
from din_jax.tools import commands
from din_jax.training.tuning import Tuner

from .fake import code_of, files, level, opened, picture


@pytest.fixture
def noise(tmp_path, monkeypatch):
    """photos/{a,b}.png and style.png, of noise."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for name in ("photos/a", "photos/b", "style"):
        save_image(f"{name}.png", rng.integers(0, 256, (40, 44, 3), np.uint8))


def stylize(monkeypatch, capsys, *arguments):
    monkeypatch.setattr("sys.argv", ["din-jax", "stylize", *arguments])
    assert commands.main() == 0
    return capsys.readouterr()


def test_each_code_is_tuned_on_the_contents_and_painted_with(taught, noise, monkeypatch, capsys):
    command = ["photos", "-s", "style.png", "--model", taught, "-o"]
    plain = stylize(monkeypatch, capsys, *command, "plain")
    tuned = stylize(monkeypatch, capsys, *command, "tuned", "--tune", "12")
    assert "not tuned on" not in plain.err
    assert "note: style: content " in tuned.err and "on crops it was not tuned on" in tuned.err

    stylizer = Stylizer.load(taught)
    style = stylizer.prepared(stylizer.style_picture("style.png"), None)
    code = stylizer.encode_style("style.png")
    found = Tuner(stylizer.loaded, contents="photos")(style, code, 12)
    assert found.improved
    changed = jax.tree.map(lambda a, b: np.abs(a - b).max(), found.code, code)
    assert max(jax.tree.leaves(changed)) > 1e-3
    for name in ("a", "b"):
        expected = stylizer.stylize(f"photos/{name}.png", found.code)
        painted = np.asarray(opened(f"tuned/{name}--style.png"), int)
        assert np.abs(painted - np.asarray(expected, int)).max() <= 1
        assert np.abs(painted - np.asarray(opened(f"plain/{name}--style.png"), int)).max() > 1


@pytest.fixture
def fitted(monkeypatch):
    """Names of styles whose codes were tuned, each to 100 by a stand-in; what it was made with."""
    names = []

    class Instead:
        def __init__(self, stylizer, steps, *, tell, contents, vgg):
            self.tell, names.made = tell, (steps, len(contents), vgg)

        def __call__(self, name, picture, code, size):
            names.append((name, picture.size, size))
            self.tell(f"{name} is tuned.")
            return code_of(100.0)

    class Names(list):
        made = None

    names = Names()
    monkeypatch.setattr("din_jax.tools.tuned.CodeTuner", Instead)
    return names


def test_only_what_is_left_is_tuned_and_painted(din_jax, folder, stylizer, fitted):
    command = ["stylize", "photos", "-s", "a.png", "b.png", "--each", "-o", "out", "--scale", "99"]
    command += ["--tune", "60", "--vgg", "v.npz"]
    done = din_jax(*command)
    assert done.status == 0 and fitted.made == (60, 4, "v.npz")
    assert fitted == [("a", (32, 32), 99), ("b", (32, 32), 99)]
    assert "note: a is tuned.\nnote: b is tuned.\n" in done.err
    names = files("out")
    assert len(names) == 8 and {level(f"out/{name}") // 10 for name in names} == {5, 6}
    fitted.clear()
    assert "8 were there already" in din_jax(*command).out and fitted == []
    (folder / "out" / names[0]).unlink()  # of the first style
    assert din_jax(*command).status == 0
    assert [name for name, *_ in fitted] == ["a"] and stylizer.painted == 9
    # Other codes: more steps, none, or on more contents.
    for change in (["--tune", "61"], ["--tune", "0"], ["--vgg", "w.npz"]):
        before = stylizer.painted
        assert din_jax(*command, *change).status == 0 and stylizer.painted == before + 8
    din_jax(*command)
    picture("photos/p9.png", 3)
    before = stylizer.painted
    assert din_jax(*command).status == 0 and stylizer.painted == before + 10


def test_mixed_styles_are_tuned_each(din_jax, folder, fitted):
    assert din_jax("stylize", "photos/p1.png", "-s", "a.png", "b.png", "--tune", "5").status == 0
    assert [name for name, *_ in fitted] == ["a", "b"] and level("p1--a+b.png") == 50


@pytest.mark.parametrize(
    "flags, match",
    [
        (["-s", "waves", "--tune", "9"], "'waves' is a name of one without a picture"),
        (["-s", "b.png", "--tune", "9", "--color", "match"], "leave --tune out"),
        (["-s", "b.png", "--tune", "-1"], "--tune takes a number of steps, not -1"),
        (["-s", "b.png", "--tune", "9", "--runtime", "onnx"], "--tune is not for --runtime onnx"),
    ],
)
def test_what_cannot_be_tuned_is_one_sentence(din_jax, folder, stylizer, fitted, flags, match):
    done = din_jax("stylize", "a.png", *flags)
    assert done.status == 2 and match in done.err and done.err.count("\n") == 1
    assert stylizer.painted == 0 and fitted == [] and fitted.made is None
