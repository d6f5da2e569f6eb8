"""The command: its report, its exit status, and what it says where PyTorch is not."""

import json

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed; `make parity` does it")

from parity import __main__ as tool  # noqa: E402
from parity import operations, timing, variants  # noqa: E402
from parity.measure import Row  # noqa: E402


@pytest.fixture
def few(monkeypatch):
    """A comparison of two operations alone."""
    cases = [case for case in operations.CASES if case.name in ("instance norm", "nearest x2")]
    monkeypatch.setattr(operations, "CASES", cases)
    monkeypatch.setattr(
        tool, "compare", lambda flags: operations.compare_operations("float32", flags.seed)
    )


def run(arguments, capsys):
    status = tool.main(arguments)
    found = capsys.readouterr()
    return status, found.out, found.err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--variant", "dim"], "--variant names models of din, portable"),
        (["--size", "16", "40"], "from 32 pixels up, not 16 40"),
        (["--steps", "0"], "--steps must be at least 1, not 0"),
        (["--threads", "-1"], "--threads must be at least 0"),
        (["--time", "--images", "1", "-8"], "--images and --pairs take numbers from 0 up"),
        (["--vgg", "nothing.pth"], "nothing.pth"),
        (["--checkpoint", "nothing.safetensors"], "nothing.safetensors"),
    ],
)
def test_mistakes_are_one_sentence(arguments, says, capsys, monkeypatch):
    monkeypatch.setattr(operations, "CASES", ())
    status, _, err = run(arguments, capsys)
    assert status == 2
    assert says in err and err.startswith("error: ") and err.count("\n") == 1


def test_rows_carry_their_verdict_and_the_status_is_zero(few, capsys):
    status, out, _ = run(["--json", "--precision", "float32"], capsys)
    report = json.loads(out)
    assert status == 0 and report["passed"]
    assert {row["name"] for row in report["rows"]} == {
        "instance norm", "instance norm, gradient 1", "nearest x2", "nearest x2, gradient 1",
    }  # fmt: skip
    assert report["facts"]["torch"] == torch.__version__


def test_one_row_over_its_tolerance_is_status_one(few, capsys, monkeypatch):
    wrong = operations.nchw
    monkeypatch.setattr(operations, "nchw", lambda x: 1.0001 * wrong(x))
    for arguments in (["--json"], [], ["--brief"]):
        status, out, _ = run([*arguments, "--precision", "float32"], capsys)
        assert status == 1
    assert "OVER" in out and "over it" in out.splitlines()[-1]


def test_brief_shows_the_worst_of_each_section_and_all_failures(capsys):
    rows = [
        Row("a", "good", 1e-6, 1e-6, 1e-6, 1e-5),
        Row("a", "better", 1e-8, 1e-8, 1e-8, 1e-5),
        Row("b", "bad", 1e-3, 1e-3, 1e-3, 1e-4),
        Row("b", "worse", 1e-2, 1e-2, 1e-2, 1e-4),
        Row("c", "told", 1.0, 1.0, 1.0, None),
    ]
    assert tool.print_rows(iter(rows), brief=True) == rows
    out = capsys.readouterr().out
    assert "good" in out and "better" not in out and "bad" in out and "worse" in out
    assert "told" in out and out.count("OVER") == 2


@pytest.mark.slow
def test_times_are_taken_in_turn_and_told_with_their_ratio(capsys, monkeypatch):
    variant = variants.variant
    monkeypatch.setattr(variants, "variant", lambda name, full=False: variant(name))
    flags = "--time --json --size 32 32 --repeats 2 --images 1 2 --pairs 1 --variant adain"
    flags += " --processes 1"
    status, out, _ = run(flags.split(), capsys)
    report = json.loads(out)
    assert status == 0
    # One and two pictures, each with the style known and not, and a training step.
    assert len({found["name"] for found in report["timings"]}) == 5
    for found in report["timings"]:
        assert found["ours"] > 0 and found["theirs"] > 0
        assert found["ratio"] == pytest.approx(found["ours"] / found["theirs"])
    assert report["facts"]["torch threads"] == timing.cores()
