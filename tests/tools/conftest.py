"""`din-jax` in this process, with a stylizer that paints by arithmetic."""

import signal
import types

import numpy as np
import pytest

from din_jax.config import Config
from din_jax.tools import commands
from din_jax.weights.models import save_model
from din_jax.weights.torch_names import model_shapes

from .fake import TINY, FakeStylizer, picture


@pytest.fixture
def stylizer(monkeypatch):
    fake = FakeStylizer()
    monkeypatch.setattr("din_jax.inference.stylizer.Stylizer", fake)
    return fake


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """photos/{p1..p4}.png of several sizes, one in a folder of its own; a.png, b.png as styles."""
    monkeypatch.chdir(tmp_path)
    for i, name in enumerate(["p1", "p2", "sub/p3", "sub/p4"]):
        picture(f"photos/{name}.png", 10 * i, (32 + i, 40))
    picture("a.png", 100)
    picture("b.png", 200)
    return tmp_path


@pytest.fixture
def din_jax(stylizer, monkeypatch, capsys):
    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["din-jax", *map(str, arguments)])
        before = signal.getsignal(signal.SIGINT)
        status = commands.main()
        signal.signal(signal.SIGINT, before)  # which Ctrl-C replaces
        out, err = capsys.readouterr()
        return types.SimpleNamespace(status=status, out=out, err=err)

    return run


@pytest.fixture
def taught(tmp_path):
    """A model whose losses need no file."""
    loss = {"network": "random", "content_layers": ["relu2_1"], "style_layers": ["relu1_1"]}
    data = {"crop": 40, "resize": 40}
    config = Config.from_dict({"model": TINY, "data": data, "loss": loss})
    rng = np.random.default_rng(3)
    arrays = {n: rng.standard_normal(s) / 4 for n, s in model_shapes(config.model).items()}
    return str(save_model(tmp_path / "taught.safetensors", config, arrays))
