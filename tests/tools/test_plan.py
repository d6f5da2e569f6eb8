"""What a step needs on many devices, read from compiled programs and reckoned from stated rates."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from din_jax.tools import chips, plan
from din_jax.tools.plan_program import Collective, Facts, read_collectives, simulate

ROOT = Path(__file__).parents[2]
TEXT = """
  %all-reduce.1 = (f32[10,2]{1,0}, f32[]) all-reduce(%a, %b), replica_groups=[1,8]<=[8], to_apply=%s
  ROOT %all-reduce = bf16[4]{0} all-reduce(%c), channel_id=2, replica_groups={{0,1,2,3,4,5,6,7}}
  %all-gather.3 = f32[8,3]{1,0} all-gather(%d), replica_groups={{0,1},{2,3},{4,5},{6,7}}, dim={0}
  %ag = f32[1]{0} all-gather-start(%d), replica_groups={{0},{1}}, dimensions={0}
  %add = f32[2]{0} add(%all-reduce.1, %all-gather.3)
  %permute = u8[5]{0} collective-permute(%e), source_target_pairs={{0,1},{1,0}}
"""


def test_messages_are_read_from_the_program():
    assert read_collectives(TEXT, 8) == (
        Collective("all-gather", 2, 1, 96),  # and none within groups of one
        Collective("all-reduce", 8, 2, 4 * 21 + 8),
        Collective("collective-permute", 8, 1, 5),
    )


@pytest.mark.parametrize(
    "kind,sent",
    [("all-reduce", 150), ("all-gather", 75), ("reduce-scatter", 300), ("collective-permute", 100)],
)
def test_what_a_device_sends_round_a_ring(kind, sent):
    assert Collective(kind, 4, 1, 100).sent == sent


CHIP = chips.Chip(2e12, 1e12, 1e9, 1e9, island=8, network=1e8)
FACTS = Facts(4, 2, 10, 100, 50, 10**9, (Collective("all-reduce", 4, 1, 4 * 10**6),))


def test_a_step_on_as_many_devices():
    few = chips.predict(FACTS, CHIP, 8, "float32", 0.5)
    assert few.compute == pytest.approx(2e9 / 0.5e12)
    assert few.link == pytest.approx(2 * 7 / 8 * 4e6 / 1e9 + 3 * chips.LATENCY)
    assert few.bound == "link" and few.efficiency == pytest.approx(few.compute / few.step)
    many = chips.predict(FACTS, CHIP, 64, "bfloat16", 0.5)
    assert many.compute == few.compute / 2  # twice the rate, and as many pairs on each
    assert many.link == pytest.approx(2 * 63 / 64 * 4e6 / 1e8 + 6 * chips.LATENCY)
    assert chips.minutes(few, 16, 1600) == pytest.approx(100 * few.step / 60)


def test_a_batch_that_is_split_computes_less_and_sends_as_much():
    one, all_four = (
        chips.predict(FACTS, CHIP, devices, "float32", 0.5, pairs=8 // devices)
        for devices in (1, 4)
    )
    assert one.link == 0 and one.efficiency == 1
    assert all_four.compute == pytest.approx(one.compute / 4)
    speedup = one.step / all_four.step
    assert all_four.efficiency == pytest.approx(speedup / 4) and speedup < 4


def test_messages_within_a_group_stay_there():
    within = dataclasses.replace(FACTS, collectives=(Collective("all-gather", 2, 3, 10**6),))
    found = chips.predict(within, CHIP, 1024, "float32", 0.5)
    assert found.link == pytest.approx(0.5e6 / 1e9 + 3 * chips.LATENCY)


def test_simulated_devices_are_asked_for_once(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_a=1 --xla_force_host_platform_device_count=3")
    monkeypatch.setenv("JAX_PLATFORMS", "")
    simulate(8)
    assert os.environ["XLA_FLAGS"] == "--xla_a=1 --xla_force_host_platform_device_count=8"
    assert os.environ["JAX_PLATFORMS"] == "cpu"


@pytest.mark.parametrize(
    "arguments,says",
    [
        (["--devices", "0"], "--devices must be at least 1"),
        (["--devices", "65"], "at most 64, not 65"),
        (["--pairs", "0"], "--pairs must be at least 1"),
        (["--utilization", "1.5"], "--utilization must be above 0 and at most 1, not 1.5"),
        (["--chip", "abacus"], "invalid choice: 'abacus'"),
    ],
)
def test_a_bad_flag_is_one_sentence(capsys, arguments, says):
    assert plan.main(arguments) == 2
    error = capsys.readouterr().err
    assert says in error and error.count("\n") == 1


def test_the_table_says_what_is_sent_and_what_binds(tiny_plan=FACTS):
    flags = plan.parse(["--chip", "h100", "--devices", "4"])
    config = plan.planned(plan.Config(), flags)
    assert (config.train.batch, config.loss.network) == (8, "random")
    found = plan.report(tiny_plan, config, flags, 1000)
    assert [row["devices"] for row in found["scales"]] == [4, 8, 64, 256, 1024]
    assert [row["devices"] for row in found["split"]] == [1, 2, 4, 8]
    assert {row["pairs"] for row in found["split"]} == {8}
    text = plan.table(json.loads(json.dumps(found)))
    assert "all-reduce" in text and "over 4 devices" in text and "(fits h100)" in text
    assert len(text.splitlines()) == 5 + 1 + 2 + 5 + 2 + 4


@pytest.mark.slow
def test_data_parallelism_sends_the_gradient_whatever_the_number_of_devices(tmp_path):
    config = tmp_path / "small.py"
    config.write_text(
        "import runpy\n"
        f"TINY = runpy.run_path({str(ROOT / 'tests/training/tiny.py')!r})['TINY'].to_dict()\n"
        "TINY['model'] |= {'code': 'adain', 'style_encoder': 'content', 'residuals': 0,\n"
        "                  'levels': 1}\n"
        "TINY['loss'] |= {'content_layers': ['relu1_1'], 'style_layers': ['relu1_1']}\n"
        "from din_jax.config import Config\n"
        "def get_config(): return Config.from_dict(TINY).to_config_dict()\n"
    )
    found = []
    for devices in (2, 4):
        done = subprocess.run(
            [sys.executable, "-m", "din_jax.tools.plan", "--config", str(config), "--pairs", "1",
             "--devices", str(devices), "--json"],
            cwd=ROOT, capture_output=True, text=True, timeout=1800,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-2000:]
        found.append(json.loads(done.stdout))
    two, four = found
    for name in ("parameters", "state", "macs"):
        assert two[name] == four[name] > 0
    sizes = [sum(one["bytes"] for one in each["collectives"]) for each in found]
    assert {one["kind"] for one in two["collectives"]} == {"all-reduce"}
    assert sizes[0] == sizes[1]
    # The gradient in float32, and little beside it: statistics of batch norms, and the metrics.
    assert 0 <= sizes[0] - 4 * two["parameters"] <= 10_000
