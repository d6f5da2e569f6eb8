"""The run for accelerators: what it plans, where it runs, and what its table says."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from din_jax.errors import UserError
from din_jax.tools import accelerator
from din_jax.tools.accelerator_plan import CEILINGS, COMPILED, FULL, OURS, REHEARSAL, RIVALS, plan
from din_jax.tools.accelerator_report import (
    COLUMNS,
    ceilings,
    cells,
    fractions,
    report,
    verdicts,
)
from din_jax.tools.rows import Rows

ROOT = Path(__file__).parents[2]
# What a machine with JAX and Flax on it may lack of requirements.txt.
BLOCKED = (
    "grain", "tensorflow_datasets", "array_record", "tensorflow", "ml_collections", "tensorboardX",
)  # fmt: skip
PICTURE = "stylize 512x512, batch 32, bfloat16"
STEP = "train 8 of 256 px, bfloat16, step, fresh targets: din_jax"
OPERATION = "3x3 8x256x256x64, forward, float32"


def test_it_runs_where_data_and_config_libraries_are_missing():
    program = f"""
import json, sys
for name in {BLOCKED}:
    sys.modules[name] = None  # an import of it raises
import din_jax.tools.accelerator_report
import din_jax.training.optimizer, din_jax.training.step  # of the training rows
from din_jax.tools.accelerator import Bench, facts
bench = Bench(True, None)
names = "copy float32: reached", "1x1 1x8x8x128, forward, float32: vmap"
rows = [bench.do(name) for name in names]
print(json.dumps([facts(True), *rows]))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    about, copy, operation = json.loads(done.stdout)
    assert about["rehearsal"] and copy["bytes_s"] > 0
    assert 0 < operation["low"] <= operation["ms"] <= operation["high"]
    assert operation["runs"] == 2 and operation["macs"] == 64 * 128**2
    assert operation["memory"] >= 2 * 4 * 64 * 128 and operation["compile_s"] > 0


def test_planning_starts_no_device():
    program = """
from din_jax.tools.accelerator_plan import FULL, plan
print(len(plan(FULL, True)))
"""
    done = subprocess.run(
        [sys.executable, "-c", f"import os; os.environ['JAX_PLATFORMS'] = 'nothing'\n{program}"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout.strip().isdigit(), done.stderr


def test_all_that_is_asked_is_planned_and_the_ceilings_first():
    jobs = plan(FULL, True)
    assert [job.case for job in list(jobs.values())[: len(CEILINGS)]] == list(CEILINGS)
    for size in ("512x512", "3840x2160"):
        for batch in (1, 8, 32):
            for dtype in ("float32", "bfloat16"):
                case = f"stylize {size}, batch {batch}, {dtype}"
                assert f"{case}: {OURS}" in jobs
                assert any(f"{case}: {rival}" in jobs for rival in RIVALS)
    for form in ("matmul", "vmap", "winograd", "torch", COMPILED):
        assert f"{OPERATION}: {form}" in jobs
    assert STEP in jobs
    ours = plan(FULL, False)
    assert ours.keys() < jobs.keys() and not any(j.contender in RIVALS for j in ours.values())


def test_the_rehearsal_has_every_stage_of_the_run():
    stages = [{job.stage for job in plan(sizes, True).values()} for sizes in (FULL, REHEARSAL)]
    assert stages[0] == stages[1]


def timed(ms, **others):
    return {"ms": ms, "low": ms, "high": ms, "runs": 9, "calls": 3, "memory": 2**30, **others}


@pytest.fixture
def rows(tmp_path):
    """A device of 1e12 bytes/s and 1e14 FLOP/s in bfloat16, and some rows of it."""
    rows = Rows(tmp_path / "rows.json")
    rows.facts = {"device": "card", "platform": "gpu", "driver": None}
    rows.rows = {
        "copy float32: reached": timed(1, bytes_s=9e11),
        "triad float32: reached": timed(1, bytes_s=1e12),
        "product bfloat16: reached": timed(1, flops_s=1e14),
        # 7e9 bytes in 10 ms are 7e11 a second, 70 %; 1e11 operations 1e13, 10 %.
        f"{PICTURE}: {OURS}": timed(10, bytes=7e9, flops=1e11, macs=10**11),
        f"{PICTURE}: torch": timed(15, ratio=1.5, ours_ms=10, difference=1e-3),
        f"{PICTURE}: torch, channels_last": timed(25, ratio=2.5, ours_ms=10),
        f"{PICTURE}: {COMPILED}": {"error": "took more than 120 s"},
        STEP: timed(20, macs=5 * 10**11),
        f"{OPERATION}: matmul": timed(3),
        f"{OPERATION}: vmap": timed(2),
        f"{OPERATION}: winograd": timed(4),
    }
    return rows


def test_fractions_by_hand(rows):
    jobs = plan(FULL, True)
    limits = ceilings(rows, jobs)
    assert limits == {"bytes": 1e12, "bfloat16": 1e14}
    name = f"{PICTURE}: {OURS}"
    found = fractions(rows.rows[name], jobs[name], limits)
    expected = {
        "bytes": 7e11, "bytes_part": 0.7, "flops": 1e13, "flops_part": 0.1,
        "macs": 2e13, "macs_part": 0.2, "roofline": 0.7,
    }  # fmt: skip
    assert found == pytest.approx(expected)
    assert "bytes_part" not in fractions(rows.rows[name], jobs[name], {})


def test_aims_are_held_against_the_better_layout_and_choices_against_the_default(rows):
    jobs = plan(FULL, True)
    assert list(verdicts(rows, jobs)) == [
        f"{PICTURE}: eager PyTorch's time over ours 1.50, missed (aim 2)",
        f"{PICTURE}: bandwidth over a copy's 0.70, reached (aim 0.6)",
        "train 8 of 256 px, bfloat16, step, fresh targets: model FLOPs utilization 0.50, "
        "reached (aim 0.4)",
    ]
    text = report(rows, jobs)
    assert (
        f"- {OPERATION}: matmul 3 ms, vmap 2 ms, winograd 4 ms; matmul is taken here: take vmap"
        in text
    )
    assert text.startswith("device card, platform gpu\n")
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert len(table) == 2 + len(rows.rows)
    assert len({line.count("|") for line in table}) == 1
    assert "took more than 120 s" in text and "400 pairs/s" in text and "differs by 1e-03" in text


def test_rivals_that_ran_alone_are_compared_with_our_row(rows):
    jobs, case = plan(FULL, True), "stylize 3840x2160, batch 8, bfloat16"
    theirs = f"{case}: torch, channels_last"
    rows.rows = {theirs: timed(50, note="alone"), f"{case}: {OURS}": timed(20)}
    assert cells(theirs, rows, jobs, {})[COLUMNS.index("theirs / ours")] == "2.50"
    del rows.rows[f"{case}: {OURS}"]
    assert cells(theirs, rows, jobs, {})[COLUMNS.index("theirs / ours")] == ""


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--minutes", "0"], "--minutes and --limit must be above 0"),
        (["--limit", "nan"], "--minutes and --limit must be above 0"),
    ],
)
def test_mistakes_are_one_sentence(flags, says, tmp_path, capsys):
    assert accelerator.main(["--out", str(tmp_path), *flags]) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ") and says in err and err.count("\n") == 1


def test_without_an_accelerator_only_the_rehearsal_runs(tmp_path):
    flags = accelerator.parse(["--out", str(tmp_path)])
    with pytest.raises(UserError, match="JAX finds no accelerator here.*--rehearse"):
        accelerator.work(flags, None)
