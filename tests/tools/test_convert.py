"""Weights go to PyTorch's names and come back bit for bit, by command."""

import json
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from din_jax.config import Config, ModelConfig
from din_jax.tools import convert
from din_jax.weights.models import read_model, save_model
from din_jax.weights.torch_names import model_shapes, torch_name

ROOT = Path(__file__).parents[2]
SMALL = ModelConfig(
    widths=(4, 4, 8),
    style_encoder="mobilenet",
    style_feature="statistics",
    net_hidden=4,
    net_pool=1,
    net_kernel=1,
    encoder_norm="batch",
    decoder_norm="batch",
)
CONFIG = Config(model=SMALL)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    rng = np.random.default_rng(0)
    arrays = {name: rng.random(shape, np.float32) for name, shape in model_shapes(SMALL).items()}
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    return save_model(path, CONFIG, arrays, dtype="float32"), arrays


def test_there_and_back_is_bit_exact(model, tmp_path, capsys):
    path, arrays = model
    state, back = tmp_path / "new" / "state.safetensors", tmp_path / "back.safetensors"
    assert convert.main(["to-torch", str(path), str(state)]) == 0
    stored = safetensors.numpy.load_file(state)
    assert set(stored) == {torch_name(name) for name in arrays}
    kernel = arrays["params.encoder.conv.conv.kernel"]
    np.testing.assert_array_equal(stored["encoder.conv.conv.weight"], kernel.transpose(3, 2, 0, 1))
    assert convert.main(["from-torch", str(state), str(back), "--like", str(path)]) == 0
    found = read_model(back)
    assert found.config == CONFIG and set(found.arrays) == set(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(found.arrays[name], array)
    assert capsys.readouterr().out.split() == [str(state), str(back)]


def test_the_model_may_be_a_config_file_or_a_run_without_a_checkpoint(model, tmp_path):
    path, _ = model
    state = tmp_path / "state.safetensors"
    assert convert.main(["to-torch", str(path), str(state)]) == 0
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.json").write_text(json.dumps(CONFIG.to_dict()))
    file = tmp_path / "small.py"
    file.write_text(
        "from din_jax.config import Config, ModelConfig\n"
        f"MODELS = {{'small': {SMALL!r}}}\n"
        "def get_config(variant=''):\n"
        "    return Config(model=MODELS[variant]).to_config_dict()\n"
    )
    for name, like in {"run": run, "file": f"{file}:small"}.items():
        back = tmp_path / f"{name}.safetensors"
        assert convert.main(["from-torch", str(state), str(back), "--like", str(like)]) == 0
        assert read_model(back).config.model == SMALL


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["to-torch", "nowhere", "state.safetensors"], "there is no model 'nowhere'"),
        (["to-torch", "MODEL", "state.pth"], "written to a .safetensors file"),
        (["from-torch", "MODEL", "m.safetensors", "--like", "broken.py"], "fails at line 1"),
        (["from-torch", "nowhere.pth", "m.safetensors", "--like", "MODEL"], "nowhere.pth"),
        (["from-torch", "MODEL", "m.safetensors", "--like", "MODEL"], "is unexpected"),
        (["from-torch", "MODEL", "m.safetensors", "--like", "nothing.py"], "no config file"),
        (
            ["from-torch", "MODEL", "m.safetensors", "--like", "ROOT/configs/din.py:x"],
            "has variants",
        ),
    ],
)
def test_mistakes_are_one_sentence(arguments, says, model, tmp_path, monkeypatch, capsys):
    arguments = [x.replace("MODEL", str(model[0])).replace("ROOT", str(ROOT)) for x in arguments]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken.py").write_text("def get_config(:")
    assert convert.main(arguments) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ") and says in err and err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["broken.py"]
