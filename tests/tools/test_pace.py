"""The pace of a step: what is timed is named, and ratios are taken within a process."""

import pytest

from din_jax.tools.pace import FRESH, main, merge, table


def process(fresh: float, kept: float) -> dict:
    rows = [
        {"part": FRESH, "ms": fresh, "macs": None, "memory": 5 << 20},
        {"part": "step, kept targets", "ms": kept, "macs": None, "memory": None},
        {"part": "VGG-19, forward", "ms": kept / 2, "macs": 10**9, "memory": 3 << 20},
    ]
    return {"device": "cpu", "peak": 1e11, "batch": 4, "rows": rows}


def test_ratios_are_those_within_a_process_and_times_medians_over_them():
    found = merge([process(400, 100), process(900, 300), process(200, 100)])
    fresh, kept, vgg = found["rows"]
    assert (fresh["ms"], fresh["low"], fresh["high"]) == (400, 200, 900)
    assert fresh["faster"] == 1 and kept["faster"] == 3 and "faster" not in vgg
    assert vgg["ms"] == 50


def test_table_tells_pairs_a_second_and_the_share_of_a_products_speed():
    lines = table(merge([process(400, 100)])).splitlines()
    assert lines[1].split()[-2:] == ["10.00", "1.00"]
    assert lines[1].split()[-4:-2] == ["100%", "5"] and lines[3].split()[-4:-2] == ["12%", "3"]
    # 1e9 multiply-adds in 50 ms are 2e10 a second, a fifth of 1e11.
    assert lines[3].split()[-2:] == ["80.00", "20"]


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--crop", "100"], "--crop must be a multiple of 8"),
        (["--config", "nothing.py"], "no config file 'nothing.py'"),
        (["--processes", "0"], "--processes must be at least 1"),
    ],
)
def test_mistakes_are_one_sentence(flags, says, capsys):
    assert main([*flags, *([] if "--processes" in flags else ["--processes", "1"])]) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ") and says in err and err.count("\n") == 1
