"""The parts of the network, put together, are the network."""

import json

import jax
import numpy as np
import pytest
from flax import nnx

from din_jax.config import Config, ModelConfig
from din_jax.evaluation.operations import count_operations
from din_jax.models.network import StylizationNetwork
from din_jax.ops.forms import default_form
from din_jax.tools import profile
from din_jax.tools.profile import main, parts
from din_jax.training.state import variables_of
from din_jax.weights.models import save_model

SMALL = ModelConfig(
    widths=(4, 4, 8),
    residuals=1,
    style_encoder="mobilenet",
    style_feature="statistics",
    net_hidden=4,
    net_pool=1,
    net_kernel=1,
    encoder_norm="batch",
    decoder_norm="batch",
)


@pytest.fixture(scope="module", autouse=True)
def plain_convolutions():
    """Compiled in half the time; tests of ops, models and layers hold that both forms are equal."""
    with default_form("conv"):
        yield


@pytest.fixture(scope="module")
def model():
    # The generator that XLA compiles in a sixth of the time of the default one.
    model = StylizationNetwork(SMALL, rngs=nnx.Rngs(jax.random.key(0, impl="rbg")))
    model.eval()
    return model


@pytest.fixture(scope="module", params=[(32, 40), (33, 35)])
def cut(model, request):
    """A size, and the parts of the model for two pictures of it."""
    return request.param, *parts(model, request.param, 2)


def test_multiply_adds_of_the_parts_are_those_of_the_whole(model, cut):
    size, found, _ = cut
    *names, whole = found
    assert whole == "whole" and {"encoder.conv", "level1", "level3", "decoder.up2"} <= set(names)
    assert sum(found[name].macs for name in names) == found[whole].macs > 0
    content = np.zeros((2, *size, 3), np.float32)
    code = found[whole].inputs[1]
    assert count_operations(model.stylize, content, code).macs == found[whole].macs


def test_the_parts_lead_to_the_same_picture(cut):
    _, found, state = cut
    results = {name: part.function(state, *part.inputs) for name, part in found.items()}
    np.testing.assert_allclose(results["decoder.output"], results["whole"], atol=1e-5)


def test_the_report_names_every_part(model, tmp_path, capsys, monkeypatch):
    path = save_model(tmp_path / "small.safetensors", Config(model=SMALL), variables_of(model))
    flags = ["--checkpoint", str(path), "--size", "32", "--rounds", "1", "--processes", "1"]
    flags += ["--products", "bfloat16"]
    # Measured once, for JSON and table.
    measured, found = profile.measured, []

    def once(flags):
        found.extend(() if found else [measured(flags)])
        return found[0]

    monkeypatch.setattr(profile, "measured", once)
    assert main([*flags, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert main(flags) == 0
    table = capsys.readouterr().out
    assert all(row["part"] in table and row["ms"] > 0 for row in rows)
    assert rows[-1]["megabytes"] > 0
    assert "sum of parts" in table


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--size", "16"], "--size must be at least 32"),
        (["--checkpoint", "none", "--processes", "1"], "'none'"),
    ],
)
def test_mistakes_are_one_sentence(flags, says, capsys):
    assert main(flags) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ") and says in err and err.count("\n") == 1
