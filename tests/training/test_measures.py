"""What a run says of its own speed, and that a trace is of the steps asked for."""

import jax
import pytest

from din_jax.tools.chips import CHIPS, chip_of
from din_jax.training.measures import Measures, Tracing, Work


def test_shares_are_of_the_calls_since_they_were_taken():
    measures = Measures()
    assert measures.take() == {"input_share": 0.0}
    measures.add(1.0, 2.0, 3)
    measures.add(0.0, 1.0, 2)
    assert measures.take() == {"input_share": 0.25}
    measures.work = Work(flops=100.0, peak=1000.0)
    measures.add(1.0, 4.0, 10)
    assert measures.take() == {"input_share": 0.2, "mfu": pytest.approx(10 * 100 / 5 / 1000)}


def test_a_slow_input_is_told_once():
    measures = Measures()
    assert measures.advice(0.1) == ""
    told = measures.advice(0.31)
    assert "input-bound: 31% of the time" in told and "config.data.threads" in told
    assert measures.advice(0.9) == ""


@pytest.mark.parametrize(
    "kind,name",
    [("TPU v5 lite", "v5e"), ("TPU v5", "v5p"), ("NVIDIA H100 80GB HBM3", "h100"),
     ("NVIDIA A100-SXM4-40GB", "a100"), ("cpu", None), ("NVIDIA T4", None)],
)  # fmt: skip
def test_rates_are_known_by_the_device(kind, name):
    assert chip_of(kind) is (CHIPS[name] if name else None)


def test_a_trace_is_of_the_second_call_on(monkeypatch, tmp_path):
    events, said = [], []
    monkeypatch.setattr(jax.profiler, "start_trace", lambda folder: events.append(folder))
    monkeypatch.setattr(jax.profiler, "stop_trace", lambda: events.append("stop"))
    tracing = Tracing(tmp_path, 3, said.append)
    for number in range(4):
        with tracing.call(2):
            events.append(number)
    assert events == [0, str(tmp_path), 1, 2, "stop", 3] and len(said) == 1
    tracing.close()
    none = Tracing(tmp_path, 0)
    for _ in range(2):
        with none.call(2):
            pass
    assert events[-1] == 3
    short = Tracing(tmp_path, 9, said.append)
    for _ in range(2):
        with short.call(2):
            pass
    short.close()  # the run has ended before
    assert events[-2:] == [str(tmp_path), "stop"]
