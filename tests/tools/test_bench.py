"""The benchmark times what it says: forms that agree, run in turn, counted by hand."""

import json

import jax
import numpy as np
import pytest

from din_jax.tools import bench
from din_jax.tools.bench import Program, main, measure, quartiles
from din_jax.tools.bench_cases import VARIANTS, Case, jax_forms, jax_programs


@pytest.mark.parametrize("variant", VARIANTS)
def test_all_forms_of_a_case_give_the_same_map(variant):
    case = Case(variant, 8, 2, "forward")
    inputs = case.inputs().values()
    forms = jax.jit(lambda *x: {name: form(*x) for name, form in jax_forms(case).items()})(*inputs)
    (_, first), *others = forms.items()
    assert first.shape == (2, 8, 8, case.channels)
    size = np.abs(first).max()
    for name, y in others:
        np.testing.assert_allclose(y / size, first / size, atol=1e-5, err_msg=name)


def test_channels_are_those_of_the_networks_level():
    assert [Case("1x1", size, 1, "forward").channels for size in (512, 256, 128, 64)] == [
        32, 64, 128, 128,
    ]  # fmt: skip


def test_multiply_adds_are_those_of_the_product():
    counts = {name: v.multiply_adds(2, 10, 64) for name, v in VARIANTS.items()}
    dense = 2 * 10 * 10 * 64 * 64
    assert counts == {
        "1x1": dense,
        "3x3": 9 * dense,
        "5x5": 25 * dense,
        "group 3x3": 9 * dense // 8,
        "depthwise 3x3": 9 * dense // 64,
        "deformable 3x3": 9 * dense // 64,
        "spatial": dense // 64,
    }


def test_programs_run_in_turn_and_the_first_round_does_not_count():
    said = []
    programs = {name: Program(lambda name=name: said.append(name)) for name in "ab"}
    times = measure(programs, rounds=2)
    assert said == ["a", "b"] * 3
    assert {name: len(values) for name, values in times.items()} == {"a": 2, "b": 2}


def test_a_slow_form_runs_fewer_times_but_once(monkeypatch):
    """By a clock that only the programs move, so that a busy machine does not decide."""
    now = 0.0

    def lasting(seconds):
        def run():
            nonlocal now
            now += seconds

        return Program(run)

    monkeypatch.setattr(bench.time, "perf_counter", lambda: now)
    programs = {"quick": lasting(0.001), "slow": lasting(0.02)}
    times = measure(programs, rounds=5, budget=0.05)
    assert times["quick"] == pytest.approx([1.0] * 5) and times["slow"] == pytest.approx([20.0] * 2)
    assert measure(programs, rounds=5, budget=0.01)["slow"] == pytest.approx([20.0])
    before = now
    measure({"slow": programs["slow"]}, rounds=5, budget=0.01)
    assert now - before == pytest.approx(0.02)  # to warm up, and no second time


def test_quartiles_by_hand():
    assert quartiles([1, 2, 3, 4, 5]) == (2, 3, 4)
    assert quartiles([7]) == (7, 7, 7)


def test_both_directions_give_a_gradient_for_every_input():
    programs = jax_programs(Case("1x1", 8, 1, "both"))
    y, (to_x, to_kernel, to_bias) = programs["folded"].run()
    assert y.shape == to_x.shape and to_kernel.shape[3:] == (128, 128) and to_bias.shape == (1, 128)


FEW = ["--sizes", "8", "--batches", "1", "--rounds", "2", "--variants", "1x1"]
HERE = ["--processes", "1"]  # no further process


def test_a_row_per_form_and_direction(monkeypatch, capsys):
    limits = {"bytes": 1e10, "multiply_adds": 1e11}
    monkeypatch.setattr(bench, "ceilings", lambda rounds: limits)
    assert main([*FEW, *HERE, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["ceilings"] == limits
    keys = [(row["form"], row["direction"]) for row in result["rows"]]
    assert keys == [
        (form, way) for way in ("forward", "both") for form in ("vmap", "fast", "folded")
    ]
    for row in result["rows"]:
        assert 0 < row["low"] <= row["median"] <= row["high"]
        assert row["bytes"] == (3 if row["direction"] == "both" else 1) * 2 * 4 * 64 * 128
    assert main([*FEW, *HERE, "--forward"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 + 3 and " 1.00 " in lines[2] and "10.0 GB/s" in lines[0]


def test_several_processes_give_their_median_and_its_ends(monkeypatch, capsys):
    """Each finds other times; the table is told of the medians of theirs."""
    asked = []

    def found(module, arguments, count):
        asked.append((module, arguments, count))
        row = {"variant": "1x1", "size": 8, "batch": 1, "channels": 128, "direction": "forward",
               "form": "fast", "low": 0.0, "high": 99.0, "multiply_adds": 10**6, "bytes": 10**6,
               "xla_flops": None, "xla_bytes": None}  # fmt: skip
        return [
            {"device": "cpu", "ceilings": {"bytes": 1e10 + i, "multiply_adds": 1e11}, "rows": [
                row | {"median": median}]}
            for i, median in enumerate([3.0, 30.0, 2.0, 4.0, 5.0])
        ]  # fmt: skip

    monkeypatch.setattr(bench, "in_processes", found)
    assert main([*FEW, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert asked == [("din_jax.tools.bench", [*FEW, "--json"], 5)]
    assert result["ceilings"]["bytes"] == 1e10 + 4
    (row,) = result["rows"]
    assert (row["median"], row["low"], row["high"]) == (4.0, 2.0, 30.0)
    assert main(FEW) == 0
    assert "2.00-30.00" in capsys.readouterr().out


@pytest.mark.parametrize("flags", [["--sizes", "4"], ["--batches", "0"], ["--rounds", "0"]])
def test_mistakes_are_one_sentence(flags, capsys):
    assert main(flags) == 2
    assert capsys.readouterr().err.startswith(f"error: {flags[0]} must be at least ")


@pytest.mark.parametrize("variant", VARIANTS)
def test_torch_runs_the_same_case(variant):
    pytest.importorskip("torch", reason="PyTorch (extra 'parity') is not installed")
    from parity.bench_cases import layer_output

    case = Case(variant, 8, 2, "forward")
    theirs = layer_output(case).transpose(0, 2, 3, 1)
    ours = jax.jit(jax_forms(case)["fast"])(*case.inputs().values())
    size = np.abs(theirs).max()
    np.testing.assert_allclose(ours / size, theirs / size, atol=1e-5)
