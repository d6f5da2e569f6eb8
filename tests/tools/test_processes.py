"""A measurement in fresh processes: each starts anew, and what they found is put together."""

import sys

import pytest

from din_jax.errors import UserError
from din_jax.tools import profile
from din_jax.tools.processes import in_processes, spread


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Writes a module that a started process can run; gives its name."""

    def write(text):
        (tmp_path / "measurement.py").write_text(text)
        return "measurement"

    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return write


def test_every_process_is_a_new_one_and_measures_alone(module):
    name = module("import json, os, sys; print(json.dumps([os.getpid(), sys.argv[1:]]))")
    found = in_processes(name, ["--size", "32", "--processes", "3"], 3)
    assert len({pid for pid, _ in found}) == 3
    for _, arguments in found:
        assert arguments == "--size 32 --processes 3 --processes 1 --json".split()


def test_a_refusal_stays_one_sentence(module):
    name = module("import sys; print('error: no such size.', file=sys.stderr); sys.exit(2)")
    with pytest.raises(UserError, match=r"^no such size\.$"):
        in_processes(name, [], 2)


def test_a_defect_is_told_with_its_trace(module):
    with pytest.raises(RuntimeError, match="process 1 of 2 failed:(.|\n)*ZeroDivisionError"):
        in_processes(module("1 / 0"), [], 2)


def test_spread_is_the_median_and_both_ends():
    assert spread([3.0, 1.0, 100.0]) == (3.0, 1.0, 100.0)


def test_the_profile_sums_parts_within_each_process():
    def one(first, second, whole):
        times = {"a": first, "b": second, "whole": whole}
        rows = [{"part": name, "ms": ms, "macs": 1, "megabytes": ms} for name, ms in times.items()]
        return {"device": sys.platform, "peak": whole, "rows": rows}

    merged = profile.merge([one(1, 9, 8), one(9, 1, 30), one(2, 2, 9)])
    times = {row["part"]: (row["ms"], row["low"], row["high"]) for row in merged["rows"]}
    assert times == {
        "a": (2, 1, 9),
        "b": (2, 1, 9),
        "sum of parts": (10, 4, 10),
        "whole": (9, 8, 30),
    }
    assert merged["peak"] == 30 and merged["rows"][2]["macs"] == 2
    assert profile.merge([merged])["rows"][2]["part"] == "sum of parts"
