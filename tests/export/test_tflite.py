"""LiteRT files compute what the engine does; the packages that make them are no requirement."""

import numpy as np
import pytest

pytest.importorskip("litert_converter", reason="litert-converter is not installed")
pytest.importorskip("ai_edge_litert", reason="ai-edge-litert is not installed")

from din_jax.errors import UserError
from din_jax.export import tflite
from din_jax.export.reference import Reference
from din_jax.export.tflite import tflite_files
from tests.export.models import small_model


@pytest.mark.parametrize("side", [64, 256])
def test_instance_norms_and_feedback_are_the_engines(side):
    """At 256 px a sum in order over all pixels would be beyond the bound."""
    model = small_model(encoder_norm="instance", net_feedback=1)
    files = tflite_files(Reference(model), side, encodes=True)
    assert sorted(files) == ["content", "style"]


def test_a_file_that_is_not_equal_is_refused(monkeypatch):
    run = tflite._run
    monkeypatch.setattr(
        tflite, "_run", lambda *given: {k: x + np.float32(1e-3) for k, x in run(*given).items()}
    )
    with pytest.raises(UserError, match="content.tflite differs"):
        tflite_files(Reference(small_model()), 64, encodes=False)


def test_what_xnnpack_rounds_away_is_refused_beyond_a_level(monkeypatch):
    monkeypatch.setattr(tflite, "LEVEL", 0.0)
    with pytest.raises(UserError, match="where XNNPACK computes it"):
        tflite_files(Reference(small_model()), 64, encodes=False)
