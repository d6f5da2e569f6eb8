"""What a run says of its own speed, and that a trace is of the steps asked for."""

import time
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from din_jax.tools.chips import CHIPS, chip_of
from din_jax.training import measures as measures_module
from din_jax.training.feed import HostFeed
from din_jax.training.measures import (
    ROUNDS,
    SECONDS,
    Measures,
    Tracing,
    Work,
    peak_memory,
    per_second,
)
from din_jax.training.mesh import make_mesh


def test_shares_are_of_the_calls_since_they_were_taken():
    measures = Measures(batch=4)
    assert measures.take() == {}
    measures.add(50.0, 100.0, 3)  # the first call, which compiles
    assert measures.take() == {}
    measures.add(1.0, 2.0, 3)
    measures.add(0.0, 1.0, 2)
    assert measures.take() == {"input_share": 0.25, "step_pairs_per_second": 4 * 5 / 3}
    measures.work = Work(flops=100.0, peak=1000.0)
    measures.alone = 7.0
    measures.add(1.0, 4.0, 10)
    assert measures.take() == {
        "input_share": 0.2,
        "mfu": pytest.approx(10 * 100 / 5 / 1000),
        "step_pairs_per_second": 10.0,
        "input_pairs_per_second": 7.0,
    }


def found(alone, needed, share):
    return {
        "input_pairs_per_second": alone, "step_pairs_per_second": needed, "input_share": share
    }  # fmt: skip


def test_the_slower_of_input_and_step_is_told_once_and_a_slow_input_whenever_it_comes():
    measures = Measures(batch=1)
    assert measures.told({"input_pairs_per_second": 3.0}) == ""  # no call but the first
    told = measures.told(found(1200.4, 4.31, 0.0364))
    assert told == (
        "input: 1,200 pairs/s alone, the step takes 4.31: compute-bound (input 3.6% of the time)."
    )
    assert measures.told(found(1200.4, 4.31, 0.1)) == ""
    told = measures.told(found(1200.4, 4.31, 0.31))
    assert "input-bound (input 31.0% of the time); raise config.data.threads" in told
    assert measures.told(found(2.0, 4.0, 0.9)) == measures.told(found(9.0, 4.0, 0.0)) == ""
    assert "input-bound (input 1.0%" in Measures(1).told(found(3.0, 4.0, 0.01))


def test_pictures_on_the_device_are_not_waited_for():
    told = Measures(1).told({"step_pairs_per_second": 4.0, "input_share": 0.0})
    assert told == "input: drawn on the device, nothing to wait for; the step takes 4 pairs/s."


def test_memory_is_that_of_the_device_or_else_of_the_process(monkeypatch):
    told = {"peak_bytes_in_use": 3 * 2**30, "bytes_in_use": 1}
    device = SimpleNamespace(memory_stats=lambda: told)
    monkeypatch.setattr(jax, "local_devices", lambda: [device, None])
    assert peak_memory() == {"peak_memory_mib": 3 * 1024}
    device.memory_stats = lambda: None
    status = Path("/proc/self/status")
    if not status.exists():
        pytest.skip("reads Linux's /proc")
    kept = np.ones(2**25)  # 256 MiB
    peak = peak_memory()["peak_memory_mib"]
    line = next(x for x in status.read_text().splitlines() if x.startswith("VmHWM"))
    assert peak == pytest.approx(int(line.split()[1]) / 1024, rel=0.02)
    assert peak > kept.nbytes / 2**20


class Clock:
    """`time.monotonic` that an iterator moves: `times` are when its pairs are made."""

    def __init__(self, monkeypatch, times):
        self.now, self.taken = 0.0, 0
        self.times = iter(times)
        monkeypatch.setattr(measures_module.time, "monotonic", lambda: self.now)

    def __iter__(self):
        return self

    def __next__(self):
        self.now = max(self.now, next(self.times))
        self.taken += 1


@pytest.mark.parametrize(
    ("lanes", "period", "taken"),
    [(1, 0.1, ROUNDS), (4, 0.05, 4 * ROUNDS), (4, 1.25, 12), (2, 100.0, 2)],
)
def test_a_rate_is_that_of_all_lanes_and_soon_known(monkeypatch, lanes, period, taken):
    clock = Clock(monkeypatch, (period * (1 + i // lanes) for i in range(10_000)))
    rate = per_second(clock, lanes)
    assert clock.taken == taken and rate == pytest.approx(lanes / period)
    assert clock.now <= max(ROUNDS * period, SECONDS + period) + 1e-9


def test_the_start_of_processes_and_what_they_made_meanwhile_do_not_count(monkeypatch):
    # Two processes: 20 s to start, 10 pairs ready then, one every second from each.
    times = [20.0] * 10 + [21 + i // 2 for i in range(10_000)]
    clock = Clock(monkeypatch, times)
    assert per_second(clock, 2, made=9) == pytest.approx(2.0, rel=0.01)
    assert clock.now <= 20 + 2 * SECONDS + ROUNDS
    # Fewer than could be are ready.
    clock = Clock(monkeypatch, [20.0] * 3 + [21 + i // 2 for i in range(10_000)])
    assert per_second(clock, 2, made=1000) == pytest.approx(2.0, rel=0.2)
    assert clock.now <= 20 + 2 * SECONDS + ROUNDS


SLEEP = 0.1


class SlowSource:
    """Pictures that each take `SLEEP` to come, on a busy machine somewhat more: `took`."""

    took: list[float] = []

    def __init__(self, *_, **__):
        self.read = []

    def __len__(self):
        return 8

    def __getitem__(self, index):
        began = time.perf_counter()
        time.sleep(SLEEP)
        self.took.append(time.perf_counter() - began)
        self.read.append(index)
        return np.full((32, 32, 3), 10 * index, np.uint8)

    def name(self, index):
        return f"picture {index}"


@pytest.mark.parametrize("threads", [1, 2])
def test_a_slow_source_has_its_known_rate_and_the_run_draws_what_it_would(
    tiny, changed, monkeypatch, threads
):
    monkeypatch.setattr("din_jax.data.pairs.open_source", SlowSource)
    monkeypatch.setattr(SlowSource, "took", [])
    monkeypatch.setattr(measures_module, "ROUNDS", 4)
    config = changed(tiny, data={"threads": threads, "prefetch": 4})
    feed, other = (HostFeed(config, make_mesh()) for _ in range(2))
    state = feed.iterator.get_state()
    rate = feed.alone()
    assert feed.iterator.get_state() == state
    # A pair takes a content and a style, one after the other, in each thread; a busy machine adds
    # to that, and nothing takes from it.
    assert 0.6 * threads / (2 * np.mean(SlowSource.took)) < rate <= threads / (2 * SLEEP)
    for ours, others in zip(*(next(each.iterator).values() for each in (feed, other)), strict=True):
        np.testing.assert_array_equal(ours, others)
    measures = Measures(config.train.batch)
    measures.alone = rate
    measures.add(1.0, 1.0, 1)
    measures.add(0.9, 0.1, 10)  # 2 * 10 / 0.1 = 200 pairs/s, if it did not wait
    assert "the step takes 200: input-bound (input 90.0%" in measures.told(measures.take())
    feed.close()
    other.close()


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
