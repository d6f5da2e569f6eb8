"""The command without PyTorch."""

import importlib.util

from parity import __main__ as parity


def test_one_sentence_says_what_to_do(monkeypatch, capsys):
    def find_spec(name, package=None):
        return None if name == "torch" else importlib.machinery.ModuleSpec(name, None)

    monkeypatch.setattr(importlib.util, "find_spec", find_spec)
    # What is wrong beside it would be said next.
    assert parity.main(["--steps", "0"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ") and "`make parity`" in err and err.count("\n") == 1
