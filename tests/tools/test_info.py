"""`din-jax info` tells of models, runs and banks what they hold, and of others one sentence."""

import json

import numpy as np
import pytest

from din_jax.inference.bank import StyleBank
from din_jax.layers.codes import LayerCode
from din_jax.weights.included import ASSETS


def test_the_installation_and_what_is_included(din_jax):
    done = din_jax("info", "--json")
    facts = json.loads(done.out)
    assert done.status == 0 and "din_portable" in facts["models"] and facts["devices"]
    assert {"din_jax", "python", "jax", "flax", "numpy"} <= facts.keys()
    text = din_jax("info").out
    assert f"jax                {facts['jax']}" in text or facts["jax"] in text


def test_an_included_model(din_jax):
    facts = json.loads(din_jax("info", "din_portable", "--json").out)
    size = (ASSETS / "din_portable.safetensors").stat().st_size
    # Half precision: two bytes a number, and a header.
    assert facts["bytes"] == size and 2 * facts["numbers"] < size < 2.1 * facts["numbers"]
    assert (facts["method"], facts["levels"], facts["needs VGG-19"]) == ("din", 3, False)
    assert len(facts["fingerprint"]) == 64 and facts["step"] == facts["card"]["step"]
    text = din_jax("info", str(ASSETS / "din_portable.safetensors")).out
    assert facts["fingerprint"] in text and f"{facts['numbers']:,}" in text


def test_a_bank(din_jax, tmp_path):
    bank = StyleBank("f" * 64, "mine\x1b[2J")
    for i in range(20):
        code = {"level1": LayerCode(np.ones((1, 1, 1, 2, 2)), np.zeros((1, 2)))}
        bank.add(f"style {i}", code)
    path = bank.save(tmp_path / "bank.safetensors")
    facts = json.loads(din_jax("info", path, "--json").out)
    assert facts["count"] == 20 and facts["styles"][3] == "style 3"
    assert facts["model"].startswith("mine")
    assert "\x1b" not in din_jax("info", path).out
    assert "style 11 and 8 more" in din_jax("info", path).out


@pytest.mark.parametrize(
    "name, data, words",
    [
        ("gone", None, "there is no model 'gone'"),
        ("a.safetensors", b"no model", "a.safetensors"),
        ("b.png", b"", "b.png"),
    ],
)
def test_what_is_neither_is_one_sentence(din_jax, tmp_path, monkeypatch, name, data, words):
    monkeypatch.chdir(tmp_path)
    if data is not None:
        (tmp_path / name).write_bytes(data)
    done = din_jax("info", name)
    assert done.status == 2 and words in done.err and done.err.count("\n") == 1 and not done.out
