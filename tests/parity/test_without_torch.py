"""The command without PyTorch, or without the source tree."""

import importlib.util

import pytest

from din_jax.tools import parity


@pytest.mark.parametrize(
    ("lacking", "says"), [("torch", "`make parity`"), ("parity", "run it from a checkout")]
)
def test_one_sentence_says_what_to_do(lacking, says, monkeypatch, capsys):
    def find_spec(name, package=None):
        return None if name == lacking else importlib.machinery.ModuleSpec(name, None)

    monkeypatch.setattr(importlib.util, "find_spec", find_spec)
    # What is wrong beside it would be said next.
    assert parity.main(["--steps", "0"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ") and says in err and err.count("\n") == 1
